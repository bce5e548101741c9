"""Decisions as data: the same that the log says, for whoever counts."""

import base64
import dataclasses
import logging
import time

import pytest
from flask import Flask
from helpers import (
    ALICE,
    GOOD,
    KEY,
    NTLM,
    NamedAcceptor,
    app,
    negotiate,
    set_cookies,
    site_of,
    spnego,
)
from sites import WsgiSite

from flask_adapter import init_kerberos, requires_authentication
from negotiate_wsgi import (
    AcceptorError,
    ConfigurationError,
    Decision,
    NegotiateMiddleware,
    Reason,
    Refused,
    SessionCookie,
)
from negotiate_wsgi.wire.authorization import token_size

SPN = "HTTP/localhost@EXAMPLE.TEST"


def told(authorization=None, result=ALICE, **options):
    decisions = []
    site_of(result, on_decision=decisions.append, **options).request("/", authorization)
    return [
        (d.outcome, d.reason, d.principal, d.spn, d.source, d.token_size)
        for d in decisions
    ]


SIZE = len(GOOD)
USER = "alice@EXAMPLE.TEST"


@pytest.mark.parametrize(
    ("expected", "asked"),
    [
        ([("accepted", None, USER, SPN, "ticket", SIZE)], {"authorization": negotiate(GOOD)}),
        ([("asked", Reason.NO_CREDENTIALS, None, None, None, 0)], {}),
        ([("asked", Reason.NO_CREDENTIALS, None, None, None, 0)], {"authorization": "Basic YTpi"}),
        ([], {"required": False}),
        (
            [("refused", Reason.STALE_KEYTAB, None, "HTTP/h@R", None, SIZE)],
            {"authorization": negotiate(GOOD), "result": Refused(Reason.STALE_KEYTAB, "", None, "HTTP/h@R")},
        ),
        (
            [("failed", Reason.KEYTAB_UNUSABLE, None, None, None, SIZE)],
            {"authorization": negotiate(GOOD), "result": AcceptorError(Reason.KEYTAB_UNUSABLE, "x")},
        ),
        (
            [("refused", Reason.REALM_NOT_ALLOWED, USER, SPN, "ticket", SIZE)],
            {"authorization": negotiate(GOOD), "realms": ["OTHER"]},
        ),
    ],
)  # fmt: skip
def test_decisions(expected, asked):
    assert told(**asked) == expected


def test_what_the_screening_refused():
    token = spnego(NTLM)
    assert told(negotiate(token)) == [
        ("refused", Reason.NTLM, None, None, None, len(token))
    ]


def test_a_foreign_page():
    decisions = []
    guarded = site_of(trusted_origins=[], on_decision=decisions.append)
    guarded.request("/", method="POST", headers=[("Origin", "https://evil.test")])
    assert [d.reason for d in decisions] == [Reason.CROSS_SITE]


def test_sessions():
    decisions = []
    session = SessionCookie(KEY)
    [line] = set_cookies(site_of(session=session).request("/", negotiate(GOOD)))
    cookie = [("Cookie", line.split(";")[0])]
    site_of(session=session, on_decision=decisions.append).request("/", headers=cookie)
    site_of(session=session, on_decision=decisions.append, realms=[]).request(
        "/", headers=cookie
    )
    assert [(d.outcome, d.reason, d.source, d.principal) for d in decisions] == [
        ("accepted", None, "session", USER),
        ("refused", Reason.REALM_NOT_ALLOWED, "session", USER),
    ]


def test_a_session_is_a_debug_record(caplog):
    caplog.set_level(logging.DEBUG)
    session = SessionCookie(KEY)
    guarded = site_of(session=session)
    [line] = set_cookies(guarded.request("/", negotiate(GOOD)))
    guarded.request("/", headers=[("Cookie", line.split(";")[0])])
    ticket, known = caplog.records
    assert (ticket.levelname, ticket.source) == ("INFO", "ticket")
    assert (known.levelname, known.source, known.principal) == (
        "DEBUG",
        "session",
        USER,
    )


def test_seconds_are_those_until_the_decision():
    class Slow(NamedAcceptor):
        def accept(self, token):
            time.sleep(0.05)
            return super().accept(token)

    decisions = []
    guarded = NegotiateMiddleware(
        app, acceptor=Slow(ALICE), on_decision=decisions.append
    )
    began = time.perf_counter()
    WsgiSite(guarded).request("/", negotiate(GOOD))
    between = time.perf_counter()
    WsgiSite(guarded).request("/")
    ended = time.perf_counter()
    slow, fast = (d.seconds for d in decisions)
    assert 0.05 <= slow <= between - began
    assert 0 <= fast <= ended - between


def test_layers_that_share_a_verdict_tell_once():
    decisions = []
    acceptor, session = NamedAcceptor(ALICE), SessionCookie(KEY)
    options = {
        "acceptor": acceptor,
        "session": session,
        "on_decision": decisions.append,
    }
    layers = WsgiSite(
        NegotiateMiddleware(NegotiateMiddleware(app, **options), **options)
    )
    [line] = set_cookies(layers.request("/", negotiate(GOOD)))
    layers.request("/", headers=[("Cookie", line.split(";")[0])])
    assert [d.source for d in decisions] == ["ticket", "session"]


def test_flask_tells_once():
    decisions = []
    flask = Flask(__name__)
    session = SessionCookie(KEY)
    init_kerberos(
        flask,
        acceptor=NamedAcceptor(ALICE),
        session=session,
        on_decision=decisions.append,
    )

    @flask.route("/")
    @requires_authentication
    def hello(user):
        return user

    guarded = WsgiSite(flask)
    guarded.request("/")
    [line] = set_cookies(guarded.request("/", negotiate(GOOD)))
    guarded.request("/", headers=[("Cookie", line.split(";")[0])])
    assert [(d.outcome, d.source) for d in decisions] == [
        ("asked", None), ("accepted", "ticket"), ("accepted", "session")
    ]  # fmt: skip


def test_what_goes_wrong_there_is_no_matter_of_the_request(caplog):
    def fail(decision):
        raise ConnectionError("the counter is down")

    guarded = site_of(on_decision=fail)
    assert guarded.request("/", negotiate(GOOD)).status == 200
    assert guarded.request("/").status == 401
    assert "the counter is down" in caplog.text


def test_a_decision_is_frozen_and_holds_no_token():
    decisions = []
    site_of(on_decision=decisions.append).request("/", negotiate(GOOD))
    [decision] = decisions
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.principal = "root@R"
    shown = repr(decision) + repr(dataclasses.asdict(decision))
    assert base64.b64encode(GOOD).decode()[:20] not in shown
    assert repr(GOOD)[2:20] not in shown
    assert isinstance(decision, Decision)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
def test_token_size(size):
    encoded = base64.b64encode(bytes(size)).decode()
    assert token_size(f"Negotiate {encoded}") == size
    assert token_size(f"negotiate  {encoded}") == size
    for other in (None, "", "Negotiate", f"Basic {encoded}"):
        assert token_size(other) == 0


def test_wrong_option():
    with pytest.raises(ConfigurationError, match="callable"):
        site_of(on_decision="print")


def test_the_seconds_end_with_the_decision_and_not_with_the_log(caplog, monkeypatch):
    logger = logging.getLogger("negotiate_wsgi")
    handler = logging.Handler(logging.INFO)
    logged = []
    decisions = []

    def emit(record):
        logged.append(time.perf_counter())
        time.sleep(0.05)

    handler.emit = emit
    monkeypatch.setattr(logger, "handlers", [handler])
    caplog.set_level(logging.INFO, logger.name)
    began = time.perf_counter()
    site_of(ALICE, on_decision=decisions.append).request("/", negotiate(GOOD))
    [decision] = decisions
    assert decision.seconds < logged[0] - began
