"""Instructions for each request, which repeat where times do not: instructions.py [REQUESTS]

Counted by valgrind (--tool=callgrind) over REQUESTS requests (100) in process, as the difference of
a run with twice as many: a session's, and a ticket's with either acceptor. Run it with the
environment that tests/run has made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, str(Path(__file__).parents[1]))
from initiator import Initiator

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, SessionCookie
from negotiate_wsgi.realm import Realm

SPN = "HTTP/localhost@EXAMPLE.TEST"
KINDS = ("session", "gssapi", "pykerberos")


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode()]


def environ_with(**fields):
    environ = {
        "PATH_INFO": "/",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        **fields,
    }
    setup_testing_defaults(environ)
    return environ


def ask(application, environ):
    answers = []

    def start_response(status, headers, exc_info=None):
        answers.append((status, headers))

    body = b"".join(application(environ, start_response))
    assert answers[0][0] == "200 OK", answers
    assert body == b"alice@EXAMPLE.TEST"
    return dict(answers[0][1])


def prepare(kind, count):
    """The application, and *count* requests for it."""
    if kind == "pykerberos":
        guarded = NegotiateMiddleware(app)
    else:
        session = (
            SessionCookie("k" * 16 + "another 16 bytes") if kind == "session" else None
        )
        guarded = NegotiateMiddleware(app, acceptor=GssapiAcceptor(), session=session)
    tokens = [
        Initiator(os.environ["KRB5CCNAME"], SPN).authorization for _ in range(count + 1)
    ]
    warm = ask(guarded, environ_with(HTTP_AUTHORIZATION=tokens.pop()))
    if kind != "session":
        return guarded, [environ_with(HTTP_AUTHORIZATION=token) for token in tokens]
    cookie = warm["Set-Cookie"].partition(";")[0]
    ask(guarded, environ_with(HTTP_COOKIE=cookie))
    return guarded, [environ_with(HTTP_COOKIE=cookie) for _ in range(count)]


def worker(kind, tokens, count):
    guarded, environs = prepare(kind, tokens)
    for environ in environs[:count]:
        ask(guarded, environ)


def counted(kind, tokens, count):
    program = [sys.executable, __file__, "--worker", kind, str(tokens), str(count)]
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*valgrind, *program], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def main(requests=100):
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        for kind in KINDS:
            once, twice = (counted(kind, 2 * requests, requests * n) for n in (1, 2))
            print(
                f"{kind}: {(twice - once) / requests / 1000:.1f} thousand", flush=True
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main(*map(int, sys.argv[1:]))
