"""Passwords, row by row of the contract, with a KDC that is only pretended."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from html import escape
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
import sites
from helpers import HTML, KEY, app, wait_until
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder, create_environ, run_wsgi_app
from werkzeug.wrappers import Request, Response

from negotiate_wsgi import (
    Accepted,
    AcceptorError,
    ConfigurationError,
    Identity,
    NegotiateMiddleware,
    PasswordSignOn,
    Reason,
    Refused,
    SessionCookie,
    get_refusal,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target
from negotiate_wsgi.request import password_verdicts
from negotiate_wsgi.request.attempts import Attempts, Denied
from negotiate_wsgi.testing import PretendRealm
from negotiate_wsgi.wire.authorization import write_token

REALM = "EXAMPLE.TEST"
ALICE = f"alice@{REALM}"
SECRET = "s3cret: with a colon, and ü"
PASSWORDS = {"alice": SECRET, "bob": "hunter2"}
BASIC = f'Basic realm="{REALM}", charset="UTF-8"'
FORM = "/.negotiate/sign-in"
TLS = "https://localhost"
OURS = [("Sec-Fetch-Site", "same-origin")]
PAGE = [*HTML, *OURS]
URLENCODED = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture(autouse=True)
def soonest(monkeypatch):
    """The wait before a refusal is tested once for each: the other tests need not wait."""
    contract = password_verdicts._SOONEST
    monkeypatch.setattr(password_verdicts, "_SOONEST", 0.02)
    return contract


def basic(user, secret):
    raw = user if isinstance(user, bytes) else f"{user}:{secret}".encode()
    return "Basic " + base64.b64encode(raw).decode()


GOOD = basic("alice", SECRET)
WRONG = basic("alice", "wrong")


class Site(sites.WsgiSite):
    """An app behind the middleware, over TLS unless a request says otherwise."""

    def __init__(self, realm=None, inner=app, mount=None, sign_on=(), **options):
        self.realm = realm or PretendRealm(passwords=PASSWORDS)
        options.setdefault("passwords", PasswordSignOn(REALM, **dict(sign_on)))
        guarded = NegotiateMiddleware(inner, acceptor=self.realm, **options)
        if mount:
            # PEP 3333, "Unicode Issues"
            mount = mount.encode().decode("latin-1")
            guarded = DispatcherMiddleware(Response("not here", 404), {mount: guarded})
        super().__init__(guarded)

    def request(self, path, authorization=None, *, base_url=TLS, **options):
        return super().request(path, authorization, base_url=base_url, **options)

    def post(self, user, secret, onward=None, headers=PAGE, path=FORM, **options):
        fields = {"username": user, "password": secret}
        if onward is not None:
            fields["next"] = onward
        return self.post_fields(fields, headers, path, **options)

    def post_fields(self, fields, headers=PAGE, path=FORM, **options):
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        headers = [URLENCODED, *headers]
        return self.request(path, method="POST", headers=headers, body=body, **options)


def site(**options):
    return Site(**options)


def with_session(**options):
    return Site(session=SessionCookie(KEY), **options)


class Checker(PretendRealm):
    """Answers what it is told to, and counts how often it was asked."""

    def __init__(self, answer=None):
        super().__init__(passwords=PASSWORDS)
        self.answer = answer
        self.asked = 0

    def check_password(self, user, password):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or super().check_password(user, password)


def let_in(answer, user=ALICE):
    return answer.status == 200 and answer.text.startswith(f"{user} ")


def cookie_of(answer):
    jar = SimpleCookie()
    for name, value in answer.headers:
        if name.lower() == "set-cookie":
            jar.load(value)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


def message(answer):
    return json.loads(answer.body)["reason"]


# --- the options ---


@pytest.mark.parametrize(
    "options",
    [
        {"realm": ""},
        {"realm": None},
        {"realm": 'A"B'},
        {"realm": "alice@EXAMPLE.TEST"},
        {"form_path": "sign-in"},
        {"form_path": "/"},
        {"form_path": "/a//b"},
        {"form_path": "/a?b"},
        {"attempts": 0},
        {"attempts": True},
        {"attempts_from_address": 0},
        {"attempts": 2**16},
        {"period": 0},
        {"period": 1.5},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": "5"},
        {"workers": 0},
        {"remember": -1},
    ],
    ids=str,
)
def test_wrong_options(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        PasswordSignOn(**{"realm": REALM} | options)


def test_the_middleware_takes_no_other_object():
    with pytest.raises(ConfigurationError, match="PasswordSignOn"):
        NegotiateMiddleware(app, acceptor=PretendRealm(), passwords=True)


# --- the challenges ---


def test_tls_without_a_session_offers_both():
    assert site().request("/").challenges == ["Negotiate", BASIC]
    assert site().request("/", headers=HTML).challenges == ["Negotiate", BASIC]
    assert site(passwords=None).request("/").challenges == ["Negotiate"]


def test_the_form_stands_in_for_basic():
    ours = with_session()
    page = ours.request("/there?a=1&b=%2F", headers=HTML)
    assert page.challenges == ["Negotiate"]
    assert f'action="{FORM}"' in page.text
    assert 'name="next" value="/there?a=1&amp;b=%2F"' in page.text
    assert page.header("Cache-Control") == "no-store"
    assert page.header("Referrer-Policy") == "same-origin"
    assert page.header("Content-Security-Policy") == (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    assert ours.request("/").challenges == ["Negotiate", BASIC]
    plain = with_session(passwords=None).request("/", headers=HTML)
    assert "<form" not in plain.text


def test_a_page_that_loads_itself_again_has_no_form_yet():
    """A new profile of Chromium shows it, whoever has a ticket."""
    chromium = [*HTML, ("User-Agent", "Mozilla/5.0 Chrome/150.0")]
    ours = with_session()
    first = ours.request("/", headers=chromium)
    assert 'http-equiv="refresh"' in first.text
    assert "<form" not in first.text
    assert first.challenges == ["Negotiate"]
    again = [*chromium, ("Cookie", cookie_of(first))]
    for headers in (again, [*chromium, ("Cache-Control", "max-age=0")]):
        page = ours.request("/", headers=headers)
        assert 'http-equiv="refresh"' not in page.text
        assert "<form" in page.text


def test_plain_http_offers_neither():
    for ours in (site(), with_session()):
        answer = ours.request("/", headers=HTML, base_url="http://localhost")
        assert answer.challenges == ["Negotiate"]
        assert "<form" not in answer.text


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.WRONG_KEY])
def test_who_has_no_good_ticket_may_type_a_password(reason):
    ours = site()
    token = write_token(ours.realm.token(reason))
    assert ours.request("/", token).challenges == ["Negotiate", BASIC]
    ours = with_session()
    page = ours.request("/", write_token(ours.realm.token(reason)), headers=HTML)
    assert page.challenges == ["Negotiate"]
    assert "<form" in page.text
    assert escape(reason.cause) in page.text


def test_after_ntlm_basic_alone():
    ntlm = write_token(b"NTLMSSP\0" + bytes(24))
    assert site().request("/", ntlm).challenges == [BASIC]
    page = with_session().request("/", ntlm, headers=HTML)
    assert page.challenges == []
    assert "<form" in page.text
    assert site(passwords=None).request("/", ntlm).challenges == []


def test_not_required_an_apps_own_401_gets_both():
    denied = Response("own page", 401, {"WWW-Authenticate": "Bearer"})
    ours = site(inner=denied, required=False)
    assert ours.request("/").challenges == ["Bearer", "Negotiate", BASIC]
    over_http = ours.request("/", base_url="http://localhost")
    assert over_http.challenges == ["Bearer", "Negotiate"]
    ours = with_session(inner=denied, required=False)
    assert ours.request("/", headers=HTML).challenges == ["Bearer", "Negotiate"]


# --- Basic ---


def environ_of(ours, *arguments, **options):
    """What the app's environ had, and the answer."""
    return ours.request(*arguments, **options)


def test_a_right_password():
    seen = {}

    def inner(environ, start_response):
        seen.update(environ)
        return app(environ, start_response)

    ours = site(inner=inner)
    answer = ours.request("/", GOOD)
    assert let_in(answer)
    assert answer.challenges == []
    assert seen["AUTH_TYPE"] == "Basic"
    assert seen["negotiate_wsgi.identity"] == Identity(ALICE, source="password")
    assert "HTTP_AUTHORIZATION" not in seen
    assert SECRET not in repr(seen)
    assert GOOD[6:] not in repr(seen)


BAD = {
    "wrong": (WRONG, 1),
    "unknown": (basic("nobody", "x"), 1),
    "empty": (basic("alice", ""), 0),
    "no user": (basic("", "x"), 0),
    "a realm": (basic(f"alice@{REALM}", SECRET), 0),
    "a UPN": (basic("alice.smith@corp.example", SECRET), 0),
    "a full-width @": (basic(f"alice\N{FULLWIDTH COMMERCIAL AT}{REALM}", SECRET), 0),
    "a domain": (basic("CORP\\alice", SECRET), 0),
    "an SPN": (basic("HTTP/localhost", SECRET), 0),
    "a control character": (basic("ali\nce", SECRET), 0),
    "a long user": (basic("a" * 257, SECRET), 0),
    "a long password": (basic("alice", "x" * 1025), 0),
    "a NUL": (basic("alice", "x\0y"), 0),
    "not UTF-8": (basic(b"alice:\xff", None), 0),
    "no colon": (basic(b"alice", None), 0),
    "not base64": ("Basic a-b_", 0),
    "blanks within": ("Basic YWxp Y2U6eA==", 0),
    "nothing": ("Basic", 0),
    "large": ("Basic " + "A" * 100_000, 0),
}


def same(answer):
    """All of an answer that a client could compare with another one."""
    headers = [line for line in answer.headers if line[0] != "Date"]
    return answer.status, headers, answer.body


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("kind", ["basic", "html"])
def test_all_bad_passwords_get_the_same_answer(kind, case, soonest, monkeypatch):
    authorization, asked = BAD[case]
    checker = Checker()
    make = {"basic": site, "html": with_session}[kind]
    headers = {"basic": [], "html": HTML}[kind]
    reference = make().request("/x", WRONG, headers=headers)
    monkeypatch.setattr(password_verdicts, "_SOONEST", soonest)
    began = time.perf_counter()
    answer = make(realm=checker).request("/x", authorization, headers=headers)
    assert time.perf_counter() - began >= 0.25
    assert checker.asked == asked
    assert same(answer) == same(reference)
    assert answer.status == 401
    assert answer.challenges == ["Negotiate", BASIC][: 1 + (kind == "basic")]


def test_longest_user_and_password_are_asked():
    checker = Checker()
    ours = site(realm=checker)
    ours.request("/", basic("ä" * 256, "x" * 1024))
    assert checker.asked == 1


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_without_case(scheme):
    assert let_in(site().request("/", GOOD.replace("Basic", scheme)))
    assert site().request("/", WRONG.replace("Basic", scheme)).status == 401


def test_over_http_nobody_is_asked():
    checker = Checker()
    ours = with_session(realm=checker)
    for options in ({}, {"headers": [("X-Forwarded-Proto", "https")]}):
        answer = ours.request("/", GOOD, base_url="http://localhost", **options)
        assert answer.status == 401
        assert answer.challenges == ["Negotiate"]
        assert "password-over-http" in answer.text
    answer = ours.post(
        "alice", SECRET, base_url="http://localhost", headers=[*HTML, *OURS]
    )
    assert answer.status == 401
    assert "<form" not in answer.text
    assert checker.asked == 0


def test_without_the_option_basic_is_the_apps():
    seen = []

    def inner(environ, start_response):
        seen.append(environ.get("HTTP_AUTHORIZATION"))
        return app(environ, start_response)

    site(passwords=None, required=False, inner=inner).request("/", GOOD)
    site(required=False, inner=inner).request("/", GOOD)
    site(required=False, inner=inner).request("/", "Bearer x")
    assert seen == [GOOD, None, "Bearer x"]


def test_not_required_a_refused_password():
    refusals = []

    def inner(environ, start_response):
        refusals.append(get_refusal(environ))
        return app(environ, start_response)

    answer = site(required=False, inner=inner).request("/", WRONG)
    assert answer.text == "None None password-refused"
    [refusal] = refusals
    assert (refusal.detail, refusal.typed) == ("", None)


def test_the_environ_does_not_show_which_users_there_are():
    shown = []

    def inner(environ, start_response):
        shown.append(repr(environ))
        return app(environ, start_response)

    ours = site(required=False, inner=inner)
    ours.request("/", WRONG)
    assert "password-refused" in shown[0]
    assert "Preauthentication failed" not in shown[0]
    assert "alice" not in shown[0]


def fault(reason):
    return Checker(AcceptorError(reason, "as the test has asked for"))


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.KDC_UNREACHABLE, 503),
        (Reason.KDC_NOT_GENUINE, 500),
        (Reason.PASSWORDS_UNUSABLE, 500),
        (Reason.KEYTAB_UNUSABLE, 500),
    ],
)
def test_faults_that_are_not_the_clients(reason, status, required):
    ours = with_session(realm=fault(reason), required=required)
    answer = ours.request("/", GOOD)
    assert answer.status == status
    assert answer.challenges == []
    assert answer.header("Retry-After") == ("30" if status == 503 else None)
    assert "set-cookie" not in {name.lower() for name, _ in answer.headers}
    for _ in range(5):  # nothing was counted as an attempt
        assert ours.request("/", GOOD).status == status


@pytest.mark.parametrize("required", [True, False])
def test_too_many_attempts(required):
    checker = Checker()
    ours = site(realm=checker, required=required)
    for _ in range(3):
        ours.request("/", WRONG)
    answer = ours.request("/", GOOD)
    assert answer.status == 429
    assert answer.challenges == []
    assert 1795 <= int(answer.header("Retry-After")) <= 1801
    assert ours.request("/", basic("ALICE", SECRET)).status == 429
    assert checker.asked == 3
    assert let_in(ours.request("/", basic("bob", "hunter2")), f"bob@{REALM}")
    assert let_in(ours.request("/", write_token(checker.token(ALICE))))


def test_a_right_password_begins_anew():
    checker = Checker()
    ours = site(realm=checker, sign_on={"remember": 0})
    for _ in range(3):
        ours.request("/", WRONG)
        ours.request("/", WRONG)
        assert let_in(ours.request("/", GOOD))
    assert checker.asked == 9


def test_too_many_attempts_from_one_address():
    ours = site(sign_on={"attempts_from_address": 3})
    for number in range(3):
        assert ours.request("/", basic(f"user{number}", "x")).status == 401
    assert ours.request("/", GOOD).status == 429


# --- remembering ---


def test_a_right_password_is_remembered_for_a_while():
    checker = Checker()
    ours = site(realm=checker)
    for _ in range(5):
        assert let_in(ours.request("/", GOOD))
    assert checker.asked == 1
    ours.request("/", WRONG)
    assert checker.asked == 2


def test_what_is_remembered_is_no_oracle():
    checker = Checker()
    ours = site(realm=checker)
    assert let_in(ours.request("/", GOOD))
    for _ in range(3):
        ours.request("/", WRONG)
        ours.request("/", GOOD)  # the KDC does not hear of it
    assert ours.request("/", GOOD).status == 429
    assert checker.asked == 4


@pytest.mark.parametrize("times", [1, 20])
def test_requests_at_the_same_time_are_not_taken_for_guesses(times, monkeypatch):
    """As a browser that has been asked for Basic sends them, one for each asset."""
    # However busy the machine is, none of them gives up.
    monkeypatch.setattr(password_verdicts, "_SOONEST", 60)
    checker = Checker()
    ours = site(realm=checker)
    for _ in range(times):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ours.request("/", GOOD), range(8)))
        assert all(let_in(answer) for answer in answers)
    assert checker.asked <= 8  # those of the first time


def test_nothing_is_remembered_where_it_is_not_to_be():
    checker = Checker()
    ours = site(realm=checker, sign_on={"remember": 0})
    for _ in range(3):
        assert let_in(ours.request("/", GOOD))
    assert checker.asked == 3


def test_nothing_is_remembered_beyond_the_ticket():
    end = [time.time() + 60]
    identity = Identity(ALICE, source="password")
    checker = Checker(Accepted(identity, expiry=lambda: end[0]))
    ours = site(realm=checker)
    ours.request("/", GOOD)
    ours.request("/", GOOD)
    assert checker.asked == 1
    end[0] = time.time() - 1
    ours.request("/", GOOD)
    assert checker.asked == 2


class Gone(Checker):
    """A KDC that has answered once."""

    def check_password(self, user, password):
        if self.asked:
            self.answer = AcceptorError(Reason.KDC_UNREACHABLE, "gone")
        return super().check_password(user, password)


def test_what_is_remembered_is_no_oracle_either_while_the_kdc_is_gone():
    ours = site(realm=Gone())
    assert let_in(ours.request("/", GOOD))
    assert [ours.request("/", WRONG).status for _ in range(4)] == [503, 503, 503, 429]
    assert ours.request("/", GOOD).status == 429
    other = basic("bob", "x")  # of whom nothing is remembered: no attempt has failed
    assert {ours.request("/", other).status for _ in range(5)} == {503}


def test_what_is_no_password_counts_for_the_address():
    ours = site(sign_on={"attempts_from_address": 3})
    statuses = [ours.request("/", "Basic !").status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert ours.request("/", GOOD).status == 429


def test_few_requests_at_a_time_are_held(monkeypatch, soonest):
    """Each bad password waits a quarter of a second, and strangers have many."""
    monkeypatch.setattr(password_verdicts, "_SOONEST", soonest)
    ours = site(sign_on={"workers": 2, "attempts_from_address": 1000})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ours.request("/", "Basic !"), range(16)))
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) == {401, 503}
    assert statuses.count(401) >= 4
    assert ours.request("/", "Basic !").status == 401


def test_a_wrong_password_counts_also_where_the_kdc_says_so_late():
    go_on = threading.Event()

    class Slow(Checker):
        def check_password(self, user, password):
            go_on.wait(60)
            return super().check_password(user, password)

    checker = Slow()
    sign_on = {"timeout": 0.05, "attempts": 2, "workers": 8}
    ours = site(realm=checker, sign_on=sign_on)
    attempts = Attempts(2, 30, 1800, directory=checker.attempts_directory)
    for _ in range(2):
        assert ours.request("/", WRONG).status == 503
    assert attempts.take("alice", "") == Denied(1, False, "user", is_busy=True)
    go_on.set()
    wait_until(lambda: not attempts.take("alice", "").is_busy)
    assert ours.request("/", GOOD).status == 429
    assert checker.asked == 2


# --- policy and sessions ---


@pytest.mark.parametrize(
    "policy",
    [
        {"realms": ["OTHER.TEST"]},
        {"users": [f"bob@{REALM}"]},
        {"authorize": lambda identity: False},
    ],
    ids=lambda policy: next(iter(policy)),
)
def test_the_policy_counts_for_passwords(policy):
    ours = with_session(**policy)
    for answer in (ours.request("/", GOOD), ours.post("alice", SECRET)):
        assert answer.status == 403
        assert answer.challenges == []
        assert not cookie_of(answer)


def test_refusals_after_the_password_was_found_right():
    checker = Checker(Refused(Reason.NO_PAC, "none"))
    ours = site(realm=checker)
    for _ in range(5):
        assert ours.request("/", GOOD).status == 401
    assert checker.asked == 5


def test_a_session_knows_that_it_began_with_a_password():
    seen = []

    def inner(environ, start_response):
        identity = environ["negotiate_wsgi.identity"]
        seen.append((environ["AUTH_TYPE"], identity.source, identity.principal))
        return app(environ, start_response)

    ours = with_session(inner=inner)
    by_password = cookie_of(ours.request("/", GOOD))
    by_ticket = cookie_of(ours.request("/", write_token(ours.realm.token(ALICE))))
    for cookie in (by_password, by_ticket):
        assert let_in(ours.request("/", headers=[("Cookie", cookie)]))
    assert seen == [
        ("Basic", "password", ALICE),
        ("Negotiate", "ticket", ALICE),
        ("Basic", "session", ALICE),
        ("Negotiate", "session", ALICE),
    ]


def test_a_session_ends_with_the_ticket():
    identity = Identity(ALICE, source="password")
    end = time.time() + 100
    ours = with_session(realm=Checker(Accepted(identity, expiry=lambda: end)))
    line = dict(ours.request("/", GOOD).headers)["Set-Cookie"]
    assert 90 < int(re.search(r"Max-Age=(\d+)", line)[1]) <= 100


def test_basic_beside_a_session_decides():
    ours = with_session()
    cookie = ("Cookie", cookie_of(ours.request("/", GOOD)))
    bob = ours.request("/", basic("bob", "hunter2"), headers=[cookie])
    assert let_in(bob, f"bob@{REALM}")
    assert ours.request("/", WRONG, headers=[cookie]).status == 401


def test_two_layers_judge_once_and_tell_once(caplog):
    caplog.set_level(logging.DEBUG, "negotiate_wsgi")
    checker = Checker()
    sign_on = PasswordSignOn(REALM)
    inner = NegotiateMiddleware(app, acceptor=checker, passwords=sign_on)
    ours = site(realm=checker, passwords=sign_on, inner=inner, required=False)
    assert let_in(ours.request("/", GOOD))
    assert len(caplog.records) == 1
    assert ours.request("/", WRONG).status == 401
    assert checker.asked == 2
    assert [record.reason for record in caplog.records] == [
        "accepted",
        "password-refused",
    ]


@pytest.mark.parametrize(
    ("outer", "inner"), [(None, "localhost"), ("localhost", None)], ids=str
)
def test_layers_for_other_hosts_know_the_same_passwords(outer, inner):
    class OfHosts(KeytabAcceptor):
        def __init__(self, hostname):
            super().__init__(Target.of("HTTP", hostname), "one keytab")

        accept = check_password = None

    acceptors = [OfHosts(hostname) for hostname in (outer, inner)]
    checker = Checker()
    for acceptor in acceptors:
        acceptor.accept = checker.accept
        acceptor.check_password = checker.check_password
        acceptor.attempts_directory = checker.attempts_directory
    guarded = NegotiateMiddleware(app, acceptor=acceptors[1])
    assert let_in(site(realm=acceptors[0], inner=guarded).request("/", GOOD))


def test_a_layer_with_another_acceptor_lets_no_password_pass():
    stranger = NegotiateMiddleware(app, acceptor=PretendRealm())
    assert site(inner=stranger).request("/", GOOD).status == 401


# --- the form ---


def test_the_form_leads_in():
    ours = with_session()
    answer = ours.post("alice", SECRET, "/there?a=1")
    assert (answer.status, answer.header("Location")) == (303, "/there?a=1")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.challenges == []
    cookie = cookie_of(answer)
    assert let_in(ours.request("/there", headers=[("Cookie", cookie)]))
    assert cookie.startswith("__Host-negotiate=")


def test_a_wrong_password_in_the_form():
    ours = with_session()
    answer = ours.post("alice", "wrong", "/there")
    assert answer.status == 401
    assert answer.challenges == ["Negotiate"]
    chromium = [*PAGE, ("User-Agent", "Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36")]
    to_chromium = ours.post("bob", "wrong", "/there", headers=chromium)
    assert to_chromium.challenges == []  # which it would answer by another attempt
    assert to_chromium.body == answer.body
    assert 'role="alert"' in answer.text
    assert 'name="next" value="/there"' in answer.text
    assert "alice" not in answer.text
    assert answer.body == ours.post("nobody", "x", "/there").body
    assert answer.body == ours.post(f"alice@{REALM}", SECRET, "/there").body


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"username=alice",
        b"password=x",
        b"username=alice&username=alice&password=s",
        b"username=alice&password=s&password=s",
        b"username=alice&password=%ff",
        b"&".join(b"a%d=1" % number for number in range(100)),
        b"\xff\xfe",
    ],
)
def test_what_is_no_form(fields):
    checker = Checker()
    answer = with_session(realm=checker).post_fields(fields)
    assert answer.status == 401
    assert checker.asked == 0
    assert answer.body == with_session().post("alice", "wrong").body


def test_another_type_of_body():
    ours = with_session()
    body = json.dumps({"username": "alice", "password": SECRET}).encode()
    headers = [("Content-Type", "application/json"), *PAGE]
    answer = ours.request(FORM, method="POST", headers=headers, body=body)
    assert answer.status == 401


@pytest.mark.parametrize("problem", [OSError("gone"), ValueError("a bad chunk"), None])
def test_a_form_that_does_not_come(problem):
    """The client has gone, here in the middle of its password; servers raise for that what they
    like.
    """

    class Gone(io.BytesIO):
        def read(self, size=-1):
            if problem:
                raise problem
            return super().read(size)

    part = b"username=alice&password=s3c"
    environ = create_environ(
        FORM, base_url=TLS, method="POST", headers=[URLENCODED, *PAGE],
        input_stream=Gone(part),
    )  # fmt: skip
    environ["CONTENT_LENGTH"] = str(len(part) + 1)
    realm = Checker()
    guarded = NegotiateMiddleware(
        app,
        acceptor=realm,
        session=SessionCookie(KEY),
        passwords=PasswordSignOn(REALM),
    )
    _, status, _ = run_wsgi_app(guarded, environ)
    assert status == "401 Unauthorized"
    assert not realm.asked


def test_a_form_that_is_too_long():
    ours = with_session()
    checker = ours.realm
    answer = ours.post("alice", SECRET + "x" * 8192)
    assert answer.status == 413
    assert not cookie_of(answer)
    assert let_in(ours.request("/", GOOD))
    assert checker is ours.realm


OTHERS = {
    "nothing": [],
    "same-site": [("Sec-Fetch-Site", "same-site")],
    "cross-site": [("Sec-Fetch-Site", "cross-site")],
    "none": [("Sec-Fetch-Site", "none")],
    "cross-site, and our origin": [("Sec-Fetch-Site", "cross-site"), ("Origin", TLS)],
    "another origin": [("Origin", "https://evil.test")],
    "our host, another scheme": [("Origin", "http://localhost")],
    "null": [("Origin", "null")],
    "a referer alone": [("Referer", TLS + "/")],
    "a trusted origin": [("Origin", "https://portal.test")],
}


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("trusted", [(), None, ["https://portal.test"]], ids=str)
def test_the_form_of_another_site(trusted, headers):
    checker = Checker()
    ours = with_session(realm=checker, trusted_origins=trusted)
    answer = ours.post("alice", SECRET, headers=[*HTML, *headers])
    assert answer.status == 403
    assert "cross-site" in answer.text
    assert checker.asked == 0
    assert not cookie_of(answer)


def test_our_form_in_a_browser_that_names_the_origin_alone():
    assert with_session().post("alice", SECRET, headers=[("Origin", TLS)]).status == 303


ONWARD = {
    "/": "/",
    "/a/b?c=d#e": "/a/b?c=d#e",
    "/ü": "/%C3%BC",
    "//evil.test/": "/",
    "/\\evil.test/": "/",
    "\\\\evil.test": "/",
    "https://evil.test/": "/",
    "javascript:alert(1)": "/",
    "evil.test": "/",
    "/a\\b": "/",
    "/a\r\nSet-Cookie: x=y": "/",
    "/a\tb": "/",
    "/\t/evil.test": "/",
    "": "/",
    "/" + "a" * 2048: "/",
    "/" + "a" * 2047: "/" + "a" * 2047,
    FORM: "/",
    FORM + "?next=/x": "/",
    FORM + "/x": FORM + "/x",
}


@pytest.mark.parametrize(
    ("wanted", "location"), ONWARD.items(), ids=lambda text: repr(text)[:40]
)
def test_it_leads_to_no_other_site(wanted, location):
    ours = with_session()
    assert ours.post("alice", SECRET, wanted).header("Location") == location


def test_without_next_it_leads_to_the_mount_point():
    assert with_session().post("alice", SECRET).header("Location") == "/"
    mounted = with_session(mount="/apps/ü")
    answer = mounted.post("alice", SECRET, "//evil.test", path="/apps/ü" + FORM)
    assert answer.header("Location") == "/apps/%C3%BC/"


def test_next_of_what_was_asked_for():
    mounted = with_session(mount="/app")
    page = mounted.request("/app/a b?c=<d>", headers=HTML)
    assert 'action="/app/.negotiate/sign-in"' in page.text
    assert 'name="next" value="/app/a%20b?c=%3Cd%3E"' in page.text
    post = mounted.request("/app/change", method="POST", headers=[*HTML, *OURS])
    assert 'name="next" value="/app/"' in post.text


@pytest.mark.parametrize(
    "required", [True, False, lambda environ: False], ids=["yes", "no", "callable"]
)
def test_the_page_of_the_form(required):
    ours = with_session(required=required)
    page = ours.request(FORM + "?next=/there", headers=HTML)
    assert page.status == 401
    assert page.challenges == ["Negotiate"]
    assert 'name="next" value="/there"' in page.text
    cookie = cookie_of(ours.post("alice", SECRET))
    back = ours.request(FORM + "?next=/there", headers=[*HTML, ("Cookie", cookie)])
    assert (back.status, back.header("Location")) == (303, "/there")
    token = write_token(ours.realm.token(ALICE))
    by_ticket = ours.request(FORM + "?next=//evil.test", token, headers=HTML)
    assert (by_ticket.status, by_ticket.header("Location")) == (303, "/")
    assert by_ticket.challenges == [
        write_token(ours.realm.proof(base64.b64decode(token[10:])))
    ]


def test_other_methods():
    ours = with_session()
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = ours.request(FORM, method=method, headers=PAGE)
        assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD, POST")
    assert ours.request(FORM, method="HEAD", headers=HTML).status == 401


def test_without_a_session_the_path_is_the_apps():
    ours = site(required=False)
    assert ours.request(FORM).status == 200
    assert with_session(passwords=None, required=False).request(FORM).status == 200
    assert with_session(required=False).request(FORM + "/").status == 200


def test_a_page_of_ones_own_does_not_hide_the_form():
    own = Response("our own page", 401)
    ours = with_session(unauthorized=own)
    assert ours.request("/", headers=HTML).text == "our own page"
    assert "<form" in ours.request(FORM, headers=HTML).text
    assert "<form" in ours.post("alice", "wrong").text


def test_a_form_path_of_ones_own():
    ours = with_session(sign_on={"form_path": "/login"})
    assert 'action="/login"' in ours.request("/", headers=HTML).text
    assert ours.post("alice", SECRET, path="/login").status == 303


def test_the_app_never_sees_the_form():
    def inner(environ, start_response):
        raise AssertionError(Request(environ).path)

    ours = with_session(inner=inner)
    assert ours.post("alice", SECRET).status == 303
    assert ours.post("alice", "wrong").status == 401


def test_the_form_posts_to_this_site_whatever_a_client_says_of_the_mount_point():
    ours = with_session()
    environ = EnvironBuilder("/x", base_url=TLS, headers=list(HTML)).get_environ()
    environ["SCRIPT_NAME"] = "//evil.test"
    page = Response.from_app(ours.application, environ, buffered=True).get_data(True)
    assert f'action="{FORM}"' in page
    assert "evil" not in page


def test_a_form_that_is_not_quoted_is_utf_8():
    ours = with_session()
    raw = b"username=alice&password=" + SECRET.replace(" ", "+").encode()
    assert ours.post_fields(raw).status == 303
    assert ours.post_fields(raw.decode().encode("latin-1")).status == 401


# --- the log, and traces ---


def test_the_log_tells_what_the_page_does_not(caplog):
    caplog.set_level(logging.DEBUG, "negotiate_wsgi")
    ours = with_session()
    ours.request("/x", WRONG)
    ours.request("/x", basic("my password", "x"))
    ours.request("/x", GOOD, base_url="http://localhost")
    ours.request("/x", GOOD)
    wrong, unknown, in_clear, right = caplog.records
    assert (wrong.levelname, wrong.reason) == ("WARNING", "password-refused")
    assert (wrong.typed, wrong.detail) == ("alice", "Preauthentication failed")
    assert wrong.source == "password"
    assert (wrong.client, wrong.path) == ("192.0.2.1", "/x")
    assert unknown.typed == ""
    assert in_clear.reason == "password-over-http"
    assert "have the user change it" in in_clear.getMessage()
    assert (right.levelname, right.principal) == ("INFO", ALICE)
    assert right.source == "password"
    everything = "".join(str(vars(record)) for record in caplog.records)
    for secret in (SECRET, GOOD[6:], WRONG[6:], "my password"):
        assert secret not in everything


def test_guesses_fill_no_log(caplog):
    caplog.set_level(logging.INFO, "negotiate_wsgi")
    decisions = []
    ours = site(on_decision=decisions.append)
    for _ in range(50):
        ours.request("/", WRONG)
    assert [record.reason for record in caplog.records] == [
        *["password-refused"] * 3,
        "too-many-attempts",
    ]
    assert len(decisions) == 50


def locals_of(call):
    """The locals of all frames while *call* runs, as who traces exceptions stores them."""
    found = []

    def look(*arguments):
        frame = sys._getframe(1)
        stack = traceback.StackSummary.extract(
            traceback.walk_stack(frame), capture_locals=True
        )
        found.append(
            "".join(str(each.locals) for each in stack if "tests/" not in each.filename)
        )
        return True

    call(look)
    return found


def test_no_frame_that_calls_anybody_holds_the_password():
    def run(look):
        def inner(environ, start_response):
            look()
            return app(environ, start_response)

        ours = with_session(inner=inner, authorize=look, on_decision=look)
        assert let_in(ours.request("/", GOOD))
        assert ours.post("alice", SECRET).status == 303
        ours.request("/", WRONG)

    found = locals_of(run)
    assert len(found) == 6
    for text in found:
        assert SECRET not in text
        assert GOOD[6:] not in text
    assert WRONG[6:] not in found[-1]


def test_a_bug_in_a_checker_shows_no_password():
    ours = site(realm=Checker(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug") as caught:
        ours.request("/", GOOD)
    shown = "".join(
        traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        ).format()
    )
    inside = [
        text for text in shown.split('  File "') if "negotiate_wsgi/" in text[:200]
    ]
    assert inside
    for text in inside:
        assert SECRET not in text
        assert GOOD[6:] not in text
