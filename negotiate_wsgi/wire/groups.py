"""Which groups of a PAC count, and which of them does somebody ask for?

Asking costs one unpacking of a user's memberships and one intersection of sets, all of
it in C: a thousand groups are no rarity. No SID is made of a group that nobody asked for.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping, Sequence

from negotiate_wsgi.wire.sids import sid_from_text

#: GROUP_MEMBERSHIP (MS-PAC section 2.2.2): a RID and its attributes.
MEMBERSHIP = struct.Struct("<II")

# Attributes of a membership and of an extra SID (MS-PAC section 2.2.1).
ENABLED = 0x4
_DENY_ONLY = 0x10

_IS_LITTLE_ENDIAN = sys.byteorder == "little"


class Wanted:
    """Groups to look for in PACs, made once.

    :param groups: the SID of each group, as a text, by the group's name. ValueError
        where one is not a SID.
    """

    __slots__ = ("_names", "_names_in", "_rids_in")

    def __init__(self, groups: Mapping[str, str]) -> None:
        self._names: dict[bytes, set[str]] = {}  # by SID
        self._names_in: dict[bytes, dict[int, set[str]]] = {}  # by domain and RID
        for name, text in groups.items():
            sid = sid_from_text(text)
            names = self._names.setdefault(sid.value, set())
            names.add(name)
            self._names_in.setdefault(sid.domain, {})[sid.rid] = names
        self._rids_in = {domain: set(rids) for domain, rids in self._names_in.items()}

    def among_sids(self, sids: Iterable[bytes]) -> set[str]:
        """The names of those groups whose SID has one of these values."""
        return {name for sid in sids for name in self._names.get(sid, ())}

    def among_memberships(self, domain: bytes, memberships: bytes) -> set[str]:
        """The names of those groups of *domain* that *memberships* has."""
        rids = self._rids_in.get(domain)
        if not rids:
            return set()
        names = self._names_in[domain]
        found = rids.intersection(enabled(memberships))
        return {name for rid in found for name in names[rid]}


def enabled(memberships: bytes) -> Sequence[int]:
    """The RIDs of those groups that count."""
    rids = _every_other(memberships)
    # The bits in question are in the lowest byte. Nearly every PAC has no others.
    if not memberships[4::8].translate(None, _COUNTS):
        return rids
    attributes = memberships[4::8]
    return [rid for rid, each in zip(rids, attributes, strict=True) if counts(each)]


def counts(attributes: int) -> bool:
    """Whether somebody is in a group with these attributes."""
    return attributes & (ENABLED | _DENY_ONLY) == ENABLED


#: All lowest bytes of attributes with which a group counts.
_COUNTS = bytes(each for each in range(256) if counts(each))


def _every_other(memberships: bytes) -> Sequence[int]:
    """The first number of each pair, of 32 bits, the lowest byte first."""
    if _IS_LITTLE_ENDIAN:  # what takes a third of the time
        return memoryview(memberships).cast("I")[::2].tolist()
    return struct.unpack(f"<{len(memberships) // 4}I", memberships)[::2]
