"""How often has it been tried, on all machines? As `attempts` has it, in their store.

Each name has three counters: of failures, of attempts that are being checked, and of
those that were denied since the last failure. Each step counts first and looks then, so
that machines which ask at a time deny too many rather than too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from negotiate_wsgi.exceptions import StoreError
from negotiate_wsgi.request.attempts import (
    Attempts,
    Denied,
    counter_of_user,
    whose_are,
)
from negotiate_wsgi.request.fleet import Fleet

T = TypeVar("T")

_CHECKED_FOR = 120  # seconds, after which a process that checked has died


class AttemptsOfFleet:
    """Failed passwords of all machines that share a store.

    Each method raises `StoreError` where it does not answer, or asks *host*, whose
    counters are those of one machine, if the store's ``when_down`` is ``"local"``. The
    limits are *host*'s.
    """

    def __init__(self, fleet: Fleet, host: Attempts) -> None:
        self._fleet = fleet
        self._host = host
        self._period = host.period
        #: What is being checked and the host has counted: it is the host's until the
        #: end, even where the store is back by then.
        self._taken_here: list[tuple[str, str]] = []

    def take(self, user: str, address: str) -> Denied | None:
        """Count one for both before the KDC is asked; or deny, and count nothing."""
        return self._either(
            lambda: self._take(self._host.limits(user, address)),
            lambda: self._take_here(user, address),
        )

    def charge(self, address: str) -> Denied | None:
        """Count a failure of *address* alone; or deny."""
        return self._either(
            lambda: self._charge(self._host.limits_of_address(address)),
            lambda: self._host.charge(address),
        )

    def fail(self, user: str, address: str) -> None:
        """The KDC has refused the password."""
        self._settle(
            (user, address),
            lambda: self._fail(self._host.limits(user, address)),
            lambda: self._host.fail(user, address),
        )

    def succeed(self, user: str, address: str) -> None:
        """The password is right: the user's failures are forgotten."""
        self._settle(
            (user, address),
            lambda: self._succeed(user, self._host.limits(user, address)),
            lambda: self._host.succeed(user, address),
        )

    def give_back(self, user: str, address: str) -> None:
        """The KDC did not say whether the password is right."""
        self._settle(
            (user, address),
            lambda: self._give_back(self._host.limits(user, address)),
            lambda: self._host.give_back(user, address),
        )

    def _take_here(self, user: str, address: str) -> Denied | None:
        denied = self._host.take(user, address)
        if denied is None:
            self._taken_here.append((user, address))
        return denied

    def _settle(
        self,
        attempt: tuple[str, str],
        everywhere: Callable[[], None],
        here: Callable[[], None],
    ) -> None:
        """Say what came of *attempt*, of this user and address, where it was counted."""
        try:
            self._taken_here.remove(attempt)
        except ValueError:
            self._either(everywhere, here)
        else:
            here()

    def _take(self, limits: dict[str, int]) -> Denied | None:
        checked = {
            name: self._count(f"checked {name}", _CHECKED_FOR, +1) for name in limits
        }
        denied = self._denied(limits)
        if denied is None:
            busy = [
                name
                for name, limit in limits.items()
                if self._failed(name) + checked[name] > limit
            ]
            if busy:
                denied = Denied(1, False, whose_are(busy), is_busy=True)
        if denied:
            self._give_back(limits)
        return denied

    def _charge(self, limits: dict[str, int]) -> Denied | None:
        denied = self._denied(limits)
        if denied is None:
            self._count_failure(limits)
        return denied

    def _denied(self, limits: dict[str, int]) -> Denied | None:
        full = [name for name, limit in limits.items() if self._failed(name) >= limit]
        if not full:
            return None
        told = [self._count(f"denied {name}", self._period, +1) for name in full]
        # A counter does not say when it ends: so this is the longest that it can take.
        return Denied(self._period, 1 in told, whose_are(full), is_busy=False)

    def _fail(self, limits: dict[str, int]) -> None:
        self._count_failure(limits)
        self._give_back(limits)

    def _count_failure(self, names: Iterable[str]) -> None:
        for name in names:
            self._count(f"failed {name}", self._period, +1)
            self._forget(f"denied {name}")

    def _succeed(self, user: str, limits: dict[str, int]) -> None:
        self._forget(f"failed {counter_of_user(user)}")
        self._give_back(limits)

    def _give_back(self, names: Iterable[str]) -> None:
        for name in names:
            self._subtract(f"checked {name}", _CHECKED_FOR, 1)

    def _forget(self, name: str) -> None:
        """What others add at the same time stays."""
        count = self._count(name, self._period, 0)
        if count > 0:
            self._subtract(name, self._period, count)

    def _subtract(self, name: str, seconds: int, number: int) -> None:
        left = self._count(name, seconds, -number)
        if left < 0:
            # Another has subtracted the same, or it has ended meanwhile. Less than
            # nothing would be attempts more than the limit.
            self._count(name, seconds, -left)

    def _failed(self, name: str) -> int:
        return self._count(f"failed {name}", self._period, 0)

    def _count(self, name: str, seconds: int, by: int) -> int:
        key = name.encode("utf-8", "surrogatepass")
        store = self._fleet.store
        return self._fleet.breaker.call(lambda: store.count(key, seconds, by))

    def _either(self, everywhere: Callable[[], T], here: Callable[[], T]) -> T:
        try:
            return everywhere()
        except StoreError:
            if not self._fleet.goes_on_alone:
                raise
        return here()
