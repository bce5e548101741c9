"""What did the client say? ``Authorization`` to token bytes, and back. Pure: no environ, no GSSAPI.

The token is screened here, in Python, so that the C libraries behind the acceptors only ever see
tokens whose framing says "Kerberos first". A server with an NTLM plugin installed can otherwise be
signed on to with NTLM, or be crashed.
"""

from __future__ import annotations

import functools
import re
from binascii import a2b_base64, b2a_base64

from negotiate_wsgi.reasons import Reason, Refusal

CHALLENGE = "Negotiate"

#: Largest token in bytes. Windows itself stops at 48 KB (MaxTokenSize) and advises against more.
MAX_TOKEN = 64 * 1024

# RFC 4178 section 3, RFC 4121 section 1, and [MS-SPNG] section 1.9 for Microsoft's three.
_SPNEGO = bytes.fromhex("2b0601050502")  # 1.3.6.1.5.5.2
_KRB5 = bytes.fromhex("2a864886f712010202")  # 1.2.840.113554.1.2.2
_MS_KRB5 = bytes.fromhex("2a864882f712010202")  # 1.2.840.48018.1.2.2
_NTLM = bytes.fromhex("2b06010401823702020a")  # 1.3.6.1.4.1.311.2.2.10
_NEGOEX = bytes.fromhex("2b06010401823702021e")  # 1.3.6.1.4.1.311.2.2.30
_REFUSED_MECHANISMS = {_NTLM: Reason.NTLM, _NEGOEX: Reason.NEGOEX}

_BEGINNING = 64  # bytes, which hold all that is screened: the frame, and SPNEGO's first offer

_CHALLENGE_IN_LIST = re.compile(r"(?:^|,)\s*negotiate\s*(?:$|,|\s)", re.IGNORECASE)
_CHALLENGE_ALONE = re.compile(r"\s*negotiate(?:\s+[A-Za-z0-9+/._~-]*=*)?\s*", re.IGNORECASE)


def read_token(authorization: str | None) -> bytes | Refusal | None:
    """The token in an ``Authorization`` header, screened.

    Returns None where there is no header or it is of another scheme, a `Refusal` where the
    credentials cannot be a Kerberos token, else the token's bytes.
    """
    # RFC 9110 section 11.4: credentials = auth-scheme [ 1*SP ( token68 / ... ) ],
    # and section 11.1: the scheme is matched without case.
    if not authorization or authorization[:10].lower() not in ("negotiate ", "negotiate"):
        return None
    token68 = authorization[10:].strip(" ")
    if len(token68) > MAX_TOKEN * 4 // 3 + 4:
        return Refusal(Reason.TOO_LARGE)
    try:
        token = a2b_base64(token68, strict_mode=True)
    except ValueError:
        return Refusal(Reason.MALFORMED, "not one strictly base64 encoded token")
    if len(token) > MAX_TOKEN:
        return Refusal(Reason.TOO_LARGE)
    return screen(token) or token


def is_basic(authorization: str | None) -> bool:
    """Whether an ``Authorization`` header is of the scheme Basic (RFC 7617)."""
    return authorization is not None and authorization[:6].lower() in ("basic", "basic ")


def token_size(authorization: str | None) -> int:
    """The size in bytes of the token in an ``Authorization`` header; 0 where there is none."""
    if not authorization or authorization[:10].lower() != "negotiate ":
        return 0
    token68 = authorization[10:].strip(" ")
    return len(token68.rstrip("=")) * 3 // 4


def write_token(token: bytes) -> str:
    """The value of a ``WWW-Authenticate`` header that carries *token* to the initiator."""
    return f"{CHALLENGE} {b2a_base64(token, newline=False).decode('ascii')}"


def offers_negotiate(headers: list[tuple[str, str]]) -> bool:
    """Whether a response's header list has a Negotiate challenge, alone or among others."""
    return any(
        name.lower() == "www-authenticate" and _CHALLENGE_IN_LIST.search(value)
        for name, value in headers
    )


def without_negotiate(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A new list of *headers* without lines that are a Negotiate challenge or token."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() != "www-authenticate" or not _CHALLENGE_ALONE.fullmatch(value)
    ]


def screen(token: bytes) -> Refusal | None:
    """None for SPNEGO whose first offer is Kerberos, and for bare krb5; else why not."""
    # An initiator's tokens begin alike, so that most have been judged before.
    return _judge_beginning(len(token), token[:_BEGINNING])


@functools.lru_cache(maxsize=1024)
def _judge_beginning(size: int, token: bytes) -> Refusal | None:
    """`screen` of a token of *size* bytes, by its first ones."""
    mechanism, is_offered = _first_mechanism(size, token)
    if mechanism == _KRB5 or (mechanism == _MS_KRB5 and is_offered):
        return None
    if token.startswith(b"NTLMSSP\0"):
        return Refusal(Reason.NTLM, "a bare NTLM token")
    if token.startswith(b"\xa1"):
        return Refusal(Reason.NEEDS_ANOTHER_LEG, "a NegTokenResp, which continues a negotiation")
    if mechanism in (None, _SPNEGO):
        return Refusal(Reason.MALFORMED, "not the DER of an initial token")
    reason = _REFUSED_MECHANISMS.get(mechanism, Reason.UNSUPPORTED_MECHANISM)
    return Refusal(reason, f"mechanism OID {mechanism.hex()}")


def _first_mechanism(size: int, token: bytes) -> tuple[bytes | None, bool]:
    """The mechanism that a token is for, None if it is no initial token; whether SPNEGO offers it.

    DER knows but one form of each length (X.690 section 10.1), so the size of a token decides on
    all lengths of what fills it to its end: [APPLICATION 0] { OID (RFC 2743 section 3.1), and
    SPNEGO's [0] { SEQUENCE { after that (RFC 4178 section 4.2.1).
    """
    frame = _header(0x60, size) + b"\x06"
    negotiation = frame + bytes([len(_SPNEGO)]) + _SPNEGO
    negotiation += _header(0xA0, size - len(negotiation))
    negotiation += _header(0x30, size - len(negotiation))
    if not token.startswith(negotiation):
        start = len(frame) + 1
        is_framed = token.startswith(frame) and start < len(token)
        return token[start : start + token[start - 1]] if is_framed else None, False
    # [0] { SEQUENCE { OID ..., in the short form: eleven Kerberos OIDs would fit.
    start = len(negotiation) + 6
    mech_types, offers, sequence, list_of, oid, length = token[start - 6 : start].ljust(6, b"\0")
    if (mech_types, sequence, oid) != (0xA0, 0x30, 0x06):
        return None, True
    if not length + 2 <= list_of == offers - 2 < 0x7E or start - 2 + list_of > size:
        return None, True
    return token[start : start + length], True


def _header(tag: int, size: int) -> bytes:
    """Tag and length of a DER element that takes *size* bytes, these included."""
    if 0 <= size - 2 < 0x80:
        return bytes([tag, size - 2])
    if 0x80 <= size - 3 < 0x100:
        return bytes([tag, 0x81, size - 3])
    if 0x100 <= size - 4 < 0x10000:
        return bytes([tag, 0x82]) + (size - 4).to_bytes(2, "big")
    return b"\xff"  # no element has this size, and none begins like this
