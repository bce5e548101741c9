"""What do we say when the answer is no? The 401, 403 and 500 pages, and the body left
unread.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from negotiate_wsgi.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Headers = list[tuple[str, str]]

_CHUNK = 64 * 1024  # bytes
_LONGEST = 100  # characters that we look at of Content-Length and Expect
_OURS = {"www-authenticate", "cache-control"}

_TITLES = {
    401: "Sign-on needed",
    403: "You may not come in here",
    500: "Sign-on is out of order",
}
_ADVICE = {
    401: "Your Kerberos sign-on (on Windows, the account you logged in with) is all it takes.",
    403: "If you think you should be let in, tell the people who run this site.",
    500: "This is not your fault. Tell the people who run this site; its log says what to mend.",
}
_TRY_AGAIN = '<p><a href="">Try again</a></p>'
_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --wall: #eef2f6; --card: #fff; --ink: #1c2733; --line: #d5dde6 }}
@media (prefers-color-scheme: dark) {{
:root {{ --wall: #12181f; --card: #1d2630; --ink: #e8edf2; --line: #35424f }}
}}
body {{ margin: 0; padding: 12vh 1rem; background: var(--wall); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif }}
main {{ max-width: 34rem; margin: auto; padding: 2rem 2.2rem; background: var(--card); border: 1px solid var(--line); border-radius: .8rem }}
h1 {{ margin: 0; font-size: 1.6rem; line-height: 1.2 }}
a {{ display: inline-block; padding: .5rem 1.3rem; border-radius: .4rem; background: var(--ink); color: var(--card); text-decoration: none }}
small {{ opacity: .7 }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem }}
dt {{ font-weight: 600 }}
dd {{ margin: 0; overflow-wrap: anywhere }}
</style>
<main>
<h1>{title}</h1>
{content}</main>
</html>
"""
_PAGE = """<p>{cause}</p>
<p>{advice}</p>
{action}
<p><small>Status {status}, reason <code>{reason}</code></small></p>
"""


def answer(
    reason: Reason,
    page: WSGIApplication | None = None,
    www_authenticate: str | None = None,
) -> WSGIApplication:
    """The WSGI application that refuses a request with the status of *reason*.

    *page* is an application for the body in place of ours, whose status, challenges and
    ``Cache-Control`` give way. *www_authenticate* is a challenge, the mutual token or
    None.
    """
    status = f"{reason.status} {HTTPStatus(reason.status).phrase}"
    body = page or _page(reason)

    def refuse(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        def start(
            _status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            kept = [line for line in headers if line[0].lower() not in _OURS]
            challenge = (
                [("WWW-Authenticate", www_authenticate)] if www_authenticate else []
            )
            headers = [*kept, ("Cache-Control", "no-store"), *challenge]
            return start_response(status, headers, exc_info)

        return body(environ, start)

    return refuse


def _page(reason: Reason) -> WSGIApplication:
    def page(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        accept = parse_accept_header(environ.get("HTTP_ACCEPT"), MIMEAccept)
        # A client that takes anything, as curl does, gets the line of text.
        wants_html = accept.best_match(["text/plain", "text/html"]) == "text/html"
        return (_html_page if wants_html else _text_page)(reason)(
            environ, start_response
        )

    return page


@functools.cache
def _text_page(reason: Reason) -> Response:
    return Response(
        f"{_TITLES[reason.status]}: {reason.cause} ({reason})\n", mimetype="text/plain"
    )


@functools.cache
def _html_page(reason: Reason) -> Response:
    content = _PAGE.format(
        cause=escape(reason.cause),
        advice=_ADVICE[reason.status],
        action=_TRY_AGAIN if reason.status == 401 else "",
        status=reason.status,
        reason=reason,
    )
    return frame(_TITLES[reason.status], content)


def frame(title: str, content: str) -> Response:
    """A page in our looks, without scripts. *content* is HTML, *title* is text."""
    response = Response(
        _FRAME.format(title=escape(title), content=content), mimetype="text/html"
    )
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'"
    )
    return response


def discard_body(environ: WSGIEnvironment, limit: int, seconds: float) -> None:
    """Read and throw away the body of a request that is refused, for at most *seconds*.

    RFC 9112 section 9.6: a server that answers and closes while the client still sends
    may cause a reset that destroys the answer before it is read. Nothing is read of a
    body that is announced to be longer than *limit* bytes, because the reset would come
    all the same; of a body without an announced length (chunked), *limit* bytes. A
    client that expects a 100 (RFC 9110 section 10.1.1) waits for our answer and has
    sent nothing yet.

    Where the server lets us have the connection (gunicorn, werkzeug), *seconds* end a
    body that comes slowly or not at all: what the client sends later is not received.
    Other servers do not let us interrupt a read: there, we look at the clock whenever
    64 KiB have come, and the server's own time-out ends a client that sends nothing
    (``socket-timeout`` of uWSGI, 4 s by default; ``RequestReadTimeout`` of Apache).
    waitress has received the body before it calls us.
    """
    remaining = _bytes_to_discard(environ, limit)
    if not remaining:
        return
    deadline = time.monotonic() + seconds
    # Servers raise what they like where the client has gone away, or sent chunks that
    # are none. The answer is owed all the same.
    with contextlib.suppress(Exception), _ended_after(seconds, environ):
        while remaining and time.monotonic() < deadline:
            chunk = environ["wsgi.input"].read(min(remaining, _CHUNK))
            if not chunk:
                return
            remaining -= len(chunk)


def _bytes_to_discard(environ: WSGIEnvironment, limit: int) -> int:
    if "100-continue" in environ.get("HTTP_EXPECT", "")[:_LONGEST].lower():
        return 0
    length = environ.get("CONTENT_LENGTH") or ""
    if len(length) > _LONGEST:  # int() raises an error at more than 4300 digits
        return 0
    if not (length.isascii() and length.isdigit()):
        # To read what nobody announced would wait for ever, unless the server knows the
        # end.
        return limit if environ.get("wsgi.input_terminated") else 0
    announced = int(length)
    return announced if announced <= limit else 0


@contextlib.contextmanager
def _ended_after(seconds: float, environ: WSGIEnvironment) -> Iterator[None]:
    """Let a read of the body find its end after *seconds*, if the server shows its
    connection.
    """
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is None:
        yield
        return
    timer = threading.Timer(seconds, _stop_receiving, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop_receiving(connection: socket.socket) -> None:
    # By a socket of our own: the shutdown() of one with TLS would take the encryption
    # away.
    with (
        contextlib.suppress(OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as plain,
    ):
        plain.shutdown(socket.SHUT_RD)
