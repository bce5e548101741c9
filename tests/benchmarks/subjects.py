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


def arithmetic():
    """Nothing of Kerberos, and nothing that processes share: what a second core brings at all."""

    def call(environ, start_response):
        sum(range(4000))
        return [b"alice@EXAMPLE.TEST"]

    return call


def bare():
    """pykerberos alone: no middleware, no check, krb5.conf not pinned."""
    import kerberos

    def call(environ, start_response):
        _, state = kerberos.authGSSServerInit("")
        kerberos.authGSSServerStep(state, environ["HTTP_AUTHORIZATION"][10:])
        kerberos.authGSSServerResponse(state)
        return [kerberos.authGSSServerUserName(state).encode()]

    return call


def bare_pinned():
    """The same, and krb5.conf is parsed once: a context of krb5's lives all the while."""
    import krb5

    call = bare()
    pinned = krb5.init_context()

    def call_pinned(environ, start_response):
        assert pinned is not None
        return call(environ, start_response)

    return call_pinned


def library_alone():
    """python-gssapi alone, as our acceptor calls it: what Python makes of the C calls."""
    from base64 import b64decode

    from negotiate_wsgi import GssapiAcceptor
    from negotiate_wsgi.acceptors.gssapi_library import library

    acceptor = GssapiAcceptor()
    gssapi = library()
    credentials = []

    def call(environ, start_response):
        token = b64decode(environ["HTTP_AUTHORIZATION"][10:])
        if not credentials:
            acceptor.accept(token)
            credentials.extend(acceptor._of_thread.credentials.values())
            return [b"alice@EXAMPLE.TEST"]
        result = gssapi.accept(token, credentials[0])
        return [gssapi.name(result.initiator_name).encode()]

    return call


def ours_pykerberos():
    from negotiate_wsgi import NegotiateMiddleware

    return NegotiateMiddleware(app)


def ours_gssapi():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

    return NegotiateMiddleware(app, acceptor=GssapiAcceptor())


def ours_logged():
    """Each sign-on has a record in a file, as in production."""
    import logging
    import tempfile

    logging.disable(logging.NOTSET)
    logging.basicConfig(
        filename=Path(tempfile.mkdtemp()) / "log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s [%(process)d] %(message)s",
    )
    return ours_gssapi()


def ours_in_layers(count):
    """*count* middlewares around each other, with one acceptor."""
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

    acceptor = GssapiAcceptor()
    guarded = app
    for _ in range(count):
        guarded = NegotiateMiddleware(guarded, acceptor=acceptor)
    return guarded


def ours_twice():
    return ours_in_layers(2)


def ours_three_times():
    return ours_in_layers(3)


def ours_with_bindings():
    """For tokens that are bound to the certificate of a proxy."""
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

    acceptor = GssapiAcceptor(
        channel_binding="optional", certificate=os.environ["CERTIFICATE"]
    )
    return NegotiateMiddleware(app, acceptor=acceptor)


def ours_forwarded():
    """Takes what clients forward, and makes nothing of it."""
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

    return NegotiateMiddleware(app, acceptor=GssapiAcceptor(delegation="forwarded"))


def ours_forwarded_and_asked():
    """The same, and the application asks for it at each request."""
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, get_delegated

    def asking(environ, start_response):
        assert get_delegated(environ) is not None
        return app(environ, start_response)

    return NegotiateMiddleware(asking, acceptor=GssapiAcceptor(delegation="forwarded"))


def ours_with_store():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, ValkeyStore

    store = ValkeyStore(os.environ["STORE"])
    return NegotiateMiddleware(app, acceptor=GssapiAcceptor(), store=store)


def ours_session():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, SessionCookie

    return NegotiateMiddleware(
        app,
        acceptor=GssapiAcceptor(),
        session=SessionCookie("a key of thirty-two bytes or more"),
    )


def ours_fleet():
    from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, ValkeyStore

    store = ValkeyStore(os.environ["STORE"])
    return NegotiateMiddleware(app, acceptor=GssapiAcceptor(), store=store)


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
