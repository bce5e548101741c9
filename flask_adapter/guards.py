"""The guard around an app and the guards around its views, all of them
`NegotiateMiddleware`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

from flask import Flask, after_this_request, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    TooManyRequests,
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

_logger = logging.getLogger("negotiate_wsgi")
_EXTENSION = "negotiate_wsgi"
_VOUCHED = "flask_adapter.vouched"
_START = "flask_adapter.start_response"
_REFUSALS: dict[int, type[HTTPException]] = {
    401: Unauthorized,
    403: Forbidden,
    429: TooManyRequests,
    503: ServiceUnavailable,
}
_MOST_GUARDS = 256  # of views; a lambda made for each request would add one each time
#: What stays of a refusal in the environ, whoever catches it.
_HANDED_ON = (
    "negotiate_wsgi.refusal",
    "negotiate_wsgi.verdict",
    "negotiate_wsgi.request_id",
)
#: What a page of the app's own for a refusal needs from ours: without the challenge, no
#: browser would ever sign on.
_OF_A_REFUSAL = ("WWW-Authenticate", "Cache-Control", "Retry-After", "Set-Cookie")
_OPTIONS = set(inspect.signature(NegotiateMiddleware).parameters) - {"app"}


@dataclass(frozen=True)
class Question:
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
        question = cls(_once(users), _once(groups), authorize)
        NegotiateMiddleware(_admit, acceptor=_Nobody(), **vars(question))
        return question

    @property
    def names_somebody(self) -> bool:
        return self.users is not None or self.groups is not None


def _once(names: Collection[str] | None) -> Any:
    """*names*, of which some can be read only once; a text, which is refused, as it is."""
    if names is None or isinstance(names, str):
        return names
    return frozenset(names)


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


class Guards:
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
        self._of_views: dict[tuple[Question, bool], NegotiateMiddleware] = {}
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

    def ask(self, question: Question) -> Identity:
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
        after_this_request(functools.partial(_finish, refusal, begin, headers))
        return identity

    def _of_view(self, question: Question, vouched: bool) -> NegotiateMiddleware:
        key = question, vouched
        if len(self._of_views) > _MOST_GUARDS:
            self._of_views.clear()
        if key not in self._of_views:
            make = self._beside_the_app if vouched else self._with_the_apps_question
            self._of_views[key] = make(question)
        return self._of_views[key]

    def _beside_the_app(self, question: Question) -> NegotiateMiddleware:
        """Asks *question*, and not what the guard around the app has asked."""
        return NegotiateMiddleware(_admit, **self._options | vars(question))

    def _with_the_apps_question(self, question: Question) -> NegotiateMiddleware:
        """Asks what the app asks, and then *question*."""
        options = self._options
        of_the_app = Question(*map(options.get, ("users", "groups", "authorize")))
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
        if self._options.get("passwords") and self._options.get("session"):
            raise ConfigurationError(
                "passwords= with session= needs init_kerberos: the sign-in form posts to "
                "a path that is no view's"
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


def _finish(
    answer: Response, begin: StartResponse, headers: Headers, response: Response
) -> Response:
    """Let the guard, whose *answer* said yes, have its say on the view's *response*."""
    begin(response.status, list(response.headers))
    response.headers = headers
    # What the guard has lent to the view ends with the view's own answer.
    response.call_on_close(answer.close)
    return response


def _complete(refusal: Response, response: Response) -> Response:
    """Give an error handler's page for *refusal* what only the guard can."""
    if response is not refusal and response.status_code == refusal.status_code:
        for name in _OF_A_REFUSAL:
            if name not in response.headers:
                response.headers.extend(
                    (name, line) for line in refusal.headers.getlist(name)
                )
    return response
