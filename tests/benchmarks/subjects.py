"""Who is measured: the same application behind each of them, for one process and for servers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOSTNAME = os.environ.get("SPN_HOSTNAME", "localhost")
sys.path[:0] = [str(Path(sys.prefix) / "peers")]


def app(environ, start_response):
    user = environ.get("REMOTE_USER", "").encode()
    start_response(
        "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(user)))]
    )
    return [user]


def plain():
    """Unprotected, with Werkzeug loaded as most applications have it."""
    import werkzeug.wrappers  # noqa: F401

    return app


def bare():
    """pykerberos alone: no middleware, no check, krb5.conf not pinned."""
    import kerberos

    def call(environ, start_response):
        _, state = kerberos.authGSSServerInit("")
        kerberos.authGSSServerStep(state, environ["HTTP_AUTHORIZATION"][10:])
        kerberos.authGSSServerResponse(state)
        return [kerberos.authGSSServerUserName(state).encode()]

    return call


def ours_pykerberos():
    from negotiate_wsgi import NegotiateMiddleware

    return NegotiateMiddleware(app)


def ours_gssapi():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

    return NegotiateMiddleware(app, acceptor=GssapiAcceptor())


def ours_session():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, SessionCookie

    return NegotiateMiddleware(
        app,
        acceptor=GssapiAcceptor(),
        session=SessionCookie("a key of thirty-two bytes or more"),
    )


def wsgi_kerberos():
    from wsgi_kerberos import KerberosAuthMiddleware

    return KerberosAuthMiddleware(app, hostname="")


def wsgi_kerberos_hostname():
    from wsgi_kerberos import KerberosAuthMiddleware

    return KerberosAuthMiddleware(app, hostname=HOSTNAME)


def flask_gssapi():
    from flask import Flask
    from flask_gssapi import GSSAPI

    site = Flask(__name__)
    site.config |= {"GSSAPI_SERVICE_NAME": "HTTP", "GSSAPI_HOSTNAME": HOSTNAME}
    gssapi = GSSAPI(site)

    @site.route("/")
    @gssapi.require_auth()
    def who(username):
        return username

    return site
