"""Whose are the signals and the terminal? A command and all that it starts, as one
process group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Self

_GRACE = 5  # seconds that a group has to end after it was told to


class Signals:
    """Remembers what asks us to end, and hands it on once there is a process group to
    tell.
    """

    received = 0

    def __init__(self) -> None:
        self._hand_on: Callable[[int], None] | None = None

    def __enter__(self) -> Self:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if (
            signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        ):  # as it is under nohup
            numbers.append(signal.SIGHUP)
        self._before = {
            number: signal.signal(number, self._receive) for number in numbers
        }
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._hand_on:
            self._hand_on(number)

    def hand_on_to(self, tell: Callable[[int], None]) -> None:
        """Tell *tell* of each signal from now on, and of one that has come already."""
        self._hand_on = tell
        if self.received:
            tell(self.received)


def _tell(group: int, number: int) -> bool:
    """Signal a process group; False if none of it is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def ask_to_end(group: int, number: int) -> None:
    """Signal *group*, and kill what is left of it in a while, unless `end_group` comes
    first.
    """
    _tell(group, number)
    signal.signal(signal.SIGALRM, lambda *_: _tell(group, signal.SIGKILL))
    signal.alarm(_GRACE)


def end_group(group: int) -> None:
    """End what the command left running, kindly first."""
    signal.alarm(0)
    deadline = time.monotonic() + _GRACE
    _tell(group, signal.SIGTERM)
    # Orphans that nobody reaps, as in a container without an init, count as alive for
    # ever.
    while _tell(group, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    _tell(group, signal.SIGKILL)


@contextlib.contextmanager
def terminal_lent() -> Iterator[Callable[[], None]]:
    """What a new process group calls to be the terminal's foreground, which is ours
    again after.

    There Ctrl-C reaches it, and neither us nor the KDC. It does so itself, before its
    program starts: a shell that finds itself in the background stops, maybe for ever.
    """
    try:
        yield _take_terminal
    finally:
        _take_terminal()


def _take_terminal() -> None:
    # Who is not in the foreground is stopped by SIGTTOU when it calls tcsetpgrp.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    # Standard input may be no terminal, one of another session, or closed by now.
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, os.getpgrp())
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
