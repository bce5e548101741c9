"""Does another site's page ask in the user's name?"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.reasons import Reason, Refusal

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

    def objection(self, environ: WSGIEnvironment) -> Refusal | None:
        """A refusal if a page that is neither ours nor trusted sent this with an unsafe method.

        Browsers say so, and no page can make them say otherwise: in ``Sec-Fetch-Site``, which
        they send over TLS and to localhost alone, and in ``Origin``. Other clients send neither,
        and no page speaks through them.
        """
        if environ["REQUEST_METHOD"] in _SAFE_METHODS:
            return None
        origin = environ.get("HTTP_ORIGIN", "").lower()
        site = environ.get("HTTP_SEC_FETCH_SITE", "none").lower()
        if origin in self.trusted:
            return None
        # "same-site" is another host of our domain, and on an intranet that is everybody. Schemes
        # are not compared: behind a proxy that ends TLS we may not know ours.
        is_ours = not origin or origin.rpartition("://")[2] == environ.get("HTTP_HOST", "").lower()
        if is_ours and site in ("none", "same-origin"):
            return None
        return Refusal(Reason.CROSS_SITE, f"Origin: {origin or 'none'}, Sec-Fetch-Site: {site}")
