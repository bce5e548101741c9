"""Is it true? What an acceptor is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Refusal

#: An acceptor's "no" is what the application reads as ``negotiate_wsgi.refusal``.
Refused = Refusal


@dataclass(slots=True)
class Accepted:
    """A token that a ticket of ours stands behind.

    :param identity: the initiator. Its ``spn`` is that of the key that really opened
        the ticket.
    :param token: the mutual token for the initiator, in bytes, or None if there is none
        to send.
    :param expiry: tells when the ticket ends, in seconds since the epoch; None where
        the acceptor cannot know.
    :param delegated: what the initiator delegated to us, or None.
    :param sids: tells every SID in the PAC, the account's own first, for an
        administrator who looks for them; None where the acceptor cannot know.
    """

    identity: Identity
    token: bytes | None = field(default=None, repr=False)
    expiry: Callable[[], float] | None = field(default=None, repr=False)
    delegated: object | None = field(default=None, repr=False)
    sids: Callable[[], tuple[str, ...]] | None = field(default=None, repr=False)


class Acceptor(Protocol):
    """Judges tokens, one leg each (RFC 2743 section 2.2.2). Must be safe to call from
    any thread.
    """

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one token. Raises `AcceptorError` only for faults of our own."""
        ...
