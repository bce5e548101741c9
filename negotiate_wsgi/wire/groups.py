"""Which groups of a PAC count, and which of them does somebody ask for?

Asking costs one unpacking of a user's memberships and one intersection of sets: no SID
is made of a group that nobody asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from negotiate_wsgi.wire.sids import sid_from_text

#: GROUP_MEMBERSHIP (MS-PAC section 2.2.2): a RID and its attributes.
MEMBERSHIP = struct.Struct("<II")

# Attributes of a membership and of an extra SID (MS-PAC section 2.2.1).
ENABLED = 0x4
_DENY_ONLY = 0x10


class Wanted:
    """Groups to look for in PACs, made once.

    :param groups: the SID of each group, as a text, by the group's name. ValueError
        where one is not a SID.
    """

    __slots__ = ("_by_domain", "_by_sid")

    def __init__(self, groups: Mapping[str, str]) -> None:
        self._by_sid: dict[bytes, set[str]] = {}
        self._by_domain: dict[bytes, dict[int, set[str]]] = {}
        for name, text in groups.items():
            sid = sid_from_text(text)
            names = self._by_sid.setdefault(sid.value, set())
            names.add(name)
            self._by_domain.setdefault(sid.domain, {})[sid.rid] = names

    def among_sids(self, sids: Iterable[bytes]) -> set[str]:
        """The names of those groups whose SID is one of *sids*."""
        found = self._by_sid.keys() & sids
        return set().union(*(self._by_sid[sid] for sid in found))

    def among_memberships(self, domain: bytes, memberships: bytes) -> set[str]:
        """The names of those groups of *domain* that *memberships* has."""
        names = self._by_domain.get(domain)
        if names is None:
            return set()
        found = names.keys() & enabled(memberships)
        return set().union(*(names[rid] for rid in found))


def enabled(memberships: bytes) -> tuple[int, ...]:
    """The RIDs of those groups that count."""
    numbers = struct.unpack(f"<{len(memberships) // 4}I", memberships)
    rids = numbers[::2]
    attributes = numbers[1::2]
    if all(map(counts, set(attributes))):  # as they do in nearly every PAC
        return rids
    both = zip(rids, attributes, strict=True)
    return tuple(rid for rid, attribute in both if counts(attribute))


def counts(attributes: int) -> bool:
    return attributes & (ENABLED | _DENY_ONLY) == ENABLED
