"""What did the client say? ``Authorization`` to a token or a password, and back.

The token is screened here, in Python, so that the C libraries behind the acceptors only
ever see tokens whose frames say "Kerberos first, and nothing but Kerberos inside". A
server with an NTLM plugin installed can otherwise be signed on to with NTLM, or be
crashed, and a token of IAKERB inside SPNEGO makes MIT's library report what looks like
a fault of ours.
"""

from __future__ import annotations

import re
import unicodedata
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

_LONGEST_USER = 256  # characters
_LONGEST_PASSWORD = 1024  # bytes
_LONGEST_BASIC = (
    len("Basic ") + (4 * _LONGEST_USER + 1 + _LONGEST_PASSWORD) * 4 // 3 + 100
)
_USER = re.compile(r"[^@/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

_NEGOTIATE = ("negotiate ", "negotiate")
_REFUSED_MECHANISMS = {NTLM: Reason.NTLM, NEGOEX: Reason.NEGOEX}


@dataclass(slots=True)
class Credential:
    """An ``Authorization`` header that no repr shows: whoever traces requests stores
    reprs.
    """

    header: str = field(repr=False)


#: In place of a password, which nobody keeps.
PASSWORD = Credential("")


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


class Password:
    """What somebody typed, and no repr or traceback shows. `reveal` gives it to the KDC.

    Not comparable: to compare texts takes as long as they are alike.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        return self._secret


def read_basic(authorization: str) -> tuple[str, Password] | Refusal:
    """User name and password in an ``Authorization`` header of the scheme Basic.

    RFC 7617 section 2: user-id, a colon, password, in base64; and section 2.1: UTF-8,
    which our challenge asks for. Returns a `Refusal` where no KDC has to be asked.
    """
    if len(authorization) > _LONGEST_BASIC:
        return _no_password("longer than user name and password may be")
    try:
        decoded = a2b_base64(authorization[6:].strip(" "), strict_mode=True)
    except ValueError:
        return _no_password("not strictly base64 encoded")
    user_id, colon, secret = decoded.partition(b":")
    if not colon:
        return _no_password("without a colon after the user name")
    try:
        return checked_password(user_id.decode(), secret.decode())
    except UnicodeDecodeError:
        return _no_password("not UTF-8")


def checked_password(user: str, secret: str) -> tuple[str, Password] | Refusal:
    """User name and password as typed, if a KDC can be asked about them; else a
    `Refusal`.

    The user name is one component of a principal, without a realm: ``@`` would let the
    client choose the KDC, ``/`` name a service, and a backslash is an escape of
    Kerberos.
    """
    if not 0 < len(user) <= _LONGEST_USER:
        return _no_password(f"a user name of 1 to {_LONGEST_USER} characters is needed")
    # A KDC may take a full-width @ for one.
    if not _USER.fullmatch(unicodedata.normalize("NFKC", user)):
        return _no_password(
            "the user name has @, /, a backslash or a control character"
        )
    if "\0" in secret:
        return _no_password("the password has a NUL")
    if len(secret.encode(errors="surrogatepass")) > _LONGEST_PASSWORD:
        return _no_password(f"the password has more than {_LONGEST_PASSWORD} bytes")
    if _SURROGATE.search(secret):  # an exception of the codec's would hold the password
        return _no_password("the password is not UTF-8")
    if not secret:
        return _no_password("the password is empty")
    return user, Password(secret)


def _no_password(detail: str) -> Refusal:
    return Refusal(Reason.PASSWORD_REFUSED, detail)


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
