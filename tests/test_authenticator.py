"""By what a token is known again: one reading, or none, whatever spelling a library takes."""

import os
import random
import sys

import heimdal
import pytest
from authenticators import (
    Replays,
    attack,
    tokens_of_heimdal,
    tokens_of_java,
    tokens_of_mit,
)
from helpers import (
    IAKERB,
    MS_KRB5,
    ap_req_token,
    der,
    negotiate,
    wait_until,
)
from helpers import KRB5 as KRB5_OID
from helpers import SPNEGO as SPNEGO_OID
from initiator import KRB5, SPNEGO
from sites import WsgiSite
from spellings import KRB5_CHANGES, bare, in_spnego
from table_app import application as table_app
from valkeys import Server

from negotiate_wsgi import Accepted, GssapiAcceptor, NegotiateMiddleware, ValkeyStore
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.testing import MemoryStore
from negotiate_wsgi.wire.authenticator import _last_of, authenticator_in
from negotiate_wsgi.wire.der import DerError, Reader
from negotiate_wsgi.wire.ticket import ap_req_in

#: How many genuine tokens are changed at random.
TOKENS = int(os.environ.get("FUZZ_TOKENS", "2500"))

MECH_TOKEN = [0x60, 0xA0, 0x30, 0xA2, 0x04]


def test_a_frame_that_is_known_is_compared_in_full():
    """With each byte in clear changed that a token may have changed, after the good one."""
    token = in_spnego(ap_req_token())
    cipher = authenticator_in(token)
    assert cipher == bytes(99)
    at = token.rindex(cipher)
    other = token[:at] + b"x" * 99 + token[at + 99 :]
    assert authenticator_in(other) == b"x" * 99
    anew = random.Random(1)
    for place in [*range(at), *range(at + 99, len(token))]:
        changed = bytearray(other)
        changed[place] ^= anew.randrange(1, 256)
        found = authenticator_in(bytes(changed))
        _last_of.cache_clear()
        assert found == authenticator_in(bytes(changed))
        assert authenticator_in(other) == b"x" * 99


def test_a_frame_that_is_known_is_not_read_again():
    token = in_spnego(ap_req_token())
    _last_of.cache_clear()
    first, second = calls_of(authenticator_in, token), calls_of(authenticator_in, token)
    assert first > 100
    assert second < 10


def calls_of(function, *arguments):
    calls = []
    sys.setprofile(lambda frame, event, _: event == "call" and calls.append(frame))
    function(*arguments)
    sys.setprofile(None)
    return len(calls)


def test_the_octets_of_the_cipher():
    token = ap_req_token()
    assert authenticator_in(token) == bytes(99)
    assert authenticator_in(ap_req_token(mech=MS_KRB5)) == bytes(99)
    assert authenticator_in(in_spnego(token)) == bytes(99)


@pytest.mark.parametrize(("change", "is_same"), KRB5_CHANGES.values(), ids=KRB5_CHANGES)
def test_spellings(change, is_same):
    genuine = ap_req_token(kvno=None)
    token = change(genuine)
    assert token != genuine
    expected = bytes(99) if is_same else b""
    assert authenticator_in(token) == expected
    assert authenticator_in(in_spnego(token)) == expected


@pytest.mark.parametrize(
    ("options", "is_same"),
    [
        ({"offers": (MS_KRB5, KRB5_OID, KRB5_OID)}, True),
        ({"before": b"\xa1\x04\x03\x02\x01\x00"}, True),
        ({"behind": der(0xA3, der(4, b"mic"))}, True),
        ({"behind": der(0xA2, der(0x04, ap_req_token()))}, False),
        ({"before": der(0xA0, der(0x30, KRB5_OID))}, False),
        ({"behind": b"\xa4\2\5\0"}, False),
        ({"behind": b"\0"}, False),
        ({"within": der(0xA2, der(0x04, ap_req_token(size=98)))}, False),
        ({"before": b"\xa1\x06\x03\x02\x01\x00\5\0"}, False),
        ({"behind": der(0xA3, der(4, b"mic"), b"\5\0")}, False),
    ],
    ids=[
        "more offers",
        "flags",
        "a MIC",
        "two tokens",
        "two lists",
        "more",
        "a byte",
        "a token beside the mechTypes",
        "beside the flags",
        "beside the MIC",
    ],
)
def test_frames_of_spnego(options, is_same):
    token = in_spnego(ap_req_token(), **options)
    assert authenticator_in(token) == (bytes(99) if is_same else b"")


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"garbage",
        ap_req_token(mech=IAKERB),
        ap_req_token(mech=SPNEGO_OID),
        ap_req_token()[17:],
        der(0x60, SPNEGO_OID),
        in_spnego(b""),
        in_spnego(ap_req_token()[17:]),
        in_spnego(in_spnego(ap_req_token())),
    ],
)
def test_what_is_none(token):
    assert authenticator_in(token) == b""


# With a real library


@pytest.fixture(params=[PykerberosAcceptor, GssapiAcceptor])
def acceptor(realm, request, monkeypatch):
    """One whose host has no replay cache."""
    monkeypatch.setenv("KRB5RCACHENAME", "none:")
    monkeypatch.setenv("KRB5_KTNAME", str(realm.keytab))
    return request.param()


def test_a_host_without_a_replay_cache(realm, acceptor):
    """Or the tests below would show nothing."""
    token = realm.token()
    assert isinstance(acceptor.accept(token), Accepted)
    assert isinstance(acceptor.accept(token), Accepted)


@pytest.mark.parametrize("mech", [SPNEGO, KRB5])
def test_each_token_has_its_own(realm, acceptor, mech):
    tokens = [realm.token(mech=mech) for _ in range(3)]
    found = {acceptor.accept(token).fingerprint() for token in tokens}
    assert len(found) == 3
    assert all(len(one) > 100 for one in found)


def test_no_spelling_of_a_token_is_a_second_one(realm, acceptor):
    """What the library takes of those above is known again, or is malformed."""
    site = WsgiSite(
        NegotiateMiddleware(table_app, acceptor=acceptor, store=MemoryStore())
    )
    token = realm.token()
    krb5 = bare(token)
    assert site.request("/", negotiate(token)).status == 200
    taken = []
    for name, (change, _) in KRB5_CHANGES.items():
        try:
            changed = change(krb5)
        except (AssertionError, ValueError):
            continue
        for spelling in (
            changed,
            in_spnego(changed),
            in_spnego(changed, offers=(KRB5_OID, KRB5_OID)),
            in_spnego(realm.token(mech=KRB5), within=der(0xA2, der(0x04, changed))),
        ):
            answer = site.request("/", negotiate(spelling))
            assert answer.status == 401, name
            result = acceptor.accept(spelling)
            if isinstance(result, Accepted):
                assert result.fingerprint() in (b"", authenticator_in(token)), name
                taken.append(name)
    assert {"ap-options", "kvno"} <= set(taken)
    assert "an element behind" in taken  # which is malformed here
    assert site.request("/", negotiate(krb5)).status == 401
    assert site.request("/", negotiate(in_spnego(krb5))).status == 401
    assert site.request("/", negotiate(realm.token())).status == 200


# Genuine tokens of three libraries, changed at random


@pytest.fixture(scope="module")
def of_java(realm, tmp_path_factory):
    return tokens_of_java(tmp_path_factory.mktemp("java"))


@pytest.fixture(scope="module")
def of_heimdal(realm):
    if not heimdal.is_there():
        pytest.skip("Heimdal's library is not installed")
    return tokens_of_heimdal()


@pytest.mark.parametrize("library", ["java", "heimdal"])
def test_tokens_of_other_libraries(library, request, acceptor):
    tokens = request.getfixturevalue(f"of_{library}")
    fingerprints = {acceptor.accept(token).fingerprint() for token in tokens}
    assert len(fingerprints) == 4
    assert all(len(one) > 100 for one in fingerprints)


@pytest.fixture
def attack_on(realm, of_java, of_heimdal, acceptor, monkeypatch, tmp_path):
    """A function that changes as many tokens as it is told."""
    replays = Replays(tmp_path)
    monkeypatch.setenv("KRB5RCACHENAME", replays.name)
    spn = f"HTTP/localhost@{realm.name}"
    genuine = tokens_of_mit(realm.ccache("alice"), spn) + of_java + of_heimdal
    assert len(genuine) == 12

    def attack_on(count, **options):
        left = iter(range(count))
        return attack(
            [acceptor], genuine, replays, random.randrange(2**32),
            lambda: next(left, None) is None, **options,
        )  # fmt: skip

    return attack_on


def test_the_library_never_sees_another_authenticator(attack_on):
    counts = attack_on(TOKENS)
    assert counts["tried"] == TOKENS
    assert counts["taken"] > counts["malformed"] > TOKENS / 100


def first_in(reader, tag):
    """The first element that looks like one of this tag."""
    while not reader.is_at_end and not reader.next_is(tag):
        reader.at += 1
    return reader.enter(tag)


def first_of_many(token, accepted):
    """A careless reading, which shows a decoy that stands before the authenticator."""
    try:
        sealed = first_in(Reader(ap_req_in(token)).enter(0x6E).enter(0x30), 0xA4)
        return first_in(sealed.enter(0x30), 0xA2).content(0x04)
    except DerError:
        return b""


def last_octets(token, accepted):
    """Another: it ends the token."""
    return token[-len(accepted.fingerprint() or bytes(200)) :]


@pytest.mark.parametrize("read", [last_octets, first_of_many])
def test_it_would_find_a_careless_reading(attack_on, read):
    with pytest.raises(AssertionError, match="seed"):
        attack_on(100 * TOKENS, read=read)


def test_two_machines_and_a_real_store(realm, acceptor):
    with Server() as server:
        sites = [
            WsgiSite(
                NegotiateMiddleware(
                    table_app, acceptor=acceptor, store=ValkeyStore(server.url)
                )
            )
            for _ in range(2)
        ]
        tokens = [realm.token() for _ in range(20)]
        for site in sites:
            site.request("/", negotiate(realm.token()))
        before = server.calls()
        statuses = [
            sorted(site.request("/", negotiate(token)).status for site in sites)
            for token in tokens
        ]
        assert statuses == [[200, 401]] * 20
        after = server.calls()
        asked = {k: n - before.get(k, 0) for k, n in after.items() if k != "info"}
        assert {k: n for k, n in asked.items() if n} == {"set": 40}
        token = realm.token()
        server.kill()
        assert [site.request("/", negotiate(token)).status for site in sites] == [
            503
        ] * 2
        server.start()
        wait_until(
            lambda: sites[0].request("/", negotiate(realm.token())).status == 200
        )
        wait_until(
            lambda: sites[1].request("/", negotiate(realm.token())).status == 200
        )
