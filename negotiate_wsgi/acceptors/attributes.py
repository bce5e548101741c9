"""What else does a ticket say of the initiator? The PAC of Active Directory (MS-PAC)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, identity_of_ticket
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.names import name_in_words
from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.sids import Sid, sid_from_text

# MIT's names of a PAC's buffers, for gss_get_name_attribute (RFC 6680).
_LOGON_INFO = b"urn:mspac:logon-info"
_UPN_DNS_INFO = b"urn:mspac:upn-dns-info"
_REMEMBERED = 128  # buffers, of up to 64 KiB
_WHERE_SIDS_ARE_FOUND = (
    "its SID is shown by (Get-ADGroup staff).SID or whoami /groups on Windows, by "
    "samba-tool group show staff --attributes=objectSid, by wbinfo -n staff, and by "
    "negotiate-wsgi whoami"
)

#: Gives an attribute of the initiator's name, or None where it is not there, or not
#: verified: the library does not tell these apart.
ReadAttribute = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Attributes:
    """What an acceptor makes of a PAC.

    The library has verified the PAC: that a KDC, or who else has the acceptor's key,
    has made it for the initiator and for this very ticket. Where it could not, there is
    no PAC for us: nobody is named by one, and nobody is in a group.

    :param active_directory: whether the PAC, and not the ticket's own name, says who
        the initiator is.
    :param groups: the SID of each group by the name that the configuration gives it.
    """

    active_directory: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, active_directory: bool, groups: Mapping[str, str] | None) -> Attributes:
        """Validate the options. Raises `ConfigurationError`."""
        if not isinstance(active_directory, bool):
            raise ConfigurationError(
                f"active_directory={active_directory!r}: write True or False"
            )
        if not groups:
            return cls(active_directory)
        if not isinstance(groups, Mapping):
            raise ConfigurationError(
                "groups= takes a mapping of names to SIDs, such as "
                "{'staff': 'S-1-5-21-1-2-3-1105'}"
            )
        for name, sid in groups.items():
            _check_group(name, sid)
        return cls(active_directory, dict(groups))

    @functools.cached_property
    def _wanted(self) -> Wanted:
        return Wanted(self.groups)

    def __str__(self) -> str:
        groups = json.dumps(self.groups, sort_keys=True)
        return f"active_directory={self.active_directory} groups={groups}"

    @property
    def are_asked_for(self) -> bool:
        """Whether a PAC is looked for at all."""
        return self.active_directory or bool(self.groups)

    def identity(
        self, read: ReadAttribute, principal: str, spn: str | None
    ) -> Identity | Refused:
        """The initiator *principal*, as its PAC has it."""
        plain = identity_of_ticket(principal, spn)
        if plain.is_anonymous:
            return plain
        try:
            return self._identity_of_pac(read, plain)
        except PacError as error:
            if not self.active_directory:
                return plain
            return Refused(Reason.NO_PAC, str(error), principal, spn)

    def _identity_of_pac(self, read: ReadAttribute, plain: Identity) -> Identity:
        account, groups = self._account_and_groups(read)
        if not self.active_directory:
            return Identity(plain.principal, plain.spn, groups=groups)
        return Identity(
            # The realm is that of the ticket, which the KDC has checked.
            f"{account.escaped}@{plain.realm}",
            plain.spn,
            groups=groups,
            account=account.name,
            sid=account.sid,
        )

    def _account_and_groups(
        self, read: ReadAttribute
    ) -> tuple[_Account, frozenset[str]]:
        if self.groups:
            return _member(_logon_info(read), self._wanted)
        # Who it is alone is told by a buffer that costs less, if the KDC sends that.
        names = read(_UPN_DNS_INFO)
        account = names and _named(names)
        return account or _member(_logon_info(read), self._wanted)[0], frozenset()


#: Of an acceptor that looks for none.
NO_ATTRIBUTES = Attributes()


def sids_of(read: ReadAttribute) -> tuple[str, ...]:
    """Every SID in the initiator's PAC, its own first; none where there is no PAC."""
    try:
        logon_info = LogonInfo.of(_logon_info(read))
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


def _logon_info(read: ReadAttribute) -> bytes:
    buffer = read(_LOGON_INFO)
    if buffer is None:
        raise PacError("the ticket has no PAC that can be verified")
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
