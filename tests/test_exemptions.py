"""Whom do we not even ask?"""

import pytest
from helpers import GOOD, negotiate, site_of

from negotiate_wsgi import ConfigurationError, unless


def is_required(path, script_name="", method="GET", headers=(), **exempt):
    environ = {"SCRIPT_NAME": script_name, "PATH_INFO": path, "REQUEST_METHOD": method}
    environ |= {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers
    }
    return unless(**exempt)(environ)


@pytest.mark.parametrize(
    "path", ["/health", "/static", "/static/", "/static/a/b.css", "/api/v1"]
)
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


@pytest.mark.parametrize(
    "script_name", ["", "/app", "/static", "/health", "/static/.."]
)
def test_script_name_says_nothing(script_name):
    """gunicorn takes it from a header of a trusted peer, and a proxy may hand on a client's."""
    exempt = {"paths": ["/health"], "prefixes": ["/static"]}
    for path in ("/admin", "", "/", "/../admin"):
        assert is_required(path, script_name, **exempt)
    for path in ("/health", "/static/x"):
        assert not is_required(path, script_name, **exempt)


def test_the_root_as_a_prefix_is_everything_in_its_normal_form():
    assert not is_required("/anything", prefixes=["/"])
    assert not is_required("/", prefixes=["/"])
    assert is_required("//anything", prefixes=["/"])


PREFLIGHT = [
    ("Origin", "https://portal.example.com"),
    ("Access-Control-Request-Method", "PUT"),
]


def test_genuine_preflights():
    assert not is_required("/x", method="OPTIONS", headers=PREFLIGHT, preflights=True)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT[:1], preflights=True)
    assert is_required("/x", method="OPTIONS", headers=PREFLIGHT[1:], preflights=True)
    assert is_required("/x", method="OPTIONS", preflights=True)
    assert is_required("/x", method="GET", headers=PREFLIGHT, preflights=True)


def preflight(inner, path="/", authorization=None, **exempt):
    guarded = site_of(inner=inner, required=unless(preflights=True, **exempt))
    return guarded.request(path, authorization, method="OPTIONS", headers=PREFLIGHT)


def tells(*parts, status="200 OK"):
    headers = [("Content-Type", "text/plain"), ("Access-Control-Allow-Origin", "*")]

    def at_once(environ, start_response):
        start_response(
            status, [*headers, ("Content-Length", str(sum(map(len, parts))))]
        )
        return list(parts)

    def by_and_by(environ, start_response):
        start_response(status, headers)
        yield from parts

    def by_write(environ, start_response):
        write = start_response(status, headers)
        for part in parts:
            write(part)
        return []

    return at_once, by_and_by, by_write


@pytest.mark.parametrize("number", range(3), ids=["at once", "by and by", "by write"])
def test_an_exempt_preflight_gets_status_and_headers_and_no_body(number):
    inner = tells(b"the ", b"secret", status="203 Non-Authoritative Information")[
        number
    ]
    answer = preflight(inner)
    assert (answer.status, answer.body) == (203, b"")
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Content-Length") == "0"
    assert preflight(inner, authorization=negotiate(GOOD)).body == b"the secret"
    assert preflight(inner, paths=["/"]).body == b"the secret"


def test_an_exempt_preflight_of_a_callable_of_ones_own_has_no_body_either():
    exempt = unless(preflights=True)
    [inner, _, _] = tells(b"secret")
    guarded = site_of(inner=inner, required=lambda environ: exempt(environ))
    answer = guarded.request("/", method="OPTIONS", headers=PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")


def test_an_exempt_preflight_of_a_204_and_the_apps_close():
    class Body(list):
        closed = 0

        def close(self):
            self.closed += 1

    body = Body()

    def inner(environ, start_response):
        start_response("204 No Content", [("Allow", "GET")])
        return body

    answer = preflight(inner)
    assert (answer.status, answer.header("Allow"), answer.body) == (204, "GET", b"")
    assert body.closed == 1


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
