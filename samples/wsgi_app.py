"""Sign-on in front of a plain WSGI application.

Shows   one line, `NegotiateMiddleware(app)`, and where the app finds out who is asking.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py wsgi_app:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm: . the join file it names)
        Hello alice@EXAMPLE.TEST
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from negotiate_wsgi import NegotiateMiddleware, get_identity

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    identity = get_identity(environ)
    name = identity.principal if identity else "stranger"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello {name}\n".encode()]


application = NegotiateMiddleware(app)
