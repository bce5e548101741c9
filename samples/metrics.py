"""Sign-ons counted for Prometheus, over all workers.

Shows   `on_decision`: every decision of the log as data, counted by outcome, reason and source; and
        prometheus_client's multiprocess mode, in which each worker counts in a file of its own and
        whichever worker is asked adds all of them up.
Run     negotiate-wsgi realm -- env PROMETHEUS_MULTIPROC_DIR="$(mktemp -d)" gunicorn --config samples/gunicorn.conf.py metrics:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
        curl http://localhost:8000/metrics | grep -c 'total{outcome="accepted",reason="",source="ticket"'
        1

Give the directory to nobody but the server's user, and empty it before each start.
"""

from plain_app import app
from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from negotiate_wsgi import Decision, NegotiateMiddleware

decisions = Counter("negotiate_decisions", "Decisions", ["outcome", "reason", "source"])
seconds = Histogram(
    "negotiate_seconds", "Time until the decision", buckets=[1e-4, 1e-3, 1e-2, 0.1]
)
token_size = Histogram(
    "negotiate_token_bytes", "Size of tokens", buckets=[2048, 8192, 16384, 65536]
)


def count(decision: Decision) -> None:
    decisions.labels(
        decision.outcome, decision.reason or "", decision.source or ""
    ).inc()
    seconds.observe(decision.seconds)
    if decision.token_size:
        token_size.observe(decision.token_size)


of_all_workers = CollectorRegistry()
MultiProcessCollector(of_all_workers)  # type: ignore[no-untyped-call]
application = DispatcherMiddleware(
    NegotiateMiddleware(app, on_decision=count),
    {"/metrics": make_wsgi_app(of_all_workers)},
)
