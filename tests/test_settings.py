"""Sign-on in front of an application that knows nothing of it."""

import inspect
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import sites
from helpers import (
    ALICE,
    GOOD,
    KEY,
    OLD_KEY,
    NamedAcceptor,
    app,
    locals_of_ours,
    negotiate,
    set_cookies,
)
from sites import TESTS, WsgiSite, free_port

from negotiate_wsgi import (
    ConfigurationError,
    NegotiateMiddleware,
    SessionCookie,
    protect,
)
from negotiate_wsgi.settings import _READERS, from_environ

ACCEPTOR = {"acceptor": "mounted:acceptor"}


def mounted(**settings):
    return WsgiSite(protect("mounted:app", **ACCEPTOR | settings))


def answered(site, path="/", **request):
    return site.request(path, negotiate(GOOD), **request).status


@pytest.mark.parametrize("named", ["mounted:app", "mounted:create_app()", app])
def test_the_app_by_name_or_itself(named):
    site = WsgiSite(protect(named, **ACCEPTOR))
    assert site.request("/", negotiate(GOOD)).text == "alice@EXAMPLE.TEST alice None"
    assert site.request("/").status == 401


def test_every_option_can_be_written_as_text():
    middleware = set(inspect.signature(NegotiateMiddleware).parameters) - {"app"}
    cookie = set(inspect.signature(SessionCookie).parameters) - {
        "secret_key",
        "fallbacks",
    }
    exempt = {"exempt_paths", "exempt_prefixes", "exempt_preflights"}
    expected = (
        middleware
        | {f"session_{name}" for name in cookie}
        | exempt
        | {"password_realm", "password_form_path", "password_attempts"}
        | {"password_remember"}
        | {"store_prefix", "store_refresh", "store_when_down"}
        | {
            "secret_key_file",
            "log_level",
            "active_directory",
            "group_sids",
            "indicators",
            "channel_binding",
            "certificate",
            "delegation",
            "delegation_account",
        }
    )
    assert set(_READERS) == expected


def test_every_option_stands_in_the_docstring_or_is_the_middlewares():
    middleware = inspect.signature(NegotiateMiddleware).parameters
    for name in _READERS.keys() - middleware.keys():
        assert f"``{name}``" in protect.__doc__


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"realms": "EXAMPLE.TEST"}, 200),
        ({"realms": "OTHER.TEST, EXAMPLE.TEST"}, 200),
        ({"realms": ["EXAMPLE.TEST"]}, 200),
        ({"realms": "OTHER.TEST"}, 403),
        ({"authorize": "mounted:nobody"}, 403),
        ({"realms": "EXAMPLE.TEST", "strip_realm": "Yes"}, 200),
        ({"discard_body": " 0 "}, 200),
    ],
)
def test_settings_as_text(settings, status):
    assert answered(mounted(**settings)) == status


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 401),
        ({"required": "yes"}, 401),
        ({"required": "off"}, 200),
        ({"required": "mounted:never"}, 200),
        ({"exempt_paths": "/health /x"}, 401),
        ({"exempt_paths": "/"}, 200),
        ({"exempt_prefixes": "/"}, 200),
        ({"exempt_preflights": "yes"}, 401),
    ],
)
def test_whom_to_ask_as_text(settings, status):
    assert mounted(**settings).request("/").status == status


def test_gssapi_by_its_name(realm, tmp_path):
    keytab = tmp_path / "keytab"
    realm.add_service("HTTP/mounted.test", keytab)
    settings = {"acceptor": "GSSAPI", "hostname": "mounted.test", "keytab": str(keytab)}
    site = WsgiSite(protect("mounted:app", **settings))
    assert site.request("/", realm.authorization("HTTP/mounted.test")).status == 200
    assert site.request("/", realm.authorization()).status == 401
    acceptor = NamedAcceptor(ALICE)
    with pytest.raises(ConfigurationError, match="acceptor= knows its keys"):
        protect("mounted:app", acceptor=acceptor, hostname="mounted.test")


def test_pykerberos_by_its_name():
    middleware = protect("mounted:app", acceptor=" PyKerberos ", hostname="a.test")
    assert type(middleware._acceptor).__name__ == "PykerberosAcceptor"
    with pytest.raises(ConfigurationError, match="write gssapi, pykerberos or package"):
        protect("mounted:app", acceptor="kerberos")


def test_delegation_in_words():
    environ = {"NEGOTIATE_APP": "mounted:app", "NEGOTIATE_DELEGATION": "forwarded"}
    with pytest.raises(ConfigurationError, match="DELEGATION needs NEGOTIATE_ACCEPTOR"):
        from_environ(environ)
    environ["NEGOTIATE_ACCEPTOR"] = "gssapi"
    assert from_environ(environ)._acceptor.takes_credentials
    environ["NEGOTIATE_DELEGATION"] = "yes"
    with pytest.raises(ConfigurationError, match="'yes': write 'forwarded'"):
        from_environ(environ)


SIDS = "staff=S-1-5-21-1-2-3-1105, admins=S-1-5-21-1-2-3-1106"


def test_active_directory_in_words():
    environ = {
        "NEGOTIATE_APP": "mounted:app",
        "NEGOTIATE_ACCEPTOR": "gssapi",
        "NEGOTIATE_ACTIVE_DIRECTORY": "yes",
        "NEGOTIATE_GROUP_SIDS": SIDS,
        "NEGOTIATE_GROUPS": "staff",
        "NEGOTIATE_USERS": "alice@EXAMPLE.TEST bob@EXAMPLE.TEST",
    }
    middleware = from_environ(environ)
    attributes = middleware._acceptor.attributes
    assert attributes.active_directory is True
    assert attributes.groups == {
        "staff": "S-1-5-21-1-2-3-1105",
        "admins": "S-1-5-21-1-2-3-1106",
    }
    assert middleware._policy.groups == {"staff"}
    assert middleware._policy.users == {"alice@EXAMPLE.TEST", "bob@EXAMPLE.TEST"}
    for name, value, message in [
        ("NEGOTIATE_GROUP_SIDS", "staff=Domain", "'Domain' for staff.*Get-ADGroup"),
        ("NEGOTIATE_GROUP_SIDS", "staff", "has 'staff': write name=SID"),
        ("NEGOTIATE_GROUP_SIDS", f"{SIDS},staff=S-1-1-0", "has staff twice"),
        ("NEGOTIATE_GROUPS", "staff,boss", "boss, of which the acceptor has no SID"),
        ("NEGOTIATE_ACTIVE_DIRECTORY", "AD", "write yes or no"),
        ("NEGOTIATE_ACCEPTOR", "pykerberos", "needs NEGOTIATE_ACCEPTOR=gssapi"),
        ("NEGOTIATE_USERS", "alice", "'alice': write the principal with its realm"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            from_environ(environ | {name: value})


def test_groups_that_nobody_is_asked_for_are_a_warning(caplog):
    settings = {"acceptor": "gssapi", "group_sids": SIDS}
    protect("mounted:app", **settings)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "everybody may" in record.getMessage()
    caplog.clear()
    for asked in (
        {"groups": "staff"},
        {"users": "a@B"},
        {"authorize": "mounted:nobody"},
    ):
        protect("mounted:app", **settings, **asked)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"users": "bob@EXAMPLE.TEST, alice@EXAMPLE.TEST"}, 200),
        ({"users": "bob@EXAMPLE.TEST"}, 403),
        ({"groups": "staff"}, 403),
        ({"groups": "staff", "users": "alice@EXAMPLE.TEST"}, 200),
    ],
)
def test_users_and_groups_as_text(settings, status):
    assert answered(mounted(**settings)) == status


def test_trusted_origins_may_be_empty():
    foreign = [("Origin", "https://evil.test")]
    for text, status in (
        ("", 403),
        ("https://evil.test", 200),
        ("https://other.test", 403),
    ):
        site = mounted(trusted_origins=text)
        assert answered(site, method="POST", headers=foreign) == status


def test_a_session_from_a_key_file_and_its_rotation(tmp_path):
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(f"{'old' * 20}\n")
    [old] = set_cookies(
        mounted(secret_key_file=str(file)).request("/", negotiate(GOOD))
    )
    file.write_text(f"{'new' * 20}\n{'old' * 20}\n")
    settings = {
        "secret_key_file": str(file),
        "session_max_age": "60",
        "session_name": "who",
    }
    rotated = mounted(**settings | {"session_name": "negotiate"})
    assert rotated.request("/", headers=[("Cookie", old.split(";")[0])]).status == 200
    [new] = set_cookies(mounted(**settings).request("/", negotiate(GOOD)))
    assert new.startswith("who=")
    assert "Max-Age=60;" in new
    file.write_text("new" * 20)
    rotated = mounted(**settings | {"session_name": "negotiate"})
    assert rotated.request("/", headers=[("Cookie", old.split(";")[0])]).status == 401


def from_variables(**variables):
    return from_environ(
        {f"NEGOTIATE_{name}": value for name, value in variables.items()}
    )


def test_variables():
    environ = {
        "APP": "mounted:app",
        "ACCEPTOR": "mounted:acceptor",
        "REALMS": "OTHER.TEST",
    }
    assert answered(WsgiSite(from_variables(**environ))) == 403
    assert (
        answered(WsgiSite(from_variables(**environ | {"REALMS": "EXAMPLE.TEST"})))
        == 200
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"APP": None}, "NEGOTIATE_APP is missing"),
        ({"APP": ""}, "NEGOTIATE_APP='': write 'package.module:name'"),
        ({"APP": "mounted"}, "NEGOTIATE_APP='mounted': write"),
        ({"APP": "mounted.app"}, "NEGOTIATE_APP='mounted.app': write"),
        (
            {"APP": "no_such_module:app"},
            "NEGOTIATE_APP='no_such_module:app' cannot be imported",
        ),
        ({"APP": "mounted:no_such_app"}, "cannot be imported"),
        ({"APP": "mounted:acceptor"}, "write a WSGI application"),
        ({"HOSTNAM": "x"}, "no such setting: NEGOTIATE_HOSTNAM .*NEGOTIATE_HOSTNAME"),
        ({"HOSTNAME": ""}, "NEGOTIATE_HOSTNAME is empty"),
        ({"REALMS": " "}, "NEGOTIATE_REALMS is empty"),
        ({"REQUIRED": "maybe"}, "NEGOTIATE_REQUIRED='maybe': write yes or no"),
        ({"STRIP_REALM": "yes"}, "realms"),
        ({"DISCARD_BODY": "1 MB"}, "NEGOTIATE_DISCARD_BODY='1 MB': write a number"),
        ({"AUTHORIZE": "mounted"}, "NEGOTIATE_AUTHORIZE='mounted': write"),
        ({"TRUSTED_ORIGINS": "example.com"}, "trusted_origins"),
        (
            {"SECRET_KEY_FILE": "/no/such/file"},
            "NEGOTIATE_SECRET_KEY_FILE='/no/such/file' cannot",
        ),
        ({"SECRET_KEY_FILE": "/dev/null"}, "fewer than 32 bytes"),
        ({"LOG_LEVEL": "loud"}, "NEGOTIATE_LOG_LEVEL='loud': write one of .*WARNING"),
        ({"SESSION_MAX_AGE": "60"}, "needs NEGOTIATE_SECRET_KEY_FILE"),
        ({"SESSION": "mounted:app"}, "SessionCookie"),
        ({"EXEMPT_PATHS": "health"}, "such as /health"),
        (
            {"EXEMPT_PATHS": "/health", "REQUIRED": "yes"},
            "REQUIRED and NEGOTIATE_EXEMPT_.* exclude",
        ),
        ({"SECRET_KEY_FILE": "/dev/null", "SESSION": "mounted:app"}, "exclude"),
        ({"STORE": "host:6379/0"}, "^NEGOTIATE_STORE: write a URL such as"),
        ({"STORE": "http://host"}, "the URL of the store"),
        ({"STORE": "mounted:app"}, "ValkeyStore"),
        ({"STORE_REFRESH": "5"}, "needs NEGOTIATE_STORE=valkeys"),
        ({"STORE_COLOUR": "red"}, "no such setting: NEGOTIATE_STORE_COLOUR"),
        ({"STORE": "valkey://127.0.0.1", "STORE_REFRESH": "21"}, "refresh=21"),
        ({"STORE": "valkey://127.0.0.1", "STORE_WHEN_DOWN": "on"}, "when_down='on'"),
    ],
)
def test_what_is_wrong_is_a_clear_error(variables, says):
    variables = {"APP": "mounted:app", "ACCEPTOR": "mounted:acceptor"} | variables
    with pytest.raises(ConfigurationError, match=says):
        from_variables(
            **{name: value for name, value in variables.items() if value is not None}
        )


@pytest.mark.parametrize(
    "variables",
    [
        {"STORE": "valkey://u:hunter2@h:port/0"},
        {"STORE": "u:hunter2@h/0"},
        {"STORE": "valkey://u:hunter2@h/0", "STORE_REFRESH": "99"},
        {"STORE": "valkey://u:hunter2@h/0", "STORE_REFRESH": "abc"},
        {"STORE": "valkey://u:hunter2@h/0", "STORE_COLOUR": "red"},
        {"STORE": "valkey://u:hunter2@h/0", "REQUIRED": "perhaps"},
        {"STORE": "valkey://u:hunter2@127.0.0.1/0", "APP": "no.such:app"},
    ],
)
def test_no_traceback_of_a_start_has_the_stores_password(variables):
    environ = {
        f"NEGOTIATE_{name}": value
        for name, value in ({"APP": "mounted:app"} | variables).items()
    }
    settings = {name.lower(): value for name, value in variables.items()}
    settings.pop("app", None)
    for start in (
        lambda: from_environ(environ),
        lambda: protect(variables.get("APP", "mounted:app"), **settings),
    ):
        with pytest.raises(ConfigurationError) as caught:
            start()
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in locals_of_ours(caught.value)


def test_a_key_file_that_is_no_text_is_one_key(tmp_path):
    (tmp_path / "key").touch(mode=0o640)
    (tmp_path / "key").write_bytes(OLD_KEY)
    [line] = set_cookies(
        mounted(secret_key_file=str(tmp_path / "key")).request("/", negotiate(GOOD))
    )
    same = mounted(session=SessionCookie(OLD_KEY))
    assert same.request("/", headers=[("Cookie", line.split(";")[0])]).status == 200


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o602])
def test_a_key_file_that_others_can_read_or_write_is_refused(tmp_path, mode):
    file = tmp_path / "key"
    file.write_text("key" * 20)
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod o-rwx"):
        mounted(secret_key_file=str(file))
    file.chmod(0o640)
    mounted(secret_key_file=str(file))


def test_a_key_is_not_quoted(tmp_path):
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(KEY[:20].replace(" ", "-"))
    with pytest.raises(ConfigurationError, match="32 bytes") as problem:
        mounted(secret_key_file=str(tmp_path / "key"))
    assert "example" not in str(problem.value)


def run(script, **variables):
    environ = {"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"} | variables
    return subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True
    )


def test_the_module_for_servers():
    script = (
        "from negotiate_wsgi.wsgi import application; print(application.app.__name__)"
    )
    variables = {
        "NEGOTIATE_APP": "mounted:app",
        "NEGOTIATE_ACCEPTOR": "mounted:acceptor",
    }
    assert run(script, **variables).stdout == "app\n"
    failed = run(script, **variables, NEGOTIATE_REALM="EXAMPLE.TEST")
    assert "ConfigurationError: no such setting: NEGOTIATE_REALM" in failed.stderr
    assert "NEGOTIATE_APP is missing" in run(script).stderr


SIGN_ON = """
import sys
{before}
from helpers import GOOD, negotiate
from negotiate_wsgi.wsgi import application
for token in ("garbage", negotiate(GOOD)[10:]):
    environ = {{"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": f"Negotiate {{token}}"}}
    list(application(environ, lambda status, headers, exc_info=None: None))
"""
LOGGED = re.compile(
    r"^[0-9-]+ [0-9:,]+ (\w+) \[[0-9]+\] negotiate_wsgi: reason=\"(.*?)\"", re.M
)


@pytest.mark.parametrize(
    ("level", "before", "seen"),
    [
        (None, "", [("WARNING", "malformed"), ("INFO", "accepted")]),
        ("warning", "", [("WARNING", "malformed")]),
        ("CRITICAL", "", []),
        (None, "import logging; logging.getLogger().addHandler(logging.NullHandler())", []),
        (
            None,
            "import logging.config; import negotiate_wsgi.request.decisions; "
            "logging.config.dictConfig({'version': 1})",
            [("WARNING", "malformed"), ("INFO", "accepted")],
        ),
        (None, "import logging; logging.getLogger('negotiate_wsgi').addHandler(logging.NullHandler())", []),
    ],
)  # fmt: skip
def test_an_administrator_sees_why_without_configuring_anything(level, before, seen):
    variables = {
        "NEGOTIATE_APP": "mounted:app",
        "NEGOTIATE_ACCEPTOR": "mounted:acceptor",
    }
    if level:
        variables["NEGOTIATE_LOG_LEVEL"] = level
    said = run(SIGN_ON.format(before=before), **variables).stderr
    assert LOGGED.findall(said) == seen, said
    if not seen:
        assert "malformed" not in said


def test_no_line_is_there_twice_once_the_app_has_configured_its_log():
    """Radicale does so at its first request."""
    script = SIGN_ON.format(before="import logging") + (
        "logging.basicConfig(format='the app: %(message)s')\n"
        "environ = {'REQUEST_METHOD': 'GET', 'HTTP_AUTHORIZATION': 'Negotiate x'}\n"
        "list(application(environ, lambda status, headers, exc_info=None: None))\n"
    )
    variables = {
        "NEGOTIATE_APP": "mounted:app",
        "NEGOTIATE_ACCEPTOR": "mounted:acceptor",
    }
    said = run(script, **variables).stderr
    assert [reason for _, reason in LOGGED.findall(said)] == ["malformed", "accepted"]
    assert said.count("the app: reason=") == 1
    assert said.count("reason=") == 3, said


@pytest.fixture
def uwsgi(monkeypatch):
    """Starts uWSGI as an administrator would, with nothing but variables."""
    processes = []

    def start(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", str(TESTS))
        port = free_port()
        command = sites.command("uwsgi", port, "negotiate_wsgi.wsgi:application")
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return port, process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_uwsgi_s_module(uwsgi, realm):
    port, process = uwsgi(NEGOTIATE_APP="mounted:app", NEGOTIATE_HOSTNAME="localhost")
    sites.wait_for(port, process)
    url = f"http://localhost:{port}/"
    answer = subprocess.check_output(
        ["curl", "-s", "--negotiate", "-u", ":", url], text=True
    )
    assert answer == "alice@EXAMPLE.TEST alice None"
    assert "(no-credentials)" in subprocess.check_output(["curl", "-s", url], text=True)


def test_uwsgi_does_not_start_with_a_wrong_setting_and_says_which(uwsgi):
    _, process = uwsgi(NEGOTIATE_APP="mounted:app", NEGOTIATE_HOSTNAMES="localhost")
    _, said = process.communicate(timeout=120)
    assert "no such setting: NEGOTIATE_HOSTNAMES" in said
    assert process.returncode != 0


def test_paste_deploy_finds_the_filter():
    [point] = entry_points(group="paste.filter_app_factory", name="main")
    site = WsgiSite(point.load()(app, {"here": "/"}, realms="OTHER.TEST", **ACCEPTOR))
    assert answered(site) == 403
    with pytest.raises(ConfigurationError, match="no such setting: realm "):
        point.load()(app, {}, realm="OTHER.TEST")
