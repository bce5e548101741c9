"""Refuses tokens for ever longer, and says how memory grows: refuse.py KIND COUNT SPN ACCEPTOR."""

import base64
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from initiator import Initiator
from mix_up import ACCEPTORS

from negotiate_wsgi import NegotiateMiddleware

SETTLE = 5_000


def resident():
    """Bytes of memory that this process occupies."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tokens(kind):
    genuine = Initiator(
        os.environ["KRB5CCNAME"].removeprefix("FILE:"), sys.argv[3]
    ).token
    kinds = {
        "garbage": b"\x60" + bytes(600),
        "ntlm": b"NTLMSSP\0" + bytes(600),
        "truncated": genuine[: len(genuine) // 2],
        "damaged": genuine[:-40] + b"damage" + genuine[-34:],
        "replayed": genuine,
    }
    return list(kinds.values()) if kind == "mixed" else [kinds[kind]]


def main(kind, count, acceptor):
    def app(environ, start_response):
        start_response("200 OK", [])
        return []

    guarded = NegotiateMiddleware(app, acceptor=ACCEPTORS[acceptor]())
    sent = ["Negotiate " + base64.b64encode(token).decode() for token in tokens(kind)]
    statuses = []

    def refuse(times):
        for number in range(times):
            environ = {
                "HTTP_AUTHORIZATION": sent[number % len(sent)],
                "PATH_INFO": "/",
                "REQUEST_METHOD": "GET",
            }
            guarded(
                environ,
                lambda status, headers, exc_info=None: statuses.append(status[:3]),
            )
            statuses[:-1] = []

    logging.getLogger("negotiate_wsgi").addHandler(
        logging.NullHandler()
    )  # nobody reads it here
    refuse(SETTLE)
    settled = resident()
    refuse(count - SETTLE)
    print(statuses[-1], resident() - settled)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[4])
