"""Passwords in Flask: the app's guard has the form, and a view is given the principal."""

import pytest
from flask import Flask, request
from helpers import HTML, KEY

from flask_adapter import init_kerberos, requires_authentication
from negotiate_wsgi import (
    AcceptorError,
    ConfigurationError,
    PasswordSignOn,
    Reason,
    SessionCookie,
)
from negotiate_wsgi.testing import PretendRealm

ALICE = "alice@EXAMPLE.TEST"
GOOD = ("alice", "secret")
TLS = "https://localhost"
FORM = "/.negotiate/sign-in"
OURS = {"Sec-Fetch-Site": "same-origin", **dict(HTML)}


class Broken(PretendRealm):
    def check_password(self, user, password):
        raise AcceptorError(Reason.KDC_UNREACHABLE, "as the test has asked for")


def app_of(realm, **options):
    app = Flask(__name__)
    options = {"passwords": PasswordSignOn("EXAMPLE.TEST"), **options}
    init_kerberos(app, acceptor=realm, **options)

    @app.get("/")
    @requires_authentication
    def index(user):
        return f"{user} {request.environ['AUTH_TYPE']}"

    @app.get("/bob")
    @requires_authentication(users=["bob@EXAMPLE.TEST"])
    def bob(user):
        return user

    @app.get("/open")
    def nobody():
        return "open"

    @app.errorhandler(401)
    def own_page(error):
        return "our own page", 401

    return app


@pytest.fixture
def realm():
    return PretendRealm(passwords={"alice": "secret"})


def test_a_view_is_given_the_principal(realm):
    client = realm.client(app_of(realm))
    assert client.get("/", auth=GOOD, base_url=TLS).text == f"{ALICE} Basic"
    ticket = client.get("/", negotiate=ALICE, base_url=TLS)
    assert ticket.text == f"{ALICE} Negotiate"
    assert client.get("/bob", auth=GOOD, base_url=TLS).status_code == 403
    assert client.get("/open", base_url=TLS).text == "open"


def test_a_wrong_password_is_an_error_that_the_app_handles(realm):
    client = realm.client(app_of(realm))
    answer = client.get("/", auth=("alice", "wrong"), base_url=TLS)
    assert (answer.status_code, answer.text) == (401, "our own page")
    challenges = answer.headers.getlist("WWW-Authenticate")
    assert challenges == ["Negotiate", 'Basic realm="EXAMPLE.TEST", charset="UTF-8"']


def test_too_many_attempts_end_before_the_view(realm):
    client = realm.client(app_of(realm))
    for _ in range(3):
        client.get("/", auth=("alice", "wrong"), base_url=TLS)
    answer = client.get("/", auth=GOOD, base_url=TLS)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"].isdigit()
    assert client.get("/", negotiate=ALICE, base_url=TLS).status_code == 200


@pytest.mark.parametrize("required", [True, False])
def test_the_form(realm, required):
    app = app_of(realm, session=SessionCookie(KEY), required=required)
    client = realm.client(app)
    page = client.get(FORM + "?next=/", headers=OURS, base_url=TLS)
    assert page.status_code == 401
    assert f'action="{FORM}"' in page.text
    typed = {"username": "alice", "password": "wrong", "next": "/"}
    wrong = client.post(FORM, data=typed, headers=OURS, base_url=TLS)
    assert wrong.status_code == 401
    typed["password"] = "secret"
    answer = client.post(FORM, data=typed, headers=OURS, base_url=TLS)
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/", base_url=TLS).text == f"{ALICE} Basic"


def test_a_kdc_that_does_not_answer():
    realm = Broken()
    answer = realm.client(app_of(realm)).get("/", auth=GOOD, base_url=TLS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def with_the_decorator_alone(realm, **config):
    app = Flask(__name__)
    app.testing = True
    app.config.update(NEGOTIATE_ACCEPTOR=realm, **config)

    @app.get("/")
    @requires_authentication
    def index(user):
        return user

    return realm.client(app)


def test_the_decorator_alone_takes_basic_and_has_no_form(realm):
    sign_on = PasswordSignOn("EXAMPLE.TEST")
    client = with_the_decorator_alone(realm, NEGOTIATE_PASSWORDS=sign_on)
    assert client.get("/", auth=GOOD, base_url=TLS).text == ALICE
    assert client.get("/", auth=("alice", "x"), base_url=TLS).status_code == 401
    session = SessionCookie(KEY)
    client = with_the_decorator_alone(
        realm, NEGOTIATE_PASSWORDS=sign_on, NEGOTIATE_SESSION=session
    )
    with pytest.raises(ConfigurationError, match="needs init_kerberos"):
        client.get("/", auth=GOOD, base_url=TLS)


def test_too_many_attempts_with_the_decorator_alone(realm):
    sign_on = PasswordSignOn("EXAMPLE.TEST", attempts=1)
    client = with_the_decorator_alone(realm, NEGOTIATE_PASSWORDS=sign_on)
    client.get("/", auth=("alice", "x"), base_url=TLS)
    assert client.get("/", auth=GOOD, base_url=TLS).status_code == 429
