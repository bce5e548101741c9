"""What is in a PAC, whose is it, and of which sign-on (MS-PAC sections 2.3, 2.4, 2.7)?"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from negotiate_wsgi.wire.names import name_in_words
from negotiate_wsgi.wire.pac import PacError

#: Types of a PAC's buffers (MS-PAC section 2.4).
LOGON_INFO = 1
CLIENT_INFO = 10
UPN_DNS_INFO = 12

_MOST = 64  # buffers: KDCs write about ten
_PACTYPE = struct.Struct("<I4x")  # cBuffers, and a version
_PAC_INFO_BUFFER = struct.Struct("<IIQ")  # type, size, place
# PAC_CLIENT_INFO: a FILETIME, and the size of the name behind it.
_CLIENT = struct.Struct("<QH")
# FILETIME (MS-DTYP section 2.3.3) counts 100 ns from the year 1601.
_TICKS = 10_000_000
_FROM_1601_TO_1970 = 11_644_473_600  # seconds


@dataclass(frozen=True, slots=True)
class Pac:
    """A PAC's buffers, by their types."""

    buffers: dict[int, bytes] = field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> Pac:
        """Read it. Raises `PacError` where *content* is none, or has two of a type."""
        try:
            (count,) = _PACTYPE.unpack_from(content)
            if count > _MOST:
                raise PacError(f"more than {_MOST} buffers")
            end = _PACTYPE.size + count * _PAC_INFO_BUFFER.size
            listed = list(_PAC_INFO_BUFFER.iter_unpack(content[_PACTYPE.size : end]))
        except struct.error:
            raise PacError("a PAC that is cut off") from None
        size = sum(size for _, size, _ in listed)
        if end + size > len(content):
            raise PacError("a PAC that is cut off, or says more than there is")
        found = {kind: content[at : at + size] for kind, size, at in listed}
        if len(found) != count:
            raise PacError("two buffers of one type")
        if sum(map(len, found.values())) != size:
            raise PacError("a PAC that is cut off")
        return cls(found)

    def is_of(self, principal: str, authtime: int) -> bool:
        """Whether it says that its client is *principal*, in MIT's notation, of whatever
        realm, who signed on at *authtime*, in seconds since the epoch.
        """
        info = self.buffers.get(CLIENT_INFO, b"")
        if len(info) < _CLIENT.size:
            return False
        ticks, size = _CLIENT.unpack_from(info)
        if ticks // _TICKS - _FROM_1601_TO_1970 != authtime:
            return False
        content = info[_CLIENT.size : _CLIENT.size + size]
        try:
            name = content.decode("utf-16-le").encode()
        except UnicodeError:
            return False
        own, _, _ = principal.rpartition("@")
        # The PAC does not say whether a slash is between two components, or in one.
        return own == name_in_words([name]) or own == name_in_words(name.split(b"/"))
