"""The fixtures, as the tests of somebody else's application use them: a pytest of its own."""

import re
import subprocess
import sys

import pytest

APP = """
import pytest
from flask import Flask
from flask_adapter import requires_authentication
from negotiate_wsgi import Identity, NegotiateMiddleware, Reason, get_identity, get_refusal
from werkzeug.wrappers import Response

def app(environ, start_response):
    return Response(f"Hello {environ['REMOTE_USER']}")(environ, start_response)

guarded = NegotiateMiddleware(app, hostname="localhost")
kits = pytest.mark.parametrize("kit", ["negotiate_client", "negotiate_server"])
"""


def run(directory, tests, *arguments):
    (directory / "test_it.py").write_text(APP + tests)
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-W", "error", *arguments, directory,
    ]  # fmt: skip
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=directory, env=environ
    )


def passed(done):
    found = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return int(found[1])


def test_requests_are_signed_as_the_user_that_is_named(tmp_path):
    tests = """
@kits
def test_users(kit, request):
    client = request.getfixturevalue(kit)(guarded)
    for user in ("alice", "bob", "carol", "root/admin", "alice@EXAMPLE.TEST"):
        answer = client.get("/", negotiate=user)
        assert answer.text == f"Hello {user.removesuffix('@EXAMPLE.TEST')}@EXAMPLE.TEST"
    assert client.get("/").status_code == 401
    assert client.post("/", negotiate="alice", data={"a": "b"}).status_code == 200

@kits
def test_without_sign_on_nothing_proves_the_server(kit, request):
    client = request.getfixturevalue(kit)(Response("public"))
    assert client.get("/").status_code == 200
    with pytest.raises(AssertionError, match="proved itself"):
        client.get("/", negotiate="alice")

@kits
def test_policy(kit, request):
    only_alice = NegotiateMiddleware(app, authorize=lambda who: who.name == "alice")
    client = request.getfixturevalue(kit)(only_alice)
    assert client.get("/", negotiate="alice").status_code == 200
    assert client.get("/", negotiate="bob").status_code == 403
"""
    assert passed(run(tmp_path, tests)) == 6


def test_a_server_has_a_url_for_clients_of_your_own(tmp_path):
    tests = """
import subprocess

def test_curl(negotiate_server):
    url = negotiate_server(guarded).url
    curl = ["curl", "-s", "--negotiate", "-u", ":", url]
    assert subprocess.check_output(curl, text=True) == "Hello alice@EXAMPLE.TEST"
"""
    assert passed(run(tmp_path, tests)) == 1


def test_flasks_own_client(tmp_path):
    tests = """
def test_flask(negotiate_client):
    flask = Flask(__name__)
    flask.secret_key = "k"

    @flask.route("/")
    @requires_authentication
    def hello(user):
        return f"Hello {user}"

    client = negotiate_client(flask)
    assert client.get("/", negotiate="bob").text == "Hello bob@EXAMPLE.TEST"
    assert client.get("/").status_code == 401
    with client.session_transaction() as session:
        assert dict(session) == {}
"""
    assert passed(run(tmp_path, tests)) == 1


def test_a_pretended_realm_knows_groups_and_reasons(tmp_path):
    tests = """
STAFF = Identity("alice@EXAMPLE.TEST", groups=frozenset({"staff"}))

def test_who_may_come_in(negotiate_pretend_realm):
    client = negotiate_pretend_realm.client(
        NegotiateMiddleware(app, acceptor=negotiate_pretend_realm, groups={"staff"})
    )
    assert client.get("/", negotiate=STAFF).text == "Hello alice@EXAMPLE.TEST"
    answer = client.get("/", negotiate="bob@EXAMPLE.TEST")
    assert answer.status_code == 403
    assert "group-missing" in answer.text
    assert client.get("/", negotiate=Reason.EXPIRED).status_code == 401

seen = []

@pytest.mark.parametrize("time", range(3))
def test_it_is_fresh_for_each_test(negotiate_pretend_realm, time):
    assert negotiate_pretend_realm not in seen
    seen.append(negotiate_pretend_realm)
"""
    assert passed(run(tmp_path, tests)) == 4


def test_what_a_real_realm_cannot_do_it_says(tmp_path):
    tests = """
@kits
@pytest.mark.parametrize(
    ("negotiate", "says"),
    [
        (Identity("alice@EXAMPLE.TEST", groups=frozenset({"staff"})), "an Identity with groups"),
        (Identity("alice@EXAMPLE.TEST", sid="S-1-5-21-1-2-3-1105"), "puts none of them"),
        (Reason.EXPIRED, "negotiate=Reason.EXPIRED: the tickets of a real realm are good"),
    ],
)
def test_it(kit, request, negotiate, says, negotiate_realm):
    client = request.getfixturevalue(kit)(guarded)
    with pytest.raises(ValueError, match=says) as error:
        client.get("/", negotiate=negotiate)
    assert "Use the fixture negotiate_pretend_realm" in str(error.value)
    assert "expired" not in negotiate_realm.kadmin("listprincs")

@kits
def test_an_identity_that_is_a_name_alone_signs_on(kit, request):
    client = request.getfixturevalue(kit)(guarded)
    answer = client.get("/", negotiate=Identity("bob@EXAMPLE.TEST"))
    assert answer.text == "Hello bob@EXAMPLE.TEST"
"""
    assert passed(run(tmp_path, tests)) == 8


def test_users_and_hosts_can_be_overridden(tmp_path):
    (tmp_path / "conftest.py").write_text("""
import pytest

@pytest.fixture(scope="session")
def negotiate_users():
    return ["dave"]

@pytest.fixture(scope="session")
def negotiate_hosts():
    return ["www.example.test", "alias.test"]
""")
    tests = """
def test_realm(negotiate_realm, negotiate_client):
    assert "HTTP/alias.test@EXAMPLE.TEST" in negotiate_realm.kadmin("listprincs")
    assert "alice" not in negotiate_realm.kadmin("listprincs")
    who = lambda environ, start: Response(get_identity(environ).spn)(environ, start)
    client = negotiate_client(NegotiateMiddleware(who))
    assert client.get("/", negotiate="dave").text == "HTTP/www.example.test@EXAMPLE.TEST"
"""
    assert passed(run(tmp_path, tests)) == 1


def test_one_realm_for_a_run(tmp_path):
    tests = """
seen = []

@pytest.mark.parametrize("time", range(3))
def test_realm(negotiate_realm, time):
    seen.append(negotiate_realm.directory)
    assert len(set(seen)) == 1
"""
    assert passed(run(tmp_path, tests)) == 3


def test_it_costs_nothing_until_it_is_used(tmp_path):
    tests = """
import sys

def test_nothing_was_imported():
    assert "negotiate_wsgi.pytest_plugin" in sys.modules
    assert not {"spnego", "gssapi", "k5test", "negotiate_wsgi.realm", "negotiate_wsgi.testing"} & set(sys.modules)
"""
    assert passed(run(tmp_path, tests)) == 1


def test_without_its_extra_it_says_what_to_install(tmp_path):
    tests = """
import sys
from negotiate_wsgi import ConfigurationError

def test_it(negotiate_realm, request, monkeypatch):
    monkeypatch.setitem(sys.modules, "spnego", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'negotiate-wsgi\\[pytest\\]'"):
        request.getfixturevalue("negotiate_client")(guarded)
"""
    assert passed(run(tmp_path, tests)) == 1


@pytest.mark.parametrize(
    "expected", ["Hello bob@EXAMPLE.TEST", "Hello alice@EXAMPLE.TEST"]
)
def test_a_test_can_fail(tmp_path, expected):
    tests = f'''
def test_who(negotiate_client):
    assert negotiate_client(guarded).get("/", negotiate="alice").text == "{expected}"
'''
    done = run(tmp_path, tests)
    assert done.returncode == (0 if "alice" in expected else 1)
    assert ("1 failed" in done.stdout) == ("bob" in expected)
