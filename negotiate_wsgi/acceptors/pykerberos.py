"""The default acceptor: pykerberos, one keytab for the process (``KRB5_KTNAME``)."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import sys
import weakref
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection
from typing import Any

from negotiate_wsgi.acceptors.insight import with_insight
from negotiate_wsgi.acceptors.protocol import Accepted, Refused
from negotiate_wsgi.acceptors.status import (
    classify,
    is_for_want_of_a_credential,
    keytab_fault,
    krb5_conf_fault,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.identity import identity_of_ticket
from negotiate_wsgi.reasons import Reason

try:
    import kerberos
except ImportError as exc:
    raise ConfigurationError(
        "the module kerberos cannot be imported: pip install pykerberos "
        "(it compiles: apt-get install gcc python3-dev libkrb5-dev)"
    ) from exc


class PykerberosAcceptor(KeytabAcceptor):
    """Accepts tokens with any key of *service* in the keytab.

    No request asks DNS: krb5's default credential takes every key of the keytab, and the SPN of
    the key that really opened the ticket is checked afterwards.

    :param service: the SPN's first component.
    :param hostname: None for every host in the keytab, or the only host or hosts accepted,
        compared without case.
    :param keytab: a path, which becomes the ``KRB5_KTNAME`` of this process; None leaves that as
        it is. It need not exist yet, and one that is replaced is used from the next token on.
    :raises ConfigurationError: an option is wrong, or an acceptor in use has named another keytab.
    """

    def __init__(
        self,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(Target.of(service, hostname), "KRB5_KTNAME")
        if keytab is not None:
            _use_keytab(self, os.fspath(keytab))
        _pinned_krb5()
        _leaks_error_arguments()

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one initial token. Raises `AcceptorError` for an unusable keytab or replay cache."""
        try:
            # The context is released with the last reference to *state*, when this returns.
            _, state = kerberos.authGSSServerInit("")
            kerberos.authGSSServerStep(state, b2a_base64(token, newline=False).decode("ascii"))
            principal = kerberos.authGSSServerUserName(state)
            spn = kerberos.authGSSServerTargetName(state)
            proof = kerberos.authGSSServerResponse(state)
        except kerberos.GSSError as error:
            _release_leaked_arguments(error)
            refused = _classify(error.args)
            if refused.reason is Reason.UNSUPPORTED_MECHANISM and (fault := _credential_fault()):
                # The plugin of another mechanism has a credential, which is why this came so far.
                raise fault from None
            return with_insight(refused, token)
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the principal or the SPN is not UTF-8")
        mutual_token = a2b_base64(proof) if proof else None
        judged = self.target.check(Accepted(identity_of_ticket(principal, spn), mutual_token))
        return with_insight(judged, token) if isinstance(judged, Refused) else judged


_named_keytabs: weakref.WeakKeyDictionary[PykerberosAcceptor, str] = weakref.WeakKeyDictionary()


def _use_keytab(acceptor: PykerberosAcceptor, keytab: str) -> None:
    """Make *keytab* the one of this process, unless an acceptor still in use has named another."""
    if not keytab:
        raise ConfigurationError("keytab='': write its path, or None for KRB5_KTNAME")
    if set(_named_keytabs.values()) - {keytab}:
        gc.collect()  # an application and its middleware refer to each other
    if others := set(_named_keytabs.values()) - {keytab}:
        raise ConfigurationError(
            f"keytab={keytab!r}, but {others.pop()!r} is in use: "
            "pykerberos has one keytab for the whole process; merge them with ktutil"
        )
    _named_keytabs[acceptor] = keytab
    os.environ["KRB5_KTNAME"] = keytab


def _credential_fault() -> AcceptorError | None:
    """Why the process would have no credential to accept with now; None if krb5 finds some key."""
    libkrb5, _ = _pinned_krb5() or (ctypes.CDLL(kerberos.__file__), None)
    # Not the pinned context: no two threads may use one at a time.
    context, keytab = ctypes.c_void_p(), ctypes.c_void_p()
    if libkrb5.krb5_init_context(ctypes.byref(context)):
        return krb5_conf_fault()
    try:
        is_empty = libkrb5.krb5_kt_default(context, ctypes.byref(keytab))
        if not is_empty:
            is_empty = libkrb5.krb5_kt_have_content(context, keytab)
            libkrb5.krb5_kt_close(context, keytab)
    finally:
        libkrb5.krb5_free_context(context)
    return keytab_fault(_default_keytab()) if is_empty else None


def _default_keytab() -> str:
    name = ctypes.create_string_buffer(4096)
    if pinned := _pinned_krb5():
        libkrb5, context = pinned
        libkrb5.krb5_kt_default_name(context, name, ctypes.c_int(len(name)))
    return os.fsdecode(name.value) or os.environ.get("KRB5_KTNAME", "of krb5's choice")


@functools.cache
def _pinned_krb5() -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """The libkrb5 that the binding uses, with a krb5_context that lives as long as the process.

    libkrb5 shares a parsed krb5.conf only while some context lives, and each accept makes and
    frees its own: without this one the file is parsed anew for every request. A changed file
    is still seen by the next accept. Returns None where the library offers no such context.
    """
    try:
        libkrb5 = ctypes.CDLL(kerberos.__file__)
        context = ctypes.c_void_p()
        failed = libkrb5.krb5_init_context(ctypes.byref(context))
    except (AttributeError, OSError):
        return None
    return None if failed else (libkrb5, context)


@functools.cache
def _leaks_error_arguments() -> bool:
    """Whether the installed binding keeps one reference too many to each GSSError's arguments.

    pykerberos 1.2.4 does: about 500 bytes for each refused token, and anybody can send those. A
    failure of its own is compared with one from Python, so a build that is mended is left alone.
    """

    def fail_in_c() -> None:
        _, state = kerberos.authGSSServerInit("")
        kerberos.authGSSServerStep(state, "AAAA")

    def fail_in_python() -> None:
        raise kerberos.GSSError(("text", 1), ("text", 2))

    return _references_to_arguments(fail_in_c) == _references_to_arguments(fail_in_python) + 1


def _references_to_arguments(fail: Callable[[], None]) -> int:
    try:
        fail()
    except kerberos.GSSError as error:
        return sys.getrefcount(error.args)
    return 0


def _release_leaked_arguments(error: Exception) -> None:
    # A text that the binding cannot decode ends in GSSError(): its arguments are the one empty
    # tuple of the interpreter, to which nothing was leaked.
    if error.args and _leaks_error_arguments():
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(error.args))


#: The binding copies a text into 512 bytes without ending it: what follows is not text.
_TEXT_LIMIT = 511


def _classify(args: tuple[Any, ...]) -> Refused:
    """The refusal for a GSSError's arguments. Raises `AcceptorError` where the fault is ours."""
    try:
        (major_text, major), (minor_text, _) = args
    except (TypeError, ValueError):
        return Refused(Reason.UNKNOWN, "the library's text is not UTF-8")
    if is_for_want_of_a_credential(major, minor_text):
        raise _credential_fault() or keytab_fault(_default_keytab())
    return classify(major, major_text, minor_text.encode()[:_TEXT_LIMIT].decode(errors="replace"))
