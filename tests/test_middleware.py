"""The questions in their order, with an acceptor of our own: no KDC, in milliseconds."""

import traceback

import pytest
from helpers import (
    ALICE,
    GOOD,
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
    ConfigurationError,
    NegotiateMiddleware,
    Reason,
    Refused,
)


def test_identity_and_proof():
    answer = site_of().request("/", negotiate(GOOD))
    assert answer.text == "alice@EXAMPLE.TEST alice None"
    assert answer.challenges == ["Negotiate cHJvb2Y="]


def test_no_proof_without_a_mutual_token():
    answer = site_of(accepted("alice@R")).request("/", negotiate(GOOD))
    assert (answer.status, answer.challenges) == (200, [])


@pytest.mark.parametrize("token", [b"garbage", spnego(NTLM), b"NTLMSSP\0"])
def test_what_fails_the_screening_never_reaches_the_acceptor(token):
    guarded = site_of()
    assert guarded.request("/", negotiate(token)).status == 401
    assert guarded.request("/", "Basic YTpi").status == 401
    assert guarded.acceptor.tokens == []
    assert guarded.request("/", negotiate(GOOD)).status == 200
    assert guarded.acceptor.tokens == [GOOD]


@pytest.mark.parametrize("reason", [r for r in Reason if r.status == 401], ids=str)
def test_refused(reason):
    assert site_of(Refused(reason)).request("/", negotiate(GOOD)).status == 401
    optional = site_of(Refused(reason), required=False).request("/", negotiate(GOOD))
    assert (optional.status, optional.text) == (200, f"None None {reason}")


@pytest.mark.parametrize(
    "reason", [Reason.KEYTAB_UNUSABLE, Reason.REPLAY_CACHE_UNUSABLE]
)
def test_acceptor_error_is_a_500(reason):
    fault = AcceptorError(reason, "detail")
    answer = site_of(fault).request("/", negotiate(GOOD))
    assert (answer.status, answer.challenges) == (500, [])
    assert "detail" not in answer.text
    assert site_of(fault, required=False).request("/", negotiate(GOOD)).status == 200


def test_a_bug_of_an_acceptor_is_no_pass():
    for required in (True, False):
        with pytest.raises(ZeroDivisionError):
            site_of(ZeroDivisionError(), required=required).request(
                "/", negotiate(GOOD)
            )


@pytest.mark.parametrize("failure", [ValueError("secret"), KeyError("secret")])
def test_authorize_raises_is_a_500_without_its_text(failure):
    def authorize(identity):
        raise failure

    for required in (True, False):
        answer = site_of(authorize=authorize, required=required).request(
            "/", negotiate(GOOD)
        )
        assert answer.status == 500
        assert b"secret" not in answer.body


def test_policy_holds_where_sign_on_is_not_required():
    guarded = site_of(required=False, realms=["OTHER"])
    assert guarded.request("/", negotiate(GOOD)).status == 403
    assert guarded.request("/").status == 200


def test_strip_realm():
    assert site_of(realms=["EXAMPLE.TEST"], strip_realm=True).request(
        "/", negotiate(GOOD)
    ).text == ("alice alice None")


def test_custom_pages_may_read_the_refusal_or_not():
    from werkzeug.wrappers import Response

    guarded = site_of(
        accepted("bob@R"),
        unauthorized=Response("ask"),
        forbidden=Response("no"),
        realms=["S"],
    )
    assert guarded.request("/").text == "ask"
    assert guarded.request("/", negotiate(b"x")).text == "ask"
    forbidden = guarded.request("/", negotiate(GOOD))
    assert (forbidden.status, forbidden.text) == (403, "no")


def test_a_constant_header_list_stays_as_it_was_after_1000_requests_by_different_users():
    headers = [("Content-Type", "text/plain")]

    def constant(environ, start_response):
        start_response("200 OK", headers)
        return [b""]

    guarded = site_of(inner=constant)
    for number in range(1000):
        guarded.acceptor.result = accepted(
            f"user{number}@R", None, b"proof %d" % number
        )
        assert len(guarded.request("/", negotiate(GOOD)).challenges) == 1
    assert headers == [("Content-Type", "text/plain")]


def test_close_is_called_once_and_the_iterable_is_the_apps_own():
    class Body:
        closed = 0

        def __iter__(self):
            return iter([b"x"])

        def close(self):
            self.closed += 1

    body = Body()

    def closable(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    assert site_of(inner=closable).request("/", negotiate(GOOD)).body == b"x"
    assert body.closed == 1


def test_nothing_is_buffered():
    seen = []

    def streaming(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for part in (b"1", b"2"):
            seen.append(part)
            yield part

    guarded = NegotiateMiddleware(streaming, acceptor=NamedAcceptor(ALICE))
    environ = {"HTTP_AUTHORIZATION": negotiate(GOOD), "REQUEST_METHOD": "GET"}
    answer = iter(guarded(environ, lambda status, headers, exc_info=None: None))
    assert seen == []
    assert next(answer) == b"1"
    assert seen == [b"1"]


@pytest.mark.parametrize("outer_required", [True, False])
def test_a_token_is_judged_once_where_layers_share_an_acceptor(outer_required):
    acceptor = NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(app, acceptor=acceptor)
    layers = WsgiSite(
        NegotiateMiddleware(inner, acceptor=acceptor, required=outer_required)
    )
    answer = layers.request("/", negotiate(GOOD))
    assert answer.text == "alice@EXAMPLE.TEST alice None"
    assert answer.challenges == ["Negotiate cHJvb2Y="]
    assert acceptor.tokens == [GOOD]


def test_a_layer_with_another_acceptor_judges_for_itself():
    doubtful = NamedAcceptor(Refused(Reason.WRONG_KEY))
    inner = NegotiateMiddleware(app, acceptor=doubtful)
    layers = WsgiSite(NegotiateMiddleware(inner, acceptor=NamedAcceptor(ALICE)))
    assert layers.request("/", negotiate(GOOD)).status == 401
    assert doubtful.tokens == [GOOD]


@pytest.mark.parametrize("answer", [None, 0, "", "no", (False, "no"), []], ids=repr)
def test_required_that_answers_neither_true_nor_false_is_a_500(answer):
    answered = site_of(required=lambda environ: answer).request("/")
    assert (answered.status, answered.challenges) == (500, [])
    assert "required-failed" in answered.text
    assert site_of(required=lambda environ: False).request("/").status == 200


def test_required_that_raises_is_a_500(caplog):
    def required(environ):
        raise LookupError("no such rule")

    assert site_of(required=required).request("/").status == 500
    [record] = caplog.records
    assert (record.levelname, record.reason) == ("ERROR", "required-failed")
    assert "no such rule" in caplog.text
    assert site_of(required=required).request("/", negotiate(GOOD)).status == 200


def test_the_judged_credential_is_taken_out_of_what_the_app_sees():
    seen = []

    def see(environ, start_response):
        seen.append(environ.get("HTTP_AUTHORIZATION"))
        assert negotiate(GOOD)[10:] not in repr(environ)
        return app(environ, start_response)

    guarded = site_of(inner=see, required=False)
    for said in (
        negotiate(GOOD),
        negotiate(b"garbage"),
        "Bearer x",
        "Basic YTpi",
        None,
    ):
        guarded.request("/", said)
    assert seen == [None, None, "Bearer x", "Basic YTpi", None]


def test_a_bug_of_an_acceptor_leaves_no_token_in_the_locals_of_its_traceback():
    class Buggy:
        def accept(self, token):
            try:
                copy = bytes(token)
                raise KeyError(len(copy))
            except KeyError as error:
                raise RuntimeError("a bug") from error

    guarded = NegotiateMiddleware(app, acceptor=Buggy())
    environ = {"HTTP_AUTHORIZATION": negotiate(GOOD), "REQUEST_METHOD": "GET"}
    with pytest.raises(RuntimeError, match="a bug") as caught:
        guarded(environ, None)
    encoded = negotiate(GOOD)[10:]
    assert "HTTP_AUTHORIZATION" not in environ
    tracebacks = [
        caught.value.__traceback__.tb_next,
        caught.value.__cause__.__traceback__,
    ]
    frames = [frame for tb in tracebacks for frame, _ in traceback.walk_tb(tb)]
    assert len(frames) >= 5
    for frame in frames:
        for value in frame.f_locals.values():
            assert encoded not in repr(value)
            assert repr(GOOD)[2:-1] not in repr(value)


def test_a_foreign_pages_token_is_not_left_for_the_403_page():
    def page(environ, start_response):
        assert "HTTP_AUTHORIZATION" not in environ
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]

    guarded = site_of(forbidden=page)
    foreign = [("Origin", "https://evil.test")]
    answer = guarded.request("/", negotiate(GOOD), method="POST", headers=foreign)
    assert (answer.status, answer.body) == (403, b"no")
    assert guarded.acceptor.tokens == []


def test_a_client_cannot_name_itself_in_a_header_that_the_app_trusts():
    def whoami(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ.get("HTTP_X_REMOTE_USER", "nobody").encode()]

    guarded = site_of(inner=whoami, required=False, user_header="X-Remote-User")
    forged = [
        ("X-Remote-User", "root"),
        ("X_Remote_User", "root"),
        ("x-remote_user", "root"),
    ]
    for line in forged:
        assert guarded.request("/", headers=[line]).text == "nobody"
        assert (
            guarded.request("/", negotiate(GOOD), headers=[line]).text
            == "alice@EXAMPLE.TEST"
        )
    trusting = site_of(inner=whoami, required=False)
    assert (
        trusting.request("/", headers=forged[:1]).text == "root"
    )  # why there is the option


def test_required_sees_an_environ_that_nobody_has_forged():
    seen = []

    def required(environ):
        seen.append(environ.get("REMOTE_USER"))
        return True

    guarded = NegotiateMiddleware(app, acceptor=NamedAcceptor(ALICE), required=required)
    environ = {"REMOTE_USER": "root", "wsgi.input": None, "REQUEST_METHOD": "GET"}
    list(guarded(environ, lambda *_: None))
    assert seen == [None]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strip_realm": True}, "realms"),
        ({"strip_realm": True, "realms": []}, "realms"),
        ({"strip_realm": True, "realms": ["A.TEST", "B.TEST"]}, "exactly one realm"),
        ({"user_header": "Authorization"}, "user_header"),
        ({"unauthorized": "page"}, "unauthorized='page': write a WSGI application"),
        ({"forbidden": 5}, "forbidden=5"),
        ({"strip_realm": "no", "realms": ["A.TEST"]}, "True or False"),
        ({"realms": "EXAMPLE.TEST"}, r"\['EXAMPLE.TEST'\]"),
        ({"required": "no"}, "True, False"),
        ({"discard_body": -1}, "bytes"),
        ({"discard_body": None}, "bytes"),
        ({"discard_seconds": 0}, "more than 0"),
        ({"discard_seconds": "30"}, "more than 0"),
        ({"discard_seconds": float("inf")}, "more than 0"),
        ({"authorize": "admins"}, "callable"),
        ({"session": object()}, "session"),
        ({"acceptor": object()}, "accept"),
        (
            {"acceptor": NamedAcceptor(ALICE), "hostname": "x"},
            "give service, hostname, keytab",
        ),
        (
            {"acceptor": NamedAcceptor(ALICE), "keytab": "x"},
            "give service, hostname, keytab",
        ),
        (
            {"acceptor": NamedAcceptor(ALICE), "service": "x"},
            "give service, hostname, keytab",
        ),
        ({"service": "HTTP/www"}, "'HTTP'"),
        ({"service": ""}, "'HTTP'"),
        ({"hostname": "HTTP@www"}, "www.example.com"),
        ({"hostname": ["www", ""]}, "www.example.com"),
        ({"hostname": []}, "None"),
        ({"keytab": ""}, "KRB5_KTNAME"),
    ],
)
def test_wrong_options_say_what_to_write_instead(options, says):
    with pytest.raises(ConfigurationError, match=says):
        NegotiateMiddleware(app, **options)


def test_options_are_keyword_only_and_the_app_is_one():
    with pytest.raises(TypeError):
        NegotiateMiddleware(app, "HTTP")
    with pytest.raises(ConfigurationError, match="WSGI"):
        NegotiateMiddleware("app")
