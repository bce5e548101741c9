"""Is there a session? A signed cookie that stands in for the ticket until it expires."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from hmac import compare_digest
from typing import TYPE_CHECKING, Literal, NamedTuple

from itsdangerous import Signer, base64_decode, base64_encode
from werkzeug.http import dump_cookie

from negotiate_wsgi.acceptors.protocol import Acceptor
from negotiate_wsgi.acceptors.target import KeytabAcceptor
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, fields_of, identity_of_fields
from negotiate_wsgi.request.authentication import AuthType
from negotiate_wsgi.request.environ import SESSION, RequestSession, session_of
from negotiate_wsgi.wire.cookies import LOOKED_AT, cookie_values
from negotiate_wsgi.wire.headers import for_caches, may_be_shared

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from negotiate_wsgi.request.fleet import Fleet

    Headers = list[tuple[str, str]]

_logger = logging.getLogger("negotiate_wsgi")

_KEY_SIZE = 32  # bytes: RFC 2104 section 3 wants a key as long as the hash
_COOKIE_SIZE = 4096  # bytes: RFC 6265 section 6.1, what a browser keeps at least
_SIGNATURES = 8  # that are verified for one request, or one for each name and key
_MARK = 8  # random bytes: no two alike among a million sessions
_FORMAT = "negotiate_wsgi.session.4"


class SessionCookie:
    """A cookie that says who signed on, so that the next request needs no ticket.

        NegotiateMiddleware(app, session=SessionCookie(secret_key))

    It holds the identity, whether a ticket or a password came, the time of issue and of
    its end, and a random mark, signed with HMAC-SHA256, and nothing is kept on the
    server: every worker and machine with the same key and the same service and hosts
    knows the same sessions. Nobody can change it, but who steals it is the user until
    it expires: use TLS.

    :param secret_key: 32 bytes or more, the same for all workers, and kept from
        everybody else.
    :param fallbacks: other keys whose cookies are good, too. To change the key on
        several hosts without losing a session, take three steps, each on all hosts
        before the next: give the new key in *fallbacks*; make it *secret_key* and the
        old one a fallback; after *max_age*, leave the old one out.
    :param max_age: seconds from the ticket until the browser is asked for another,
        however often it comes in between. The verifier's own counts, whoever issued the
        cookie. A session ends with its ticket at the latest, where the acceptor knows
        when that is: `GssapiAcceptor` does, pykerberos does not.
    :param name: the cookie's name; None for ``__Host-negotiate`` where a browser grants
        that prefix (secure, path ``/``, no domain), so that no other host can plant
        one, and ``negotiate`` elsewhere.
    :param domain: None for this host alone; a parent domain shares the cookie with all
        its hosts.
    :param path: where the browser sends it.
    :param secure: None to follow ``wsgi.url_scheme`` as it is when the answer starts;
        True behind a proxy that ends TLS and does not tell the server so.
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
        if not isinstance(fallbacks, str | bytes):
            fallbacks = list(fallbacks)
        weakness = _weakness_of(secret_key, fallbacks)
        if not weakness:
            self._keys = [_as_bytes(key) for key in (secret_key, *fallbacks)]
            self.key_count = len(self._keys)
        del secret_key, fallbacks  # whoever traces exceptions stores the locals
        if weakness:
            raise ConfigurationError(weakness)
        _check_attributes(max_age, samesite, secure, path, domain)
        host_only = domain is None and path == "/"
        if name is not None:
            _check_name(name, host_only and secure is True, secure is True)
        self.max_age = max_age
        self.secure = secure
        self.plain_name = name or "negotiate"
        self.secure_name = self.plain_name
        if name is None and host_only:
            self.secure_name = "__Host-negotiate"
        self.dump = functools.partial(
            dump_cookie,
            domain=domain,
            path=path,
            samesite=samesite,
            httponly=True,
            max_size=0,
        )
        #: Each name, and whether a cookie of it is for TLS alone.
        self.names = {self.secure_name: secure is not False}
        self.names.setdefault(self.plain_name, secure is True)
        self.of = functools.cache(functools.partial(Sessions, self))

    def deletion(self, name: str, secure: bool) -> str:
        """A Set-Cookie line that two layers write alike, whatever the time is."""
        return self.dump(name, max_age=0, expires=0, secure=secure)

    def signers(self, name: str, audience: str) -> list[Signer]:
        """One for each key. Name and audience are part of what is signed, by way of the
        key.
        """
        salt = "\0".join([_FORMAT, name, audience]).encode()
        return [_signer(key, salt) for key in self._keys]


def audience_of(acceptor: Acceptor) -> str:
    """For whom a session is good: the service, the hosts and the kind of the acceptor,
    how it names users and groups, and what it demands of a ticket.

    A cookie of another application with the same key and other hosts says nothing here.
    """
    kind = type(acceptor).__name__
    if not isinstance(acceptor, KeytabAcceptor):
        return kind
    target = acceptor.target
    hosts = ["*"]
    if target.hostnames is not None:
        hosts = sorted(target.hostnames)
    audience = f"{kind} {target.service}/{','.join(hosts)}"
    if acceptor.attributes.are_asked_for:
        audience += f" {acceptor.attributes}"
    if acceptor.channel_bindings:
        audience += f" {acceptor.channel_bindings}"
    return audience


class SignedOn(NamedTuple):
    """What a session says.

    :param identity: who has signed on.
    :param auth_type: how, as it is to stand in ``AUTH_TYPE``.
    :param end: of the session, in seconds since the epoch.
    :param issued: when it began, in seconds since the epoch.
    :param mark: random, by which a store knows this session.
    :param signed_end: in seconds since the epoch. A verifier with another `max_age` may
        take it until then.
    """

    identity: Identity
    auth_type: AuthType
    end: int
    issued: int
    mark: str
    signed_end: int


class Sessions:
    """The sessions of one audience."""

    _has_warned = False

    def __init__(self, cookie: SessionCookie, audience: str) -> None:
        self._cookie = cookie
        self._signers = {
            name: cookie.signers(name, audience)
            for name in (cookie.secure_name, cookie.plain_name)
        }
        # Most requests bring cookies that have been seen before. What raises is not
        # remembered.
        self._remembered = functools.lru_cache(maxsize=1024)(self._find)

    def read(self, environ: WSGIEnvironment) -> SignedOn | None:
        """Whom the request's cookie names, and how they signed on; None if it has none
        that is signed and still good.
        """
        header = environ.get("HTTP_COOKIE", "")[:LOOKED_AT]
        # The name with the prefix has the plain one in it.
        if self._cookie.plain_name not in header:
            return None
        # What is remembered has a bound, whatever a client sends.
        find = self._find if len(header) > _COOKIE_SIZE else self._remembered
        try:
            session = find(header, self._is_secure(environ))
        except LookupError:
            return None
        if time.time() >= session.end:
            return None
        return session

    def _find(self, header: str, is_secure: bool) -> SignedOn:
        """What the cookies say. Raises LookupError if they name nobody."""
        # Browsers send __Host- over TLS alone, which a proxy may not have told the
        # server of.
        names = [self._cookie.secure_name]
        if not is_secure and self._cookie.plain_name not in names:
            names.append(self._cookie.plain_name)
        # Each of ours costs a signature for each key, and anybody can send them.
        most = max(1, _SIGNATURES // (len(names) * self._cookie.key_count))
        for name in names:
            good = list(self._good(header, name, most))
            if good:
                return max(good, key=lambda session: session.end)
        raise LookupError

    def _good(self, header: str, name: str, most: int) -> Iterator[SignedOn]:
        """What those cookies of that name say that are signed by us."""
        for value in cookie_values(header, name, most):
            session = self._verify(name, value)
            if session:
                yield session

    def _verify(self, name: str, value: str) -> SignedOn | None:
        """What a cookie of ours says."""
        if len(value) > _COOKIE_SIZE or not value.isascii():
            return None
        payload, _, _ = value.rpartition(".")
        # Signing again and comparing whole texts leaves no second spelling of a good
        # signature, which base64 would.
        signed = [signer.sign(payload) for signer in self._signers[name]]
        if not any(compare_digest(ours, value.encode()) for ours in signed):
            return None
        content = json.loads(base64_decode(payload))
        issued, signed_end, auth_type, mark, *fields = content
        identity = identity_of_fields(fields, None, "session")
        end = min(signed_end, issued + self._cookie.max_age)
        return SignedOn(identity, auth_type, end, issued, mark, signed_end)

    def keep(
        self,
        environ: WSGIEnvironment,
        identity: Identity | None,
        start_response: StartResponse,
        expiry: Callable[[], float] | None = None,
        fleet: Fleet | None = None,
    ) -> StartResponse:
        """Adds to the app's answer what a session needs: the cookie, and a word to
        caches.

        *expiry* tells when the ticket ends, in seconds since the epoch. `forget` ends
        the session on all machines of *fleet*.
        """
        session = RequestSession()
        session.above = environ.get(SESSION)  # `cleanse` leaves nothing else there.
        environ[SESSION] = session
        session.expiry = expiry
        if fleet:
            session.end = functools.partial(self._end, fleet)
        if identity and identity.source != "session":
            session.signed_on = identity

        def start(
            status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            headers = [*headers, *for_caches(headers, identity is not None)]
            if session.is_forgotten or session.signed_on:
                lines = self._lines(environ, session, headers)
                headers.extend(("Set-Cookie", line) for line in lines)
            return start_response(status, headers, exc_info)

        return start

    def _end(self, fleet: Fleet, environ: WSGIEnvironment) -> None:
        """End all sessions that this request has brought, under either name, and beside
        a ticket, too.
        """
        header = environ.get("HTTP_COOKIE", "")
        most = max(1, _SIGNATURES // self._cookie.key_count)
        for name in self._signers:
            for session in self._good(header, name, most):
                # Where another verifier counts more seconds, it would come back.
                fleet.end(session.mark, session.signed_end)

    def _is_secure(self, environ: WSGIEnvironment) -> bool:
        if self._cookie.secure is None:
            return bool(environ["wsgi.url_scheme"] == "https")
        return self._cookie.secure

    def _lines(
        self, environ: WSGIEnvironment, session: RequestSession, headers: Headers
    ) -> list[str]:
        """The Set-Cookie lines that the browser is owed and no layer below has sent."""
        lines = []
        if session.is_forgotten:
            lines = self._deletions(environ)
        elif session.signed_on and not may_be_shared(headers):
            seconds = self._seconds_left(session.expiry)
            if seconds:
                lines = [self._dump(environ, session.signed_on, seconds)]
        sent = [value for key, value in headers if key.lower() == "set-cookie"]
        lines = [line for line in lines if not _is_told(line, sent)]
        fitting = [line for line in lines if len(line) <= _COOKIE_SIZE]
        if len(fitting) < len(lines) and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "a session would need a cookie of more than %d bytes, and there is none: "
                "the user is in too many of the configured groups, or has a long name",
                _COOKIE_SIZE,
            )
        return fitting

    def _deletions(self, environ: WSGIEnvironment) -> list[str]:
        """For each name that the request brought: the scheme may look another now."""
        header = environ.get("HTTP_COOKIE", "")
        lines = {self._dump(environ)}
        for name, secure in self._cookie.names.items():
            if list(cookie_values(header, name, 1)):
                lines.add(self._cookie.deletion(name, secure))
        return sorted(lines)

    def _seconds_left(self, expiry: Callable[[], float] | None) -> int:
        """How long a session may last from now on; 0 where its ticket has just ended.

        krb5 accepts one for a while after its end, because clocks differ.
        """
        longest = self._cookie.max_age
        if expiry is None:
            return longest
        return max(0, int(min(longest, expiry() - time.time())))

    def _dump(
        self,
        environ: WSGIEnvironment,
        identity: Identity | None = None,
        seconds: int = 0,
    ) -> str:
        """A Set-Cookie line; without *identity*, one that deletes the cookie. By the
        scheme as a ProxyFix below us may have corrected it.
        """
        secure = self._is_secure(environ)
        name = self._cookie.plain_name
        if secure:
            name = self._cookie.secure_name
        if identity is None:
            return self._cookie.deletion(name, secure)
        value = self.sign(name, identity, seconds)
        return self._cookie.dump(name, value, seconds, secure=secure)

    def sign(self, name: str, identity: Identity, seconds: int) -> str:
        """The value of a cookie that says who *identity* is for *seconds* from now on."""
        now = int(time.time())
        auth_type = "Basic" if identity.source == "password" else "Negotiate"
        # Else sign-ons of one user in one second would share a cookie, and its end.
        mark = secrets.token_urlsafe(_MARK)
        content = [now, now + seconds, auth_type, mark, *fields_of(identity)]
        payload = base64_encode(json.dumps(content, separators=(",", ":")))
        return self._signers[name][0].sign(payload).decode()


def forget(environ: WSGIEnvironment) -> None:
    """Have the answer to this request delete the session's cookie, that of each
    `NegotiateMiddleware` which the request came through. To be called before it starts.

    With ``store=``, the session ends on all machines, too, whoever has a copy of
    the cookie; here at once, elsewhere within ``refresh`` seconds. While the store does
    not answer, the others learn of it later.

    The browser signs on by itself again when it is asked: this ends a session, not a
    sign-on.
    """
    session = session_of(environ)
    while session:
        session.is_forgotten = True
        if session.end:
            session.end(environ)
        session = session.above


def delete_cookie(environ: WSGIEnvironment) -> None:
    """The same for this browser and the innermost layer alone."""
    session = session_of(environ)
    if session:
        session.is_forgotten = True


def _is_told(line: str, sent: list[str]) -> bool:
    """Whether a layer below has said of this cookie, in the lines *sent*, what counts.

    Cookies of one name, with other paths or domains, are deleted one by one.
    """
    name = line[: line.index("=") + 1]
    deletion = f"{name};"
    told = [other for other in sent if other.startswith(name)]
    if line.startswith(deletion):
        told = [one for one in told if one == line or not one.startswith(deletion)]
    return bool(told)


def _as_bytes(key: str | bytes) -> bytes:
    # What the environment has that is not UTF-8 comes as surrogates (PEP 383).
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key


def _weakness_of(
    secret_key: str | bytes, fallbacks: Iterable[str | bytes]
) -> str | None:
    """What is wrong with the keys, without the keys."""
    if isinstance(fallbacks, str | bytes):
        return "fallbacks= takes a collection of keys, not one key"
    for key in (secret_key, *fallbacks):
        secret = _as_bytes(key)
        if not isinstance(secret, bytes) or len(secret) < _KEY_SIZE:
            size = f"a secret key has fewer than {_KEY_SIZE} bytes"
            return f"{size}; {_HOW_TO_MAKE_ONE}"
        if len(set(secret)) == 1:
            return f"a secret key is one repeated character; {_HOW_TO_MAKE_ONE}"
    return None


def _check_attributes(
    max_age: int, samesite: str, secure: bool | None, path: str, domain: str | None
) -> None:
    if not isinstance(max_age, int) or isinstance(max_age, bool) or max_age < 1:
        raise ConfigurationError(
            f"max_age={max_age!r}: write a number of seconds, 1 or more"
        )
    if samesite not in ("Lax", "Strict", "None"):
        raise ConfigurationError(
            f"samesite={samesite!r}: write 'Lax', 'Strict' or 'None'"
        )
    if samesite == "None" and secure is False:
        raise ConfigurationError(
            "samesite='None' needs secure=True, or browsers drop it"
        )
    if not path.startswith("/"):
        raise ConfigurationError(f"path={path!r}: write one that begins with /")
    if domain is not None and not re.fullmatch(r"[\w.-]+", domain):
        raise ConfigurationError(
            f"domain={domain!r}: write a domain, or None for this host"
        )


_HOW_TO_MAKE_ONE = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


def _signer(key: bytes, salt: bytes) -> Signer:
    derived = Signer(key, salt, key_derivation="hmac", digest_method=hashlib.sha256)
    # Derived once and not for each request, which would take as long as to sign.
    return Signer(
        derived.derive_key(), key_derivation="none", digest_method=hashlib.sha256
    )


def _check_name(name: str, may_be_host: bool, may_be_secure: bool) -> None:
    if not re.fullmatch(
        r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII
    ):  # RFC 6265 section 4.1.1
        raise ConfigurationError(
            f"name={name!r}: write a cookie's name, such as 'negotiate'"
        )
    allowed = {"__host-": may_be_host, "__secure-": may_be_secure}
    if not all(ok for prefix, ok in allowed.items() if name.lower().startswith(prefix)):
        raise ConfigurationError(
            f"name={name!r}: browsers drop it without secure=True, and with __Host- path='/' and "
            "no domain, too"
        )
