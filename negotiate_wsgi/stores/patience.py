"""How long is a store waited for, in all?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_LEAST = 0.001  # seconds. None at all is, to a socket, not to wait, and no fault.


class _Patience:
    def __init__(self, rest: float) -> None:
        self.rest = rest
        self.since: float | None = None


#: Of who asks, thread or greenlet. Not of `threading`: an app may be loaded before gevent
#: makes its locals those of greenlets.
_of_whoever_asks: ContextVar[_Patience] = ContextVar("patience")


def _patience() -> _Patience:
    return _of_whoever_asks.get(None) or _Patience(math.inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """What is waited for in what follows takes no longer in all.

    Only waiting counts: to read a long list is work, and no fault of the store's.
    """
    before = _of_whoever_asks.set(_Patience(seconds))
    try:
        yield
    finally:
        _of_whoever_asks.reset(before)


def left(most: float) -> float:
    """For how many seconds to wait now, *most* at most. More than 0."""
    patience = _patience()
    rest = patience.rest
    if patience.since is not None:
        rest -= time.monotonic() - patience.since
    return max(_LEAST, min(most, rest))


@contextmanager
def waiting() -> Iterator[None]:
    """What is done meanwhile is to wait."""
    patience = _patience()
    began = patience.since = time.monotonic()
    try:
        yield
    finally:
        patience.since = None
        patience.rest -= time.monotonic() - began


class PatientSocket:
    """*sock*, which waits for *timeout* seconds at most, and no longer than `at_most`
    says, however little it is that comes each time.
    """

    def __init__(self, sock: Any, timeout: float) -> None:
        self._sock = sock
        self._timeout = timeout
        self._now = -1.0  # what the socket's own is

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float) -> None:
        """Not to wait at all, with 0; or to do so again."""
        self._now = self._timeout if seconds else 0
        self._sock.settimeout(self._now)

    def recv(self, size: int) -> bytes:
        return self._waited(self._sock.recv, size)  # type: ignore[no-any-return]

    def recv_into(self, *arguments: Any) -> int:
        return self._waited(self._sock.recv_into, *arguments)  # type: ignore[no-any-return]

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._waited(self._sock.send, rest) :]

    def _waited(self, wait: Callable[..., Any], *arguments: Any) -> Any:
        if self._now == 0:
            return wait(*arguments)
        seconds = left(self._timeout)
        if seconds == _LEAST:
            raise TimeoutError
        if seconds != self._now:
            self._sock.settimeout(seconds)
            self._now = seconds
        # No `waiting`: this is done several times for each sign-on.
        began = time.monotonic()
        try:
            return wait(*arguments)
        finally:
            _patience().rest -= time.monotonic() - began
