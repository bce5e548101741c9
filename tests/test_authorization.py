"""What did the client say? Without a KDC, in milliseconds."""

import pytest
from helpers import (
    GOOD,
    IAKERB,
    KRB5,
    MS_KRB5,
    NEGOEX,
    NTLM,
    SPNEGO,
    der,
    negotiate,
    spnego,
)

from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.authorization import (
    MAX_TOKEN,
    is_negotiate,
    read_token,
    screen,
    write_token,
)


def inside(mech_token):
    """A NegTokenInit that offers krb5, and holds anything."""
    offers = der(0xA0, der(0x30, KRB5))
    init = der(0x30, offers, der(0xA2, der(0x04, mech_token)))
    return der(0x60, SPNEGO, der(0xA0, init))


def framed(mechanism):
    return inside(der(0x60, mechanism, b"ticket"))


ACCEPTABLE = {
    "bare krb5": der(0x60, KRB5, b"\x01\x00", b"ticket"),
    "krb5 alone": GOOD,
    "as Windows offers": spnego(MS_KRB5, KRB5, NEGOEX, NTLM),
    "krb5 before NTLM": spnego(KRB5, NTLM),
    "a large ticket": spnego(KRB5, ticket=bytes(60_000)),
    "MS-KRB5 inside, too": framed(MS_KRB5),
    "16 offers": spnego(*[KRB5] * 16),
    "with reqFlags": der(
        0x60,
        SPNEGO,
        der(
            0xA0,
            der(
                0x30,
                der(0xA0, der(0x30, KRB5)),
                der(0xA1, der(0x03, b"\1\6")),
                der(0xA2, der(0x04, der(0x60, KRB5))),
            ),
        ),
    ),
}

REFUSED = {
    "empty": (b"", Reason.MALFORMED),
    "garbage": (b"garbage", Reason.MALFORMED),
    "one byte": (b"\x60", Reason.MALFORMED),
    "NTLM, bare": (b"NTLMSSP\0\1\0\0\0", Reason.NTLM),
    "NTLM, framed": (der(0x60, NTLM, b"x"), Reason.NTLM),
    "NTLM, alone in SPNEGO": (spnego(NTLM), Reason.NTLM),
    "NTLM before krb5": (spnego(NTLM, KRB5), Reason.NTLM),
    "NEGOEX before krb5": (spnego(NEGOEX, KRB5), Reason.NEGOEX),
    "MS-KRB5 without SPNEGO": (der(0x60, MS_KRB5, b"x"), Reason.UNSUPPORTED_MECHANISM),
    "another mechanism, framed": (
        der(0x60, IAKERB, b"x"),
        Reason.UNSUPPORTED_MECHANISM,
    ),
    "another mechanism before krb5": (
        spnego(IAKERB, KRB5),
        Reason.UNSUPPORTED_MECHANISM,
    ),
    "IAKERB inside SPNEGO": (framed(IAKERB), Reason.UNSUPPORTED_MECHANISM),
    "SPNEGO inside SPNEGO": (framed(SPNEGO), Reason.UNSUPPORTED_MECHANISM),
    "NTLM inside the offer of krb5": (framed(NTLM), Reason.UNSUPPORTED_MECHANISM),
    "IAKERB inside, its length not in DER": (
        inside(b"\x60\x81\x09" + IAKERB + b"\0"),
        Reason.MALFORMED,
    ),
    "an AP-REQ inside without its frame": (inside(der(0x6E, b"x")), Reason.MALFORMED),
    "nothing inside": (inside(b""), Reason.MALFORMED),
    "a byte after what is inside": (inside(der(0x60, KRB5) + b"\0"), Reason.MALFORMED),
    "17 offers": (spnego(*[KRB5] * 17), Reason.MALFORMED),
    "a later leg": (der(0xA1, der(0x30)), Reason.NEEDS_ANOTHER_LEG),
    "no mechanisms": (spnego(), Reason.MALFORMED),
    "an AP-REQ without its frame": (der(0x6E, b"x"), Reason.MALFORMED),
    "a byte after the token": (GOOD + b"\0", Reason.MALFORMED),
    "a byte after the NegTokenInit": (
        der(0x60, SPNEGO, der(0xA0, der(0x30, der(0xA0, der(0x30, KRB5)))), b"\0"),
        Reason.MALFORMED,
    ),
    "indefinite length": (b"\x60\x80" + KRB5 + b"\0\0", Reason.MALFORMED),
    "length in more octets than needed": (b"\x60\x81\x0b" + KRB5, Reason.MALFORMED),
    "length with a leading zero": (b"\x60\x82\x00\x0b" + KRB5, Reason.MALFORMED),
    "length of a gigabyte": (b"\x60\x84\x40\x00\x00\x00" + KRB5, Reason.MALFORMED),
    "mechTypes longer than the token": (
        GOOD.replace(b"\xa0\x0d\x30\x0b", b"\xa0\x7f\x30\x7d"),
        Reason.MALFORMED,
    ),
    "mechTypes of two lengths": (
        GOOD.replace(b"\xa0\x0d\x30\x0b", b"\xa0\x0d\x30\x0c"),
        Reason.MALFORMED,
    ),
    "OID longer than mechTypes": (
        GOOD.replace(b"\x06\x09\x2a", b"\x06\x0a\x2a"),
        Reason.MALFORMED,
    ),
    "130 bytes, which DER cannot have": (
        b"\x60\x81\x7f" + KRB5 + bytes(116),
        Reason.MALFORMED,
    ),
    "length's own octets cut off": (b"\x60\x82\x01", Reason.MALFORMED),
}


@pytest.mark.parametrize("token", ACCEPTABLE.values(), ids=ACCEPTABLE)
def test_kerberos_first_passes(token):
    assert screen(token) is None
    assert read_token(negotiate(token)) == token


@pytest.mark.parametrize(("token", "reason"), REFUSED.values(), ids=REFUSED)
def test_everything_else_has_its_reason(token, reason):
    refusal = screen(token)
    assert refusal is not None
    assert refusal.reason is reason
    assert read_token(negotiate(token)) == refusal


def test_a_mechanism_is_named_in_words():
    told = {
        "NTLM, framed": "NTLM (1.3.6.1.4.1.311.2.2.10)",
        "IAKERB inside SPNEGO": "IAKERB (1.3.6.1.5.2.5) inside SPNEGO's offer of Kerberos",
    }
    for case, words in told.items():
        assert words in screen(REFUSED[case][0]).detail
    unknown = der(
        0x60, bytes.fromhex("06042a038d20")
    )  # base 128: 0x8d20 is 13 * 128 + 32
    assert screen(unknown).detail == "the mechanism is 1.2.3.1696"


def test_every_cut_is_refused():
    for length in range(len(GOOD)):
        assert screen(GOOD[:length]), f"cut after {length} bytes"


def test_every_changed_bit_of_the_framing_is_refused_unless_krb5_still_comes_first():
    first_offer = GOOD.index(KRB5) + len(KRB5)
    for at in range(first_offer):
        for bit in range(8):
            changed = bytearray(GOOD)
            changed[at] ^= 1 << bit
            assert screen(bytes(changed)) or bytes(changed[:first_offer]).endswith(
                MS_KRB5
            )


@pytest.mark.parametrize(
    "header", [None, "", "Basic YTpi", "Negotiat YQ==", "Negotiate2 YQ==", "x"]
)
def test_no_header_or_another_scheme(header):
    assert not is_negotiate(header)


@pytest.mark.parametrize("scheme", ["Negotiate", "negotiate", "NEGOTIATE", "nEgOtIaTe"])
def test_scheme_has_no_case(scheme):
    header = negotiate(GOOD).replace("Negotiate", scheme)
    assert is_negotiate(header)
    assert read_token(header) == GOOD


def test_spaces_around_the_token():
    assert read_token(f"{negotiate(GOOD).replace(' ', '   ')} ") == GOOD


@pytest.mark.parametrize(
    "text",
    ["", "YQ", "YQ=", "YQ===", "=YQ=", "YQ==YQ==", "Y Q==", "YQ==,", "YQ-_", "!!!!", "caf\xe9", "\0", "a\nb"],
)  # fmt: skip
def test_base64_is_strict(text):
    refusal = read_token(f"Negotiate {text}")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.MALFORMED


def test_size_limit():
    overhead = len(spnego(KRB5, ticket=bytes(MAX_TOKEN // 2))) - MAX_TOKEN // 2
    largest = spnego(KRB5, ticket=bytes(MAX_TOKEN - overhead))
    assert len(largest) == MAX_TOKEN
    assert read_token(negotiate(largest)) == largest
    for token in (largest + b"\0", largest + bytes(10**6)):
        refusal = read_token(negotiate(token))
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.TOO_LARGE


def test_write_token_is_what_read_token_reads():
    assert write_token(b"abc") == "Negotiate YWJj"
    assert read_token(write_token(GOOD)) == GOOD
