"""Who is it for an app, and in which groups? For administrators: what was in the PAC."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from werkzeug.test import create_environ

from negotiate_wsgi.acceptors.attributes import NO_ATTRIBUTES, Attributes
from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, Verdict
from negotiate_wsgi.doctor.setup import host_of
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError, NegotiateError
from negotiate_wsgi.identity import Identity
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
        "INDICATORS", "REALMS", "USERS", "GROUPS", "STRIP_REALM",
    )
]  # fmt: skip

_IN_THE_PAC = "in the PAC"
_CANNOT_READ_IT = (
    "not known: this acceptor cannot read a PAC, which has the groups. "
    "GssapiAcceptor can: write NEGOTIATE_ACCEPTOR=gssapi"
)
_NONE = (
    "nothing: the ticket has no PAC that can be verified. Active Directory and Samba "
    "send one, MIT's KDC does not"
)
_OF_A_SESSION = (
    "only a ticket says: delete the session's cookie and load this page again"
)
_NAMES = (
    "a PAC has none. See Get-ADGroup -Identity SID or whoami /groups on Windows, and "
    "wbinfo --sid-to-name=SID on a member of a Samba domain"
)
_TYPED_NAME = (
    "the principal is what was typed at sign-on, in upper or lower case. "
    "NEGOTIATE_ACTIVE_DIRECTORY=yes takes the account's own name"
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
        ("indicators", ", ".join(sorted(identity.indicators))),
        ("by", identity.source),
        ("SPN", identity.spn or "only a ticket says"),
    ]
    return [(label, printable(text)) for label, text in rows if text]


def pac_of(environ: WSGIEnvironment) -> Rows:
    """Every SID in the PAC of the request's ticket, with the names that are known.

    And the configured groups that are not among them. Empty where no ticket was
    accepted.
    """
    verdict = environ.get(VERDICT)
    if isinstance(verdict, Identity):
        return [(_IN_THE_PAC, _OF_A_SESSION)]
    if not isinstance(verdict, Verdict) or not isinstance(verdict.result, Accepted):
        return []
    if verdict.result.sids is None:
        return [(_IN_THE_PAC, _CANNOT_READ_IT)]
    sids = verdict.result.sids()
    if not sids:
        return [(_IN_THE_PAC, _NONE)]
    attributes = NO_ATTRIBUTES
    if isinstance(verdict.acceptor, KeytabAcceptor):
        attributes = verdict.acceptor.attributes
    rows = [(_IN_THE_PAC, f"{sids[0]} the account itself")]
    rows += [(_IN_THE_PAC, _in_words(sid, attributes)) for sid in sids[1:]]
    missing = sorted(set(attributes.groups.values()).difference(sids))
    rows += [("not in it", _in_words(sid, attributes)) for sid in missing]
    rows.append(("names", _NAMES))
    if not attributes.active_directory:
        rows.append(("note", _TYPED_NAME))
    return rows


def _in_words(sid: str, attributes: Attributes) -> str:
    names = [name for name, of_it in attributes.groups.items() if of_it == sid]
    words = [f"{name} (configured)" for name in sorted(names)]
    well_known = name_of_sid(sid_from_text(sid))
    return printable(" ".join(filter(None, [sid, well_known, *words])))


def run_whoami(keytab: str | None, host: str | None) -> int:
    """Sign on with the caller's ticket to an app behind the ``NEGOTIATE_…`` settings.

    Prints what the app sees, and every SID. Returns 0, or 1 where the sign-on is
    refused, 2 where the fault is ours or there is no ticket. Raises
    `ConfigurationError`.

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
        _write(_without_a_ticket(f"{service}/{host}", str(error)))
        return 2
    environ = create_environ(headers={"Authorization": write_token(token)})
    b"".join(application(environ, _ignore))
    _write([*facts_of(environ), *_refusal_of(environ), *pac_of(environ), *_not_asked()])
    refusal = get_refusal(environ)
    if refusal is None:
        return 0
    return 2 if refusal.reason.status == 500 else 1


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
        raise ConfigurationError(
            f"the keytab cannot be used: {fault.detail}. Name the server's with "
            "--keytab, and run this as a user who may read it; or name the host in the "
            "URL with --host, where gssproxy has the keys"
        ) from None
    target = Target.of(service, None)
    spns = [key.principal for key in keytab.keys if target.admits(key.principal)]
    if not spns:
        raise ConfigurationError(
            f"{keytab.name} has no key for {service}/ and any host: name another keytab "
            "with --keytab"
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


def _without_a_ticket(spn: str, problem: str) -> Rows:
    return [
        ("not tried", f"you have no ticket for {spn}: {printable(problem)}"),
        (
            "remedy",
            f"Run kinit, and look what kvno {spn} says. If the KDC does not know this "
            "name, register the SPN, or name with --host the host in the URL.",
        ),
    ]


def _refusal_of(environ: WSGIEnvironment) -> Rows:
    refusal = get_refusal(environ)
    if refusal is None:
        return []
    rows = [
        ("refused", f"{refusal.reason}: {refusal.reason.cause}"),
        ("detail", printable(refusal.detail)),
        ("principal", printable(refusal.principal or "")),
        ("remedy", refusal.reason.remedy),
    ]
    return [(label, text) for label, text in rows if text]


def _not_asked() -> Rows:
    if "NEGOTIATE_AUTHORIZE" not in os.environ:
        return []
    return [("not asked", "NEGOTIATE_AUTHORIZE, which may still say no")]


def _write(rows: Rows) -> None:
    """One row a line; a label that is that of the row before it is not repeated."""
    before = ""
    for label, text in rows:
        shown = "" if label == before else label
        sys.stdout.write(f"{shown:12} {text}\n")
        before = label
