"""Who is it for an app, and in which groups? For administrators: what was in the PAC."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from werkzeug.test import create_environ

from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, Verdict
from negotiate_wsgi.doctor.setup import host_of
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError, NegotiateError
from negotiate_wsgi.request.environ import VERDICT, get_identity, get_refusal
from negotiate_wsgi.settings import from_environ
from negotiate_wsgi.wire.authorization import write_token
from negotiate_wsgi.wire.printable import printable
from negotiate_wsgi.wire.sids import name_of_sid, sid_from_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Rows = list[tuple[str, str]]

_ASKED = [
    f"NEGOTIATE_{name}"
    for name in (
        "SERVICE", "HOSTNAME", "KEYTAB", "ACCEPTOR", "ACTIVE_DIRECTORY", "GROUP_SIDS",
        "REALMS", "USERS", "GROUPS", "STRIP_REALM",
    )
]  # fmt: skip
_NO_SIDS = (
    "none: the ticket has no PAC that can be verified (Active Directory and Samba send "
    "one), or the acceptor is not GssapiAcceptor (NEGOTIATE_ACCEPTOR=gssapi)"
)


def facts_of(environ: WSGIEnvironment) -> Rows:
    """What the app below the middleware sees, as pairs of a label and a text."""
    identity = get_identity(environ)
    if identity is None:
        return []
    rows = [
        ("REMOTE_USER", str(environ.get("REMOTE_USER", ""))),
        ("AUTH_TYPE", str(environ.get("AUTH_TYPE", ""))),
        ("principal", identity.principal),
        ("account", identity.account or ""),
        ("sid", identity.sid or ""),
        ("groups", ", ".join(sorted(identity.groups))),
        ("by", identity.source),
        ("SPN", identity.spn or "only a ticket says"),
    ]
    return [(label, printable(text)) for label, text in rows if text]


def sids_of(environ: WSGIEnvironment) -> Rows:
    """Every SID in the PAC of the request's ticket, with the names that it has."""
    verdict = environ.get(VERDICT)
    if not isinstance(verdict, Verdict) or not isinstance(verdict.result, Accepted):
        return []
    if verdict.result.sids is None:
        return []
    configured: dict[str, str] = {}
    if isinstance(verdict.acceptor, KeytabAcceptor):
        names = verdict.acceptor.attributes.groups
        configured = {sid: f"{name} (configured)" for name, sid in names.items()}
    rows = []
    for sid in verdict.result.sids():
        name = configured.get(sid) or name_of_sid(sid_from_text(sid))
        rows.append(("in the PAC", f"{sid} {name}".rstrip()))
    return rows


def run_whoami(keytab: str | None, host: str | None) -> int:
    """Sign on with the caller's ticket to an app behind the ``NEGOTIATE_…`` settings.

    Prints what the app sees, and every SID. Returns 0, or 1 where the sign-on is
    refused, 2 where it cannot be tried. Raises `ConfigurationError`.

    :param keytab: in place of ``NEGOTIATE_KEYTAB``.
    :param host: in the SPN; in place of the first that the settings or the keytab name.
    """
    settings = _settings_of(os.environ)
    if keytab:
        settings["NEGOTIATE_KEYTAB"] = keytab
    application = from_environ(settings, _application)
    service = settings.get("NEGOTIATE_SERVICE", "HTTP")
    host = host or _first_host(settings, service)
    try:
        token = _token(host, service)
    except NegotiateError as error:
        sys.stdout.write(
            f"not tried: you have no ticket for {service}/{host} ({error})\n"
        )
        return 2
    environ = create_environ(headers={"Authorization": write_token(token)})
    b"".join(application(environ, _ignore))
    for label, text in _outcome(environ):
        sys.stdout.write(f"{label:11} {text}\n")
    return 0 if get_identity(environ) else 1


def _settings_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that decide who somebody is. Others may need what the caller cannot read."""
    settings = {name: environ[name] for name in _ASKED if name in environ}
    settings.setdefault("NEGOTIATE_ACCEPTOR", "gssapi")
    return settings | {"NEGOTIATE_LOG_LEVEL": "CRITICAL"}


def _first_host(settings: Mapping[str, str], service: str) -> str:
    named = settings.get("NEGOTIATE_HOSTNAME", "").replace(",", " ").split()
    if named:
        return named[0]
    try:
        keytab = read_keytab(settings.get("NEGOTIATE_KEYTAB"))
    except AcceptorError as fault:
        raise ConfigurationError(f"{fault.detail}: name one with --keytab") from None
    target = Target.of(service, None)
    spns = [key.principal for key in keytab.keys if target.admits(key.principal)]
    if not spns:
        raise ConfigurationError(
            f"{keytab.name} has no key for {service}/ and any host"
        )
    return host_of(spns[0])


def _token(host: str, service: str) -> bytes:
    # Imported here: it needs an extra, which the page that shares this module does not.
    try:
        from negotiate_wsgi.doctor.initiator import TicketInitiator
    except ImportError as exc:
        raise ConfigurationError(
            "pyspnego with Kerberos is missing: pip install 'negotiate-wsgi[doctor]'"
        ) from exc
    return TicketInitiator(None, host, service).token


def _application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    start_response("200 OK", [])
    return []


def _ignore(*_: object) -> Callable[[bytes], object]:
    return len


def _outcome(environ: WSGIEnvironment) -> Rows:
    rows = facts_of(environ)
    refusal = get_refusal(environ)
    if refusal:
        rows += [
            ("refused", f"{refusal.reason}: {refusal.reason.cause}"),
            ("", printable(refusal.detail)),
            ("principal", printable(refusal.principal or "")),
            ("remedy", refusal.reason.remedy),
        ]
    rows += sids_of(environ) or [("in the PAC", _NO_SIDS)]
    return [(label, text) for label, text in rows if text]
