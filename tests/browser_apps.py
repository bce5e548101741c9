"""The sample page as a browser meets it: with and without a session, and what may go wrong."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

from page import application as with_session
from page import site
from password_page import application as with_passwords  # noqa: F401  # for gunicorn
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Response

from negotiate_wsgi import (
    AcceptorError,
    NegotiateMiddleware,
    PasswordSignOn,
    Reason,
    SessionCookie,
)
from negotiate_wsgi.debug import debug_page
from negotiate_wsgi.request import session
from negotiate_wsgi.testing import PretendRealm

# A test does not wait until a session ends: it moves the clock.
session.time = SimpleNamespace(
    time=lambda: time.time() + float(Path(os.environ["CLOCK"]).read_text())
)

application = DispatcherMiddleware(
    with_session,
    {
        "/not-you": NegotiateMiddleware(site, authorize=lambda identity: False),
        "/broken": NegotiateMiddleware(site, authorize=lambda identity: 1 / 0),
    },
)
debugging = DispatcherMiddleware(
    NegotiateMiddleware(debug_page, required=False),
    {"/strict": NegotiateMiddleware(debug_page, required=False, hostname="alias.test")},
)


class SilentRealm(PretendRealm):
    def check_password(self, user, password):
        raise AcceptorError(Reason.KDC_UNREACHABLE, "as the test has asked for")


def asking_for_passwords(realm, **options):
    return NegotiateMiddleware(
        site,
        acceptor=realm,
        session=SessionCookie(os.environ["SECRET_KEY"]),
        passwords=PasswordSignOn("EXAMPLE.TEST", **options),
    )


asking = DispatcherMiddleware(
    asking_for_passwords(PretendRealm()),
    {
        "/impatient": asking_for_passwords(PretendRealm(), attempts=1),
        "/unreachable": asking_for_passwords(SilentRealm()),
    },
)
without_session = NegotiateMiddleware(site, trusted_origins=None)

foreign = Response(
    f"""<!doctype html><title>You have won</title>
    <form method="post" action="{os.environ.get("TARGET")}"><input name="note" value="I resign"><button>Claim it</button></form>
    """,
    mimetype="text/html",
)

foreign_form = Response(
    f"""<!doctype html><title>You have won</title>
    <form method="post" action="{os.environ.get("TARGET")}"><input name="username" value="alice">
    <input name="password" value="{os.environ.get("PASSWORD")}"><button>Claim it</button></form>
    """,
    mimetype="text/html",
)
