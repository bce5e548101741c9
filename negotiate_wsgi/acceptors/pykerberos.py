"""The default acceptor: pykerberos, one keytab for the process (``KRB5_KTNAME``)."""

from __future__ import annotations

import functools
import gc
import os
import sys
import weakref
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection
from typing import Any

from negotiate_wsgi.acceptors.insight import keytab_in_use, with_insight
from negotiate_wsgi.acceptors.libkrb5 import Libkrb5, release
from negotiate_wsgi.acceptors.protocol import Accepted, Refused
from negotiate_wsgi.acceptors.status import (
    classify,
    gssproxy_fault,
    is_for_want_of_a_credential,
    path_of_keytab,
    uses_gssproxy,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, of_the_environment
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.identity import identity_of_ticket
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.authenticator import authenticator_in
from negotiate_wsgi.wire.keytab import Keytab
from negotiate_wsgi.wire.ticket import Ticket, ap_req_in

try:
    import kerberos
except ImportError as exc:
    raise ConfigurationError(
        "the module kerberos cannot be imported: pip install pykerberos "
        "(it compiles: apt-get install gcc python3-dev libkrb5-dev)"
    ) from exc


class PykerberosAcceptor(KeytabAcceptor):
    """Accepts tokens with any key of *service* in the keytab.

    No request asks DNS: krb5's default credential takes every key of the keytab, and
    the SPN of the key that really opened the ticket is checked afterwards.

    :param service: the SPN's first component.
    :param hostname: None for every host in the keytab, or the only host or hosts
        accepted, compared without case.
    :param keytab: a path, which becomes the ``KRB5_KTNAME`` of this process; None
        leaves that as it is. It need not exist yet, and one that is replaced is used
        from the next token on.
    :raises ConfigurationError: an option is wrong, or an acceptor in use has another
        keytab.
    """

    def __init__(
        self,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(Target.of(service, hostname), "KRB5_KTNAME")
        if keytab is None:
            of_the_environment.add(self)
        else:
            _use_keytab(self, os.fspath(keytab))
        self._sound: Keytab | None = None
        _libkrb5()
        _leaks_error_arguments()

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one initial token.

        Raises `AcceptorError` for an unusable keytab, krb5.conf or replay cache.
        """
        ticket = Ticket.of(token)
        result = self.target.objection(ticket) or self._accept(token, ticket)
        if isinstance(result, Accepted):
            result.fingerprint = functools.partial(authenticator_in, token)
            return result
        self._check_keytab()
        return with_insight(result, token, ticket, keytab_in_use)

    def _accept(self, token: bytes, ticket: Ticket | None) -> Accepted | Refused:
        try:
            # The context is released with the last reference to *state*, when this
            # returns.
            _, state = kerberos.authGSSServerInit("")
            kerberos.authGSSServerStep(
                state, b2a_base64(token, newline=False).decode("ascii")
            )
            principal = kerberos.authGSSServerUserName(state)
            spn = kerberos.authGSSServerTargetName(state)
            proof = kerberos.authGSSServerResponse(state)
        except kerberos.GSSError as error:
            _release_leaked_arguments(error)
            return _classify(error.args, ticket)
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the principal or the SPN is not UTF-8")
        mutual_token = a2b_base64(proof) if proof else None
        is_named = not ticket or ticket.spn == spn
        if is_named and self.target.admits(spn or ""):
            return Accepted(identity_of_ticket(principal, spn), mutual_token)
        spn = self._spn_of_the_same_key(spn, token, ticket) or spn
        return self.target.check(
            Accepted(identity_of_ticket(principal, spn), mutual_token)
        )

    def _spn_of_the_same_key(
        self, opened: str, token: bytes, ticket: Ticket | None
    ) -> str | None:
        """An SPN of ours whose key, too, opens a ticket that was opened with a key of
        *opened*: the one that the ticket names, or if *opened* is none of ours, another.

        krb5 names the first entry of the keytab whose key fits. Which of its keys that
        was is not said, so the library is asked for each of ours that *opened* has,
        too.
        """
        try:
            shared = keytab_in_use().shared_with(opened)
        except AcceptorError:
            return None
        ours = [key for key in shared if self.target.admits(key.principal)]
        named = ticket.spn if ticket else None
        if self.target.admits(opened):
            ours = [key for key in ours if key.principal == named]
        ours.sort(key=lambda key: key.principal != named)
        distinct = {
            (key.kvno, key.enctype, key.mark): key.principal for key in reversed(ours)
        }
        opens = functools.partial(_libkrb5().opens, ap_req_in(token))
        return next(filter(opens, reversed(distinct.values())), None)

    def _check_keytab(self) -> None:
        """Raise `AcceptorError` where the keytab has no key that could have opened a
        ticket.
        """
        try:
            keytab = keytab_in_use()
        except AcceptorError:
            fault = (
                _libkrb5().credential_fault()
            )  # There are kinds that krb5 alone can read.
            if fault:
                raise fault from None
            return
        if keytab.keys and keytab is not self._sound:
            fault = self.target.fault(keytab)
            if fault:
                raise fault
            self._sound = keytab


_named_keytabs: weakref.WeakKeyDictionary[PykerberosAcceptor, str] = (
    weakref.WeakKeyDictionary()
)


def _use_keytab(acceptor: PykerberosAcceptor, keytab: str) -> None:
    """Make *keytab* the one of this process, unless an acceptor still in use has
    another.
    """
    if not keytab:
        raise ConfigurationError("keytab='': write its path, or None for KRB5_KTNAME")
    other = _keytab_in_use_beside(keytab)
    if other:
        gc.collect()  # an application and its middleware refer to each other
        other = _keytab_in_use_beside(keytab)
    if other:
        raise ConfigurationError(
            f"keytab={keytab!r}, but {other!r} is in use: pykerberos has one keytab for "
            "the whole process. Merge them with ktutil, or write "
            "acceptor=GssapiAcceptor(keytab=...)"
        )
    _named_keytabs[acceptor] = keytab
    os.environ["KRB5_KTNAME"] = keytab


def _keytab_in_use_beside(keytab: str) -> str | None:
    """Another keytab than *keytab* that an acceptor has, by its name or by
    ``KRB5_KTNAME``.
    """
    in_use = list(_named_keytabs.values())
    if of_the_environment:
        in_use.append(_libkrb5().default_keytab())
    path = path_of_keytab(keytab)
    others = [other for other in in_use if path_of_keytab(other) != path]
    return others[0] if others else None


@functools.cache
def _libkrb5() -> Libkrb5:
    return Libkrb5(kerberos.__file__)


@functools.cache
def _leaks_error_arguments() -> bool:
    """Whether the installed binding keeps one reference too many to each GSSError's
    arguments.

    pykerberos 1.2.4 does: about 500 bytes for each refused token, and anybody can send
    those. A failure of its own is compared with one from Python, so a build without
    the leak is left alone.
    """

    def fail_in_c() -> None:
        _, state = kerberos.authGSSServerInit("")
        kerberos.authGSSServerStep(state, "AAAA")

    def fail_in_python() -> None:
        raise kerberos.GSSError(("text", 1), ("text", 2))

    return (
        _references_to_arguments(fail_in_c)
        == _references_to_arguments(fail_in_python) + 1
    )


def _references_to_arguments(fail: Callable[[], None]) -> int:
    try:
        fail()
    except kerberos.GSSError as error:
        return sys.getrefcount(error.args)
    return 0


def _release_leaked_arguments(error: Exception) -> None:
    # A text that the binding cannot decode ends in GSSError(): its arguments are the
    # one empty tuple of the interpreter, to which nothing was leaked.
    if error.args and _leaks_error_arguments():
        release(error.args)


#: The binding copies a text into 512 bytes without ending it: what follows is not text.
_TEXT_LIMIT = 511


def _classify(args: tuple[Any, ...], ticket: Ticket | None) -> Refused:
    """The refusal for a GSSError's arguments. Raises `AcceptorError` where the fault is
    ours.
    """
    try:
        (major_text, major), (minor_text, _) = args
    except (TypeError, ValueError):
        return Refused(Reason.UNKNOWN, "the library's text is not UTF-8")
    wants_a_credential = is_for_want_of_a_credential(major, minor_text)
    text = minor_text.encode()[:_TEXT_LIMIT].decode(errors="replace")
    refused = Refused(Reason.UNSUPPORTED_MECHANISM, text)
    if not wants_a_credential:
        refused = classify(major, major_text, text, ticket)
    if refused.reason is not Reason.UNSUPPORTED_MECHANISM:
        return refused
    # The plugin of another mechanism may have a credential, and then it comes so far.
    fault = _libkrb5().credential_fault()
    if fault and uses_gssproxy():
        fault = gssproxy_fault() if wants_a_credential else None
    if fault:
        raise fault
    return refused
