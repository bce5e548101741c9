"""May the app act for the user? As long as the request lasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.acceptors.protocol import Acceptor, Delegated
from negotiate_wsgi.request.environ import DELEGATED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def get_delegated(environ: WSGIEnvironment) -> Any:
    """Credentials of the user for this request: a ``gssapi.Credentials`` for Kerberos,
    bare or inside of Negotiate, or None where nothing was delegated.

    They are made when they are first asked for, are the same for each thread, and are
    destroyed when the response is closed. An acceptor takes them where it is made with
    ``GssapiAcceptor(delegation=...)``. A session has none, nor has a password.

    Look for None: most libraries take it for the server's own credentials.

    :raises DelegationError: there are some, and they cannot be used.
    """
    delegated = environ.get(DELEGATED)
    return delegated.credentials() if isinstance(delegated, Delegated) else None


def may_lend(acceptor: Acceptor) -> bool:
    """Whether the app behind *acceptor* may act for users.

    A layer of ours above that shares its keys may have taken what this one would not.
    """
    return bool(getattr(acceptor, "takes_credentials", True))


def lend(
    delegated: Delegated,
    is_news: bool,
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Call *app* with what was delegated, which is destroyed when its answer is closed.

    Unless it is no news: then a layer of ours above has judged the token, and does
    that.
    """
    environ[DELEGATED] = delegated
    if not is_news:
        return app(environ, start_response)
    try:
        answer = app(environ, start_response)
    except BaseException:
        delegated.destroy()
        raise
    if _is_a_servers_file(answer, environ):
        delegated.destroy()
        return answer
    if hasattr(answer, "__len__"):
        return _LentWithLength(answer, delegated)
    return _Lent(answer, delegated)


def _is_a_servers_file(answer: object, environ: WSGIEnvironment) -> bool:
    """Whether the server itself sends the rest (PEP 3333, "Optional Platform-Specific
    File Handling"), which it would not where it finds something else around it.
    """
    kind = environ.get("wsgi.file_wrapper")
    return isinstance(kind, type) and isinstance(answer, kind)


class _Lent:
    """An app's answer, at whose end what was delegated is destroyed."""

    def __init__(self, answer: Iterable[bytes], delegated: Delegated) -> None:
        self._answer = answer
        self._delegated = delegated

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        try:
            close = getattr(self._answer, "close", None)
            if close:
                close()
        finally:
            self._delegated.destroy()


class _LentWithLength(_Lent):
    """The same of a list: servers take the Content-Length from one of a single part
    (PEP 3333, "Handling the Content-Length Header").
    """

    _answer: Any

    def __len__(self) -> int:
        return len(self._answer)
