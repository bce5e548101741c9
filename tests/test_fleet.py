"""Machines that share a store, with acceptors of our own: no KDC, in milliseconds."""

import gc
import logging
import os
import sys
import threading
import time
from dataclasses import replace

import pytest
from helpers import (
    ALICE,
    GOOD,
    HTML,
    KEY,
    KRB5,
    NTLM,
    NamedAcceptor,
    accepted,
    app,
    locals_of_ours,
    negotiate,
    set_cookies,
    site_of,
    spnego,
    wait_until,
)
from sites import WsgiSite
from werkzeug.test import EnvironBuilder

from negotiate_wsgi import (
    ConfigurationError,
    NegotiateMiddleware,
    PasswordSignOn,
    Reason,
    Refused,
    Revocations,
    SessionCookie,
    StoreError,
    forget,
    get_identity,
    revoke,
    revoke_all,
    unless,
)
from negotiate_wsgi.request.attempts import Attempts
from negotiate_wsgi.request.attempts_fleet import AttemptsOfFleet
from negotiate_wsgi.request.fleet import Fleet
from negotiate_wsgi.stores.breaker import Breaker
from negotiate_wsgi.testing import MemoryStore, PretendRealm

BOB = accepted("bob@EXAMPLE.TEST", "HTTP/localhost@EXAMPLE.TEST", b"proof")
OTHER = spnego(KRB5, ticket=b"another ticket")


class CountingStore(MemoryStore):
    """Knows what it was asked."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.asked = []

    def claim(self, fingerprint):
        self.asked.append("claim")
        return super().claim(fingerprint)

    def count(self, name, seconds, by=1):
        self.asked.append("count")
        return super().count(name, seconds, by)

    def revocations(self, known):
        self.asked.append("revocations")
        return super().revocations(known)


@pytest.fixture
def store():
    return CountingStore(refresh=0.1)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, "negotiate_wsgi")
    return caplog


def reasons(log):
    return [(r.levelno, r.reason) for r in log.records if hasattr(r, "reason")]


# Replays


def test_a_token_counts_once_on_all_machines(store, log):
    here, there = site_of(store=store), site_of(store=store.elsewhere())
    assert here.request("/", negotiate(GOOD)).status == 200
    again = there.request("/", negotiate(GOOD))
    assert (again.status, again.challenges) == (401, ["Negotiate"])
    assert there.request("/", negotiate(OTHER)).status == 200
    assert here.request("/", negotiate(OTHER)).status == 401
    alone = site_of()
    assert alone.request("/", negotiate(GOOD)).status == 200
    told = [r for r in log.records if r.reason == "replayed"]
    assert [r.levelno for r in told] == [logging.WARNING] * 2
    assert "found by the fleet" in told[0].detail
    assert told[0].principal == "alice@EXAMPLE.TEST"


def test_one_command_for_a_ticket_and_none_for_strangers(store):
    site = site_of(store=store)
    site.request("/", negotiate(GOOD))
    assert store.asked == ["claim"]
    store.asked.clear()
    for credential in (
        None,
        negotiate(b"garbage"),
        negotiate(spnego(NTLM)),
        "Bearer x",
    ):
        site.request("/", credential)
    site.acceptor.result = Refused(Reason.EXPIRED)
    site.request("/", negotiate(OTHER))
    assert store.asked == []


@pytest.mark.parametrize(
    ("fingerprint", "statuses"),
    [(b"same", (200, 401)), (None, (200, 200)), (b"", (401, 401))],
    ids=["authenticator", "the whole token", "not strict DER"],
)
def test_what_a_token_is_known_by(store, log, fingerprint, statuses):
    tell = None if fingerprint is None else lambda: fingerprint
    site = site_of(replace(ALICE, fingerprint=tell), store=store)
    answers = [site.request("/", negotiate(token)) for token in (GOOD, OTHER)]
    assert tuple(answer.status for answer in answers) == statuses
    if fingerprint == b"":
        assert {reason for _, reason in reasons(log)} == {"malformed"}
        assert store.asked == []
        assert site_of(site.acceptor.result).request("/", negotiate(GOOD)).status == 200


def test_a_bug_of_a_store_is_no_pass_and_shows_no_token(store):
    store.claim = None
    site = site_of(replace(ALICE, fingerprint=lambda: b"secret"), store=store)
    with pytest.raises(TypeError) as caught:
        site.request("/", negotiate(GOOD))
    shown = locals_of_ours(caught.value)
    assert repr(GOOD) not in shown
    assert "secret" not in shown


def test_layers_ask_for_a_token_once(store):
    for acceptors in (
        [NamedAcceptor(ALICE)] * 2,
        [NamedAcceptor(ALICE), NamedAcceptor(ALICE)],
    ):
        store.lose_everything()
        store.asked.clear()
        inner = NegotiateMiddleware(app, acceptor=acceptors[1], store=store)
        outer = NegotiateMiddleware(inner, acceptor=acceptors[0], store=store)
        assert WsgiSite(outer).request("/", negotiate(GOOD)).status == 200
        assert store.asked == ["claim"]


def test_no_layer_below_lets_a_replay_in(store):
    site_of(store=store).request("/", negotiate(GOOD))
    inner = NegotiateMiddleware(app, acceptor=NamedAcceptor(ALICE))
    outer = NegotiateMiddleware(
        inner, acceptor=NamedAcceptor(ALICE), store=store, required=False
    )
    assert WsgiSite(outer).request("/", negotiate(GOOD)).status == 401
    assert WsgiSite(outer).request("/", negotiate(OTHER)).status == 200


@pytest.mark.parametrize("is_required_above", [True, False])
def test_a_store_of_the_layer_below_alone(store, is_required_above):
    acceptor = NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(app, acceptor=acceptor, store=store)
    outer = WsgiSite(
        NegotiateMiddleware(inner, acceptor=acceptor, required=is_required_above)
    )
    assert outer.request("/", negotiate(GOOD)).status == 200
    assert outer.request("/", negotiate(GOOD)).status == 401


def test_a_ticket_counts_on_an_exempt_path_too(store):
    """There, too, the app is told who it is."""
    options = {"required": unless(paths=["/health"])}
    here = site_of(store=store, **options)
    there = site_of(store=store.elsewhere(), **options)
    assert here.request("/health").text == "None None None"
    assert store.asked == []
    assert "alice" in here.request("/health", negotiate(GOOD)).text
    assert store.asked == ["claim"]
    assert there.request("/health", negotiate(GOOD)).text == "None None replayed"
    assert there.request("/", negotiate(GOOD)).status == 401
    store.fault = "gone"
    lost = here.request("/health", negotiate(OTHER))
    assert lost.text == "None None store-unusable"
    assert here.request("/health").status == 200


# A store that does not answer


def test_refuse(store, log):
    store.fault = "gone"
    site = site_of(store=store)
    answer = site.request("/", negotiate(GOOD))
    assert (answer.status, answer.challenges) == (503, [])
    assert answer.header("Retry-After") == "5"
    assert "gone" not in answer.text
    for_browsers = site.request("/", negotiate(GOOD), headers=HTML)
    assert for_browsers.status == 503
    assert "Try again in a minute" in for_browsers.text
    assert (logging.ERROR, "store-unusable") in reasons(log)
    optional = site_of(store=store, required=False).request("/", negotiate(GOOD))
    assert optional.text == "None None store-unusable"


def test_local(store, log):
    store.when_down = "local"
    store.fault = "gone"
    site = site_of(store=store)
    assert site.request("/", negotiate(GOOD)).status == 200
    store.fault = None
    [lost] = [r for r in log.records if not hasattr(r, "reason")]
    assert lost.levelno == logging.WARNING
    assert "(gone): single host protection" in lost.getMessage()


def test_as_ever_without_credentials(store):
    store.fault = "gone"
    site = site_of(store=store, session=SessionCookie(KEY))
    assert site.request("/").status == 401
    assert site.request("/", negotiate(b"x")).status == 401
    assert store.asked == []


def test_after_a_failure_nobody_asks_for_a_second_and_then_one(store, log):
    site = site_of(store=store)
    store.fault = "gone"
    for _ in range(10):
        assert site.request("/", negotiate(GOOD)).status == 503
    assert len(store.asked) == 1
    store.fault = None
    time.sleep(1.05)
    assert site.request("/", negotiate(GOOD)).status == 200
    assert len(store.asked) == 2
    changes = [r for r in log.records if not hasattr(r, "reason")]
    assert [r.levelno for r in changes] == [logging.WARNING, logging.INFO]
    assert "is lost (gone): sign-on is refused" in changes[0].getMessage()
    assert "the store is back after 1 s" in changes[1].getMessage()


def test_who_tries_again_holds_no_other(store):
    breaker = Breaker(store)
    entered, leave = threading.Event(), threading.Event()

    def fail():
        raise StoreError("gone")

    def hang():
        entered.set()
        leave.wait()

    with pytest.raises(StoreError):
        breaker.call(fail)
    time.sleep(1.05)
    thread = threading.Thread(target=breaker.call, args=(hang,))
    thread.start()
    entered.wait()
    with pytest.raises(StoreError, match="gone"):
        breaker.call(lambda: 1)
    leave.set()
    thread.join()
    assert breaker.call(lambda: 1) == 1


def test_it_is_told_once_a_minute(store, log, monkeypatch):
    breaker = Breaker(store)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def fail():
        raise StoreError("gone")

    for _ in range(150):
        now += 2
        with pytest.raises(StoreError):
            breaker.call(fail)
    assert len(log.records) == 5


# Sessions


def whoami(environ, start_response):
    if environ["PATH_INFO"] == "/forget":
        forget(environ)
    return app(environ, start_response)


TLS = "https://localhost"


class Machine:
    """A site with sessions, and what its processes know."""

    def __init__(self, store, **options):
        options = {"session": SessionCookie(KEY)} | options
        self.site = site_of(ALICE, whoami, store=store, **options)
        self.picture = Fleet.of(store)._picture
        self.tokens = 0

    def sign_on(self, result=ALICE, **request):
        """The cookie."""
        self.site.acceptor.result = result
        self.tokens += 1
        token = spnego(KRB5, ticket=f"{id(self)} {self.tokens}".encode())
        [cookie] = set_cookies(self.site.request("/", negotiate(token), **request))
        return cookie.partition(";")[0]

    def visit(self, cookie, path="/", **request):
        return self.site.request(path, headers=[("Cookie", cookie)], **request)

    def wait(self):
        """For the next look of its thread."""
        seen = self.picture._seen_at
        wait_until(lambda: self.picture._seen_at > seen)


@pytest.fixture
def machines(store):
    return Machine(store), Machine(store.elsewhere())


def test_a_revoked_session_ends_everywhere_and_no_other(store, machines, log):
    here, there = machines
    alice, bob = here.sign_on(), here.sign_on(BOB)
    for machine in machines:
        assert machine.visit(alice).text == "alice@EXAMPLE.TEST alice None"
    revoke(store, "alice@EXAMPLE.TEST")
    for machine in machines:
        machine.wait()
        log.clear()
        ended = machine.visit(alice)
        assert (ended.status, ended.challenges) == (401, ["Negotiate"])
        [deletion] = set_cookies(ended)
        assert "Max-Age=0" in deletion
        assert reasons(log) == [(logging.DEBUG, "session-revoked")]
        assert log.records[0].source == "session"
        assert machine.visit(bob).status == 200
    nobody = there.site.request("/")
    assert ended.body == nobody.body
    there.sign_on()  # a ticket is as good as before


def test_where_it_is_not_required_an_ended_session_is_none(store):
    machine = Machine(store, required=False)
    alice = machine.sign_on()
    assert "alice" in machine.visit(alice).text
    revoke_all(store)
    machine.wait()
    ended = machine.visit(alice)
    assert ended.text == "None None None"
    assert "Max-Age=0" in set_cookies(ended)[0]


def test_everybody(store, machines):
    cookies = [machines[0].sign_on(), machines[0].sign_on(BOB)]
    assert [machines[1].visit(cookie).status for cookie in cookies] == [200, 200]
    revoke_all(store)
    machines[1].wait()
    assert [machines[1].visit(cookie).status for cookie in cookies] == [401, 401]


@pytest.mark.parametrize(("seconds", "status"), [(5, 200), (4, 401), (-9, 401)])
def test_clocks_may_differ_by_five_seconds(store, seconds, status):
    machine = Machine(store)
    cookie = machine.sign_on()
    issued = int(time.time())
    score = issued - seconds - 0.5 if seconds == 5 else issued - seconds
    store.restore(Revocations(0, {"alice@EXAMPLE.TEST": score}))
    assert machine.visit(cookie).status == status


def test_a_session_costs_no_question(store):
    slow = CountingStore(refresh=20)
    machine = Machine(slow)
    cookie = machine.sign_on()
    machine.visit(cookie)
    assert slow.asked == ["claim", "revocations"]
    for _ in range(100):
        assert machine.visit(cookie).status == 200
    assert slow.asked == ["claim", "revocations"]


def calls_of(application, cookie):
    """Calls of Python and C functions for one request, the same number each time."""
    environ = EnvironBuilder("/", headers={"Cookie": cookie}).get_environ()
    statuses = []
    count = 0

    def start_response(status, headers, exc_info=None):
        statuses.append(status)

    def count_calls(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(count_calls)
    try:
        application(environ, start_response)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert statuses == ["200 OK"]
    return count


#: Of the fleet, its picture, the clock and two dictionaries.
MOST_CALLS_OF_A_STORE = 5


def test_what_a_store_adds_to_a_session():
    def guarded(**options):
        return NegotiateMiddleware(
            app, acceptor=NamedAcceptor(ALICE), session=SessionCookie(KEY), **options
        )

    store = CountingStore(refresh=20)
    alone, shared = guarded(), guarded(store=store)
    cookie = Machine(store).sign_on()
    for application in (alone, shared):
        calls_of(application, cookie)
    without = calls_of(alone, cookie)
    assert calls_of(alone, cookie) == without
    store.asked.clear()
    assert without < calls_of(shared, cookie) <= without + MOST_CALLS_OF_A_STORE
    assert store.asked == []
    # It is counted where a request asks the store after all.
    Fleet.of(store)._picture._look_by = Fleet.of(store)._picture._seen_at = 0
    assert calls_of(shared, cookie) > without + MOST_CALLS_OF_A_STORE
    assert store.asked == ["revocations"]


def test_forget_ends_one_session_on_all_machines(machines):
    here, there = machines
    alice, phone = here.sign_on(), here.sign_on()  # in one second, mostly
    assert there.visit(alice).status == 200
    assert here.visit(alice, "/forget").status == 200
    assert here.visit(alice).status == 401
    there.wait()
    assert there.visit(alice).status == 401
    assert there.visit(phone).status == 200
    assert here.visit(phone).status == 200


def test_forget_ends_all_that_the_browser_has(machines):
    """Both names, and two of a name, as browsers send what several paths have set."""
    here, there = machines
    plain = [here.sign_on(), here.sign_on()]
    prefixed = [here.sign_on(base_url=TLS) for _ in range(2)]
    assert prefixed[0].startswith("__Host-negotiate=")
    other = here.sign_on()
    for cookie in [*plain, *prefixed]:
        assert there.visit(cookie).status == 200
    # Over TLS the plain ones do not count, and are not good for long.
    here.visit("; ".join([*plain, *prefixed]), "/forget", base_url=TLS)
    there.wait()
    for machine in machines:
        for cookie in [*plain, *prefixed]:
            assert machine.visit(cookie).status == 401
        assert machine.visit(other).status == 200


def test_forget_of_what_nobody_signed_ends_nothing(store, machines):
    here, there = machines
    alice = here.sign_on()
    assert there.visit(alice).status == 200
    forged = f"{alice[:-1]}{'A' if alice[-1] != 'A' else 'B'}"
    here.visit(forged, "/forget")
    assert store.revocations(-1).sessions == {}
    here.visit(alice, "/forget")
    assert len(store.revocations(-1).sessions) == 1


def test_what_one_verifier_ends_early_does_not_come_back_at_another(store):
    """The store keeps it as long as the longest of them would take the cookie."""
    short = Machine(store, session=SessionCookie(KEY, max_age=60))
    long = Machine(store.elsewhere(), session=SessionCookie(KEY, max_age=3600))
    cookie = long.sign_on()
    assert short.visit(cookie).status == 200
    short.visit(cookie, "/forget")
    [end] = store.revocations(-1).sessions.values()
    assert end - time.time() > 3500
    of_short = short.sign_on()
    short.visit(of_short, "/forget")
    assert min(store.revocations(-1).sessions.values()) - time.time() < 61


def test_forget_beside_a_ticket(machines):
    here, there = machines
    alice = here.sign_on()
    assert there.visit(alice).status == 200
    here.site.request("/forget", negotiate(OTHER), headers=[("Cookie", alice)])
    there.wait()
    assert there.visit(alice).status == 401


@pytest.mark.parametrize(
    "below",
    [
        {"session": SessionCookie(KEY)},
        {},
        {"required": False},
        {"session": SessionCookie(KEY, name="other")},
    ],
    ids=["a session without store", "no session", "not required", "another session"],
)
def test_forget_reaches_the_store_of_a_layer_above(store, machines, below):
    there = machines[1]
    acceptor = NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(whoami, acceptor=acceptor, **below)
    outer = NegotiateMiddleware(
        inner, acceptor=acceptor, session=SessionCookie(KEY), store=store
    )
    cookie = machines[0].sign_on()
    site = WsgiSite(outer)
    request = {
        "authorization": negotiate(OTHER),
        "headers": [("Cookie", f"{cookie}; other=x")],
    }
    assert site.request("/", **request).status == 200
    assert there.visit(cookie).status == 200
    request["authorization"] = negotiate(spnego(KRB5, ticket=b"a third"))
    deleted = set_cookies(site.request("/forget", **request))
    assert any(line.startswith("negotiate=; ") for line in deleted)
    there.wait()
    assert there.visit(cookie).status == 401


def test_forget_while_the_store_does_not_answer_is_made_good(store, machines):
    here, there = machines
    alice = here.sign_on()
    for machine in machines:
        assert machine.visit(alice).status == 200
    store.fault = "gone"
    assert here.visit(alice, "/forget").status == 200
    assert here.visit(alice).status == 401
    assert there.visit(alice).status == 200
    store.fault = None
    wait_until(lambda: there.visit(alice).status == 401)


def test_a_403_deletes_a_cookie_and_ends_nothing(store):
    machine = Machine(store, users=["bob@EXAMPLE.TEST"])
    free = Machine(store)
    alice = free.sign_on()
    assert machine.visit(alice).status == 403
    free.wait()
    assert free.visit(alice).status == 200


def test_what_a_store_has_lost_stays_revoked(store, machines):
    here, there = machines
    alice = here.sign_on()
    revoke(store, "alice@EXAMPLE.TEST")
    assert here.visit(alice).status == 401
    store.lose_everything()
    here.wait()
    here.wait()
    assert here.visit(alice).status == 401
    assert there.visit(alice).status == 401  # who learns of it now
    assert list(store.revocations(-1).principals) == ["alice@EXAMPLE.TEST"]


def test_what_is_too_old_is_not_written_back_for_ever(store):
    picture = Fleet.of(store)._picture
    store.restore(Revocations(0, {"a@R": time.time() - 399.5 * 86400}, {"mark": 1}))
    picture.look()
    store.lose_everything()
    picture.look()
    assert store.revocations(-1) == Revocations(0)


@pytest.mark.parametrize(
    ("when_down", "seconds", "status"),
    [
        ("refuse", None, 503),
        ("local", None, 200),
        ("refuse", 50, 200),
        ("local", 50, 200),
        ("refuse", 61, 503),
        ("local", 61, 200),
    ],
)
def test_a_store_that_is_down_and_a_picture(store, log, when_down, seconds, status):
    store.when_down = when_down
    machine = Machine(store)
    alice = machine.sign_on()
    if seconds:
        assert machine.visit(alice).status == 200
    store.fault = "gone"
    if seconds:
        time.sleep(0.3)
        machine.picture._seen_at = time.monotonic() - seconds
        machine.picture._look_by = 0
    answer = machine.visit(alice)
    assert answer.status == status
    if status == 503:
        assert answer.header("Retry-After") == "5"
        assert set_cookies(answer) == []
        [told] = [
            r for r in log.records if getattr(r, "reason", "") == "store-unusable"
        ]
        assert (told.levelno, told.source) == (logging.ERROR, "session")
    store.fault = None
    time.sleep(1.05)
    assert machine.visit(alice).status == 200


def test_what_is_revoked_stays_so_while_the_store_is_down(store):
    store.when_down = "local"
    machine = Machine(store)
    alice = machine.sign_on()
    revoke(store, "alice@EXAMPLE.TEST")
    assert machine.visit(alice).status == 401
    store.fault = "gone"
    time.sleep(0.3)
    assert machine.visit(alice).status == 401


def test_where_no_thread_runs_a_request_looks(store):
    machine = Machine(store)
    alice = machine.sign_on()
    machine.picture._process = os.getpid()  # as if one had been started
    assert machine.visit(alice).status == 200
    revoke(store, "alice@EXAMPLE.TEST")
    time.sleep(0.35)
    assert machine.visit(alice).status == 401


def test_where_no_thread_can_start_requests_look(store, monkeypatch):
    machine = Machine(store)
    alice = machine.sign_on()
    start = threading.Thread.start

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert machine.visit(alice).status == 200
    revoke(store, "alice@EXAMPLE.TEST")
    time.sleep(0.35)
    assert machine.visit(alice).status == 401
    again = threads_that_look()
    monkeypatch.setattr(threading.Thread, "start", start)
    time.sleep(0.35)
    assert machine.visit(alice).status == 401
    assert len(threads_that_look() - again) == 1


def threads_that_look():
    return {t for t in threading.enumerate() if t.name == "negotiate_wsgi store"}


def test_who_looks_is_waited_for_by_those_with_too_old_a_picture(store):
    machine = Machine(store)
    alice = machine.sign_on()
    assert machine.visit(alice).status == 200
    entered, leave = threading.Event(), threading.Event()

    def slow(known):
        entered.set()
        leave.wait()
        return type(store).revocations(store, known)

    store.revocations = slow
    entered.wait()  # by its thread
    machine.picture._seen_at = time.monotonic() - 61
    machine.picture._look_by = 0
    statuses = []
    thread = threading.Thread(
        target=lambda: statuses.append(machine.visit(alice).status)
    )
    thread.start()
    time.sleep(0.2)
    assert statuses == []
    leave.set()
    thread.join()
    assert statuses == [200]


def test_a_child_after_fork_looks_itself(store):
    machine = Machine(store)
    alice = machine.sign_on()
    assert machine.visit(alice).status == 200
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert machine.visit(alice).status == 200
            os.write(write, b"x")
            store.revoke(None)  # its own memory, as no other process has it
            machine.wait()
            code = 0 if machine.visit(alice).status == 401 else 2
        finally:
            os._exit(code)
    os.read(read, 1)
    assert os.waitpid(child, 0)[1] == 0
    assert machine.visit(alice).status == 200


def test_the_thread_ends_with_its_middleware():
    before = threads_that_look()
    machine = Machine(MemoryStore(0.1))
    machine.visit(machine.sign_on())
    [started] = threads_that_look() - before
    del machine
    gc.collect()
    wait_until(lambda: not started.is_alive())


def test_without_a_store_there_is_no_thread_and_nothing_is_asked():
    site = site_of(session=SessionCookie(KEY))
    before = threading.active_count()
    [cookie] = set_cookies(site.request("/", negotiate(GOOD)))
    assert site.request("/", headers=[("Cookie", cookie)]).status == 200
    assert threading.active_count() == before


@pytest.mark.parametrize("store", [object(), "valkey://127.0.0.1", True])
def test_what_is_no_store(store):
    with pytest.raises(ConfigurationError, match="ValkeyStore"):
        site_of(store=store)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("refresh", 0),
        ("refresh", 21),
        ("refresh", "5"),
        ("refresh", float("nan")),
        ("when_down", "allow"),
        ("when_down", None),
        ("when_down", ["local"]),
    ],
)
def test_an_option_of_ones_own_store_is_wrong(store, option, value):
    setattr(store, option, value)
    with pytest.raises(ConfigurationError, match=f"store.{option}="):
        site_of(store=store)


# Passwords


class PasswordMachine:
    def __init__(self, store, **options):
        realm = PretendRealm(passwords={"alice": "secret", "bob": "secret"})
        passwords = PasswordSignOn("EXAMPLE.TEST", **options)
        middleware = NegotiateMiddleware(
            self.app, acceptor=realm, passwords=passwords, store=store
        )
        self.client = realm.client(middleware)
        self.fleet = Fleet.of(store)
        self.realm = realm

    @staticmethod
    def app(environ, start_response):
        start_response("200 OK", [])
        return [get_identity(environ).principal.encode()]

    def status(self, user, password):
        return self.client.get(
            "/", auth=(user, password), base_url="https://localhost"
        ).status_code


def test_attempts_are_counted_on_all_machines(store):
    here, there = PasswordMachine(store), PasswordMachine(store.elsewhere())
    assert [here.status("alice", "no") for _ in range(2)] == [401, 401]
    assert there.status("alice", "no") == 401
    assert there.status("alice", "secret") == 429
    assert here.status("alice", "secret") == 429
    assert here.status("bob", "secret") == 200


def test_success_forgets_the_failures_of_the_user(store):
    machine = PasswordMachine(store, remember=0)
    for _ in range(3):
        assert [machine.status("alice", "no") for _ in range(2)] == [401, 401]
        assert machine.status("alice", "secret") == 200


def test_forget_ends_a_session_that_began_with_a_password(store):
    def site(store):
        passwords = PasswordSignOn("EXAMPLE.TEST")
        guarded = NegotiateMiddleware(
            whoami, acceptor=realm, passwords=passwords,
            session=SessionCookie(KEY), store=store,
        )  # fmt: skip
        return realm.client(guarded)

    realm = PretendRealm(passwords={"alice": "secret"})
    here = site(store)
    there = site(store.elsewhere())
    tls = {"base_url": TLS}
    assert here.get("/", auth=("alice", "secret"), **tls).status_code == 200
    cookie = here.get_cookie("__Host-negotiate").value
    there.set_cookie("__Host-negotiate", cookie)
    assert there.get("/", **tls).text == "alice@EXAMPLE.TEST alice None"
    assert here.get("/forget", **tls).status_code == 200
    assert here.get_cookie("__Host-negotiate") is None
    wait_until(lambda: there.get("/", **tls).status_code == 401)
    assert here.get("/", auth=("alice", "secret"), **tls).status_code == 200


def test_addresses_are_counted_too(store):
    here, there = (
        PasswordMachine(store, attempts_from_address=2),
        PasswordMachine(store.elsewhere(), attempts_from_address=2),
    )
    assert here.status("a", "no") == 401
    assert there.status("b", "no") == 401
    assert here.status("bob", "secret") == 429


def test_no_machine_subtracts_below_nothing(store):
    attempts = AttemptsOfFleet(Fleet(store), Attempts(3, 30, 60))
    for _ in range(5):
        attempts.give_back("alice", "192.0.2.1")
        attempts.succeed("alice", "192.0.2.1")
    taken = [attempts.take("alice", "192.0.2.1") for _ in range(4)]
    assert taken[:3] == [None] * 3
    assert taken[3].is_busy
    for _ in range(3):
        attempts.fail("alice", "192.0.2.1")
    denied = [attempts.take("alice", "192.0.2.1") for _ in range(2)]
    assert [one.is_first for one in denied] == [True, False]
    assert attempts.charge("192.0.2.1") is None


@pytest.fixture
def attempts(tmp_path):
    """Those of a store and a host that go on alone."""
    store = MemoryStore(when_down="local")
    host = Attempts(3, 30, 1800, directory=str(tmp_path))
    attempts = AttemptsOfFleet(Fleet(store), host)
    attempts.store, attempts.host = store, host
    return attempts


def lose(attempts):
    attempts.store.fault = "gone"


def find(attempts):
    """It is asked again from now on."""
    attempts.store.fault = None
    attempts._fleet.breaker._ask_at = 0


WHO = "alice", "192.0.2.1"


@pytest.mark.parametrize("end", ["succeed", "give_back"])
def test_what_the_host_has_counted_it_is_given_back(attempts, end):
    """The store is back while the KDC thinks."""
    for _ in range(5):
        lose(attempts)
        assert attempts.take(*WHO) is None
        find(attempts)
        getattr(attempts, end)(*WHO)
    lose(attempts)
    assert [attempts.take(*WHO) for _ in range(3)] == [None] * 3
    assert attempts.take(*WHO).is_busy


def test_what_the_host_has_counted_fails_there(attempts):
    for _ in range(3):
        lose(attempts)
        assert attempts.take(*WHO) is None
        find(attempts)
        attempts.fail(*WHO)
    assert attempts.host.take(*WHO) is not None
    assert not attempts.host.take(*WHO).is_busy
    assert [attempts.take(*WHO) for _ in range(3)] == [None] * 3


def test_what_the_store_has_counted_is_given_back_there(attempts):
    for _ in range(5):
        assert attempts.take(*WHO) is None
        attempts.succeed(*WHO)
    assert [attempts.take(*WHO) for _ in range(3)] == [None] * 3
    assert attempts.take(*WHO).is_busy
    lose(attempts)
    assert attempts.take(*WHO) is None  # the host has counted none of these


def test_no_more_than_the_limit_reach_the_kdc_at_a_time(store):
    machine = PasswordMachine(store, workers=8)
    asked = []
    check = machine.realm.check_password

    def slow(user, password):
        asked.append(user)
        time.sleep(0.3)
        return check(user, password)

    machine.realm.check_password = slow
    threads = [
        threading.Thread(target=machine.status, args=("alice", "no")) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(asked) <= 3


@pytest.mark.parametrize(("when_down", "status"), [("refuse", 503), ("local", 200)])
def test_passwords_while_the_store_is_down(store, when_down, status):
    store.when_down = when_down
    machine = PasswordMachine(store)
    store.fault = "gone"
    assert machine.status("alice", "secret") == status
    wrong = [machine.status("bob", "no") for _ in range(4)]
    assert wrong == ([503] * 4 if status == 503 else [401, 401, 401, 429])


def test_a_remembered_password_is_asked_again_where_its_user_was_revoked(store):
    machine = PasswordMachine(store)
    asked = []
    check = machine.realm.check_password

    def counted(user, password):
        asked.append(user)
        return check(user, password)

    machine.realm.check_password = counted
    assert [machine.status("alice", "secret") for _ in range(3)] == [200] * 3
    assert asked == ["alice"]
    revoke(store, "alice@EXAMPLE.TEST")
    time.sleep(0.3)
    assert machine.status("alice", "secret") == 200
    assert asked == ["alice"] * 2
