"""When does Active Directory lock an account? Samba tells on the domain controller itself."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from negotiate_wsgi.doctor.active_directory import plain
from negotiate_wsgi.doctor.commands import Instructions
from negotiate_wsgi.doctor.programs import printed_by

_SAMBA = "Samba DC"
_SETTINGS = "samba-tool domain passwordsettings"


@dataclass(frozen=True)
class LockoutOfDomain:
    """What the domain says of all its users, or a password settings object of some:
    msDS-ResultantPSO of a user names it.

    :param settings: the name of that object, None for the domain.
    """

    realm: str
    settings: str | None
    threshold: int
    window: float
    is_counting: bool = True

    @property
    def whose(self) -> str:
        if self.settings is None:
            return f"the domain {self.realm}"
        return f"the password settings object {self.settings}"

    def lock_after(self, threshold: int) -> Instructions:
        return self._set(
            f"--account-lockout-threshold={threshold}", f"-LockoutThreshold {threshold}"
        )

    def forget_after(self, seconds: int) -> Instructions:
        minutes = seconds // 60
        return self._set(
            f"--reset-account-lockout-after={minutes}",
            f"-LockoutObservationWindow (New-TimeSpan -Minutes {minutes})",
        )

    def count(self) -> Instructions:
        return Instructions()  # it always does

    def _set(self, option: str, of_windows: str) -> Instructions:
        if self.settings is None:
            command = f"{_SETTINGS} set {option}"
            windows = f"Set-ADDefaultDomainPasswordPolicy {plain(self.realm.lower())}"
        else:
            command = f"{_SETTINGS} pso set {shlex.quote(self.settings)} {option}"
            windows = f"Set-ADFineGrainedPasswordPolicy {plain(self.settings)}"
        return Instructions(command, _SAMBA, (f"Windows: {windows} {of_windows}",))


@dataclass(frozen=True)
class LockoutsOfDomain:
    """Of the domain *realm*."""

    realm: str

    def read(self, user: str) -> LockoutOfDomain | None:
        of_all = printed_by(*_SETTINGS.split(), "show") or ""
        domain = ",".join(f"dc={part}" for part in self.realm.lower().split("."))
        if f"'{domain}'" not in of_all.lower():
            return None  # this is no domain controller of it
        of_user = printed_by(*_SETTINGS.split(), "pso", "show-user", user) or ""
        own = re.search(r"^Password information for PSO '(.+)'$", of_user, re.MULTILINE)
        numbers = _numbers(of_user if own else of_all)
        if numbers is None:
            return None
        return LockoutOfDomain(self.realm, own[1] if own else None, *numbers)

    def show(self, user: str) -> Instructions:
        return Instructions(
            f"{_SETTINGS} pso show-user {shlex.quote(user)}; {_SETTINGS} show",
            _SAMBA,
            (
                f"Windows: Get-ADUserResultantPasswordPolicy {plain(user)}; "
                "Get-ADDefaultDomainPasswordPolicy",
                "member: net ads search '(objectClass=domain)' lockoutThreshold "
                "lockOutObservationWindow -P",
            ),
        )

    def show_account(self, user: str) -> Instructions:
        return Instructions(
            f"samba-tool user show {shlex.quote(user)}",
            _SAMBA,
            (
                f"Windows: Get-ADUser {plain(user)} -Properties "
                "Enabled,LockedOut,PasswordExpired,AccountExpirationDate",
            ),
        )


def _numbers(printed: str) -> tuple[int, int] | None:
    """Threshold, and window in seconds, in what samba-tool prints."""
    threshold = re.search(r"lockout threshold \(attempts\): (\d+)", printed)
    minutes = re.search(r"Reset account lockout after \(mins\): (\d+)", printed)
    if threshold is None or minutes is None:
        return None
    return int(threshold[1]), int(minutes[1]) * 60
