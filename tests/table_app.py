"""One application behind the middleware in several configurations, for every kind of server.

The path's first segment chooses the configuration, ``?do=`` chooses what the application does.
"""

import io
import sys

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Request

from negotiate_wsgi import (
    NegotiateMiddleware,
    SessionCookie,
    forget,
    get_identity,
    get_refusal,
)

TEXT = [("Content-Type", "text/plain")]
CONSTANT_HEADERS = [("Content-Type", "text/plain"), ("X-Constant", "yes")]


def app(environ, start_response):
    behave = BEHAVIOURS[Request(environ).args.get("do", "report")]
    return behave(environ, start_response)


def report(environ, start_response):
    """Says what the middleware told us."""
    identity, refusal = get_identity(environ), get_refusal(environ)
    # uWSGI may reset a connection of which the app has left something unread.
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    lines = [
        f"user={environ.get('REMOTE_USER')}",
        f"type={environ.get('AUTH_TYPE')}",
        f"identity={identity}",
        f"refusal={refusal.reason if refusal else None}",
        f"authorization={environ.get('HTTP_AUTHORIZATION', '')[:5]}",
        f"body={len(body)}",
    ]
    start_response("200 OK", TEXT)
    return ["\n".join(lines).encode("latin-1")]


def status(line, headers=TEXT):
    def behave(environ, start_response):
        start_response(line, list(headers))
        return [] if line.startswith(("204", "304")) else [b"body"]

    return behave


def stream(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"one "
    yield b"two"


class Closable:
    closed = 0

    def __iter__(self):
        yield b"closable"

    def close(self):
        Closable.closed += 1


def closable(environ, start_response):
    start_response("200 OK", TEXT)
    return Closable()


def write(environ, start_response):
    start_response("200 OK", TEXT)(b"written ")
    return [b"returned"]


def raise_(environ, start_response):
    raise LookupError("the app's own")


def exc_info(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise LookupError("the app's own")
    except LookupError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"sorry"]


def file_wrapper(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"file"), 4096)


def upload(environ, start_response):
    size = len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", TEXT)
    return [f"{size} bytes from {environ['REMOTE_USER']}".encode()]


def sign_off(environ, start_response):
    forget(environ)
    start_response("200 OK", TEXT)
    return [b"forgotten"]


def constant(environ, start_response):
    start_response("200 OK", CONSTANT_HEADERS)
    return [b"constant"]


BEHAVIOURS = {
    "report": report,
    "redirect": status("302 Found", [*TEXT, ("Location", "/elsewhere")]),
    "204": status("204 No Content", []),
    "304": status("304 Not Modified", []),
    "404": status("404 Not Found"),
    "500": status("500 Internal Server Error"),
    "401": status("401 Unauthorized"),
    "401-basic": status(
        "401 Unauthorized", [*TEXT, ("WWW-Authenticate", 'Basic realm="x"')]
    ),
    "401-negotiate": status(
        "401 Unauthorized", [*TEXT, ("WWW-Authenticate", 'Basic realm="x", Negotiate')]
    ),
    "proof-of-its-own": status(
        "200 OK", [*TEXT, ("WWW-Authenticate", "Negotiate YXBw")]
    ),
    "stream": stream,
    "closable": closable,
    "write": write,
    "raise": raise_,
    "exc_info": exc_info,
    "file_wrapper": file_wrapper,
    "constant": constant,
    "upload": upload,
    "forget": sign_off,
}


SESSION = SessionCookie("the same key in all workers, 32 bytes")


def fail(identity):
    raise ConnectionError("the directory is down")


def outer_layer_says_root(inner):
    """What a front end, or a layer of somebody else's, might put there."""

    def layer(environ, start_response):
        environ["REMOTE_USER"] = "root"
        environ["AUTH_TYPE"] = "Other"
        environ["negotiate_wsgi.identity"] = "root@EXAMPLE.TEST"
        environ["negotiate_wsgi.refusal"] = "none"
        environ["negotiate_wsgi.verdict"] = "accepted"
        return inner(environ, start_response)

    return layer


def guarded(app):
    """The application behind each configuration, by the path it is mounted at."""
    return {
        "/plain": app,
        "/required": NegotiateMiddleware(app),
        "/optional": outer_layer_says_root(NegotiateMiddleware(app, required=False)),
        "/spoofed": outer_layer_says_root(NegotiateMiddleware(app)),
        "/by-path": NegotiateMiddleware(
            app, required=lambda e: e["PATH_INFO"] != "/open"
        ),
        "/other-realm-only": NegotiateMiddleware(app, realms=["OTHER.TEST"]),
        "/own-realm-only": NegotiateMiddleware(app, realms=["EXAMPLE.TEST"]),
        "/stripped": NegotiateMiddleware(
            app, realms=["EXAMPLE.TEST"], strip_realm=True
        ),
        "/alice-only": NegotiateMiddleware(
            app, authorize=lambda who: who.name == "alice"
        ),
        "/authorize-fails": NegotiateMiddleware(app, authorize=fail),
        "/localhost-only": NegotiateMiddleware(app, hostname="LocalHost"),
        "/session": NegotiateMiddleware(app, session=SESSION),
        "/session-optional": NegotiateMiddleware(app, session=SESSION, required=False),
        "/session-alice-only": NegotiateMiddleware(
            app, session=SESSION, authorize=lambda who: who.name == "alice"
        ),
        "/own-pages-only": NegotiateMiddleware(
            app, trusted_origins=["https://portal.test"]
        ),
        "/twice": NegotiateMiddleware(
            NegotiateMiddleware(NegotiateMiddleware(app), hostname="localhost"),
            required=False,
        ),
    }


application = DispatcherMiddleware(app, guarded(app))
