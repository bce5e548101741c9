"""How does the app hear of it? The environ keys that we delete, write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REMOTE_USER = "REMOTE_USER"
AUTH_TYPE = "AUTH_TYPE"
IDENTITY = "negotiate_wsgi.identity"
REFUSAL = "negotiate_wsgi.refusal"
VERDICT = "negotiate_wsgi.verdict"

_PREFIX = "negotiate_wsgi."


def cleanse(environ: WSGIEnvironment) -> object:
    """Delete what only we may say of the user, whoever said it: a server, a proxy, a layer above.

    Returns the value of the verdict key, for the caller to check: it is the one thing that a
    layer of ours above may hand down.
    """
    verdict = environ.get(VERDICT)
    environ.pop(REMOTE_USER, None)
    environ.pop(AUTH_TYPE, None)
    if _PREFIX in " ".join(environ):  # many times faster than to look at each key, on every request
        for key in [key for key in environ if key.startswith(_PREFIX)]:
            del environ[key]
    return verdict


def publish(environ: WSGIEnvironment, identity: Identity, strip_realm: bool) -> None:
    """Tell the app who is asking."""
    user = identity.name if strip_realm else identity.principal
    # PEP 3333, "Unicode Issues": native strings hold bytes, each seen as a latin-1 character.
    environ[REMOTE_USER] = user if user.isascii() else user.encode("utf-8").decode("latin-1")
    environ[AUTH_TYPE] = "Negotiate"
    environ[IDENTITY] = identity


def authorization_of(environ: WSGIEnvironment) -> str:
    """The credential that this request brought, also where a layer of ours took it out."""
    verdict = environ.get(VERDICT)
    if isinstance(verdict, Verdict):
        return verdict.authorization
    return str(environ.get("HTTP_AUTHORIZATION", ""))


def get_identity(environ: WSGIEnvironment) -> Identity | None:
    """Who is asking, or None if that is not known."""
    identity = environ.get(IDENTITY)
    return identity if isinstance(identity, Identity) else None


def get_refusal(environ: WSGIEnvironment) -> Refusal | None:
    """Why the token of this request was refused, or None if none was."""
    refusal = environ.get(REFUSAL)
    return refusal if isinstance(refusal, Refusal) else None
