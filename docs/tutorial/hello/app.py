from flask import Flask
from markupsafe import escape

from flask_adapter import requires_authentication

app = Flask(__name__)


@app.route("/")
def index():
    return '<p>Anybody may read this. <a href="/me">Who am I?</a></p>\n'


@app.route("/me")
@requires_authentication
def me(user):
    return f"<h1>Hello, {escape(user)}</h1>\n<p>Nobody asked you for a password.</p>\n"
