"""The guard around an app and the guards around its views, all of them `NegotiateMiddleware`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flask import Flask, after_this_request, current_app, request
from flask.views import View
from werkzeug.wrappers import Response

from negotiate_wsgi import ConfigurationError, Identity, NegotiateMiddleware, get_identity

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Authorize = Callable[[Identity], bool]
_View = TypeVar("_View", bound=Callable[..., Any])

_EXTENSION = "negotiate_wsgi"
_VOUCHED = "flask_adapter.vouched"
_OPTIONS = set(inspect.signature(NegotiateMiddleware).parameters) - {"app"}


def init_kerberos(
    app: Flask,
    service: str | None = None,
    hostname: str | Iterable[str] | None = None,
    **options: Any,
) -> None:
    """Wrap ``app.wsgi_app`` once; views stay public until they are decorated.

    Takes every option of `NegotiateMiddleware`, of which ``required`` is False unless it is given.
    Each may also stand in ``app.config``, as ``NEGOTIATE_HOSTNAME`` and so on; arguments win.
    A second call replaces the options of the first.

    :raises ConfigurationError: an option is wrong or unknown.
    """
    named = {"service": service, "hostname": hostname}
    options |= {name: value for name, value in named.items() if value is not None}
    guards: _Guards = app.extensions.get(_EXTENSION) or _Guards()
    guards.configure(_configured(app) | options)
    guards.wrap(app)


@overload
def requires_authentication(view: _View, /) -> _View: ...
@overload
def requires_authentication(*, authorize: Authorize | None = ...) -> Callable[[_View], _View]: ...
def requires_authentication(
    view: Callable[..., Any] | None = None, /, *, authorize: Authorize | None = None
) -> Any:
    """Call the view with the principal as its first argument (after ``self``), or not at all.

    Without `init_kerberos`, the view is guarded with the default options, or ``app.config``'s.

    :param authorize: this view's own question to the `Identity`, asked after the app's; or 403.
    """
    if view is None:
        return functools.partial(_guarded, authorize=authorize)
    return _guarded(view, authorize)


def _guarded(view: Callable[..., Any], authorize: Authorize | None) -> Callable[..., Any]:
    @functools.wraps(view)
    def guarded_view(*args: Any, **kwargs: Any) -> Any:
        guards: _Guards | None = current_app.extensions.get(_EXTENSION)
        if guards is None:
            guards = _Guards()
            guards.configure(_configured(current_app))
            current_app.extensions[_EXTENSION] = guards
        answer = guards.ask(authorize)
        identity = get_identity(request.environ)
        if identity is None:
            return answer
        if proof := answer.headers.get("WWW-Authenticate"):
            after_this_request(functools.partial(_prove, proof=proof))
        bound = 1 if args and isinstance(args[0], View) else 0
        arguments = *args[:bound], identity.principal, *args[bound:]
        return current_app.ensure_sync(view)(*arguments, **kwargs)

    return guarded_view


def _prove(response: Response, proof: str) -> Response:
    if response.status_code != 401:  # there it would mean "continue", RFC 4559 section 5
        response.headers["WWW-Authenticate"] = proof
    return response


def _configured(app: Flask) -> dict[str, Any]:
    prefix = "NEGOTIATE_"
    found = {key: value for key, value in app.config.items() if key.startswith(prefix)}
    return {key.removeprefix(prefix).lower(): value for key, value in found.items()}


class _Guards:
    """The middlewares of one app: one around it, one for each question of its views."""

    _inner: WSGIApplication

    def configure(self, options: dict[str, Any]) -> None:
        if unknown := options.keys() - _OPTIONS:
            raise ConfigurationError(f"no such option: {', '.join(sorted(unknown))}")
        self._options = options | {"required": True}
        self._of_views: dict[tuple[Authorize | None, bool], NegotiateMiddleware] = {}
        self._of_app = NegotiateMiddleware(self._enter, **{"required": False} | options)

    def wrap(self, app: Flask) -> None:
        app.extensions[_EXTENSION] = self
        if not hasattr(self, "_inner"):
            self._inner = app.wsgi_app
            app.wsgi_app = self  # type: ignore[method-assign]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop(_VOUCHED, None)
        return self._of_app(environ, start_response)

    def _enter(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if get_identity(environ):
            environ[_VOUCHED] = self
        return self._inner(environ, start_response)

    def ask(self, authorize: Authorize | None) -> Response:
        """Pass the request through a view's guard: its answer, and the identity in the environ."""
        environ = request.environ
        if "stream" in vars(request):  # someone has read from it, and it knows how much is left
            environ["wsgi.input"] = request.stream
        vouched = environ.get(_VOUCHED) is self
        guard = self._of_view(authorize, vouched)
        return Response.from_app(
            lambda _copy, start_response: guard(environ, start_response), environ
        )

    def _of_view(self, authorize: Authorize | None, vouched: bool) -> NegotiateMiddleware:
        key = authorize, vouched
        if key not in self._of_views:
            guard = NegotiateMiddleware(Response(), **self._options | {"authorize": authorize})
            if not vouched:  # nobody has asked the app's own question yet
                guard = NegotiateMiddleware(guard, **self._options)
            self._of_views[key] = guard
        return self._of_views[key]
