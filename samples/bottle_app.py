"""A Bottle application with a public and a protected route.

Shows   `unless`: sign-on everywhere but at /health. Bottle has the principal in `request.auth`.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py bottle_app:application
Expect  curl http://localhost:8000/health
        Fine
        curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from bottle import Bottle, request

from negotiate_wsgi import NegotiateMiddleware, unless

app = Bottle()


@app.get("/health")
def health() -> str:
    return "Fine\n"


@app.get("/")
def hello() -> str:
    user, _ = request.auth
    return f"Hello {user}\n"


application = NegotiateMiddleware(app, required=unless(paths=["/health"]))
