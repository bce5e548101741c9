"""What the bindings have no function for: libkrb5 itself, by way of ctypes."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import byref, c_void_p
from typing import Any, ClassVar

from negotiate_wsgi.acceptors.status import keytab_fault, krb5_conf_fault
from negotiate_wsgi.exceptions import AcceptorError


class _Data(ctypes.Structure):
    """krb5_data of krb5.h."""

    _fields_: ClassVar = [
        ("magic", ctypes.c_int32),
        ("length", ctypes.c_uint),
        ("data", ctypes.c_char_p),
    ]


class _Keyblock(ctypes.Structure):
    """krb5_keyblock of krb5.h."""

    _fields_: ClassVar = [
        ("magic", ctypes.c_int32),
        ("enctype", ctypes.c_int32),
        ("length", ctypes.c_uint),
        ("contents", ctypes.c_char_p),
    ]


class _Context:
    """A krb5_context, as long as this lives."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._free = library.krb5_free_context
        self.pointer = c_void_p()
        library.krb5_init_context(byref(self.pointer))

    def __del__(self) -> None:
        if self.pointer:
            self._free(self.pointer)


class Libkrb5:
    """The libkrb5 that a binding uses.

    It keeps one krb5_context as long as the process lives: libkrb5 shares a parsed
    krb5.conf only while some context lives, and each accept makes and frees its own.
    Without this one the file is parsed anew for every request. A changed file is still
    seen by the next accept.

    :param binding: the path of the binding's shared object.
    """

    def __init__(self, binding: str) -> None:
        self._library = ctypes.CDLL(binding)
        self._pinned = c_void_p()
        self._library.krb5_init_context(byref(self._pinned))
        self._of_thread = threading.local()

    def default_keytab(self) -> str:
        """The full name of the keytab that krb5 takes, where it says one."""
        name = ctypes.create_string_buffer(4096)
        if self._pinned:
            self._library.krb5_kt_default_name(
                self._pinned, name, ctypes.c_int(len(name))
            )
        return os.fsdecode(name.value) or os.environ.get(
            "KRB5_KTNAME", "of krb5's choice"
        )

    def credential_fault(self) -> AcceptorError | None:
        """Why the process has no credential to accept with now; None if krb5 finds some
        key.
        """
        context = c_void_p()
        keytab = c_void_p()
        # Not the pinned context: no two threads may use one at a time.
        if self._library.krb5_init_context(byref(context)):
            return krb5_conf_fault()
        try:
            is_empty = self._library.krb5_kt_default(context, byref(keytab))
            if not is_empty:
                is_empty = self._library.krb5_kt_have_content(context, keytab)
                self._library.krb5_kt_close(context, keytab)
        finally:
            self._library.krb5_free_context(context)
        return keytab_fault(self.default_keytab()) if is_empty else None

    def opens(self, ap_req: bytes, spn: str) -> bool:
        """Whether the default keytab's key of *spn* opens the ticket in *ap_req*.

        That it was used before does not matter.
        """
        context = c_void_p()
        principal = c_void_p()
        exchange = c_void_p()
        library = self._library
        if library.krb5_init_context(byref(context)):
            return False
        data = _Data(0, len(ap_req), ap_req)
        try:
            failed = (
                library.krb5_parse_name(context, spn.encode(), byref(principal))
                or library.krb5_auth_con_init(context, byref(exchange))
                or library.krb5_auth_con_setflags(
                    context, exchange, 0
                )  # no replay cache
                or library.krb5_rd_req(
                    context, byref(exchange), byref(data), principal, None, None, None
                )
            )
        finally:
            if exchange:
                library.krb5_auth_con_free(context, exchange)
            library.krb5_free_principal(context, principal)
            library.krb5_free_context(context)
        return not failed

    def has_signed(self, pac: bytes, entry: Any) -> bool:
        """Whether the server signature of a PAC (MS-PAC section 2.8.1) is that of the
        key in *entry*.

        :param entry: a ``KeyTabEntry`` of the package krb5, to whose memory the key
            belongs.
        """
        context = self._own_context()
        if not context:
            return False
        library = self._library
        parsed = c_void_p()
        size = ctypes.c_size_t(len(pac))
        if library.krb5_pac_parse(context, pac, size, byref(parsed)):
            return False
        key = entry.key
        # No local variable has its bytes: an exception may show a frame's.
        block = _Keyblock(0, key.enctype, len(key.data), key.data)
        failed = library.krb5_pac_verify(
            context, parsed, ctypes.c_int32(0), None, byref(block), None
        )
        library.krb5_pac_free(context, parsed)
        return not failed

    def _own_context(self) -> c_void_p:
        """This thread's: no two threads may use one at a time."""
        local = self._of_thread
        if not getattr(local, "context", None) or not local.context.pointer:
            local.context = _Context(self._library)
        context: c_void_p = local.context.pointer
        return context


def release(found: Any) -> None:
    """Give back a reference to *found* that an extension module kept by mistake."""
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(found))
