"""Can tests have a store with no server? One in memory, which machines share that are
only pretended.
"""

from __future__ import annotations

import threading
import time

from negotiate_wsgi.exceptions import StoreError
from negotiate_wsgi.stores.protocol import (
    EVERYBODY,
    Revocations,
    WhenDown,
    draw_revision,
)


class MemoryStore:
    """A `Store` in the memory of this process, for the tests of an application.

    .. code-block:: python

        store = MemoryStore()
        here = NegotiateMiddleware(app, acceptor=realm, store=store, session=session)
        there = NegotiateMiddleware(app, acceptor=realm, store=store.elsewhere(), ...)
        revoke(store, "alice@EXAMPLE.TEST")

    :param refresh: seconds between two looks for revocations.
    :param when_down: as that of `ValkeyStore`.
    :ivar fault: the text of the `StoreError` that each question raises; None for a
        store that answers. Shared with those made by `elsewhere`.
    """

    def __init__(self, refresh: float = 0.1, when_down: WhenDown = "refuse") -> None:
        self.refresh = refresh
        self.when_down = when_down
        self._shared = _SharedMemory()

    def elsewhere(self) -> MemoryStore:
        """The same store as another machine knows it."""
        other = MemoryStore(self.refresh, self.when_down)
        other._shared = self._shared
        return other

    @property
    def fault(self) -> str | None:
        return self._shared.fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        self._shared.fault = fault

    def lose_everything(self) -> None:
        """As a store does that is started again without persistence."""
        self._shared.forget()

    def claim(self, fingerprint: bytes) -> bool:
        with self._shared as shared:
            is_first = fingerprint not in shared.claims
            shared.claims.add(fingerprint)
            return is_first

    def count(self, name: bytes, seconds: int, by: int = 1) -> int:
        now = time.time()
        with self._shared as shared:
            value, end = shared.counts.get(name, (0, 0.0))
            if now >= end:
                value = 0
                end = now + seconds
            if by > 0:
                end = now + seconds
            if by:
                shared.counts[name] = value + by, end
            return value + by

    def revoke(self, principal: str | None) -> None:
        who = EVERYBODY if principal is None else principal
        with self._shared as shared:
            shared.principals[who] = time.time()
            shared.revision = draw_revision()

    def end_session(self, session: str, end: float) -> None:
        with self._shared as shared:
            shared.sessions[session] = end
            shared.revision = draw_revision()

    def restore(self, lost: Revocations) -> None:
        with self._shared as shared:
            for mine, theirs in (
                (shared.principals, lost.principals),
                (shared.sessions, lost.sessions),
            ):
                for name, moment in theirs.items():
                    mine[name] = max(moment, mine.get(name, moment))
            shared.revision = draw_revision()

    def revocations(self, known: int) -> Revocations | None:
        with self._shared as shared:
            if known == shared.revision:
                return None
            return Revocations(
                shared.revision, dict(shared.principals), dict(shared.sessions)
            )


class _SharedMemory:
    """What machines share; locked, and asked, in a ``with``."""

    fault: str | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.claims: set[bytes] = set()
        self.counts: dict[bytes, tuple[int, float]] = {}
        self.principals: dict[str, float] = {}
        self.sessions: dict[str, float] = {}
        self.revision = 0

    def __enter__(self) -> _SharedMemory:
        if self.fault is not None:
            raise StoreError(self.fault)
        self._lock.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
