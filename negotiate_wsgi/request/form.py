"""Was a password typed into our page? The sign-in form: what is sent to it, and where
it leads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from werkzeug.wrappers import Response

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.bodies import read_body
from negotiate_wsgi.request.environ import is_chromium
from negotiate_wsgi.request.form_page import FormPage
from negotiate_wsgi.wire.authorization import Password, checked_password

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_MAX_BODY = 8 * 1024  # bytes
_MAX_NEXT = 2048  # bytes
_MAX_FIELDS = 8
_LOOKED_AT = 300  # characters: a scheme, a host name of at most 253 (RFC 1035), a port
_SECONDS = 30  # for a body that comes slowly
_TYPE = "application/x-www-form-urlencoded"
#: A path of this site: no browser takes it for another one's. WHATWG URL reads a
#: backslash as a slash, and drops control characters.
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x1f\x7f]*")

#: User name and password as typed, or why no KDC has to be asked.
Typed = tuple[str, Password] | Refusal


@dataclass
class Visit:
    """A request to the path of the form.

    :param form: whose path it is.
    :param is_post: whether it brings what somebody typed.
    :param is_posted_again_when_challenged: whether the browser is a Chromium (Chrome,
        Edge), which answers a challenge by posting the form once more: one wrong
        password would be two attempts.
    :param onward: where to go from here, once the user has signed on.
    :param instead: the answer, where it is neither a page nor a sign-on.
    """

    form: SignInForm
    is_post: bool
    is_posted_again_when_challenged: bool
    onward: str
    instead: WSGIApplication | None = None

    def take_typed(self, environ: WSGIEnvironment) -> Typed | None:
        """What was typed; None where there is another answer to be given.

        The body is used up: nobody else is to read it.
        """
        try:
            body = read_body(environ, _MAX_BODY, _SECONDS)
        except Exception:  # servers raise what they like, as in `discard_body`
            body = b""
        if body is None:
            self.instead = Response("The form is too long.\n", 413)
            return None
        environ["CONTENT_LENGTH"] = "0"
        kind = environ.get("CONTENT_TYPE", "")[:_LOOKED_AT].partition(";")[0]
        if kind.strip().lower() != _TYPE:
            return Refusal(Reason.PASSWORD_REFUSED, f"what was posted is no {_TYPE}")
        fields = _fields_of(body)
        self.onward = self.form.safe_path(environ, _only(fields, "next"))
        user = _only(fields, "username")
        secret = _only(fields, "password")
        if user is None or secret is None:
            detail = "the form has no user name or no password, or several"
            return Refusal(Reason.PASSWORD_REFUSED, detail)
        return checked_password(user, secret)

    @property
    def answer(self) -> WSGIApplication:
        """In place of the app's answer, which has no page here."""
        if self.instead:
            return self.instead
        # RFC 9110 section 15.4.4: whatever the method was, the next one is a GET.
        headers = {"Location": self.onward, "Cache-Control": "no-store"}
        return Response(status=303, headers=headers)


class SignInForm:
    """A page to type a password into, at a path of its own.

    :param path: PATH_INFO, exact.
    :param realm: of the user names that are typed.
    """

    def __init__(self, path: str, realm: str) -> None:
        self.path = path
        self._realm = realm

    @classmethod
    def of(cls, path: str, realm: str) -> SignInForm:
        """Validate the option. Raises `ConfigurationError`."""
        if not isinstance(path, str) or not re.fullmatch(r"(/[\w.~-]+)+", path, re.A):
            raise ConfigurationError(
                f"form_path={path!r}: write a path such as /.negotiate/sign-in"
            )
        return cls(path, realm)

    def visit(self, environ: WSGIEnvironment) -> Visit | None:
        """What is to be done here, or None if the request is for another path."""
        if environ.get("PATH_INFO") != self.path:
            return None
        method = environ["REQUEST_METHOD"]
        query = environ.get("QUERY_STRING", "")
        fields = {}
        if len(query) <= _MAX_BODY:
            fields = _fields_of(query.encode("latin-1", "replace"))
        wanted = _only(fields, "next")
        is_post = method == "POST"
        onward = self.safe_path(environ, wanted)
        visit = Visit(self, is_post, is_post and is_chromium(environ), onward)
        if method not in ("GET", "HEAD", "POST"):
            allowed = {"Allow": "GET, HEAD, POST"}
            visit.instead = Response("Only GET and POST.\n", 405, allowed)
        return visit

    def page(self, environ: WSGIEnvironment, visit: Visit | None) -> FormPage:
        """That of the answer to this request."""
        mount = _mount(environ)
        if visit:
            return FormPage(mount + self.path, visit.onward, self._realm)
        onward = self.safe_path(environ, _here(environ, mount))
        return FormPage(mount + self.path, onward, self._realm)

    def safe_path(self, environ: WSGIEnvironment, wanted: str | None) -> str:
        """*wanted* if it is a path of this site and leads anywhere; else where the app
        is mounted.

        Whoever makes a link to our form must not be able to send a user elsewhere from
        here, where they have just typed a password.
        """
        mount = _mount(environ)
        root = mount + "/"
        for path in (wanted, root):
            if path is None or len(path.encode("utf-8", "replace")) > _MAX_NEXT:
                continue
            is_the_form = path.partition("?")[0].partition("#")[0] == mount + self.path
            if _PATH.fullmatch(path) and not is_the_form:
                return path
        return "/"


_OF_A_PATH = "/-._~!$&'()*+,;=:@"  # RFC 3986 section 3.3
_OF_A_QUERY = _OF_A_PATH + "?%"  # and section 3.4; it comes quoted


def _here(environ: WSGIEnvironment, mount: str) -> str | None:
    """Path and query of a request that can be made again, unless they are too long."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return None
    query = environ.get("QUERY_STRING", "")
    if len(environ.get("PATH_INFO", "")) + len(query) > _MAX_NEXT:
        return None
    here = mount + _quoted(environ, "PATH_INFO")
    if query:
        here += "?" + quote(query.encode("latin-1", "replace"), safe=_OF_A_QUERY)
    return here


def _mount(environ: WSGIEnvironment) -> str:
    """Where the app is mounted, as it stands in a URL: a client may have said so."""
    mount = _quoted(environ, "SCRIPT_NAME")
    return mount if _PATH.fullmatch(mount) else ""


def _quoted(environ: WSGIEnvironment, key: str) -> str:
    """A path of the environ as it stands in a URL, or more of it than we let pass."""
    path = environ.get(key, "")[: _MAX_NEXT + 1]
    return quote(path.encode("latin-1"), safe=_OF_A_PATH)


def _fields_of(form: bytes) -> dict[str, list[str]]:
    """The fields of a form, or none where they are not UTF-8, or too many."""
    try:
        return parse_qs(
            form.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        return {}


def _only(fields: dict[str, list[str]], name: str) -> str | None:
    """The value of a field that is there once."""
    values = fields.get(name, [])
    if len(values) != 1:
        return None
    return values[0]
