"""Which mechanisms does a token name? Its frames: RFC 2743 section 3.1 and RFC 4178
section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from negotiate_wsgi.wire.der import (
    OCTET_STRING,
    OID,
    SEQUENCE,
    DerError,
    Reader,
    application,
    context,
)

# The content of each OID. RFC 4178 section 3, RFC 4121 section 1, [MS-SPNG] section 1.9
# for Microsoft's three, and draft-ietf-kitten-iakerb section 3.
SPNEGO = bytes.fromhex("2b0601050502")  # 1.3.6.1.5.5.2
KRB5 = bytes.fromhex("2a864886f712010202")  # 1.2.840.113554.1.2.2
MS_KRB5 = bytes.fromhex("2a864882f712010202")  # 1.2.840.48018.1.2.2
NTLM = bytes.fromhex("2b06010401823702020a")  # 1.3.6.1.4.1.311.2.2.10
NEGOEX = bytes.fromhex("2b06010401823702021e")  # 1.3.6.1.4.1.311.2.2.30
IAKERB = bytes.fromhex("2b0601050205")  # 1.3.6.1.5.2.5

_NAMES = {
    SPNEGO: "SPNEGO",
    KRB5: "Kerberos",
    MS_KRB5: "MS Kerberos",
    NTLM: "NTLM",
    NEGOEX: "NEGOEX",
    IAKERB: "IAKERB",
}

_OFFERS = 16  # Windows makes four
_OID_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Negotiation:
    """The outermost frame of an initial token.

    :param mechanism: the OID of the frame.
    :param offers: the OIDs that SPNEGO offers, the client's favourite first; of another
        mechanism, that one alone.
    :param inner: reads what the frame holds: SPNEGO's mechToken, or what stands behind
        the OID of another mechanism. None where SPNEGO has no mechToken.
    """

    mechanism: bytes
    offers: tuple[bytes, ...]
    inner: Reader | None = field(repr=False)


def read_negotiation(token: bytes) -> Negotiation:
    """Read an initial token as far as its first frame. Raises `DerError`."""
    whole = Reader(token)
    frame = whole.enter(application(0))
    whole.finish()
    mechanism = _oid(frame)
    if mechanism != SPNEGO:
        return Negotiation(mechanism, (mechanism,), frame)
    init = frame.enter(context(0))
    frame.finish()
    fields = init.enter(SEQUENCE)
    init.finish()
    offers = _offers(fields)
    if fields.next_is(context(1)):  # reqFlags
        fields.skip(context(1))
    if not fields.next_is(context(2)):
        return Negotiation(mechanism, offers, None)
    return Negotiation(mechanism, offers, fields.enter(context(2)).enter(OCTET_STRING))


def read_mech_token(negotiation: Negotiation) -> tuple[bytes, Reader]:
    """The mechanism whose token is inside, and what stands behind its OID. Raises
    `DerError`.
    """
    inner = negotiation.inner
    if inner is None:
        raise DerError("no token inside")
    if negotiation.mechanism != SPNEGO:
        return negotiation.mechanism, inner
    frame = inner.enter(application(0))
    inner.finish()
    return _oid(frame), frame


def _offers(fields: Reader) -> tuple[bytes, ...]:
    types = fields.enter(context(0))
    listed = types.enter(SEQUENCE)
    types.finish()
    offers = [_oid(listed)]
    while not listed.is_at_end:
        if len(offers) == _OFFERS:
            raise DerError("more mechanisms than expected")
        offers.append(_oid(listed))
    return tuple(offers)


def _oid(reader: Reader) -> bytes:
    oid = reader.content(OID)
    if not 1 <= len(oid) <= _OID_OCTETS:
        raise DerError("an OID without a value, or longer than expected")
    return oid


def mechanism_in_words(oid: bytes) -> str:
    """``Kerberos (1.2.840.113554.1.2.2)``; the numbers alone where we know no name for
    them.
    """
    numbers = ".".join(map(str, _numbers(oid)))
    name = _NAMES.get(oid)
    return f"{name} ({numbers})" if name else numbers


def _numbers(oid: bytes) -> list[int]:
    """X.690 section 8.19: base 128, with the first two numbers in one."""
    numbers = []
    number = 0
    for octet in oid:
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        return []
    first = min(numbers[0] // 40, 2)
    return [first, numbers[0] - 40 * first, *numbers[1:]]


# [MS-NLMP] section 2.2.1
_NTLM_MESSAGES = {
    1: "NEGOTIATE_MESSAGE",
    2: "CHALLENGE_MESSAGE",
    3: "AUTHENTICATE_MESSAGE",
}


def message_in_words(token: bytes) -> str | None:
    """``SPNEGO InitialContextToken``, or whatever message *token* is; None for a
    damaged one.
    """
    if token.startswith(b"NTLMSSP\0"):
        number = int.from_bytes(token[8:12], "little")
        return f"{_NTLM_MESSAGES.get(number, 'NTLM')} ({number})"
    try:
        if token.startswith(
            b"\xa1"
        ):  # RFC 4178 section 4.2: NegTokenResp, without a frame
            Reader(token).enter(context(1)).enter(SEQUENCE)
            return "SPNEGO NegTokenResp"
        mechanism = read_negotiation(token).mechanism
    except DerError:
        return None
    return f"{_NAMES.get(mechanism, 'unknown')} InitialContextToken"


def offers_in_words(token: bytes) -> tuple[str, ...]:
    """What SPNEGO offers in *token*, or the one mechanism of a token without it."""
    try:
        offers = read_negotiation(token).offers
    except DerError:
        return ()
    return tuple(map(mechanism_in_words, offers))
