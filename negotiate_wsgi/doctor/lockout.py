"""After how many wrong passwords does a KDC lock an account, and who can tell?"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Protocol

from negotiate_wsgi.doctor.commands import Instructions, Unknown


class Lockout(Protocol):
    """When the KDC locks one user's account.

    :param whose: what says so, such as ``the policy users``.
    :param threshold: wrong passwords after which it is locked; 0 for never.
    :param window: seconds after a wrong password after which all are forgotten; infinite
        where they are kept until a right one.
    :param is_counting: whether the KDC counts this user's wrong passwords at all.
    """

    @property
    def whose(self) -> str: ...
    @property
    def threshold(self) -> int: ...
    @property
    def window(self) -> float: ...
    @property
    def is_counting(self) -> bool: ...

    def lock_after(self, threshold: int) -> Instructions:
        """The account is locked after so many."""
        ...

    def forget_after(self, seconds: int) -> Instructions:
        """The window is so long."""
        ...

    def count(self) -> Instructions:
        """The KDC counts them."""
        ...


class Lockouts(Protocol):
    """Of one kind of KDC."""

    def read(self, user: str) -> Lockout | None:
        """When *user*'s account is locked; None where this machine cannot find out."""
        ...

    def show(self, user: str) -> Instructions:
        """What tells when *user*'s account is locked."""
        ...

    def show_account(self, user: str) -> Instructions:
        """What tells whether *user*'s account is locked, disabled or expired now."""
        ...


@dataclass(frozen=True)
class LockoutsOfFreeIpa:
    """FreeIPA tells administrators with a ticket of theirs."""

    def read(self, user: str) -> Lockout | None:
        return None

    def show(self, user: str) -> Instructions:
        return Instructions(f"ipa pwpolicy-show --user={shlex.quote(user)}")

    def show_account(self, user: str) -> Instructions:
        return Instructions(f"ipa user-status -- {shlex.quote(user)}")


class UnknownLockouts:
    """A KDC of some kind."""

    def read(self, user: str) -> Lockout | None:
        return None

    def show(self, user: str) -> Instructions:
        return Unknown.instructions

    show_account = show
