"""Does the store answer? So that one that does not holds no more than one request."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from negotiate_wsgi.exceptions import StoreError
from negotiate_wsgi.stores.protocol import Store

T = TypeVar("T")

_logger = logging.getLogger("negotiate_wsgi")

_PAUSE = 1  # seconds, after a failure
_TOLD_EVERY = 60  # seconds
_CONSEQUENCE = {
    "refuse": "sign-on is refused",
    "local": "single host protection",
}
_LOCKS: dict[int, threading.Lock] = {}  # by process: a child is not to wait for ours


class Breaker:
    """Asks *store* questions of this process, unless it has just failed to answer.

    After a failure nobody asks for a second. Then one request tries again, and the
    others do not wait for it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fault: str | None = None
        self._lost_at = 0.0
        self._told_at = 0.0
        self._ask_at = 0.0
        #: The process and its thread that tries again, if one does.
        self._trying: tuple[int, int] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the last answer failed to come."""
        return self._fault is not None

    def call(self, ask: Callable[[], T]) -> T:
        """What *ask* returns. Raises `StoreError`, also in place of asking."""
        if self._fault is None:
            return self._asked(ask)
        me = (os.getpid(), threading.get_ident())
        with _lock():
            is_mine = self._may_try(me[0])
            if is_mine:
                self._trying = me
        if not is_mine:
            fault = self._fault
            if fault is None:  # It has just answered again.
                return self._asked(ask)
            raise StoreError(fault)
        try:
            return self._asked(ask)
        finally:
            self._trying = None

    def _may_try(self, process: int) -> bool:
        if time.monotonic() < self._ask_at:
            return False
        # A thread of our parent's does not run here.
        return self._trying is None or self._trying[0] != process

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            answer = ask()
        except StoreError as problem:
            self._fail(str(problem))
            raise
        if self._fault is not None:
            self._recover()
        return answer

    def _fail(self, fault: str) -> None:
        with _lock():
            now = time.monotonic()
            self._ask_at = now + _PAUSE
            if self._fault is None:
                self._lost_at = now
                self._told_at = now - _TOLD_EVERY
            self._fault = fault
            is_to_tell = now - self._told_at >= _TOLD_EVERY
            if is_to_tell:
                self._told_at = now
        if is_to_tell:
            consequence = _CONSEQUENCE[self._store.when_down]
            _logger.warning(
                "the store %s is lost (%s): %s", self._store, fault, consequence
            )

    def _recover(self) -> None:
        with _lock():
            is_back = self._fault is not None
            self._fault = None
            seconds = time.monotonic() - self._lost_at
        if is_back:
            _logger.info("the store is back after %.0f s", seconds)


def _lock() -> threading.Lock:
    return _LOCKS.setdefault(os.getpid(), threading.Lock())
