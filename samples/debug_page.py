"""A page that shows an administrator what this browser sent, and why it is refused.

Shows   `debug_page`, beside an application, open to the administrators' own desks without sign-on,
        because there a browser is tried that cannot sign on; everybody else is asked for a ticket.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py debug_page:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
        curl http://localhost:8000/my-token | grep -o "Nothing was sent</h1>"
        Nothing was sent</h1>
        curl --header "Authorization: Negotiate TlRMTVNTUAABAAAA" http://localhost:8000/my-token | grep -o "ntlm: Your browser offered NTLM"
        ntlm: Your browser offered NTLM
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plain_app import app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from negotiate_wsgi import NegotiateMiddleware
from negotiate_wsgi.debug import debug_page

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DESKS = {"127.0.0.1"}


def is_elsewhere(environ: WSGIEnvironment) -> bool:
    return environ["REMOTE_ADDR"] not in DESKS


application = DispatcherMiddleware(
    NegotiateMiddleware(app), {"/my-token": NegotiateMiddleware(debug_page, required=is_elsewhere)}
)
