"""What does a ticket say in clear text, and has the keytab its key? Decides nothing: for log and tools."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.keytab import MAX_KEYTAB, Keytab, KeytabError, parse
from negotiate_wsgi.wire.ticket import Ticket

_DETAIL = 1000  # characters: an SPN is the client's choice, and can be as long as a token
_TOKEN = 16 * 1024  # bytes, which are enough for a user in 1000 groups

# What is said only once the library has found a well-formed ticket. Not a replay, of which the log
# has told already, and which costs nothing to send by the thousand.
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


def with_insight(refused: Refused, token: bytes, keytab: str | None = None) -> Refused:
    """*refused*, and what its ticket says in clear text beside what *keytab* has, for the log."""
    if refused.reason not in _OF_A_TICKET or len(token) > _TOKEN:
        return refused
    spn, insight = beside_the_keytab(token, keytab)
    detail = "; ".join(filter(None, (refused.detail, insight)))
    spn = refused.spn or (spn and spn[:_DETAIL])
    return replace(refused, detail=detail[:_DETAIL], spn=spn)


def beside_the_keytab(token: bytes, keytab: str | None = None) -> tuple[str | None, str]:
    """The SPN of a token's ticket, and in words what the ticket wants and what the keytab has.

    :param keytab: as for `read_keytab`.
    """
    ticket = Ticket.of(token)
    if not ticket:
        return None, ""
    try:
        found = read_keytab(keytab)
    except AcceptorError as fault:
        return ticket.spn, f"ticket: {ticket}; keytab: {fault.detail}"
    keys = ", ".join(found.in_words(ticket.spn))
    return ticket.spn, f"ticket: {ticket}; {found.name} has: {keys}"


def name_of_keytab(name: str | None = None) -> str:
    """The full name of the keytab *name*, or that of ``KRB5_KTNAME``, or krb5's default.

    Raises `AcceptorError` (``krb5-conf-unusable``) where krb5.conf is asked and cannot be read.
    """
    name = name or os.environ.get("KRB5_KTNAME") or _default_name()
    return name if re.match(r"[A-Za-z]+:", name) else f"FILE:{name}"


def _default_name() -> str:
    """What krb5.conf says where the package krb5 can ask for it, else what MIT is built with."""
    try:
        import krb5
    except ImportError:
        return "/etc/krb5.keytab"
    try:
        return krb5.kt_default_name(krb5.init_context()).decode(errors="replace")
    except krb5.Krb5Error as problem:
        raise AcceptorError(Reason.KRB5_CONF_UNUSABLE, str(problem)) from problem


def read_keytab(name: str | None = None) -> Keytab:
    """Read a keytab, named as in `name_of_keytab`.

    Raises `AcceptorError` (``keytab-unusable``) where it is missing, unreadable, empty or damaged,
    or as `name_of_keytab` does.
    """
    full_name = name_of_keytab(name)
    kind, _, path = full_name.partition(":")
    try:
        if kind not in ("FILE", "WRFILE"):
            raise KeytabError("only a keytab in a file can be read")
        with open(path, "rb") as file:
            keys = parse(file.read(MAX_KEYTAB + 1))
        if not keys:
            raise KeytabError("no keys in it")
    except OSError as problem:
        fault = f"{full_name}: {problem.strerror}"
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, fault) from None
    except (KeytabError, ValueError) as problem:  # a path with a NUL in it is a ValueError
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, f"{full_name}: {problem}") from None
    return Keytab(full_name, keys)
