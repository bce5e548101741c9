"""Is this machine fit for Kerberos? Binding, plugins, krb5.conf, replay cache. Nothing is asked elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import krb5

from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.doctor.finding import Check, Finding, Setup
from negotiate_wsgi.exceptions import AcceptorError

_INSTALL = "pip install --force-reinstall pykerberos"


def check_binding(setup: Setup) -> Iterator[Finding]:
    check = Check.BINDING
    installed = {name: _version(name) for name in ("pykerberos", "kerberos")}
    if not installed["pykerberos"]:
        yield check.problem("pykerberos is not installed.", "Install it.", _INSTALL)
    elif installed["kerberos"]:
        yield check.problem(
            "The packages kerberos and pykerberos are both installed, and bring the same module.",
            "Take the other one away, and install ours again.",
            f"pip uninstall -y kerberos && {_INSTALL}",
        )
    else:
        yield check.ok(f"pykerberos {installed['pykerberos']}, {_krb5_library()}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _krb5_library() -> str:
    """The path of the libkrb5 that this process has loaded."""
    maps = Path("/proc/self/maps")
    loaded = re.search(r"\S*/libkrb5\.so\S*", maps.read_text()) if maps.exists() else None
    return loaded[0] if loaded else "libkrb5"


def check_plugins(setup: Setup) -> Iterator[Finding]:
    named = os.environ.get("GSS_MECH_CONFIG")
    files = (
        [Path(named)] if named else [Path("/etc/gss/mech"), *Path("/etc/gss/mech.d").glob("*.conf")]
    )
    loaded = [path for path in files if path.is_file() and _lists_a_plugin(path)]
    if loaded:
        yield Check.PLUGINS.warning(
            f"{', '.join(map(str, loaded))} loads mechanisms besides Kerberos, such as NTLM. No token "
            "of theirs reaches them through us, but other applications may accept them.",
            "Keep them out of the server's environment.",
            f"export GSS_MECH_CONFIG={os.devnull}",
        )
    else:
        yield Check.PLUGINS.ok("no mechanism but Kerberos")


def _lists_a_plugin(path: Path) -> bool:
    lines = path.read_text(errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def check_krb5_conf(setup: Setup) -> Iterator[Finding]:
    check, path = Check.KRB5_CONF, os.environ.get("KRB5_CONFIG", "/etc/krb5.conf")
    try:
        context = krb5.init_context()
    except krb5.Krb5Error as problem:
        user = f"uid {os.geteuid()}"
        found = f"{path} cannot be used by {user}: {problem}"
        yield check.problem(found, "Let the server's user read it, and mend it: see krb5.conf(5).")
        return
    try:
        realm = krb5.get_default_realm(context).decode()
    except krb5.Krb5Error:
        is_there = all(map(os.path.exists, path.split(os.pathsep)))
        found = f"{path} names no default realm." if is_there else f"There is no {path}."
        yield check.problem(
            found, "Name the realm, and its KDC unless DNS does.", _write(path, setup)
        )
        return
    yield check.ok(f"{path}, default realm {realm}")


def _write(path: str, setup: Setup) -> str:
    """The command that names the keytab's realm as the default one."""
    try:
        realm = read_keytab(setup.name).keys[0].principal.rpartition("@")[2]
    except AcceptorError:
        realm = "EXAMPLE.COM"
    lines = f"[libdefaults]\\n\\tdefault_realm = {realm}\\n"
    return f"printf {shlex.quote(lines)} >>{shlex.quote(path.split(os.pathsep)[0])}"


def check_replay_cache(setup: Setup) -> Iterator[Finding]:
    check = Check.REPLAY_CACHE
    directory = Path(os.environ.get("KRB5RCACHEDIR") or "/var/tmp")  # noqa: S108
    cache = directory / f"krb5_{os.geteuid()}.rcache2"
    quoted, user = shlex.quote(str(directory)), f"uid {os.geteuid()}"
    if not directory.is_dir():
        found = f"KRB5RCACHEDIR: there is no directory {directory}."
        yield check.problem(found, "Make one, or name another.", f"mkdir -p -m 700 {quoted}")
    elif not os.access(directory, os.W_OK | os.X_OK):
        found = f"KRB5RCACHEDIR: {directory} cannot be written by {user}."
        yield check.problem(found, "Let it, or name another directory.", f"chmod u+rwx {quoted}")
    elif os.path.lexists(cache) and not _is_a_file_of_ours(cache):
        found = f"{cache} is not a file of {user}."
        yield check.problem(found, "Take it away.", f"rm {shlex.quote(str(cache))}")
    else:
        yield check.ok(f"{directory} can be written by {user}")


def _is_a_file_of_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
