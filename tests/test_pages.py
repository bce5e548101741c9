"""What does the page say? To a person, to a program, and to a browser that is new here."""

import json
import logging
import re
import time
from html import unescape

import pytest
from helpers import GOOD, NamedAcceptor, app, negotiate
from werkzeug.test import Client, EnvironBuilder

from negotiate_wsgi import NegotiateMiddleware, Reason, Refusal
from negotiate_wsgi.request.advice import advice_on
from negotiate_wsgi.request.responses import answer

CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML) Chrome/150.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NAVIGATION = {"Accept": BROWSER, "User-Agent": CHROMIUM, "Sec-Fetch-Dest": "document"}


def ask(application, headers, **options):
    return Client(application, use_cookies=False).open(headers=headers, **options)


def page_of(reason, **options):
    return ask(answer(reason), {"Accept": BROWSER}, **options).text


# --- the reason, and what helps ---


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_page_says_cause_advice_and_reason(reason):
    page = unescape(page_of(reason))
    assert reason.cause in page
    assert advice_on(reason).text in page
    # The answers to all bad passwords are alike: nothing to look them up in the log by.
    is_told = reason is not Reason.PASSWORD_REFUSED
    assert (f"<code>{reason}</code>" in page) == is_told
    assert ("about:config" in page) == advice_on(reason).browsers
    assert "<script" not in page


#: What a person can do something about, and then try again.
AGAIN = {
    "no-credentials", "ntlm", "negoex", "unsupported-mechanism", "expired", "stale-ticket",
    "clock-skew", "replayed", "malformed", "unknown", "anonymous", "kdc-unreachable",
    "indicator-missing", "store-unusable",
    "channel-bindings-wrong",
}  # fmt: skip


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_it_is_tried_again_only_where_that_helps(reason):
    assert ("Try again</a>" in page_of(reason)) == (reason in AGAIN)
    # The link asks by GET, and would lose what was posted.
    assert "Try again</a>" not in page_of(reason, method="POST")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.NO_CREDENTIALS, "kinit"),
        (Reason.NTLM, "network.negotiate-auth.trusted-uris"),
        (Reason.EXPIRED, "Get a new ticket"),
        (Reason.STALE_TICKET, "Get a new ticket"),
        (Reason.CLOCK_SKEW, "Set the clock"),
        (Reason.WRONG_SERVICE, "Compare the address"),
        (Reason.SPN_NOT_IN_KEYTAB, "Compare the address"),
        (Reason.TOO_LARGE, "does not help to try again"),
        (Reason.STALE_KEYTAB, "does not help to try again"),
        (Reason.CROSS_SITE, "by its own address"),
        (Reason.ANONYMOUS, "your own user name"),
        (Reason.NOT_AUTHORIZED, "If you should have access"),
        (Reason.KEYTAB_UNUSABLE, "not your fault"),
    ],
    ids=str,
)
def test_the_advice_fits_the_reason(reason, words):
    assert words in page_of(reason)


def test_a_page_names_the_host_that_a_browser_is_to_trust():
    assert "<code>www.example.com</code>" in page_of(
        Reason.NO_CREDENTIALS, base_url="https://www.example.com:8443"
    )


@pytest.mark.parametrize(
    "host", ["<b>", 'a"b', "", "a b", "a" * 1000, "[::1]:80", "x\n"]
)
def test_a_host_that_is_no_name_is_not_shown(host):
    page = page_of(Reason.NTLM, environ_overrides={"HTTP_HOST": host})
    assert "<code>the name of this site</code>" in page


# --- one request, one id: on the page and in the log ---


def id_on(page):
    return re.search("request <code>([0-9a-f]{8})</code>", page)[1]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_id_on_the_page_stands_in_the_log(caplog, layers):
    """However many layers pass the request on: the outermost tells of its token."""
    acceptor = NamedAcceptor(Refusal(Reason.EXPIRED))
    guarded = NegotiateMiddleware(app, acceptor=acceptor)
    for _ in range(layers - 1):
        guarded = NegotiateMiddleware(guarded, acceptor=acceptor, required=False)
    with caplog.at_level(logging.WARNING, "negotiate_wsgi"):
        pages = [
            ask(guarded, {"Accept": BROWSER, "Authorization": negotiate(GOOD)}).text
            for _ in range(2)
        ]
    ids = [id_on(page) for page in pages]
    assert [record.request_id for record in caplog.records] == ids
    assert all(
        f'request_id="{known}"' in text
        for known, text in zip(ids, caplog.messages, strict=True)
    )
    assert len(set(ids)) == 2


def test_nobody_else_writes_the_id(caplog):
    headers = {"Accept": BROWSER, "Authorization": negotiate(GOOD)}
    guarded = NegotiateMiddleware(app, acceptor=NamedAcceptor(Refusal(Reason.EXPIRED)))
    forged = {"negotiate_wsgi.request_id": "<script>"}
    page = ask(guarded, headers, environ_overrides=forged).text
    assert id_on(page) == caplog.records[0].request_id


# --- what the client likes to read ---


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_json(reason):
    response = ask(answer(reason), {"Accept": "application/json"})
    assert response.content_type == "application/json"
    assert json.loads(response.data) == {"reason": str(reason), "message": reason.cause}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("text/plain", "text/plain"),
        (BROWSER, "text/html"),
        ("application/xhtml+xml", "text/html"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html;q=0.1, application/json", "application/json"),
    ],
)
def test_the_type_that_the_client_likes_best(accept, kind):
    response = ask(answer(Reason.EXPIRED), {"Accept": accept} if accept else {})
    assert response.mimetype == kind
    assert int(response.headers["Content-Length"]) == len(response.data)
    if kind == "text/plain":
        assert (
            response.text
            == "Sign-on failed: Your Kerberos ticket has expired. (expired)\n"
        )


ACCEPTS = {
    "a browser's": BROWSER,
    "JSON": "application/json",
    "types": "a/b," * 2**18,
    "commas": "," * 2**20,
    "wildcards": "/*," * 2**18,
    "weights": "text/html;q=0.1," * 2**16,
    "semicolons": ";q=" * 2**18,
    "one long": "text/html;x=" + "y" * 2**20,
}


@pytest.mark.parametrize("accept", ACCEPTS.values(), ids=ACCEPTS)
def test_no_accept_costs_more_than_ten_plain_refusals(accept):
    guarded = NegotiateMiddleware(app, acceptor=NamedAcceptor(None))

    def seconds(environ):
        began = time.process_time()
        for _ in range(200):
            list(guarded(dict(environ), lambda *arguments: None))
        return time.process_time() - began

    plain = EnvironBuilder().get_environ()
    asked = plain | {"HTTP_ACCEPT": accept}
    rounds = [(seconds(plain), seconds(asked)) for _ in range(10)]
    assert min(cost for _, cost in rounds) < 10 * min(cost for cost, _ in rounds)


# --- a profile of Chromium that has never met Negotiate ---


def reloads(response):
    has_meta = '<meta http-equiv="refresh" content="0">' in response.text
    cookies = response.headers.getlist("Set-Cookie")
    assert bool(cookies) == has_meta
    return has_meta


def test_the_first_visit_reloads_itself_once():
    first = ask(answer(Reason.NO_CREDENTIALS), NAVIGATION)
    assert reloads(first)
    [cookie] = first.headers.getlist("Set-Cookie")
    assert cookie == "negotiate-retry=1; Max-Age=30; HttpOnly; SameSite=Lax"
    second = ask(
        answer(Reason.NO_CREDENTIALS), {**NAVIGATION, "Cookie": "negotiate-retry=1"}
    )
    assert not reloads(second)


def test_over_tls_the_cookie_is_for_tls_alone():
    first = ask(
        answer(Reason.NO_CREDENTIALS), NAVIGATION, base_url="https://www.example.com"
    )
    assert first.headers["Set-Cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    ("reason", "method", "headers"),
    [
        # What a reload of Chromium's says, also where its cookies are turned off.
        (Reason.NO_CREDENTIALS, "GET", {"Cache-Control": "max-age=0"}),
        (Reason.NO_CREDENTIALS, "GET", {"Cache-Control": "no-cache"}),
        (Reason.NO_CREDENTIALS, "GET", {"Cookie": "a=b; negotiate-retry=1; c=d"}),
        (Reason.NO_CREDENTIALS, "GET", {"Sec-Fetch-Dest": "iframe"}),
        (Reason.NO_CREDENTIALS, "GET", {"Sec-Fetch-Dest": "empty"}),
        (Reason.NO_CREDENTIALS, "GET", {"User-Agent": FIREFOX}),
        (Reason.NO_CREDENTIALS, "GET", {"Accept": "application/json"}),
        (Reason.NO_CREDENTIALS, "GET", {"Accept": "*/*"}),
        (Reason.NO_CREDENTIALS, "POST", {}),
        (Reason.NO_CREDENTIALS, "HEAD", {}),
        *(
            (reason, "GET", {})
            for reason in Reason
            if reason is not Reason.NO_CREDENTIALS
        ),
    ],
    ids=str,
)
def test_nothing_else_reloads_itself(reason, method, headers):
    assert not reloads(ask(answer(reason), {**NAVIGATION, **headers}, method=method))
