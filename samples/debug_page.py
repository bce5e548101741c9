"""A page that shows an administrator what a browser sent, and why it is refused.

Shows   `debug_page` for a browser that cannot sign on. An administrator, on a desk where sign-on
        works, fetches a link that is good for ten minutes, and opens it in that browser.
Run     negotiate-wsgi realm -- env SECRET_KEY="$(openssl rand -hex 32)" gunicorn --config samples/gunicorn.conf.py debug_page:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
        link="$(curl --negotiate --user : http://localhost:8000/link)"; curl "$link" | grep -o "Nothing was sent</h1>"
        Nothing was sent</h1>
        curl --header "Authorization: Negotiate TlRMTVNTUAABAAAA" "$(curl --negotiate --user : http://localhost:8000/link)" | grep -o "ntlm: Your browser offered NTLM"
        ntlm: Your browser offered NTLM
        curl http://localhost:8000/sent/a-guess
        Not found, or older than 600 seconds
        KRB5CCNAME="$(dirname "$KRB5CCNAME")/bob.ccache" curl --negotiate --user : http://localhost:8000/link
        You may not come in here: You are signed on, but have not been given access. (not-authorized)

Do not guard such a page by the client's address: behind a proxy, that is the proxy's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, TimestampSigner
from plain_app import app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Request, Response

from negotiate_wsgi import Identity, NegotiateMiddleware
from negotiate_wsgi.debug import debug_page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ADMINISTRATORS = {"alice@EXAMPLE.TEST"}
LIFETIME = 600  # seconds
# The links of all workers are good with each of them.
signer = TimestampSigner(os.environ["SECRET_KEY"], salt="what was sent")


def is_administrator(identity: Identity) -> bool:
    return identity.principal in ADMINISTRATORS


@Request.application
def make_link(request: Request) -> Response:
    return Response(f"{request.host_url}sent/{signer.sign('link').decode()}\n")


def with_a_link(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    try:
        signer.unsign(environ["PATH_INFO"].removeprefix("/"), max_age=LIFETIME)
    except BadSignature:
        refusal = Response(f"Not found, or older than {LIFETIME} seconds\n", 404)
        return refusal(environ, start_response)
    return what_was_sent(environ, start_response)


what_was_sent = NegotiateMiddleware(debug_page, required=False)
application = DispatcherMiddleware(
    NegotiateMiddleware(app),
    {
        "/link": NegotiateMiddleware(make_link, authorize=is_administrator),
        "/sent": with_a_link,
    },
)
