"""What does the server itself say? Asked from outside, as a browser would."""

from __future__ import annotations

import ipaddress
import re
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from negotiate_wsgi.doctor.finding import Check, Finding, Setup
from negotiate_wsgi.doctor.initiator import InitiatorError, TicketInitiator
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.authorization import CHALLENGE, write_token

_PATIENCE = 10  # seconds
_SIZES = (8, 16, 32, 64)  # KB
_ENOUGH = 16  # KB: the ticket of a user in 1000 groups takes 12.6 KB
_TOO_LARGE = {400, 413, 414, 431, 494}
#: What to set where, by what the server calls itself; uWSGI and HAProxy do not say.
_LIMITS = {
    "gunicorn": "limit_request_field_size = 131072",
    "nginx": "large_client_header_buffers 4 128k;",
    "Apache": "LimitRequestFieldSize 131072",
    "HAProxy": "tune.bufsize 131072",
    "uWSGI": "buffer-size = 65535",
}


@dataclass(frozen=True)
class Answer:
    """Status, header list and beginning of the body; a connection closed without any is status 0."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def reason(self) -> Reason | None:
        """Which of our reasons the answer names, if it is one of ours."""
        named = re.search(r"\(([a-z-]+)\)\s*$", self.text)
        return next((reason for reason in Reason if named and reason == named[1]), None)


@dataclass
class Site:
    """The server behind *url*."""

    url: str
    context: ssl.SSLContext

    def ask(self, authorization: str | None = None) -> Answer:
        """One GET on a connection of its own. Raises OSError where there is no connection."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            HTTPSConnection(host, port, timeout=_PATIENCE, context=self.context)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=_PATIENCE)
        )
        headers = {"Accept": "text/plain"}
        if authorization:
            headers["Authorization"] = authorization
        connection.connect()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            text = response.read(10_000).decode(errors="replace")
            return Answer(response.status, tuple(response.getheaders()), text)
        except (HTTPException, ConnectionError):
            return Answer()
        finally:
            connection.close()


def check_site(setup: Setup, url: str) -> Iterator[Finding]:
    """What *url* answers to a stranger, to you, and to ever larger headers."""
    setup.tell(f"asking {url}")
    site = Site(url, ssl.create_default_context())
    untrusted = ""
    try:
        try:
            stranger = site.ask()
        except ssl.SSLCertVerificationError as problem:
            untrusted = problem.verify_message
            site.context = ssl._create_unverified_context()  # noqa: S323
            stranger = site.ask()
    except OSError as problem:
        yield Check.ANSWER.problem(f"{url}: {problem}.", "Start the server, or mend the URL.")
        return
    software = stranger.all("server")
    yield Check.ANSWER.ok(
        f"{stranger.status} from {', '.join(software) or 'a server without a name'}"
    )
    yield _encryption(url, untrusted)
    challenge = _challenge(stranger)
    yield challenge
    if challenge.remedy:
        return
    yield from _sign_on(site)
    setup.tell("sending large headers")
    yield _headers(site, software)


def _encryption(url: str, untrusted: str) -> Finding:
    parts = urlsplit(url)
    if untrusted:
        found = f"The certificate is not trusted here: {untrusted}."
        return Check.TLS.warning(found, "Have clients trust its issuer.")
    if parts.scheme == "https":
        return Check.TLS.ok("encrypted, and the certificate is trusted")
    if parts.hostname == "localhost" or (parts.hostname or "").startswith("127."):
        return Check.TLS.ok("not encrypted, but on this machine alone")
    found = "Not encrypted: who can read the connection can take it over."
    return Check.TLS.warning(found, "Use TLS.")


def _challenge(stranger: Answer) -> Finding:
    check, found = Check.CHALLENGE, stranger.all("www-authenticate")
    negotiate = [value for value in found if value.strip().lower().startswith("negotiate")]
    if stranger.status == 401 and negotiate == [CHALLENGE]:
        return check.ok("401, with exactly one")
    if stranger.status == 401 and len(negotiate) > 1:
        return check.problem(
            f"401, with {len(negotiate)} challenges of Negotiate: several layers ask.",
            "Let one layer alone ask: the proxy, the server or the application.",
        )
    if stranger.status == 401:
        text = f"401, with {', '.join(found) or 'no challenge at all'}."
        return check.problem(
            text, "Put NegotiateMiddleware in front, or tell the proxy to pass it."
        )
    if stranger.reason and stranger.reason.status == 500:
        reason = stranger.reason
        return check.problem(f"{stranger.status}: {reason.cause}", reason.remedy)
    return check.problem(
        f"{stranger.status} and not 401: no sign-on is asked for here.",
        "Give the URL of a page that needs sign-on.",
    )


def _sign_on(site: Site) -> Iterator[Finding]:
    check, host = Check.URL_SIGN_ON, urlsplit(site.url).hostname or ""
    if _is_address(host):
        yield check.problem(
            f"{host} is an address, and clients get no tickets for such.", "Use the host's name."
        )
        return
    try:
        initiator = TicketInitiator(None, host)
    except InitiatorError as none:
        yield check.warning(f"You have no ticket for it: {none}.", "Get one.", "kinit")
        return
    answer = site.ask(write_token(initiator.token))
    yield _outcome(answer, initiator)
    yield from _cookies(answer, site.url)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _outcome(answer: Answer, initiator: TicketInitiator) -> Finding:
    check, reason = Check.URL_SIGN_ON, answer.reason
    if answer.status == 401 and reason in (None, Reason.NO_CREDENTIALS):
        return check.problem(
            "The server asks again, as if no ticket had been sent.",
            "Have what stands before the application pass Authorization on (Apache: "
            "WSGIPassAuthorization On).",
            "WSGIPassAuthorization On",
        )
    if answer.status in (0, 401, 500) or reason:
        told = f"{reason}: {reason.cause}" if reason else ""
        remedy = reason.remedy if reason else "Read the server's log."
        command = "kinit" if reason in (Reason.STALE_TICKET, Reason.EXPIRED) else ""
        found = f"{answer.status or 'No answer'} to your ticket. {told}"
        if reason and reason.status == 403:
            return check.warning(found, remedy)
        return check.problem(found, remedy, command)
    proofs = [value.split()[1] for value in answer.all("www-authenticate") if " " in value]
    if len(proofs) != 1 or not initiator.trusts(b64decode(proofs[0])):
        return check.problem(
            f"{answer.status}, but the server has not proved itself.",
            "Find out which server this is: it may have none of the service's keys.",
        )
    return check.ok(f"{answer.status}, and the server has proved itself")


def _cookies(answer: Answer, url: str) -> Iterator[Finding]:
    check = Check.COOKIE
    ours = [c for c in answer.all("set-cookie") if re.match(r"(__Host-)?negotiate=", c)]
    if not ours:
        yield check.ok("none is set: every request is asked for a ticket")
        return
    attributes = {part.strip().lower() for part in ours[0].split(";")[1:]}
    if url.startswith("https:") and "secure" not in attributes:
        yield check.warning(
            "It is sent without Secure over TLS, because the application believes to be without.",
            "Have the proxy send X-Forwarded-Proto and the server believe it, or say secure=True.",
            "proxy_set_header X-Forwarded-Proto $scheme;",
        )
    elif "httponly" not in attributes:
        yield check.warning("It is sent without HttpOnly.", "Find out who rewrites it.")
    else:
        yield check.ok("; ".join(["set", *sorted(attributes)]))


def _headers(site: Site, software: list[str]) -> Finding:
    largest, refused = 0, None
    for size in _SIZES:
        token = b64encode(bytes(size * 768 - 9)).decode()
        answer = site.ask(f"{CHALLENGE} {token}")
        if answer.status == 0 or (answer.status in _TOO_LARGE and not answer.reason):
            refused = answer
            break
        largest = size
    if largest >= _ENOUGH:
        return Check.HEADER.ok(f"{largest} KB")
    server = _server(refused, software)
    how = refused.status if refused and refused.status else "a closed connection"
    return Check.HEADER.warning(
        f"{f'{largest} KB' if largest else 'Less than 8 KB'}; larger is answered with {how}. "
        "The ticket of a user in 1000 groups of Active Directory takes 12.6 KB.",
        f"Lift the limit of {server or 'the server, and of each proxy before it'}.",
        _LIMITS.get(server, ""),
    )


def _server(refused: Answer | None, software: list[str]) -> str:
    """Whose limit it is: that of whoever signs the refusal, or of who is known to be silent."""
    refusal = refused or Answer()
    said = " ".join([*refusal.all("server"), *software])
    named = [name for name in ("nginx", "Apache", "gunicorn") if name.lower() in said.lower()]
    if refusal.status == 0:
        return "uWSGI"
    if refusal.all("server") and named:
        return named[0]
    return "gunicorn" if refusal.status == 431 or not refusal.headers else "HAProxy"
