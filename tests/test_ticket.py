"""A refused ticket's SPN, kvno and enctype, beside what the keytab has: in the log, and no more."""

import logging
import subprocess
import sys

import pytest
from initiator import KRB5
from sites import WsgiSite

from negotiate_wsgi import Accepted, NegotiateMiddleware, Reason
from negotiate_wsgi.acceptors.insight import Ticket, beside_the_keytab
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.keytab import Key, Keytab, read_keytab

AES = "aes256-cts-hmac-sha1-96"
KEYS = "aes256-cts-hmac-sha1-96, aes128-cts-hmac-sha1-96"


@pytest.mark.parametrize("mech", [None, KRB5], ids=["spnego", "bare krb5"])
def test_a_ticket_is_read_in_either_framing(realm, mech):
    token = realm.token(**{"mech": mech} if mech else {})
    assert Ticket.of(token) == Ticket("HTTP/localhost@EXAMPLE.TEST", AES, 1)


def test_a_token_cut_anywhere_is_no_ticket_or_that_one(realm):
    token = realm.token()
    whole = Ticket.of(token)
    without_kvno = Ticket(whole.spn, whole.enctype, None)
    for size in range(len(token)):
        assert Ticket.of(token[:size]) in (None, without_kvno, whole)
    assert Ticket.of(b"") is None


def test_a_keytab_in_words():
    keys = [
        Key(f"HTTP/{n}@R", kvno, enctype) for n in range(12) for kvno in (1, 2) for enctype in "ab"
    ]
    keytab = Keytab("FILE:/k", tuple(keys))
    assert keytab.in_words("HTTP/3@R") == ["HTTP/3@R kvno 1 a, b", "HTTP/3@R kvno 2 a, b"]
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
    spn, told = beside_the_keytab(realm.token(), "/no/such/keytab")
    assert spn == "HTTP/localhost@EXAMPLE.TEST"
    assert "keytab: FILE:/no/such/keytab: " in told
    assert beside_the_keytab(b"garbage") == (None, "")


def test_without_the_extra_the_librarys_own_text_has_to_do(realm):
    program = (
        "import sys, base64; sys.modules['spnego'] = None\n"
        "from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor\n"
        "print(PykerberosAcceptor().accept(base64.b64decode(sys.argv[1])).detail)"
    )
    token = realm.authorization("HTTP/no-key.test").split()[1]
    command = [sys.executable, "-c", program, token]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == (
        "Request ticket server HTTP/no-key.test@EXAMPLE.TEST not found in keytab (ticket kvno 1)\n"
    )
