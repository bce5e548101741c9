"""What is revoked, as far as this process knows? Looked at every few seconds, so that a
session costs no question to the store.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
import weakref
from collections.abc import Mapping

from negotiate_wsgi.exceptions import StoreError
from negotiate_wsgi.stores.breaker import Breaker
from negotiate_wsgi.stores.protocol import (
    CLOCKS_DIFFER,
    EVERYBODY,
    KEPT_FOR,
    SOON,
    Revocations,
    Store,
)

_TOO_OLD = 60  # seconds, after which a picture is not trusted
_MISSED = 3  # looks of the thread: then it does not run here, and requests look
_MOMENT = 0.05  # seconds
_DAY = 86_400  # seconds
_NEVER = float("-inf")
_UNKNOWN = -1  # revision: the next look reads all, to see what the store lacks


class Picture:
    """What this process has learnt of revocations, and never forgets: where the store
    has lost it, it is written back.
    """

    def __init__(self, store: Store, breaker: Breaker) -> None:
        self._store = store
        self._breaker = breaker
        self._principals: dict[str, float] = {}
        self._sessions: dict[str, float] = {}
        self._revision = 0
        self._seen_at = _NEVER
        #: When a request has to see to it that somebody looks: in a child, at once.
        self._look_by = _NEVER
        self._process = 0
        self._patience = _MISSED * store.refresh
        self._locks: dict[int, threading.Lock] = {}  # by process
        _PICTURES.add(self)
        _see_to_it_after_fork()

    def is_over(self, principal: str, issued: float, session: str | None) -> bool:
        """Whether a session of *principal* that began at *issued*, in seconds since the
        epoch, has been ended; *session* is the name of its cookie.

        Raises `StoreError` where that is not known.
        """
        if time.monotonic() > self._look_by:
            self._see_to_it()
        ended = self._principals
        last = issued - CLOCKS_DIFFER
        return (
            ended.get(principal, _NEVER) >= last
            or ended.get(EVERYBODY, _NEVER) >= last
            or session in self._sessions
        )

    def end_session(self, session: str, end: float) -> None:
        """End it here and now, and elsewhere by the next look at the latest."""
        if self._sessions.get(session, _NEVER) >= end:
            return  # or whoever has an ended cookie could have us write without end
        with self._lock():
            self._start()
            self._sessions[session] = end
            # Even what the store has taken may be lost before the next look.
            self._revision = _UNKNOWN
            with contextlib.suppress(StoreError):
                self._breaker.call(lambda: self._store.end_session(session, end))

    def _see_to_it(self) -> None:
        """Have a thread look from now on; and look here where none has for long."""
        lock = self._lock()
        # Not without end: where no thread can start, each request comes here.
        if self._process != os.getpid() and lock.acquire(timeout=_MOMENT):
            try:
                self._start()
            finally:
                lock.release()
        age = time.monotonic() - self._seen_at
        if age <= self._patience:
            self._look_by = self._seen_at + self._patience
            return
        if not lock.acquire(timeout=self._wait_for_another(age)):
            if self._is_needed(age):
                raise StoreError("it has not answered for too long")
            return
        try:
            age = time.monotonic() - self._seen_at
            if age > self._patience:
                self._look()
        except StoreError:
            if self._is_needed(age):
                raise
        finally:
            lock.release()

    def _wait_for_another(self, age: float) -> float:
        """For how many seconds to wait for who is looking now; -1 is until the end."""
        if self._breaker.is_lost:
            return 0
        if self._seen_at == _NEVER or self._is_needed(age):
            return -1
        # Long enough for a thread that has its answer and runs only while we wait.
        return _MOMENT

    def _is_needed(self, age: float) -> bool:
        """Whether no session counts by a picture of this age in seconds."""
        return age > _TOO_OLD and self._store.when_down == "refuse"

    def _start(self) -> None:
        if self._process == os.getpid():
            return
        arguments = (weakref.ref(self), self._store.refresh)
        thread = threading.Thread(
            target=_look_again, args=arguments, name="negotiate_wsgi store", daemon=True
        )
        # Where no thread can start (a limit of processes), requests look themselves.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._process = os.getpid()

    def look(self) -> None:
        """Learn what is new. Raises `StoreError`."""
        with self._lock():
            self._look()

    def _look(self) -> None:
        began = time.monotonic()
        known = self._revision
        found = self._breaker.call(lambda: self._store.revocations(known))
        if found is not None:
            self._learn(found)
        self._seen_at = began
        self._look_by = began + self._patience

    def _learn(self, found: Revocations) -> None:
        now = time.time()
        # No honest machine writes later ones, and nothing would ever come after them:
        # not even what puts an end to them once the store is in good hands again.
        principals = _until(found.principals, now + SOON, now)
        sessions = _until(found.sessions, now + KEPT_FOR, now + KEPT_FOR)
        # A day less than the store keeps them, or we would write them back for ever.
        since = now - KEPT_FOR + _DAY
        lost = Revocations(
            0,
            _newer(self._principals, principals, since),
            _newer(self._sessions, sessions, now),
        )
        # In this order: what is read without the lock never lacks anything.
        self._principals = {**principals, **lost.principals}
        self._sessions = {**sessions, **lost.sessions}
        self._revision = found.revision
        if lost.principals or lost.sessions:
            # What is lost again before the next look may have the same revision again.
            self._revision = _UNKNOWN
            self._breaker.call(lambda: self._store.restore(lost))

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())


_PICTURES: weakref.WeakSet[Picture] = weakref.WeakSet()


@functools.cache
def _see_to_it_after_fork() -> None:
    """A child has no thread that looks, and its first request is to start one."""
    os.register_at_fork(after_in_child=_forget_when_to_look)


def _forget_when_to_look() -> None:
    for picture in list(_PICTURES):
        picture._look_by = _NEVER


def _until(
    found: Mapping[str, float], latest: float, instead: float
) -> dict[str, float]:
    """*found* with *instead* in place of what is after *latest*, or no number."""
    return {
        name: moment if moment <= latest else instead for name, moment in found.items()
    }


def _newer(
    mine: Mapping[str, float], theirs: Mapping[str, float], since: float
) -> dict[str, float]:
    """What *theirs* lacks of *mine*, without what was over before *since*."""
    return {
        name: moment
        for name, moment in mine.items()
        if moment > since and moment > theirs.get(name, _NEVER)
    }


def _look_again(picture: weakref.ref[Picture], seconds: float) -> None:
    """A thread, as long as there is a middleware that needs it."""
    while True:
        began = time.monotonic()
        time.sleep(seconds)
        found = picture()
        if found is None:
            return
        # uWSGI without enable-threads runs us during requests alone: these look
        # themselves, and would find that we have begun to and do not go on.
        if time.monotonic() - began > _MISSED * seconds:
            continue
        with contextlib.suppress(StoreError):  # The breaker has told it.
            found.look()
        del found
