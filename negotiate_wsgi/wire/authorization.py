"""What did the client say? ``Authorization`` to token bytes, and back.

The token is screened here, in Python, so that the C libraries behind the acceptors only
ever see tokens whose frames say "Kerberos first, and nothing but Kerberos inside". A
server with an NTLM plugin installed can otherwise be signed on to with NTLM, or be
crashed, and a token of IAKERB inside SPNEGO makes MIT's library report what looks like
a fault of ours.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass, field

from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.der import DerError, by_beginning
from negotiate_wsgi.wire.negotiation import (
    KRB5,
    MS_KRB5,
    NEGOEX,
    NTLM,
    SPNEGO,
    Negotiation,
    mechanism_in_words,
    read_mech_token,
    read_negotiation,
)

CHALLENGE = "Negotiate"

#: Largest token in bytes. Windows itself stops at 48 KB (MaxTokenSize).
MAX_TOKEN = 64 * 1024
_LONGEST = len("Negotiate ") + MAX_TOKEN * 4 // 3 + 4  # characters of the header

_NEGOTIATE = ("negotiate ", "negotiate")
_REFUSED_MECHANISMS = {NTLM: Reason.NTLM, NEGOEX: Reason.NEGOEX}


@dataclass(slots=True)
class Credential:
    """An ``Authorization`` header that no repr shows: whoever traces requests stores
    reprs.
    """

    header: str = field(repr=False)


def is_negotiate(authorization: str | None) -> bool:
    """Whether an ``Authorization`` header is of the scheme Negotiate, in whatever case.

    RFC 9110 section 11.4: credentials = auth-scheme [ 1*SP ( token68 / ... ) ], and
    section 11.1: the scheme is matched without case.
    """
    return authorization is not None and authorization[:10].lower() in _NEGOTIATE


def read_token(authorization: str) -> bytes | Refusal:
    """The token in an ``Authorization`` header of the scheme Negotiate, screened.

    Returns the token's bytes, or a `Refusal` where it cannot be a Kerberos token.
    """
    if len(authorization) > _LONGEST:  # spaces count: to strip a MiB of them takes time
        return Refusal(Reason.TOO_LARGE)
    token68 = authorization[10:].strip(" ")
    try:
        token = a2b_base64(token68, strict_mode=True)
    except ValueError:
        return Refusal(Reason.MALFORMED, "not one strictly base64 encoded token")
    if len(token) > MAX_TOKEN:
        return Refusal(Reason.TOO_LARGE)
    return screen(token) or token


def is_basic(authorization: str | None) -> bool:
    """Whether an ``Authorization`` header is of the scheme Basic (RFC 7617)."""
    return authorization is not None and authorization[:6].lower() in (
        "basic",
        "basic ",
    )


def token_size(authorization: str | None) -> int:
    """The size in bytes of the token in an ``Authorization`` header; 0 where there is
    none.
    """
    if not authorization or authorization[:10].lower() != "negotiate ":
        return 0
    if len(authorization) > _LONGEST:
        return (len(authorization) - 10) * 3 // 4
    token68 = authorization[10:].strip(" ")
    return len(token68.rstrip("=")) * 3 // 4


def write_token(token: bytes) -> str:
    """The value of a ``WWW-Authenticate`` header that carries *token*."""
    return f"{CHALLENGE} {b2a_base64(token, newline=False).decode()}"


@by_beginning
def screen(token: bytes) -> tuple[Refusal | None, int]:
    """None for bare krb5 and for SPNEGO that offers it first; else why not."""
    if token.startswith(b"NTLMSSP\0"):
        return Refusal(Reason.NTLM, "a bare NTLM token"), 0
    if token.startswith(b"\xa1"):
        detail = "a NegTokenResp, which continues a negotiation"
        return Refusal(Reason.NEEDS_ANOTHER_LEG, detail), 0
    try:
        negotiation = read_negotiation(token)
        refusal = _objection(negotiation)
        if refusal or not negotiation.inner:
            return refusal, 0
        inside, reader = read_mech_token(negotiation)
    except DerError as problem:
        return Refusal(
            Reason.MALFORMED, f"not the DER of an initial token: {problem}"
        ), 0
    if inside not in (KRB5, MS_KRB5):
        detail = f"{mechanism_in_words(inside)} inside SPNEGO's offer of Kerberos"
        return Refusal(Reason.UNSUPPORTED_MECHANISM, detail), 0
    return None, reader.at


def _objection(negotiation: Negotiation) -> Refusal | None:
    """Why the mechanism that a token is for is not Kerberos."""
    first = negotiation.offers[0]
    is_offered = negotiation.mechanism == SPNEGO
    if first == KRB5 or (first == MS_KRB5 and is_offered):
        return None
    reason = _REFUSED_MECHANISMS.get(first, Reason.UNSUPPORTED_MECHANISM)
    return Refusal(reason, f"the mechanism is {mechanism_in_words(first)}")
