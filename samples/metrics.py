"""Sign-ons counted for Prometheus.

Shows   `on_decision`: every decision of the log as data, counted by outcome, reason and source.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py --workers 1 metrics:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
        curl http://localhost:8000/metrics | grep -c 'total{outcome="accepted",reason="",source="ticket"'
        1

More than one worker needs prometheus_client's multiprocess mode.
"""

from plain_app import app
from prometheus_client import Counter, Histogram, make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from negotiate_wsgi import Decision, NegotiateMiddleware

decisions = Counter("negotiate_decisions", "Decisions", ["outcome", "reason", "source"])
seconds = Histogram("negotiate_seconds", "Time until the decision", buckets=[1e-4, 1e-3, 1e-2, 0.1])
token_size = Histogram(
    "negotiate_token_bytes", "Size of tokens", buckets=[2048, 8192, 16384, 65536]
)


def count(decision: Decision) -> None:
    decisions.labels(decision.outcome, decision.reason or "", decision.source or "").inc()
    seconds.observe(decision.seconds)
    if decision.token_size:
        token_size.observe(decision.token_size)


application = DispatcherMiddleware(
    NegotiateMiddleware(app, on_decision=count), {"/metrics": make_wsgi_app()}
)
