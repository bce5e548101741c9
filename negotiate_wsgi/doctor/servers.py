"""Whose answer is this? Servers and proxies, by how they refuse a large header."""

from __future__ import annotations

import re
from dataclasses import dataclass

from negotiate_wsgi.doctor.site import Answer

_BAD_GATEWAY = 502


@dataclass(frozen=True)
class Server:
    """One that has a limit.

    :param name: as its makers write it, and as it signs in ``Server``, if it does.
    :param limit: the line of its configuration that lifts the limit.
    :param mark: a pattern in the page with which it refuses.
    """

    name: str
    limit: str
    mark: str


_GUNICORN = Server("gunicorn", "limit_request_field_size = 131072", r"<h1><p>")
_NGINX = Server(
    "nginx", "large_client_header_buffers 4 128k;", r"<center>(nginx|openresty)"
)
_APACHE = Server(
    "Apache", "LimitRequestFieldSize 131072", r"exceeds server limit|<address>Apache"
)
# gunicorn and HAProxy never sign, and a proxy signs what gunicorn behind it refuses.
# HAProxy says "400 Bad request", and from 3.2 on "431 Request Header Fields Too Large".
_HAPROXY = Server(
    "HAProxy", "tune.bufsize 131072", r"^<html><body><h1>4\d\d [A-Z][A-Za-z ]+</h1>\n"
)
_SPEAKING = (_GUNICORN, _NGINX, _APACHE, _HAPROXY)
#: It closes the connection without a word, of which a proxy in front makes a 502.
UWSGI = Server("uWSGI", "buffer-size = 65535", "")


def who_refused(refusal: Answer, stranger: Answer) -> Server | None:
    """Whose limit it is; None where that cannot be told.

    :param stranger: the answer to a request of ordinary size.
    """
    if refusal.status == _BAD_GATEWAY:
        return UWSGI
    if refusal.status == 0:
        return None if stranger.all("server") else UWSGI
    for server in _SPEAKING:
        if re.search(server.mark, refusal.text):
            return server
    signature = " ".join(refusal.all("server")).lower()
    for server in _SPEAKING:
        if server.name.lower() in signature:
            return server
    return None
