"""What becomes of a request's body that the app does not get: read, or thrown away."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from negotiate_wsgi.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIEnvironment

_CHUNK = 64 * 1024  # bytes
_LONGEST = 100  # characters that we look at of Content-Length and Expect


def check_discard(limit: object, seconds: object) -> None:
    """The options of `discard_body`. Raises `ConfigurationError`."""
    if not isinstance(limit, int) or limit < 0:
        raise ConfigurationError("discard_body= takes a number of bytes, 0 or more")
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ConfigurationError(
            "discard_seconds= takes a number of seconds, more than 0"
        )


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


def read_body(environ: WSGIEnvironment, limit: int, seconds: float) -> bytes | None:
    """The body; None where it has more than *limit* bytes, of which nothing is read if
    they were announced.

    *seconds* end a body that comes slowly as far as `discard_body` says. Raises what
    the server raises where the client has gone away, and EOFError where less has come
    than was announced: half of a password is none.
    """
    announced = _announced(environ)
    wanted = limit + 1 if announced is None else announced
    if announced is not None and announced > limit:
        return None
    deadline = time.monotonic() + seconds
    body = b""
    with _ended_after(seconds, environ):
        while len(body) < wanted and time.monotonic() < deadline:
            chunk = environ["wsgi.input"].read(wanted - len(body))
            if not chunk:
                break
            body += chunk
    if announced is not None and len(body) < announced:
        raise EOFError
    return body if len(body) <= limit else None


def _bytes_to_discard(environ: WSGIEnvironment, limit: int) -> int:
    if "100-continue" in environ.get("HTTP_EXPECT", "")[:_LONGEST].lower():
        return 0
    announced = _announced(environ)
    if announced is None:
        return limit
    return announced if announced <= limit else 0


def _announced(environ: WSGIEnvironment) -> int | None:
    """How many bytes the body has; None where the server alone knows its end."""
    length = environ.get("CONTENT_LENGTH") or ""
    if len(length) > _LONGEST:  # int() raises an error at more than 4300 digits
        return sys.maxsize
    if length.isascii() and length.isdigit():
        return int(length)
    # To read what nobody announced would wait for ever, unless the server knows the
    # end.
    return None if environ.get("wsgi.input_terminated") else 0


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
