"""Applications around ours that tell as much as they can: of frames, environs and requests."""

import base64
import io
import logging
import traceback
from urllib.parse import parse_qs

from password_apps import guarded
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

logger = logging.getLogger("careless")


def format_exception(self, exc_info):
    """As services that collect errors do it: with what stands in the frames."""
    told = traceback.TracebackException(*exc_info, capture_locals=True)
    return "".join(told.format())


logging.Formatter.formatException = format_exception


def show(environ, start_response):
    """The environ, on a page and in the log; or a bug, whose traceback the server logs."""
    told = repr(environ)
    logger.info("%s", told)
    if environ["PATH_INFO"] == "/bug":
        raise LookupError("a bug")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [told.encode()]


def tell_request(inner):
    """Around ours, where the password is still in the request: the negative control."""

    def layer(environ, start_response):
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        header = environ.get("HTTP_AUTHORIZATION", "")
        pair = base64.b64decode(header.partition(" ")[2]).decode()
        typed = parse_qs(body.decode())
        logger.info("%s, %s, %s, %s", header, pair, body.decode(), typed)
        return inner(environ, start_response)

    return layer


site = DispatcherMiddleware(
    guarded(show),
    {
        "/broken": guarded(show, authorize=lambda who: 1 / 0),
        "/optional": guarded(show, required=False),
        "/own-pages": guarded(show, unauthorized=show, forbidden=show),
    },
)
discreet = ProxyFix(site, x_for=1, x_proto=1)
talkative = ProxyFix(tell_request(site), x_for=1, x_proto=1)
