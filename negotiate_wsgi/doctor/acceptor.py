"""Which acceptor does the site use? The one it names, made as the settings make it."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from importlib import metadata

from negotiate_wsgi.acceptors.protocol import Acceptor
from negotiate_wsgi.acceptors.target import KeytabAcceptor
from negotiate_wsgi.exceptions import ConfigurationError


def open_acceptor(
    name: str,
    service: str,
    hostname: str | Collection[str] | None,
    keytab: str | None,
    active_directory: bool = False,
) -> Acceptor:
    """The acceptor *name*: ``pykerberos``, ``gssapi`` or ``package.module:name``.

    The other arguments are those of the first two, the last one that of ``gssapi``
    alone. Raises `ConfigurationError`.
    """
    if name == "pykerberos":
        if active_directory:
            raise ConfigurationError(
                "active_directory needs gssapi: pykerberos shows no PAC"
            )
        from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

        return PykerberosAcceptor(service, hostname, keytab)
    if name == "gssapi":
        from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor

        return GssapiAcceptor(
            service, hostname, keytab, active_directory=active_directory
        )
    return _named(name)


def _named(name: str) -> Acceptor:
    if ":" not in name:
        raise ConfigurationError(
            f"acceptor {name!r}: write pykerberos, gssapi or package.module:name"
        )
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError(
            f"the acceptor {name} cannot be imported ({exc}): let PYTHONPATH name its "
            "directory, as it does for the server"
        ) from exc
    if isinstance(found, type) or not callable(getattr(found, "accept", None)):
        raise ConfigurationError(
            f"{name} is not an acceptor: it is {type(found).__name__}"
        )
    acceptor: Acceptor = found
    return acceptor


def tries_every_key(acceptor: Acceptor) -> bool:
    """Whether each token is tried with every key: pykerberos leaves no choice."""
    return any(kind.__name__ == "PykerberosAcceptor" for kind in type(acceptor).__mro__)


def wants_pac(acceptor: Acceptor) -> bool:
    """Whether it lets nobody in whose ticket has no PAC."""
    return isinstance(acceptor, KeytabAcceptor) and acceptor.attributes.active_directory


def certificate_of(acceptor: Acceptor) -> str | None:
    """The path of the certificate that it wants tokens to be bound to, if any."""
    if isinstance(acceptor, KeytabAcceptor) and acceptor.channel_bindings:
        return acceptor.channel_bindings.path
    return None


def is_accepted(acceptor: Acceptor, spn: str) -> bool:
    """Whether it accepts tickets for *spn*, as far as it says so itself."""
    return not isinstance(acceptor, KeytabAcceptor) or acceptor.target.admits(spn)


def version_of(package: str) -> str | None:
    """The version of *package* that is installed, None if none is."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
