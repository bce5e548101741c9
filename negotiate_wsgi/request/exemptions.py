"""Whom do we not even ask? Paths and preflights that need no sign-on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.request.environ import PREFLIGHT

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Headers = list[tuple[str, str]]

Required = Callable[["WSGIEnvironment"], bool]

_LONGEST = 8192  # characters of an exempt path


def unless(
    *,
    paths: Collection[str] = (),
    prefixes: Collection[str] = (),
    preflights: bool = False,
) -> Required:
    """A value for ``required=``: sign-on everywhere but here.

        NegotiateMiddleware(app, required=unless(paths=["/health"],
        prefixes=["/static"]))

    Paths are compared with ``PATH_INFO`` alone, by whole segments and with case:
    applications route by it, and ``SCRIPT_NAME`` can come from a client. A path that is
    not in its normal form (``//``, ``.`` or ``..`` in it) is never exempt, because the
    app may take it for another.

    :param paths: exactly these.
    :param prefixes: these, and all that lies below.
    :param preflights: whether CORS preflights are exempt, which browsers send without
        credentials. The app is called, and its status and headers are the answer; the
        body is left empty, because many frameworks answer any OPTIONS with the content
        of the page.
    :raises ConfigurationError: a path is not in its normal form.
    """
    paths = _checked("paths", paths)
    prefixes = _checked("prefixes", prefixes)
    roots = {prefix.rstrip("/") or "/" for prefix in prefixes}
    below = tuple(prefix.rstrip("/") + "/" for prefix in prefixes)
    return Exemptions(frozenset(paths) | roots, below, preflights)


@dataclass(frozen=True)
class Exemptions:
    """What `unless` returns: asked with an environ, whether sign-on is required there."""

    exact: frozenset[str]
    below: tuple[str, ...]
    preflights: bool

    def __call__(self, environ: WSGIEnvironment) -> bool:
        if self._has_path(environ):
            return False
        if self._has_preflight(environ):
            # For the middleware, however many callables stand between us and it.
            environ[PREFLIGHT] = True
            return False
        return True

    def _has_path(self, environ: WSGIEnvironment) -> bool:
        path = environ.get("PATH_INFO", "")
        # To read a path of a MiB takes time, and servers take none so long by default.
        if len(path) > _LONGEST:
            return False
        if path in self.exact:
            return True
        return path.startswith(self.below) and _is_normal(path)

    def _has_preflight(self, environ: WSGIEnvironment) -> bool:
        """The fetch standard's CORS preflight: these two headers make an OPTIONS one."""
        return (
            self.preflights
            and environ["REQUEST_METHOD"] == "OPTIONS"
            and "HTTP_ORIGIN" in environ
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        )


def as_question(required: bool | Required) -> Required:
    """Validate the option ``required=``. Raises `ConfigurationError`."""
    if inspect.iscoroutinefunction(required):
        raise ConfigurationError(
            "required= takes a plain function: WSGI awaits nothing"
        )
    if callable(required):
        return required
    if not isinstance(required, bool):
        raise ConfigurationError(
            f"required={required!r}: write True, False or a callable(environ)"
        )
    return lambda environ: required


def without_body(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Call *app*, and let only its status and headers pass."""
    is_started = False

    def start(
        status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        nonlocal is_started
        is_started = True
        kept = [line for line in headers if line[0].lower() != "content-length"]
        # RFC 9110 section 8.6: no Content-Length with 1xx and 204; a 304's is of the
        # other answer.
        if not status.startswith(("1", "204", "304")):
            kept.append(("Content-Length", "0"))
        start_response(status, kept, exc_info)
        return lambda data: None

    body = app(environ, start)
    try:
        for _ in body:  # a generator may not start before its first part is asked for
            if is_started:
                break
    finally:
        close = getattr(body, "close", None)
        if close:
            close()
    return []


def _checked(option: str, paths: Collection[str]) -> list[str]:
    if isinstance(paths, str):
        raise ConfigurationError(f"{option}={paths!r}: write a collection, [{paths!r}]")
    checked = list(paths)
    for path in checked:
        if not isinstance(path, str) or not _is_normal(path):
            raise ConfigurationError(
                f"{option}: {path!r} is not a path; write one such as /health"
            )
    return checked


def _is_normal(path: str) -> bool:
    """Whether *path* has but one reading (RFC 3986 section 6.2.2.3, and no empty
    segment).
    """
    inner = path.removesuffix("/").split("/")[1:]
    return (
        path.startswith("/") and "\\" not in path and not {"", ".", ".."} & set(inner)
    )
