"""Two hops: an app that asks the next service as the user, and the service that it asks.

The next service is that of ``BACK_HOST``, on ``BACK_PORT`` of this machine. ``/requests``, ``/httpx``
and ``/curl`` ask it by these clients. With ``ACCOUNT``, that account acts for the users.
"""

from __future__ import annotations

import os
import subprocess

import httpx
import requests
from httpx_gssapi import HTTPSPNEGOAuth as HttpxAuth
from requests_gssapi import HTTPSPNEGOAuth
from werkzeug.wrappers import Response

from negotiate_wsgi import (
    GssapiAcceptor,
    NegotiateMiddleware,
    get_delegated,
    private_ccache,
)

SECONDS = 120


HOST = os.environ.get("BACK_HOST")
PORT = os.environ.get("BACK_PORT")
ACCOUNT = os.environ.get("ACCOUNT")
URL = f"http://127.0.0.1:{PORT}/"


def by_requests(credentials):
    auth = HTTPSPNEGOAuth(creds=credentials, target_name=f"HTTP@{HOST}")
    return requests.get(URL, auth=auth, timeout=SECONDS).text


def by_httpx(credentials):
    auth = HttpxAuth(creds=credentials, target_name=f"HTTP@{HOST}")
    return httpx.get(URL, auth=auth, timeout=SECONDS).text


def by_curl(credentials):
    curl = ["curl", "--silent", "--negotiate", "--user", ":"]
    curl += [
        "--connect-to",
        f"{HOST}:{PORT}:127.0.0.1:{PORT}",
        f"http://{HOST}:{PORT}/",
    ]
    # With constrained delegation, a file has tickets for services that are named.
    spns = [f"HTTP/{HOST}"] if ACCOUNT else []
    with private_ccache(credentials, *spns) as path:
        environ = {**os.environ, "KRB5CCNAME": path}
        return subprocess.run(curl, env=environ, capture_output=True, text=True).stdout


ASK = {"/requests": by_requests, "/httpx": by_httpx, "/curl": by_curl}


def front_app(environ, start_response):
    credentials = get_delegated(environ)
    said = "nothing"
    if credentials is not None:  # which would be the server's own
        said = ASK[environ["PATH_INFO"]](credentials)
    return Response(f"{environ['REMOTE_USER']} {said}")(environ, start_response)


def back_app(environ, start_response):
    return Response(environ["REMOTE_USER"])(environ, start_response)


front = NegotiateMiddleware(
    front_app,
    acceptor=GssapiAcceptor(
        delegation="constrained" if ACCOUNT else "forwarded", account=ACCOUNT
    ),
)
back = NegotiateMiddleware(back_app, acceptor=GssapiAcceptor())
