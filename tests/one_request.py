"""One request to a guarded application, in a process of its own: prints what the log said of it.

Standard input is the ``Authorization`` header, or empty; arguments are options of the middleware.
"""

import json
import logging
import sys

from sites import WsgiSite

from negotiate_wsgi import NegotiateMiddleware


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.told = []

    def emit(self, record):
        self.told.append({"reason": record.reason, "message": record.getMessage()})


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


if __name__ == "__main__":
    records = Records()
    logging.getLogger("negotiate_wsgi").addHandler(records)
    logging.getLogger("negotiate_wsgi").setLevel(logging.DEBUG)
    site = WsgiSite(NegotiateMiddleware(hello, **json.loads(sys.argv[1])))
    answer = site.request("/", sys.stdin.read() or None)
    print(json.dumps({"status": answer.status, **records.told[-1]}))
