"""Which keys has the acceptor? The format of MIT's keytab files: what they say of keys,
never the keys.

It is read as krb5 reads it (MIT's doc/formats/keytab_file_format.rst): a file of
version 2, or of version 1 with the numbers of this machine's byte order, then entries.
Each begins with its size; a negative one stands for a hole, where an entry was deleted.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from negotiate_wsgi.wire.names import name_of_enctype, principal_in_words

#: Bytes of the largest keytab that is read: about 100,000 keys.
MAX_KEYTAB = 16 * 1024 * 1024

_SECRET = secrets.token_bytes(32)  # another one in each process


class KeytabError(ValueError):
    """The bytes are no keytab."""


@dataclass(frozen=True)
class Key:
    """One entry of a keytab.

    :param principal: ``HTTP/www.example.com@EXAMPLE.COM``.
    :param kvno: the key version number (RFC 4120 section 5.2.9).
    :param enctype: the encryption type, as MIT's klist names it
        (``aes256-cts-hmac-sha1-96``).
    :param mark: differs where keys do; another one in each process, and never shown.
    """

    principal: str
    kvno: int
    enctype: str
    mark: int = field(default=0, repr=False)

    def __str__(self) -> str:
        return f"{self.principal} kvno {self.kvno} {self.enctype}"


@dataclass(frozen=True)
class Keytab:
    """A keytab as it is now: its full name (``FILE:/etc/krb5.keytab``) and its entries,
    in order.
    """

    name: str
    keys: tuple[Key, ...]

    @property
    def path(self) -> str:
        """The file's path."""
        return self.name.partition(":")[2]

    def of(self, principal: str) -> tuple[Key, ...]:
        """The keys of *principal*, compared to the letter."""
        return tuple(key for key in self.keys if key.principal == principal)

    def keys_like(self, principal: str) -> tuple[Key, ...]:
        """The same; where it has none, those of its other spellings, without case.

        In Active Directory these are one account's, and a ticket's clear text keeps the
        spelling that the client asked for.
        """
        wanted = principal.lower()
        return self.of(principal) or tuple(
            key for key in self.keys if key.principal.lower() == wanted
        )

    def shared_with(self, principal: str) -> tuple[Key, ...]:
        """The keys of others that *principal* has, too: with the same kvno, enctype and
        bytes.
        """
        own = {(key.kvno, key.enctype, key.mark) for key in self.of(principal)}
        return tuple(
            key
            for key in self.keys
            if key.principal != principal and (key.kvno, key.enctype, key.mark) in own
        )

    def alike(self, principal: str) -> tuple[str, ...]:
        """Principals that differ from *principal* in case or realm alone."""
        wanted = _without_realm(principal)
        alike = {
            key.principal
            for key in self.keys
            if _without_realm(key.principal) == wanted
        }
        return tuple(sorted(alike - {principal}))

    def in_words(self, principal: str) -> list[str]:
        """The keys of *principal*, or if there are none some of the others: a line for
        each kvno.
        """
        kvnos: dict[str, list[str]] = {}
        for key in self.keys_like(principal) or self.keys:
            kvnos.setdefault(f"{key.principal} kvno {key.kvno}", []).append(key.enctype)
        lines = [f"{who} {', '.join(enctypes)}" for who, enctypes in kvnos.items()]
        if len(lines) > 8:
            return [*lines[:8], f"and {len(lines) - 8} more"]
        return lines


def _without_realm(principal: str) -> str:
    return principal.rpartition("@")[0].lower()


def mark_of(key: bytes | memoryview) -> int:
    """What tells a key from others, and tells nothing else of it."""
    digest = blake2b(key, key=_SECRET, digest_size=16).digest()
    return int.from_bytes(digest, "big")


def parse(content: bytes) -> tuple[Key, ...]:
    """The keys in a keytab file, in order.

    What follows an entry that was cut off is not read, as krb5 does not. Raises
    `KeytabError` where *content* does not begin as a keytab does.
    """
    if len(content) > MAX_KEYTAB:
        raise KeytabError(f"more than {MAX_KEYTAB} bytes")
    if content[:1] != b"\x05" or content[1:2] not in (b"\x01", b"\x02"):
        raise KeytabError("not a keytab of version 1 or 2")
    version = content[1]
    return tuple(_keys(memoryview(content)[2:], version))


def _keys(content: memoryview, version: int) -> Iterator[Key]:
    fields = _Fields(content, sys.byteorder if version == 1 else "big")
    try:
        while size := fields.signed(4):
            entry = fields.take(abs(size))
            if size > 0:
                yield _key(_Fields(entry, fields.order), version)
    except _CutOffError:
        return


def _key(entry: _Fields, version: int) -> Key:
    count = entry.signed(2)
    if version == 1:
        count -= 1  # which counts the realm, too
    if count < 1:
        raise _CutOffError
    realm = bytes(entry.counted())
    components = [bytes(entry.counted()) for _ in range(count)]
    if version == 2:
        entry.take(4)  # name type
    entry.take(4)  # time stamp
    kvno = entry.unsigned(1)
    enctype = entry.signed(2)
    mark = mark_of(entry.counted())
    if entry.is_left(4):
        # Of an older program there may be zeros here, which say nothing.
        kvno = entry.unsigned(4) or kvno
    principal = principal_in_words(components, realm)
    return Key(principal, kvno, name_of_enctype(enctype), mark)


class _CutOffError(Exception):
    """An entry is not complete: for krb5, the keytab ends here."""


class _Fields:
    """Numbers and counted strings, one after the other."""

    def __init__(self, content: memoryview, order: Literal["big", "little"]) -> None:
        self._content = content
        self._at = 0
        self.order = order

    def is_left(self, size: int) -> bool:
        return self._at + size <= len(self._content)

    def take(self, size: int) -> memoryview:
        if not self.is_left(size):
            raise _CutOffError
        taken = self._content[self._at : self._at + size]
        self._at += size
        return taken

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.order)

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.order, signed=True)

    def counted(self) -> memoryview:
        size = self.unsigned(2)
        if not size:
            raise _CutOffError  # krb5 has no empty names and keys, and reads no further
        return self.take(size)
