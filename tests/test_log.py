"""What the administrator reads: one record for one decision, and nothing secret at any level."""

import base64
import logging
import re
from urllib.parse import quote

import pytest
from helpers import (
    ALICE,
    GOOD,
    KRB5,
    NTLM,
    NamedAcceptor,
    accepted,
    app,
    negotiate,
    site_of,
    spnego,
)
from sites import WsgiSite

from negotiate_wsgi import (
    AcceptorError,
    NegotiateMiddleware,
    Reason,
    Refused,
    SessionCookie,
)
from negotiate_wsgi.request.environ import request_id


@pytest.fixture(autouse=True)
def every_level(caplog):
    caplog.set_level(logging.DEBUG)


def only(caplog):
    [record] = caplog.records
    return record


def test_an_anonymous_first_request_is_debug(caplog):
    site_of().request("/x")
    record = only(caplog)
    assert (record.name, record.levelname) == ("negotiate_wsgi", "DEBUG")
    assert record.reason == "no-credentials"


def test_an_accepted_token_is_info(caplog):
    site_of().request("/some/path", negotiate(GOOD))
    record = only(caplog)
    assert record.levelname == "INFO"
    assert record.reason == "accepted"
    assert record.principal == "alice@EXAMPLE.TEST"
    assert record.spn == "HTTP/localhost@EXAMPLE.TEST"
    for said in (
        "alice@EXAMPLE.TEST",
        "HTTP/localhost@EXAMPLE.TEST",
        "/some/path",
        "192.0.2.1",
    ):
        assert said in record.getMessage()


@pytest.mark.parametrize("required", [True, False])
def test_a_refused_token_has_reason_and_remedy_in_message_and_fields(caplog, required):
    refused = Refused(Reason.STALE_KEYTAB, "kvno 2 not found", None, "HTTP/h@R")
    site_of(refused, required=required).request("/p", negotiate(GOOD))
    record = only(caplog)
    assert record.levelname == "WARNING"
    fields = (
        record.reason,
        record.remedy,
        record.detail,
        record.client,
        record.path,
        record.spn,
    )
    expected = (
        "stale-keytab", Reason.STALE_KEYTAB.remedy, "kvno 2 not found", "192.0.2.1", "/p", "HTTP/h@R",
    )  # fmt: skip
    assert fields == expected
    for field in fields:
        assert field in record.getMessage()


@pytest.mark.parametrize(
    ("token", "reason"),
    [(b"x", "malformed"), (spnego(NTLM), "ntlm"), (b"\xa1\0", "needs-another-leg")],
)
def test_what_the_screening_refused_is_a_warning(caplog, token, reason):
    site_of().request("/", negotiate(token))
    assert (only(caplog).levelname, only(caplog).reason) == ("WARNING", reason)


def test_our_own_fault_is_an_error_that_says_what_to_mend(caplog):
    fault = AcceptorError(
        Reason.KEYTAB_UNUSABLE, "the keytab /k cannot be read by uid 33"
    )
    for required in (True, False):
        caplog.clear()
        site_of(fault, required=required).request("/", negotiate(GOOD))
        assert only(caplog).levelname == "ERROR"
        assert "/k cannot be read by uid 33" in only(caplog).getMessage()


def test_policy_decisions(caplog):
    site_of(realms=["OTHER"]).request("/", negotiate(GOOD))
    record = only(caplog)
    assert record.reason == "realm-not-allowed"
    assert (record.levelname, record.principal) == ("WARNING", "alice@EXAMPLE.TEST")


def test_a_foreign_page_is_a_warning_that_names_it(caplog):
    headers = [("Origin", "https://evil.test")]
    site_of(trusted_origins=[]).request(
        "/pay", negotiate(GOOD), method="POST", headers=headers
    )
    record = only(caplog)
    assert (record.levelname, record.reason, record.path) == (
        "WARNING",
        "cross-site",
        "/pay",
    )
    assert "https://evil.test" in record.getMessage()


def test_a_failing_authorize_is_an_error_with_its_traceback(caplog):
    def authorize(identity):
        raise ConnectionError("the directory is down")

    site_of(authorize=authorize).request("/", negotiate(GOOD))
    record = caplog.records[-1]
    assert (record.levelname, record.reason) == ("ERROR", "authorize-failed")
    assert "the directory is down" in caplog.text


def test_a_client_cannot_write_log_lines(caplog):
    evil = "x\r\nCRITICAL forged \x1b[31m\u2028"
    refused = Refused(Reason.UNKNOWN, evil, evil, evil)
    site_of(refused).request("/a%0d%0aCRITICAL%20forged", negotiate(GOOD))
    site_of(accepted(evil, evil)).request("/", negotiate(GOOD))
    for record in caplog.records:
        for text in (record.getMessage(), record.path, record.principal, record.spn):
            assert text.isprintable()


FORGED = "x', client='192.0.2.9\", client=\"192.0.2.9"


def test_no_word_of_a_clients_can_look_like_a_field(caplog):
    refused = Refused(Reason.UNKNOWN, FORGED, FORGED, FORGED)
    site_of(refused).request(f"/{quote(FORGED)}", negotiate(GOOD))
    fields = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"(?:, |$)', only(caplog).getMessage())
    assert dict(fields)["client"] == "192.0.2.1"
    assert [name for name, _ in fields].count("client") == 1
    assert only(caplog).getMessage() == ", ".join(
        f'{name}="{value}"' for name, value in fields
    )
    assert re.sub(r"\\(.)", r"\1", dict(fields)["spn"]) == FORGED


def test_no_field_is_longer_than_a_thousand_characters(caplog):
    long = "a" * 60_000
    site_of(Refused(Reason.UNKNOWN, long, long, long)).request(
        f"/{long}", negotiate(GOOD)
    )
    record = only(caplog)
    for field in (record.detail, record.principal, record.spn, record.path):
        assert len(field) == 1003
        assert field.endswith("a...")
    assert len(record.getMessage()) < 5000


def test_a_refusals_record_has_the_id_that_stands_on_its_page(caplog):
    seen = []

    def page(environ, start_response):
        seen.append(request_id(environ))
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b""]

    for _ in range(2):
        site_of(unauthorized=page).request("/")
    assert [record.request_id for record in caplog.records] == seen
    assert len(set(seen)) == 2


def test_one_record_where_layers_share_a_verdict(caplog):
    acceptor = NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(app, acceptor=acceptor)
    WsgiSite(NegotiateMiddleware(inner, acceptor=acceptor)).request(
        "/", negotiate(GOOD)
    )
    assert only(caplog).reason == "accepted"


def test_no_token_in_any_record_page_or_exception(caplog, realm, expired, skewed):
    """Genuine tokens of every fate, looked for in what was logged and shown, in every encoding."""
    key = "a secret key of thirty-two bytes"
    guarded = WsgiSite(NegotiateMiddleware(app, session=SessionCookie(key)))
    tokens = [
        realm.token(), realm.token("host/localhost"), realm.token("HTTP/no-key.test"),
        realm.token("HTTP/rotated.test"), realm.token()[:-1], expired, skewed,
        spnego(NTLM, KRB5, ticket=b"NTLMSSP\0very secret"), b"NTLMSSP\0very secret indeed",
    ]  # fmt: skip
    shown = b""
    for token in [*tokens, tokens[0]]:
        answer = guarded.request(
            "/", negotiate(token), headers=[("Cookie", "c=cookie-secret")]
        )
        if answer.status == 200:
            cookie = answer.header("Set-Cookie").split(";")[0]
            [proof] = answer.challenges
            tokens.append(base64.b64decode(proof.split()[1]))
        shown += answer.body
    for sent in (cookie, cookie[:-1]):
        shown += guarded.request("/", headers=[("Cookie", sent)]).body
    logged = "\n".join(
        f"{record.getMessage()} {vars(record)}" for record in caplog.records
    )
    assert logged.count("reason") >= len(tokens)
    for secret in ("cookie-secret", key, cookie[-20:], cookie[:20]):
        assert secret not in logged
        assert secret.encode() not in shown
    for token in tokens:
        for part in (token[-12:], token[len(token) // 2 :][:12], token[:12]):
            for text in (
                base64.b64encode(part).decode()[:14],
                part.hex(),
                repr(part)[2:-1],
            ):
                assert text not in logged
                assert text.encode() not in shown


def test_no_password_in_any_record(caplog):
    from negotiate_wsgi.realm import Realm

    with Realm(users=["alice"]) as realm:
        password = realm.password("alice")
    assert "kinit" in caplog.text
    assert password not in caplog.text


@pytest.fixture
def factory(monkeypatch):
    """Of an application that gives each record an id of its own."""
    before = logging.getLogRecordFactory()

    def make(*arguments, **options):
        record = before(*arguments, **options)
        record.request_id = "of the application"
        return record

    logging.setLogRecordFactory(make)
    yield make
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("factory")
def test_a_record_keeps_what_an_application_gives_it(caplog):
    site_of().request("/", negotiate(GOOD))
    assert only(caplog).request_id == "of the application"


@pytest.mark.usefixtures("factory")
def test_the_id_on_our_page_stands_before_it(caplog):
    site_of().request("/", negotiate(b"no token"))
    assert only(caplog).request_id not in ("", "of the application")


def test_a_record_says_where_it_was_made(caplog):
    site_of().request("/", negotiate(GOOD))
    record = only(caplog)
    assert record.filename == "decisions.py"
    assert record.funcName == "_hand_over"
    with open(record.pathname) as source:
        line = source.read().splitlines()[record.lineno - 1]
    assert line.startswith("def _hand_over(")


@pytest.mark.parametrize("way", ["filter", "disabled"])
def test_a_record_that_is_not_wanted(caplog, monkeypatch, way):
    logger = logging.getLogger("negotiate_wsgi")
    if way == "filter":
        monkeypatch.setattr(logger, "filters", [lambda record: False])
    else:
        monkeypatch.setattr(logger, "disabled", True)
    site_of().request("/", negotiate(GOOD))
    assert caplog.records == []


def test_a_failure_of_the_configuration_brings_its_traceback(caplog):
    site_of(authorize=lambda identity: 1 / 0).request("/", negotiate(GOOD))
    kind, failure, traceback = only(caplog).exc_info
    assert kind is ZeroDivisionError
    assert isinstance(failure, ZeroDivisionError)
    assert traceback is not None
