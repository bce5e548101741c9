"""The identity in Flask's words, with real tickets."""

import contextlib
import io

import pytest
from flask import Blueprint, Flask, abort, request
from flask.views import MethodView, View
from helpers import (
    ALICE,
    KRB5,
    NTLM,
    NamedAcceptor,
    is_asked,
    negotiate,
    spnego,
    wait_until,
)
from sites import WsgiSite
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from flask_adapter import init_kerberos, requires_authentication
from negotiate_wsgi import (
    ConfigurationError,
    Identity,
    NegotiateMiddleware,
    Reason,
    SessionCookie,
    forget,
    get_identity,
    get_refusal,
    revoke,
)
from negotiate_wsgi.testing import MemoryStore, PretendRealm


def make_app(init=True, config=None, **options):
    app = Flask(__name__)
    app.config.update(config or {})
    if init:
        init_kerberos(app, **options)

    @app.route("/")
    def public():
        return f"public {get_identity(request.environ)}"

    @app.route("/protected", methods=["GET", "POST"])
    @requires_authentication
    def protected(user):
        return f"hello {user} {request.remote_user}"

    @app.route("/thing/<name>")
    @requires_authentication
    def with_arguments(user, name):
        return f"{user} {name}"

    @app.route("/admin")
    @requires_authentication(authorize=lambda identity: identity.name == "alice")
    def admin(user):
        return f"admin {user}"

    @app.route("/missing")
    @requires_authentication
    def missing(user):
        abort(404)

    @app.route("/own-401")
    @requires_authentication
    def own_401(user):
        return "no", 401

    return app


@pytest.fixture(params=[True, False], ids=["init_kerberos", "decorator alone"])
def init(request):
    return request.param


@pytest.fixture
def flask_site(realm, init):
    return WsgiSite(make_app(init))


def test_documented_example_of_flask_kerberos(realm, init):
    """Its README's example, with only its import changed."""
    app = Flask(__name__)

    @app.route("/protected")
    @requires_authentication
    def protected_view(user):
        return f"Hello {user}"

    if init:
        init_kerberos(app, service="HTTP", hostname="localhost")
    site = WsgiSite(app)
    assert is_asked(site.request("/protected"))
    initiator = realm.initiator()
    answer = site.request("/protected", initiator.authorization)
    assert (answer.status, answer.text) == (200, f"Hello {realm.principal()}")
    [proof] = answer.challenges
    assert initiator.trusts(proof)


def test_principal_is_the_first_argument(flask_site, realm):
    answer = flask_site.request("/protected", realm.authorization())
    assert answer.text == f"hello {realm.principal()} {realm.principal()}"
    assert is_asked(flask_site.request("/protected"))
    assert flask_site.request("/thing/x", realm.authorization(user="bob")).text == (
        f"{realm.principal('bob')} x"
    )


def test_undecorated_views_stay_public(flask_site, realm, init):
    assert flask_site.request("/").text == "public None"
    known = flask_site.request("/", realm.authorization()).text
    assert (realm.principal() in known) == init


@pytest.mark.parametrize(("path", "status"), [("/protected", 200), ("/missing", 404)])
def test_proof_on_every_status_once(flask_site, realm, path, status):
    initiator = realm.initiator()
    answer = flask_site.request(path, initiator.authorization)
    assert answer.status == status
    [proof] = answer.challenges
    assert initiator.trusts(proof)


def test_no_proof_on_a_views_own_401(flask_site, realm):
    answer = flask_site.request("/own-401", realm.authorization())
    assert (answer.status, answer.challenges) == (401, [])


def test_refusals_are_those_of_the_answer_table(flask_site, realm, monkeypatch):
    authorization = realm.authorization()
    assert flask_site.request("/protected", authorization).status == 200
    assert is_asked(flask_site.request("/protected", authorization))
    assert is_asked(flask_site.request("/protected", negotiate(b"garbage")))
    assert is_asked(
        flask_site.request("/protected", realm.authorization("host/localhost"))
    )
    ntlm = flask_site.request("/protected", negotiate(spnego(NTLM)))
    assert (ntlm.status, ntlm.challenges) == (401, [])
    monkeypatch.setenv("KRB5_KTNAME", "/no/such/keytab")
    fault = flask_site.request("/protected", realm.authorization())
    assert (fault.status, fault.challenges) == (500, [])


def test_a_views_own_question(flask_site, realm):
    assert (
        flask_site.request("/admin", realm.authorization()).text
        == "admin alice@EXAMPLE.TEST"
    )
    initiator = realm.initiator(user="bob")
    refused = flask_site.request("/admin", initiator.authorization)
    assert refused.status == 403
    assert initiator.trusts(refused.challenges[0])
    assert is_asked(flask_site.request("/admin"))


def test_an_apps_question_comes_before_a_views(realm, init):
    asked = []

    def not_bob(identity):
        asked.append(identity.name)
        return identity.name != "bob"

    site = WsgiSite(make_app(init, config={"NEGOTIATE_AUTHORIZE": not_bob}))
    assert site.request("/admin", realm.authorization()).status == 200
    assert asked == ["alice"]
    assert site.request("/protected", realm.authorization(user="bob")).status == 403
    assert site.request("/admin", realm.authorization(user="bob")).status == 403


def test_a_views_question_that_fails_is_a_500(realm, init):
    app = make_app(init)

    @app.route("/failing")
    @requires_authentication(authorize=lambda identity: 1 / 0)
    def failing(user):
        return "in"

    assert WsgiSite(app).request("/failing", realm.authorization()).status == 500


def test_options_by_keyword_and_by_config(realm, init):
    pages = {
        "NEGOTIATE_UNAUTHORIZED": Response("by config"),
        "NEGOTIATE_REALMS": ["EXAMPLE.TEST"],
    }
    site = WsgiSite(make_app(init, config=pages | {"NEGOTIATE_STRIP_REALM": True}))
    assert site.request("/protected").text == "by config"
    assert (
        site.request("/protected", realm.authorization()).text
        == "hello alice@EXAMPLE.TEST alice"
    )
    only_alias = WsgiSite(make_app(init, config={"NEGOTIATE_HOSTNAME": "alias.test"}))
    assert is_asked(only_alias.request("/protected", realm.authorization()))
    assert (
        only_alias.request("/protected", realm.authorization("HTTP/alias.test")).status
        == 200
    )


def test_keywords_win_over_config_and_complete_it(realm):
    config = {"NEGOTIATE_HOSTNAME": "alias.test", "NEGOTIATE_STRIP_REALM": True}
    app = make_app(config=config, hostname="localhost", realms=["EXAMPLE.TEST"])
    assert WsgiSite(app).request("/protected", realm.authorization()).status == 200


def test_required_guards_every_view(realm):
    site = WsgiSite(make_app(required=True))
    assert is_asked(site.request("/"))
    assert site.request("/", realm.authorization()).status == 200


def test_unknown_options_are_errors(realm):
    with pytest.raises(ConfigurationError, match="hostnam"):
        init_kerberos(Flask(__name__), hostnam="x")
    with pytest.raises(ConfigurationError, match="keytb"):
        make_app(config={"NEGOTIATE_KEYTB": "x"})


def test_init_twice_wraps_once_and_the_last_options_count(realm):
    app = make_app(hostname="alias.test")
    wrapped = app.wsgi_app
    init_kerberos(app, hostname="localhost")
    assert app.wsgi_app is wrapped
    answer = WsgiSite(app).request("/protected", realm.authorization())
    assert answer.status == 200
    assert len(answer.challenges) == 1


def test_application_factory(realm):
    def create_app(config):
        app = Flask(__name__)
        app.config.from_mapping(config)
        init_kerberos(app)
        blueprint = Blueprint("inside", __name__, url_prefix="/inside")

        @blueprint.route("/<int:number>")
        @requires_authentication
        def view(user, number):
            return f"{user} {number}"

        app.register_blueprint(blueprint)
        return app

    one = WsgiSite(create_app({"NEGOTIATE_HOSTNAME": "localhost"}))
    two = WsgiSite(create_app({"NEGOTIATE_HOSTNAME": "alias.test"}))
    assert (
        one.request("/inside/7", realm.authorization()).text == "alice@EXAMPLE.TEST 7"
    )
    assert is_asked(two.request("/inside/7", realm.authorization()))


def test_async_view(realm, init):
    app = make_app(init)

    @app.route("/async/<name>")
    @requires_authentication
    async def view(user, name):
        return f"{user} {name}"

    assert (
        WsgiSite(app).request("/async/x", realm.authorization()).text
        == "alice@EXAMPLE.TEST x"
    )


def test_class_based_views(realm, init):
    app = make_app(init)

    class Methods(MethodView):
        @requires_authentication
        def get(self, user, name):
            return f"{type(self).__name__} {user} {name}"

    class Plain(View):
        @requires_authentication
        def dispatch_request(self, user):
            return f"{type(self).__name__} {user}"

    app.add_url_rule("/methods/<name>", view_func=Methods.as_view("methods"))
    app.add_url_rule("/plain", view_func=Plain.as_view("plain"))
    site = WsgiSite(app)
    assert (
        site.request("/methods/x", realm.authorization()).text
        == "Methods alice@EXAMPLE.TEST x"
    )
    assert (
        site.request("/plain", realm.authorization()).text == "Plain alice@EXAMPLE.TEST"
    )
    assert is_asked(site.request("/plain"))


@pytest.mark.parametrize("every_request", [True, False])
def test_decorators_of_a_class_fail_at_import_and_say_what_to_write(every_request):
    class Methods(MethodView):
        decorators = [requires_authentication]  # noqa: RUF012
        init_every_request = every_request

        def get(self, user):
            return user

    with pytest.raises(ConfigurationError, match=r"def get\(self, user\)"):
        Methods.as_view("methods")


def test_a_view_without_a_parameter_for_the_principal_fails_at_import():
    def hello():
        return "hello"

    class Methods(MethodView):
        def get(self):
            return "hello"

    for view in (hello, Methods.get, lambda *, name: name):
        with pytest.raises(ConfigurationError, match="no parameter for the principal"):
            requires_authentication(view)
    for view in (lambda user: user, lambda *args: args, lambda user, *, name: user):
        assert requires_authentication(view).__wrapped__ is view


def test_no_caller_takes_a_refusal_for_a_value(realm, init):
    app = make_app(init)
    values = []

    @requires_authentication
    def helper(user):
        return f"secret of {user}"

    @app.route("/careless")
    def careless():
        values.append(helper())
        return values[-1]

    site = WsgiSite(app)
    assert is_asked(site.request("/careless"))
    assert values == []
    assert (
        site.request("/careless", realm.authorization()).text
        == "secret of alice@EXAMPLE.TEST"
    )


def test_the_apps_own_error_pages_see_a_refusal_and_the_browser_its_challenge(
    realm, init
):
    app = make_app(init)
    seen = []

    def page(error):
        seen.append((type(error).__name__, get_refusal(request.environ)))
        return f"our own {error.code}", error.code

    app.register_error_handler(401, page)
    app.register_error_handler(403, page)
    app.register_error_handler(500, page)
    site = WsgiSite(app)
    answer = site.request("/protected")
    assert is_asked(answer)
    assert (answer.text, answer.header("Cache-Control")) == ("our own 401", "no-store")
    initiator = realm.initiator(user="bob")
    answer = site.request("/admin", initiator.authorization)
    assert (answer.status, answer.text) == (403, "our own 403")
    [proof] = answer.challenges
    assert initiator.trusts(proof)
    assert [name for name, _ in seen] == ["Unauthorized", "Forbidden"]
    assert seen[1][1].reason is Reason.NOT_AUTHORIZED
    assert site.request("/protected", realm.authorization()).status == 200


def test_who_catches_a_refusal_goes_on_as_whom_they_were(realm, init):
    app = make_app(init)

    @requires_authentication(authorize=lambda identity: False)
    def only_nobody(user):
        return user

    @app.route("/catching")
    @requires_authentication
    def catching(user):
        with contextlib.suppress(Forbidden):
            only_nobody()
        return f"{user} {get_identity(request.environ).name} {request.remote_user}"

    answer = WsgiSite(app).request("/catching", realm.authorization())
    assert answer.text == "alice@EXAMPLE.TEST alice alice@EXAMPLE.TEST"


def test_a_views_own_no_is_one_decision_with_the_decorator_alone():
    decisions = []
    options = {"ACCEPTOR": NamedAcceptor(ALICE), "ON_DECISION": decisions.append}
    app = Flask(__name__)
    app.config.update({f"NEGOTIATE_{name}": value for name, value in options.items()})

    @app.route("/")
    @requires_authentication(authorize=lambda identity: False)
    def hello(user):
        return user

    assert WsgiSite(app).request("/", negotiate(spnego(KRB5))).status == 403
    assert [decision.outcome for decision in decisions] == ["refused"]


def test_both_questions_are_asked_and_answered_strictly():
    for first, second, status in (
        (True, True, 200),
        (True, False, 403),
        (False, True, 403),
        ((False, "no"), True, 500),
        (True, "yes", 500),
    ):
        app = Flask(__name__)
        app.config["NEGOTIATE_ACCEPTOR"] = NamedAcceptor(ALICE)
        app.config["NEGOTIATE_AUTHORIZE"] = lambda identity, answer=first: answer

        @app.route("/")
        @requires_authentication(authorize=lambda identity, answer=second: answer)
        def hello(user):
            return user

        assert WsgiSite(app).request("/", negotiate(spnego(KRB5))).status == status


STAFF = Identity("alice@EXAMPLE.TEST", groups=frozenset({"staff"}))
BOSS = Identity("boss@EXAMPLE.TEST", groups=frozenset({"staff", "bosses"}))
BOB = Identity("bob@EXAMPLE.TEST")


@pytest.mark.parametrize("init", [True, False], ids=["init", "decorator alone"])
@pytest.mark.parametrize(
    ("of_the_app", "let_in"),
    [
        ({}, {"staff": "alice boss", "bob": "bob", "both": "alice boss bob", "yes": "boss"}),
        ({"groups": ["bosses"]}, {"staff": "boss", "bob": "", "both": "boss", "yes": "boss"}),
        ({"users": ["bob@EXAMPLE.TEST"]}, {"staff": "", "bob": "bob", "both": "bob", "yes": ""}),
        (
            {"authorize": lambda identity: identity.name != "boss"},
            {"staff": "alice", "bob": "bob", "both": "alice bob", "yes": ""},
        ),
    ],
    ids=["any", "groups", "users", "authorize"],
)  # fmt: skip
def test_users_and_groups_of_a_view_beside_the_apps(init, of_the_app, let_in):
    realm = PretendRealm()
    app = Flask(__name__)
    options = {"acceptor": realm, **of_the_app}
    if init:
        init_kerberos(app, **options)
    else:
        app.config.update(
            {f"NEGOTIATE_{name.upper()}": value for name, value in options.items()}
        )
    questions = {
        "staff": {"groups": {"staff"}},
        "bob": {"users": ["bob@EXAMPLE.TEST"]},
        "both": {"users": ["bob@EXAMPLE.TEST"], "groups": ["staff"]},
        "yes": {"groups": ["bosses"], "authorize": lambda identity: True},
    }
    for name, question in questions.items():
        view = requires_authentication(**question)(lambda user: user)
        app.add_url_rule(f"/{name}", name, view)
    client = realm.client(app)
    for name, expected in let_in.items():
        came_in = []
        for user in (STAFF, BOSS, BOB):
            answer = client.get(f"/{name}", negotiate=user)
            assert answer.status_code in (200, 403)
            if answer.status_code == 200:
                came_in.append(user.name)
        assert " ".join(came_in) == expected, name


def test_names_that_can_be_read_only_once_are_read_once():
    realm = PretendRealm()
    app = Flask(__name__)
    init_kerberos(app, acceptor=realm)
    groups = (name for name in ["staff"])
    app.add_url_rule("/", "x", requires_authentication(groups=groups)(str))
    assert realm.client(app).get("/", negotiate=STAFF).status_code == 200
    assert realm.client(app).get("/", negotiate=BOB).status_code == 403


def test_a_group_that_a_view_misses_is_one_decision_with_the_decorator_alone():
    seen = []
    realm = PretendRealm()
    app = Flask(__name__)
    app.config.update(NEGOTIATE_ACCEPTOR=realm, NEGOTIATE_ON_DECISION=seen.append)
    app.add_url_rule("/", "x", requires_authentication(groups=["staff"])(str))
    assert realm.client(app).get("/", negotiate=BOB).status_code == 403
    assert [decision.reason for decision in seen] == [Reason.GROUP_MISSING]


def test_what_is_wrong_with_a_decorator_is_said_at_import():
    with pytest.raises(ConfigurationError, match=r"groups='staff'"):
        requires_authentication(groups="staff")
    with pytest.raises(ConfigurationError, match="with its realm"):
        requires_authentication(users=["alice"])

    async def ask(identity):
        return True

    for authorize in ("admins", 5, ask):
        with pytest.raises(ConfigurationError, match="authorize="):
            requires_authentication(authorize=authorize)


def test_a_method_of_a_class_that_is_no_view_of_flasks(realm, init):
    app = make_app(init)

    class Pages:
        name = "pages"

        @requires_authentication
        def index(self, user):
            return f"{self.name} {user}"

    app.add_url_rule("/pages", view_func=Pages().index)
    answer = WsgiSite(app).request("/pages", realm.authorization())
    assert answer.text == "pages alice@EXAMPLE.TEST"


def test_a_header_that_the_app_trusts_needs_init_kerberos():
    app = Flask(__name__)
    app.config["NEGOTIATE_ACCEPTOR"] = NamedAcceptor(ALICE)
    app.config["NEGOTIATE_USER_HEADER"] = "X-Remote-User"

    @app.route("/")
    @requires_authentication
    def hello(user):
        return user

    app.testing = True  # Flask shows errors to its tests, and a stranger a 500
    with pytest.raises(ConfigurationError, match="needs init_kerberos"):
        app.test_client().get("/")


def test_layers_outside_of_the_guard_are_named(caplog):
    def white_noise(inner):
        return lambda environ, start_response: inner(environ, start_response)

    for required, wrapped, warns in (
        (True, True, True),
        (True, False, False),
        (False, True, False),
    ):
        caplog.clear()
        app = Flask(__name__)
        init_kerberos(app, acceptor=NamedAcceptor(ALICE), required=required)
        if wrapped:
            app.wsgi_app = white_noise(app.wsgi_app)
        site = WsgiSite(app)
        site.request("/")
        site.request("/")
        named = [
            record for record in caplog.records if "white_noise" in record.getMessage()
        ]
        assert len(named) == warns
        assert all(record.levelname == "WARNING" for record in named)


def test_decorated_twice_or_under_other_layers(realm, init):
    app = make_app(init)

    @app.route("/twice")
    @requires_authentication
    @requires_authentication
    def twice(outer, inner):
        return f"{outer} {inner}"

    layers = WsgiSite(NegotiateMiddleware(app, required=False))
    answer = layers.request("/twice", realm.authorization())
    assert answer.text == "alice@EXAMPLE.TEST alice@EXAMPLE.TEST"
    assert len(answer.challenges) == 1


def test_nobody_else_speaks_for_the_user(realm, init):
    app = make_app(init)

    def forging(environ, start_response):
        environ |= {
            "REMOTE_USER": "root",
            "negotiate_wsgi.identity": "root",
            "flask_adapter.vouched": True,
        }
        return app(environ, start_response)

    site = WsgiSite(forging)
    assert is_asked(site.request("/protected"))
    assert "root" not in site.request("/protected", realm.authorization()).text


@pytest.mark.parametrize("read_before", [False, True])
def test_body_of_a_refused_request_is_read_once(realm, init, read_before):
    app = make_app(init)

    @app.before_request
    def read():
        if read_before:
            request.get_data()

    class Body(io.BytesIO):
        def read(self, size=-1):
            assert size > 0
            chunk = super().read(size)
            assert chunk, "waits for bytes that nobody announced"
            return chunk

    body = Body(b"x" * 1000)
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/protected", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": body,
        "CONTENT_LENGTH": "1000", "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    response = Response.from_app(app, environ)
    assert response.status_code == 401
    assert body.tell() == 1000


def test_adapter_remembers_names(realm):
    @requires_authentication
    def some_view(user):
        """Its docstring."""

    assert (some_view.__name__, some_view.__doc__) == ("some_view", "Its docstring.")


@pytest.fixture
def session_site(realm, init):
    app = make_app(
        init,
        config={
            "NEGOTIATE_SESSION": SessionCookie("a key of thirty-two bytes or more")
        },
    )

    @app.route("/sign-off")
    @requires_authentication
    def sign_off(user):
        forget(request.environ)
        return f"bye {user}"

    return WsgiSite(app)


def cookies(answer):
    return [value for name, value in answer.headers if name == "Set-Cookie"]


@pytest.mark.parametrize(("path", "status"), [("/protected", 200), ("/missing", 404)])
def test_session(session_site, realm, path, status):
    initiator = realm.initiator()
    first = session_site.request(path, initiator.authorization)
    assert first.status == status
    [cookie] = cookies(first)
    [proof] = first.challenges
    assert initiator.trusts(proof)
    assert (first.header("Cache-Control"), first.header("Vary")) == (
        "private",
        "Cookie",
    )
    second = session_site.request(path, headers=[("Cookie", cookie.split(";")[0])])
    assert (second.status, second.challenges, cookies(second)) == (status, [], [])
    assert second.header("Cache-Control") == "private"
    assert is_asked(
        session_site.request(path, headers=[("Cookie", cookie[:-100].split(";")[0])])
    )


def test_forget_in_a_view(session_site, realm):
    cookie = cookies(session_site.request("/protected", realm.authorization()))[
        0
    ].split(";")[0]
    for answer in (
        session_site.request("/sign-off", headers=[("Cookie", cookie)]),
        session_site.request("/sign-off", realm.authorization()),
    ):
        assert answer.text == f"bye {realm.principal()}"
        [cleared] = cookies(answer)
        assert cleared.startswith("negotiate=; ")


def test_forget_in_a_view_ends_it_on_all_machines(init):
    def site(store):
        options = {
            "acceptor": NamedAcceptor(ALICE),
            "session": SessionCookie("a key of thirty-two bytes or more"),
            "store": store,
        }
        if init:
            flask = make_app(**options)
        else:
            config = {f"NEGOTIATE_{name.upper()}": options[name] for name in options}
            flask = make_app(False, config)
        flask.add_url_rule("/leave", view_func=requires_authentication(leave))
        return WsgiSite(flask)

    def leave(user):
        forget(request.environ)
        return f"bye {user}"

    store = MemoryStore()
    here, there = site(store), site(store.elsewhere())
    session, other = (
        [("Cookie", cookies(here.request("/protected", token))[0].split(";")[0])]
        for token in (negotiate(spnego(KRB5)), negotiate(spnego(KRB5, ticket=b"b")))
    )
    assert there.request("/protected", headers=session).status == 200
    assert here.request("/leave", headers=session).text == "bye alice@EXAMPLE.TEST"
    wait_until(lambda: there.request("/protected", headers=session).status == 401)
    assert there.request("/protected", headers=other).status == 200


def test_a_view_s_own_question_is_asked_of_a_session_too(session_site, realm):
    answers = [
        session_site.request("/protected", realm.authorization(user=u))
        for u in ("alice", "bob")
    ]
    alice, bob = ([("Cookie", cookies(answer)[0].split(";")[0])] for answer in answers)
    assert (
        session_site.request("/admin", headers=alice).text == "admin alice@EXAMPLE.TEST"
    )
    assert session_site.request("/admin", headers=bob).status == 403


@pytest.mark.parametrize("path", ["/protected", "/admin"])
def test_machines_that_share_a_store(init, path):
    def site(**options):
        options["acceptor"] = NamedAcceptor(ALICE)
        options["session"] = SessionCookie("a key of thirty-two bytes or more")
        if init:
            return WsgiSite(make_app(**options))
        config = {f"NEGOTIATE_{name.upper()}": each for name, each in options.items()}
        return WsgiSite(make_app(False, config))

    token = negotiate(spnego(KRB5))
    alone = [site().request(path, token).status for _ in range(2)]
    assert alone == [200, 200]
    store = MemoryStore()
    here, there = site(store=store), site(store=store.elsewhere())
    signed_on = here.request(path, token)
    assert (signed_on.status, there.request(path, token).status) == (200, 401)
    session = [("Cookie", cookies(signed_on)[0].split(";")[0])]
    assert there.request(path, headers=session).status == 200
    revoke(store, "alice@EXAMPLE.TEST")
    wait_until(lambda: there.request(path, headers=session).status == 401)
    store.fault = "gone"
    assert there.request(path, negotiate(spnego(KRB5, ticket=b"new"))).status == 503
