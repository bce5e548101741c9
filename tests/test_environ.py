"""How does the app hear of it?"""

import pytest

from negotiate_wsgi import (
    ConfigurationError,
    Identity,
    Reason,
    Refusal,
    get_identity,
    get_refusal,
)
from negotiate_wsgi.request.environ import (
    RequestSession,
    cleanse,
    key_of_header,
    publish,
    session_of,
)


def test_cleanse_deletes_what_only_we_may_say_and_nothing_else():
    environ = {
        "REMOTE_USER": "root",
        "AUTH_TYPE": "Other",
        "negotiate_wsgi.identity": Identity("root@R"),
        "negotiate_wsgi.refusal": "x",
        "negotiate_wsgi.delegated": "x",
        "negotiate_wsgi.verdict": "handed down",
        "negotiate_wsgi.session": "x",
        "negotiate_wsgi.preflight": True,
        "negotiate_wsgi.request_id": "x",
        "HTTP_REMOTE_USER": "header",
        "HTTP_AUTHORIZATION": "Basic YTpi",
        "negotiate": "x",
    }
    assert cleanse(environ) == "handed down"
    assert environ == {
        "HTTP_REMOTE_USER": "header",
        "HTTP_AUTHORIZATION": "Basic YTpi",
        "negotiate": "x",
    }
    assert cleanse({}) is None


def test_what_becomes_of_a_session_is_handed_down():
    environ = {"negotiate_wsgi.session": RequestSession(), "REMOTE_USER": "root"}
    handed_down = session_of(environ)
    assert handed_down is not None
    cleanse(environ)
    assert session_of(environ) is handed_down
    assert "REMOTE_USER" not in environ
    assert session_of({"negotiate_wsgi.session": "forged"}) is None


def test_publish():
    environ = {}
    identity = Identity("alice@EXAMPLE.TEST")
    publish(environ, identity, strip_realm=False)
    assert environ["REMOTE_USER"] == "alice@EXAMPLE.TEST"
    assert environ["AUTH_TYPE"] == "Negotiate"
    assert get_identity(environ) is identity
    publish(environ, identity, strip_realm=True)
    assert environ["REMOTE_USER"] == "alice"


def test_a_header_that_the_app_trusts_is_ours_alone():
    key = key_of_header("X-Remote-User")
    assert key == key_of_header("x_remote_user") == "HTTP_X_REMOTE_USER"
    environ = {key: "root", "HTTP_X_OTHER": "x"}
    cleanse(environ, key)
    assert environ == {"HTTP_X_OTHER": "x"}
    publish(environ, Identity("üser@R"), strip_realm=False, user_key=key)
    assert environ[key] == environ["REMOTE_USER"] == "üser@R".encode().decode("latin-1")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "X User",
        "X:User",
        "Üser",
        "-",
        1,
        "Authorization",
        "HOST",
        "Sec-Fetch-Site",
        "X-Forwarded-For",
        "Proxy-Authorization",
    ],
)
def test_a_header_that_cannot_name_the_user(name):
    with pytest.raises(ConfigurationError, match="user_header="):
        key_of_header(name)


def test_remote_user_is_a_native_string():
    environ = {}
    publish(environ, Identity("\xfcs\u20acr@R"), strip_realm=False)
    assert environ["REMOTE_USER"].encode("latin-1").decode("utf-8") == "\xfcs\u20acr@R"


def test_only_our_own_types_are_believed():
    environ = {"negotiate_wsgi.identity": "root@R", "negotiate_wsgi.refusal": "ntlm"}
    assert get_identity(environ) is None
    assert get_refusal(environ) is None
    environ["negotiate_wsgi.refusal"] = Refusal(Reason.NTLM)
    assert get_refusal(environ).reason is Reason.NTLM
