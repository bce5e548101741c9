"""Does another site's page ask in the user's name?"""

import pytest
from helpers import GOOD, KEY, negotiate, site_of

from negotiate_wsgi import ConfigurationError, SessionCookie

PORTAL = "https://portal.example.com"
TRUSTING = ["https://Portal.Example.com", "http://old.example.com:8080"]


def post(trusted_origins, headers, method="POST", **request):
    guarded = site_of(trusted_origins=trusted_origins)
    headers = [("Host", "www.example.com"), *headers.items()]
    answer = guarded.request(
        "/", negotiate(GOOD), method=method, headers=headers, **request
    )
    assert guarded.acceptor.tokens == ([GOOD] if answer.status == 200 else [])
    return answer.status


#: What a request's headers say of the page behind it, and whether it is one of ours.
PAGES = {
    "our own, over TLS": ({"Sec-Fetch-Site": "same-origin", "Origin": "https://www.example.com"}, True),
    "our own, plain": ({"Origin": "http://www.example.com"}, True),
    "typed by the user": ({"Sec-Fetch-Site": "none"}, True),
    "no browser": ({}, True),
    "foreign, over TLS": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}, False),
    "foreign, without Origin": ({"Sec-Fetch-Site": "cross-site"}, False),
    "foreign, plain": ({"Origin": "http://evil.test"}, False),
    "another host of our domain": ({"Sec-Fetch-Site": "same-site", "Origin": "https://wiki.example.com"}, False),
    "another host, without Origin": ({"Sec-Fetch-Site": "same-site"}, False),
    "another port": ({"Origin": "http://www.example.com:8080"}, False),
    "a sandbox or a file": ({"Origin": "null"}, False),
    "a name that begins like ours": ({"Origin": "https://www.example.com.evil.test"}, False),
    "a name that ends like ours": ({"Origin": "https://evil-www.example.com"}, False),
    "our name as a user": ({"Origin": "https://www.example.com@evil.test"}, False),
    "a word not known": ({"Sec-Fetch-Site": "cross-planet"}, False),
    "our own, and a proxy has changed Host": ({"Sec-Fetch-Site": "same-origin", "Origin": PORTAL}, True),
    "our own, by Referer": ({"Referer": "https://www.example.com/some/page?x#y"}, True),
    "foreign, by Referer": ({"Referer": "https://evil.test/https://www.example.com"}, False),
    "foreign, by a Referer with our name": ({"Referer": "https://www.example.com.evil.test/"}, False),
    "a Referer that is no URL": ({"Referer": "www.example.com"}, False),
    "a Referer without a host": ({"Referer": "about:blank"}, False),
    "Origin before Referer": ({"Origin": "https://evil.test", "Referer": "https://www.example.com/"}, False),
    "a scheme and a host that end like ours": ({"Origin": "http://evil.test/://www.example.com"}, False),
    "a Referer of 10 KB": ({"Referer": "https://www.example.com/" + "x" * 10_000}, True),
    "an Origin of 10 KB": ({"Origin": "https://www.example.com" + "x" * 10_000}, False),
    "the other says foreign": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://www.example.com"}, False),
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_unsafe_methods(page, method):
    headers, ours = PAGES[page]
    assert post([], headers, method) == (200 if ours else 403)
    assert post(None, headers, method) == 200


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_are_left_alone(page, method):
    assert post([], PAGES[page][0], method) == 200


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_websocket_handshakes(page, upgrade):
    """A GET, which any page may have a browser send."""
    headers, ours = PAGES[page]
    handshake = {"Upgrade": upgrade, "Connection": "Upgrade"} | headers
    assert post([], handshake, "GET") == (200 if ours else 403)
    assert post([], headers | {"Upgrade": "h2c"}, "GET") == 200


@pytest.mark.parametrize("trusted", TRUSTING)
def test_a_trusted_origin(trusted):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": trusted.lower()}
    assert post(TRUSTING, headers) == 200
    assert post([], headers) == 403
    for other in (PORTAL + ":8443", "http://portal.example.com", PORTAL + ".evil.test"):
        assert post(TRUSTING, headers | {"Origin": other}) == 403


def test_behind_a_proxy_that_rewrites_host_an_old_browser_needs_our_origin_named():
    headers = {"Origin": PORTAL}
    assert post([], headers) == 403
    assert post([PORTAL], headers) == 200


def test_origins_may_come_by_and_by():
    headers = {"Origin": PORTAL}
    assert post((origin for origin in [PORTAL]), headers) == 200


def test_our_own_pages_alone_is_the_default():
    foreign = [("Origin", "https://evil.test")]
    assert (
        site_of().request("/", negotiate(GOOD), method="POST", headers=foreign).status
        == 403
    )
    own = [("Origin", "http://localhost")]
    assert (
        site_of().request("/", negotiate(GOOD), method="POST", headers=own).status
        == 200
    )


def test_403_before_any_credential_is_honoured():
    guarded = site_of(trusted_origins=[], session=SessionCookie(KEY), required=False)
    [cookie] = [
        v for k, v in guarded.request("/", negotiate(GOOD)).headers if k == "Set-Cookie"
    ]
    foreign = [("Sec-Fetch-Site", "cross-site")]
    for credentials in (
        [],
        [("Cookie", cookie.split(";")[0])],
        [("Authorization", "Basic YTpi")],
    ):
        answer = guarded.request("/", method="POST", headers=[*foreign, *credentials])
        assert (answer.status, answer.challenges) == (403, [])
        assert "(cross-site)" in answer.text


@pytest.mark.parametrize(
    "trusted",
    [
        PORTAL,
        [PORTAL + "/"],
        ["portal.example.com"],
        ["null"],
        ["*"],
        [""],
        [None],
        ["https://a b"],
        ["https://portal.example.com:443"],
        ["http://portal.example.com:80"],
        ["https://m\xfcnchen.example"],
    ],
)
def test_wrong_options_say_what_to_write_instead(trusted):
    with pytest.raises(ConfigurationError, match="trusted_origins"):
        site_of(trusted_origins=trusted)
