"""A refused ticket's SPN, kvno and enctype, beside what the keytab has: in the log, and no more."""

import logging
import re
import subprocess
import sys

import krb5
import pytest
from helpers import IAKERB, ap_req_token
from initiator import KRB5, SPNEGO
from sites import WsgiSite
from spnego.__main__ import parse_token

from negotiate_wsgi import Accepted, NegotiateMiddleware, Reason, Refused
from negotiate_wsgi.acceptors.insight import read_keytab, with_insight
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.keytab import Key, Keytab
from negotiate_wsgi.wire.ticket import Ticket

AES = "aes256-cts-hmac-sha1-96"
KEYS = "aes256-cts-hmac-sha1-96, aes128-cts-hmac-sha1-96"


@pytest.mark.parametrize("mech", [SPNEGO, KRB5], ids=["spnego", "bare krb5"])
def test_a_ticket_is_read_in_either_framing(realm, mech):
    assert Ticket.of(realm.token(mech=mech)) == Ticket(
        "HTTP/localhost@EXAMPLE.TEST", AES, 1
    )


def test_a_token_that_was_cut_is_no_ticket(realm):
    token = realm.token()
    assert Ticket.of(token)
    for size in range(len(token)):
        assert Ticket.of(token[:size]) is None


def test_a_ticket_is_what_another_parser_reads(realm):
    """pyspnego, which has no bounds and reads tokens that are none."""
    for spn in (
        "HTTP/localhost",
        "host/localhost",
        "HTTP/rotated.test",
        "HTTP/no-enctype.test",
    ):
        for mech in (SPNEGO, KRB5):
            token = realm.token(spn, mech=mech)
            assert Ticket.of(token) == ticket_by_pyspnego(token)


def ticket_by_pyspnego(token):
    def nodes(parsed):
        if isinstance(parsed, dict):
            yield parsed
            for value in parsed.values():
                yield from nodes(value)

    [ticket] = [
        node
        for node in nodes(parse_token(token))
        if "sname" in node and "enc-part" in node
    ]
    sealed = ticket["enc-part"]
    number = int(re.findall(r"-?\d+", str(sealed["etype"]))[-1])
    spn = f"{'/'.join(ticket['sname']['name-string'])}@{ticket['realm']}"
    return Ticket(spn, krb5.enctype_to_name(number), sealed["kvno"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "HTTP/www.test@R kvno 3 aes256-cts-hmac-sha1-96"),
        ({"kvno": None}, "HTTP/www.test@R kvno None aes256-cts-hmac-sha1-96"),
        ({"kvno": 2**32 - 1}, "HTTP/www.test@R kvno 4294967295 aes256-cts-hmac-sha1-96"),
        ({"enctype": 99}, "HTTP/www.test@R kvno 3 enctype 99"),
        ({"components": [b"a/b", b"c@d", b"e\\f"]}, r"a\/b/c\@d/e\\f@R kvno 3 aes256-cts-hmac-sha1-96"),
        ({"components": [b"x"] * 16}, "/".join("x" * 16) + "@R kvno 3 aes256-cts-hmac-sha1-96"),
    ],
    ids=["as ever", "no kvno", "kvno of 32 bits", "unknown enctype", "escapes", "16 components"],
)  # fmt: skip
def test_what_a_ticket_can_say(options, expected):
    assert str(Ticket.of(ap_req_token(**options))) == expected


@pytest.mark.parametrize(
    "token",
    [
        b"",
        ap_req_token(components=[]),
        ap_req_token(components=[b"x"] * 17),
        ap_req_token(components=[b"x"] * 20_000),
        ap_req_token(components=[b"x" * 1100]),
        ap_req_token(kvno=2**33)[:-1],
        ap_req_token(mech=IAKERB),
        ap_req_token() + b"\0",
        ap_req_token().replace(b"\1\0\x6e", b"\2\0\x6e"),
        ap_req_token().replace(b"\x1b\x04HTTP", b"\x0c\x04HTTP"),
    ],
    ids=["nothing", "no components", "17 components", "20 000 components", "a long name",
         "cut off", "IAKERB", "a byte too many", "not an AP-REQ", "a UTF8String"],
)  # fmt: skip
def test_what_is_no_ticket(token):
    assert Ticket.of(token) is None


def test_tokens_that_begin_alike_are_told_apart():
    """What was read once is remembered; never for a token that says something else."""
    names = [b"one.test", b"two.test", b"one.test"]
    tokens = [ap_req_token(components=[b"HTTP", name]) for name in names]
    assert len({(len(token), token[:64]) for token in tokens}) == 1
    read = [Ticket.of(token).spn for token in tokens]
    assert read == ["HTTP/one.test@R", "HTTP/two.test@R", "HTTP/one.test@R"]
    assert Ticket.of(tokens[0][:-1] + b"\1") == Ticket.of(tokens[0])


def test_a_keytab_in_words():
    keys = [
        Key(f"HTTP/{n}@R", kvno, enctype)
        for n in range(12)
        for kvno in (1, 2)
        for enctype in "ab"
    ]
    keytab = Keytab("FILE:/k", tuple(keys))
    assert keytab.in_words("HTTP/3@R") == [
        "HTTP/3@R kvno 1 a, b",
        "HTTP/3@R kvno 2 a, b",
    ]
    assert keytab.in_words("HTTP/x@R")[-2:] == ["HTTP/3@R kvno 2 a, b", "and 16 more"]


def test_keys_tell_no_more_than_whether_they_differ(realm):
    for key in read_keytab().keys:
        assert str(key.mark) not in repr(key)
        assert str(key.mark) not in str(key)
    assert len({key.mark for key in read_keytab().keys}) == len(read_keytab().keys)


@pytest.mark.parametrize(
    ("spn", "reason", "told"),
    [
        ("HTTP/no-key.test", Reason.SPN_NOT_IN_KEYTAB, f"HTTP/localhost@EXAMPLE.TEST kvno 1 {KEYS}"),
        ("HTTP/rotated.test", Reason.STALE_TICKET, f"HTTP/rotated.test@EXAMPLE.TEST kvno 2 {KEYS}"),
        ("HTTP/stale-keytab.test", Reason.STALE_KEYTAB, f"HTTP/stale-keytab.test@EXAMPLE.TEST kvno 1 {KEYS}"),
        ("HTTP/wrong-key.test", Reason.WRONG_KEY, f"HTTP/wrong-key.test@EXAMPLE.TEST kvno 1 {KEYS}"),
        ("HTTP/no-enctype.test", Reason.ENCTYPE_MISSING, "HTTP/no-enctype.test@EXAMPLE.TEST kvno 1 aes128-cts-hmac-sha1-96"),
        ("host/localhost", Reason.WRONG_SERVICE, f"host/localhost@EXAMPLE.TEST kvno 1 {KEYS}"),
    ],
)  # fmt: skip
def test_the_log_names_the_ticket_and_the_keys(realm, caplog, spn, reason, told):
    caplog.set_level(logging.INFO)
    site = WsgiSite(NegotiateMiddleware(lambda environ, start_response: []))
    site.request("/", realm.authorization(spn))
    [record] = caplog.records
    assert record.reason == reason
    assert record.spn == f"{spn}@EXAMPLE.TEST"
    kvno = 2 if reason is Reason.STALE_KEYTAB else 1
    assert f"ticket: {spn}@EXAMPLE.TEST kvno {kvno} {AES}; FILE:" in record.getMessage()
    assert f"has: {told}" in record.getMessage()


def test_expired_and_skewed_tickets_are_named_too(realm, expired, skewed):
    for token, reason in ((expired, Reason.EXPIRED), (skewed, Reason.CLOCK_SKEW)):
        refused = PykerberosAcceptor().accept(token)
        assert refused.reason is reason
        assert f"ticket: HTTP/localhost@EXAMPLE.TEST kvno 1 {AES}" in refused.detail


def test_a_replay_is_not_read_again(realm):
    token = realm.token()
    assert isinstance(PykerberosAcceptor().accept(token), Accepted)
    assert PykerberosAcceptor().accept(token).detail == "Request is a replay"


def test_an_spn_of_any_length_does_not_fill_the_log(realm):
    spn = f"HTTP/{'b' * 300}"
    realm.kadmin("addprinc", "-randkey", spn)
    refused = PykerberosAcceptor().accept(realm.token(spn))
    assert len(refused.detail) == 1000


def test_a_keytab_that_cannot_be_read_is_said_to_be_so(realm):
    token = realm.token()
    refused = Refused(Reason.WRONG_KEY, "as the library says")

    def told(token):
        return with_insight(
            refused, token, Ticket.of(token), lambda: read_keytab("/no/such")
        )

    assert told(token).spn == "HTTP/localhost@EXAMPLE.TEST"
    assert told(token).detail.startswith(
        "as the library says; ticket: HTTP/localhost@EXAMPLE.TEST "
    )
    assert told(token).detail.endswith(
        "; keytab: FILE:/no/such: No such file or directory"
    )
    assert told(b"garbage") is refused


def test_the_log_needs_no_extra(realm):
    program = (
        "import sys, base64; sys.modules['spnego'] = sys.modules['krb5'] = None\n"
        "from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor\n"
        "print(PykerberosAcceptor().accept(base64.b64decode(sys.argv[1])).detail)"
    )
    token = realm.authorization("HTTP/no-key.test").split()[1]
    command = [sys.executable, "-c", program, token]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(
        "Request ticket server HTTP/no-key.test@EXAMPLE.TEST not found in keytab (ticket kvno 1); "
        f"ticket: HTTP/no-key.test@EXAMPLE.TEST kvno 1 {AES}; FILE:{realm.keytab} has: "
    )
