"""What is asked of python-gssapi and krb5, which need not be installed for the package
to be.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import sys
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

# Keys of one encryption type that are tried beside those that a ticket names.
_SEVERAL = 64
_FEW = 8
# Characters of a text of the library's: an SPN as long as a token may stand in it.
_TEXT = 2000
_NEEDED = (
    "acquire_cred_from",
    "get_name_attribute",
    "krb5_export_lucid_sec_context",
    "set_neg_mechs",
)
_CHANNEL_BOUND = 0x800  # GSS_C_CHANNEL_BOUND_FLAG of gssapi_ext.h
_numbers = itertools.count()


@dataclass(frozen=True)
class Keys:
    """The keys of one version of a keytab, in keytabs in memory, which have these names.

    :param keytab: what they were read from.
    :param version: another object for each version.
    :param of_spn: for each SPN of ours, a keytab with its keys alone.
    :param several: distinct keys, ours first: for a ticket that names none of ours.
    :param few: the first of these: for a ticket that names one of ours that does not fit.
    :param entries: the keytab's for each SPN of ours.
    :param handles: keep the keytabs alive.
    """

    keytab: Keytab
    version: tuple[object, ...]
    of_spn: dict[str, bytes] = field(default_factory=dict)
    several: bytes = b""
    few: bytes = b""
    entries: dict[str, tuple[Any, ...]] = field(default_factory=dict, repr=False)
    handles: list[Any] = field(default_factory=list, repr=False)

    def current(self) -> Keytab:
        """What they were read from."""
        return self.keytab


#: Where gssproxy accepts for us: no key is ours to read.
KEYS_OF_GSSPROXY = Keys(KEYTAB_OF_GSSPROXY, ("gssproxy",))


class Library:
    """MIT's libraries, by way of two packages."""

    def __init__(self) -> None:
        import krb5
        from gssapi import OID, NameType, raw

        if not all(hasattr(raw, name) for name in _NEEDED):
            raise ConfigurationError(
                "python-gssapi was built with a GSSAPI library other than MIT's, such as "
                "Heimdal's: MIT krb5 is needed (apt-get install libkrb5-dev, then "
                "pip install --force-reinstall --no-binary :all: gssapi)"
            )
        self._krb5 = krb5
        self._raw = raw
        self._principal = NameType.kerberos_principal
        #: The path of a shared object that uses libkrb5.
        self.binding = str(raw.names.__file__)
        self.mechanism = OID.from_int_seq("1.2.840.113554.1.2.2")  # RFC 4121 section 1
        # GSS_KRB5_EXTRACT_AUTHTIME_FROM_SEC_CONTEXT_OID of MIT's gssapiP_krb5.h
        self._authtime = OID.from_int_seq("1.2.840.113554.1.2.2.5.12")
        self._spnego = OID.from_int_seq("1.3.6.1.5.5.2")  # RFC 4178 section 3
        self.GSSError = raw.GSSError
        self.accept = raw.accept_sec_context
        # libkrb5 shares a parsed krb5.conf only while some context lives, and each
        # accept makes and frees its own. A changed file is still seen by the next
        # accept.
        self._pinned: Any = None
        with contextlib.suppress(krb5.Krb5Error):  # Each token tells of that.
            self._pinned = krb5.init_context()

    def default_keytab(self) -> str:
        return str(self._krb5.kt_default_name(self.context()).decode())

    def context(self) -> Any:
        """One's own: no two threads may use one at a time. Raises `AcceptorError`."""
        try:
            context = self._krb5.init_context()
            if self._pinned is None:  # It was damaged when the process started.
                self._pinned = self._krb5.init_context()
        except self._krb5.Krb5Error:
            raise krb5_conf_fault() from None
        return context

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
        by_spn: dict[str, list[Any]] = {}
        for key, entry in ours:
            by_spn.setdefault(key.principal, []).append(entry)
        handles: list[Any] = []
        put = functools.partial(self._put_in_memory, context, handles)
        return Keys(
            keytab,
            version,
            of_spn={spn: put(found) for spn, found in by_spn.items()},
            several=put(_distinct(_SEVERAL, [*ours, *others])),
            few=put(_distinct(_FEW, [*ours, *others])),
            entries={spn: tuple(found) for spn, found in by_spn.items()},
            handles=handles,
        )

    def _put_in_memory(
        self, context: Any, handles: list[Any], entries: Iterable[Any]
    ) -> bytes:
        name = b"MEMORY:negotiate-wsgi-%d" % next(_numbers)
        memory = self._krb5.kt_resolve(context, name)
        for entry in entries:
            self._krb5.kt_add_entry(
                context, memory, entry.principal, entry.kvno, entry.timestamp, entry.key
            )
        handles.append(memory)
        return name

    def accept_bound(self, token: bytes, credential: Any, binding: bytes) -> Any:
        """The same as `accept`, where a client's channel binding has to be *binding*."""
        bindings = self._raw.ChannelBindings(application_data=binding)
        return self.accept(token, credential, channel_bindings=bindings)

    def credential(
        self, keys: Keys, memory: bytes, spn: str | None, is_for_a_replay: bool = False
    ) -> Any:
        """To accept with, for Kerberos alone, in SPNEGO, too. Raises `AcceptorError`.

        :param memory: the name of one of the keytabs in *keys*.
        :param spn: whose key in it is to be tried; None for each.
        :param is_for_a_replay: whether the replay cache is left alone.
        """
        raw = self._raw
        # A Kerberos principal as it is: a host-based name would be looked up in DNS.
        name = raw.import_name(spn.encode(), self._principal) if spn else None
        mechanisms = [self.mechanism, self._spnego]
        try:
            if keys is KEYS_OF_GSSPROXY:
                acquired = raw.acquire_cred(None, mechs=mechanisms, usage="accept")
            else:
                store = {b"keytab": memory}
                if is_for_a_replay:
                    store[b"rcache"] = b"none:"
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
        text = str(texts[0]).rstrip("\0")  # gssproxy sends a text's end, too
        if len(text) > _TEXT:
            text = f"{text[: _TEXT // 2]}…{text[-_TEXT // 2 :]}"
        return text

    def name(self, name: Any) -> str:
        return str(self._raw.display_name(name, name_type=False).name.decode())

    def attribute(self, name: Any, urn: bytes) -> list[bytes]:
        """The values of an attribute of *name* (RFC 6680) that the library calls
        verified.

        It says in one way that there is none, and that its signature is not good. Of a
        PAC, krb5 1.21 says that it is good whatever it is: see `Opened.pac`.
        """
        try:
            found = self._raw.get_name_attribute(name, urn)
        except self._raw.GSSError:
            return []
        return list(found.values) if found.authenticated else []

    def authtime(self, context: Any) -> int:
        """When the initiator signed on at the KDC, in seconds since the epoch. Before
        `end_of_ticket`. 0 where gssproxy has the context, and does not tell.
        """
        try:
            found = self._raw.inquire_sec_context_by_oid(context, self._authtime)
        except self._raw.GSSError:
            return 0
        return int.from_bytes(found[0], sys.byteorder)  # until 2106

    def is_bound(self, result: Any) -> bool:
        """Whether the client sent channel bindings, which were ours (krb5 1.19)."""
        return bool(int(result.flags) & _CHANNEL_BOUND)

    def target(self, context: Any) -> str:
        """The SPN of the key that opened the ticket."""
        asked = self._raw.inquire_context(
            context, initiator_name=False, target_name=True, lifetime=False, mech=False,
            flags=False, locally_init=False, complete=False,
        )  # fmt: skip
        return self.name(asked.target_name)

    def end_of_ticket(self, context: Any) -> float:
        """In seconds since the epoch. Once for each context, which is used up then.

        Not GSSAPI's lifetime, to which krb5 adds the tolerated clock skew. Infinite
        where gssproxy has the context, and does not tell.
        """
        try:
            lucid = self._raw.krb5_export_lucid_sec_context(context, 1)
        except self._raw.GSSError:
            return math.inf
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


def _distinct(limit: int, entries: Iterable[tuple[Key, Any]]) -> Iterator[Any]:
    """Those whose key no entry before them has, *limit* of each encryption type."""
    seen: dict[str, set[int]] = {}
    for key, entry in entries:
        marks = seen.setdefault(key.enctype, set())
        if key.mark not in marks and len(marks) < limit:
            marks.add(key.mark)
            yield entry
