"""Whose limit is it? Refusals as servers send them, and some that nobody of ours would send."""

from __future__ import annotations

import pytest

from negotiate_wsgi.doctor.servers import who_refused
from negotiate_wsgi.doctor.site import Answer

SIGNED = Answer(401, (("Server", "TwistedWeb/24"),))
UNSIGNED = Answer(401)
PAGE = (
    "<html>\n  <head>\n    <title>Request Header Fields Too Large</title>\n  </head>\n"
)


@pytest.mark.parametrize(
    ("refusal", "stranger", "name"),
    [
        (Answer(0), UNSIGNED, "uWSGI"),
        (Answer(0), SIGNED, None),
        (
            Answer(502, (("Server", "nginx"),), "<center>nginx</center>"),
            UNSIGNED,
            "uWSGI",
        ),
        (Answer(502, (), "<html><body><h1>502 Bad Gateway</h1>\n"), UNSIGNED, "uWSGI"),
        (
            Answer(431, (("Server", "nginx"),), f"{PAGE}<h1><p>Req"),
            UNSIGNED,
            "gunicorn",
        ),
        (Answer(431, (), f"{PAGE}<h1><p>Req"), SIGNED, "gunicorn"),
        (
            Answer(400, (), "<html><body><h1>400 Bad request</h1>\nYour"),
            UNSIGNED,
            "HAProxy",
        ),
        (
            Answer(
                431, (), "<html><body><h1>431 Request Header Fields Too Large</h1>\nReq"
            ),
            UNSIGNED,
            "HAProxy",
        ),
        (Answer(431, (), "<html><body><h1>431 Request Header"), UNSIGNED, None),
        (Answer(400, (("Server", "nginx/1.22.1"),), "my own page"), UNSIGNED, "nginx"),
        (Answer(400, (), "<hr><center>openresty/1.21</center>"), UNSIGNED, "nginx"),
        (
            Answer(400, (), "a request header field exceeds server limit.<br />"),
            SIGNED,
            "Apache",
        ),
        (Answer(431, (("Server", "envoy"),), ""), UNSIGNED, None),
        (Answer(400), UNSIGNED, None),
    ],
)
def test_whose_limit_it_is(refusal, stranger, name):
    found = who_refused(refusal, stranger)
    assert (found and found.name) == name
