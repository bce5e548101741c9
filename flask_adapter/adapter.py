"""Negotiate in the words of Flask-Kerberos: around an app, and on its views."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar, overload

from flask import Flask, current_app, request
from flask.views import View

from flask_adapter.guards import Authorize, Guards, Question
from negotiate_wsgi import ConfigurationError, get_delegated

_View = TypeVar("_View", bound=Callable[..., Any])


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
    guards = Guards.of(app)
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
    question = Question.of(users, groups, authorize)
    guarded = functools.partial(_guarded, question=question)
    return guarded(view) if view else guarded


def delegated() -> Any:
    """The user's credentials in this request, as `negotiate_wsgi.get_delegated` has
    them: a ``gssapi.Credentials``, or None where nothing was delegated.

    :raises DelegationError: there are some, and they cannot be used.
    """
    return get_delegated(request.environ)


def _guarded(view: Callable[..., Any], question: Question) -> Callable[..., Any]:
    names = _names_of_parameters(view)
    is_method = names[:1] == ["self"]

    @functools.wraps(view)
    def guarded_view(*args: Any, **kwargs: Any) -> Any:
        identity = Guards.of(current_app).ask(question)
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
