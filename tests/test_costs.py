"""What a stranger may cost: by ratio to a plain 401 of ours, in the processor time of one process.

A header that we look at costs at most ten times a plain 401, however long it is. What a server takes
to receive and to parse it is not counted: gunicorn takes a hundred times a plain 401 for 700 KB.
"""

import http.client
import io
import logging
import time

import costs_app
import pytest
import sites
from werkzeug.test import EnvironBuilder

from negotiate_wsgi.request import password_verdicts

MIB = 2**20
MOST = 10  # times a plain 401
UNSAFE = {"REQUEST_METHOD": "POST"}
PREFLIGHT = {"REQUEST_METHOD": "OPTIONS", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}
SIGNED = "YWxpY2VARVhBTVBMRS5URVNU.1999999999.c2lnbmF0dXJlIG9mIHNvbWVib2R5IGVsc2U"


def long(text):
    return (text * (MIB // len(text) + 1))[:MIB]


#: By what is in them: up to a MiB of headers, and nothing of Kerberos.
HEADERS = {
    "accept: many types": {"HTTP_ACCEPT": long("a/b,")},
    "accept: many html": {"HTTP_ACCEPT": long("text/html;q=0.1,")},
    "accept: parameters": {"HTTP_ACCEPT": "text/html" + long(";q=0.1")},
    "accept: quotes": {"HTTP_ACCEPT": long('text/html;a="\\"",')},
    "accept: commas": {"HTTP_ACCEPT": long(",")},
    "accept: one word": {"HTTP_ACCEPT": long("a")},
    "accept: json": {"HTTP_ACCEPT": long("application/json, ")},
    "cookie: ours": {"HTTP_COOKIE": long("negotiate=; ")},
    "cookie: ours, of the secure name": {"HTTP_COOKIE": long("__Host-negotiate=; ")},
    "cookie: ours, as if signed": {"HTTP_COOKIE": long(f"negotiate={SIGNED}; ")},
    "cookie: ours, long": {"HTTP_COOKIE": "negotiate=" + long("a")},
    "cookie: ours, as long as one may be": {
        "HTTP_COOKIE": long(f"negotiate={'a.' * 2000}; ")
    },
    "cookie: many others": {"HTTP_COOKIE": long("a=b; ")},
    "cookie: many others, and ours": {
        "HTTP_COOKIE": long("a=b; ")[:-12] + "negotiate=a;"
    },
    "cookie: names like ours": {"HTTP_COOKIE": long("negotiate_=b; ")},
    "cookie: semicolons": {"HTTP_COOKIE": "negotiate=" + long(";")},
    "cookie: spaces": {"HTTP_COOKIE": "negotiate=" + long(" ")},
    "origin": UNSAFE | {"HTTP_ORIGIN": "https://" + long("a")},
    "origin: upper case": UNSAFE | {"HTTP_ORIGIN": "https://" + long("A")},
    "origin: schemes": UNSAFE | {"HTTP_ORIGIN": long("://")},
    "origin: of a preflight": PREFLIGHT | {"HTTP_ORIGIN": "https://" + long("a")},
    "referer": UNSAFE | {"HTTP_REFERER": "https://localhost/" + long("a")},
    "referer: slashes": UNSAFE | {"HTTP_REFERER": long("/")},
    "sec-fetch-site": UNSAFE | {"HTTP_SEC_FETCH_SITE": long("same-origin")},
    "host": UNSAFE | {"HTTP_ORIGIN": "http://localhost", "HTTP_HOST": long("a")},
    "method": {"REQUEST_METHOD": long("A")},
    "upgrade": {
        "HTTP_UPGRADE": long("websocket,"),
        "HTTP_CONNECTION": long("Upgrade,"),
    },
    "path: one segment": {"PATH_INFO": "/" + long("a")},
    "path: many segments": {"PATH_INFO": long("/a")},
    "path: many segments below an exempt prefix": {"PATH_INFO": "/static" + long("/a")},
    "path: slashes below an exempt prefix": {"PATH_INFO": "/static" + long("/")},
    "script name": {"SCRIPT_NAME": long("/a")},
    "query": {"QUERY_STRING": long("a=b&")},
    "content-length": {"CONTENT_LENGTH": long("1")},
    "content-length: zeros": {"CONTENT_LENGTH": long("0")},
    "expect": {"HTTP_EXPECT": long("100-continue,"), "CONTENT_LENGTH": "1"},
    "request id": {"HTTP_X_REQUEST_ID": long("a")},
    "authorization: another scheme": {"HTTP_AUTHORIZATION": "Bearer " + long("a")},
    "authorization: Basic": {"HTTP_AUTHORIZATION": "Basic " + long("YWxpY2U6")},
    "authorization: no scheme": {"HTTP_AUTHORIZATION": long(" ")},
    "authorization: spaces": {"HTTP_AUTHORIZATION": "Negotiate " + long(" ")},
    "authorization: padding": {"HTTP_AUTHORIZATION": "Negotiate " + long("=")},
    "authorization: not base64": {"HTTP_AUTHORIZATION": "Negotiate " + long("!")},
    "authorization: too large": {"HTTP_AUTHORIZATION": "Negotiate " + long("YIGq")},
    "authorization: many": {"HTTP_AUTHORIZATION": long("Negotiate ,")},
}


def processor_time(guard, environ, times):
    """Of one request, in seconds."""
    environs = [dict(environ) for _ in range(times)]
    began = time.process_time()
    for each in environs:
        body = guard(each, lambda status, headers, exc_info=None: print)
        b"".join(body)
    return (time.process_time() - began) / times


@pytest.fixture
def _nobody_reads_the_log(monkeypatch):
    """What a handler takes to write a record is its own: pytest has several that keep all."""
    logger = logging.getLogger("negotiate_wsgi")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])


@pytest.mark.usefixtures("_nobody_reads_the_log")
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_costs_at_most_ten_plain_401s(name):
    guard = costs_app.application
    plain = EnvironBuilder("/page").get_environ()
    heavy = plain | HEADERS[name]
    # By turns, and the best of each: what else the machine does meanwhile costs both alike.
    rounds = [
        (processor_time(guard, plain, 20), processor_time(guard, heavy, 4))
        for _ in range(7)
    ]
    of_plain, of_heavy = (min(times) for times in zip(*rounds, strict=True))
    assert of_heavy < MOST * of_plain, f"{of_heavy / of_plain:.1f} times a plain 401"


FORM = "/.negotiate/sign-in"
OURS = {
    "REQUEST_METHOD": "POST",
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "PATH_INFO": FORM,
}
URLENCODED = OURS | {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
TYPED = {
    "basic": {"HTTP_AUTHORIZATION": "Basic " + long("YWxpY2U6")},
    "basic: longest": {"HTTP_AUTHORIZATION": "Basic " + "YWxpY2U6" * 360},
    "basic: blanks": {"HTTP_AUTHORIZATION": "Basic " + long(" ")},
    "query of the form": {"PATH_INFO": FORM, "QUERY_STRING": "next=" + long("%41")},
    "query of the form: fields": {"PATH_INFO": FORM, "QUERY_STRING": long("a=b&")},
    "query of a page": {"HTTP_ACCEPT": "text/html", "QUERY_STRING": long("%41")},
    "path of a page": {"HTTP_ACCEPT": "text/html", "PATH_INFO": long("/\xc3\xbc")},
    "content-type": OURS | {"CONTENT_TYPE": long("application/x-www-form-urlencoded;")},
    "origin": OURS | {"HTTP_SEC_FETCH_SITE": "", "HTTP_ORIGIN": long("a")},
}
BODIES = {
    "fields": b"a=b&" * 2000,
    "escapes": b"username=" + b"%41" * 2700,
    "announced": b"x" * 2**20,
}


class Again(io.BytesIO):
    """A body that is read anew by each of several requests."""

    def read(self, size=-1):
        self.seek(0)
        return super().read(size)


@pytest.fixture
def _nobody_waits(monkeypatch):
    """To wait takes no processor time, but what comes after it has to begin with cold caches."""
    monkeypatch.setattr(password_verdicts, "_SOONEST", 0)


def ratio_to_a_plain_401(guard, environ, body=b""):
    plain = EnvironBuilder("/page", base_url="https://localhost").get_environ()
    of_the_body = {"wsgi.input": Again(body), "CONTENT_LENGTH": str(len(body))}
    heavy = plain | of_the_body | environ
    rounds = [
        (processor_time(guard, plain, 20), processor_time(guard, heavy, 4))
        for _ in range(7)
    ]
    of_plain, of_heavy = (min(times) for times in zip(*rounds, strict=True))
    return of_heavy / of_plain


@pytest.mark.usefixtures("_nobody_reads_the_log", "_nobody_waits")
@pytest.mark.parametrize("name", TYPED)
def test_what_is_no_password_costs_as_much_as_other_headers(name):
    assert ratio_to_a_plain_401(costs_app.with_passwords, TYPED[name]) < MOST


@pytest.mark.usefixtures("_nobody_reads_the_log", "_nobody_waits")
@pytest.mark.parametrize("name", BODIES)
def test_a_form_costs_no_more_for_each_kib_that_is_read(name):
    body = BODIES[name]
    ratio = ratio_to_a_plain_401(costs_app.with_passwords, URLENCODED, body)
    assert ratio < MOST * 8


LARGE = 700_000  # bytes
#: Lines of headers; gunicorn joins those of one name by commas. And the path.
OVER_HTTP = {
    "accept": ("/", [("Accept", "a/b," * 25_000)] * 7),
    "cookie": ("/", [("Cookie", "negotiate=; " * 8_300)] * 7),
    "cookie: as if signed": ("/", [("Cookie", f"negotiate={SIGNED}; " * 1_200)] * 7),
    "origin": ("/", [("Origin", "https://" + "a" * 100_000)] * 7),
    "path": ("/static" + "/a" * 350_000, []),
    "authorization": ("/", [("Authorization", "Negotiate " + "YIGq" * 25_000)] * 7),
}


@pytest.fixture(scope="module")
def gunicorn():
    limits = ["--limit-request-line", "0", "--limit-request-field_size", "200000"]
    site = sites.HttpSite("gunicorn-sync", "costs_app:metered", arguments=limits)
    yield site
    site.close()


def processor_time_over_http(site, path="/", headers=()):
    """Of one request, without what the server takes to parse it, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
    connection.putrequest("POST", path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    took = connection.getresponse().getheader("X-Processor-Time")
    connection.close()
    return float(took)


@pytest.mark.parametrize("name", OVER_HTTP)
def test_700_kb_of_a_header_over_http(gunicorn, name):
    path, headers = OVER_HTTP[name]
    assert len(path) + sum(len(value) for _, value in headers) > LARGE * 0.98
    rounds = [
        (
            processor_time_over_http(gunicorn),
            processor_time_over_http(gunicorn, path, headers),
        )
        for _ in range(7)
    ]
    of_plain, of_heavy = (min(times) for times in zip(*rounds, strict=True))
    assert of_heavy < MOST * of_plain, f"{of_heavy / of_plain:.1f} times a plain 401"
