"""What can be asked of an opened ticket later? Only where somebody wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.acceptors.gssapi_library import Keys, Library
from negotiate_wsgi.wire.authenticator import authenticator_in

if TYPE_CHECKING:
    from negotiate_wsgi.wire.pactype import Pac

# MIT's names of attributes (RFC 6680): of the whole PAC, and of the indicators.
_PAC = b"urn:mspac:"
_INDICATORS = b"auth-indicators"


class Opened:
    """A ticket that an acceptor has opened.

    :param context: GSSAPI's, of the negotiation.
    :param name: GSSAPI's, of the initiator.
    :param token: which brought it.
    :param keys: with one of which it was opened.
    :param spn: whose key that was.
    """

    __slots__ = (
        "_authtime",
        "_context",
        "_end",
        "_keys",
        "_library",
        "_name",
        "_token",
        "principal",
        "spn",
    )

    def __init__(
        self,
        library: Library,
        context: Any,
        name: Any,
        token: bytes,
        keys: Keys,
        spn: str,
    ) -> None:
        self._library = library
        self._context = context
        self._name = name
        self._token = token
        self._keys = keys
        self.spn = spn
        self.principal = library.name(name)
        self._end = 0.0
        self._authtime = 0

    def end(self) -> float:
        """When it ends, in seconds since the epoch: where a session begins."""
        if not self._end:
            # It uses the context up.
            self._authtime = self._library.authtime(self._context)
            self._end = self._library.end_of_ticket(self._context)
        return self._end

    def fingerprint(self) -> bytes:
        """What is the same in all spellings of its token."""
        return authenticator_in(self._token)

    def sids(self) -> tuple[str, ...]:
        """Every SID in its PAC: where an administrator looks for them."""
        # Not at the top of the module: who asks for no PAC needs nothing of it.
        from negotiate_wsgi.acceptors.pac import sids_of

        return sids_of(self.pac())

    def indicators(self) -> Sequence[bytes]:
        """How its KDC says that the initiator has signed on (RFC 8129), verified."""
        return self._library.attribute(self._name, _INDICATORS)

    def pac(self) -> Pac | None:
        """Its PAC, if that is genuine.

        The library is not believed: from krb5 1.21 on, verify_pac_checksums of its
        pac.c calls a PAC verified whatever becomes of its signature, of the initiator's
        name in it and of the time.
        """
        entries = self._keys.entries.get(self.spn)
        if not entries:  # gssproxy has them
            return None
        found = self._library.attribute(self._name, _PAC)
        if not found:
            return None
        # Not at the top of the module: who asks for no PAC needs nothing of it.
        from negotiate_wsgi.acceptors.pac import genuine_pac

        library = self._library
        authtime = self._authtime or library.authtime(self._context)
        return genuine_pac(found[0], self.principal, authtime, entries, library.binding)
