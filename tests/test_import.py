"""The package imports where nothing else is installed, quickly, and tells what is missing."""

import subprocess
import sys

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
