"""Headless Chromium, driven like a person: real tickets, a real server, and its log."""

import json
import os
import shutil
import subprocess

import pytest
import sites
from helpers import FIREFOX, BrowserServer, screenshot, wait_until

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


@pytest.fixture
def without_a_ticket(realm):
    return {**os.environ, "KRB5CCNAME": str(realm.directory / "no-such-cache")}


#: Chromium sends no ticket then, either: it would tell who is there, too.
COOKIES_OFF = {"profile": {"default_content_setting_values": {"cookies": 2}}}


@pytest.mark.parametrize("application", ["without_session", "application"])
def test_first_visit_of_a_fresh_profile_signs_on_without_a_click(
    serve, browse, application
):
    server, page = serve(application), browse(new=True)
    assert page.goto(server.url).status == 401
    assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
    screenshot(page, "page-by-ticket")
    assert page.url == f"{server.url}/"
    assert server.statuses("/") == [401, 401, 200]


def test_the_second_page_is_by_the_session(serve, browse):
    server, page = serve(), browse()
    page.goto(server.url)
    assert who(page) == ("alice@EXAMPLE.TEST", "ticket")
    page.reload()
    assert who(page) == ("alice@EXAMPLE.TEST", "session")
    screenshot(page, "page-by-session")


@pytest.mark.parametrize(
    ("new", "preferences", "reloads", "reloads_after_a_click"),
    [
        (True, {}, 1, 0),
        # It answers the first 401 by itself, and what it shows is the second.
        (False, {}, 0, 0),
        (True, COOKIES_OFF, 1, 1),
        (False, COOKIES_OFF, 1, 1),
    ],
    ids=["new profile", "known profile", "new, cookies off", "known, cookies off"],
)
def test_without_a_ticket_the_browser_comes_to_rest(
    serve, browse, without_a_ticket, new, preferences, reloads, reloads_after_a_click
):
    server, page = (
        serve(),
        browse(new=new, preferences=preferences, env=without_a_ticket),
    )
    shown = []
    page.on("response", lambda response: shown.append(response.status))

    def assert_rest_after(reloads):
        wait_until(lambda: page.wait_for_timeout(100) or len(shown) > reloads)
        page.wait_for_timeout(1500)  # in which it could load again
        assert shown == [401] * (1 + reloads)
        shown.clear()

    page.goto(server.url)
    assert_rest_after(reloads)
    assert page.get_by_role("heading").text_content() == "Sign-on needed"
    names = [name.text_content() for name in page.locator("dt").all()]
    assert names == ["Firefox", "Chrome", "Edge"]
    page.get_by_role("link", name="Try again").click()
    assert_rest_after(reloads_after_a_click)
    assert set(server.statuses("/")) == {401}


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
    cookies = page.context.cookies()
    assert {cookie["name"] for cookie in cookies} == {"negotiate", "negotiate-retry"}
    assert {(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies} == {
        (True, "Lax")
    }


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


@pytest.mark.parametrize(
    ("ticket", "statuses"),
    [("alice", [401, 200]), ("none", [401])],
    ids=["ticket", "no ticket"],
)
def test_firefox_signs_on_at_once_or_shows_the_page(
    serve, without_a_ticket, tmp_path, playwright, ticket, statuses
):
    """It needs no reload, and gets none."""
    server = serve("without_session")
    profile = tmp_path / "profile"
    profile.mkdir()
    prefs = [
        f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in FIREFOX.items()
    ]
    (profile / "user.js").write_text("\n".join(prefs))
    picture = tmp_path / "firefox.png"
    firefox = shutil.which("firefox-esr") or playwright.firefox.executable_path
    subprocess.run(
        [firefox, "--headless", "--no-remote", "--profile", profile, "--screenshot", picture,
         server.url],
        env=without_a_ticket if ticket == "none" else os.environ, check=True, capture_output=True,
    )  # fmt: skip
    assert picture.exists()
    assert server.statuses("/") == statuses
