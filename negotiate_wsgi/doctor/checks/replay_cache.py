"""Is a token good for one time only? MIT's replay cache, by whatever names it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from negotiate_wsgi.doctor import krb5_conf
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup


@check("NW004", "replay cache")
def replay_cache(setup: Setup) -> Iterator[Finding]:
    """It is on, and this user can write to it."""
    origin, name, remove = _named()
    kind, colon, place = name.partition(":")
    if kind == "none" and colon:
        yield warning(
            f"{origin} is {name}, which switches the replay cache off: whoever "
            "captures a token can use it, too, for five minutes.",
            "Leave it on.",
            remove,
        )
    elif kind == "file2" and colon:
        yield usable(Path(place), origin)
    elif kind == "dfl" and colon:
        yield _default()
    else:
        yield problem(
            f"{origin} is {name!r}, which is not a replay cache.",
            "Leave it out, or name a file, such as file2:/var/lib/www/rcache.",
            remove,
        )


def _named() -> tuple[str, str, str]:
    """What names the cache, its name, and the command that removes that.

    In the order of libkrb5 (k5_rc_default in rc_base.c).
    """
    for variable, end in (("KRB5RCACHENAME", ""), ("KRB5RCACHETYPE", ":")):
        value = os.environ.get(variable)
        if value is not None:
            return variable, f"{value}{end}", f"unset {variable}"
    found = krb5_conf.find("default_rcache_name")
    if found:
        place, value = found
        return (
            f"default_rcache_name in {place}",
            _expanded(value.split()[0]),
            f"sed -i /default_rcache_name/d {shlex.quote(str(place))}",
        )
    return "", "dfl:", ""


def _expanded(name: str) -> str:
    """*name* with the parameters of krb5.conf(5) that a replay cache may well have."""
    for parameter in ("%{uid}", "%{euid}"):
        name = name.replace(parameter, str(os.geteuid()))
    return name.replace("%{TEMP}", os.environ.get("TMPDIR", "/tmp"))  # noqa: S108


def _default() -> Finding:
    """The cache that nothing names is a file in a directory."""
    for variable in ("KRB5RCACHEDIR", "TMPDIR"):
        directory = os.environ.get(variable)
        if directory is not None:
            break
    else:
        variable, directory = "KRB5RCACHEDIR", "/var/tmp"  # noqa: S108
    file = Path(f"{directory}/krb5_{os.geteuid()}.rcache2")
    return usable(file, variable)


def usable(file: Path, origin: str) -> Finding:
    """Whether this user can write to *file*, such as a cache, and to its directory.

    :param origin: what names it.
    """
    directory = file.parent
    quoted = shlex.quote(str(directory))
    user = f"uid {os.geteuid()}"
    if not directory.is_dir():
        return problem(
            f"{origin}: there is no directory {directory}.",
            "Make one, or name another.",
            f"mkdir -p -m 700 {quoted}",
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        is_ours = directory.stat().st_uid == os.geteuid()
        return problem(
            f"{origin}: {directory} cannot be written by {user}.",
            "Let this user write to it, or name another directory.",
            f"chmod u+rwx {quoted}" if is_ours else "",
        )
    if os.path.lexists(file) and not _is_a_file_of_ours(file):
        return problem(
            f"{file} is not a file of {user}.",
            "Remove it.",
            f"rm {shlex.quote(str(file))}",
        )
    return ok(f"{directory} can be written by {user}")


def _is_a_file_of_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
