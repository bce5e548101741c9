"""The guard around an app and the guards around its views, all of them
`NegotiateMiddleware`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

from flask import Flask, after_this_request, current_app, request
from flask.views import View
from werkzeug.datastructures import Headers
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    InternalServerError,
    Unauthorized,
)
from werkzeug.wrappers import Response

from negotiate_wsgi import (
    ConfigurationError,
    Identity,
    NegotiateMiddleware,
    get_identity,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Authorize = Callable[[Identity], bool]
_View = TypeVar("_View", bound=Callable[..., Any])

_logger = logging.getLogger("negotiate_wsgi")
_EXTENSION = "negotiate_wsgi"
_VOUCHED = "flask_adapter.vouched"
_START = "flask_adapter.start_response"
_REFUSALS: dict[int, type[HTTPException]] = {401: Unauthorized, 403: Forbidden}
#: What a page of the app's own for a refusal needs from ours: without the challenge, no browser
#: would ever sign on.
_MOST_GUARDS = 256  # of views; a lambda made for each request would add one each time
#: What stays of a refusal in the environ, whoever catches it.
_HANDED_ON = (
    "negotiate_wsgi.refusal",
    "negotiate_wsgi.verdict",
    "negotiate_wsgi.request_id",
)
_OF_A_REFUSAL = ("WWW-Authenticate", "Cache-Control", "Set-Cookie")
_OPTIONS = set(inspect.signature(NegotiateMiddleware).parameters) - {"app"}


def init_kerberos(
    app: Flask,
    service: str | None = None,
    hostname: str | Iterable[str] | None = None,
    **options: Any,
) -> None:
    """Wrap ``app.wsgi_app`` once; views stay public until they are decorated.

    Takes every option of `NegotiateMiddleware`, of which ``required`` is False unless
    it is given. Each may also stand in ``app.config``, as ``NEGOTIATE_HOSTNAME`` and so
    on; arguments win. A second call replaces the options of the first.

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
def requires_authentication(
    *,
    users: Collection[str] | None = ...,
    groups: Collection[str] | None = ...,
    authorize: Authorize | None = ...,
) -> Callable[[_View], _View]: ...
def requires_authentication(
    view: Callable[..., Any] | None = None,
    /,
    *,
    users: Collection[str] | None = None,
    groups: Collection[str] | None = None,
    authorize: Authorize | None = None,
) -> Any:
    """Call the view with the principal as its first argument (after ``self``), or not
    at all.

    Without `init_kerberos`, the view is guarded with the default options, or
    ``app.config``'s. Who may not come in is refused by an exception of werkzeug's,
    `Unauthorized`, `Forbidden` or `InternalServerError`, which carries the answer: so
    no caller of the view takes a refusal for its value, and the app's error handlers
    see it.

    :param users: principals that may come in to this view; or 403.
    :param groups: names of groups whose members may, too: of those that the acceptor
        knows, as the option of `NegotiateMiddleware` has it.
    :param authorize: this view's own question to the `Identity`, asked last; or 403.
        The app's own users, groups and authorize are asked before.
    :raises ConfigurationError: an option is wrong, or the view takes no argument for
        the principal.
    """
    question = _Question.of(users, groups, authorize)
    guarded = functools.partial(_guarded, question=question)
    return guarded(view) if view else guarded


@dataclass(frozen=True)
class _Question:
    """What one view asks beyond its app, in the options of the middleware."""

    users: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    authorize: Authorize | None = None

    @classmethod
    def of(
        cls,
        users: Collection[str] | None,
        groups: Collection[str] | None,
        authorize: Authorize | None,
    ) -> Self:
        """Validate them: at import, and not at the first request."""
        NegotiateMiddleware(
            _admit, acceptor=_Nobody(), users=users, groups=groups, authorize=authorize
        )
        return cls(
            None if users is None else frozenset(users),
            None if groups is None else frozenset(groups),
            authorize,
        )

    @property
    def names_somebody(self) -> bool:
        return self.users is not None or self.groups is not None


def _guarded(view: Callable[..., Any], question: _Question) -> Callable[..., Any]:
    names = _names_of_parameters(view)
    is_method = names[:1] == ["self"]

    @functools.wraps(view)
    def guarded_view(*args: Any, **kwargs: Any) -> Any:
        identity = _Guards.of(current_app).ask(question)
        run = current_app.ensure_sync(view)
        if is_method or (args and isinstance(args[0], View)):
            return run(args[0], identity.principal, *args[1:], **kwargs)
        return run(identity.principal, *args, **kwargs)

    return guarded_view


def _names_of_parameters(view: Callable[..., Any]) -> list[str]:
    """Of those that a value may be given to by position.

    Raises `ConfigurationError` where none is left for the principal: at import, and not
    at the first request of somebody who has signed on.
    """
    try:
        parameters = inspect.signature(view).parameters.values()
    except (TypeError, ValueError):
        return []
    by_position = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    names = [p.name for p in parameters if p.kind in by_position]
    if names and names != ["self"]:
        return names
    called = getattr(view, "__qualname__", repr(view))
    if called.startswith("View.as_view."):
        raise ConfigurationError(
            "decorators = [requires_authentication] of a class has no way to pass the "
            "principal: decorate its methods, such as def get(self, user)"
        )
    raise ConfigurationError(
        f"{called} has no parameter for the principal: write one, such as user"
    )


def _admit(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application inside a view's guard: the view is called later, and answers by
    this.
    """
    environ[_START] = start_response
    return Response()(environ, start_response)


class _Nobody:
    """In place of the app's acceptor, which is not known yet when a view is decorated."""

    def accept(self, token: bytes) -> NoReturn:
        raise NotImplementedError


class _Guards:
    """The middlewares of one app: one around it, one for each question of its views."""

    _is_order_known = False

    @classmethod
    def of(cls, app: Flask) -> Self:
        return app.extensions.setdefault(_EXTENSION, cls())  # type: ignore[no-any-return]

    def configure(self, app: Flask, options: dict[str, Any]) -> None:
        config = app.config.get_namespace("NEGOTIATE_")
        unknown = (config | options).keys() - _OPTIONS
        if unknown:
            raise ConfigurationError(f"no such option: {', '.join(sorted(unknown))}")
        self._of_views: dict[tuple[_Question, bool], NegotiateMiddleware] = {}
        self._of_app = NegotiateMiddleware(
            self._enter, **{"required": False} | config | options
        )
        self._is_required = (config | options).get("required", False)
        self._options = config | options | {"required": True}

    def wrap(self, app: Flask) -> None:
        if not hasattr(self, "_inner"):
            self._app = app
            self._inner = app.wsgi_app
            app.wsgi_app = self  # type: ignore[method-assign]

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if not self._is_order_known:
            self._is_order_known = True
            self._warn_of_layers_outside()
        return self._of_app(environ, start_response)

    def _warn_of_layers_outside(self) -> None:
        outer: Any = self._app.wsgi_app
        if self._is_required is False or outer is self:
            return
        name = getattr(outer, "__qualname__", type(outer).__qualname__)
        _logger.warning(
            "%s wraps app.wsgi_app outside of init_kerberos(required=...): strangers reach it "
            "without signing on. Put it there before the first init_kerberos.",
            name,
        )

    def _enter(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[_VOUCHED] = get_identity(environ) and self
        return self._inner(environ, start_response)

    def ask(self, question: _Question) -> Identity:
        """Pass the request through a view's guard: who is asking. Raises its refusal."""
        if not hasattr(self, "_options"):
            self._configure_for_the_decorator_alone()
        environ = request.environ
        if "stream" in vars(request):
            # Someone has read from it, and it knows how much is left.
            environ["wsgi.input"] = request.stream
        guard = self._of_view(question, environ.get(_VOUCHED) is self)
        headers = Headers()
        # A copy: who catches a refusal goes on as whom they were.
        asked = environ.copy()

        def guarded(
            _copy: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            def start(status: str, lines: list[tuple[str, str]], *exc_info: Any) -> Any:
                headers[:] = lines
                return start_response(status, lines, *exc_info)

            return guard(asked, start)

        def finish(response: Response) -> Response:
            begin(response.status, list(response.headers))
            response.headers = headers
            return response

        refusal = Response.from_app(guarded, environ)
        identity = get_identity(asked)
        if "HTTP_AUTHORIZATION" not in asked:
            environ.pop("HTTP_AUTHORIZATION", None)
        if identity is None:
            environ.update((key, asked[key]) for key in _HANDED_ON if key in asked)
            after_this_request(functools.partial(_complete, refusal))
            raise _REFUSALS.get(refusal.status_code, InternalServerError)(
                response=refusal
            )
        environ.update(asked)
        begin = environ.pop(_START)
        after_this_request(finish)
        return identity

    def _of_view(self, question: _Question, vouched: bool) -> NegotiateMiddleware:
        key = question, vouched
        if len(self._of_views) > _MOST_GUARDS:
            self._of_views.clear()
        if key not in self._of_views:
            make = self._beside_the_app if vouched else self._with_the_apps_question
            self._of_views[key] = make(question)
        return self._of_views[key]

    def _beside_the_app(self, question: _Question) -> NegotiateMiddleware:
        """Asks *question*, and not what the guard around the app has asked."""
        return NegotiateMiddleware(_admit, **self._options | vars(question))

    def _with_the_apps_question(self, question: _Question) -> NegotiateMiddleware:
        """Asks what the app asks, and then *question*."""
        options = self._options
        of_the_app = _Question(*map(options.get, ("users", "groups", "authorize")))
        if question.names_somebody and of_the_app.names_somebody:
            # Who comes in is named by both, which no one option could say.
            return NegotiateMiddleware(self._beside_the_app(question), **options)
        both = _both(of_the_app.authorize, question.authorize)
        named = question if question.names_somebody else of_the_app
        return NegotiateMiddleware(
            _admit, **options | vars(replace(named, authorize=both))
        )

    def _configure_for_the_decorator_alone(self) -> None:
        self.configure(current_app, {})
        if self._options.get("user_header"):
            raise ConfigurationError(
                "user_header= needs init_kerberos: views without the decorator would "
                "believe whatever a client writes into that header"
            )


def _both(first: Authorize | None, second: Authorize | None) -> Authorize | None:
    """Asks *first*, and where that says True *second*."""
    if first is None or second is None:
        return first or second

    def authorize(identity: Identity) -> bool:
        answer = first(identity)
        if answer is not True:
            return answer
        return second(identity)

    return authorize


def _complete(refusal: Response, response: Response) -> Response:
    """Give an error handler's page for *refusal* what only the guard can."""
    if response is not refusal and response.status_code == refusal.status_code:
        for name in _OF_A_REFUSAL:
            if name not in response.headers:
                response.headers.extend(
                    (name, line) for line in refusal.headers.getlist(name)
                )
    return response
