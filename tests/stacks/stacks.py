"""What people really run, and through what, each with real tickets and with none.

Run by tests/stacks/run, and not among the other tests: what it needs takes minutes to install.
"""

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import sites
from helpers import wait_until
from manual import DOCS, ROOT, blocks_of
from sites import BIN

HERE = Path(__file__).parent
USERS = ("alice", "bob")


class Stack:
    """What *command(port)* serves, such as an application of stacks_apps, with a directory as its home."""

    def __init__(self, home, command, **environ):
        self.port = sites.free_port()
        self.home = home
        places = os.pathsep.join([str(HERE), str(sites.TESTS)])
        environ = {
            **os.environ,
            "PYTHONPATH": places,
            "STACK_HOME": str(home),
            **environ,
        }
        with (home / "log").open("w") as log:
            self.process = subprocess.Popen(
                list(map(str, command(self.port))), cwd=home, env=environ,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            sites.wait_for(self.port, self.process)
        except AssertionError:
            raise AssertionError((home / "log").read_text()) from None

    request = sites.HttpSite.request
    close = sites.HttpSite.close

    @property
    def told(self):
        return (self.home / "told").read_text() if (self.home / "told").exists() else ""


def gunicorn(application, *arguments):
    return lambda port: [
        BIN / "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket", *arguments,
        f"stacks_apps:{application}",
    ]  # fmt: skip


def uwsgi(*arguments):
    return lambda port: [
        shutil.which("uwsgi"), "--plugin", "python3", "--home", sys.prefix, "--master",
        "--die-on-term", "--need-app", "--http-socket", f"127.0.0.1:{port}",
        "--module", "stacks_apps:application", "--buffer-size", "65535", *arguments,
    ]  # fmt: skip


def served_by(server):
    return lambda port: [sys.executable, HERE / "serve.py", server, port]


SERVERS = {
    "gunicorn sync": gunicorn("application"),
    "gunicorn gthread": gunicorn("application", "--threads", "4"),
    "gunicorn gevent": gunicorn("application", "--worker-class", "gevent"),
    "gunicorn --preload": gunicorn("application", "--preload", "--workers", "2"),
    "uWSGI prefork": uwsgi("--processes", "2"),
    "uWSGI lazy-apps": uwsgi("--processes", "2", "--lazy-apps", "--threads", "4"),
    "waitress": lambda port: [
        BIN / "waitress-serve", f"--listen=127.0.0.1:{port}", "stacks_apps:application"
    ],
    "a2wsgi on uvicorn": lambda port: [
        BIN / "uvicorn", "--factory", "--port", port, "stacks_apps:asgi"
    ],
} | {
    name: served_by(name)
    for name in (
        "cheroot", "bjoern", "tornado", "twisted", "gevent_pywsgi", "werkzeug", "wsgiref",
    )
}  # fmt: skip


@pytest.fixture
def start(realm, tmp_path):
    started = []

    def start(command, **environ):
        home = tmp_path / str(len(started))
        home.mkdir()
        started.append(Stack(home, command, **environ))
        return started[-1]

    yield start
    for stack in started:
        stack.close()


def signed_on(stack, realm, path="/", user="alice", **options):
    """The answer to a ticket; that it proves the server is looked at."""
    initiator = realm.initiator(user=user)
    answer = stack.request(path, initiator.authorization, **options)
    [proof] = answer.challenges
    assert initiator.trusts(proof)
    return answer


def assert_asks(stack, path="/", **options):
    answer = stack.request(path, **options)
    assert (answer.status, answer.challenges) == (401, ["Negotiate"])


@pytest.mark.parametrize("server", SERVERS)
def test_server(start, realm, server):
    stack = start(SERVERS[server])
    assert_asks(stack)
    assert_asks(stack, authorization="Negotiate YIGq")
    assert_asks(stack, method="POST", body=b"x" * 3_000_000)
    for user in USERS * 3:
        answer = signed_on(stack, realm, user=user)
        assert (answer.status, answer.text) == (200, f"{user}@EXAMPLE.TEST")
    posted = signed_on(stack, realm, method="POST", body=b"x" * 3_000_000)
    assert posted.text == "alice@EXAMPLE.TEST"


@pytest.mark.parametrize("server", ["gunicorn sync", "uWSGI prefork", "tornado"])
def test_a_replay_is_seen_by_every_worker(start, realm, server):
    stack = start(SERVERS[server])
    authorization = realm.authorization()
    assert stack.request("/", authorization).status == 200
    for _ in range(5):
        assert stack.request("/", authorization).status == 401


def test_flask_appbuilder(start, realm):
    stack = start(gunicorn("flask_appbuilder()"))
    assert_asks(stack, "/login/")
    answer = signed_on(stack, realm, "/login/")
    assert answer.status == 302
    cookie = [("Cookie", answer.header("Set-Cookie").split(";")[0])]
    assert signed_on(stack, realm, "/me", headers=cookie).text == "alice@EXAMPLE.TEST"


def file_of_the_manual(name):
    page = DOCS / "howto" / "superset-airflow.md"
    [block] = [block for block in blocks_of(page) if block.caption == name]
    return block.text.replace("www.example.com", "localhost")


def cookies_of(*answers):
    """What a browser sends after these."""
    taken = [
        value.split(";")[0]
        for answer in answers
        for name, value in answer.headers
        if name.lower() == "set-cookie"
    ]
    return [("Cookie", "; ".join(taken))]


@pytest.fixture
def superset(start, tmp_path, monkeypatch):
    config = tmp_path / "superset_config.py"
    config.write_text(
        f'SECRET_KEY = "{"k" * 42}"\nSQLALCHEMY_DATABASE_URI = "sqlite:///{tmp_path}/db"\n'
        + file_of_the_manual(config.name)
    )
    monkeypatch.setenv("SUPERSET_CONFIG_PATH", str(config))
    monkeypatch.setenv("FLASK_APP", "superset")
    programs = ROOT / ".venv" / "superset" / "bin"
    for arguments in (["db", "upgrade"], ["init"]):
        command = [programs / "superset", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return start(
        lambda port: [
            programs / "gunicorn", "--bind", f"127.0.0.1:{port}", "--timeout", "120",
            "--threads", "4", "superset.app:create_app()",
        ]
    )  # fmt: skip


def test_superset(superset, realm):
    assert superset.request("/health").status == 200
    assert_asks(superset, "/superset/welcome/")
    for user in USERS:
        logged_in = signed_on(superset, realm, "/login/", user=user)
        assert logged_in.status == 302
        me = signed_on(
            superset, realm, "/api/v1/me/", user=user, headers=cookies_of(logged_in)
        )
        assert json.loads(me.text)["result"]["username"] == f"{user}@EXAMPLE.TEST"
    # A ticket alone has not gone through Superset's own log-in.
    assert superset.request("/api/v1/me/", realm.authorization()).status == 401


@pytest.fixture
def airflow(start, tmp_path, monkeypatch):
    config = file_of_the_manual("airflow.cfg")
    config = config.replace("/etc/airflow", str(tmp_path))
    (tmp_path / "airflow.cfg").write_text(
        f"{config}\n[api]\nsecret_key = {'k' * 42}\n[api_auth]\njwt_secret = {'j' * 64}\n"
    )
    (tmp_path / "webserver_config.py").write_text(
        file_of_the_manual("webserver_config.py")
    )
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    airflow = ROOT / ".venv" / "airflow" / "bin" / "airflow"
    done = subprocess.run([airflow, "db", "migrate"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return start(
        lambda port: [
            airflow,
            "api-server",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--workers",
            "1",
        ]
    )


def test_airflow(airflow, realm):
    assert_asks(airflow, "/auth/login/")
    for user in USERS:
        logged_in = signed_on(airflow, realm, "/auth/login/", user=user)
        assert logged_in.status == 302
        me = airflow.request("/ui/auth/me", headers=cookies_of(logged_in))
        assert json.loads(me.text)["username"] == f"{user}@EXAMPLE.TEST"
    # The provider's own tokens are for passwords, and nobody whom a ticket brought has one.
    for password, status in (("", 400), ("alice", 401)):
        asked = json.dumps({"username": "alice@EXAMPLE.TEST", "password": password})
        answer = airflow.request(
            "/auth/token",
            method="POST",
            body=asked.encode(),
            headers=[("Content-Type", "application/json")],
        )
        assert answer.status == status
    # Outside of /auth/, nobody asks for a ticket, and a ticket is nobody's.
    for authorization in (None, realm.authorization()):
        assert airflow.request("/ui/auth/me", authorization).status == 401


def test_radicale(start, realm):
    stack = start(gunicorn("radicale()"))
    assert_asks(stack, "/", method="PROPFIND")
    own = signed_on(stack, realm, "/alice@EXAMPLE.TEST/", method="PROPFIND")
    assert own.status == 207
    assert "alice@EXAMPLE.TEST" in own.text.replace("%40", "@")
    assert (
        signed_on(stack, realm, "/bob@EXAMPLE.TEST/", method="PROPFIND").status == 403
    )


def test_wsgidav(start, realm):
    stack = start(gunicorn("wsgidav()"))
    assert_asks(stack, "/file")
    assert signed_on(stack, realm, "/file").text == "a file"
    put = signed_on(stack, realm, "/new", method="PUT", body=b"written")
    assert put.status == 201
    assert (stack.home / "dav" / "new").read_text() == "written"


def test_trac(start, realm):
    stack = start(gunicorn("trac()"))
    assert_asks(stack, "/wiki")
    for user in USERS:
        answer = signed_on(stack, realm, "/prefs", user=user)
        assert answer.status == 200
        shown = re.sub("<.*?>", "", unescape(answer.text))
        assert f"logged in as {user}@" in shown


def test_django_admin(start, realm):
    stack = start(gunicorn("django_admin()"))
    assert_asks(stack, "/admin/")
    admitted = signed_on(stack, realm, "/admin/")
    assert (admitted.status, "Site administration" in admitted.text) == (200, True)
    assert "alice@EXAMPLE.TEST" in admitted.text
    assert (
        signed_on(stack, realm, "/admin/", user="bob").status == 302
    )  # to a log-in: no staff


def secrets(realm):
    initiator = realm.initiator()
    return initiator, initiator.authorization.split()[1]


@pytest.mark.parametrize("inside", [True, False])
def test_opentelemetry(start, realm, inside):
    """Inside the guard it never sees a token. Around it, it does, and has to be told to sanitize."""
    stack = start(gunicorn(f"opentelemetry(inside={inside})"))
    assert_asks(stack)
    initiator, token = secrets(realm)
    assert stack.request("/", initiator.authorization).text == "alice@EXAMPLE.TEST"
    # A span is told of when the answer has been sent. Around, the first request has one, too.
    count = 1 if inside else 2
    wait_until(
        lambda: stack.told.count('"http.request.header.authorization"') == 1 - inside
    )
    wait_until(lambda: stack.told.count('"trace_id"') == count)
    assert (token in stack.told) == (not inside)


@pytest.mark.parametrize("inside", [True, False])
def test_sentry(start, realm, inside):
    """An app's exception, with all local variables of all frames: no token among them."""
    stack = start(gunicorn(f"sentry(inside={inside})"))
    assert_asks(stack)
    assert "LookupError" not in stack.told
    initiator, token = secrets(realm)
    assert stack.request("/", initiator.authorization).status == 500
    event = stack.told
    assert "LookupError" in event
    assert token not in event
    assert base64.b64decode(token)[:200].hex() not in event


def polled(stack, query, authorization=None, **options):
    return stack.request(
        f"/socket.io/?EIO=4&transport=polling{query}", authorization, **options
    )


def test_flask_socketio(start, realm):
    stack = start(gunicorn("flask_socketio()", "--threads", "4"))
    assert polled(stack, "").status == 401
    opened = polled(stack, "", realm.authorization(user="bob"))
    assert opened.status == 200
    session = f"&sid={json.loads(opened.text[1:])['sid']}"
    assert polled(stack, session).status == 401
    said = polled(
        stack, session, realm.authorization(user="bob"), method="POST", body=b"40"
    )
    assert said.status == 200
    heard = ""
    while "hello" not in heard:
        heard += polled(stack, session, realm.authorization(user="bob")).text
    assert '["hello","bob@EXAMPLE.TEST"]' in heard


def test_whitenoise_inside_the_guard_asks_and_around_it_does_not(start, realm):
    inside, around = (
        start(gunicorn(f"whitenoise(inside={each})")) for each in (True, False)
    )
    assert_asks(inside, "/static/file")
    assert signed_on(inside, realm, "/static/file").text == "a file"
    assert around.request("/static/file").text == "a file"
    assert_asks(around, "/")
    assert signed_on(around, realm).text == "alice@EXAMPLE.TEST"


def test_dispatcher(start, realm):
    stack = start(gunicorn("dispatched()"))
    assert stack.request("/").text == "None"
    assert_asks(stack, "/guarded")
    assert signed_on(stack, realm, "/guarded").text == "alice@EXAMPLE.TEST"


def test_proxy_fix_around_the_guard(start, realm):
    stack = start(gunicorn("behind_proxy_fix()"))
    forwarded = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "www.example.test"),
    ]
    assert_asks(stack, headers=forwarded)
    assert signed_on(stack, realm, headers=forwarded).text == "alice@EXAMPLE.TEST"


def test_optional_sign_on_over_a_kept_connection(start, realm):
    """Nobody is taken for who came before on the same connection."""
    stack = start(gunicorn("optional", "--threads", "4"))
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=120)
    for user in ("alice", None, "bob", None):
        headers = {"Authorization": realm.authorization(user=user)} if user else {}
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse().read().decode()
        assert answer == (f"{user}@EXAMPLE.TEST" if user else "None")
    connection.close()
