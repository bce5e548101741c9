"""What is asked of python-gssapi and krb5, which need not be installed for the package
to be.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from negotiate_wsgi.acceptors.insight import KEYTAB_OF_GSSPROXY
from negotiate_wsgi.acceptors.status import (
    gssproxy_fault,
    keytab_fault,
    krb5_conf_fault,
)
from negotiate_wsgi.acceptors.target import Target
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.wire.keytab import Key, Keytab, mark_of
from negotiate_wsgi.wire.names import name_of_enctype

_TRIED = 64  # keys of one encryption type, where a ticket names none of ours
_NEEDED = ("acquire_cred_from", "set_neg_mechs", "krb5_export_lucid_sec_context")
_numbers = itertools.count()


@dataclass(frozen=True)
class Keys:
    """The keys of one version of a keytab, in keytabs in memory.

    :param keytab: what they were read from.
    :param version: another object for each version.
    :param memory: for each SPN of ours a keytab with its keys alone; for None a keytab
        of distinct keys, ours first.
    """

    keytab: Keytab
    version: tuple[object, ...]
    memory: dict[str | None, Any] = field(repr=False)

    def current(self) -> Keytab:
        """What they were read from."""
        return self.keytab


#: Where gssproxy accepts for us: no key is ours to read.
KEYS_OF_GSSPROXY = Keys(KEYTAB_OF_GSSPROXY, ("gssproxy",), {})


class Library:
    """MIT's libraries, by way of two packages."""

    def __init__(self) -> None:
        import krb5
        from gssapi import OID, NameType, raw

        if not all(hasattr(raw, name) for name in _NEEDED):
            raise ConfigurationError(
                "python-gssapi was built with a GSSAPI library other than MIT's, such as Heimdal's: "
                "GssapiAcceptor needs MIT krb5 (apt-get install libkrb5-dev, then "
                "pip install --force-reinstall --no-binary :all: gssapi)"
            )
        self._krb5 = krb5
        self._raw = raw
        self._principal = NameType.kerberos_principal
        self.mechanism = OID.from_int_seq("1.2.840.113554.1.2.2")  # RFC 4121 section 1
        self._spnego = OID.from_int_seq("1.3.6.1.5.5.2")  # RFC 4178 section 3
        self.GSSError = raw.GSSError
        self.accept = raw.accept_sec_context
        # libkrb5 shares a parsed krb5.conf only while some context lives, and each
        # accept makes and frees its own. A changed file is still seen by the next
        # accept.
        self._pinned = krb5.init_context()

    def default_keytab(self) -> str:
        return str(self._krb5.kt_default_name(self.context()).decode())

    def context(self) -> Any:
        """One's own: no two threads may use one at a time. Raises `AcceptorError`."""
        try:
            return self._krb5.init_context()
        except self._krb5.Krb5Error:
            raise krb5_conf_fault() from None

    def read_keys(self, path: str, version: tuple[object, ...], target: Target) -> Keys:
        """The keys in the keytab at *path*. Raises `AcceptorError` if none of them is
        *target*'s.
        """
        context = self.context()
        entries = []
        try:
            for entry in self._krb5.kt_resolve(context, f"FILE:{path}".encode()):
                entries.append((_key(entry), entry))
        except self._krb5.Krb5Error:
            raise keytab_fault(path) from None
        if not entries:
            raise keytab_fault(path)
        keytab = Keytab(f"FILE:{path}", tuple(key for key, _ in entries))
        fault = target.fault(keytab)
        if fault:
            raise fault
        ours = [(key, entry) for key, entry in entries if target.admits(key.principal)]
        others = [
            (key, entry) for key, entry in entries if not target.admits(key.principal)
        ]
        memory: dict[str | None, Any] = {None: self._memory(context)}
        for key, entry in ours:
            if key.principal not in memory:
                memory[key.principal] = self._memory(context)
            self._add(context, memory[key.principal], entry)
        for entry in _distinct([*ours, *others]):
            self._add(context, memory[None], entry)
        return Keys(keytab, version, memory)

    def _memory(self, context: Any) -> Any:
        name = f"MEMORY:negotiate-wsgi-{next(_numbers)}"
        return self._krb5.kt_resolve(context, name.encode())

    def _add(self, context: Any, memory: Any, entry: Any) -> None:
        self._krb5.kt_add_entry(
            context, memory, entry.principal, entry.kvno, entry.timestamp, entry.key
        )

    def credential(self, keys: Keys, spn: str | None) -> Any:
        """To accept with, for Kerberos alone, inside SPNEGO, too. Raises
        `AcceptorError`.

        :param spn: None for every key in ``keys.memory[None]``.
        """
        raw = self._raw
        mechanisms = [self.mechanism, self._spnego]
        # A Kerberos principal as it is: a host-based name would be looked up in DNS.
        name = raw.import_name(spn.encode(), self._principal) if spn else None
        try:
            if keys is KEYS_OF_GSSPROXY:
                acquired = raw.acquire_cred(name, mechs=mechanisms, usage="accept")
            else:
                store = {b"keytab": b"MEMORY:" + keys.memory[spn].name}
                acquired = raw.acquire_cred_from(
                    store, name, mechs=mechanisms, usage="accept"
                )
        except raw.GSSError:
            self.context()
            if keys is KEYS_OF_GSSPROXY:
                raise gssproxy_fault() from None
            raise keytab_fault(keys.keytab.path) from None
        raw.set_neg_mechs(acquired.creds, [self.mechanism])
        return acquired.creds

    def text_of(self, error: Any) -> str:
        """What krb5 says of an error."""
        texts = error.get_all_statuses(error.min_code, False) or [""]
        return str(texts[0]).rstrip("\0")  # gssproxy sends a text's end, too

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
        """In seconds since the epoch. Once for each context, which is of no more use
        then.

        Not the lifetime that GSSAPI tells, because krb5 adds the tolerated clock skew
        to that.
        """
        lucid = self._raw.krb5_export_lucid_sec_context(context, 1)
        return float(lucid.endtime)  # type: ignore[attr-defined]


@functools.cache
def library() -> Library:
    try:
        return Library()
    except ImportError as exc:
        raise ConfigurationError(
            "python-gssapi or krb5 is missing: pip install 'negotiate-wsgi[gssapi]' "
            "(they compile: apt-get install gcc python3-dev libkrb5-dev)"
        ) from exc


def _key(entry: Any) -> Key:
    key = entry.key
    mark = mark_of(bytes(key.data))
    return Key(str(entry.principal), entry.kvno, name_of_enctype(key.enctype), mark)


def _distinct(entries: Iterable[tuple[Key, Any]]) -> Iterator[Any]:
    """Those whose key no entry before them has, at most `_TRIED` of each encryption
    type.
    """
    seen: dict[str, set[int]] = {}
    for key, entry in entries:
        marks = seen.setdefault(key.enctype, set())
        if key.mark not in marks and len(marks) < _TRIED:
            marks.add(key.mark)
            yield entry
