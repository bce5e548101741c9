"""The manual: it builds without a warning, says of the code what the code says, and is found and
read.
"""

import inspect
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from manual import DOCS, PAGES, ROOT, path_of

import flask_adapter
import negotiate_wsgi
from negotiate_wsgi import NegotiateMiddleware, Reason, settings
from negotiate_wsgi.__main__ import build_parser
from negotiate_wsgi.doctor.run import gather

#: Whom the manual sends its readers to. A new host is written here, after a look at it.
HOSTS = {
    "docs.iterative.ai",
    "github.com",
    "pypi.org",
    "radicale.org",
    "semver.org",
}
#: What a reader may search for, and the page that has to be found.
SEARCHES = {
    "SPNEGO": "understanding/one-request",
    "keytab": "howto/keytabs",
    "kvno": "howto/keytabs",
    "NTLM": "understanding/why-not-ntlm",
    "capacity": "understanding/growth",
    "password form": "howto/passwords",
    "account lock-out": "howto/passwords",
    "CSRF": "howto/csrf",
    "delegation": "howto/delegation",
    "S4U2Proxy": "howto/delegation",
    "psycopg": "howto/delegation",
    "logout": "howto/logout",
    "preflight": "howto/cors",
    "Bearer": "howto/bearer",
    "ProxyFix": "howto/layers",
    "blueprint": "howto/flask-views",
    "Flask-Kerberos": "howto/migrate-flask-kerberos",
    "Superset": "howto/superset-airflow",
    "krb5-devel": "howto/install",
    "reverse proxy": "howto/nginx",
    "401 loop": "howto/troubleshooting",
    "smart card": "howto/indicators",
    "Extended Protection": "howto/channel-bindings",
    "stale-ticket": "reference/reasons",
    "NEGOTIATE_HOSTNAME": "reference/settings",
    "NW013": "reference/checks",
    "shell completion": "howto/completion",
    "Valkey": "howto/fleet",
    "sentinel": "howto/fleet",
}


@pytest.fixture(scope="session")
def manual(tmp_path_factory):
    """The directory of the built pages."""
    return build("html", tmp_path_factory.mktemp("manual"))


def build(builder, out):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    built = subprocess.run(
        [*command, "-b", builder, "-d", out / "doctrees", DOCS, out / builder],
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return out / builder


class _Page(HTMLParser):
    """The ids of a page, where it leads, and its text."""

    def __init__(self, path):
        super().__init__()
        self.ids = set()
        self.targets = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        target = given.get("href") or given.get("src")
        if target:
            self.targets.append(target)

    def handle_data(self, data):
        self.text += data


parsed = cache(_Page)


def test_it_builds_without_a_warning(manual):
    for page in PAGES:
        assert (manual / path_of(page)).with_suffix(".html").is_file()


def test_a_warning_fails_the_build(tmp_path):
    """The negative control: a link that leads nowhere."""
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\nnitpicky = True\n')
    (tmp_path / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", tmp_path, tmp_path / "out"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr


def test_links_lead_somewhere(manual):
    dead = []
    for path in manual.rglob("*.html"):
        for target in parsed(path).targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            found = (path.parent / unquote(parts.path)) if parts.path else path
            if not found.resolve().is_file() or (
                parts.fragment
                and found.suffix == ".html"
                and unquote(parts.fragment) not in parsed(found.resolve()).ids
            ):
                dead.append((path.name, target))
    assert dead == []


def test_links_to_others_are_well_formed_and_their_hosts_known(manual):
    """There is no network to follow them in."""
    targets = {
        target
        for path in manual.rglob("*.html")
        for target in parsed(path).targets
        if urlsplit(target).scheme and not target.startswith("data:")
    }
    assert {urlsplit(target).scheme for target in targets} <= {"https", "mailto"}
    assert {urlsplit(target).hostname for target in targets} <= HOSTS


MANUAL = "https://negotiate-wsgi.readthedocs.io"


def test_links_to_the_manual_lead_to_its_pages(manual):
    """From what stands beside it, on the package's page and in messages."""
    texts = [path.read_text() for path in ROOT.glob("*.md")]
    texts += [path.read_text() for path in (ROOT / "negotiate_wsgi").rglob("*.py")]
    links = re.findall(rf"{MANUAL}/en/(?:stable|latest)/([^\s)>\"']*)", "".join(texts))
    for link in links:
        parts = urlsplit(link)
        page = manual / parts.path
        if page.is_dir():
            page /= "index.html"
        assert page.is_file(), link
        assert not parts.fragment or parts.fragment in parsed(page).ids, link


RESULTS = """() => {
    if (!document.querySelector(".search-summary")?.textContent.trim()) return null
    const links = [...document.querySelectorAll("#search-results li > a")]
    return links.map(link => link.getAttribute("href").split(".html")[0])
}"""


def test_a_search_finds_its_page(browse, manual):
    """Among the first five pages, in a browser, for the words that people type."""
    page = browse(java_script_enabled=True)

    def first_five(words):
        page.goto(f"{(manual / 'search.html').as_uri()}?q={quote(words)}")
        pages = page.wait_for_function(RESULTS).json_value()
        return list(dict.fromkeys(pages))[:5]

    found = {words: first_five(words) for words in SEARCHES}
    missed = {
        words: pages for words, pages in found.items() if SEARCHES[words] not in pages
    }
    assert missed == {}
    assert first_five("xylophone") == []


def test_the_api_is_exactly_the_public_names(manual):
    ids = parsed(manual / "reference/api.html").ids
    for package in (negotiate_wsgi, flask_adapter):
        described = {id for id in ids if id and id.startswith(f"{package.__name__}.")}
        own = {id.split(".")[1] for id in described}
        submodules = {"debug", "realm", "testing", "pytest_plugin"}
        assert own - submodules == set(package.__all__)
    assert {"negotiate_wsgi.testing.PretendRealm", "negotiate_wsgi.realm.Realm"} <= ids
    assert {"negotiate_wsgi.debug.debug_page", "negotiate_realm"} <= ids


def test_every_reason_check_option_and_setting_is_there(manual):
    reasons = parsed(manual / "reference/reasons.html")
    for reason in Reason:
        assert f"reason-{reason}" in reasons.ids
        assert reason.cause in reasons.text
        assert reason.remedy in reasons.text
    checks = parsed(manual / "reference/checks.html")
    for check in gather():
        assert f"check-{check.id.lower()}" in checks.ids
        assert check.demand.replace("``", "") in checks.text
    options = parsed(manual / "reference/options.html")
    for name in inspect.signature(NegotiateMiddleware).parameters:
        assert f"option-negotiatemiddleware-{name.replace('_', '-')}" in options.ids
    text = parsed(manual / "reference/settings.html").text
    for name in settings._READERS:
        assert f"NEGOTIATE_{name.upper()}" in text


def all_parsers():
    parser = build_parser()
    [tools] = [action for action in parser._actions if action.dest == "tool"]
    return [parser, *tools.choices.values()]


def test_the_command_line_is_in_the_manual_and_in_the_man_page(manual):
    source = (build("man", manual.parent) / "negotiate-wsgi.1").read_text()
    man = re.sub(r"\\f[BIPR]", "", source).replace(r"\-", "-").replace(r"\(aq", "'")
    page = parsed(manual / "reference/command-line.html").text
    for parser in all_parsers():
        assert parser.prog in page
        for action in parser._actions:
            for option in action.option_strings:
                assert option in page
                assert option in man
            if action.help:
                assert action.help in page


def test_the_fields_of_a_record_are_described(manual):
    text = parsed(manual / "reference/log.html").text
    assert 'principal="alice@EXAMPLE.TEST"' in text
    assert 'reason="expired"' in text
    assert "request_id" in text


#: Pixels, as in test_accessibility.
LOOKS = [("dark", 320), ("light", 1280)]
#: What the reference and the index repeat from one template is read to its second time, and the
#: theme's side bars, which are the same on all pages, on those that are called index.
REPEATED = [" ~ ".join([each] * 3) for each in ("dl.py", "section", "li")]
SIDE_BARS = [".sidebar-drawer", ".toc-drawer"]
TAKE_OUT = "selectors => document.querySelectorAll(selectors).forEach(e => e.remove())"
LEVELS = {"serious", "critical"}
#: Colours take most of the time, and are a matter of an element's place in the tree and its classes:
#: each such place is looked at once in the whole manual. Returns those of this page that are new.
COLOURS = """async seen => {
    const places = new Set(seen), fresh = new Map()
    for (const each of document.querySelectorAll("body *")) {
        if (![...each.childNodes].some(node => node.nodeType == 3 && node.data.trim())) continue
        let place = ""
        for (let at = each; at && at != document.body; at = at.parentElement)
            place += at.localName + "." + at.className + " "
        if (!places.has(place) && !fresh.has(place) && each.checkVisibility()) fresh.set(place, each)
    }
    const context = {include: [...fresh.values()]}
    const options = {runOnly: ["color-contrast", "link-in-text-block"], resultTypes: ["violations"]}
    const found = fresh.size ? (await axe.run(context, options)).violations : []
    return [[...fresh.keys()], found]
}"""


def serious(violations):
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in violations
        if each["impact"] in LEVELS
    ]


def violations(page):
    elsewhere = [
        "color-contrast",
        "link-in-text-block",
        "region",
    ]  # the last is moderate
    options = {
        "resultTypes": ["violations"],
        "rules": {rule: {"enabled": False} for rule in elsewhere},
    }
    return serious(page.evaluate("options => axe.run(options)", options)["violations"])


def colours(page, seen):
    fresh, found = page.evaluate(COLOURS, sorted(seen))
    seen |= set(fresh)
    return serious(found)


def test_every_page_can_be_read(browse, manual):
    """By WCAG AA, as axe-core sees it: light and dark, wide and narrow, without scrolling sideways."""
    page = browse(java_script_enabled=True)
    found = {}
    seen = {look: set() for look in LOOKS}
    for path in sorted(manual.rglob("*.html")):
        page.goto(path.as_uri())
        page.evaluate(Axe().axe_script)
        if path.name != "index.html":
            page.evaluate(TAKE_OUT, ", ".join(SIDE_BARS))
        if path.parent.name == "reference" or path.name == "genindex.html":
            page.evaluate(TAKE_OUT, ", ".join(f"article {each}" for each in REPEATED))
        for scheme, width in LOOKS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 700})
            problems = colours(page, seen[scheme, width])
            if width < 400 or path.name == "index.html":  # what is narrow scrolls
                problems += violations(page)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                problems.append(("wider than the window", width))
            if problems:
                found[path.name, scheme, width] = problems
    assert found == {}


def test_axe_sees_what_cannot_be_read(browse, manual):
    """The negative control: grey on grey, and what only a mouse can scroll."""
    page = browse(java_script_enabled=True, viewport={"width": 320, "height": 700})
    page.goto((manual / "howto/completion.html").as_uri())
    page.add_style_tag(content="p { color: #999 !important }")
    page.evaluate(
        "document.querySelectorAll('pre').forEach(e => e.removeAttribute('tabindex'))"
    )
    page.evaluate(Axe().axe_script)
    found = {id for id, _ in violations(page) + colours(page, set())}
    assert {"color-contrast", "scrollable-region-focusable"} <= found
