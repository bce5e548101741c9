"""Headless Chromium, driven like a person: real tickets, a real server, and its log."""

import os

import pytest
import sites
from helpers import BrowserServer, screenshot

ROOT = sites.TESTS.parent
AN_HOUR = 3600  # seconds, which a session lasts


@pytest.fixture
def serve(realm, tmp_path):
    servers = []

    def start(application="application", **options):
        servers.append(
            BrowserServer(application, tmp_path / f"{len(servers)}.log", **options)
        )
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def who(page):
    return page.locator("#principal").text_content(), page.locator(
        "#source"
    ).text_content().strip()


def test_first_visit_of_a_fresh_profile(serve, browse):
    server, page = serve(), browse(new=True)
    assert page.goto(server.url).status == 401
    screenshot(page, "401")
    assert page.get_by_role("heading").text_content() == "Sign-on needed"
    page.get_by_role("link", name="Try again").click()
    assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
    screenshot(page, "page-by-ticket")
    page.reload()
    assert who(page) == ("alice@EXAMPLE.TEST", "session")
    screenshot(page, "page-by-session")


def test_without_a_ticket_there_is_a_page_that_says_so(serve, browse, realm):
    server = serve()
    page = browse(
        env={**os.environ, "KRB5CCNAME": str(realm.directory / "no-such-cache")}
    )
    for _ in range(2):
        assert page.goto(server.url).status == 401
        assert "needs to know who you are" in page.content()


def test_a_page_with_ten_assets_costs_22_requests_and_12_with_a_session(serve, browse):
    counted = {}
    for application in ("without_session", "application"):
        server, page = serve(application), browse()
        page.goto(server.url, wait_until="networkidle")
        assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
        assets = {path for _, _, path, _ in server.requests} - {"/"}
        assert len(assets) == 10
        assert {server.statuses(path)[-1] for path in assets} == {200}
        counted[application] = len(server.requests)
    assert counted["without_session"] == 22
    assert counted["application"] <= 12


def test_sign_on_again_after_expiry(serve, browse):
    server, page = serve(), browse()
    page.goto(server.url)
    page.reload()
    assert who(page) == ("alice@EXAMPLE.TEST", "session")
    server.move_clock(AN_HOUR)
    page.reload()
    assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
    assert server.statuses("/") == [401, 200, 200, 401, 200]


@pytest.mark.parametrize("expired", [False, True])
def test_a_form_is_posted_once_and_whole(serve, browse, expired):
    server, page = serve(), browse()
    page.goto(server.url)
    page.get_by_role("textbox").fill("W\xfcnsche & <more>")
    if expired:
        server.move_clock(AN_HOUR)
    page.get_by_role("button", name="Post").click()
    posted = page.locator("#posted").text_content()
    assert posted == "alice@EXAMPLE.TEST wrote: W\xfcnsche & <more>"
    assert server.statuses("/note") == ([401, 200] if expired else [200])
    screenshot(page, "posted")


def test_forget(serve, browse):
    server, page = serve(), browse()
    page.goto(server.url)
    page.get_by_role("button", name="Forget").click()
    assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
    assert server.statuses("/leave") == [303]
    assert server.statuses("/") == [401, 200, 401, 200]


def test_the_cookie_is_not_for_scripts(serve, browse):
    server, page = serve(), browse()
    page.goto(server.url)
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (
        "negotiate",
        True,
        "Lax",
    )


def test_403(serve, browse):
    server, page = serve(), browse()
    assert page.goto(f"{server.url}/not-you/").status == 403
    assert page.get_by_role("heading").text_content() == "You may not come in here"
    screenshot(page, "403")


@pytest.mark.parametrize("foreign_host", ["evil.localhost", "127.0.0.1"])
@pytest.mark.parametrize("application", ["without_session", "application"])
def test_a_foreign_page_posts_in_the_users_name(
    serve, browse, application, foreign_host
):
    """The attack works on an app that leaves such requests to itself: trusted_origins=None."""
    server, page = serve(application), browse()
    evil = serve("foreign", host=foreign_host, TARGET=f"{server.url}/note")
    page.goto(server.url)
    page.goto(evil.url)
    page.get_by_role("button", name="Claim it").click()
    if application == "without_session":
        assert (
            page.locator("#posted").text_content()
            == "alice@EXAMPLE.TEST wrote: I resign"
        )
        assert server.statuses("/note")[-1] == 200
    else:
        assert page.get_by_role("heading").text_content() == "You may not come in here"
        assert "cross-site" in page.content()
        assert server.statuses("/note") == [403]
        screenshot(page, "cross-site")
