"""Every page of ours can be read: WCAG AA by axe-core, light and dark, wide and narrow."""

import itertools
import os
from types import SimpleNamespace

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers import BrowserServer, screenshot

#: What stands out to the right of the page's frame, or stands as a column of single letters.
MISPLACED = """() => {
    const frame = document.querySelector("main").getBoundingClientRect()
    const misplaced = []
    for (const each of document.querySelectorAll("main *")) {
        const box = each.getBoundingClientRect()
        const own = [...each.childNodes].some(node => node.nodeType == 3 && node.data.trim())
        if (box.right > frame.right || own && box.height > box.width * 3)
            misplaced.push(each.outerHTML)
    }
    return misplaced
}"""
#: Pixels. The narrow one is WCAG 2.2's own, criterion 1.4.10: no scrolling in two directions.
WIDTHS = {"wide": 1280, "narrow": 320}
LONG = "x" * 80  # as long as the note may be


@pytest.fixture(scope="module")
def servers(realm, tmp_path_factory, certificate):
    """The sample, the debug page, and a site that takes passwords."""
    log = tmp_path_factory.mktemp("accessibility") / "log"
    opened = {
        "sample": BrowserServer("application", log),
        "debugging": BrowserServer("debugging", log.with_name("debugging")),
        "asking": BrowserServer(
            "asking", log.with_name("asking"), certificate=certificate
        ),
    }
    yield SimpleNamespace(**opened)
    for server in opened.values():
        server.close()


def the_sample(page, servers):
    page.goto(servers.sample.url)


def the_sample_by_a_session(page, servers):
    page.goto(servers.sample.url)
    page.reload()
    page.get_by_role("textbox").fill(LONG)
    page.get_by_role("button", name="Post").click()


def the_401(page, servers):
    page.goto(servers.sample.url)
    page.wait_for_load_state()


def the_403(page, servers):
    page.goto(f"{servers.sample.url}/not-you/")


def the_500(page, servers):
    page.goto(f"{servers.sample.url}/broken/")


def nothing_sent(page, servers):
    page.goto(servers.debugging.url)


def signed_on(page, servers):
    page.goto(servers.debugging.url)


def refused(page, servers):
    page.goto(f"{servers.debugging.url}/strict/")


def the_form(page, servers):
    page.goto(servers.asking.url + "/.negotiate/sign-in?next=/")


def the_form_unfolded(page, servers):
    the_form(page, servers)
    page.get_by_text("Sign in without a password").click()


def type_a_password(page, url):
    page.goto(url + "/.negotiate/sign-in")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def password_refused(page, servers):
    type_a_password(page, servers.asking.url)


def too_many_attempts(page, servers):
    for _ in range(2):
        type_a_password(page, servers.asking.url + "/impatient")


def kdc_unreachable(page, servers):
    type_a_password(page, servers.asking.url + "/unreachable")


PAGES = {
    the_sample: "Hello, alice",
    the_sample_by_a_session: "Hello, alice",
    the_401: "Sign-on needed",
    the_403: "You may not come in here",
    the_500: "Sign-on is out of order",
    nothing_sent: "Nothing was sent",
    signed_on: "Signed on",
    refused: "Refused",
    the_form: "Sign in",
    the_form_unfolded: "Sign in",
    password_refused: "Sign in",
    too_many_attempts: "Too many attempts",
    kdc_unreachable: "Sign-on is out of order for the moment",
}
WITH_A_PASSWORD = {
    the_form,
    the_form_unfolded,
    password_refused,
    too_many_attempts,
    kdc_unreachable,
}
WITHOUT_A_TICKET = {the_401, nothing_sent, *WITH_A_PASSWORD}


@pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__)
def test_a_page_can_be_read(browse, realm, servers, visit):
    environ = dict(os.environ)
    if visit in WITHOUT_A_TICKET:
        environ["KRB5CCNAME"] = str(realm.directory / "no-such-cache")
    page = browse(
        env=environ, java_script_enabled=True, ignore_https_errors=True
    )  # of axe, and of no page of ours
    visit(page, servers)
    assert page.get_by_role("heading", level=1).text_content() == PAGES[visit]
    for scheme, (name, width) in itertools.product(["light", "dark"], WIDTHS.items()):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 700})
        screenshot(page, f"{visit.__name__}-{scheme}-{name}")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(MISPLACED) == []


def test_axe_sees_what_cannot_be_read(browse, servers):
    """The negative control: grey on grey, and wider than the window."""
    page = browse(java_script_enabled=True, viewport={"width": 320, "height": 700})
    page.goto(servers.sample.url)
    page.add_style_tag(content="main { color: #999 !important; min-width: 600px }")
    found = {each["id"] for each in Axe().run(page).response["violations"]}
    assert "color-contrast" in found
    assert page.evaluate("document.documentElement.scrollWidth") > 320
