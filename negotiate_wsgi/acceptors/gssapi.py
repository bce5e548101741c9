"""The fast acceptor: python-gssapi, with a keytab of its own for each instance."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from negotiate_wsgi.acceptors.attributes import Attributes
from negotiate_wsgi.acceptors.gssapi_library import (
    KEYS_OF_GSSPROXY,
    Keys,
    library,
)
from negotiate_wsgi.acceptors.insight import with_insight
from negotiate_wsgi.acceptors.opened import Opened
from negotiate_wsgi.acceptors.protocol import Accepted, Refused
from negotiate_wsgi.acceptors.status import (
    classify,
    gssproxy_fault,
    is_for_want_of_a_credential,
    keytab_fault,
    path_of_keytab,
    uses_gssproxy,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, of_the_environment
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, identity_of_ticket
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket

# What the library says where no key that it was given fits.
_NO_KEY_FITS = re.compile(
    "Request ticket server|Cannot find key for|Cannot decrypt ticket for"
    "|Service key not available"
)
_NO_SUCH_KEY = re.compile("Cannot find key for|Service key not available")
# Bytes of a token with which few keys are tried: no user in less than 1000 groups has it.
_LARGE = 16 * 1024


class GssapiAcceptor(KeytabAcceptor):
    """Accepts tokens with any key of *service* in its keytab, whatever other acceptors
    use.

        NegotiateMiddleware(app, acceptor=GssapiAcceptor(keytab="/etc/www.keytab"))

    It keeps its keys in memory, and a credential for each SPN and thread, so that a
    token costs little more than the library's own call, however many other keys the
    keytab has: the key that the ticket names is tried, and where that is none of ours,
    at most 64. No request asks DNS. A keytab that is replaced is used from the next
    token on.

    Under gssproxy (``GSS_USE_PROXY=yes``) the server need not be able to read the
    keytab.

    :param service: the SPN's first component.
    :param hostname: None for every host in the keytab, or the only host or hosts
        accepted, compared without case.
    :param keytab: a path; None for ``KRB5_KTNAME``, else krb5's default, as they are
        when the first token comes. It need not exist before.
    :param active_directory: True has the PAC say who it is, and refuses a ticket
        without one. The principal is ``account@REALM`` in the directory's spelling, and
        the `Identity` has ``account`` and ``sid``. The name in a ticket is what the
        user has typed (``ALICE``), or a name of no account (``root``).
    :param groups: the SID of each group by a name of yours, ``{"staff": "S-1-5-…"}``.
        The `Identity` has those names whose group the user is in, as the KDC resolved
        it; without a PAC, none.
    :raises ConfigurationError: an option is wrong, or python-gssapi is not installed,
        or is not for MIT's library.
    """

    def __init__(
        self,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        *,
        active_directory: bool = False,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        name = None if keytab is None else os.fspath(keytab)
        if name == "":
            raise ConfigurationError(
                "keytab='': write its path, or None for KRB5_KTNAME"
            )
        super().__init__(
            Target.of(service, hostname),
            f"gssapi {name or 'KRB5_KTNAME'}",
            Attributes.of(active_directory, groups),
        )
        self._library = library()
        self._name = name
        if name is None:
            of_the_environment.add(self)
        self._keys: Keys | None = None
        self._of_thread = threading.local()

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one initial token.

        Raises `AcceptorError` for an unusable keytab, krb5.conf or replay cache.
        """
        keys = self._current_keys()
        ticket = Ticket.of(token)
        try:
            result = self._accept(keys, ticket, token)
        except self._library.GSSError as error:
            result = self._refused(error, keys, ticket)
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the principal is not UTF-8")
        if isinstance(result, Accepted):
            return result
        return with_insight(result, token, ticket, keys.current)

    def _accept(
        self, keys: Keys, ticket: Ticket | None, token: bytes
    ) -> Accepted | Refused:
        memory = keys.of_spn.get(ticket.spn) if ticket else None
        if ticket and memory:
            try:
                return self._accept_with(keys, memory, token, ticket.spn)
            except self._library.GSSError as error:
                accepted = self._accept_with_others(keys, memory, token, error)
        else:
            objection = self.target.objection(ticket)
            if objection:
                return objection
            several = keys.few if len(token) > _LARGE else keys.several
            accepted = self._accept_with(keys, several, token)
        return (
            self.target.check(accepted) if isinstance(accepted, Accepted) else accepted
        )

    def _accept_with_others(
        self, keys: Keys, memory: bytes, token: bytes, error: Exception
    ) -> Accepted | Refused:
        """The same where *error* says that the key that the ticket names does not fit.

        Its kvno may be another one in the keytab, or a key of another SPN may be the one.
        """
        text = self._library.text_of(error)
        if _NO_SUCH_KEY.match(text):  # of this kvno and enctype
            try:
                return self._accept_with(keys, memory, token)
            except self._library.GSSError as problem:
                error = problem
                text = self._library.text_of(problem)
        if len(token) > _LARGE or not _NO_KEY_FITS.match(text):
            raise error
        return self._accept_with(keys, keys.few, token)

    def _accept_with(
        self, keys: Keys, memory: bytes, token: bytes, spn: str | None = None
    ) -> Accepted | Refused:
        """The same with the key of *spn* in *memory*, or with each if that is None."""
        library = self._library
        result = library.accept(token, self._credential(keys, memory, spn))
        if result.more_steps or result.mech != library.mechanism:
            return Refused(Reason.NEEDS_ANOTHER_LEG, "the negotiation is not complete")
        name = result.initiator_name
        identity = self._identity(name, spn or library.target(result.context))
        if isinstance(identity, Refused):
            return identity
        ticket = Opened(library, result.context, name)
        return Accepted(identity, result.token, ticket.end, sids=ticket.sids)

    def _identity(self, name: Any, spn: str) -> Identity | Refused:
        """Who the library's *name* is."""
        principal = self._library.name(name)
        if not self.attributes.are_asked_for:
            return identity_of_ticket(principal, spn)
        read = functools.partial(self._library.attribute, name)
        return self.attributes.identity(read, principal, spn)

    @functools.cached_property
    def _path(self) -> str:
        name = (
            self._name
            or os.environ.get("KRB5_KTNAME")
            or self._library.default_keytab()
        )
        return path_of_keytab(name)

    def _current_keys(self) -> Keys:
        """The keys, read again if the keytab has changed. Raises `AcceptorError`."""
        path = self._path
        try:
            status = os.stat(path)
        except OSError:
            return _without_a_keytab(path)
        version = (path, status.st_mtime_ns, status.st_ino, status.st_size)
        keys = self._keys
        if keys and keys.version == version:
            return keys
        if not os.access(path, os.R_OK):
            return _without_a_keytab(path)
        self._keys = self._library.read_keys(path, version, self.target)
        return self._keys

    def _credential(self, keys: Keys, memory: bytes, spn: str | None) -> Any:
        """This thread's: one that threads share would have them wait for each other."""
        if keys is KEYS_OF_GSSPROXY:
            # Not one of before: gssproxy may have been restarted.
            return self._library.credential(keys, memory, spn)
        local = self._of_thread
        if getattr(local, "version", None) is not keys.version:
            local.version = keys.version
            local.credentials = {}
        which = spn or memory
        credential = local.credentials.get(which)
        if credential is None:
            credential = self._library.credential(keys, memory, spn)
            local.credentials[which] = credential
        return credential

    def _refused(self, error: Any, keys: Keys, ticket: Ticket | None) -> Refused:
        """The refusal for an error of the library's. Raises `AcceptorError` where we
        are at fault.
        """
        try:
            text = self._library.text_of(error)
            majors = ", ".join(error.get_all_statuses(error.maj_code, True))
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the library's text is not UTF-8")
        if is_for_want_of_a_credential(error.maj_code, text):
            if keys is KEYS_OF_GSSPROXY:
                raise gssproxy_fault()
            # There is one, but for Kerberos; if the library can begin at all.
            self._library.context()
            return Refused(Reason.UNSUPPORTED_MECHANISM, text)
        refused = classify(error.maj_code, majors, text, ticket)
        if not ticket or not keys.keytab.keys or not _NO_KEY_FITS.match(text):
            return refused
        # It was given a choice of the keytab's keys, and says that the others are missing.
        objection = ticket.misfit(keys.keytab)
        reason = objection.reason if objection else Reason.WRONG_KEY
        detail = objection.detail if objection else text
        return replace(refused, reason=reason, detail=detail)


def _without_a_keytab(path: str) -> Keys:
    """Those of gssproxy, if it accepts for us. Raises `AcceptorError` if not."""
    if uses_gssproxy():
        return KEYS_OF_GSSPROXY
    raise keytab_fault(path)
