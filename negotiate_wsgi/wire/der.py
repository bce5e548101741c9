"""DER, as far as tokens have it (X.690): one reader and one writer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Universal tags (X.690 section 8), and KerberosString (RFC 4120 section 5.2.1).
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
ENUMERATED = 0x0A
GENERAL_STRING = 0x1B
SEQUENCE = 0x30

_LENGTH_OCTETS = 3  # 16 MiB, and a header's token is 64 KiB at most
_INTEGER_OCTETS = 8


class DerError(ValueError):
    """The bytes are not the DER that was expected."""


def application(number: int) -> int:
    """The tag of ``[APPLICATION number]``, constructed."""
    return 0x60 + number


def context(number: int) -> int:
    """The tag of ``[number]``, constructed."""
    return 0xA0 + number


class Reader:
    """Goes through the elements in a stretch of DER, one after the other.

    It copies nothing before it is asked to, and it does not recurse: a caller goes down
    one level with each `enter`, so that its own code bounds the depth. Every method but
    the properties raises `DerError` where the next element is not what the caller has
    asked for.

    :param data: what holds the stretch.
    :param at: where the stretch begins; after each call, where the next element begins.
    :param end: where it ends; None for the end of *data*.
    """

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self._end = len(data) if end is None else end
        self.at = at

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to read."""
        return self.at >= self._end

    def next_is(self, tag: int) -> bool:
        """Whether the next element has this tag."""
        return self.at < self._end and self._data[self.at] == tag

    def enter(self, tag: int) -> Reader:
        """A reader of what is in the next element; this one goes on behind that."""
        start = self._start_of_content(tag)
        return Reader(self._data, start, self.at)

    def content(self, tag: int) -> bytes:
        """The bytes in the next element."""
        start = self._start_of_content(tag)
        return self._data[start : self.at]

    def enter_only(self, tag: int) -> Reader:
        """The same as `enter`, where nothing stands behind that element."""
        inner = self.enter(tag)
        self.finish()
        return inner

    def content_of_only(self, tag: int) -> bytes:
        """The same as `content`, where nothing stands behind that element."""
        content = self.content(tag)
        self.finish()
        return content

    def skip(self, tag: int) -> None:
        """Go behind the next element."""
        self._start_of_content(tag)

    def integer(self) -> int:
        """The next element, an INTEGER of at most 64 bits."""
        content = self.content(INTEGER)
        if not 1 <= len(content) <= _INTEGER_OCTETS:
            raise DerError("an integer without a value, or larger than expected")
        return int.from_bytes(content, "big", signed=True)

    def bare(self, expected: bytes) -> None:
        """Go behind *expected*, which stands here without tag and length."""
        end = self.at + len(expected)
        if end > self._end or self._data[self.at : end] != expected:
            raise DerError("other bytes than expected")
        self.at = end

    def rest(self) -> bytes:
        """Everything that is left to read."""
        start = self.at
        self.at = self._end
        return self._data[start : self.at]

    def place(self) -> slice:
        """Where everything that is left to read stands."""
        return slice(self.at, self._end)

    def finish(self) -> None:
        """Make sure that nothing is left to read."""
        if not self.is_at_end:
            raise DerError("more elements than expected")

    def _start_of_content(self, tag: int) -> int:
        """Where the content of the next element begins; `at` becomes where it ends."""
        data = self._data
        at = self.at
        if at + 2 > self._end or data[at] != tag:
            raise DerError("another element than expected, or none")
        start = at + 2
        length = data[at + 1]
        if length >= 0x80:
            start += length - 0x80
            length = self._long_length(at + 2, start)
        end = start + length
        if end > self._end:
            raise DerError("an element longer than what it is in")
        self.at = end
        return start

    def _long_length(self, at: int, end: int) -> int:
        octets = end - at
        if not 1 <= octets <= _LENGTH_OCTETS or end > self._end:
            raise DerError("a length that is too long, or of no definite form")
        length = int.from_bytes(self._data[at:end], "big")
        # X.690 section 10.1: DER has the shortest form of a length, and no other.
        if length < 0x80 or length < 1 << 8 * (octets - 1):
            raise DerError("a length that is not in its shortest form")
        return length


def element(tag: int, *contents: bytes) -> bytes:
    """The DER of an element that holds *contents*."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(length)]) + length + content


BEGINNING = 64  # bytes, which stand before everything in a token that is encrypted
REMEMBERED = 1024  # bytes, at most, of one kind of tokens
_KINDS = 1024


def memory_of_kinds() -> Callable[[int, bytes], list[Any]]:
    """Makes a memory of tokens by kind: those of one size whose first `BEGINNING` bytes
    are the same. It returns a list, for the caller to keep the last one in, if any.
    """

    @functools.lru_cache(maxsize=_KINDS)
    def last_of(size: int, beginning: bytes) -> list[Any]:
        return []

    return last_of


def by_beginning(read: Callable[[bytes], tuple[T, int]]) -> Callable[[bytes], T]:
    """Make *read* remember what it made of tokens that begin alike.

    A client's tokens for one server have the same size and the same clear text, which
    stands before everything that is encrypted: most have been read before.

    :param read: makes a value of a token's size and of its first bytes, and returns
        that value and how many bytes it has looked at; 0 for what is not to be
        remembered.
    """
    last_of = memory_of_kinds()

    @functools.wraps(read)
    def remembered(token: bytes) -> T:
        last: list[tuple[bytes, T]] = last_of(len(token), token[:BEGINNING])
        for beginning, value in last:
            if token.startswith(beginning):
                return value
        value, looked_at = read(token)
        if 0 < looked_at <= REMEMBERED:
            last[:] = [(token[:looked_at], value)]
        return value

    return remembered
