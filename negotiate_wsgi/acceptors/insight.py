"""What does a ticket say in clear text, and has the keytab its key? Decides nothing: for log and tools."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.keytab import Keytab, name_of_enctype, read_keytab

try:
    from spnego.__main__ import parse_token
except ImportError as exc:
    raise ConfigurationError("pyspnego is missing: pip install 'negotiate-wsgi[doctor]'") from exc


@dataclass(frozen=True)
class Ticket:
    """What a krb5 token says of its ticket in clear text (RFC 4120 section 5.3).

    :param spn: with its realm. Anybody on the way can rewrite it.
    :param enctype: of the acceptor's key, as `Key` has it.
    :param kvno: of the acceptor's key, None where the KDC left it out.
    """

    spn: str
    enctype: str
    kvno: int | None

    @classmethod
    def of(cls, token: bytes) -> Ticket | None:
        """The ticket in an initial token; None where none can be read."""
        return next(filter(None, map(cls._of_node, nodes(parse(token)))), None)

    @classmethod
    def _of_node(cls, node: dict[str, Any]) -> Ticket | None:
        # Of a token that was cut off, pyspnego leaves parts out.
        if not node.get("sname") or not node.get("enc-part"):
            return None
        sealed = node["enc-part"]
        names = "/".join(node["sname"]["name-string"])
        number = int(re.findall(r"-?\d+", str(sealed["etype"]))[-1])
        return cls(f"{names}@{node['realm']}", name_of_enctype(number), sealed["kvno"])

    def __str__(self) -> str:
        return f"{self.spn} kvno {self.kvno} {self.enctype}"

    def objection(self, keytab: Keytab, service: str) -> Refusal | None:
        """Why an acceptor of *service* with *keytab* refuses this ticket, as far as can be read."""
        if not self.spn.startswith(f"{service}/"):
            return Refusal(Reason.WRONG_SERVICE, f"not a ticket for {service}/…")
        keys = keytab.of(self.spn)
        if not keys:
            alike = ", ".join(keytab.alike(self.spn))
            return Refusal(Reason.SPN_NOT_IN_KEYTAB, f"but there is {alike}" if alike else "")
        # Some KDCs leave it out, and then any of the keys may do.
        current = [key for key in keys if self.kvno in (key.kvno, None)]
        if not current:
            newest = max(key.kvno for key in keys)
            is_older = self.kvno is not None and self.kvno < newest
            reason = Reason.STALE_TICKET if is_older else Reason.STALE_KEYTAB
            return Refusal(
                reason, f"the ticket has kvno {self.kvno}, the keytab's newest is {newest}"
            )
        if self.enctype not in {key.enctype for key in current}:
            return Refusal(Reason.ENCTYPE_MISSING, f"no key of {self.enctype} with this kvno")
        return None


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


def parse(token: bytes) -> dict[str, Any]:
    """*token* as pyspnego reads it."""
    try:
        return parse_token(token)
    except Exception as problem:  # of damaged tokens it raises whatever it stumbles over
        return {"MessageType": "Unknown", "Data": str(type(problem))}


def nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    """Each structure within what pyspnego has parsed, outermost first."""
    if isinstance(parsed, dict):
        yield parsed
        for value in parsed.values():
            yield from nodes(value)
