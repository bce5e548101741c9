"""How do I sign on, as a client? Real tickets, through pyspnego."""

from __future__ import annotations

import os

from negotiate_wsgi.exceptions import ConfigurationError

try:
    import spnego
except ImportError as exc:
    raise ConfigurationError("pyspnego is missing: pip install 'negotiate-wsgi[pytest]'") from exc


class TicketInitiator:
    """One negotiation with the acceptor of ``HTTP/<host>``.

    :param ccache: path of the credential cache that holds the user's ticket-granting ticket.
    :param host: the host in the SPN, taken as it is.
    """

    def __init__(self, ccache: str | os.PathLike[str], host: str) -> None:
        credential = spnego.KerberosCCache(f"FILE:{os.fspath(ccache)}")
        self._context = spnego.client(
            credential, hostname=host, service="HTTP", protocol="negotiate"
        )
        self.token = self._context.step() or b""

    def trusts(self, proof: bytes) -> bool:
        """Whether *proof* shows that the acceptor has opened the ticket: mutual authentication."""
        try:
            self._context.step(proof)
        except spnego.exceptions.SpnegoError:
            return False
        return self._context.complete
