"""What does the page say? To a person cause and advice, to a program the reason."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.request.advice import advice_on
from negotiate_wsgi.request.environ import is_chromium, request_id
from negotiate_wsgi.wire.accept import preferred_type
from negotiate_wsgi.wire.cookies import cookie_values

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from negotiate_wsgi.request.form_page import FormPage

    Headers = list[tuple[str, str]]

_HTML = "text/html"
_XHTML = "application/xhtml+xml"
_JSON = "application/json"
_TEXT = "text/plain"
_TYPES = (_HTML, _XHTML, _JSON, _TEXT)

_HOST = re.compile(r"([A-Za-z0-9.-]{1,253})(?::\d{1,5})?")
_RETRY = "negotiate-retry"

_TITLES = {
    401: "Sign-on failed",
    403: "You may not come in here",
    429: "Too many attempts",
    500: "Sign-on is out of order",
    503: "Sign-on is out of order for the moment",
}
_BROWSERS = """<dl>
<dt>Firefox</dt>
<dd>Open <code>about:config</code>, and add <code>{host}</code> to
<code>network.negotiate-auth.trusted-uris</code>.</dd>
<dt>Chrome</dt>
<dd>On Windows, open Internet Options, Security, and add <code>{host}</code> to the
sites of the zone Local intranet. Elsewhere, set the policy
<code>AuthServerAllowlist</code> to <code>{host}</code>.</dd>
<dt>Edge</dt>
<dd>The same as for Chrome.</dd>
</dl>
"""
_TRY_AGAIN = '<p><a href="">Try again</a></p>\n'
_RELOAD = '<meta http-equiv="refresh" content="0">\n'
_CONTENT = """<p>{cause}</p>
<p>{advice}</p>
{more}"""
_ABOUT = """<p class="fine">Status {status}, reason <code>{reason}</code>,
request <code>{request_id}</code></p>
"""
_CSS = """\
:root { color-scheme: light dark; --wall: #eef2f6; --card: #fff; --ink: #1c2733;
  --fine: #4c5a68; --line: #d5dde6; --focus: #1f6feb; --alert: #b42318 }
@media (prefers-color-scheme: dark) {
  :root { --wall: #12181f; --card: #1d2630; --ink: #e8edf2;
    --fine: #a9b6c3; --line: #35424f; --focus: #79b8ff; --alert: #ff8a80 }
}
body { margin: 0; padding: 12vh 1rem; background: var(--wall); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif }
main { max-width: 36rem; margin: auto; padding: 2rem 2.2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .8rem }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2 }
a { display: inline-block; padding: .5rem 1.3rem; border-radius: .4rem;
  background: var(--ink); color: var(--card); text-decoration: none }
code { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere }
label { display: block; font-weight: 600 }
input { box-sizing: border-box; width: 100%; padding: .5rem .6rem; font: inherit;
  color: inherit; background: var(--card); border: 1px solid var(--fine);
  border-radius: .4rem }
button { padding: .5rem 1.3rem; border: 0; border-radius: .4rem; font: inherit;
  background: var(--ink); color: var(--card); cursor: pointer }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px }
[role=alert] { padding: .6rem .8rem; border-left: .3rem solid var(--alert);
  background: var(--wall) }
summary { cursor: pointer }
.fine { color: var(--fine); font-size: .85rem }
input + .fine { display: block; margin-top: .3rem }
main > :last-child, main > :last-child > :last-child { margin-bottom: 0 }
@media (max-width: 32rem) {
  body { padding: 1rem .6rem }
  main { padding: 1.2rem }
  dl { display: block }
  dd { margin-bottom: .8rem }
}
"""
_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{head}<title>{title}</title>
<style>
{css}</style>
<main>
<h1>{title}</h1>
{content}</main>
</html>
"""
_CSP = ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
_OF_THE_FORM = (
    (_CSP[0], _CSP[1] + "; form-action 'self'; frame-ancestors 'none'"),
    # With "no-referrer", browsers send "Origin: null" with a form.
    ("Referrer-Policy", "same-origin"),
)


def accepts_html(environ: WSGIEnvironment) -> bool:
    """Whether a page for a person is what the client likes best."""
    return _kind_for(environ) in (_HTML, _XHTML)


def page_for(
    reason: Reason, environ: WSGIEnvironment, form: FormPage | None = None
) -> tuple[Headers, bytes]:
    """The headers and body that tell of *reason*, in the type that the client likes best.

    *form* is the one to sign in by, where there is one.
    """
    kind = _kind_for(environ)
    headers: Headers = []
    if kind == _JSON:
        text = json.dumps({"reason": str(reason), "message": reason.cause}) + "\n"
    elif kind == _TEXT:
        kind = "text/plain; charset=utf-8"
        text = f"{_title(reason)}: {reason.cause} ({reason})\n"
    else:
        kind = "text/html; charset=utf-8"
        text, headers = _html(reason, environ, form)
    body = text.encode()
    headers.append(("Content-Type", kind))
    headers.append(("Content-Length", str(len(body))))
    return headers, body


def _kind_for(environ: WSGIEnvironment) -> str:
    return preferred_type(environ.get("HTTP_ACCEPT", ""), _TYPES, _TEXT)


def frame(title: str, content: str) -> Response:
    """A page in our looks, without scripts. *content* is HTML, *title* is text."""
    return Response(_framed(title, content), mimetype=_HTML, headers=[_CSP])


def _framed(title: str, content: str, head: str = "") -> str:
    return _FRAME.format(title=escape(title), content=content, head=head, css=_CSS)


def _title(reason: Reason) -> str:
    if reason is Reason.NO_CREDENTIALS:
        return "Sign-on needed"
    return _TITLES[reason.status]


def _html(
    reason: Reason, environ: WSGIEnvironment, form: FormPage | None
) -> tuple[str, Headers]:
    """A page for a person, and the headers that go with it."""
    headers = [_CSP]
    if form:
        headers = [*_OF_THE_FORM]
    head = ""
    if _helps_to_reload(reason, environ):
        headers.append(("Set-Cookie", _retry_cookie(environ)))
        head = _RELOAD
        # Who has a ticket is in after that, and nobody else has seen the form yet.
        form = None
    advice = advice_on(reason)
    more = ""
    if advice.browsers:
        more += _BROWSERS.format(host=_host(environ))
    # The link asks by GET: what was posted is not sent again by it.
    if advice.again and environ["REQUEST_METHOD"] == "GET":
        more += _TRY_AGAIN
    about = _ABOUT.format(
        status=reason.status, reason=reason, request_id=escape(request_id(environ))
    )
    if reason is Reason.PASSWORD_REFUSED:
        # Nothing that is another one each time: the answer to all bad passwords is the
        # same.
        about = ""
    if form:
        content = form.content(reason, escape(advice.text), more)
        return _framed("Sign in", content + about, head), headers
    content = _CONTENT.format(
        cause=escape(reason.cause), advice=escape(advice.text), more=more
    )
    return _framed(_title(reason), content + about, head), headers


def _host(environ: WSGIEnvironment) -> str:
    """The name in the client's address bar, fit for HTML."""
    found = _HOST.fullmatch(environ.get("HTTP_HOST", "")[:300])
    if found is None:
        return "the name of this site"
    return found[1]


def _helps_to_reload(reason: Reason, environ: WSGIEnvironment) -> bool:
    """Whether the page is to load itself again, once.

    A profile of Chromium (Chrome, Edge) that has never met Negotiate shows the page of
    the first 401, and signs on from the next request on. So the page makes that request
    by itself. It does so once: the cookie says that it has been made. Where cookies are
    turned off, the request itself says so: Chromium asks for a page that reloads itself
    with ``Cache-Control: max-age=0``.
    """
    return (
        reason is Reason.NO_CREDENTIALS
        and environ["REQUEST_METHOD"] == "GET"
        and is_chromium(environ)
        and environ.get("HTTP_SEC_FETCH_DEST", "document") == "document"
        and not environ.get("HTTP_CACHE_CONTROL")
        and not any(cookie_values(environ.get("HTTP_COOKIE", ""), _RETRY, 1))
    )


def _retry_cookie(environ: WSGIEnvironment) -> str:
    # Without a path, it is for this page and its neighbours: RFC 6265 section 5.1.4.
    cookie = f"{_RETRY}=1; Max-Age=30; HttpOnly; SameSite=Lax"
    if environ["wsgi.url_scheme"] == "https":
        cookie += "; Secure"
    return cookie
