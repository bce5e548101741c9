"""The sample page as a browser meets it: with and without a session, and what may go wrong."""

import os

from page import application as with_session
from page import site
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Response

from negotiate_wsgi import NegotiateMiddleware
from negotiate_wsgi.debug import debug_page

application = DispatcherMiddleware(
    with_session,
    {
        "/not-you": NegotiateMiddleware(site, authorize=lambda identity: False),
    },
)
debugging = DispatcherMiddleware(
    NegotiateMiddleware(debug_page, required=False),
    {"/strict": NegotiateMiddleware(debug_page, required=False, hostname="www.example.test")},
)
without_session = NegotiateMiddleware(site)

foreign = Response(
    f"""<!doctype html><title>You have won</title>
    <form method="post" action="{os.environ.get("TARGET")}"><input name="note" value="I resign"><button>Claim it</button></form>
    """,
    mimetype="text/html",
)
