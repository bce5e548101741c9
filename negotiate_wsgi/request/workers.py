"""Who waits for the KDC? Threads of ours, so that a silent one holds no request for long.

Kerberos' library waits half a minute for a KDC that is silent, and cannot be told to
stop. A request that has waited long enough leaves its thread to that, and answers. How
many threads a silent KDC can hold is bounded by that, and so is how many requests wait:
all others of the server go on.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from negotiate_wsgi.exceptions import AcceptorError, clear_locals
from negotiate_wsgi.reasons import Reason

Result = TypeVar("Result")

_IDLE = 60  # seconds after which a thread without work ends


class Unanswered(AcceptorError):
    """The KDC has not been asked, or has not answered yet.

    :param has_begun: whether it has been asked, and may answer still.
    """

    def __init__(self, what: str, has_begun: bool = False) -> None:
        super().__init__(Reason.KDC_UNREACHABLE, f"asking the KDC: {what}")
        self.has_begun = has_begun


class Workers:
    """Calls functions in threads of its own, each for a request that does not wait for
    ever.

    The threads are made when they are needed, anew in a process that was forked, and
    do not hold up the process' end, as those of concurrent.futures do.

    :param count: threads of a process; as many requests again may wait for one.
    :param timeout: seconds that a request waits, for a thread and for its result.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self._count = count
        self._timeout = timeout
        # Of this process, by its id. No lock guards it, which could have been held while
        # the process was forked.
        self._pools: dict[int, _Pool] = {}

    def call(self, function: Callable[[], Result]) -> Result:
        """What *function* returns, or what it raises, the locals of its frames cleared.

        Raises `Unanswered` where it has not returned in time, or where too many wait
        before it, and `AcceptorError` where gevent or eventlet has patched threads. A
        result that comes late is thrown away.
        """
        call = _Call(function)
        del function  # what it holds is not for tracebacks
        pool = self._pool()
        pool.put(call)
        if call.is_done.wait(self._timeout) or not pool.give_up(call):
            return call.outcome()
        has_begun = call.has_begun
        del call  # or the exception would hold what comes of it late
        raise Unanswered(f"it has not answered within {self._timeout:g} s", has_begun)

    @contextlib.contextmanager
    def slot(self) -> Iterator[bool]:
        """Whether this is one of the twice *count* requests that may take their time."""
        pool = self._pool()
        has_slot = pool.take_slot()
        try:
            yield has_slot
        finally:
            if has_slot:
                pool.put_slot_back()

    def _pool(self) -> _Pool:
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            _check_threads()
            # Of several threads that come here at once, all take the first one's.
            pool = self._pools.setdefault(pid, _Pool(self._count))
            for parent in self._pools.keys() - {pid}:
                self._pools.pop(parent, None)
        return pool


class _Call(Generic[Result]):
    """A function that is called once, and what came of it."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self.is_done = threading.Event()
        self.has_begun = False
        self.is_given_up = False
        self._function: Callable[[], Result] | None = function
        self._results: list[Result] = []
        self._problem: BaseException | None = None

    def run(self) -> None:
        assert self._function is not None  # noqa: S101  # for mypy: a call runs once
        try:
            self._results.append(self._function())
        except BaseException as problem:
            clear_locals(problem)
            self._problem = problem
        finally:
            self._function = None

    def outcome(self) -> Result:
        if self._problem is None:
            return self._results[0]
        try:
            raise self._problem
        finally:
            self._problem = None  # whose traceback has this frame


class _Pool:
    """The threads of one process, and the calls that wait for one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._changed = (
            threading.Condition()
        )  # guards all of these, and `_Call.is_given_up`
        self._waiting: deque[_Call[Any]] = deque()
        self._threads = 0
        self._running = 0  # of the threads
        self._hung = 0  # of those that run: whose request has given up
        self._slots = 2 * count  # that are left

    def take_slot(self) -> bool:
        with self._changed:
            if not self._slots:
                return False
            self._slots -= 1
            return True

    def put_slot_back(self) -> None:
        with self._changed:
            self._slots += 1

    def put(self, call: _Call[Any]) -> None:
        """Have *call* run. Raises `AcceptorError` where that would take too long."""
        with self._changed:
            # Half of them, so that a KDC that is silent for some users alone, or at
            # times, does not stop the others.
            if 2 * self._hung >= self._count:
                raise Unanswered(f"{self._hung} requests have waited for it in vain")
            if self._running + len(self._waiting) >= 2 * self._count:
                raise Unanswered(f"{self._count} requests wait for a thread already")
            if self._threads - self._running <= len(self._waiting):
                self._start()
            self._waiting.append(call)
            self._changed.notify()

    def give_up(self, call: _Call[Any]) -> bool:
        """Wait for *call* no longer; False if it has just returned."""
        with self._changed:
            if call.is_done.is_set():
                return False
            call.is_given_up = True
            if call in self._waiting:
                self._waiting.remove(call)
            else:
                self._hung += 1
            return True

    def _start(self) -> None:
        if self._threads == self._count:
            return
        name = "negotiate-wsgi-password"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:
            raise AcceptorError(Reason.PASSWORDS_UNUSABLE, str(problem)) from None
        self._threads += 1

    def _work(self) -> None:
        while self._take_and_run():
            pass

    def _take_and_run(self) -> bool:
        """Whether there was something to do. What came of it is not kept."""
        call = self._take()
        if call is None:
            return False
        call.run()
        with self._changed:
            self._running -= 1
            if call.is_given_up:
                self._hung -= 1
            call.is_done.set()
        return True

    def _take(self) -> _Call[Any] | None:
        with self._changed:
            if not self._waiting:
                self._changed.wait_for(lambda: self._waiting, _IDLE)
            if not self._waiting:
                self._threads -= 1
                return None
            self._running += 1
            call = self._waiting.popleft()
            call.has_begun = True
            return call


def _check_threads() -> None:
    """Raise `AcceptorError` where a thread that waits for the KDC would stop all others.

    gevent and eventlet put functions of their own in the place of the interpreter's,
    and then all threads of the process are one.
    """
    module = _thread.start_new_thread.__module__
    if module != _thread.__name__:
        problem = (
            f"{module} has patched threads, so that the whole process would wait for the "
            "KDC: use threads, such as gunicorn's gthread workers"
        )
        raise AcceptorError(Reason.PASSWORDS_UNUSABLE, problem)
