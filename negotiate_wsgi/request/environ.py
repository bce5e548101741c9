"""How does the app hear of it? The environ keys that we delete, write and read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Refusal
from negotiate_wsgi.wire.authorization import Credential, is_basic, is_negotiate

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The principal, such as ``alice@EXAMPLE.TEST``; with ``strip_realm=True``, ``alice``. A
#: native string of PEP 3333.
REMOTE_USER = "REMOTE_USER"
#: ``Negotiate`` where somebody has signed on by a ticket, ``Basic`` by a password; in a
#: session, what it began with.
AUTH_TYPE = "AUTH_TYPE"
#: Who is asking: read it with ``get_identity(environ)``.
IDENTITY = "negotiate_wsgi.identity"
#: Why an offered credential was refused, where that did not end the request: read it with
#: ``get_refusal(environ)``.
REFUSAL = "negotiate_wsgi.refusal"
#: What the client has delegated: use it with ``get_delegated(environ)``.
DELEGATED = "negotiate_wsgi.delegated"
#: What was made of the token. For our own layers, if a request passes several.
VERDICT = "negotiate_wsgi.verdict"
#: Stands on the page of a refusal and in its log record.
REQUEST_ID = "negotiate_wsgi.request_id"
#: How the answer sets or clears the session's cookie. For our own layers.
SESSION = "negotiate_wsgi.session"
#: That this is an exempt preflight. For our own layers.
PREFLIGHT = "negotiate_wsgi.preflight"

_LONGEST_USER_AGENT = 300  # characters

#: All that only we may say, but for the request's id.
_OURS = (
    REMOTE_USER,
    AUTH_TYPE,
    IDENTITY,
    REFUSAL,
    DELEGATED,
    VERDICT,
    SESSION,
    PREFLIGHT,
)


class RequestSession:
    """What is to become of a request's session in one layer of ours. Shared by copies
    of the environ.

    :ivar above: the same of the next layer of ours that the request came through.
    """

    signed_on: Identity | None = None
    expiry: Callable[[], float] | None = None
    end: Callable[[WSGIEnvironment], None] | None = None
    is_forgotten = False
    above: RequestSession | None = None


def session_of(environ: WSGIEnvironment) -> RequestSession | None:
    """That of the innermost layer with sessions, or None. A layer of somebody else's
    may have put anything there.
    """
    session = environ.get(SESSION)
    return session if isinstance(session, RequestSession) else None


def cleanse(environ: WSGIEnvironment, user_key: str | None = None) -> object:
    """Delete what only we may say of the user, whoever said it: a server, a proxy, a
    layer above.

    *user_key* is that of a header in which the app trusts us to name the user. Returns
    the value of the verdict key, for the caller to check. That, and what is to become of
    the session, is all that a layer of ours above may hand down.
    """
    verdict = environ.get(VERDICT)
    # By name: to look at each key would take as long as a client's headers are many.
    if not environ.keys().isdisjoint(_OURS):
        session = session_of(environ)
        for key in _OURS:
            environ.pop(key, None)
        if session:
            environ[SESSION] = session
    if user_key:
        environ.pop(user_key, None)
    if not isinstance(verdict, Verdict):
        # Else a layer above may have told of the token under this id.
        environ.pop(REQUEST_ID, None)
    return verdict


def publish(
    environ: WSGIEnvironment,
    identity: Identity,
    strip_realm: bool,
    user_key: str | None = None,
    auth_type: str = "Negotiate",
) -> None:
    """Tell the app who is asking, and how they signed on."""
    user = identity.principal
    if strip_realm:
        user = identity.name
    if not user.isascii():
        # PEP 3333, "Unicode Issues": native strings hold bytes, each as a latin-1
        # character.
        user = user.encode("utf-8").decode("latin-1")
    environ[REMOTE_USER] = user
    environ[AUTH_TYPE] = auth_type
    environ[IDENTITY] = identity
    if user_key:
        environ[user_key] = user


def key_of_header(name: str | None) -> str | None:
    """The environ key of the option ``user_header=``. Raises `ConfigurationError`.

    Every spelling that a client may use ends up under this one key (RFC 3875 section
    4.1.18).
    """
    if name is None:
        return None
    if not isinstance(name, str) or not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9_-]*", name
    ):
        raise ConfigurationError(
            f"user_header={name!r}: write a header's name such as X-Remote-User"
        )
    key = "HTTP_" + name.upper().replace("-", "_")
    if key in _OTHER_MEANING or key.startswith(_BROWSERS_WORD):
        raise ConfigurationError(
            f"user_header={name!r}: this header has another meaning"
        )
    return key


#: What a browser says, and no page can make it say otherwise; and of proxies.
_BROWSERS_WORD = (
    "HTTP_SEC_",
    "HTTP_ACCESS_CONTROL_",
    "HTTP_PROXY_",
    "HTTP_X_FORWARDED_",
)
_OTHER_MEANING = {
    f"HTTP_{name}"
    for name in (
        "ACCEPT", "AUTHORIZATION", "CONNECTION", "CONTENT_LENGTH", "CONTENT_TYPE", "COOKIE",
        "EXPECT", "FORWARDED", "HOST", "ORIGIN", "REFERER", "TRANSFER_ENCODING", "UPGRADE",
    )
}  # fmt: skip


def take_credential(environ: WSGIEnvironment, earlier: object) -> Credential | None:
    """The request's Negotiate credential, taken out of the environ; None if it has
    none.

    Nobody below needs it, and whoever traces requests would store it. A layer of ours
    above has handed it down in *earlier*, what it found out.
    """
    authorization = environ.get("HTTP_AUTHORIZATION")
    if authorization is None:
        if isinstance(earlier, Verdict):
            return earlier.credential
        return None
    if is_negotiate(authorization):
        del environ["HTTP_AUTHORIZATION"]
        return Credential(authorization)
    return None


def take_basic(environ: WSGIEnvironment) -> str | None:
    """The request's Basic credential, taken out of the environ; None if it has none."""
    if not is_basic(environ.get("HTTP_AUTHORIZATION")):
        return None
    return str(environ.pop("HTTP_AUTHORIZATION"))


def authorization_of(environ: WSGIEnvironment) -> str:
    """The credential that this request brought, also where a layer of ours took it out."""
    verdict = environ.get(VERDICT)
    if isinstance(verdict, Verdict):
        return verdict.credential.header
    return str(environ.get("HTTP_AUTHORIZATION", ""))


def is_chromium(environ: WSGIEnvironment) -> bool:
    """Whether the client says that it is a Chromium, such as Chrome and Edge are."""
    return "Chrome/" in environ.get("HTTP_USER_AGENT", "")[:_LONGEST_USER_AGENT]


def request_id(environ: WSGIEnvironment) -> str:
    """What stands on a refusal's page and in its log record, so that one leads to the
    other.
    """
    known = environ.get(REQUEST_ID)
    if known is None:
        known = environ[REQUEST_ID] = os.urandom(4).hex()
    return str(known)


def get_identity(environ: WSGIEnvironment) -> Identity | None:
    """Who is asking, or None if that is not known."""
    identity = environ.get(IDENTITY)
    return identity if isinstance(identity, Identity) else None


def get_refusal(environ: WSGIEnvironment) -> Refusal | None:
    """Why the token or the password of this request was refused, or None if none was."""
    refusal = environ.get(REFUSAL)
    return refusal if isinstance(refusal, Refusal) else None
