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
_LOOKED_AT = 300  # characters: a scheme, a host name of at most 253 (RFC 1035), a port
#: RFC 6454 section 6.2: no default port, and names outside of ASCII as IDNA has them.
_ORIGIN = re.compile(
    r"(?!https://[^/]*:443$|http://[^/]*:80$)[A-Za-z][A-Za-z0-9+.-]*://[!-~]+"
)
_ORIGIN_OF_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*")


@dataclass(frozen=True)
class Origins:
    """Whose pages may have the user's browser change something here.

    :param trusted: origins (RFC 6454) besides our own, such as
        ``https://portal.example.com``.
    """

    trusted: frozenset[str]

    @classmethod
    def of(cls, trusted: Collection[str]) -> Origins:
        """Validate the option. Raises `ConfigurationError`."""
        if isinstance(trusted, str):
            raise ConfigurationError(f"trusted_origins={trusted!r}: write a collection")
        origins = list(trusted)
        for origin in origins:
            if not isinstance(origin, str) or not _is_an_origin(origin):
                raise ConfigurationError(
                    f"trusted_origins: {origin!r} is not an origin such as "
                    "'https://portal.example.com'; write scheme, host "
                    "and a port that is not the scheme's own, as browsers do"
                )
        return cls(frozenset(map(str.lower, origins)))

    def objection(self, environ: WSGIEnvironment) -> Refusal | None:
        """A refusal if a page that is neither ours nor trusted asks for more than to
        see.

        Browsers say whose page asks, and no page can make them say otherwise: in
        ``Sec-Fetch-Site``, which they send over TLS and to localhost alone, in
        ``Origin`` and in ``Referer``. Other clients send none of them, and no page
        speaks through them.
        """
        is_safe = environ["REQUEST_METHOD"] in _SAFE_METHODS
        if is_safe and (
            "HTTP_UPGRADE" not in environ or not _opens_a_websocket(environ)
        ):
            return None
        site = _site_of(environ)
        if site == "same-origin":
            return None  # whatever a proxy has made of Host
        origin = _origin_of(environ)
        if origin in self.trusted:
            return None
        # "same-site" is another host of our domain, and on an intranet that is
        # everybody.
        if site in ("", "none") and _is_ours(origin, environ):
            return None
        return _cross_site(origin, site)


def objection_to_a_form(environ: WSGIEnvironment) -> Refusal | None:
    """A refusal of what was typed into another site's page.

    Stricter than for other requests: somebody who is made to sign on as the attacker
    would go on to tell secrets to the attacker's account. A client that does not say
    whose page it is has no page of ours.
    """
    site = _site_of(environ)
    if site == "same-origin":
        return None
    origin = environ.get("HTTP_ORIGIN", "")[:_LOOKED_AT].lower()
    if not site and origin == f"{environ['wsgi.url_scheme']}://{_host_of(environ)}":
        return None
    return _cross_site(origin, site)


def _cross_site(origin: str, site: str) -> Refusal:
    detail = f"Origin: {origin or 'none'}, Sec-Fetch-Site: {site or 'none'}"
    return Refusal(Reason.CROSS_SITE, detail)


def _is_an_origin(text: str) -> bool:
    host = text.partition("://")[2]
    return bool(_ORIGIN.fullmatch(text)) and not set("/?#@") & set(host)


def _opens_a_websocket(environ: WSGIEnvironment) -> bool:
    """RFC 6455 section 4.1: a GET, which any page may have a browser send, with
    cookies.
    """
    return "websocket" in environ["HTTP_UPGRADE"][:_LOOKED_AT].lower()


def _site_of(environ: WSGIEnvironment) -> str:
    """How near the page that asks is to us; empty where the client does not say."""
    return str(environ.get("HTTP_SEC_FETCH_SITE", "")[:_LOOKED_AT].lower())


def _host_of(environ: WSGIEnvironment) -> str:
    return str(environ.get("HTTP_HOST", "")[:_LOOKED_AT].lower())


def _origin_of(environ: WSGIEnvironment) -> str:
    """The origin of the page that asks; empty where the client names none."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        return str(origin[:_LOOKED_AT].lower())
    referer: str = environ.get("HTTP_REFERER", "")[:_LOOKED_AT].lower()
    found = _ORIGIN_OF_URL.match(referer)
    if found:
        return found[0]
    return referer


def _is_ours(origin: str, environ: WSGIEnvironment) -> bool:
    """Schemes are not compared: behind a proxy that ends TLS we may not know ours."""
    return not origin or origin.partition("://")[2] == _host_of(environ)
