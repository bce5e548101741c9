"""Single sign-on for any WSGI application: HTTP Negotiate with Kerberos."""

from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor
from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Refused
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError, NegotiateError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.decisions import Decision
from negotiate_wsgi.request.environ import get_identity, get_refusal
from negotiate_wsgi.request.exemptions import unless
from negotiate_wsgi.request.middleware import NegotiateMiddleware
from negotiate_wsgi.request.session import SessionCookie, forget
from negotiate_wsgi.settings import protect

__version__ = "0.1.0"
__all__ = [
    "Accepted",
    "Acceptor",
    "AcceptorError",
    "ConfigurationError",
    "Decision",
    "GssapiAcceptor",
    "Identity",
    "NegotiateError",
    "NegotiateMiddleware",
    "Reason",
    "Refusal",
    "Refused",
    "SessionCookie",
    "forget",
    "get_identity",
    "get_refusal",
    "protect",
    "unless",
]
