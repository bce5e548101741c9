"""A Flask application with a public and a protected view.

Shows   `requires_authentication`: the principal is the view's first argument.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py flask_app:app
Expect  curl http://localhost:8000/
        Anybody may read this.
        curl --negotiate --user : http://localhost:8000/whoami    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from flask import Flask

from flask_adapter import init_kerberos, requires_authentication

app = Flask(__name__)
init_kerberos(app)


@app.route("/")
def public() -> str:
    return "Anybody may read this.\n"


@app.route("/whoami")
@requires_authentication
def whoami(user: str) -> str:
    return f"Hello {user}\n"
