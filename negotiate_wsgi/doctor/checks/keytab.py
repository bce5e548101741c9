"""Has the acceptor its keytab, and nobody else? The file, and the way to it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from negotiate_wsgi.acceptors.insight import name_of_keytab, read_keytab
from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.doctor import gssproxy
from negotiate_wsgi.doctor.commands import Instructions
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import SOME_HOST, Setup
from negotiate_wsgi.doctor.ways import Place, Trust, name_of_group, name_of_user, way_to
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.wire.keytab import Keytab

_OF_THE_MACHINE = Path("/etc/krb5.keytab")
_ELSEWHERE = "/etc/http.keytab"


@check("NW005", "keytab", after={"NW019"})
def keytab(setup: Setup) -> Iterator[Finding]:
    """This user can read it, along its whole path, and there are keys in it."""
    if uses_gssproxy():
        yield ok(f"gssproxy has it; {_us()} need not read it")
        return
    try:
        setup.keytab = Keytab(name_of_keytab(setup.keytab_name), ())
    except AcceptorError:
        return  # Not without krb5.conf, of which another check has told.
    path = Path(setup.keytab.path)
    try:
        setup.keytab = read_keytab(setup.keytab_name)
    except AcceptorError as fault:
        yield _why_not(setup, path) or _damaged(setup, path, fault)
        return
    yield ok(f"{path}, {len(setup.keytab.keys)} keys, read as {_us()}")


def _us() -> str:
    return f"uid {os.geteuid()}"


def _why_not(setup: Setup, path: Path) -> Finding | None:
    """What keeps us from the file, if anything does."""
    for place in way_to(path):
        if place.is_directory and not os.access(place.path, os.X_OK):
            return _unreachable(path, place)
    if not path.exists():
        return problem(
            f"There is no keytab {path}.",
            "Export it, or name another: KRB5_KTNAME, or keytab=.",
            _export_anew(setup),
        )
    if not os.access(path, os.R_OK):
        return _unreadable(path)
    return None


def _unreachable(path: Path, closed: Place) -> Finding:
    found = f"{path} cannot be reached: {_us()} may not enter {closed.path}."
    if closed.status.st_uid == os.geteuid():
        return problem(
            found, "Let its owner enter it.", f"chmod u+x {_quoted(closed.path)}"
        )
    # That directory is private for a reason, and stays so.
    return problem(
        found,
        "Move the keytab to a directory that this user may enter, and name it there: "
        "KRB5_KTNAME, or keytab=.",
        f"install -m 600 -o {_user()} {_quoted(path)} {_ELSEWHERE} && rm {_quoted(path)}",
    )


def _unreadable(path: Path) -> Finding:
    found = f"{path} cannot be read by {_us()}."
    if gssproxy.serves_us():
        return problem(
            found,
            "gssproxy is set up to keep the keys for this user: let the server ask it.",
            "export GSS_USE_PROXY=yes",
        )
    if path == _OF_THE_MACHINE:
        return problem(
            found,
            "It has the keys of the machine itself, and stays closed. Make a keytab "
            "with the service's keys alone, and name it: KRB5_KTNAME, or keytab=.",
        )
    return problem(
        found,
        "Give it to the server's user.",
        f"chown {_user()} {_quoted(path)} && chmod 600 {_quoted(path)}",
    )


def _user() -> str:
    return shlex.quote(name_of_user(os.geteuid()))


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _damaged(setup: Setup, path: Path, fault: AcceptorError) -> Finding:
    export = _export_anew(setup)
    command = export.command and f"rm {_quoted(path)} && {export.command}"
    return problem(
        f"{path} is empty or damaged ({fault.detail}).",
        "Export it again.",
        replace(export, command=command),
    )


def _export_anew(setup: Setup) -> Instructions:
    hosts = setup.hosts or (SOME_HOST,)
    return setup.commands.export(*(f"{setup.service}/{host}" for host in hosts))


@check("NW006", "keytab's privacy", after={"NW005"})
def privacy(setup: Setup) -> Iterator[Finding]:
    """Nobody else can read it, or put another in its place."""
    if uses_gssproxy():
        return
    path = Path(setup.keytab.path).absolute()
    if path.stat().st_mode & stat.S_IRWXO:
        yield warning(
            f"{path} is open to every user of this machine: whoever reads it can sign "
            "on here as anybody.",
            "Close it, and let the KDC make new keys if somebody may have read it.",
            f"chmod o-rwx {_quoted(path.resolve())}",
        )
        return
    trust = Trust.for_file(path)
    objections = filter(
        None, (_objection(path, place, trust) for place in way_to(path))
    )
    yield next(objections, None) or ok("nobody else can read or replace it")


def _objection(path: Path, place: Place, trust: Trust) -> Finding | None:
    """Who could put another keytab in the place of *path*, by way of *place*."""
    quoted = _quoted(place.path)
    if place.is_open_to_all:
        return _replaceable(
            path, place, "Every user of this machine", f"chmod o-w {quoted}"
        )
    if place.is_open_to_its_group and not trust.in_group(place):
        members = f"Members of the group {name_of_group(place.status.st_gid)}"
        return _replaceable(path, place, members, f"chmod g-w {quoted}")
    if not trust.in_owner(place):
        owner = f"The user {name_of_user(place.status.st_uid)}, to whom it belongs,"
        new_owner = "root" if place.path != path else _user()
        return _replaceable(path, place, owner, f"chown -h {new_owner} {quoted}")
    return None


def _replaceable(path: Path, place: Place, who: str, command: str) -> Finding:
    if place.is_directory:
        kind = "that directory"
    else:
        kind = "that link" if place.is_link else "the keytab"
    by = "" if place.path == path else f", by way of {place.path}"
    return warning(
        f"{who} can put another keytab in the place of {path}{by}.",
        f"Leave {kind} to root or to the server's user alone.",
        command,
    )
