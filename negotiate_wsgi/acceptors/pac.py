"""Who is the initiator by the PAC of Active Directory (MS-PAC), and in which groups?

The KDC has signed it with a key of the SPN whose ticket it is, and named in it the
client and the time of their sign-on, which have to be the ticket's. Its second signature
is for the KDC alone: whoever has the SPN's key can make any PAC, as they can make any
ticket.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from negotiate_wsgi.acceptors.libkrb5 import Libkrb5
from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.names import name_in_words
from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.pactype import LOGON_INFO, UPN_DNS_INFO, Pac
from negotiate_wsgi.wire.sids import Sid, sid_from_text

_REMEMBERED = 128  # PACs, and buffers of theirs, of up to 64 KiB
_WHERE_SIDS_ARE_FOUND = (
    "its SID is shown by (Get-ADGroup staff).SID or whoami /groups on Windows, by "
    "samba-tool group show staff --attributes=objectSid, by wbinfo -n staff, and by "
    "negotiate-wsgi whoami"
)


class PacReader:
    """Names an initiator by their PAC.

    :param active_directory: whether the PAC, and not the ticket's own name, says who
        the initiator is.
    :param groups: the SID of each group by the name that the configuration gives it.
    """

    def __init__(self, active_directory: bool, groups: Mapping[str, str]) -> None:
        self._active_directory = active_directory
        self._wants_groups = bool(groups)
        self._wanted = Wanted(groups)

    def identity(self, pac: Pac | None, plain: Identity) -> Identity | Refused:
        """Who it is, of whom the ticket itself says *plain*.

        :param pac: None where there is none, or none that is genuine.
        """
        try:
            account, groups = self._account_and_groups(pac)
        except PacError as error:
            if self._active_directory:
                detail = str(error)
                return Refused(Reason.NO_PAC, detail, plain.principal, plain.spn)
            return plain
        if not self._active_directory:
            return Identity(plain.principal, plain.spn, groups=groups)
        return Identity(
            # The realm is that of the ticket, which the KDC has checked.
            f"{account.escaped}@{plain.realm}",
            plain.spn,
            groups=groups,
            account=account.name,
            sid=account.sid,
        )

    def _account_and_groups(self, pac: Pac | None) -> tuple[_Account, frozenset[str]]:
        if self._wants_groups:
            return _member(_logon_info(pac), self._wanted)
        # Who it is alone is told by a buffer that costs less, if the KDC sends that.
        names = pac.buffers.get(UPN_DNS_INFO) if pac else None
        account = _named(names) if names else None
        return account or _member(_logon_info(pac), self._wanted)[0], frozenset()


def genuine_pac(
    content: bytes,
    principal: str,
    authtime: int,
    entries: tuple[Any, ...],
    binding: str,
) -> Pac | None:
    """The PAC, if the key of one of *entries* has signed it, and for *principal*.

    :param authtime: when *principal* signed on, in seconds since the epoch.
    :param entries: of the keytab, for the SPN whose key has opened the ticket.
    :param binding: the path of a shared object that uses libkrb5.
    """
    try:
        return _genuine_pac(content, principal, authtime, entries, binding)
    except PacError:
        return None


# All tickets for us that a user gets have the same PAC until they sign on again, and
# clients send one ticket for hours. What is not genuine is not remembered: libkrb5 may
# have been short of something.
@functools.lru_cache(maxsize=_REMEMBERED)
def _genuine_pac(
    content: bytes,
    principal: str,
    authtime: int,
    entries: tuple[Any, ...],
    binding: str,
) -> Pac:
    pac = Pac.of(content)
    if not pac.is_of(principal, authtime):
        raise PacError("of another client, or of another sign-on")
    if not any(_libkrb5(binding).has_signed(content, each) for each in entries):
        raise PacError("not signed with the key of the SPN")
    return pac


_libkrb5 = functools.cache(Libkrb5)


def check_groups(groups: Mapping[str, str] | None) -> dict[str, str]:
    """Validate the option. Raises `ConfigurationError`."""
    if not groups:
        return {}
    if not isinstance(groups, Mapping):
        raise ConfigurationError(
            "groups= takes a mapping of names to SIDs, such as "
            "{'staff': 'S-1-5-21-1-2-3-1105'}"
        )
    for name, sid in groups.items():
        _check_group(name, sid)
    return dict(groups)


def _check_group(name: object, sid: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            f"groups= has the name {name!r}: write a text such as 'staff'"
        )
    try:
        sid_from_text(str(sid))
    except ValueError:
        raise ConfigurationError(
            f"groups= has {sid!r} for {name}, which is not a SID such as "
            f"S-1-5-21-1-2-3-1105: {_WHERE_SIDS_ARE_FOUND}"
        ) from None


def sids_of(pac: Pac | None) -> tuple[str, ...]:
    """Every SID in the initiator's PAC, its own first; none where there is no PAC."""
    try:
        logon_info = LogonInfo.of(_logon_info(pac))
    except PacError:
        return ()
    return (str(logon_info.sid), *map(str, logon_info.sids()))


@dataclass(frozen=True, slots=True)
class _Account:
    """Whose ticket it is: the account's name, the same as a principal, and its SID."""

    name: str
    escaped: str
    sid: str

    @classmethod
    def of(cls, name: str, sid: Sid) -> Self:
        return cls(name, name_in_words([name.encode()]), str(sid))


def _logon_info(pac: Pac | None) -> bytes:
    buffer = pac.buffers.get(LOGON_INFO) if pac else None
    if not buffer:
        raise PacError(
            "the ticket has no PAC that can be verified (under gssproxy, none can)"
        )
    return buffer


# A user's tickets of one sign-on have the same buffers: most have been read before.


@functools.lru_cache(maxsize=_REMEMBERED)
def _member(logon_info: bytes, wanted: Wanted) -> tuple[_Account, frozenset[str]]:
    info = LogonInfo.of(logon_info)
    return _Account.of(info.account, info.sid), info.which_of(wanted)


@functools.lru_cache(maxsize=_REMEMBERED)
def _named(upn_dns_info: bytes) -> _Account | None:
    """The account, where the KDC is one that tells it here."""
    info = UpnDnsInfo.of(upn_dns_info)
    if info.account and info.sid:
        return _Account.of(info.account, info.sid)
    return None
