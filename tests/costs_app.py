"""An application that looks at every header that ours can look at, for test_costs."""

import time

from helpers import KEY, NamedAcceptor, app

from negotiate_wsgi import (
    NegotiateMiddleware,
    PasswordSignOn,
    Reason,
    Refusal,
    SessionCookie,
    unless,
)
from negotiate_wsgi.testing import PretendRealm

application = NegotiateMiddleware(
    app,
    acceptor=NamedAcceptor(Refusal(Reason.MALFORMED)),
    session=SessionCookie(KEY),
    trusted_origins=["https://portal.example.com"],
    required=unless(paths=["/health"], prefixes=["/static"], preflights=True),
)
#: The same where a password would be taken.
with_passwords = NegotiateMiddleware(
    app,
    acceptor=PretendRealm(passwords={"alice": "secret"}),
    session=SessionCookie(KEY),
    # The first ones of an address cost more: they are written down, and wait.
    passwords=PasswordSignOn("EXAMPLE.TEST", attempts_from_address=3),
)


def metered(environ, start_response):
    """Says in a header how much of the processor's time the application took, in seconds."""
    started = []
    began = time.process_time()
    body = b"".join(application(environ, lambda *answer: started.extend(answer)))
    took = time.process_time() - began
    status, headers = started[:2]
    start_response(status, [*headers, ("X-Processor-Time", str(took))])
    return [body]
