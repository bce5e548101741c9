"""What does the server itself say? To a stranger, to you, and to ever larger headers."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from urllib.parse import urlsplit

from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.initiator import InitiatorError, TicketInitiator
from negotiate_wsgi.doctor.servers import UWSGI, who_refused
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.site import Answer, Site
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.authorization import CHALLENGE, write_token

_SIZES = (8, 16, 32, 64)  # KB
_ENOUGH = 16  # KB: the ticket of a user in 1000 groups takes 12.6 KB


@check("NW020", "server's answer")
def first_answer(setup: Setup) -> Iterator[Finding]:
    """There is one."""
    if setup.url is None:
        return
    setup.tell(f"asking {setup.url}")
    try:
        setup.site, setup.stranger = Site.of(setup.url)
    except ValueError as fault:
        yield problem(
            f"{setup.url}: {fault}.", "Write the whole URL: https://www.example.com/."
        )
        return
    except OSError as fault:
        yield problem(f"{setup.url}: {fault}.", "Start the server, or correct the URL.")
        return
    if not setup.stranger.status:
        yield problem(
            f"{setup.url}: the connection ends without an answer of HTTP.",
            "Read the server's log, and look whether the URL should begin with https.",
        )
        return
    software = ", ".join(setup.stranger.all("server")) or "a server without a name"
    yield ok(f"{setup.stranger.status} from {software}")


@check("NW021", "TLS", after={"NW020"})
def tls(setup: Setup) -> Iterator[Finding]:
    """The connection is encrypted, and the certificate is trusted."""
    parts = urlsplit(setup.site.url)
    host = parts.hostname or ""
    if setup.site.distrust:
        yield problem(
            f"The certificate is not trusted here: {setup.site.distrust}. No ticket is sent.",
            "Let this machine, and all clients, trust its issuer (SSL_CERT_FILE names "
            "a file of issuers), or find out which server this is.",
        )
    elif parts.scheme == "https":
        yield ok("encrypted, and the certificate is trusted")
    elif host == "localhost" or host.startswith("127."):
        yield ok("not encrypted, but on this machine alone")
    else:
        yield warning(
            "Not encrypted: whoever can read the connection can take it over.",
            "Use TLS.",
        )


@check("NW022", "challenge", after={"NW020"})
def challenge(setup: Setup) -> Iterator[Finding]:
    """A stranger gets a 401 with exactly one Negotiate."""
    stranger = setup.stranger
    found = stranger.all("www-authenticate")
    negotiate = [
        value for value in found if value.strip().lower().startswith("negotiate")
    ]
    if stranger.status == 401 and negotiate == [CHALLENGE]:
        yield ok("401, with exactly one")
    elif stranger.status == 401 and len(negotiate) > 1:
        yield problem(
            f"401, with {len(negotiate)} challenges of Negotiate: several layers ask.",
            "Let only one layer ask: the proxy, the server or the application.",
        )
    elif stranger.status == 401:
        yield problem(
            f"401, with {', '.join(found) or 'no challenge at all'}.",
            "Put NegotiateMiddleware in front, or tell the proxy to pass its challenge on.",
        )
    elif stranger.reason and stranger.reason.status == 500:
        yield problem(
            f"{stranger.status}: {stranger.reason.cause}", stranger.reason.remedy
        )
    else:
        yield problem(
            f"{stranger.status} and not 401: no sign-on is asked for here.",
            "Give the URL of a page that needs sign-on.",
        )


@check("NW023", "sign-on with your ticket", after={"NW021", "NW022", "NW030"})
def sign_on(setup: Setup) -> Iterator[Finding]:
    """It succeeds, and the server proves itself."""
    host = urlsplit(setup.site.url).hostname or ""
    if _is_address(host):
        yield problem(
            f"{host} is an address, and there are no tickets for addresses.",
            "Use the host's name in the URL.",
        )
        return
    setup.tell(f"signing on to {host}")
    try:
        initiator = TicketInitiator(None, host, binding=setup.site.binding())
    except InitiatorError as error:
        yield warning(f"You have no ticket for it: {error}.", "Get one.", "kinit")
        return
    setup.signed_on = setup.site.ask(write_token(initiator.token))
    yield _outcome(setup.signed_on, initiator)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _outcome(answer: Answer, initiator: TicketInitiator) -> Finding:
    reason = answer.reason
    if answer.status == 401 and reason in (None, Reason.NO_CREDENTIALS):
        return problem(
            "The server asks again, as if no ticket had been sent.",
            "Let what stands before the application pass Authorization on (Apache: "
            "WSGIPassAuthorization On).",
            "WSGIPassAuthorization On",
        )
    if reason:
        return _refused(answer, reason)
    if answer.status in (0, 401, 500):
        return problem(
            f"{answer.status or 'No answer'} to your ticket.", "Read the server's log."
        )
    if not _is_proved(answer, initiator):
        return problem(
            f"{answer.status}, but the server has not proved itself.",
            "Find out which server this is: it may have none of the service's keys.",
        )
    return ok(f"{answer.status}, and the server has proved itself")


def _refused(answer: Answer, reason: Reason) -> Finding:
    found = f"{answer.status} to your ticket. {reason}: {reason.cause}"
    if reason.status == 403:
        return warning(found, reason.remedy)
    is_old = reason in (Reason.STALE_TICKET, Reason.EXPIRED)
    return problem(found, reason.remedy, "kinit" if is_old else "")


def _is_proved(answer: Answer, initiator: TicketInitiator) -> bool:
    proofs = [value for value in answer.all("www-authenticate") if " " in value.strip()]
    if len(proofs) != 1:
        return False
    try:
        return initiator.trusts(b64decode(proofs[0].split()[1]))
    except ValueError:
        return False


@check("NW024", "session cookie", after={"NW023"})
def cookie(setup: Setup) -> Iterator[Finding]:
    """Over TLS it is for TLS alone, and never for scripts."""
    if not setup.signed_on:
        return
    cookies = setup.signed_on.all("set-cookie")
    ours = [cookie for cookie in cookies if re.match(r"(__Host-)?negotiate=", cookie)]
    if not ours:
        yield ok("none is set: every request is asked for a ticket")
        return
    attributes = {part.strip().lower() for part in ours[0].split(";")[1:]}
    if setup.site.url.startswith("https:") and "secure" not in attributes:
        yield warning(
            "It is sent without Secure over TLS, because the application does not know of TLS.",
            "Let the proxy send X-Forwarded-Proto and the server believe it, or say secure=True.",
            "proxy_set_header X-Forwarded-Proto $scheme;",
        )
    elif "httponly" not in attributes:
        yield warning("It is sent without HttpOnly.", "Find out who rewrites it.")
    else:
        yield ok("; ".join(["set", *sorted(attributes)]))


@check("NW025", "largest header", after={"NW022"})
def header(setup: Setup) -> Iterator[Finding]:
    """It is 16 KB or more."""
    setup.tell("sending large headers")
    largest = 0
    for size in _SIZES:
        token = b64encode(bytes(size * 768 - 9)).decode()
        answer = setup.site.ask(f"{CHALLENGE} {token}")
        if _is_too_large(answer):
            break
        largest = size
    if largest >= _ENOUGH:
        yield ok(f"{largest} KB")
        return
    server = who_refused(answer, setup.stranger)
    name = server.name if server else "the server, and of each proxy in front of it"
    yield warning(
        f"{f'{largest} KB' if largest else 'Less than 8 KB'}; larger is answered with "
        f"{answer.status or 'a closed connection'}. "
        "The ticket of a user in 1000 groups of Active Directory takes 12.6 KB.",
        f"Raise the limit of {name}.",
        server.limit if server else "",
    )


def _is_too_large(answer: Answer) -> bool:
    """Whether it is no answer of an application that has read the header."""
    if answer.reason or answer.status in (401, 403):
        return False
    return answer.status == 0 or answer.status >= 400


@check("NW026", "connection after the 401", after={"NW022"})
def connection(setup: Setup) -> Iterator[Finding]:
    """It stays open, or the server says that it closes it."""
    # Twice, because any server may close a connection that has just grown too old.
    for _ in range(2):
        first, second = setup.site.ask_twice()
        if not first.is_kept:
            yield ok("closed, as the server says")
            return
        if second.status:
            yield ok("stays open")
            return
    yield problem(
        "The server closes the connection after the 401 without saying so (uWSGI "
        "does). Clients that answer the 401 on the same connection fail, above all "
        "with uploads.",
        f"Let {UWSGI.name} say so; or with http = instead of http-socket =, let it "
        "keep the connection: http-keepalive = 5.",
        "add-header = Connection: close",
    )
