"""What is this token, and why would it be refused? Only its clear text is read."""

from __future__ import annotations

import base64
import re
import sys
from dataclasses import dataclass, replace

from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.authorization import read_token
from negotiate_wsgi.wire.keytab import Keytab
from negotiate_wsgi.wire.negotiation import message_in_words, offers_in_words
from negotiate_wsgi.wire.printable import printable
from negotiate_wsgi.wire.ticket import Ticket

_SCHEME = re.compile(
    r"(?:authorization\s*:\s*)?(?:(negotiate|ntlm|basic|bearer|digest)\b)?(.*)",
    re.I | re.S,
)
_WITHOUT_A_TICKET = (
    "Browsers fall back to NTLM when they get no ticket: see what the client says to "
    "'klist get HTTP/<host in the URL>' (Windows) or 'kvno HTTP/<host in the URL>', "
    "use a host name and not an IP address in the URL, and trust the site for sign-on "
    "in the browser."
)


@dataclass(frozen=True)
class Explanation:
    """What was found out about a token.

    :param kind: the message's name, ``SPNEGO InitialContextToken``.
    :param size: bytes.
    :param mechanisms: what SPNEGO offers, best first; else its one mechanism.
    :param ticket: of a krb5 token, None where there is none or it cannot be parsed.
    :param keytab: what the ticket was compared with.
    :param refusal: None if nothing that stands in clear text is against it.
    """

    kind: str
    size: int = 0
    mechanisms: tuple[str, ...] = ()
    ticket: Ticket | None = None
    keytab: Keytab | None = None
    refusal: Refusal | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Pairs of a label, which may be empty, and a text. No secret is in them."""
        facts = [
            ("token", f"{self.kind}, {self.size} bytes" if self.size else self.kind)
        ]
        if self.mechanisms:
            facts.append(("offers", ", ".join(self.mechanisms)))
        if self.ticket:
            facts.append(("ticket", str(self.ticket)))
        if self.ticket and self.keytab:
            facts.append(("keytab", self.keytab.name))
            facts.extend(
                ("has", line) for line in self.keytab.in_words(self.ticket.spn)
            )
        return [(label, printable(text)) for label, text in facts]

    @property
    def conclusion(self) -> list[tuple[str, str]]:
        """In the same way, why it would be refused, and what to do."""
        if not self.refusal:
            return [
                ("result", "nothing that can be read is against it: the keytab has its key"),
                *self._spelling,
                ("", "If the server refuses it, the server's log says why: a clock, a replay, or "
                 "another account's key of the same number."),
            ]  # fmt: skip
        reason = self.refusal.reason
        told = [("refused", f"{reason}: {reason.cause}")]
        if self.refusal.detail:
            told.append(("", printable(self.refusal.detail)))
        told.append(("remedy", reason.remedy))
        if reason is Reason.NTLM:
            told.append(("", _WITHOUT_A_TICKET))
        return told

    @property
    def _spelling(self) -> list[tuple[str, str]]:
        if not self.ticket or not self.keytab or self.keytab.of(self.ticket.spn):
            return []
        return [
            ("", "The keytab has another spelling of the SPN. In Active Directory both "
             "are names of one account; with another KDC they need not be."),
        ]  # fmt: skip


def explain(text: str, keytab: str | None = None, service: str = "HTTP") -> Explanation:
    """Read a token in base64, or an ``Authorization`` header, and compare it with a
    keytab.

    :param keytab: as for `read_keytab`; it is read only where there is a ticket.
    :param service: of the acceptor.
    """
    [(scheme, rest)] = _SCHEME.findall(text.strip())[:1]
    if scheme.lower() not in ("", "negotiate", "ntlm"):
        nothing = Refusal(Reason.NO_CREDENTIALS)
        return Explanation(f"credentials of the scheme {scheme}", refusal=nothing)
    token68 = re.sub(r"\s", "", rest)  # a terminal wraps long lines
    found = _read(token68)
    screened = read_token(f"Negotiate {token68}")
    if isinstance(screened, Refusal):
        return replace(found, refusal=screened)
    if not found.ticket:
        return replace(
            found, refusal=Refusal(Reason.MALFORMED, "no ticket can be read in it")
        )
    try:
        keys = read_keytab(keytab)
    except AcceptorError as fault:
        return replace(found, refusal=Refusal(fault.reason, fault.detail))
    return replace(found, keytab=keys, refusal=found.ticket.objection(keys, service))


def _read(token68: str) -> Explanation:
    try:
        token = base64.b64decode(token68, validate=True)
    except ValueError:
        token = b""
    kind = message_in_words(token) or "a damaged token, or none"
    return Explanation(kind, len(token), offers_in_words(token), Ticket.of(token))


def run_explain(text: str, keytab: str | None, service: str) -> int:
    """Print what can be said of *text*.

    Returns 0, or 1 where it would be refused, 2 where the fault is ours.
    """
    found = explain(text, keytab, service)
    for label, words in (*found.facts, *found.conclusion):
        sys.stdout.write(f"{label:8} {words}\n")
    if not found.refusal:
        return 0
    return 2 if found.refusal.reason.status == 500 else 1
