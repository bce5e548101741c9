"""What do we say when the answer is no? Status, challenges and a page."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.request.pages import page_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from negotiate_wsgi.request.form_page import FormPage

    Headers = list[tuple[str, str]]

_OURS = {"www-authenticate", "cache-control"}


def answer(
    reason: Reason,
    page: WSGIApplication | None = None,
    challenges: Iterable[str] = (),
    form: FormPage | None = None,
    retry_after: int | None = None,
) -> WSGIApplication:
    """The WSGI application that refuses a request with the status of *reason*.

    *page* is an application for the body in place of ours, whose status, challenges and
    ``Cache-Control`` give way. *challenges* may be the mutual token. *form* is the
    one on our page to sign in by, *retry_after* is in seconds.
    """
    status = f"{reason.status} {HTTPStatus(reason.status).phrase}"

    def refuse(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        def start(
            _status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            kept = [line for line in headers if line[0].lower() not in _OURS]
            kept.append(("Cache-Control", "no-store"))
            kept.extend(("WWW-Authenticate", challenge) for challenge in challenges)
            if retry_after is not None:
                kept.append(("Retry-After", str(retry_after)))
            return start_response(status, kept, exc_info)

        if page:
            return page(environ, start)
        headers, body = page_for(reason, environ, form)
        start(status, headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return [body]

    return refuse
