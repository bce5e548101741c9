"""Whom do we not even ask?"""

import pytest
from helpers import site_of

from negotiate_wsgi import ConfigurationError, unless


def is_required(path, script_name="", method="GET", headers=(), **exempt):
    environ = {"SCRIPT_NAME": script_name, "PATH_INFO": path, "REQUEST_METHOD": method}
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
    return unless(**exempt)(environ)


@pytest.mark.parametrize("path", ["/health", "/static", "/static/", "/static/a/b.css", "/api/v1"])
def test_exempt(path):
    assert not is_required(path, paths=["/health"], prefixes=["/static", "/api/v1/"])


@pytest.mark.parametrize(
    "path",
    ["/", "", "health", "/healthz", "//health", "/health/", "/health//", "/health/x", "/Health",
     "/health/../admin", "/x/../health", "/./health", "/health/.", "/health?", "/health;x",
     "/staticx", "/static/../admin", "/static/a/../../admin", "/static/..", "/static//../admin",
     "/static/.", "//static/a", "/static//a", "/static/..\\admin", "/static\\..\\admin",
     "/api", "/api/v1x", "/api/v1/.."],
)  # fmt: skip
def test_what_does_not_slip_through(path):
    assert is_required(path, paths=["/health"], prefixes=["/static", "/api/v1/"])


def test_the_whole_path_counts_however_it_is_split():
    for script_name, path in [("", "/app/health"), ("/app", "/health"), ("/app/health", "")]:
        assert not is_required(path, script_name, paths=["/app/health"])
        assert is_required(path, script_name, paths=["/health"])
    assert is_required("/../admin", "/static", prefixes=["/static"])


def test_the_root_as_a_prefix_is_everything_in_its_normal_form():
    assert not is_required("/anything", prefixes=["/"])
    assert not is_required("/", prefixes=["/"])
    assert is_required("//anything", prefixes=["/"])


PREFLIGHT = [("Origin", "https://portal.example.com"), ("Access-Control-Request-Method", "PUT")]


def test_genuine_preflights():
    assert not is_required("/x", method="OPTIONS", headers=PREFLIGHT, preflights=True)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT[:1], preflights=True)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT[1:], preflights=True)
    assert is_required("/x", method="OPTIONS", preflights=True)
    assert is_required("/x", method="GET", headers=PREFLIGHT, preflights=True)


def test_in_front_of_an_app():
    guarded = site_of(required=unless(paths=["/health"]))
    assert guarded.request("/health").text == "None None None"
    for path in ("/", "//health", "/health/%2e%2e/admin", "/healthz"):
        assert guarded.request(path).status == 401


@pytest.mark.parametrize(
    "options",
    [{"paths": "/health"}, {"paths": ["health"]}, {"paths": ["/a//b"]}, {"prefixes": ["/a/../b"]},
     {"prefixes": "/"}, {"prefixes": [""]}, {"paths": [None]}],
)  # fmt: skip
def test_wrong_options_say_what_to_write_instead(options):
    with pytest.raises(ConfigurationError, match="write"):
        unless(**options)
