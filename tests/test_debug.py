"""The page that shows what this browser sent: in process for every fate, and in a browser."""

import base64
import logging
from html import unescape
from re import DOTALL, findall, search

import pytest
from helpers import NTLM, BrowserServer, negotiate, screenshot, spnego
from sites import WsgiSite

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, SessionCookie
from negotiate_wsgi.debug import debug_page


@pytest.fixture
def site(realm):
    return WsgiSite(NegotiateMiddleware(debug_page, required=False))


def read(answer):
    rows = findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", answer.text, DOTALL)
    return search("<h1>(.*)</h1>", answer.text)[1], [(k, unescape(v)) for k, v in rows]


def test_nothing_sent(site):
    answer = site.request("/")
    assert (answer.status, answer.challenges) == (401, ["Negotiate"])
    title, rows = read(answer)
    assert title == "Nothing was sent"
    assert "may not trust this site" in dict(rows)["why"]
    assert dict(rows)["header"] == "none"


def test_signed_on(site, realm):
    answer = site.request(
        "/", realm.authorization(), headers=[("User-Agent", "Browser/1")]
    )
    assert answer.status == 200
    assert answer.challenges[0].startswith("Negotiate ")
    assert answer.header("Cache-Control") == "no-store"
    title, rows = read(answer)
    rows = dict(rows)
    assert title == "Signed on"
    assert (rows["principal"], rows["by"]) == ("alice@EXAMPLE.TEST", "ticket")
    assert (
        rows["ticket"] == "HTTP/localhost@EXAMPLE.TEST kvno 1 aes256-cts-hmac-sha1-96"
    )
    assert rows["browser"] == "Browser/1"


@pytest.mark.parametrize(
    ("spn", "code", "detail"),
    [
        ("HTTP/rotated.test", "stale-ticket", "kvno 2 aes256"),
        (
            "HTTP/no-key.test",
            "spn-not-in-keytab",
            "HTTP/no-key.test@EXAMPLE.TEST kvno 1 aes256",
        ),
        (
            "host/localhost",
            "wrong-service",
            "the ticket is for host/localhost@EXAMPLE.TEST",
        ),
        ("HTTP/wrong-key.test", "wrong-key", "HTTP/wrong-key.test@EXAMPLE.TEST kvno 1"),
    ],
)
def test_refused(site, realm, spn, code, detail):
    answer = site.request("/", realm.authorization(spn))
    assert (answer.status, answer.challenges) == (200, [])
    title, rows = read(answer)
    assert title == "Refused"
    assert any(
        text.startswith(f"{code}: ") for label, text in rows if label == "refused"
    )
    assert any(detail in text for _, text in rows)
    assert "remedy" in dict(rows)


def test_ntlm_and_another_scheme(site):
    title, rows = read(site.request("/", negotiate(spnego(NTLM))))
    assert title == "Refused"
    assert any("Browsers fall back to NTLM" in text for _, text in rows)
    answer = site.request("/", "Basic YWxpY2U6c2VjcmV0")
    assert ("token", "credentials of the scheme Basic") in read(answer)[1]
    assert "YWxpY2U6c2VjcmV0" not in answer.text


def test_no_layer_in_front(realm):
    """It can be read all the same; that nobody judged it is said."""
    bare = WsgiSite(debug_page)
    assert bare.request("/").challenges == ["Negotiate"]
    assert read(bare.request("/", realm.authorization()))[0] == "Not judged"
    assert (
        read(bare.request("/", realm.authorization("HTTP/no-key.test")))[0] == "Refused"
    )


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("127.0.0.1:8000", True), ("[::1]:8000", True), ("[::1]", True), ("10.0.0.1", True),
     ("localhost:8000", False), ("www.example.test", False)],
)  # fmt: skip
def test_an_address_in_the_url_is_pointed_at(site, host, is_one):
    rows = dict(read(site.request("/", headers=[("Host", host)]))[1])
    assert ("there are no tickets for addresses" in rows["host"]) == is_one


def test_no_part_of_a_token_and_no_markup_of_the_client(site, realm, caplog):
    caplog.set_level(logging.DEBUG)
    for spn in ("HTTP/localhost", "HTTP/rotated.test"):
        token = realm.token(spn)
        evil = [("User-Agent", "<script>alert(1)</script>")]
        text = site.request("/", negotiate(token), headers=evil).text
        assert "<script" not in text
        encoded = base64.b64encode(token).decode()
        for at in range(0, len(encoded) - 16, 16):
            assert encoded[at : at + 16] not in text + caplog.text


@pytest.fixture
def site_of_groups(domain):
    groups = {name: domain.sid_of(name) for name in ("staff", "admins")}
    acceptor = GssapiAcceptor(active_directory=True, groups=groups)
    session = SessionCookie("a key of thirty-two bytes or more")
    return WsgiSite(
        NegotiateMiddleware(
            debug_page, required=False, acceptor=acceptor, session=session
        )
    )


def test_who_it_is_in_active_directory(site_of_groups, domain):
    answer = site_of_groups.request("/", domain.authorization())
    title, rows = read(answer)
    assert title == "Signed on"
    alice, staff, admins = map(domain.sid_of, ("alice", "staff", "admins"))
    assert ("account", "alice") in rows
    assert ("sid", alice) in rows
    assert ("groups", "staff") in rows
    in_the_pac = [text for label, text in rows if label == "in the PAC"]
    assert in_the_pac[0] == f"{alice} the account itself"
    assert f"{staff} staff (configured)" in in_the_pac
    assert domain.sid_of("everybody") in in_the_pac
    assert ("not in it", f"{admins} admins (configured)") in rows

    # By the session, which keeps the configured groups, and no SID but the account's.
    cookie = answer.header("Set-Cookie").partition(";")[0]
    title, rows = read(site_of_groups.request("/", headers=[("Cookie", cookie)]))
    assert title == "Signed on"
    assert {("by", "session"), ("sid", alice), ("groups", "staff")} <= set(rows)
    assert dict(rows)["in the PAC"].startswith("only a ticket says")


def test_a_ticket_of_no_active_directory(realm, site):
    strict = WsgiSite(
        NegotiateMiddleware(
            debug_page, required=False, acceptor=GssapiAcceptor(active_directory=True)
        )
    )
    title, rows = read(strict.request("/", realm.authorization()))
    assert title == "Refused"
    assert dict(rows)["refused"].startswith("no-pac: ")
    assert "NO_AUTH_DATA_REQUIRED" in dict(rows)["remedy"]
    # pykerberos cannot know, and says so.
    rows = dict(read(site.request("/", realm.authorization()))[1])
    assert rows["in the PAC"].startswith("not known: this acceptor cannot read a PAC")


def test_in_a_browser(realm, browse, tmp_path):
    server = BrowserServer("debugging", tmp_path / "log")
    try:
        page = browse()
        page.goto(server.url)
        assert page.get_by_role("heading").text_content() == "Signed on"
        screenshot(page, "debug-signed-on")
        page.goto(f"{server.url}/strict/")
        assert "wrong-service" in page.content()
        screenshot(page, "debug-refused")
        new = browse(new=True)
        new.goto(server.url)
        assert new.get_by_role("heading").text_content() == "Nothing was sent"
        screenshot(new, "debug-nothing")
    finally:
        server.close()
