"""What does a ticket say in clear text, and has the keytab its key? Decides nothing:
for log and tools.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.acceptors.status import path_of_keytab, uses_gssproxy
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.keytab import MAX_KEYTAB, Keytab, KeytabError, parse
from negotiate_wsgi.wire.ticket import Ticket

_DETAIL = (
    1000  # characters: an SPN is the client's choice, and can be as long as a token
)
_TOKEN = 16 * 1024  # bytes, which are enough for a user in 1000 groups

# What is said only once the library has found a well-formed ticket. Not a replay, of
# which the log has told already, and which costs nothing to send by the thousand.
_OF_A_TICKET = {
    Reason.EXPIRED,
    Reason.CLOCK_SKEW,
    Reason.WRONG_SERVICE,
    Reason.SPN_NOT_IN_KEYTAB,
    Reason.STALE_TICKET,
    Reason.STALE_KEYTAB,
    Reason.WRONG_KEY,
    Reason.ENCTYPE_MISSING,
}


_ASKED_A_SECOND = 10


def with_insight(
    refused: Refused, token: bytes, ticket: Ticket | None, keytab: Callable[[], Keytab]
) -> Refused:
    """*refused*, and what its ticket says in clear text beside what the keytab has, for
    the log.

    :param ticket: the one in *token*, None where none can be read.
    :param keytab: returns the acceptor's keytab, or raises `AcceptorError`. It is asked
        for ten tokens a second at most, because anybody can send such tokens.
    """
    if ticket is None or refused.reason not in _OF_A_TICKET or len(token) > _TOKEN:
        return refused
    refused = replace(refused, spn=refused.spn or ticket.spn[:_DETAIL])
    if not _pace.allows():
        return refused
    told = [refused.detail, f"ticket: {ticket}", _beside(ticket, keytab)]
    return replace(refused, detail="; ".join(filter(None, told))[:_DETAIL])


#: What is known of the keys that gssproxy holds.
KEYTAB_OF_GSSPROXY = Keytab("gssproxy", ())


def _beside(ticket: Ticket, keytab: Callable[[], Keytab]) -> str:
    """In words what the keytab has for a ticket."""
    try:
        found = keytab()
    except AcceptorError as fault:
        return f"keytab: {fault.detail}"
    if found is KEYTAB_OF_GSSPROXY:
        return "the keys are gssproxy's"
    return f"{found.name} has: {', '.join(found.in_words(ticket.spn))}"


class _Pace:
    """So many a second, and no more."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._second = 0
        self._count = 0

    def allows(self) -> bool:
        # Threads that meet here may count one too few, which does no harm.
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._count = 0
        self._count += 1
        return self._count <= self._allowed


_pace = _Pace(_ASKED_A_SECOND)


def name_of_keytab(name: str | None = None) -> str:
    """The full name of the keytab *name*, or that of ``KRB5_KTNAME``, or krb5's
    default.

    Raises `AcceptorError` (``krb5-conf-unusable``) where krb5.conf is asked and cannot
    be read.
    """
    name = name or os.environ.get("KRB5_KTNAME") or _default_name()
    return name if re.match(r"[A-Za-z]+:", name) else f"FILE:{name}"


def _default_name() -> str:
    """What krb5.conf says where the package krb5 can ask for it, else what MIT is built
    with.
    """
    try:
        import krb5
    except ImportError:
        return "/etc/krb5.keytab"
    try:
        return krb5.kt_default_name(krb5.init_context()).decode(errors="replace")
    except krb5.Krb5Error as problem:
        raise AcceptorError(Reason.KRB5_CONF_UNUSABLE, str(problem)) from problem


def current_keytab(name: str | None = None) -> Keytab:
    """The same as `read_keytab`, which is asked only where the file has changed."""
    full_name = name_of_keytab(name)
    try:
        status = os.stat(path_of_keytab(full_name))
    except (OSError, ValueError):
        return read_keytab(full_name)
    return _read_version(full_name, status.st_mtime_ns, status.st_ino, status.st_size)


def keytab_in_use() -> Keytab:
    """The process's keytab as it is now; under gssproxy, an empty one where it cannot
    be read.

    Raises `AcceptorError`.
    """
    try:
        return current_keytab()
    except AcceptorError:
        if not uses_gssproxy():
            raise
        return KEYTAB_OF_GSSPROXY


@functools.lru_cache(maxsize=8)
def _read_version(full_name: str, *version: int) -> Keytab:
    return read_keytab(full_name)


def read_keytab(name: str | None = None) -> Keytab:
    """Read a keytab, named as in `name_of_keytab`.

    Raises `AcceptorError` (``keytab-unusable``) where it is missing, unreadable, empty
    or damaged, or as `name_of_keytab` does.
    """
    full_name = name_of_keytab(name)
    try:
        if not full_name.startswith(("FILE:", "WRFILE:")):
            raise KeytabError("only a keytab in a file can be read")
        with open(path_of_keytab(full_name), "rb") as file:
            keys = parse(file.read(MAX_KEYTAB + 1))
        if not keys:
            raise KeytabError("no keys in it")
    except OSError as problem:
        fault = f"{full_name}: {problem.strerror}"
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, fault) from None
    except (
        KeytabError,
        ValueError,
    ) as problem:  # a path with a NUL in it is a ValueError
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, f"{full_name}: {problem}") from None
    return Keytab(full_name, keys)
