"""The sign-in form in Chromium and in Firefox, driven like a person: real KDC, TLS, no JavaScript."""

import os
import re

import pytest
from helpers import BrowserServer, wait_until
from marionette import Firefox

AN_HOUR = 3600  # seconds, which a session lasts
FORM = "/.negotiate/sign-in"


class Chromium:
    """What a person does, with playwright's words."""

    def __init__(self, page):
        self.page = page
        self.shown = []
        page.on("domcontentloaded", lambda page: self.shown.append(page.title()))
        self.open = page.goto
        self.reload = page.reload
        self.back = page.go_back

    @property
    def url(self):
        return self.page.url

    def has(self, css):
        return self.page.locator(css).count() > 0

    def text(self, css):
        return self.page.locator(css).inner_text().strip()

    def type(self, css, text):
        self.page.locator(css).press_sequentially(text)

    def press(self, name):
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()


@pytest.fixture(params=["chromium", "firefox"])
def visit(request, realm, browse, tmp_path, playwright):
    """Opens a browser of a user's, with a ticket or without one."""
    opened = []

    def visit(ticket=False):
        environ = dict(os.environ)
        if not ticket:
            environ["KRB5CCNAME"] = str(tmp_path / "no-such-cache")
        if request.param != "firefox":
            script = request.param == "chromium with script"
            return Chromium(
                browse(
                    env=environ, ignore_https_errors=True, java_script_enabled=script
                )
            )
        firefox = Firefox(tmp_path / "firefox", environ=environ)
        opened.append(firefox)
        return firefox

    yield visit
    for firefox in opened:
        firefox.close()


@pytest.fixture
def serve(realm, tmp_path, certificate):
    servers = []

    def start(application="with_passwords", **options):
        server = BrowserServer(
            application,
            tmp_path / f"{len(servers)}.log",
            certificate=certificate,
            KRB5RCACHEDIR=str(tmp_path),
            KRB5_TRACE=str(tmp_path / f"{len(servers)}.trace"),
            **options,
        )
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def trace_of(tmp_path):
    """What the first server's library tells of each password and ticket, if there were any."""
    trace = tmp_path / "0.trace"
    return trace.read_text() if trace.exists() else ""


def shows_the_form(browser):
    return browser.text("h1") == "Sign in" and browser.has("form #password")


GREETINGS = {
    "ticket": "Nobody asked you for a password.",
    "password": "You signed in with your password.",
}


def check_the_page(browser, brought, by="session"):
    """What *brought* the user in at first, and what this request came *by*."""
    assert browser.text("h1") == "Hello, alice"
    assert browser.text("header p") == GREETINGS[brought]
    assert browser.text("#source") == by


def sign_in(browser, password, user="alice"):
    browser.type("#username", user)
    browser.type("#password", password)
    browser.press("Sign in")


def test_who_has_a_ticket_never_sees_the_form(serve, visit, tmp_path):
    server, browser = serve(), visit(ticket=True)
    browser.open(server.url)
    check_the_page(browser, "ticket", by="ticket")
    browser.reload()
    check_the_page(browser, "ticket")
    browser.open(server.url + FORM + "?next=/name")
    assert browser.text("body") == "alice@EXAMPLE.TEST"
    assert browser.url == server.url + "/name"
    if isinstance(browser, Chromium):
        assert "Sign in" not in browser.shown
        assert "alice" in browser.shown
    assert server.statuses("/") == [401, 200, 200]
    assert "Getting initial credentials" not in trace_of(tmp_path)


def test_nor_in_a_new_profile_of_chromiums(serve, browse):
    """Which shows the page of the first 401, and loads it again by itself."""
    server = serve()
    browser = Chromium(browse(new=True, ignore_https_errors=True))
    browser.open(server.url)
    wait_until(lambda: browser.text("h1") != "Sign-on needed")
    check_the_page(browser, "ticket", by="ticket")
    assert "Sign in" not in browser.shown
    assert server.statuses("/") == [401, 401, 200]


def test_without_one_a_new_profile_shows_it_at_once(serve, browse, tmp_path):
    server = serve()
    environ = {**os.environ, "KRB5CCNAME": str(tmp_path / "no-such-cache")}
    browser = Chromium(browse(new=True, env=environ, ignore_https_errors=True))
    browser.open(server.url)
    wait_until(lambda: shows_the_form(browser))


@pytest.mark.parametrize(
    "visit", ["chromium", "chromium with script", "firefox"], indirect=True
)
def test_who_has_none_types_a_password(serve, visit, realm, tmp_path):
    server, browser = serve(), visit()
    browser.open(server.url)
    assert shows_the_form(browser)
    assert not browser.has("[role=alert]")
    sign_in(browser, "not the password")
    assert shows_the_form(browser)
    said = "User name or password is not right, or the password has expired, or the account is locked."
    assert browser.text("[role=alert]") == said
    sign_in(browser, realm.password("alice"))
    check_the_page(browser, "password")
    assert browser.url == server.url + "/"
    browser.reload()  # which sends no password again
    check_the_page(browser, "password")
    tickets = re.findall(r"Storing alice@.* -> HTTP/localhost@", trace_of(tmp_path))
    assert len(tickets) == 1  # for the right password, and for no asset
    requests = server.requests
    posts = [
        (int(status), path) for status, method, path, _ in requests if "POST" in method
    ]
    assert posts == [(401, FORM), (303, FORM)]
    assets = {path for _, _, path, _ in requests if path.startswith("/page/")}
    assert len(assets) == 10
    assert {status for path in assets for status in server.statuses(path)} <= {200, 304}
    assert server.statuses("/")[-2:] == [200, 200]


def test_it_leads_to_where_one_wanted_to_go_until_one_leaves(serve, visit, realm):
    server, browser = serve(), visit()
    password = realm.password("alice")
    browser.open(server.url + "/name?of=%C3%BC&a=<b>")
    assert shows_the_form(browser)
    sign_in(browser, password)
    assert browser.url == server.url + "/name?of=%C3%BC&a=%3Cb%3E"
    assert browser.text("body") == "alice@EXAMPLE.TEST"
    browser.open(server.url)
    browser.press("Forget this session")
    assert shows_the_form(browser)
    browser.back()  # to one page or the other, by browser
    browser.reload()
    assert shows_the_form(browser)
    sign_in(browser, password)
    browser.open(server.url)
    check_the_page(browser, "password")
    server.move_clock(AN_HOUR)
    browser.reload()
    assert shows_the_form(browser)
    sign_in(browser, password)
    check_the_page(browser, "password")


def test_no_other_site_can_post_the_form(serve, visit, realm, tmp_path):
    """Nor another port of the same host. What it sends is the right password."""
    server, browser = serve(), visit()
    password = realm.password("alice")
    evil = serve("foreign_form", TARGET=server.url + FORM, PASSWORD=password)
    for host in ("localhost", "evil.localhost"):
        browser.open(evil.url.replace("localhost", host))
        browser.press("Claim it")
        assert browser.text("h1") == "You may not come in here"
        assert browser.url == server.url + FORM
    browser.open(server.url)
    assert shows_the_form(browser)
    assert "Getting initial credentials" not in trace_of(tmp_path)
    sign_in(browser, password)  # the negative control
    check_the_page(browser, "password")
    assert server.statuses(FORM) == [403, 403, 303]
