"""An application that knows nothing of Kerberos, and sign-on in front of it.

Shows   `protect`: the application is named in the server's configuration, and stays as it is.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py "negotiate_wsgi:protect('plain_app:app', hostname='localhost')"
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    user = environ.get("REMOTE_USER", "stranger")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [
        f"Hello {user}\n".encode("latin-1")
    ]  # a PEP 3333 string: UTF-8 seen as latin-1
