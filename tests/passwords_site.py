"""A gunicorn that takes passwords behind a proxy that ends TLS, and who comes by it."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import sites
from helpers import HTML

FORM = "/.negotiate/sign-in"


def basic(user, password):
    """An Authorization header; *user* may be bytes that are all of it."""
    pair = user if isinstance(user, bytes) else f"{user}:{password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def by_proxy(address="192.0.2.1", scheme="https"):
    """What a proxy says of the client, as the manual has it."""
    return [("X-Forwarded-For", address), ("X-Forwarded-Proto", scheme)]


class PasswordsSite(sites.HttpSite):
    """The application of password_apps in *directory*, where its log and its file of
    attempts are; with *options* of `PasswordSignOn`, and more *arguments* of gunicorn's.
    """

    def __init__(
        self,
        realm,
        directory,
        options=(),
        *,
        workers=1,
        threads=16,
        application="password_apps:application",
        arguments=(),
        **environ,
    ):
        self.log = directory / "log"
        self.access_log = directory / "access.log"
        passwords = {"realm": realm.name, **dict(options)}
        own = {
            "PASSWORDS": json.dumps(passwords),
            "LOG": str(self.log),
            "KRB5RCACHEDIR": str(directory),
        }
        super().__init__(
            "gunicorn-gthread",
            application,
            arguments=[
                *("--workers", str(workers), "--threads", str(threads)),
                *("--access-logfile", self.access_log, "--access-logformat", "%(p)s"),
                *arguments,
            ],
            **own | environ,
        )

    def get(self, authorization=None, path="/", headers=(), **proxy):
        headers = [*by_proxy(**proxy), *headers]
        return self.request(path, authorization, headers=headers)

    def sign_on(self, user, password, **options):
        """By Basic."""
        return self.get(basic(user, password), **options)

    def post(self, user, password, onward="/", mount="", page="same-origin", **proxy):
        """By the form of our page."""
        fields = {"username": user, "password": password, "next": onward}
        headers = [
            *by_proxy(**proxy),
            *HTML,
            ("Sec-Fetch-Site", page),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ]
        body = urlencode(fields).encode()
        return self.request(mount + FORM, method="POST", headers=headers, body=body)

    def records(self):
        """The lines of the log so far."""
        return self.log.read_text().splitlines()
