"""Is it true? What an acceptor is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Refusal

#: An acceptor's "no" is what the application reads as ``negotiate_wsgi.refusal``.
Refused = Refusal


@runtime_checkable
class Delegated(Protocol):
    """What an initiator lets us do in its name, for one request. Must be safe to call
    from any thread.
    """

    def credentials(self) -> Any:
        """Python-gssapi's, made when first asked for.

        Raises `DelegationError` where they cannot be used, or have been destroyed.
        """
        ...

    def destroy(self) -> None:
        """The request has ended."""
        ...


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
    :param fingerprint: tells what is the same in all spellings of this token and in no
        other token, where machines have to know a token again: the octets of its
        encrypted authenticator, or none where they cannot be read for certain, and then
        the token is refused. None for an acceptor whose tokens have one spelling.
    """

    identity: Identity
    token: bytes | None = field(default=None, repr=False)
    expiry: Callable[[], float] | None = field(default=None, repr=False)
    delegated: Delegated | None = field(default=None, repr=False)
    sids: Callable[[], tuple[str, ...]] | None = field(default=None, repr=False)
    fingerprint: Callable[[], bytes] | None = field(default=None, repr=False)


class Acceptor(Protocol):
    """Judges tokens, one leg each (RFC 2743 section 2.2.2). Must be safe to call from
    any thread.
    """

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one token. Raises `AcceptorError` only for faults of our own."""
        ...
