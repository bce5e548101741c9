"""Whose key is it? In Active Directory, keys belong to accounts, which have SPNs."""

from __future__ import annotations

from collections.abc import Iterable

from negotiate_wsgi.wire.keytab import Key, Keytab


def account_of(spn: str, keytab: Keytab) -> str | None:
    """The name of the account that *spn* belongs to, as far as *keytab* shows it."""
    sharing = accounts(keytab.shared_with(spn))
    if sharing:
        return without_realm(sharing[0])
    every = {without_realm(principal) for principal in accounts(keytab.keys)}
    return every.pop() if len(every) == 1 else None


def client_of(spn: str, keytab: Keytab) -> str | None:
    """The principal of the account whose newest key in *keytab* *spn* has, too."""
    own = {key.mark for key in _newest(spn, keytab)}
    for principal in accounts(keytab.keys):
        if own & {key.mark for key in _newest(principal, keytab)}:
            return principal
    return None


def accounts(keys: Iterable[Key]) -> list[str]:
    """The principals of accounts among those of *keys*, in order: they are no SPNs."""
    names = dict.fromkeys(key.principal for key in keys)
    return [name for name in names if "/" not in without_realm(name)]


def _newest(principal: str, keytab: Keytab) -> list[Key]:
    keys = keytab.of(principal)
    newest = max((key.kvno for key in keys), default=0)
    return [key for key in keys if key.kvno == newest]


def without_realm(principal: str) -> str:
    """``HTTP/www.example.com`` of ``HTTP/www.example.com@EXAMPLE.COM``."""
    return principal.rpartition("@")[0] or principal
