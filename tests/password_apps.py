"""An application that takes passwords, for a server behind a proxy that ends TLS.

Its environment says how: ``PASSWORDS`` has the options of `PasswordSignOn` in JSON, ``LOG`` is
the file of its log, ``LEVEL`` the level.
"""

import json
import logging
import os

from helpers import KEY, app
from werkzeug.middleware.proxy_fix import ProxyFix

from negotiate_wsgi import NegotiateMiddleware, PasswordSignOn, SessionCookie

logging.basicConfig(
    filename=os.environ["LOG"],
    level=os.environ.get("LEVEL", "INFO"),
    format="%(levelname)s %(name)s %(message)s",
)


def guarded(app, **options):
    passwords = PasswordSignOn(**json.loads(os.environ["PASSWORDS"]))
    session = SessionCookie(KEY)
    return NegotiateMiddleware(app, session=session, passwords=passwords, **options)


application = ProxyFix(guarded(app), x_for=1, x_proto=1)
