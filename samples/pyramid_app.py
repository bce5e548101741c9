"""A Pyramid application whose security policy believes the realm.

Shows   a security policy of six lines. Sign-on itself is configured in pyramid.ini.
Run     negotiate-wsgi realm -- env PYTHONPATH=samples pserve samples/pyramid.ini
Expect  curl --negotiate --user : http://localhost:8002/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class RealmSecurityPolicy:
    def identity(self, request: Request) -> str | None:
        return request.remote_user  # type: ignore[no-any-return]

    authenticated_userid = identity

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return self.identity(request) is not None


def hello(request: Request) -> Response:
    return Response(
        f"Hello {request.authenticated_userid}\n", content_type="text/plain"
    )


def main(global_config: Mapping[str, str], **settings: str) -> WSGIApplication:
    with Configurator(settings=settings) as config:
        config.set_security_policy(RealmSecurityPolicy())
        config.add_route("hello", "/")
        config.add_view(hello, route_name="hello", permission="view")
        return config.make_wsgi_app()  # type: ignore[no-any-return]
