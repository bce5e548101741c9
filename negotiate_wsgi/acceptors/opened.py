"""What can be asked of an opened ticket later? Only where somebody wants to know."""

from __future__ import annotations

import functools
from typing import Any

from negotiate_wsgi.acceptors.attributes import sids_of
from negotiate_wsgi.acceptors.gssapi_library import Library


class Opened:
    """A ticket that an acceptor has opened.

    :param context: GSSAPI's, of the negotiation.
    :param name: GSSAPI's, of the initiator.
    """

    __slots__ = ("_context", "_end", "_library", "_name")

    def __init__(self, library: Library, context: Any, name: Any) -> None:
        self._library = library
        self._context = context
        self._name = name
        self._end = 0.0

    def end(self) -> float:
        """When it ends, in seconds since the epoch: where a session begins."""
        if not self._end:
            self._end = self._library.end_of_ticket(self._context)
        return self._end

    def sids(self) -> tuple[str, ...]:
        """Every SID in its PAC: where an administrator looks for them."""
        return sids_of(functools.partial(self._library.attribute, self._name))
