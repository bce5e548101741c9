"""What can be asked of an opened ticket later? Only where somebody wants to know."""

from __future__ import annotations

import functools
from typing import Any

from negotiate_wsgi.acceptors.gssapi_library import Library
from negotiate_wsgi.wire.authenticator import authenticator_in


class Opened:
    """A ticket that an acceptor has opened.

    :param context: GSSAPI's, of the negotiation.
    :param name: GSSAPI's, of the initiator.
    :param token: which brought it.
    """

    __slots__ = ("_context", "_end", "_library", "_name", "_token")

    def __init__(self, library: Library, context: Any, name: Any, token: bytes) -> None:
        self._library = library
        self._context = context
        self._name = name
        self._token = token
        self._end = 0.0

    def end(self) -> float:
        """When it ends, in seconds since the epoch: where a session begins."""
        if not self._end:
            self._end = self._library.end_of_ticket(self._context)
        return self._end

    def fingerprint(self) -> bytes:
        """What is the same in all spellings of its token."""
        return authenticator_in(self._token)

    def sids(self) -> tuple[str, ...]:
        """Every SID in its PAC: where an administrator looks for them."""
        # Not at the top of the module: who asks for no PAC needs nothing of it.
        from negotiate_wsgi.acceptors.pac import sids_of

        return sids_of(functools.partial(self._library.attribute, self._name))
