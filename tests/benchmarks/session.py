"""What a request of a session costs.

    tests/benchmarks/session.py [--rounds N] [--seconds N]

in process      microseconds per request that the middleware adds to the application alone
over HTTP       requests per second of a session, over those of the same application unprotected
                and asked the same, on one worker of gunicorn (gthread) and of uWSGI, loaded by wrk
                from the other core

All subjects take turns round by round; the figures are the medians of the rounds, and a ratio is
the median of the rounds' ratios. Every answer that is not a 200 ends the run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import sites
from helpers import ALICE, GOOD, NamedAcceptor, negotiate
from in_process import environ_with

from negotiate_wsgi import NegotiateMiddleware, SessionCookie

AIMS = {"in process": 15.0, "gunicorn-gthread": 0.85, "uwsgi": 0.80}
REQUESTS = 5000
KEY = "an example key of 32 bytes, or more"


def unprotected(environ, start_response):
    body = b"Hello World"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


in_session = NegotiateMiddleware(
    unprotected, acceptor=NamedAcceptor(ALICE), session=SessionCookie(KEY)
)


def cookie():
    """As a browser would send it."""
    seen = []
    environ = environ_with("") | {"HTTP_AUTHORIZATION": negotiate(GOOD)}
    in_session(environ, lambda status, headers, exc_info=None: seen.extend(headers))
    return dict(seen)["Set-Cookie"].split(";")[0]


def in_process(call):
    """Microseconds per request."""
    environ = environ_with("") | {"HTTP_COOKIE": f"theme=dark; {cookie()}; seen=1"}
    del environ["HTTP_AUTHORIZATION"]
    statuses = []
    began = time.perf_counter()
    for _ in range(REQUESTS):
        call(
            dict(environ),
            lambda status, headers, exc_info=None: statuses.append(status),
        )
    took = time.perf_counter() - began
    assert statuses == ["200 OK"] * REQUESTS
    return took / REQUESTS * 1e6


class Server(sites.HttpSite):
    def __init__(self, kind, application):
        super().__init__(
            kind,
            f"session:{application}",
            prefix=["taskset", "--cpu-list", str(os.cpu_count() - 1)],
            PYTHONPATH=f"{Path(__file__).parent}{os.pathsep}{sites.TESTS}",
        )

    def load(self, seconds):
        """Requests per second of somebody who is in a session."""
        command = [
            "taskset", "--cpu-list", "0", shutil.which("wrk"), "-t1", "-c8", f"-d{seconds}s",
            "-H", f"Cookie: theme=dark; {cookie()}; seen=1", f"http://127.0.0.1:{self.port}/",
        ]  # fmt: skip
        said = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout
        assert "Non-2xx" not in said, said
        return float(re.search(r"Requests/sec: +([\d.]+)", said)[1])


def compare(kind, rounds, seconds):
    plain, session = Server(kind, "unprotected"), Server(kind, "in_session")
    try:
        # The first round warms up.
        pairs = [
            (plain.load(seconds), session.load(seconds)) for _ in range(rounds + 1)
        ]
    finally:
        plain.close()
        session.close()
    return pairs[1:]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()

    pairs = [
        (in_process(unprotected), in_process(in_session)) for _ in range(options.rounds)
    ]
    added = statistics.median(ours - alone for alone, ours in pairs)
    print(
        f"in process        +{added:5.1f} us    aim {AIMS['in process']:.0f}",
        flush=True,
    )
    for kind in ("gunicorn-gthread", "uwsgi"):
        pairs = compare(kind, options.rounds, options.seconds)
        plain, session = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(ours / alone for alone, ours in pairs)
        print(
            f"{kind:16} {plain:7.0f} /s unprotected {session:7.0f} /s in a session"
            f"    ratio {ratio:4.2f}    aim {AIMS[kind]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
