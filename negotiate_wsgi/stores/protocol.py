"""What is asked of a store, and the two words that end sessions everywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from negotiate_wsgi.exceptions import ConfigurationError

EVERYBODY = "*"  #: stands for all principals. No principal is without a realm.
KEPT_FOR = 400 * 86_400  #: seconds, for which a store keeps a revocation
LONGEST_REFRESH = 20  #: seconds: a picture of 60 seconds has missed three looks
_LEAST_SECONDS = 0.1
CLOCKS_DIFFER = 5  #: seconds at most, between machines
SOON = 60  #: seconds. A clock that is ahead by more is wrong, or somebody lies.

WhenDown = Literal["refuse", "local"]


@dataclass(frozen=True, slots=True)
class Revocations:
    """All that a store knows of sessions that are over.

    :param revision: drawn anew whenever something changes, 1 or more; 0 where the store
        has never heard of a revocation, or has lost them. See `draw_revision`.
    :param principals: when the sessions of each were revoked last, in seconds since the
        epoch by the store's clock; ``*`` is everybody.
    :param sessions: the ends of those that were ended one by one, in seconds since the
        epoch; each is named by the random mark in its cookie.
    """

    revision: int = 0
    principals: Mapping[str, float] = field(default_factory=dict)
    sessions: Mapping[str, float] = field(default_factory=dict)


class Store(Protocol):
    """What the machines of a fleet share. Must be safe to call from any thread, and
    after a fork. Each method may raise `StoreError`, and answers or raises soon.

    :param refresh: seconds between two looks for revocations, 0.1 to 20.
    :param when_down: ``"refuse"`` or ``"local"``: what becomes of sign-ons while the
        store does not answer.
    """

    refresh: float
    when_down: WhenDown

    def claim(self, fingerprint: bytes) -> bool:
        """True for the first that asks, on all machines."""
        ...

    def count(self, name: bytes, seconds: int, by: int = 1) -> int:
        """Add *by* to the counter *name*, and return what it has become.

        It is forgotten *seconds* after the last time that something was added. With 0
        or less, that time is not begun anew.
        """
        ...

    def revoke(self, principal: str | None) -> None:
        """End all sessions of *principal* that have begun by now; None is everybody."""
        ...

    def end_session(self, session: str, end: float) -> None:
        """End one session, which would end by itself at *end*, in seconds since the
        epoch.
        """
        ...

    def revocations(self, known: int) -> Revocations | None:
        """All that is revoked; None where its revision is *known*. No revision is -1."""
        ...

    def restore(self, lost: Revocations) -> None:
        """Take back what a process has learnt and the store does not know any more. Its
        revision says nothing. Later times win.
        """
        ...


def check_seconds(name: str, value: object, most: float) -> None:
    """At least a tenth. Raises `ConfigurationError`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _LEAST_SECONDS <= value <= most:  # type: ignore[operator]
        raise ConfigurationError(
            f"{name}={value!r}: write a number of seconds, {_LEAST_SECONDS} to {most}"
        )


def check_when_down(name: str, value: object) -> None:
    """Raises `ConfigurationError`."""
    if value not in get_args(WhenDown):
        raise ConfigurationError(f"{name}={value!r}: write 'refuse' or 'local'")


def draw_revision() -> int:
    """What a change is known by, 1 or more. Nothing that is counted: a store that loses
    its last changes would count them again, with other content.
    """
    return 1 + int.from_bytes(os.urandom(7), "big")


def revoke(store: Store, principal: str) -> None:
    """End the sessions of *principal* on all machines, within ``store.refresh`` seconds.

    A ticket or a password that is still good signs on again: disable the account in the
    KDC, too. A session that begins within 5 seconds from now is ended, too, because
    clocks differ.

    :raises ValueError: *principal* has no realm.
    :raises StoreError: the store did not answer; nothing may have been revoked.
    """
    name, _, realm = principal.rpartition("@")
    if not name or not realm:
        raise ValueError(
            f"principal={principal!r}: write it with its realm, 'alice@EXAMPLE.COM'"
        )
    store.revoke(principal)


def revoke_all(store: Store) -> None:
    """End everybody's sessions on all machines, within ``store.refresh`` seconds.

    :raises StoreError: the store did not answer; nothing may have been revoked.
    """
    store.revoke(None)
