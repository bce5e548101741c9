"""What Flask-Kerberos and WSGI-Kerberos test with mocks, done with real tickets; and what
mod_auth_gssapi tests, as far as it means something here.

Its scenarios ``spnego_no_auth`` and ``gss_localname`` are ``/required`` and ``/stripped`` of
test_answer_table, and ``required_name_attr`` stands in test_indicators. Those of Basic, of a forward
proxy, of mechanisms' names and of ``NONEGO`` clients have no counterpart.
"""

import pytest
from helpers import KEY, is_asked, is_let_in, negotiate, set_cookies
from sites import WsgiSite
from table_app import app
from werkzeug.wrappers import Response

from negotiate_wsgi import NegotiateMiddleware, SessionCookie


@pytest.fixture
def guarded(realm):
    def make(**options):
        return WsgiSite(NegotiateMiddleware(app, **options))

    return make


def test_unauthorized_without_a_header(guarded):
    assert is_asked(guarded().request("/"))


def test_unauthorized_custom_text(guarded):
    answer = guarded(unauthorized=Response("CUSTOM")).request("/")
    assert is_asked(answer)
    assert (answer.text, answer.header("Content-Type")) == (
        "CUSTOM",
        "text/plain; charset=utf-8",
    )


def test_unauthorized_custom_text_and_content_type(guarded):
    page = Response("401!", mimetype="text/html")
    answer = guarded(unauthorized=page).request("/")
    assert (answer.text, answer.header("Content-Type")) == (
        "401!",
        "text/html; charset=utf-8",
    )


def test_unauthorized_when_the_scheme_is_not_negotiate(guarded):
    assert is_asked(guarded().request("/", "foo"))
    assert is_asked(guarded().request("/", "Negotiate"))


def test_authorized_with_and_without_a_mutual_token(guarded, realm):
    from initiator import KRB5

    with_token = guarded().request("/", realm.authorization())
    assert is_let_in(with_token)
    assert len(with_token.challenges) == 1
    without = guarded().request("/", realm.authorization(mech=KRB5, mutual=False))
    assert is_let_in(without)
    assert without.challenges == []


def test_forbidden_there_is_asked_again_here(guarded, realm):
    """A token that fails is a 403 with WSGI-Kerberos, which no client recovers from."""
    assert is_asked(guarded().request("/", negotiate(b"CTOKEN")))


def test_forbidden_custom_text(guarded, realm):
    page = Response("CUSTOM", mimetype="text/html")
    answer = guarded(forbidden=page, realms=["OTHER"]).request(
        "/", realm.authorization()
    )
    assert (answer.status, answer.text) == (403, "CUSTOM")
    assert answer.header("Content-Type") == "text/html; charset=utf-8"


def test_authentication_skipped_where_it_is_not_required(guarded, realm):
    optional = guarded(required=lambda environ: False)
    assert is_let_in(optional.request("/"), user=None)
    assert is_let_in(optional.request("/", realm.authorization()))
    assert is_let_in(optional.request("/", negotiate(b"CTOKEN")), user=None)


def test_reads_a_body_no_further_than_it_was_told(guarded):
    assert is_asked(
        guarded(discard_body=0).request("/", method="POST", body=b"x" * 100)
    )
    assert is_asked(
        guarded(discard_body=10).request("/", method="POST", body=b"x" * 100)
    )


def test_a_realm_that_begins_like_ours_is_not_ours(guarded, realm):
    answer = guarded(realms=["EXAMPLE"]).request("/", realm.authorization())
    assert answer.status == 403


def test_a_reused_header_list_carries_nobodys_token(realm):
    """With WSGI-Kerberos, a list that the app reuses carried three users' tokens to a fourth."""
    headers = [("Content-Type", "text/plain")]

    def constant(environ, start_response):
        start_response("200 OK", headers)
        return [environ["REMOTE_USER"].encode()]

    site = WsgiSite(NegotiateMiddleware(constant))
    for number in range(200):
        user = ("alice", "bob")[number % 2]
        answer = site.request("/", realm.authorization(user=user))
        assert answer.text == f"{user}@EXAMPLE.TEST"
        assert len(answer.challenges) == 1
    assert headers == [("Content-Type", "text/plain")]


def test_mod_auth_gssapi_spnego_begins_a_session(guarded, realm):
    site = guarded(session=SessionCookie(KEY))
    [cookie] = set_cookies(site.request("/", realm.authorization()))
    again = [("Cookie", cookie.split(";")[0])]
    assert is_let_in(site.request("/", headers=again))
    assert is_asked(site.request("/", headers=[("Cookie", "negotiate=another")]))


def test_mod_auth_gssapi_spnego_rewrite(realm):
    """An internal redirect, which Apache signs on for twice and whose token must not be a replay."""
    guarded = NegotiateMiddleware(NegotiateMiddleware(app))

    def rewrite(environ, start_response):
        environ["PATH_INFO"] = "/index.html"
        return guarded(environ, start_response)

    site = WsgiSite(rewrite)
    assert is_asked(site.request("/xxx"))
    assert is_let_in(site.request("/xxx", realm.authorization()))


def test_mod_auth_gssapi_spnego_negotiate_once(guarded, realm):
    """There a bad token gets no second challenge, by an option. Here it depends on the reason."""
    site = guarded()
    assert is_asked(site.request("/"))
    assert is_asked(site.request("/", "Negotiate badvalue"))
    ntlm = site.request("/", negotiate(b"NTLMSSP\0" + bytes(30)))
    assert (ntlm.status, ntlm.challenges) == (401, [])
    assert is_let_in(site.request("/", realm.authorization()))


@pytest.mark.parametrize("host", ["localhost", "alias.test"])
def test_mod_auth_gssapi_hostname_acceptor(guarded, realm, host):
    """There the SPN follows the Host header, by an option. Here every name of the keytab is ours."""
    token = realm.authorization(f"HTTP/{host}")
    assert is_let_in(guarded().request("/", token, base_url=f"http://{host}/"))
    only = guarded(hostname="localhost")
    assert is_let_in(only.request("/", realm.authorization("HTTP/localhost")))
    assert is_asked(only.request("/", realm.authorization("HTTP/alias.test")))
