"""How is a store connected to? By valkey-py, with patience that ends."""

from __future__ import annotations

from typing import Any

import valkey
from valkey.sentinel import Sentinel, SentinelManagedConnection

from negotiate_wsgi.stores.patience import PatientSocket, left, waiting
from negotiate_wsgi.stores.valkey_url import Address

_VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
# What a new connection says of us would be two more answers to wait for.
_SILENT = {"lib_name": None, "lib_version": None}


class _Patient:
    """A connection of valkey-py, each wait of which ends with the patience of who asks:
    for each of a host's addresses, for the handshake, and for each answer.
    """

    def __init__(self, socket_timeout: float, **options: Any) -> None:
        self._timeout = socket_timeout
        super().__init__(socket_timeout=socket_timeout, **options)  # type: ignore[call-arg]

    @property
    def socket_timeout(self) -> float:
        return left(self._timeout)

    @socket_timeout.setter
    def socket_timeout(self, seconds: float) -> None:
        """As the constructors of valkey-py do."""

    socket_connect_timeout = socket_timeout

    def _connect(self) -> PatientSocket:
        with waiting():
            sock = super()._connect()  # type: ignore[misc]
        return PatientSocket(sock, self._timeout)


class _Tcp(_Patient, valkey.Connection):  # type: ignore[misc]
    pass


class _Tls(_Patient, valkey.SSLConnection):  # type: ignore[misc]
    pass


class _Unix(_Patient, valkey.UnixDomainSocketConnection):  # type: ignore[misc]
    pass


class _OfSentinel(_Patient, SentinelManagedConnection):  # type: ignore[misc]
    pass


class _OfSentinelByTls(_OfSentinel, valkey.SSLConnection):  # type: ignore[misc]
    pass


def open_client(address: Address, timeout: float) -> Any:
    """Of valkey-py. Each single wait takes *timeout* seconds at most; see `patience` for
    all of them.
    """
    options: dict[str, Any] = {
        **address.options,
        **_SILENT,
        "socket_timeout": timeout,
        "retry_on_timeout": False,
    }
    if address.is_tls:
        options |= _VERIFIED
    if address.service:
        return _master(address, options)
    kind: Any = _Unix
    if address.hosts:
        kind = _Tls if address.is_tls else _Tcp
        options |= dict(zip(("host", "port"), address.hosts[0], strict=True))
    pool = valkey.ConnectionPool(connection_class=kind, **options)
    return valkey.Valkey(connection_pool=pool)


def _master(address: Address, options: dict[str, Any]) -> Any:
    """What the sentinels at *address* lead to."""
    # So that one that hangs leaves time for the others.
    seconds = options["socket_timeout"] / len(address.hosts)
    of_sentinels = {**_SILENT, "socket_timeout": seconds, "ssl": address.is_tls}
    of_sentinels |= {k: v for k, v in options.items() if k.startswith("ssl_")}
    make: Any = Sentinel  # without types
    sentinel = make(address.hosts, sentinel_kwargs=of_sentinels, **options)
    for each in sentinel.sentinels:
        each.connection_pool.connection_class = _Tls if address.is_tls else _Tcp
    kind = _OfSentinelByTls if address.is_tls else _OfSentinel
    return sentinel.master_for(address.service, connection_class=kind)
