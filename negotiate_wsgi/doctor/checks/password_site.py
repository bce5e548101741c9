"""Does the server ask for passwords over TLS, and nowhere else? No password is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from negotiate_wsgi.doctor.finding import Finding, check, ok, problem
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.site import Answer, Site
from negotiate_wsgi.reasons import Reason

# A user name and a password that are empty: we refuse them without asking the KDC.
_EMPTY = "Basic Og=="
_TELL_OF_TLS = (
    "Let the proxy send X-Forwarded-Proto, and the server believe it (gunicorn: "
    "forwarded_allow_ips), or put ProxyFix around the middleware."
)
_PROTO = "proxy_set_header X-Forwarded-Proto $scheme;"
_TO_HTTPS = "return 301 https://$host$request_uri;"


@check("NW033", "TLS for passwords")
def site(setup: Setup) -> Iterator[Finding]:
    """With --passwords and --url: passwords are asked for over https, and never over http.

    Where none is asked for over https, an empty one is sent, which no KDC sees: the
    answer tells whether the server knows of TLS.
    """
    if setup.passwords is None:
        return
    if setup.url is None:
        yield ok("not looked at: --url names no page")
        return
    if not setup.stranger.status:
        return  # another check has told
    if urlsplit(setup.url).scheme == "https":
        yield _over_tls(setup, setup.passwords)
        yield from _beside_it(setup.url)
    else:
        yield _in_clear(setup.url, setup.stranger)


def _over_tls(setup: Setup, realm: str) -> Finding:
    asked = _realms_asked_for(setup.stranger)
    if realm in asked:
        return ok(f"passwords of {realm} are asked for over https")
    if asked:
        return problem(
            f"Passwords of {', '.join(asked)} are asked for, and not of {realm}.",
            "Name the same realm to the doctor and to PasswordSignOn, and let only one "
            "layer ask.",
        )
    reason = setup.site.ask(_EMPTY).reason
    if reason is Reason.PASSWORD_OVER_HTTP:
        return problem(
            "The server does not know that there is TLS in front of it, and so takes no "
            "password.",
            _TELL_OF_TLS,
            _PROTO,
        )
    if reason is Reason.PASSWORD_REFUSED:
        return problem(
            f"{setup.stranger.status}, which does not ask for a password, though one is "
            "looked at.",
            "Give the URL of a page that needs sign-on, or let the proxy pass on each "
            "WWW-Authenticate.",
        )
    return problem(
        f"{setup.stranger.status}, which does not ask for a password.",
        "Give passwords=PasswordSignOn(...) to the middleware, or the URL of a page that "
        "needs sign-on.",
    )


def _beside_it(url: str) -> Iterator[Finding]:
    """The same page without TLS, on the port where people look for it."""
    parts = urlsplit(url)
    if parts.port not in (None, 443):
        return
    twin = urlunsplit(("http", parts.hostname or "", parts.path, parts.query, ""))
    try:
        _, answer = Site.of(twin)
    except (OSError, ValueError):
        yield ok(f"nothing answers at {twin}")
        return
    yield _in_clear(twin, answer, is_beside=True)


def _in_clear(url: str, answer: Answer, is_beside: bool = False) -> Finding:
    asked = _realms_asked_for(answer)
    if asked:
        return problem(
            f"Passwords of {', '.join(asked)} are asked for over http ({url}): whoever "
            "can read the connection gets them.",
            "Let http lead to https, and let only the proxy's TLS say that it is https.",
            _TO_HTTPS,
        )
    [leads_to] = answer.all("location")[:1] or [""]
    if leads_to.startswith("https:"):
        return ok(f"{url} leads to {leads_to}")
    if is_beside:
        return ok(f"{url} does not ask for a password")
    return problem(
        "The URL is one of http, over which no password is taken.",
        "Put TLS in front, and give the URL of https.",
    )


def _realms_asked_for(answer: Answer) -> list[str]:
    """The realms of the challenges of Basic (RFC 7617 section 2)."""
    values = ", ".join(answer.all("www-authenticate"))
    return re.findall(r'(?:^|,)\s*Basic\s+realm="?([^",]*)', values, re.IGNORECASE)
