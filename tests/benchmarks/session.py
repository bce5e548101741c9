"""What a request of a session costs.

    tests/benchmarks/session.py [--rounds N] [--seconds N]

in process      microseconds per request that the middleware adds to the application alone
with a store    microseconds per request that a store adds to that
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
from valkeys import Server as Store

from negotiate_wsgi import NegotiateMiddleware, SessionCookie, ValkeyStore

AIMS = {
    "in process": 15.0,
    "with a store": 1.0,
    "gunicorn-gthread": 0.90,
    "uwsgi": 0.93,
}
REQUESTS = 5000
KEY = "an example key of 32 bytes, or more"


def unprotected(environ, start_response):
    body = b"Hello World"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def guarded(**options):
    return NegotiateMiddleware(
        unprotected,
        acceptor=NamedAcceptor(ALICE),
        session=SessionCookie(KEY),
        **options,
    )


in_session = guarded()


def cookie(application=in_session):
    """As a browser would send it after it has signed on."""
    seen = []
    environ = environ_with("") | {"HTTP_AUTHORIZATION": negotiate(GOOD)}
    application(environ, lambda status, headers, exc_info=None: seen.extend(headers))
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


def compare_in_process(rounds):
    """Of each round, microseconds of the application alone, in a session, and of a
    session with a store, which is asked nothing but whether something is new.
    """
    with Store() as store:
        with_store = guarded(store=ValkeyStore(store.url))
        subjects = (unprotected, in_session, with_store)
        for call in subjects:
            in_process(call)
        began = time.monotonic()
        before = store.calls()
        figures = [[in_process(call) for call in subjects] for _ in range(rounds)]
        looks = (time.monotonic() - began) / 5 + 1
        asked = {
            name: count - before.get(name, 0) for name, count in store.calls().items()
        }
        asked.pop("info", None)
        assert sum(asked.values()) <= looks, asked
    return figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()

    figures = compare_in_process(options.rounds)
    added = {
        "in process": statistics.median(ours - alone for alone, ours, _ in figures),
        "with a store": statistics.median(shared - ours for _, ours, shared in figures),
    }
    for name, cost in added.items():
        print(f"{name:16}  +{cost:5.1f} us    aim {AIMS[name]:.0f}", flush=True)
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
