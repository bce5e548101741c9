"""Where is the store, and what may its URL say?"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from negotiate_wsgi.exceptions import ConfigurationError

_PORT = 6379
_SENTINEL_PORT = 26379
_TCP = ("valkey", "redis")
_TLS = ("valkeys", "rediss")
_OF_SENTINEL = "+sentinel"
_EXAMPLE = "write a URL such as 'valkeys://host:6379/0'"

#: Options of valkey-py that a URL may have, for TLS the second line.
_OPTIONS = {"username", "password", "db", "client_name"}
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
#: What a URL may say, but not change.
_FIXED = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


@dataclass(frozen=True)
class Address:
    """What a URL says.

    :param shown: the URL without user and password, for logs.
    :param options: for a connection of valkey-py.
    :param hosts: of the store, or of its sentinels; none of a Unix socket.
    :param service: the name by which sentinels know the store, or None.
    :param is_tls: whether connections are encrypted, and certificates verified.
    """

    shown: str
    options: dict[str, Any] = field(repr=False)
    hosts: tuple[tuple[str, int], ...] = ()
    service: str | None = None
    is_tls: bool = False

    @property
    def is_in_clear(self) -> bool:
        """Whether others on the way can read and change what is said."""
        return not self.is_tls and not all(map(_is_loopback, self.hosts))


def read_url(url: str) -> Address | str:
    """What *url* says; or what is wrong with it, without its password."""
    try:
        return _read(url)
    except ConfigurationError as problem:
        return str(problem)
    except (AttributeError, TypeError, ValueError):
        return f"it cannot be read: {_EXAMPLE}"


def _read(url: str) -> Address:
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix(_OF_SENTINEL)
    is_sentinel = scheme != parts.scheme
    if scheme not in (*_TCP, *_TLS, "unix") or (is_sentinel and scheme == "unix"):
        raise ConfigurationError(f"it begins with no scheme that is known: {_EXAMPLE}")
    is_tls = scheme in _TLS
    options = _options(parts.query, is_tls)
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            options[name] = unquote(value)
    if scheme == "unix":
        return _unix_socket(parts, options)
    hosts = _hosts(parts, _SENTINEL_PORT if is_sentinel else _PORT)
    segments = [unquote(segment) for segment in parts.path.split("/")[1:]]
    service = None
    if is_sentinel:
        service = segments.pop(0) if segments else ""
        if not service:
            raise ConfigurationError(
                "sentinels need the store's name: write "
                "valkey+sentinel://host1:26379,host2:26379/NAME/0"
            )
    elif len(hosts) > 1:
        raise ConfigurationError(f"it names several hosts: {_EXAMPLE}")
    if segments and segments != [""]:
        options["db"] = "/".join(segments)
    db = _read_db(options)
    where = ",".join(_host_in_words(*host) for host in hosts)
    path = f"/{service}/{db}" if service else f"/{db}"
    return Address(f"{parts.scheme}://{where}{path}", options, hosts, service, is_tls)


def _unix_socket(parts: SplitResult, options: dict[str, Any]) -> Address:
    options["path"] = unquote(parts.path)
    if not options["path"]:
        raise ConfigurationError("a Unix socket is missing: write unix:///path?db=0")
    _read_db(options)
    return Address(f"unix://{options['path']}", options)


def _options(query: str, is_tls: bool) -> dict[str, Any]:
    """The options behind the question mark, of which none weakens what we promise."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _FIXED:
            if value.lower() != _FIXED[name]:
                raise ConfigurationError(
                    f"{name}: certificates and their names are always verified. For a "
                    "certificate of your own write ssl_ca_certs=/path/ca.pem"
                )
        elif name in _OPTIONS or (is_tls and name in _TLS_OPTIONS):
            options[name] = value
        elif "timeout" in name or "retry" in name:
            raise ConfigurationError(f"{name} has no place in it: write timeout=")
        else:
            known = sorted(_OPTIONS | _TLS_OPTIONS)
            raise ConfigurationError(
                f"it has an option that is none of {', '.join(known)} (those that begin "
                "with ssl_ need a scheme of TLS)"
            )
    return options


def _hosts(parts: SplitResult, port: int) -> tuple[tuple[str, int], ...]:
    hosts = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{text}")
        hosts.append((one.hostname or "localhost", one.port or port))
    return tuple(hosts)


def _read_db(options: dict[str, Any]) -> int:
    db = options.get("db", "0")
    if not db.isascii() or not db.isdigit():
        raise ConfigurationError("its database is not a number: write one, such as /0")
    options["db"] = int(db)
    return int(db)


def _host_in_words(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(address: tuple[str, int]) -> bool:
    host = address[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
