"""A page that shows who you are, with ten assets and two forms, and no JavaScript.

Shows   a session: the browser is asked once, and not again for every asset; `trusted_origins`: no
        other site's page can send these forms in your name; `forget`: leaving the session.
Run     negotiate-wsgi realm -- env SECRET_KEY="$(openssl rand -hex 32)" gunicorn --config samples/gunicorn.conf.py page:application
Expect  curl --negotiate --user : http://localhost:8000/name    (in the realm)
        alice@EXAMPLE.TEST
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from negotiate_wsgi import (
    Identity,
    NegotiateMiddleware,
    SessionCookie,
    forget,
    get_identity,
)

ASSETS = Path(__file__).with_name("page")
MAX_AGE = int(os.environ.get("MAX_AGE", "3600"))  # seconds

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page/style.css">
<main>
<header>
<img src="/page/person.svg" alt="">
<div><h1>Hello, {name}</h1><p>{greeting}</p></div>
</header>
<dl>
<dt><img src="/page/name.svg" alt=""> Principal</dt><dd id="principal">{principal}</dd>
<dt><img src="/page/realm.svg" alt=""> Realm</dt><dd id="realm">{realm}</dd>
<dt><img src="/page/spn.svg" alt=""> SPN</dt><dd id="spn">{service}</dd>
<dt>Brought in by</dt><dd>{brought} {session}</dd>
<dt><img src="/page/clock.svg" alt=""> A session lasts</dt><dd>{max_age} seconds</dd>
</dl>
<form method="post" action="/note">
<label for="note"><img src="/page/note.svg" alt="" width="18"> A note, signed with your name</label>
<input id="note" name="note" maxlength="80" required><button>Post</button>
</form>
<p id="posted">{posted}</p>
<form method="post" action="/leave">
<button><img src="/page/leave.svg" alt="" width="16"> Forget this session</button>
</form>
</main>
</html>
"""


def show(identity: Identity, auth_type: str, posted: str = "") -> Response:
    values = {
        "name": identity.name,
        "principal": identity.principal,
        "realm": identity.realm,
        "service": identity.spn or "only a ticket says",
        "max_age": str(MAX_AGE),
        "posted": posted,
        "greeting": "Nobody asked you for a password.",
    }
    brought = "ticket"
    if auth_type == "Basic":  # also in a session that a password began
        brought = "password"
        values["greeting"] = "You signed in with your password."
    values = {key: escape(value) for key, value in values.items()}
    for place, source in (("brought", brought), ("session", "session")):
        tag = (
            'mark id="source"'
            if source == identity.source
            else 'span aria-hidden="true"'
        )
        values[place] = (
            f'<{tag}><img src="/page/{source}.svg" alt=""> {source}</{tag[:4]}>'
        )
    page = PAGE.format_map(values)
    return Response(page, mimetype="text/html")


@Request.application
def app(request: Request) -> Response:
    identity = get_identity(request.environ)
    assert identity is not None  # sign-on is required
    auth_type = request.environ["AUTH_TYPE"]
    if request.method == "POST" and request.path == "/note":
        posted = f"{identity.principal} wrote: {request.form.get('note', '')}"
        return show(identity, auth_type, posted)
    if request.method == "POST" and request.path == "/leave":
        forget(request.environ)
        return redirect("/", 303)
    if request.path == "/name":
        return Response(f"{identity.principal}\n")
    if request.path != "/":
        return Response("Not found\n", 404)
    return show(identity, auth_type)


site = SharedDataMiddleware(app, {"/page": str(ASSETS)}, cache=False)
application = NegotiateMiddleware(
    site,
    session=SessionCookie(os.environ["SECRET_KEY"], max_age=MAX_AGE),
    trusted_origins=[],
)
