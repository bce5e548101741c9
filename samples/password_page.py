"""The page of page.py, for users without a ticket, too: they sign in with their password.

Shows   `PasswordSignOn`: a form for browsers, Basic for programs, over TLS alone. A ticket
        still comes first, and nobody who has one sees the form.
Run     negotiate-wsgi realm -- samples/with_passwords
"""

import os

from page import site

from negotiate_wsgi import NegotiateMiddleware, PasswordSignOn, SessionCookie

application = NegotiateMiddleware(
    site,
    session=SessionCookie(os.environ["SECRET_KEY"]),
    passwords=PasswordSignOn("EXAMPLE.TEST"),
)
