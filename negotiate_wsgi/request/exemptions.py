"""Whom do we not even ask? Paths and preflights that need no sign-on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from negotiate_wsgi.exceptions import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def unless(
    *, paths: Collection[str] = (), prefixes: Collection[str] = (), preflights: bool = False
) -> Callable[[WSGIEnvironment], bool]:
    """A value for ``required=``: sign-on everywhere but here.

        NegotiateMiddleware(app, required=unless(paths=["/health"], prefixes=["/static"]))

    Paths are compared as the client asked for them, ``SCRIPT_NAME`` and ``PATH_INFO`` together, by
    whole segments and with case. A path that is not in its normal form (``//``, ``.`` or ``..``
    in it) is never exempt, because the app may take it for another.

    :param paths: exactly these.
    :param prefixes: these, and all that lies below.
    :param preflights: whether CORS preflights are exempt, which browsers send without credentials.
    :raises ConfigurationError: a path is not in its normal form.
    """
    exact = frozenset(_checked("paths", paths))
    below = tuple(prefix.rstrip("/") + "/" for prefix in _checked("prefixes", prefixes))
    exact |= {prefix.rstrip("/") or "/" for prefix in prefixes}

    def is_required(environ: WSGIEnvironment) -> bool:
        if preflights and _is_preflight(environ):
            return False
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return not (path in exact or (path.startswith(below) and _is_normal(path)))

    return is_required


def _checked(option: str, paths: Collection[str]) -> Collection[str]:
    if isinstance(paths, str):
        raise ConfigurationError(f"{option}={paths!r}: write a collection, [{paths!r}]")
    for path in paths:
        if not isinstance(path, str) or not _is_normal(path):
            raise ConfigurationError(f"{option}: {path!r} is none; write it as in '/health'")
    return paths


def _is_normal(path: str) -> bool:
    """Whether *path* has but one reading (RFC 3986 section 6.2.2.3, and no empty segment)."""
    inner = path.removesuffix("/").split("/")[1:]
    return path.startswith("/") and "\\" not in path and not {"", ".", ".."} & set(inner)


def _is_preflight(environ: WSGIEnvironment) -> bool:
    """The fetch standard's CORS preflight: these two headers make an OPTIONS one."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )
