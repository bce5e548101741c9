"""Must we ask again next time? A signed cookie that stands in for the ticket until it expires."""

from __future__ import annotations

import functools
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from hmac import compare_digest
from typing import TYPE_CHECKING, Literal

from itsdangerous import BadSignature, Signer, base64_decode, base64_encode
from werkzeug.http import dump_cookie

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Headers = list[tuple[str, str]]

_KEY_SIZE = 32  # bytes: RFC 2104 section 3 wants a key as long as the hash
_COOKIE_SIZE = 4096  # bytes: RFC 6265 section 6.1, what a browser keeps at least
_SALT = b"negotiate_wsgi.session.1"
_SESSION = "negotiate_wsgi.session"


class SessionCookie:
    """A cookie that says who signed on, so that the next request needs no ticket.

        NegotiateMiddleware(app, session=SessionCookie(secret_key))

    It holds the principal and the time it expires, signed with HMAC-SHA256, and nothing is kept
    on the server: every worker and machine with the same key knows the same sessions. Nobody can
    change it, but who steals it is the user until it expires: use TLS.

    :param secret_key: 32 bytes or more, the same for all workers and kept from everybody else.
    :param fallbacks: older keys, whose cookies are still good. Put the old key here when a new one
        takes its place, and drop it after *max_age*.
    :param max_age: seconds from the ticket until the browser is asked for another, however often
        it comes in between. A session ends with its ticket at the latest, where the acceptor knows
        when that is: `GssapiAcceptor` does, pykerberos does not.
    :param name: the cookie's name; None for ``__Host-negotiate`` where a browser grants that
        prefix (secure, path ``/``, no domain), so that no other host can plant one, and
        ``negotiate`` elsewhere.
    :param domain: None for this host alone; a parent domain shares the session with all its hosts.
    :param path: where the browser sends it.
    :param secure: None to follow ``wsgi.url_scheme``; True behind a proxy that ends TLS and does
        not tell the server so.
    :param samesite: ``"Lax"``, ``"Strict"`` or ``"None"``.
    :raises ConfigurationError: an option is wrong.
    """

    def __init__(
        self,
        secret_key: str | bytes,
        *,
        fallbacks: Iterable[str | bytes] = (),
        max_age: int = 3600,
        name: str | None = None,
        domain: str | None = None,
        path: str = "/",
        secure: bool | None = None,
        samesite: Literal["Lax", "Strict", "None"] = "Lax",
    ) -> None:
        if isinstance(fallbacks, str | bytes):
            raise ConfigurationError("fallbacks= takes a collection of keys, not one key")
        if not isinstance(max_age, int) or isinstance(max_age, bool) or max_age < 1:
            raise ConfigurationError(f"max_age={max_age!r}: write a number of seconds, 1 or more")
        if samesite not in ("Lax", "Strict", "None"):
            raise ConfigurationError(f"samesite={samesite!r}: write 'Lax', 'Strict' or 'None'")
        if samesite == "None" and secure is False:
            raise ConfigurationError("samesite='None' needs secure=True, or browsers drop it")
        if not path.startswith("/"):
            raise ConfigurationError(f"path={path!r}: write one that begins with /")
        if domain is not None and not re.fullmatch(r"[\w.-]+", domain):
            raise ConfigurationError(f"domain={domain!r}: write a domain, or None for this host")
        host_only = domain is None and path == "/"
        if name is not None:
            _check_name(name, host_only and secure is True, secure is True)
        self._signers = [_signer(key) for key in (secret_key, *fallbacks)]
        self._max_age = max_age
        self._secure = secure
        secure_name = "__Host-negotiate" if host_only else "negotiate"
        self._names = {True: name or secure_name, False: name or "negotiate"}
        # Most requests bring a cookie that has been seen before. What raises is not remembered.
        self._verified = functools.lru_cache(maxsize=1024)(self._verify)
        self._set_cookie = functools.partial(
            dump_cookie, domain=domain, path=path, samesite=samesite, httponly=True, max_size=0
        )

    def read(self, environ: WSGIEnvironment) -> Identity | None:
        """Whom the request's cookie names; None if it has none that is signed and still good."""
        header = environ.get("HTTP_COOKIE", "")
        name = self._names[self._is_secure(environ)]
        if name not in header:
            return None
        # Not werkzeug's parse_cookie: it takes as long as all the rest of a session's request,
        # and undoes quotes, which our values never have.
        for pair in header.split(";"):
            key, _, value = pair.partition("=")
            if key.strip() == name and (identity := self._identify(value.strip())):
                return identity
        return None

    def keep(
        self,
        environ: WSGIEnvironment,
        identity: Identity | None,
        start_response: StartResponse,
        expiry: Callable[[], float] | None = None,
    ) -> StartResponse:
        """Adds to the app's answer what a session needs: the cookie, and a word to caches.

        *expiry* tells when the ticket ends, in seconds since the epoch.
        """
        session = environ[_SESSION] = _Session()
        session.expiry = expiry
        session.signed_on = identity if identity and identity.source == "ticket" else None

        def start(
            status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            headers = [*headers, *_for_caches(headers, identity)]
            if cookie := self._news(environ, session, headers):
                headers.append(("Set-Cookie", cookie))
            return start_response(status, headers, exc_info)

        return start

    def _is_secure(self, environ: WSGIEnvironment) -> bool:
        return environ["wsgi.url_scheme"] == "https" if self._secure is None else self._secure

    def _news(self, environ: WSGIEnvironment, session: _Session, headers: Headers) -> str | None:
        """The Set-Cookie line that the browser is owed, if any, and no layer below has sent one."""
        if session.is_forgotten:
            cookie = self._dump(environ, "", 0)
        elif not session.signed_on or _may_be_shared(headers):
            return None
        elif seconds := self._seconds_left(session.expiry):
            cookie = self._dump(environ, self._sign(session.signed_on, seconds), seconds)
        else:
            return None
        name = cookie[: cookie.index("=") + 1]
        is_sent = any(key.lower() == "set-cookie" and v.startswith(name) for key, v in headers)
        return None if is_sent or len(cookie) > _COOKIE_SIZE else cookie

    def _seconds_left(self, expiry: Callable[[], float] | None) -> int:
        """How long a session may last from now on; 0 where its ticket has just ended.

        krb5 accepts one for a while after its end, because clocks differ.
        """
        left = self._max_age if expiry is None else expiry() - time.time()
        return max(0, min(self._max_age, int(left)))

    def _sign(self, identity: Identity, seconds: int) -> str:
        principal = base64_encode(identity.principal).decode()
        return self._signers[0].sign(f"{principal}.{int(time.time()) + seconds}").decode()

    def _identify(self, cookie: str) -> Identity | None:
        if len(cookie) > _COOKIE_SIZE or not cookie.isascii():
            return None
        try:
            identity, expires = self._verified(cookie)
        except BadSignature:
            return None
        return identity if time.time() < expires else None

    def _verify(self, cookie: str) -> tuple[Identity, int]:
        """Whom a cookie of ours names, and when it expires, in seconds since the epoch."""
        payload, _, _ = cookie.rpartition(".")
        # Signing again and comparing whole texts leaves no second spelling of a good signature,
        # which base64 would.
        if not any(compare_digest(s.sign(payload), cookie.encode()) for s in self._signers):
            raise BadSignature("no key of ours signed this")
        principal, _, expires = payload.partition(".")
        return Identity(base64_decode(principal).decode(), None, "session"), int(expires)

    def _dump(self, environ: WSGIEnvironment, value: str, max_age: int) -> str:
        secure = self._is_secure(environ)
        return self._set_cookie(self._names[secure], value, max_age, secure=secure)


def forget(environ: WSGIEnvironment) -> None:
    """Have the answer to this request delete the session's cookie. To be called before it starts.

    The browser signs on by itself again when it is asked: this ends a session, not a sign-on.
    """
    session = environ.get(_SESSION)
    if isinstance(session, _Session):
        session.is_forgotten = True


class _Session:
    """What became of this request's session. Shared by copies of the environ."""

    signed_on: Identity | None = None
    expiry: Callable[[], float] | None = None
    is_forgotten = False


def _signer(key: str | bytes) -> Signer:
    secret = key.encode() if isinstance(key, str) else key
    if not isinstance(secret, bytes) or len(secret) < _KEY_SIZE:
        raise ConfigurationError(
            f"a secret key has fewer than {_KEY_SIZE} bytes; make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    derived = Signer(secret, _SALT, key_derivation="hmac", digest_method=hashlib.sha256)
    # Derived once and not for each request, which would take as long as to sign.
    return Signer(derived.derive_key(), key_derivation="none", digest_method=hashlib.sha256)


def _check_name(name: str, may_be_host: bool, may_be_secure: bool) -> None:
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):  # RFC 6265 section 4.1.1
        raise ConfigurationError(f"name={name!r}: write a cookie's name, such as 'negotiate'")
    allowed = {"__host-": may_be_host, "__secure-": may_be_secure}
    if not all(ok for prefix, ok in allowed.items() if name.lower().startswith(prefix)):
        raise ConfigurationError(
            f"name={name!r}: browsers drop it without secure=True, and with __Host- path='/' and "
            "no domain, too"
        )


def _for_caches(headers: Headers, identity: Identity | None) -> Headers:
    """What keeps caches from showing one user's answer to another.

    A cookie does not keep shared caches off, as Authorization does (RFC 9111 section 3.5).
    """
    present = {name.lower(): value for name, value in headers}
    added = []
    if identity and "cache-control" not in present:
        added.append(("Cache-Control", "private"))
    if "cookie" not in present.get("vary", "").lower():
        added.append(("Vary", "Cookie"))
    return added


def _may_be_shared(headers: Headers) -> bool:
    """Whether a shared cache may keep the answer to a request that has an Authorization.

    RFC 9111 section 3.5 names the directives that allow it. A cookie in there would be handed to
    whoever asks the cache next.
    """
    values = [value for name, value in headers if name.lower() == "cache-control"]
    words = {word.partition("=")[0].strip().lower() for word in ",".join(values).split(",")}
    return not words & {"private", "no-store"} and bool(
        words & {"public", "s-maxage", "must-revalidate"}
    )
