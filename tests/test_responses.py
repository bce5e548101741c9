"""What do we say when the answer is no?"""

import io
import socket
import threading
import time
from html import escape

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.request.bodies import discard_body
from negotiate_wsgi.request.responses import answer

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def ask(app, accept=None, method="GET"):
    headers = {"Accept": accept} if accept else {}
    return Response.from_app(
        app, EnvironBuilder(headers=headers, method=method).get_environ()
    )


@pytest.mark.parametrize("reason", Reason, ids=str)
@pytest.mark.parametrize("accept", [BROWSER, "*/*", None, "application/json"])
def test_pages(reason, accept):
    response = ask(answer(reason, None, ["Negotiate"]), accept)
    assert response.status_code == reason.status
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers.getlist("WWW-Authenticate") == ["Negotiate"]
    assert (response.mimetype == "text/html") == (accept == BROWSER)
    text = response.get_data(as_text=True)
    assert escape(reason.cause) in text or reason.cause in text


def test_without_a_challenge_there_is_none():
    assert "WWW-Authenticate" not in ask(answer(Reason.NTLM), BROWSER).headers


def test_head_has_no_body():
    whole = ask(answer(Reason.NO_CREDENTIALS))
    head = ask(answer(Reason.NO_CREDENTIALS), method="HEAD")
    assert head.data == b""
    assert head.headers == whole.headers


def test_custom_page_keeps_its_body_and_our_status_and_headers():
    page = Response(
        "ours",
        mimetype="text/markdown",
        headers={"X-Own": "1", "Cache-Control": "public"},
    )
    page.headers["WWW-Authenticate"] = "Basic"
    response = ask(answer(Reason.NO_CREDENTIALS, page, ["Negotiate"]), BROWSER)
    assert (
        response.status_code,
        response.get_data(as_text=True),
        response.mimetype,
    ) == (
        401,
        "ours",
        "text/markdown",
    )
    assert response.headers["X-Own"] == "1"
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    assert response.headers.getlist("WWW-Authenticate") == ["Negotiate"]
    assert page.headers["WWW-Authenticate"] == "Basic"


def test_custom_page_may_be_a_generator_that_sees_the_environ():
    def page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield environ["PATH_INFO"].encode()

    response = ask(answer(Reason.NOT_AUTHORIZED, page))
    assert (response.status_code, response.get_data(as_text=True)) == (403, "/")


class Input(io.BytesIO):
    """A body that fails the test when it is read beyond what was announced."""

    def read(self, size=-1):
        assert size >= 0
        chunk = super().read(size)
        assert chunk or self.terminated, "waits for bytes that nobody announced"
        return chunk


def left_after_discarding(limit, sent=1000, terminated=False, seconds=30, **environ):
    body = Input(b"x" * sent)
    body.terminated = terminated
    environ = {"wsgi.input": body, "wsgi.input_terminated": terminated, **environ}
    discard_body(environ, limit, seconds)
    return sent - body.tell()


@pytest.mark.parametrize(
    ("limit", "environ", "left"),
    [
        (2000, {"CONTENT_LENGTH": "1000"}, 0),
        (1000, {"CONTENT_LENGTH": "1000"}, 0),
        (2000, {"CONTENT_LENGTH": "0001000"}, 0),
        (2000, {"CONTENT_LENGTH": "0" * 90 + "1000"}, 0),
        (2000, {"CONTENT_LENGTH": "0" * 10_000 + "1000"}, 1000),
        # Where more is announced than would be read, nothing is.
        (999, {"CONTENT_LENGTH": "1000"}, 1000),
        (999, {"CONTENT_LENGTH": "1000", "terminated": True}, 1000),
        (2000, {"CONTENT_LENGTH": "1" * 19}, 1000),
        (2000, {"CONTENT_LENGTH": "1" * 5000}, 1000),
        (2000, {"CONTENT_LENGTH": "600"}, 400),
        (2000, {"CONTENT_LENGTH": "0"}, 1000),
        (0, {"CONTENT_LENGTH": "1000"}, 1000),
        (2000, {}, 1000),
        (2000, {"CONTENT_LENGTH": ""}, 1000),
        (2000, {"CONTENT_LENGTH": "-1"}, 1000),
        (2000, {"CONTENT_LENGTH": "many"}, 1000),
        (2000, {"CONTENT_LENGTH": "\u0663"}, 1000),
        # Chunked: the server knows where it ends, and nothing is announced.
        (2000, {"terminated": True}, 0),
        (999, {"terminated": True}, 1),
        (0, {"terminated": True}, 1000),
        (2000, {"CONTENT_LENGTH": "1000", "HTTP_EXPECT": "100-Continue"}, 1000),
        (2000, {"CONTENT_LENGTH": "1000", "HTTP_EXPECT": "x, 100-continue"}, 1000),
        (2000, {"terminated": True, "HTTP_EXPECT": "100-continue"}, 1000),
    ],
)
def test_discard_body(limit, environ, left):
    assert left_after_discarding(limit, **environ) == left


@pytest.mark.parametrize(
    "problem", [ConnectionResetError, ValueError("not a chunk size")]
)
def test_discard_body_of_a_client_that_has_gone_away(problem):
    class Gone:
        def read(self, size):
            raise problem

    discard_body({"wsgi.input": Gone(), "CONTENT_LENGTH": "10"}, 100, 30)
    assert left_after_discarding(100, sent=100, CONTENT_LENGTH="100") == 0


def test_discard_body_looks_at_the_clock(monkeypatch):
    class Endless:
        reads = 0

        def read(self, size):
            self.reads += 1
            monkeypatch.setattr(time, "monotonic", lambda: 100 + self.reads)
            return b"x" * size

    endless = Endless()
    monkeypatch.setattr(time, "monotonic", lambda: 100)
    environ = {"wsgi.input": endless, "wsgi.input_terminated": True}
    discard_body(environ, 2**27, 5)
    assert endless.reads == 5


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_discard_body_ends_a_body_that_does_not_come(key):
    """The read below would wait for ever: the client says nothing more, and does not go."""
    server, client = socket.socketpair()
    with server, client, server.makefile("rb") as body:
        client.sendall(b"x" * 10)
        environ = {"wsgi.input": body, "CONTENT_LENGTH": "1000", key: server}
        discard_body(environ, 2000, 0.1)
        server.sendall(b"answer")
        assert client.recv(10) == b"answer"


def test_discard_body_leaves_the_connection_of_a_client_that_sent_all():
    server, client = socket.socketpair()
    with server, client, server.makefile("rb") as body:
        client.sendall(b"x" * 10)
        discard_body(
            {"wsgi.input": body, "CONTENT_LENGTH": "10", "gunicorn.socket": server},
            20,
            60,
        )
        assert not any(
            isinstance(thread, threading.Timer) and not thread.finished.is_set()
            for thread in threading.enumerate()
        )
        client.sendall(b"next")
        assert server.recv(10) == b"next"
