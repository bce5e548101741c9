"""The guard around an app and the guards around its views, all of them `NegotiateMiddleware`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from flask import Flask, after_this_request, current_app, request
from flask.views import View
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from negotiate_wsgi import ConfigurationError, Identity, NegotiateMiddleware, get_identity

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Authorize = Callable[[Identity], bool]
_View = TypeVar("_View", bound=Callable[..., Any])

_EXTENSION = "negotiate_wsgi"
_VOUCHED = "flask_adapter.vouched"
_START = "flask_adapter.start_response"
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
    guards = _Guards.of(app)
    guards.configure(app, options)
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
    guarded = functools.partial(_guarded, authorize=authorize)
    return guarded(view) if view else guarded


def _guarded(view: Callable[..., Any], authorize: Authorize | None) -> Callable[..., Any]:
    @functools.wraps(view)
    def guarded_view(*args: Any, **kwargs: Any) -> Any:
        answer = _Guards.of(current_app).ask(authorize)
        if isinstance(answer, Response):
            return answer
        run, bound = current_app.ensure_sync(view), int(bool(args) and isinstance(args[0], View))
        return run(*args[:bound], answer.principal, *args[bound:], **kwargs)

    return guarded_view


def _admit(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application inside a view's guard: the view is called later, and answers by this."""
    environ[_START] = start_response
    return Response()(environ, start_response)


class _Guards:
    """The middlewares of one app: one around it, one for each question of its views."""

    @classmethod
    def of(cls, app: Flask) -> Self:
        return app.extensions.setdefault(_EXTENSION, cls())  # type: ignore[no-any-return]

    def configure(self, app: Flask, options: dict[str, Any]) -> None:
        config = app.config.get_namespace("NEGOTIATE_")
        if unknown := (config | options).keys() - _OPTIONS:
            raise ConfigurationError(f"no such option: {', '.join(sorted(unknown))}")
        self._of_views: dict[tuple[Authorize | None, bool], NegotiateMiddleware] = {}
        self._of_app = NegotiateMiddleware(self._enter, **{"required": False} | config | options)
        self._options = config | options | {"required": True}

    def wrap(self, app: Flask) -> None:
        if not hasattr(self, "_inner"):
            self._inner, app.wsgi_app = app.wsgi_app, self  # type: ignore[method-assign]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._of_app(environ, start_response)

    def _enter(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[_VOUCHED] = get_identity(environ) and self
        return self._inner(environ, start_response)

    def ask(self, authorize: Authorize | None) -> Identity | Response:
        """Pass the request through a view's guard: who is asking, or its refusal."""
        if not hasattr(self, "_options"):  # the decorator alone
            self.configure(current_app, {})
        environ = request.environ
        if "stream" in vars(request):  # someone has read from it, and it knows how much is left
            environ["wsgi.input"] = request.stream
        guard, headers = self._of_view(authorize, environ.get(_VOUCHED) is self), Headers()

        def guarded(_copy: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            def start(status: str, lines: list[tuple[str, str]], *exc_info: Any) -> Any:
                headers[:] = lines
                return start_response(status, lines, *exc_info)

            return guard(environ, start)

        def finish(response: Response) -> Response:
            begin(response.status, list(response.headers))
            response.headers = headers
            return response

        refusal = Response.from_app(guarded, environ)
        if identity := get_identity(environ):
            begin = environ.pop(_START)
            after_this_request(finish)
        return identity or refusal

    def _of_view(self, authorize: Authorize | None, vouched: bool) -> NegotiateMiddleware:
        key = authorize, vouched
        if key not in self._of_views:
            guard = NegotiateMiddleware(_admit, **self._options | {"authorize": authorize})
            if not vouched:  # nobody has asked the app's own question yet
                guard = NegotiateMiddleware(guard, **self._options)
            self._of_views[key] = guard
        return self._of_views[key]
