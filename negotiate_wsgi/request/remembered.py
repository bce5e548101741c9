"""Was this password right a moment ago? Basic sends it with each request."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.wire.authorization import Password

_MOST = 1024


class Remembered:
    """Right passwords of the last *seconds*, none of which is kept: only a keyed hash.

    :param seconds: how long the KDC is not asked again; 0 remembers nothing. A password
        that has been changed stays good for as long.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._key = os.urandom(32)
        # No lock guards them, which could have been held while the process was forked:
        # each step is one of the interpreter's own.
        self._entries: dict[bytes, tuple[float, Accepted]] = {}
        self._users: dict[bytes, float] = {}

    def find(
        self,
        audience: str,
        user: str,
        password: Password,
        is_over: Callable[[Accepted, float], bool] | None = None,
    ) -> Accepted | None:
        """What the KDC said, unless that is too long ago, or the ticket has ended.

        :param audience: by whom the ticket was judged, which decides on names and
            groups.
        :param is_over: tells whether what began at a time, in seconds since the epoch,
            has been ended, and may raise `StoreError`; None where nothing is ended.
        """
        mark = self._mark(audience, user, password.reveal())
        forget_at, accepted = self._entries.get(mark, (0.0, None))
        if accepted is None or time.monotonic() >= forget_at:
            return None
        if accepted.expiry and accepted.expiry() <= time.time():
            return None
        if is_over is None:
            return accepted
        age = self._seconds - (forget_at - time.monotonic())
        if is_over(accepted, time.time() - age):
            return None
        return accepted

    def knows(self, user: str) -> bool:
        """Whether a password of *user* is remembered, so that others can be told from
        it.
        """
        return time.monotonic() < self._users.get(self._mark(user), 0.0)

    def keep(
        self, audience: str, user: str, password: Password, accepted: Accepted
    ) -> None:
        """Remember a right password; the oldest of 1024 is forgotten for it."""
        if not self._seconds:
            return
        forget_at = time.monotonic() + self._seconds
        # Neither the SIDs and the fingerprint, for which the whole ticket and the token
        # would be kept, nor what would be handed to other requests.
        kept = replace(accepted, sids=None, delegated=None, fingerprint=None)
        _put(self._users, self._mark(user), forget_at)
        mark = self._mark(audience, user, password.reveal())
        _put(self._entries, mark, (forget_at, kept))

    def _mark(self, *texts: str) -> bytes:
        # Neither audience nor user name has a NUL.
        joined = "\0".join(texts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, joined, "sha256")


def _put(table: dict[bytes, Any], mark: bytes, value: object) -> None:
    """Put it in as the newest, and take out the oldest that is too much."""
    table.pop(mark, None)
    table[mark] = value
    for oldest in list(table)[:-_MOST]:
        table.pop(oldest, None)
