"""Is this machine fit for Kerberos? Binding, plugins, krb5.conf, gssproxy."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.doctor import gssproxy
from negotiate_wsgi.doctor.acceptor import (
    certificate_of,
    open_acceptor,
    version_of,
)
from negotiate_wsgi.doctor.client import ClientError, default_realm
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError

_INSTALL = {
    "pykerberos": "pip install --force-reinstall pykerberos",
    "gssapi": "pip install 'negotiate-wsgi[gssapi]'",
}


@check("NW001", "binding")
def binding(setup: Setup) -> Iterator[Finding]:
    """The acceptor in use can be loaded, and no other package is in its place."""
    name = setup.acceptor
    install = _INSTALL.get(name, "")
    if name == "pykerberos" and not version_of("pykerberos"):
        yield problem("pykerberos is not installed.", "Install it.", install)
        return
    if name == "pykerberos" and version_of("kerberos"):
        yield problem(
            "The packages kerberos and pykerberos are both installed, and bring the same module.",
            "Remove the other one, and install ours again.",
            f"pip uninstall -y kerberos && {install}",
        )
        return
    if name == "pykerberos" and setup.active_directory:
        yield problem(
            "active_directory is on, and pykerberos shows no PAC.",
            "Use GssapiAcceptor: NEGOTIATE_ACCEPTOR=gssapi.",
            "export NEGOTIATE_ACCEPTOR=gssapi",
        )
        return
    try:
        acceptor = open_acceptor(
            name, setup.service, None, None, setup.active_directory
        )
    except ConfigurationError as fault:
        remedy = (
            "Install what is missing."
            if install
            else "Correct --acceptor or NEGOTIATE_ACCEPTOR."
        )
        yield problem(f"The acceptor cannot be used: {fault}.", remedy, install)
        return
    setup.certificate = setup.certificate or certificate_of(acceptor)
    yield ok(f"{name} {version_of(name) or ''}".rstrip() + f", {_krb5_library()}")


def _krb5_library() -> str:
    """The path of the libkrb5 that this process has loaded."""
    maps = Path("/proc/self/maps")
    loaded = (
        re.search(r"\S*/libkrb5\.so\S*", maps.read_text()) if maps.exists() else None
    )
    return loaded[0] if loaded else "libkrb5"


@check("NW002", "GSSAPI plugins")
def plugins(setup: Setup) -> Iterator[Finding]:
    """No mechanism but Kerberos is loaded, such as NTLM."""
    foreign = [
        str(path) for path in gssproxy.plugin_files() if gssproxy.mechanisms_in(path)[1]
    ]
    if not foreign:
        yield ok("no mechanism but Kerberos")
        return
    # Without its plugin, gssproxy is not asked.
    instead = gssproxy.file_of_its_own() or Path(os.devnull)
    yield warning(
        f"{', '.join(foreign)} loads mechanisms besides Kerberos, such as NTLM. No "
        "token of theirs reaches them through us, but other applications may accept "
        "them.",
        "Keep them out of the server's environment.",
        f"export GSS_MECH_CONFIG={shlex.quote(str(instead))}",
    )


@check("NW003", "krb5.conf")
def krb5_conf(setup: Setup) -> Iterator[Finding]:
    """It can be read and parsed, and names a default realm."""
    path = os.environ.get("KRB5_CONFIG", "/etc/krb5.conf")
    try:
        realm = default_realm()
    except ClientError as fault:
        yield problem(
            f"{path} cannot be used by uid {os.geteuid()}: {fault}",
            "Let the server's user read it, and correct it: see krb5.conf(5).",
        )
        return
    if realm is None:
        is_there = all(map(os.path.exists, path.split(os.pathsep)))
        yield problem(
            f"{path} names no default realm." if is_there else f"There is no {path}.",
            "Name the realm, and its KDC unless DNS does.",
            _write(path, setup),
        )
        return
    yield ok(f"{path}, default realm {realm}")


def _write(path: str, setup: Setup) -> str:
    """The command that names the keytab's realm as the default one."""
    try:
        realm = read_keytab(setup.keytab_name).keys[0].principal.rpartition("@")[2]
    except AcceptorError:
        realm = "EXAMPLE.COM"
    lines = f"[libdefaults]\\n\\tdefault_realm = {realm}\\n"
    return f"printf {shlex.quote(lines)} >>{shlex.quote(path.split(os.pathsep)[0])}"


@check("NW017", "gssproxy")
def proxy(setup: Setup) -> Iterator[Finding]:
    """Where GSS_USE_PROXY says so, its plugin is loaded, and it answers."""
    if not uses_gssproxy():
        yield ok("not used")
        return
    if not gssproxy.is_loaded():
        yield _not_loaded()
        return
    try:
        gssproxy.knock()
    except OSError as fault:
        yield problem(
            f"gssproxy does not answer at {gssproxy.socket_name()}: {fault.strerror or fault}.",
            "Start it, or let GSSPROXY_SOCKET name its socket.",
            "systemctl start gssproxy",
        )
        return
    yield ok(
        f"answers at {gssproxy.socket_name()}; of its keys, a sign-on with --url says more"
    )


def _not_loaded() -> Finding:
    found = "GSS_USE_PROXY is set, but gssproxy's plugin is not loaded"
    named = os.environ.get("GSS_MECH_CONFIG")
    own = gssproxy.file_of_its_own()
    if named and own:
        return problem(
            f"{found}: GSS_MECH_CONFIG={named} keeps it out.",
            "Name the file that loads it, and no other mechanism.",
            f"export GSS_MECH_CONFIG={shlex.quote(str(own))}",
        )
    return problem(
        f"{found}: no file in /etc/gss/mech.d names it.",
        "Install gssproxy, or unset GSS_USE_PROXY and give the server a keytab.",
        "apt-get install gssproxy",
    )
