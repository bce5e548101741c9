"""What does a server say? Asked from outside, as a browser would."""

from __future__ import annotations

import json
import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.certificate import CertificateError, end_point

_PATIENCE = 10  # seconds
_BODY = 10_000  # bytes


@dataclass(frozen=True)
class Answer:
    """Status, header list and beginning of the body.

    A connection that was closed without an answer is status 0.

    :param is_kept: whether the server said that the connection stays open.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    is_kept: bool = False

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def reason(self) -> Reason | None:
        """Which of our reasons the answer names, if it is one of ours."""
        named = self._in_json() or re.findall(r"\(([a-z-]+)[,;)]", self.text)
        return next((reason for reason in Reason if reason in named), None)

    def _in_json(self) -> list[str]:
        try:
            content = json.loads(self.text)
        except ValueError:
            return []
        named = content.get("reason") if isinstance(content, dict) else None
        return [named] if isinstance(named, str) else []


@dataclass
class Site:
    """The server behind *url*."""

    url: str
    context: ssl.SSLContext
    #: Why the certificate is not trusted; empty where it is, or where there is none.
    distrust: str = ""

    @classmethod
    def of(cls, url: str) -> tuple[Site, Answer]:
        """The server, and what it answers to a stranger.

        A certificate that is not trusted is noted, and no secret may be sent then.
        Raises OSError where no server answers, ValueError where *url* is not one of
        HTTP.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not a URL of http or https")
        site = cls(url, ssl.create_default_context())
        try:
            return site, site._ask()
        except ssl.SSLCertVerificationError as problem:
            site.distrust = problem.verify_message
            site.context = ssl._create_unverified_context()  # noqa: S323
            return site, site._ask()

    def ask(self, authorization: str | None = None) -> Answer:
        """One GET on a connection of its own."""
        try:
            return self._ask(authorization)
        except OSError:
            return Answer()

    def ask_twice(self) -> tuple[Answer, Answer]:
        """The same request twice on one connection, without a pause."""
        try:
            with closing(self._connect()) as connection:
                return self._get(connection), self._get(connection)
        except OSError:
            return Answer(), Answer()

    def certificate(self) -> tuple[bytes | None, float | None]:
        """The one that it shows, in DER; None without TLS. And its end, in seconds since
        the epoch; None where it is not trusted.
        """
        try:
            with closing(self._connect()) as connection:
                tls = connection.sock
                if not isinstance(tls, ssl.SSLSocket):
                    return None, None
                fields = tls.getpeercert() or {}
                der = tls.getpeercert(binary_form=True)
        except OSError:
            return None, None
        end = fields.get("notAfter")
        return der, ssl.cert_time_to_seconds(str(end)) if end else None

    def binding(self) -> bytes | None:
        """What a client binds its token to; None without TLS, or where it is undefined."""
        certificate, _ = self.certificate()
        if certificate is None:
            return None
        try:
            return end_point(certificate)
        except CertificateError:
            return None

    def _ask(self, authorization: str | None = None) -> Answer:
        with closing(self._connect()) as connection:
            return self._get(connection, authorization)

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            HTTPSConnection(host, port, timeout=_PATIENCE, context=self.context)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=_PATIENCE)
        )
        connection.connect()
        # From here on a lost connection is told, and not made anew.
        connection.auto_open = 0
        return connection

    def _get(
        self, connection: HTTPConnection, authorization: str | None = None
    ) -> Answer:
        parts = urlsplit(self.url)
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        headers = {"Accept": "text/plain"}
        if authorization:
            headers["Authorization"] = authorization
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            text = response.read(_BODY).decode(errors="replace")
            is_kept = (
                not response.will_close and response.isclosed()
            )  # it was read to its end
        except (HTTPException, OSError):
            return Answer()
        return Answer(response.status, tuple(response.getheaders()), text, is_kept)
