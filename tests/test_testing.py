"""Can my tests have it, with no KDC? The pretended realm speaks the protocol of the real one."""

import base64
import dataclasses
import inspect

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import Client
from werkzeug.wrappers import Response

from flask_adapter import delegated, init_kerberos, requires_authentication
from negotiate_wsgi import (
    Acceptor,
    DelegationError,
    Identity,
    NegotiateMiddleware,
    Reason,
    SessionCookie,
    get_delegated,
    get_identity,
    get_refusal,
)
from negotiate_wsgi.testing import PretendRealm
from negotiate_wsgi.wire.authorization import read_token, screen

ALICE = "alice@EXAMPLE.TEST"


def app(environ, start_response):
    identity, refusal = get_identity(environ), get_refusal(environ)
    said = f"{identity and identity.principal} {identity and identity.spn} {refusal and refusal.reason}"
    return Response(said)(environ, start_response)


def client(realm=None, **options):
    realm = realm or PretendRealm()
    return realm.client(NegotiateMiddleware(app, acceptor=realm, **options))


def test_signs_on_as_whom_the_test_names():
    guarded = client()
    for user in (ALICE, "bob/admin@OTHER.TEST", "üser@EXAMPLE.TEST"):
        assert (
            guarded.get("/", negotiate=user).text
            == f"{user} HTTP/localhost@EXAMPLE.TEST None"
        )
    anonymous = guarded.get("/")
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"] == "Negotiate"


def test_what_a_test_delegates_is_what_the_app_gets():
    """As long as the request lasts, and for that request alone."""
    seen = []

    def lends(environ, start_response):
        seen.append((environ, get_delegated(environ)))
        return Response("body")(environ, start_response)

    realm = PretendRealm()
    guarded = realm.client(NegotiateMiddleware(lends, acceptor=realm))
    credentials = object()
    guarded.get("/", negotiate=ALICE, delegated=credentials).close()
    guarded.get("/", negotiate=ALICE).close()
    (first, given), (_, none) = seen
    assert (given, none) == (credentials, None)
    with pytest.raises(DelegationError, match="has ended"):
        get_delegated(first)
    refused = guarded.get("/", negotiate=Reason.EXPIRED, delegated=credentials)
    assert refused.status_code == 401
    assert len(seen) == 2


def test_what_a_test_delegates_to_flask():
    realm = PretendRealm()
    flask = Flask("front")
    flask.config["NEGOTIATE_ACCEPTOR"] = realm

    @flask.route("/")
    @requires_authentication
    def view(user):
        return f"{user} {delegated()}"

    said = realm.client(flask).get("/", negotiate=ALICE, delegated="credentials")
    assert said.text == f"{ALICE} credentials"


def test_every_method_and_body():
    guarded = client()
    for method in ("get", "post", "put", "patch", "delete", "options"):
        answer = getattr(guarded, method)(
            "/", negotiate=ALICE, data={"a": "b"}, headers={"X-Y": "z"}
        )
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "reason", [r for r in Reason if r is not Reason.NO_CREDENTIALS], ids=str
)
def test_every_reason_can_be_had(reason):
    answer = client().get("/", negotiate=reason)
    assert answer.status_code == reason.status
    assert f"({reason})" in answer.text
    optional = client(required=False).get("/", negotiate=reason)
    assert optional.text == f"None None {reason}"


def test_policy_is_the_real_one():
    guarded = client(realms=["EXAMPLE.TEST"], authorize=lambda who: who.name == "alice")
    assert guarded.get("/", negotiate=ALICE).status_code == 200
    for user in ("bob@EXAMPLE.TEST", "alice@OTHER.TEST"):
        assert guarded.get("/", negotiate=user).status_code == 403
    anonymous = "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS"
    assert client().get("/", negotiate=anonymous).status_code == 403


def test_sessions_are_the_real_ones():
    guarded = client(session=SessionCookie("a key of thirty-two bytes or more"))
    assert guarded.get("/", negotiate=ALICE).status_code == 200
    assert guarded.get("/").text == f"{ALICE} None None"


def test_a_token_is_good_for_once_and_for_its_own_realm():
    realm, other = PretendRealm(), PretendRealm()
    token = realm.token(ALICE)
    assert realm.accept(token).identity.principal == ALICE
    assert realm.accept(token).reason is Reason.REPLAYED
    assert realm.accept(other.token(ALICE)).reason is Reason.WRONG_KEY
    fresh = realm.token(ALICE)
    for position in range(fresh.index(b"a pretended"), len(fresh)):
        changed = bytearray(fresh)
        changed[position] ^= 1
        assert realm.accept(bytes(changed)).reason is Reason.WRONG_KEY
    assert realm.accept(fresh).identity.principal == ALICE


@pytest.mark.parametrize(
    "garbage", [b"", b"x", b"a pretended ticket: ", b"a pretended ticket: {}"]
)
def test_garbage(garbage):
    assert PretendRealm().accept(garbage).reason is Reason.WRONG_KEY


def test_tokens_are_framed_as_a_browser_s():
    realm = PretendRealm()
    for user in (ALICE, "x" * 200 + "@R", "x" * 40_000 + "@R"):
        token = realm.token(user)
        assert screen(token) is None
        assert read_token(f"Negotiate {base64.b64encode(token).decode()}") == token


def test_what_is_not_guarded_does_not_prove_itself():
    realm = PretendRealm()
    with pytest.raises(AssertionError, match="guard this URL"):
        realm.client(app).get("/", negotiate=ALICE)

    class Careless(PretendRealm):
        def proof(self, token):
            return (
                super().proof(token + b"x") if self.accepting else super().proof(token)
            )

        def accept(self, token):
            self.accepting = True
            answer = super().accept(token)
            self.accepting = False
            return answer

    with pytest.raises(AssertionError, match="proved"):
        client(Careless()).get("/", negotiate=ALICE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"negotiate": "alice"}, "principal"),
        ({"negotiate": Reason.NO_CREDENTIALS}, "leave"),
        ({"negotiate": ALICE, "follow_redirects": True}, "one by one"),
    ],
)
def test_wrong_arguments_say_what_to_write_instead(options, says):
    with pytest.raises(ValueError, match=says):
        client().get("/", **options)


def test_flasks_own_client():
    flask = Flask(__name__)
    realm = PretendRealm()
    init_kerberos(flask, acceptor=realm)

    @flask.route("/")
    @requires_authentication
    def hello(user):
        return f"Hello {user} {request.args.get('q')}"

    with realm.client(flask) as guarded:
        assert isinstance(guarded, FlaskClient)
        assert guarded.get("/?q=1", negotiate=ALICE).text == f"Hello {ALICE} 1"
        assert guarded.get("/").status_code == 401
        assert (
            guarded.get("/", negotiate=Reason.NTLM).headers.getlist("WWW-Authenticate")
            == []
        )


def test_it_is_an_acceptor():
    assert (
        list(inspect.signature(PretendRealm().accept).parameters)
        == list(inspect.signature(Acceptor.accept).parameters)[1:]
    )
    assert isinstance(client(), Client)


def test_signs_on_with_groups():
    realm = PretendRealm()
    guarded = client(realm, groups={"staff"}, session=SessionCookie("k" * 31 + "x"))
    staff = Identity(
        ALICE, groups=frozenset({"staff", "all"}), account="alice", sid="S-1-5-21-1"
    )
    assert guarded.get("/", negotiate=staff).status_code == 200
    assert guarded.get("/").status_code == 200  # by the session
    stranger = client(realm, groups={"staff"})
    for user in (ALICE, Identity(ALICE), Identity(ALICE, groups=frozenset({"all"}))):
        answer = stranger.get("/", negotiate=user)
        assert answer.status_code == 403
        assert "group-missing" in answer.text
    with pytest.raises(ValueError, match="write a principal"):
        stranger.get("/", negotiate=Identity("alice"))


def test_an_identity_signs_on_as_it_is():
    seen = []

    def tell(environ, start_response):
        seen.append(get_identity(environ))
        return Response()(environ, start_response)

    realm = PretendRealm()
    named = Identity(
        ALICE, "HTTP/other@R", "session", frozenset({"a", "b"}), "Alice", "S-1-5-21-1",
        frozenset({"pkinit"}),
    )  # fmt: skip
    realm.client(NegotiateMiddleware(tell, acceptor=realm)).get("/", negotiate=named)
    spn = "HTTP/localhost@EXAMPLE.TEST"
    assert seen == [dataclasses.replace(named, spn=spn, source="ticket")]
