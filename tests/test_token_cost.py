"""What a stranger's token may cost, by ratio to a plain 401 of ours: CPU of one thread, interleaved."""

import logging
import os
import time
from pathlib import Path
from types import SimpleNamespace
from wsgiref.util import setup_testing_defaults

import pytest
from helpers import KRB5, ap_req_token, der, keytab_entry, negotiate

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, Reason
from negotiate_wsgi.acceptors import insight
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.keytab import Key, Keytab
from negotiate_wsgi.wire.ticket import Ticket

REALM = b"EXAMPLE.TEST"
ACCEPTORS = pytest.mark.parametrize("make", [PykerberosAcceptor, GssapiAcceptor])


class Guarded:
    """A middleware with a keytab of its own, and requests that are all refused."""

    def __init__(self, make, monkeypatch, keytab):
        monkeypatch.setenv("KRB5_KTNAME", str(keytab))
        self.middleware = NegotiateMiddleware(
            lambda environ, start_response: [], acceptor=make()
        )

    def ask(self, token=None):
        environ = {"PATH_INFO": "/", "REMOTE_ADDR": "127.0.0.1"}
        if token:
            environ["HTTP_AUTHORIZATION"] = negotiate(token)
        setup_testing_defaults(environ)
        before = time.thread_time()
        answers = []
        for _ in self.middleware(
            environ, lambda status, headers, exc_info=None: answers.append(status)
        ):
            pass
        spent = time.thread_time() - before
        assert answers == ["401 Unauthorized"]
        return spent

    def cost(self, token, rounds=5):
        """CPU seconds, in plain 401s."""
        self.ask(token)
        plain, spent = [], []
        for _ in range(rounds):
            plain.append(sum(self.ask() for _ in range(50)) / 50)
            spent.append(self.ask(token))
        return min(spent) / min(plain)


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    """What the log costs is not what is measured."""
    monkeypatch.setattr(logging.getLogger("negotiate_wsgi"), "disabled", True)


def keytab_of(tmp_path, count):
    """A keytab with the keys of *count* hosts of ours, all of them different."""
    keys = [os.urandom(32) for _ in range(count)]
    entries = [
        keytab_entry(f"HTTP/host{n}", REALM, key=key) for n, key in enumerate(keys)
    ]
    path = tmp_path / f"keytab-{count}"
    path.write_bytes(b"\5\2" + b"".join(entries))
    return path


def kib(token):
    return len(token) / 1024


@ACCEPTORS
def test_a_ticket_of_31_000_name_components(make, realm, monkeypatch, tmp_path):
    token = ap_req_token([b"HTTP"] + [b""] * 31_000, REALM)
    guarded = Guarded(make, monkeypatch, keytab_of(tmp_path, 1))
    assert guarded.cost(token) < 10 * kib(token)


@ACCEPTORS
def test_a_ticket_for_another_service_is_not_opened(make, realm, monkeypatch, tmp_path):
    token = ap_req_token([b"host", b"host1"], REALM, size=60_000)
    guarded = Guarded(make, monkeypatch, keytab_of(tmp_path, 400))
    assert guarded.cost(token) < kib(token)


def test_the_key_that_a_ticket_names_is_tried_and_few_others(
    realm, monkeypatch, tmp_path
):
    token = ap_req_token([b"HTTP", b"host1"], REALM, kvno=1, size=60_000)
    guarded = Guarded(GssapiAcceptor, monkeypatch, keytab_of(tmp_path, 400))
    assert guarded.cost(token) < 3 * kib(token)
    small = ap_req_token([b"HTTP", b"host1"], REALM, kvno=1)
    assert guarded.cost(small) < 60


def test_of_many_keys_64_are_tried_where_a_ticket_names_none(
    realm, monkeypatch, tmp_path
):
    token = ap_req_token([b"HTTP", b"nonesuch"], REALM, size=4_000)
    costs = [
        Guarded(GssapiAcceptor, monkeypatch, keytab_of(tmp_path, count)).cost(token)
        for count in (64, 400)
    ]
    assert costs[1] < 1.5 * costs[0]


def test_of_many_keys_few_are_tried_for_a_large_ticket(realm, monkeypatch, tmp_path):
    token = ap_req_token([b"HTTP", b"nonesuch"], REALM, size=60_000)
    guarded = Guarded(GssapiAcceptor, monkeypatch, keytab_of(tmp_path, 400))
    # The library's own call is in it, which decrypts 60 KB with each of eight keys. With all
    # 400 it is more than 200 for each KiB.
    assert guarded.cost(token) < 30 * kib(token)


def test_it_costs_nothing_that_we_have_many_hosts(realm, monkeypatch, tmp_path):
    """A token that the library gives up at once, so that what is left is ours."""
    token = der(0x60, KRB5, b"\1\0", bytes(60_000))
    costs = [
        Guarded(GssapiAcceptor, monkeypatch, keytab_of(tmp_path, count)).cost(token)
        for count in (1, 1000)
    ]
    assert costs[1] < 2 * costs[0]
    assert costs[1] < kib(token)


def test_a_good_ticket_costs_the_same_beside_many_hosts(realm, monkeypatch, tmp_path):
    acceptors = []
    for count in (0, 1000):
        own = Path(realm.keytab).read_bytes()
        path = tmp_path / f"good-{count}"
        path.write_bytes(own + keytab_of(tmp_path, count).read_bytes()[2:])
        acceptors.append(GssapiAcceptor(keytab=path))
    spent = [[], []]
    for _ in range(20):
        for acceptor, times in zip(acceptors, spent, strict=True):
            tokens = [realm.token() for _ in range(2)]
            before = time.thread_time()
            results = [acceptor.accept(token) for token in tokens]
            times.append(time.thread_time() - before)
            assert all(
                result.identity.spn == "HTTP/localhost@EXAMPLE.TEST"
                for result in results
            )
    assert min(spent[1]) < 1.5 * min(spent[0])


KEYTAB = Keytab(
    "FILE:/k", (Key("HTTP/localhost@EXAMPLE.TEST", 1, "aes256-cts-hmac-sha1-96"),)
)
REFUSED = insight.Refused(Reason.WRONG_KEY, "as the library says")


def insight_into(token, keytab=lambda: KEYTAB):
    return insight.with_insight(REFUSED, token, Ticket.of(token), keytab).detail


def test_insight_is_given_ten_times_a_second(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(insight, "time", SimpleNamespace(monotonic=lambda: now))
    token = ap_req_token()
    told = [insight_into(token) for _ in range(30)]
    assert ["FILE:/k has: " in detail for detail in told] == [True] * 10 + [False] * 20
    assert told[-1] == "as the library says"
    assert (
        insight.with_insight(REFUSED, token, Ticket.of(token), lambda: KEYTAB).spn
        == "HTTP/www.test@R"
    )
    now = 1001.0
    assert "FILE:/k has: " in insight_into(token)


def test_insight_is_given_for_tokens_that_a_user_can_have():
    assert "FILE:/k has: " in insight_into(ap_req_token(size=14_000))
    large = ap_req_token(size=17_000)
    assert Ticket.of(large)
    assert insight_into(large) == "as the library says"


def test_insight_reads_a_keytab_once(tmp_path, monkeypatch):
    keytab = keytab_of(tmp_path, 1)
    reads = []
    monkeypatch.setattr(
        insight, "parse", lambda content: reads.append(content) or KEYTAB.keys
    )
    assert insight.current_keytab(str(keytab)) is insight.current_keytab(str(keytab))
    assert len(reads) == 1
    keytab.write_bytes(keytab.read_bytes() + keytab_entry("HTTP/another"))
    assert len(insight.current_keytab(str(keytab)).keys) == 1
    assert len(reads) == 2
