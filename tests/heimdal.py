"""Prints tokens of Heimdal for a service, in base64: ``heimdal.py HTTP@localhost COUNT``.

Half of them in SPNEGO, half of them bare. In a process of its own, where MIT's library is not loaded.
"""

import base64
import ctypes
import sys

LIBRARY = "libgssapi.so.3"
SPNEGO = b"\x2b\x06\x01\x05\x05\x02"
KRB5 = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
HOSTBASED_SERVICE = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"
MUTUAL = 2
CONTINUE_NEEDED = 1


class Octets(ctypes.Structure):
    """An OID, or a buffer, whose length is wider."""

    _fields_ = (("length", ctypes.c_uint32), ("elements", ctypes.c_char_p))


class Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", ctypes.c_void_p))


def is_there():
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def oid(content):
    return ctypes.byref(Octets(len(content), content))


def imported(library, service):
    name = ctypes.c_void_p()
    text = ctypes.create_string_buffer(service.encode())
    buffer = Buffer(len(service), ctypes.addressof(text))
    major = library.gss_import_name(
        ctypes.byref(ctypes.c_uint32()), ctypes.byref(buffer), oid(HOSTBASED_SERVICE),
        ctypes.byref(name),
    )  # fmt: skip
    assert major == 0, f"{major:#x}"
    return name


def token(library, name, mechanism):
    minor, context, output = ctypes.c_uint32(), ctypes.c_void_p(), Buffer()
    major = library.gss_init_sec_context(
        ctypes.byref(minor), None, ctypes.byref(context), name, oid(mechanism),
        ctypes.c_uint32(MUTUAL), ctypes.c_uint32(0), None, None, None,
        ctypes.byref(output), None, None,
    )  # fmt: skip
    assert major == CONTINUE_NEEDED, f"{major & 0xFFFFFFFF:#x}, {minor.value}"
    return ctypes.string_at(output.value, output.length)


def main(service, count):
    library = ctypes.CDLL(LIBRARY)
    name = imported(library, service)
    for mechanism in (SPNEGO, KRB5):
        for _ in range(int(count)):
            print(base64.b64encode(token(library, name, mechanism)).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
