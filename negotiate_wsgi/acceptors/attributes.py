"""What else does a ticket say of the initiator? The PAC of Active Directory (MS-PAC)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, identity_of_ticket
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.names import name_in_words
from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.sids import sid_from_text

# MIT's names of a PAC's buffers, for gss_get_name_attribute (RFC 6680).
_LOGON_INFO = b"urn:mspac:logon-info"
_UPN_DNS_INFO = b"urn:mspac:upn-dns-info"
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
    _wanted: Wanted | None = field(default=None, repr=False, compare=False)

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
        return cls(active_directory, dict(groups), Wanted(groups))

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
        if self._wanted is None:
            account = _account(read)
            return _of_account(account, plain, frozenset())
        logon_info = _logon_info(read)
        groups = logon_info.which_of(self._wanted)
        if self.active_directory:
            return _of_account(logon_info, plain, groups)
        return Identity(plain.principal, plain.spn, groups=groups)


#: Of an acceptor that looks for none.
NO_ATTRIBUTES = Attributes()


def sids_of(read: ReadAttribute) -> tuple[str, ...]:
    """Every SID in the initiator's PAC, its own first; none where there is no PAC."""
    try:
        logon_info = _logon_info(read)
    except PacError:
        return ()
    return (str(logon_info.sid), *map(str, logon_info.sids()))


def _logon_info(read: ReadAttribute) -> LogonInfo:
    blob = read(_LOGON_INFO)
    if blob is None:
        raise PacError("the ticket has no PAC that can be verified")
    return LogonInfo.of(blob)


def _account(read: ReadAttribute) -> LogonInfo | UpnDnsInfo:
    """Who it is, by the buffer that costs less to read, if the KDC sends that."""
    blob = read(_UPN_DNS_INFO)
    if blob is not None:
        info = UpnDnsInfo.of(blob)
        if info.account and info.sid:
            return info
    return _logon_info(read)


def _of_account(
    info: LogonInfo | UpnDnsInfo, plain: Identity, groups: frozenset[str]
) -> Identity:
    account = info.account or ""
    return Identity(
        # The realm is that of the ticket, which the KDC has checked.
        f"{name_in_words([account.encode()])}@{plain.realm}",
        plain.spn,
        groups=groups,
        account=account,
        sid=str(info.sid),
    )


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
