"""What did the client say? Without a KDC, in milliseconds."""

import base64

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
    Password,
    checked_password,
    is_basic,
    is_negotiate,
    read_basic,
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


def basic(user_id, password=None):
    """The header of a client that encodes as RFC 7617 section 2 has it."""
    content = user_id if password is None else f"{user_id}:{password}".encode()
    return "Basic " + base64.b64encode(content).decode()


def typed(found):
    user, password = found
    return user, password.reveal()


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
def test_basic_has_no_case(scheme):
    header = basic("alice", "secret").replace("Basic", scheme)
    assert is_basic(header)
    assert typed(read_basic(header)) == ("alice", "secret")
    assert is_basic(scheme)


@pytest.mark.parametrize(
    "header", [None, "", "Negotiate YTpi", "Basi YTpi", "Basic2 YTpi", "Bearer", "x"]
)
def test_no_header_or_none_of_basic(header):
    assert not is_basic(header)


RIGHT = {
    "of RFC 7617 section 2": ("Aladdin", "open sesame"),
    "of RFC 7617 section 2.1": ("test", "123\xa3"),
    "a colon in the password": ("alice", "a:b:"),
    "spaces, which nobody strips": (" alice ", " secret "),
    "not normalised": ("u\u0308ser", "pa\u0308ss"),
    "control characters in the password": ("alice", "a\tb\x7f\n"),
    "an emoji": ("\U0001f511", "\U0001f511"),
    "the longest of both": ("\U0001f511" * 256, "x" * 1024),
    "the longest in bytes": ("alice", "\u20ac" * 341 + "x"),
    "a computer": ("WEB2$", "x"),
}


@pytest.mark.parametrize(("user", "password"), RIGHT.values(), ids=RIGHT)
def test_user_name_and_password_come_as_they_were_typed(user, password):
    assert typed(read_basic(basic(user, password))) == (user, password)
    assert typed(checked_password(user, password)) == (user, password)


NO_NAME = "the user name has @, /, a backslash or a control character"
WRONG = {
    "no user name": ("", "x", "a user name of 1 to 256 characters is needed"),
    "257 characters": ("x" * 257, "x", "a user name of 1 to 256 characters is needed"),
    "a typed realm": ("alice@EXAMPLE.TEST", "x", NO_NAME),
    "an SPN": ("HTTP/localhost", "x", NO_NAME),
    "of Windows": ("CORP\\alice", "x", NO_NAME),
    "NUL in the user name": ("alice\0", "x", NO_NAME),
    "a line in the user name": ("alice\nbob", "x", NO_NAME),
    "a line at its end": ("alice\n", "x", NO_NAME),
    "DEL in the user name": ("alice\x7f", "x", NO_NAME),
    "C1 in the user name": ("alice\x85", "x", NO_NAME),
    "NUL in the password": ("alice", "a\0b", "the password has a NUL"),
    "1025 bytes": ("alice", "x" * 1025, "the password has more than 1024 bytes"),
    "1026 bytes": ("alice", "\u20ac" * 342, "the password has more than 1024 bytes"),
    "no password": ("alice", "", "the password is empty"),
}


@pytest.mark.parametrize(("user", "password", "detail"), WRONG.values(), ids=WRONG)
def test_the_kdc_is_not_asked(user, password, detail):
    expected = Refusal(Reason.PASSWORD_REFUSED, detail)
    assert read_basic(basic(user, password)) == expected
    assert checked_password(user, password) == expected


@pytest.mark.parametrize(
    ("user", "password"), [("alice\ud800", "x"), ("alice", "x\udcff")]
)
def test_text_that_is_no_utf_8(user, password):
    """As an application server may decode it; no exception is to hold the password."""
    refused = checked_password(user, password)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.PASSWORD_REFUSED


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("Basic", "without a colon after the user name"),
        (basic(b"alice"), "without a colon after the user name"),
        (basic(b"\xfcser:x"), "not UTF-8"),
        (basic(b"alice:\xfc"), "not UTF-8"),
        (basic(b"alice:\xed\xa0\x80"), "not UTF-8"),
        ("Basic YTpi\xe9", "not strictly base64 encoded"),
        ("Basic YT pi", "not strictly base64 encoded"),
        ("Basic YTpiYw===", "not strictly base64 encoded"),
        ("Basic YTpi,YTpi", "not strictly base64 encoded"),
        ("Basic YWxpY2U6eA", "not strictly base64 encoded"),
        (basic("alice", "x" * 3000), "longer than user name and password may be"),
        (f"Basic {' ' * 3000}YTpi", "longer than user name and password may be"),
    ],
)
def test_what_is_no_basic_credential(header, detail):
    assert is_basic(header)
    assert read_basic(header) == Refusal(Reason.PASSWORD_REFUSED, detail)


def test_spaces_around_basic_credentials():
    header = basic("alice", "x").replace(" ", "   ") + "  "
    assert typed(read_basic(header)) == ("alice", "x")


def test_no_refusal_has_the_password_and_no_repr_shows_it():
    for _, password, _ in WRONG.values():
        refused = checked_password("alice@R", f"tOp-SeCrEt{password}")
        assert "tOp-SeCrEt" not in repr(refused)
    password = Password("tOp-SeCrEt")
    assert (repr(password), str(password), f"{password}") == ("***",) * 3
    assert password != Password("tOp-SeCrEt")
    assert not hasattr(password, "__dict__")
