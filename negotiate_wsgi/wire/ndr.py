"""What RPC writes down: NDR (C706 chapter 14) in a file of its own (MS-RPCE section
2.2.6, type serialization version 1).

A structure of fixed size comes first, then what its pointers point to, in the order of
the pointers. Each number that counts something is held against the bytes that are there
before anything is made of it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from negotiate_wsgi.wire.sids import MAX_SUB_AUTHORITIES

_HEADERS = struct.Struct("<BBH4xI4x")  # version, byte order, size; size of the object
_COUNT = struct.Struct("<I")
_TEXT = struct.Struct("<III")  # room, offset and length, in characters
_SID = struct.Struct("<IBB")  # sub-authorities, revision, sub-authorities again


class NdrError(ValueError):
    """The bytes are not NDR, or not all of it."""


class NdrReader:
    """Reads one object from its beginning. Raises `NdrError` where something else is
    there.

    Most of its time goes to calls of Python's, so the eight texts are read in one.
    """

    __slots__ = ("_at", "_content", "_end")

    def __init__(self, blob: bytes) -> None:
        self._content = blob
        self._end = len(blob)
        self._at = 0
        version, order, header, size = self.unpack(_HEADERS)
        # Windows and Samba write little-endian on every machine.
        if (version, order, header) != (1, 0x10, 8):
            raise NdrError("not type serialization version 1, little-endian")
        end = self._at + size
        if end > self._end:
            raise NdrError("cut off")
        self._end = end

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Numbers that stand here."""
        begin = self._at
        self._at = begin + layout.size
        if self._at > self._end:
            raise NdrError("cut off")
        return layout.unpack_from(self._content, begin)

    def texts(self, strings: Sequence[int]) -> list[bytes]:
        """What some RPC_UNICODE_STRINGs point to: UTF-16, not decoded.

        :param strings: the size in bytes of each and its pointer, one after the other.
        """
        found = []
        content = self._content
        at = self._at
        for size, pointer in zip(strings[::2], strings[1::2], strict=True):
            if not pointer:
                if size:
                    raise NdrError("a text without a pointer")
                found.append(b"")
                continue
            begin = at + _TEXT.size
            end = begin + size
            if end > self._end:
                raise NdrError("cut off")
            room, offset, length = _TEXT.unpack_from(content, at)
            if offset or length > room or length * 2 != size:
                raise NdrError("a text of two lengths")
            found.append(content[begin:end])
            at = end + -end % 4  # whatever follows is aligned
        self._at = at
        return found

    def array(self, count: int, pointer: int, size: int) -> bytes:
        """What a pointer to an array of *count* elements, of *size* bytes each, points
        to.
        """
        if pointer:
            (elements,) = self.unpack(_COUNT)
            if elements != count:
                raise NdrError("an array of two lengths")
            return self._take(count * size)
        if count:
            raise NdrError("an array without a pointer")
        return b""

    def sid(self) -> bytes:
        """What a pointer to a SID points to (MS-DTYP section 2.4.2.3): the value of a
        `Sid`.
        """
        count, revision, again = self.unpack(_SID)
        if revision != 1 or count != again:
            raise NdrError("not a SID")
        if not 1 <= count <= MAX_SUB_AUTHORITIES:
            raise NdrError("a SID with too few or too many sub-authorities")
        return self._take(6 + 4 * count)

    def _take(self, size: int) -> bytes:
        """Bytes that stand here: a multiple of 4, so that what follows is aligned."""
        begin = self._at
        end = begin + size
        if end > self._end:
            raise NdrError("cut off")
        self._at = end
        return self._content[begin:end]
