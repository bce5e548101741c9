"""How do I sign on, as a client? Real tickets, through pyspnego, which must be
installed.
"""

from __future__ import annotations

import os
import re

import spnego
from spnego.channel_bindings import GssChannelBindings

from negotiate_wsgi.exceptions import NegotiateError


class InitiatorError(NegotiateError):
    """There is no ticket for this acceptor, in the words of the library that asked."""


class TicketInitiator:
    """One negotiation with the acceptor of ``service/<host>``.

    :param ccache: the credential cache that holds the ticket-granting ticket: its path
        or its full name, or None for that of whoever runs this.
    :param host: the host in the SPN; krb5.conf may let the library ask DNS for another.
    :param binding: of the TLS connection that the token is for (RFC 5929), or None.
    :raises InitiatorError: no ticket is to be had.
    """

    def __init__(
        self,
        ccache: str | os.PathLike[str] | None,
        host: str,
        service: str = "HTTP",
        binding: bytes | None = None,
    ) -> None:
        credential = (
            _credential(os.fspath(ccache)) if ccache else spnego.CredentialCache()
        )
        try:
            self._context = spnego.client(
                credential,
                hostname=host,
                service=service,
                protocol="negotiate",
                channel_bindings=_bindings(binding),
            )
            self.token = self._context.step() or b""
        except spnego.exceptions.SpnegoError as error:
            minor = re.search(r"Minor \(\d+\): (.*?)(?:, Context:|$)", str(error))
            raise InitiatorError(minor[1] if minor else str(error)) from error

    def trusts(self, proof: bytes) -> bool:
        """Whether *proof* shows that the acceptor has opened the ticket."""
        try:
            self._context.step(proof)
        except Exception:  # pyspnego raises whatever it stumbles over
            return False
        return self._context.complete


def _bindings(binding: bytes | None) -> GssChannelBindings | None:
    return GssChannelBindings(application_data=binding) if binding else None


def _credential(ccache: str) -> spnego.KerberosCCache:
    return spnego.KerberosCCache(ccache if ":" in ccache else f"FILE:{ccache}")
