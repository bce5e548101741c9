"""The package imports where nothing else is installed, quickly, and tells what is missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Hide())
"""


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )


def test_imports_nothing_that_it_does_not_need():
    loaded = run(
        "import negotiate_wsgi, sys; print('\\n'.join(sys.modules))"
    ).stdout.split()
    assert "negotiate_wsgi.request.middleware" in loaded
    assert not {"kerberos", "gssapi", "flask", "k5test", "ctypes"} & set(loaded)


MIDDLEWARE = "NegotiateMiddleware(print, acceptor=GssapiAcceptor({}){})"


@pytest.mark.parametrize(
    ("module", "of_acceptor", "others"),
    [
        ("acceptors.channel_bindings", "channel_binding='optional', certificate=PEM", ""),
        ("acceptors.constrained", "delegation='constrained', account='WEB$'", ""),
        ("acceptors.pac", "active_directory=True", ""),
        ("acceptors.pac", "groups={'staff': 'S-1-5-21-1-2-3-4'}", ""),
        ("request.form", "", ", passwords=package.PasswordSignOn('EXAMPLE.TEST')"),
        ("request.fleet", "", ", store=package.ValkeyStore('unix:///tmp/valkey')"),
        ("stores.protocol", "", ", store=package.ValkeyStore('unix:///tmp/valkey')"),
    ],
)  # fmt: skip
def test_what_belongs_to_an_option_is_imported_where_it_is_given(
    module, of_acceptor, others, certificate
):
    def is_loaded(of_acceptor="", others=""):
        script = (
            "import sys; import negotiate_wsgi as package;"
            "from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware;"
            f"PEM={str(certificate)!r}; {MIDDLEWARE.format(of_acceptor, others)};"
            f"print('negotiate_wsgi.{module}' in sys.modules)"
        )
        return run(script).stdout.strip()

    assert (is_loaded(), is_loaded(of_acceptor, others)) == ("False", "True")


def test_all_names_are_there():
    script = "import negotiate_wsgi as n; print(set(n.__all__) - set(dir(n)))"
    assert run(script).stdout == "set()\n"
    script = "from negotiate_wsgi import *; import negotiate_wsgi as n; {}"
    assert run(script.format("print(revoke is n.revoke)")).stdout == "True\n"
    assert "AttributeError" in run(script.format("n.no_such_name")).stderr


ANSWERS = """
import json, sys
import negotiate_wsgi
from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, SessionCookie
from werkzeug.test import Client
from table_app import app

client = Client(NegotiateMiddleware(app, {options}))
known = set(sys.modules)
statuses = set()
for path, fields in json.loads(sys.argv[1]):
    for accept in ("text/html", "text/plain", "application/json"):
        headers = {{"Accept": accept, **fields}}
        answer = client.get(path, base_url="https://localhost/", headers=headers)
        statuses.add(answer.status_code)
client.post("/", headers={{"Origin": "https://evil.example.com"}})
client.post("/.negotiate/sign-in", data={{"username": "a@b", "password": "c"}})
late = [name for name in set(sys.modules) - known if "negotiate_wsgi" in name]
print(json.dumps([sorted(statuses), late]))
"""


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ("", 200),
        ("acceptor=GssapiAcceptor()", 200),
        ("acceptor=GssapiAcceptor(active_directory=True)", 401),
        ("acceptor=GssapiAcceptor(groups={'staff': 'S-1-5-21-1-2-3-4'})", 200),
        ("acceptor=GssapiAcceptor(indicators=True, delegation='forwarded')", 200),
        ("acceptor=GssapiAcceptor(channel_binding='optional', certificate=sys.argv[2])", 200),
        ("session=SessionCookie('0123456789abcdef' * 2), acceptor=GssapiAcceptor(),"
         "passwords=negotiate_wsgi.PasswordSignOn('EXAMPLE.TEST')", 200),
        ("store=negotiate_wsgi.ValkeyStore('unix:///tmp/no-such-store')", 503),
    ],
)  # fmt: skip
def test_no_request_imports_anything_of_ours(realm, certificate, options, good):
    """A server may have given up its rights, or its root directory, by then."""
    asked = [
        ("/", {}),
        ("/.negotiate/sign-in", {}),
        ("/", {"Authorization": "Negotiate YQ=="}),
        ("/", {"Authorization": "Basic YQ=="}),
        # Of the three times that it is sent, the first one counts.
        ("/", {"Authorization": realm.authorization()}),
    ]
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS.format(options=options), json.dumps(asked), certificate],
        cwd=Path(__file__).parent, text=True, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    statuses, late = json.loads(done.stdout)
    assert {401, good} <= set(statuses)
    assert late == []


def test_import_costs_little_beside_werkzeugs():
    script = (
        "from time import process_time; began = process_time(); import werkzeug;"
        "between = process_time(); import negotiate_wsgi; ended = process_time();"
        "print((ended - between) / (between - began))"
    )
    assert min(float(run(script).stdout) for _ in range(5)) < 1


def test_imports_without_a_gssapi_binding_and_says_what_to_install():
    script = HIDE.format(hidden={"kerberos", "gssapi", "flask", "k5test"}) + (
        "import negotiate_wsgi\n"
        "try: negotiate_wsgi.NegotiateMiddleware(lambda environ, start_response: [])\n"
        "except negotiate_wsgi.ConfigurationError as problem: print(problem)\n"
    )
    done = run(script)
    assert "pip install pykerberos" in done.stdout, done.stderr


def test_realm_without_k5test_says_what_to_install():
    script = HIDE.format(hidden={"k5test"}) + (
        "from negotiate_wsgi.__main__ import main\nmain(['realm', '--', 'true'])\n"
    )
    done = run(script)
    assert done.returncode == 2
    assert "pip install 'negotiate-wsgi[realm]'" in done.stderr


def test_realm_without_a_kdc_says_which_packages_to_install(monkeypatch):
    from negotiate_wsgi import ConfigurationError
    from negotiate_wsgi.realm import realm

    monkeypatch.setattr(realm, "_PROGRAMS", ("no-such-kdc",))
    with pytest.raises(ConfigurationError, match="apt-get install krb5-kdc"):
        realm.Realm()
