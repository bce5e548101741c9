"""Who is it in Active Directory, and in which groups? Two buffers of a ticket's PAC say
so (MS-PAC).

They prove nothing here: the acceptor verifies the PAC before it reads them. What is
damaged is refused all the same, and costs no more than its own bytes do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from negotiate_wsgi.wire.groups import ENABLED, MEMBERSHIP, Wanted, counts, enabled
from negotiate_wsgi.wire.ndr import (
    START,
    NdrError,
    array_at,
    end_of_object,
    sid_at,
    skip_texts,
    text_at,
)
from negotiate_wsgi.wire.sids import MAX_SUB_AUTHORITIES, Sid, sid_from_bytes, sid_of

#: Bytes of the largest buffer that is read: no token is larger. A group takes 8 of them
#: and an extra SID at least 24, so this bounds what is counted, too.
MAX_BUFFER = 64 * 1024

_MAX_ACCOUNT = 256  # characters of a sAMAccountName (MS-ADA3)

# KERB_VALIDATION_INFO (MS-PAC section 2.5), behind a pointer to it. An RPC_UNICODE_STRING
# is its size in bytes, its room and a pointer.
_STRING = "H2xI"
_FIXED = struct.Struct(
    "<I48x"
    + _STRING * 6  # EffectiveName, ..., HomeDirectoryDrive
    + "4xIIIII16x"  # UserId, PrimaryGroupId, GroupCount, GroupIds, UserFlags
    + _STRING * 2  # LogonServer, LogonDomainName
    + "I40x"  # LogonDomainId
    + "IIIII"  # SidCount, ..., ResourceGroupIds
)

# UserFlags D and H. Without them there must be no extra SIDs and no resource groups.
_HAS_EXTRA_SIDS = 0x20
_HAS_RESOURCE_GROUPS = 0x200

_EXTRA_SID = struct.Struct("<II")  # KERB_SID_AND_ATTRIBUTES (MS-PAC section 2.2.1)

# UPN_DNS_INFO (MS-PAC section 2.10): sizes and places of what follows, and flag S.
_UPN = struct.Struct("<HHHHI")
_ACCOUNT_AND_SID = struct.Struct("<HHHH")
_HAS_ACCOUNT_AND_SID = 0x2


class PacError(ValueError):
    """The bytes are not what a KDC puts into a PAC."""


@dataclass(frozen=True, slots=True)
class LogonInfo:
    """Who signed on, and their groups (KERB_VALIDATION_INFO, MS-PAC section 2.5).

    A group counts where its attributes say that it is enabled, and not for denials
    alone; the primary group has none, and counts. Extra SIDs and resource groups count
    only where UserFlags announces them.

    :param account: the sAMAccountName, in the directory's own spelling.
    :param sid: the user's SID.
    """

    account: str
    sid: Sid
    # A domain and GROUP_MEMBERSHIPs in it: the user's own domain, and the resources'.
    _memberships: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    _extra_sids: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, blob: bytes) -> LogonInfo:
        """Read what krb5 calls ``urn:mspac:logon-info``. Raises `PacError` where that is
        not what *blob* is.
        """
        if len(blob) > MAX_BUFFER:
            raise PacError(f"more than {MAX_BUFFER} bytes")
        try:
            return _read_logon_info(blob)
        except struct.error:
            raise PacError("logon-info: cut off") from None
        except NdrError as fault:
            raise PacError(f"logon-info: {fault}") from None

    def sids(self) -> list[Sid]:
        """The SIDs of all groups that count, each once: the primary group, others of
        the user's domain, resource groups, extra SIDs.
        """
        groups = [
            sid_of(domain, rid)
            for domain, memberships in self._memberships
            for rid in enabled(memberships)
        ]
        return list(dict.fromkeys([*groups, *map(Sid, self._extra_sids)]))

    def which_of(self, wanted: Wanted) -> frozenset[str]:
        """The names of those *wanted* groups that the user is in."""
        names = wanted.among_sids(self._extra_sids)
        for domain, memberships in self._memberships:
            names |= wanted.among_memberships(domain, memberships)
        return frozenset(names)


@dataclass(frozen=True, slots=True)
class UpnDnsInfo:
    """The user's names (UPN_DNS_INFO, MS-PAC section 2.10).

    :param upn: the user principal name; the KDC makes one where the user has none.
    :param dns_domain: the DNS name of the user's domain.
    :param account: the sAMAccountName; None from a KDC that does not send it.
    :param sid: the user's SID; None where ``account`` is.
    """

    upn: str
    dns_domain: str
    account: str | None
    sid: Sid | None

    @classmethod
    def of(cls, blob: bytes) -> UpnDnsInfo:
        """Read what krb5 calls ``urn:mspac:upn-dns-info``. Raises `PacError` where that
        is not what *blob* is.
        """
        if len(blob) > MAX_BUFFER:
            raise PacError(f"more than {MAX_BUFFER} bytes")
        try:
            return _read_upn_dns_info(blob)
        except struct.error:
            raise PacError("upn-dns-info: cut off") from None


def _read_logon_info(blob: bytes) -> LogonInfo:
    end = end_of_object(blob)
    fixed = _FIXED.unpack_from(blob, START)
    pointer, size, name, *names = fixed[:13]
    user, primary, group_count, groups, flags = fixed[13:18]
    *domain_names, domain_pointer = fixed[18:23]
    sid_count, sids, resource_pointer, resource_count, resources = fixed[23:]
    if not pointer or not domain_pointer:
        raise PacError("logon-info: nobody in it")

    account, at = text_at(blob, START + _FIXED.size, size, name)
    at = skip_texts(blob, at, names)
    memberships, at = array_at(blob, at, group_count, groups, MEMBERSHIP.size)
    at = skip_texts(blob, at, domain_names)
    domain, at = sid_at(blob, at)
    extra_sids, at = _extra_sids_at(blob, at, sid_count, sids)
    resource_domain = b""
    if resource_pointer:
        resource_domain, at = sid_at(blob, at)
    in_resource, at = array_at(blob, at, resource_count, resources, MEMBERSHIP.size)
    if at > end:
        raise PacError("logon-info: cut off")
    if in_resource and not resource_domain:
        raise PacError("logon-info: resource groups of no domain")

    if not flags & _HAS_EXTRA_SIDS:
        extra_sids = []
    sid = sid_of(domain, user) if user else _first_of(extra_sids)
    if primary:
        memberships = MEMBERSHIP.pack(primary, ENABLED) + memberships
    all_memberships = [(_domain(domain), memberships)]
    if flags & _HAS_RESOURCE_GROUPS:
        all_memberships.append((_domain(resource_domain), in_resource))
    counted = tuple(value for value, attributes in extra_sids if counts(attributes))
    return LogonInfo(_account(account), sid, tuple(all_memberships), counted)


def _first_of(extra_sids: list[tuple[bytes, int]]) -> Sid:
    """Taken from them: the SID of a user whose RID is zero."""
    if not extra_sids:
        raise PacError("logon-info: no SID of the user")
    value, _ = extra_sids.pop(0)
    return Sid(value)


def _extra_sids_at(
    blob: bytes, at: int, count: int, pointer: int
) -> tuple[list[tuple[bytes, int]], int]:
    """What ExtraSids points to: SIDs, as the values of `Sid`, with their attributes."""
    array, at = array_at(blob, at, count, pointer, _EXTRA_SID.size)
    found = []
    for each, attributes in _EXTRA_SID.iter_unpack(array):
        if not each:
            raise PacError("logon-info: an extra SID that is null")
        value, at = sid_at(blob, at)
        found.append((value, attributes))
    return found, at


def _read_upn_dns_info(blob: bytes) -> UpnDnsInfo:
    upn_size, upn_at, domain_size, domain_at, flags = _UPN.unpack_from(blob)
    upn = _text(_part(blob, upn_size, upn_at))
    dns_domain = _text(_part(blob, domain_size, domain_at))
    if not flags & _HAS_ACCOUNT_AND_SID:
        return UpnDnsInfo(upn, dns_domain, None, None)
    account_size, account_at, sid_size, sid_at = _ACCOUNT_AND_SID.unpack_from(
        blob, _UPN.size
    )
    account = _account(_part(blob, account_size, account_at))
    sid = sid_from_bytes(_part(blob, sid_size, sid_at))
    if sid is None:
        raise PacError("upn-dns-info: not a SID")
    return UpnDnsInfo(upn, dns_domain, account, sid)


def _part(blob: bytes, size: int, at: int) -> bytes:
    if at + size > len(blob):
        raise PacError("upn-dns-info: cut off")
    return blob[at : at + size]


def _domain(value: bytes) -> bytes:
    """A domain's SID: there is room for a RID after it."""
    if len(value) > 6 + 4 * (MAX_SUB_AUTHORITIES - 1):
        raise PacError("a domain with too many sub-authorities")
    return value


def _account(content: bytes) -> str:
    """A name that is somebody's."""
    if not 0 < len(content) <= 2 * _MAX_ACCOUNT:
        raise PacError("an account without a name, or with one that is too long")
    return _text(content)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-16-le")
    except UnicodeDecodeError:
        raise PacError("a name that is not UTF-16") from None
    if "\0" in text:
        raise PacError("a name with a NUL in it")
    return text
