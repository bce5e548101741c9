"""Does another site's page ask in the user's name?"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from negotiate_wsgi.exceptions import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}  # RFC 9110 section 9.2.1


@dataclass(frozen=True)
class Origins:
    """Whose pages may have the user's browser change something here.

    :param trusted: origins (RFC 6454) besides our own, such as ``https://portal.example.com``.
    """

    trusted: frozenset[str]

    @classmethod
    def of(cls, trusted: Collection[str]) -> Origins:
        """Validate the option. Raises `ConfigurationError`."""
        if isinstance(trusted, str):
            raise ConfigurationError(f"trusted_origins={trusted!r}: write a collection")
        for origin in trusted:
            if not isinstance(origin, str) or not re.fullmatch(r"\w+://[^/\s?#@]+", origin):
                raise ConfigurationError(
                    f"trusted_origins: {origin!r} is none; write 'https://portal.example.com'"
                )
        return cls(frozenset(map(str.lower, trusted)))

    def forbid(self, environ: WSGIEnvironment) -> bool:
        """Whether a page that is neither ours nor trusted sent a request with an unsafe method.

        Browsers say so, and no page can make them say otherwise: in ``Sec-Fetch-Site``, which
        they send over TLS and to localhost alone, and in ``Origin``. Other clients send neither,
        and no page speaks through them.
        """
        if environ["REQUEST_METHOD"] in _SAFE_METHODS:
            return False
        origin = environ.get("HTTP_ORIGIN", "").lower()
        if origin in self.trusted:
            return False
        # "same-site" is another host of our domain, and on an intranet that is everybody.
        if environ.get("HTTP_SEC_FETCH_SITE", "none").lower() not in ("none", "same-origin"):
            return True
        # The scheme is not compared: behind a proxy that ends TLS we may not know ours.
        return bool(origin) and origin.rpartition("://")[2] != environ.get("HTTP_HOST", "").lower()
