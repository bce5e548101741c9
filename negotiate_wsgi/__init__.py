"""Single sign-on for any WSGI application: HTTP Negotiate with Kerberos."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.acceptors.delegation import private_ccache, thread_ccache
from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor
from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Delegated, Refused
from negotiate_wsgi.exceptions import (
    AcceptorError,
    ConfigurationError,
    DelegationError,
    NegotiateError,
    StoreError,
)
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.decisions import Decision
from negotiate_wsgi.request.delegated import get_delegated
from negotiate_wsgi.request.environ import get_identity, get_refusal
from negotiate_wsgi.request.exemptions import unless
from negotiate_wsgi.request.middleware import NegotiateMiddleware
from negotiate_wsgi.request.session import SessionCookie, forget

if TYPE_CHECKING:
    from negotiate_wsgi.request.passwords import PasswordSignOn
    from negotiate_wsgi.settings import protect
    from negotiate_wsgi.stores.protocol import Revocations, Store, revoke, revoke_all
    from negotiate_wsgi.stores.valkey import ValkeyStore

__version__ = "0.1.0"
__all__ = [
    "Accepted",
    "Acceptor",
    "AcceptorError",
    "ConfigurationError",
    "Decision",
    "Delegated",
    "DelegationError",
    "GssapiAcceptor",
    "Identity",
    "NegotiateError",
    "NegotiateMiddleware",
    "PasswordSignOn",
    "Reason",
    "Refusal",
    "Refused",
    "Revocations",
    "SessionCookie",
    "Store",
    "StoreError",
    "ValkeyStore",
    "forget",
    "get_delegated",
    "get_identity",
    "get_refusal",
    "private_ccache",
    "protect",
    "revoke",
    "revoke_all",
    "thread_ccache",
    "unless",
]

#: What not every application needs, and where it is: imported when it is asked for.
_LATER = {
    "PasswordSignOn": "negotiate_wsgi.request.passwords",
    "Revocations": "negotiate_wsgi.stores.protocol",
    "Store": "negotiate_wsgi.stores.protocol",
    "ValkeyStore": "negotiate_wsgi.stores.valkey",
    "protect": "negotiate_wsgi.settings",
    "revoke": "negotiate_wsgi.stores.protocol",
    "revoke_all": "negotiate_wsgi.stores.protocol",
}


if not TYPE_CHECKING:  # who would believe that there is any name

    def __getattr__(name: str) -> Any:
        """PEP 562."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LATER[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
