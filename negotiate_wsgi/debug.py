"""What has this browser just sent? A page for administrators, mounted like any app."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from negotiate_wsgi.doctor.explain import Explanation, explain
from negotiate_wsgi.request.environ import authorization_of, get_identity, get_refusal
from negotiate_wsgi.request.pages import frame
from negotiate_wsgi.whoami import facts_of, pac_of
from negotiate_wsgi.wire.authorization import CHALLENGE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Rows = list[tuple[str, str]]

_NOTHING = (
    "Your browser was asked for a ticket, together with this page, and has sent none. "
    "It may not trust this site for sign-on: Edge and Chrome on Windows trust the "
    "zone Local intranet, Chrome on other systems the policy AuthServerAllowlist, "
    "Firefox network.negotiate-auth.trusted-uris. Or there is no ticket on your "
    "computer: klist shows them. A new profile of Chrome needs a second try."
)


def debug_page(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    keytab: str | None = None,
    service: str = "HTTP",
) -> Iterable[bytes]:
    """A WSGI application that shows what this browser sent, and why it was refused.

        NegotiateMiddleware(debug_page, required=lambda environ: not
        is_an_admin_s(environ))

    Sign-on is not required for it, because a visitor who is refused would never see the
    page. But do not open it to everybody: it names the keytab's SPNs, kvnos and
    encryption types. No part of a token or a key is shown.

    :param keytab: what the ticket is compared with, as for `read_keytab`.
    :param service: of the acceptor.
    """
    authorization = authorization_of(environ)
    found = explain(authorization, keytab, service) if authorization else None
    title, rows = _conclusion(environ, found)
    if found:
        rows += found.facts
    page = frame(title, _table(rows + _request(environ, authorization)))
    page.headers["Cache-Control"] = "no-store"
    if not found and not get_identity(environ):
        page.status_code = 401
        page.headers["WWW-Authenticate"] = CHALLENGE
    return page(environ, start_response)


def _conclusion(
    environ: WSGIEnvironment, found: Explanation | None
) -> tuple[str, Rows]:
    """What the middleware said, or where there is no middleware, what can be read."""
    if get_identity(environ):
        return "Signed on", [*facts_of(environ), *pac_of(environ)]
    refusal = get_refusal(environ)
    if refusal and found:
        found = Explanation(found.kind, refusal=refusal)
    if not found:
        return "Nothing was sent", [("why", _NOTHING)]
    return ("Refused" if found.refusal else "Not judged"), found.conclusion


def _request(environ: WSGIEnvironment, authorization: str) -> Rows:
    host = environ.get("HTTP_HOST", "")
    if _is_address(host):
        host += " (an address: there are no tickets for addresses)"
    rows = [
        ("host", host),
        ("over", environ["wsgi.url_scheme"]),
        (
            "header",
            f"Authorization, {len(authorization)} bytes" if authorization else "none",
        ),
        ("client", environ.get("REMOTE_ADDR", "")),
        ("browser", environ.get("HTTP_USER_AGENT", "")),
    ]
    return [(label, text) for label, text in rows if text]


def _is_address(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _table(rows: Rows) -> str:
    cells = (
        f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>\n" for label, text in rows
    )
    return f"<dl>\n{''.join(cells)}</dl>\n"
