"""What RPC writes down: NDR (C706 chapter 14) in a file of its own (MS-RPCE section
2.2.6, type serialization version 1).

A structure of fixed size comes first, then what its pointers point to, in the order of
the pointers. Each function here reads one of these at a place, and says where the next
one is. Each number that counts something is held against the bytes that are there
before anything is made of it. Where these end too early, it is an `NdrError` or a
``struct.error``.

These are functions, and few, because what PACs cost is Python's calls.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from negotiate_wsgi.wire.sids import MAX_SUB_AUTHORITIES

_HEADERS = struct.Struct("<BBH4xI4x")  # version, byte order, size; size of the object
_COUNT = struct.Struct("<I")
_TEXT = struct.Struct("<III")  # room, offset and length, in characters
_SID = struct.Struct("<IBB")  # sub-authorities, revision, sub-authorities again

#: Where the object begins. What stands in it is aligned to multiples of 4 from here.
START = _HEADERS.size


class NdrError(ValueError):
    """The bytes are not NDR, or not all of it."""


def end_of_object(blob: bytes) -> int:
    """Where the object in *blob* ends: nothing behind that may be read."""
    version, order, header, size = _HEADERS.unpack_from(blob)
    # Windows and Samba write little-endian on every machine.
    if (version, order, header) != (1, 0x10, 8):
        raise NdrError("not type serialization version 1, little-endian")
    end: int = START + size
    if end > len(blob):
        raise NdrError("cut off")
    return end


def skip_texts(blob: bytes, at: int, strings: Sequence[int]) -> int:
    """Go past what RPC_UNICODE_STRINGs point to.

    :param strings: the size in bytes of each and its pointer, one after the other.
    """
    for size, pointer in zip(strings[::2], strings[1::2], strict=True):
        if pointer:
            room, offset, length = _TEXT.unpack_from(blob, at)
            if offset or length > room or length * 2 != size:
                raise NdrError("a text of two lengths")
            at += _TEXT.size + size + -size % 4  # whatever follows is aligned
        elif size:
            raise NdrError("a text without a pointer")
    return at


def text_at(blob: bytes, at: int, size: int, pointer: int) -> tuple[bytes, int]:
    """What an RPC_UNICODE_STRING of *size* bytes points to: UTF-16, not decoded."""
    after = skip_texts(blob, at, (size, pointer))
    begin = at + _TEXT.size
    return blob[begin : begin + size], after


def array_at(
    blob: bytes, at: int, count: int, pointer: int, size: int
) -> tuple[bytes, int]:
    """What a pointer to an array of *count* elements points to, which have *size* bytes
    each: a multiple of 4.
    """
    if not pointer:
        if count:
            raise NdrError("an array without a pointer")
        return b"", at
    (elements,) = _COUNT.unpack_from(blob, at)
    if elements != count:
        raise NdrError("an array of two lengths")
    begin = at + _COUNT.size
    end = begin + count * size
    if end > len(blob):
        raise NdrError("cut off")
    return blob[begin:end], end


def sid_at(blob: bytes, at: int) -> tuple[bytes, int]:
    """What a pointer to a SID points to (MS-DTYP section 2.4.2.3): the value of a
    `Sid`.
    """
    count, revision, again = _SID.unpack_from(blob, at)
    if revision != 1 or count != again:
        raise NdrError("not a SID")
    if not 1 <= count <= MAX_SUB_AUTHORITIES:
        raise NdrError("a SID with too few or too many sub-authorities")
    begin = at + _SID.size
    end = begin + 6 + 4 * count
    if end > len(blob):
        raise NdrError("cut off")
    return blob[begin:end], end
