"""Which keys has the acceptor? What a keytab says of them, and never the keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.reasons import Reason

try:
    import krb5
except ImportError as exc:
    raise ConfigurationError(
        "pyspnego with Kerberos is missing: pip install 'negotiate-wsgi[doctor]'"
    ) from exc


@dataclass(frozen=True)
class Key:
    """One entry of a keytab.

    :param principal: ``HTTP/www.example.com@EXAMPLE.COM``.
    :param kvno: the key version number (RFC 4120 section 5.2.9).
    :param enctype: the encryption type, in the notation of RFC 3961 (``aes256-cts-hmac-sha1-96``).
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
    """A keytab as it is now: its full name (``FILE:/etc/krb5.keytab``) and its entries, in order."""

    name: str
    keys: tuple[Key, ...]

    @property
    def path(self) -> str:
        """The file's path."""
        return self.name.partition(":")[2]

    def of(self, principal: str) -> tuple[Key, ...]:
        """The keys of *principal*, compared to the letter."""
        return tuple(key for key in self.keys if key.principal == principal)

    def alike(self, principal: str) -> tuple[str, ...]:
        """Principals that differ from *principal* in case or realm alone."""
        wanted = principal.rpartition("@")[0].lower()
        alike = {k.principal for k in self.keys if k.principal.rpartition("@")[0].lower() == wanted}
        return tuple(sorted(alike - {principal}))

    def in_words(self, principal: str) -> list[str]:
        """The keys of *principal*, or if there are none some of the others: a line for each kvno."""
        kvnos: dict[str, list[str]] = {}
        for key in self.of(principal) or self.keys:
            kvnos.setdefault(f"{key.principal} kvno {key.kvno}", []).append(key.enctype)
        lines = [f"{who} {', '.join(enctypes)}" for who, enctypes in kvnos.items()]
        return [*lines[:8], *(f"and {len(more)} more" for more in [lines[8:]] if more)]


def name_of_keytab(name: str | None = None) -> str:
    """The full name of the keytab *name*, or that of ``KRB5_KTNAME``, or krb5's default.

    Raises `AcceptorError` (``krb5-conf-unusable``) where krb5.conf cannot be read.
    """
    try:
        name = name or krb5.kt_default_name(krb5.init_context()).decode(errors="replace")
    except krb5.Krb5Error as problem:
        raise AcceptorError(Reason.KRB5_CONF_UNUSABLE, str(problem)) from problem
    return name if re.match(r"[A-Za-z]+:", name) else f"FILE:{name}"


def read_keytab(name: str | None = None) -> Keytab:
    """Read a keytab, named as in `name_of_keytab`.

    Raises `AcceptorError` (``keytab-unusable``) where it is missing, unreadable, empty or damaged,
    or as `name_of_keytab` does.
    """
    full_name = name_of_keytab(name)
    try:
        context = krb5.init_context()
        keytab = krb5.kt_resolve(context, full_name.encode())
        keys = tuple(
            Key(
                str(entry.principal),
                entry.kvno,
                name_of_enctype(entry.key.enctype),
                hash(bytes(entry.key.data)),
            )
            for entry in keytab
        )
    except krb5.Krb5Error as problem:
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, f"{full_name}: {problem}") from problem
    if not keys:
        raise AcceptorError(Reason.KEYTAB_UNUSABLE, f"{full_name}: no keys in it")
    return Keytab(full_name, keys)


def name_of_enctype(number: int) -> str:
    """``aes256-cts-hmac-sha1-96`` for 18; the number itself where krb5 does not know it."""
    try:
        return krb5.enctype_to_name(number)
    except ValueError:
        return f"enctype {number}"
