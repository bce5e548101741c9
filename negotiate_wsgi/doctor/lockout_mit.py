"""When does MIT's KDC lock an account? Its database says so, on the KDC's own machine."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from negotiate_wsgi.doctor.commands import LOCAL, Instructions, query, word
from negotiate_wsgi.doctor.programs import printed_by


@dataclass(frozen=True)
class LockoutOfMit:
    """What a policy says of one user.

    :param policy: its name, None where the user has no policy.
    """

    principal: str
    policy: str | None
    threshold: int
    window: float
    is_counting: bool

    @property
    def whose(self) -> str:
        return f"the policy {self.policy}" if self.policy else "no policy"

    def lock_after(self, threshold: int) -> Instructions:
        return self._modify(f"-maxfailure {threshold}")

    def forget_after(self, seconds: int) -> Instructions:
        return self._modify(f"-failurecountinterval {seconds}s")

    def count(self) -> Instructions:
        asked = f"modprinc +requires_preauth {word(self.principal)}"
        return Instructions(query(asked))

    def _modify(self, options: str) -> Instructions:
        return Instructions(query(f"modpol {options} {word(self.policy or '')}"))


@dataclass(frozen=True)
class LockoutsOfMit:
    """Of the KDC of *realm*."""

    realm: str

    def read(self, user: str) -> LockoutOfMit | None:
        principal = self._principal(user)
        account = self._local("getprinc", principal)
        attributes = _value("Attributes", account)
        name = _value("Policy", account)
        if attributes is None or name is None:
            return None
        # Without that, its KDC decides on no wrong password, and counts none.
        is_counting = "REQUIRES_PRE_AUTH" in attributes.split()
        if name.startswith("["):  # [none]
            return LockoutOfMit(principal, None, 0, math.inf, is_counting)
        policy = self._local("getpol", name)
        threshold = _value("Maximum password failures before lockout", policy)
        window = _seconds(_value("Password failure count reset interval", policy))
        if threshold is None or window is None:
            return None
        return LockoutOfMit(
            principal, name, int(threshold), window or math.inf, is_counting
        )

    def show(self, user: str) -> Instructions:
        asked = f"getprinc {word(self._principal(user))}"
        note = "getpol shows the policy that it names, as -maxfailure has it."
        return Instructions(query(asked), note=note)

    def show_account(self, user: str) -> Instructions:
        return Instructions(query(f"getprinc {word(self._principal(user))}"))

    def _principal(self, user: str) -> str:
        return f"{user}@{self.realm}"

    def _local(self, *asked: str) -> str:
        # With -p it need not look up our uid, which may have no name.
        root = f"root/admin@{self.realm}"
        return printed_by(LOCAL, "-r", self.realm, "-p", root, *asked) or ""


def _value(name: str, printed: str) -> str | None:
    """What stands behind *name* in what the KDC's program prints."""
    said = re.search(rf"^{name}: *(.*)$", printed, re.MULTILINE)
    return said[1].strip() if said else None


def _seconds(interval: str | None) -> int | None:
    """``0 days 00:30:00`` in seconds."""
    parts = re.fullmatch(r"(\d+) days? (\d+):(\d+):(\d+)", interval or "")
    if parts is None:
        return None
    days, hours, minutes, seconds = map(int, parts.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
