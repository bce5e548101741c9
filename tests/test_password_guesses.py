"""Guesses, a KDC that is silent, and one that lies: at a real server, with a real KDC."""

import http.client
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import wait_until
from passwords_site import PasswordsSite, basic, by_proxy
from silence import Silence

from negotiate_wsgi.realm import Realm

GUESSES = 10_000
ADDRESSES = 50
THRESHOLD = 5  # failures after which the KDC locks the account


def let_in(answer, user="alice"):
    return answer.status == 200 and f"{user}@EXAMPLE.TEST" in answer.text


@pytest.fixture
def open_site(realm, tmp_path):
    opened = []

    def open_site(options=(), **more):
        opened.append(PasswordsSite(realm, tmp_path, options, **more))
        return opened[-1]

    yield open_site
    for site in opened:
        site.close()


# Guesses


@pytest.fixture(scope="session")
def locking(realm):
    """The realm, and an account that is locked after some failures."""
    realm.kadmin("addpol", "-maxfailure", str(THRESHOLD), "five")
    for user in ("guessed", "not-guessed", "guessed-elsewhere"):
        realm.add_account(user, None, "+requires_preauth", "-policy", "five")
    realm.kinit("guessed")
    return realm


def failures_of(realm, user):
    """What the KDC has counted."""
    shown = realm.kadmin("getprinc", user)
    return int(re.search(r"Failed password attempts: (\d+)", shown)[1])


def guess(site, number):
    """From one address, by one connection; returns the statuses."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
    headers = dict(by_proxy(f"10.0.0.{number}"))
    statuses = Counter()
    for turn in range(GUESSES // ADDRESSES):
        headers["Authorization"] = basic("guessed", f"guess {number} {turn}")
        connection.request("GET", "/", None, headers)
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] += 1
        if answer.status == 429:
            assert 0 < int(answer.getheader("Retry-After")) <= 1801
    connection.close()
    return statuses


def test_10_000_guesses_do_not_lock_the_account(locking, open_site):
    site = open_site(workers=4, threads=8)
    by_ticket = []
    is_over = threading.Event()

    def sign_on_by_tickets():
        while not is_over.is_set():
            answer = site.get(locking.authorization(user="guessed"))
            by_ticket.append(let_in(answer, "guessed"))

    user = threading.Thread(target=sign_on_by_tickets)
    user.start()
    with ThreadPoolExecutor(ADDRESSES) as pool:
        statuses = sum(pool.map(guess, [site] * ADDRESSES, range(ADDRESSES)), Counter())
    is_over.set()
    user.join()

    # The KDC: it was asked, and by far not often enough.
    assert statuses == {401: 3, 429: GUESSES - 3}
    assert failures_of(locking, "guessed") == 3 < THRESHOLD
    # The user, all the while and afterwards: by ticket, but by no password.
    assert len(by_ticket) >= 20
    assert all(by_ticket)
    assert let_in(site.get(locking.authorization(user="guessed")), "guessed")
    password = locking.password("guessed")
    assert site.sign_on("guessed", password).status == 429
    assert site.sign_on("GUESSED", password).status == 429
    assert failures_of(locking, "guessed") == 3
    locking.kinit("guessed")  # it is not locked
    # Others, even from an address of a guesser's.
    other = locking.password("not-guessed")
    answer = site.sign_on("not-guessed", other, address="10.0.0.1")
    assert let_in(answer, "not-guessed")
    # The log: of the guesses, what the KDC said, and that no more are let through.
    records = [line for line in site.records() if 'reason="accepted"' not in line]
    reasons = Counter(re.search(r'reason="([^"]+)"', line)[1] for line in records)
    assert reasons.keys() == {"password-refused", "too-many-attempts"}
    assert reasons["password-refused"] == 3
    assert reasons["too-many-attempts"] <= 4
    # All four processes were asked.
    assert len(set(site.access_log.read_text().split())) == 4


def test_with_a_limit_above_the_kdcs_the_account_is_locked(locking, open_site):
    """The negative control."""
    site = open_site({"attempts": THRESHOLD + 1})
    user = "guessed-elsewhere"
    for number in range(THRESHOLD):
        assert site.sign_on(user, f"guess {number}").status == 401
    assert failures_of(locking, user) == THRESHOLD
    assert site.sign_on(user, locking.password(user)).status == 401
    assert "credentials have been revoked" in site.records()[-1]


# KDCs


class Krb5Conf:
    """The krb5.conf of a server alone, which can be told to ask another KDC."""

    def __init__(self, realm, directory):
        self._text = Path(realm.environ["KRB5_CONFIG"]).read_text()
        self._port = realm.kdc_port
        self.path = directory / "krb5.conf"
        self.ask(realm.kdc_port)

    def ask(self, port):
        self.path.write_text(self._text.replace(f":{self._port}", f":{port}"))


@pytest.fixture
def krb5_conf(realm, tmp_path):
    return Krb5Conf(realm, tmp_path)


def test_a_silent_kdc_holds_up_no_ticket(realm, open_site, krb5_conf):
    site = open_site(threads=32, KRB5_CONFIG=str(krb5_conf.path))
    tickets = [realm.authorization() for _ in range(100)]
    users = ["alice", *(f"user-{number}" for number in range(19))]
    password = realm.password("alice")

    def type_password(user):
        began = time.monotonic()
        answer = site.sign_on(user, password)
        return answer, time.monotonic() - began, time.monotonic()

    with Silence() as kdc:
        krb5_conf.ask(kdc.port)
        with ThreadPoolExecutor(20) as typing, ThreadPoolExecutor(4) as signing:
            typed = [typing.submit(type_password, user) for user in users]
            wait_until(kdc.was_asked)
            by_ticket = list(signing.map(site.get, tickets))
            tickets_end = time.monotonic()
            answers = [each.result() for each in typed]
        assert all(let_in(answer) for answer in by_ticket)
        for answer, seconds, _ in answers:
            assert answer.status == 503
            assert answer.header("Retry-After") == "30"
            assert "kdc-unreachable" in answer.text
            assert seconds < 7
        assert tickets_end < max(end for _, _, end in answers)
        for _ in range(4):
            assert site.sign_on("alice", password).status == 503
    krb5_conf.ask(realm.kdc_port)
    # Once the KDC is back: none of it was counted as an attempt.
    wait_until(lambda: site.sign_on("alice", password).status != 503)
    assert let_in(site.sign_on("alice", password))
    assert site.sign_on("alice", "wrong").status == 401


def test_a_kdc_that_lies_lets_nobody_in(realm, open_site, krb5_conf):
    site = open_site(KRB5_CONFIG=str(krb5_conf.path))
    assert let_in(site.sign_on("bob", realm.password("bob")), "bob")
    with Realm(realm.name, users=[], hosts=["localhost"]) as fake:
        fake.kadmin("addprinc", "-pw", "the attacker's", "alice")
        # It says yes, to a client that does not ask more.
        kinit = ["kinit", "-c", "MEMORY:", "alice"]
        environ = {"KRB5_CONFIG": fake.environ["KRB5_CONFIG"]}
        subprocess.run(
            ["env", *(f"{name}={value}" for name, value in environ.items()), *kinit],
            input="the attacker's\n", text=True, capture_output=True, check=True,
        )  # fmt: skip
        krb5_conf.ask(fake.kdc_port)
        lie = ("alice", "the attacker's")
        wait_until(lambda: site.sign_on(*lie).status != 401)
        for answer in (site.sign_on(*lie), site.post(*lie)):
            assert answer.status == 500
            assert "kdc-not-genuine" in answer.text
            assert not answer.header("Set-Cookie")
            assert not answer.challenges
        assert site.sign_on("alice", realm.password("alice")).status == 401
    told = [line for line in site.records() if "kdc-not-genuine" in line]
    assert told
    assert all(line.startswith("ERROR ") for line in told)
    krb5_conf.ask(realm.kdc_port)
    wait_until(lambda: let_in(site.sign_on("alice", realm.password("alice"))))
    assert site.sign_on(*lie).status == 401  # nothing of it was remembered
