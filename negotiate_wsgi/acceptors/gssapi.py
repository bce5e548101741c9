"""The fast acceptor: python-gssapi, with a keytab of its own for each instance."""

from __future__ import annotations

import functools
import itertools
import os
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace
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
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import identity_of_ticket
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket

_numbers = itertools.count()
_SAYS_LITTLE = re.compile("Cannot find key for|Cannot decrypt ticket for|Service key not available")


class GssapiAcceptor(KeytabAcceptor):
    """Accepts tokens with any key of *service* in its keytab, whatever other acceptors use.

        NegotiateMiddleware(app, acceptor=GssapiAcceptor(keytab="/etc/www.keytab"))

    It keeps its keys in memory, and a credential for each SPN and thread, so that a token costs
    little more than the library's own call, however many other keys the keytab has. No request
    asks DNS. A keytab that is replaced is used from the next token on.

    :param service: the SPN's first component.
    :param hostname: None for every host in the keytab, or the only host or hosts accepted,
        compared without case.
    :param keytab: a path; None for ``KRB5_KTNAME``, else krb5's default, as they are when the
        first token comes. It need not exist yet.
    :raises ConfigurationError: an option is wrong, or python-gssapi is not installed.
    """

    def __init__(
        self,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
    ) -> None:
        name = None if keytab is None else os.fspath(keytab)
        if name == "":
            raise ConfigurationError("keytab='': write its path, or None for KRB5_KTNAME")
        super().__init__(Target.of(service, hostname), f"gssapi {name or 'KRB5_KTNAME'}")
        self._library = _library()
        self._name = name
        self._keys: _Keys | None = None
        self._of_thread = threading.local()

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one initial token. Raises `AcceptorError` for an unusable keytab or replay cache."""
        keys = self._current_keys()
        try:
            return self._accept(keys, keys.named_in(token), token)
        except self._library.GSSError as error:
            return with_insight(self._refused(error), token, keys.name)
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the principal is not UTF-8")

    def _accept(self, keys: _Keys, spn: str | None, token: bytes) -> Accepted | Refused:
        """The same with the key of *spn*, or where that is None with every key of ours."""
        library = self._library
        try:
            result = library.accept(token, self._credential(keys, spn))
        except library.GSSError as error:
            if not spn or not _SAYS_LITTLE.match(library.text_of(error)):
                raise
            # The library says more where it has tried each key; and another of ours may be the one.
            return self._accept(keys, None, token)
        if result.more_steps or result.mech != library.mechanism:
            return Refused(Reason.NEEDS_ANOTHER_LEG, "the negotiation is not complete")
        principal = library.name(result.initiator_name)
        opened = spn or library.target(result.context)
        identity = identity_of_ticket(principal, opened)
        return Accepted(identity, result.token, _Expiry(library, result.context))

    @functools.cached_property
    def _path(self) -> str:
        name = self._name or os.environ.get("KRB5_KTNAME") or self._library.default_keytab()
        return name.removeprefix("FILE:")

    def _current_keys(self) -> _Keys:
        """The keys, read again if the keytab has changed. Raises `AcceptorError`."""
        path = self._path
        try:
            status = os.stat(path)
        except OSError:
            raise keytab_fault(path) from None
        version = (path, status.st_mtime_ns, status.st_ino, status.st_size)
        keys = self._keys
        if not keys or keys.version != version:
            keys = self._keys = self._library.read_keys(path, version, self.target)
        return keys

    def _credential(self, keys: _Keys, spn: str | None) -> Any:
        """This thread's: one that threads share would have them wait for each other."""
        local = self._of_thread
        if getattr(local, "version", None) is not keys.version:
            local.version, local.credentials = keys.version, {}
        credential = local.credentials.get(spn)
        if credential is None:
            credential = local.credentials[spn] = self._library.credential(keys, spn)
        return credential

    def _refused(self, error: Any) -> Refused:
        text = self._library.text_of(error)
        if is_for_want_of_a_credential(error.maj_code, text):
            # There is one, but for Kerberos; if the library can begin at all.
            self._library.context()
            return Refused(Reason.UNSUPPORTED_MECHANISM, text)
        majors = error.get_all_statuses(error.maj_code, True)
        refused = classify(error.maj_code, ", ".join(majors), text)
        if refused.reason is not Reason.SPN_NOT_IN_KEYTAB:
            return refused
        # Such keys may be in the keytab, but they are not among ours.
        of_another = not self.target.admits(refused.spn or "")
        return replace(refused, reason=Reason.WRONG_SERVICE) if of_another else refused


@dataclass(frozen=True)
class _Keys:
    """The keys of one version of a keytab that an acceptor may use, in a keytab in memory."""

    name: str
    version: tuple[object, ...]
    memory: Any = field(repr=False)
    spns: frozenset[str]

    def named_in(self, token: bytes) -> str | None:
        """The SPN of ours that *token* names in clear text: it says which key to try, and no more."""
        ticket = Ticket.of(token)
        return ticket.spn if ticket and ticket.spn in self.spns else None


class _Expiry:
    """Tells when the ticket of a context ends: asked for only where a session begins."""

    __slots__ = ("_context", "_end", "_library")

    def __init__(self, library: _Library, context: Any) -> None:
        self._library, self._context, self._end = library, context, 0.0

    def __call__(self) -> float:
        if not self._end:
            self._end = self._library.end_of_ticket(self._context)
        return self._end


class _Library:
    """What is asked of python-gssapi and krb5, which need not be installed for the package to be."""

    def __init__(self) -> None:
        import krb5
        from gssapi import OID, NameType, raw

        self._krb5, self._raw = krb5, raw
        self._principal = NameType.kerberos_principal
        self.mechanism = OID.from_int_seq("1.2.840.113554.1.2.2")  # RFC 4121 section 1
        self._spnego = OID.from_int_seq("1.3.6.1.5.5.2")  # RFC 4178 section 3
        self.GSSError = raw.GSSError
        self.accept = raw.accept_sec_context
        # libkrb5 shares a parsed krb5.conf only while some context lives, and each accept makes and
        # frees its own. A changed file is still seen by the next accept.
        self._pinned = krb5.init_context()

    def default_keytab(self) -> str:
        return str(self._krb5.kt_default_name(self.context()).decode())

    def context(self) -> Any:
        """One's own: no two threads may use one at a time. Raises `AcceptorError`."""
        try:
            return self._krb5.init_context()
        except self._krb5.Krb5Error:
            raise krb5_conf_fault() from None

    def read_keys(self, path: str, version: tuple[object, ...], target: Target) -> _Keys:
        """The keys of *target* in the keytab at *path*. Raises `AcceptorError` if there are none."""
        context, krb5 = self.context(), self._krb5
        memory = krb5.kt_resolve(context, f"MEMORY:negotiate-wsgi-{next(_numbers)}".encode())
        spns = set()
        try:
            for entry in krb5.kt_resolve(context, f"FILE:{path}".encode()):
                spn = str(entry.principal)
                if target.admits(spn):
                    krb5.kt_add_entry(
                        context, memory, entry.principal, entry.kvno, entry.timestamp, entry.key
                    )
                    spns.add(spn)
        except krb5.Krb5Error:
            raise keytab_fault(path) from None
        if not spns:
            raise keytab_fault(path)
        return _Keys(path, version, memory, frozenset(spns))

    def credential(self, keys: _Keys, spn: str | None) -> Any:
        """Of one SPN, or of all *keys*; for Kerberos alone, inside SPNEGO, too. Raises `AcceptorError`."""
        raw = self._raw
        # A Kerberos principal as it is: a host-based name would be looked up in DNS.
        name = raw.import_name(spn.encode(), self._principal) if spn else None
        try:
            acquired = raw.acquire_cred_from(
                {b"keytab": b"MEMORY:" + keys.memory.name},
                name=name,
                mechs=[self.mechanism, self._spnego],
                usage="accept",
            )
        except raw.GSSError:
            self.context()
            raise keytab_fault(keys.name) from None
        raw.set_neg_mechs(acquired.creds, [self.mechanism])
        return acquired.creds

    def text_of(self, error: Any) -> str:
        """What krb5 says of an error."""
        return str((error.get_all_statuses(error.min_code, False) or [""])[0])

    def name(self, name: Any) -> str:
        return str(self._raw.display_name(name, name_type=False).name.decode())

    def target(self, context: Any) -> str:
        """The SPN of the key that opened the ticket."""
        asked = self._raw.inquire_context(
            context, initiator_name=False, target_name=True, lifetime=False, mech=False,
            flags=False, locally_init=False, complete=False,
        )  # fmt: skip
        return self.name(asked.target_name)

    def end_of_ticket(self, context: Any) -> float:
        """In seconds since the epoch. Once for each context, which is of no more use then.

        Not the lifetime that GSSAPI tells, because krb5 adds the tolerated clock skew to that.
        """
        lucid = self._raw.krb5_export_lucid_sec_context(context, 1)
        return float(lucid.endtime)  # type: ignore[attr-defined]


@functools.cache
def _library() -> _Library:
    try:
        return _Library()
    except ImportError as exc:
        raise ConfigurationError(
            "python-gssapi or krb5 is missing: pip install 'negotiate-wsgi[gssapi]' "
            "(they compile: apt-get install gcc python3-dev libkrb5-dev)"
        ) from exc
