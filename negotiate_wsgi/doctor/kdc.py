"""Do the KDC and we agree? Its answer, its clock, its key; and a sign-on from end to end."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.doctor.finding import Check, Finding, Setup, host_of, within
from negotiate_wsgi.doctor.initiator import InitiatorError, TicketInitiator
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket

try:
    import krb5
except ImportError as exc:
    raise ConfigurationError(
        "pyspnego with Kerberos is missing: pip install 'negotiate-wsgi[doctor]'"
    ) from exc

_PATIENCE = 5  # seconds
_SKEW = 300  # seconds that krb5 tolerates, unless clockskew in krb5.conf says otherwise

# Of krb5's own table of errors, whose numbers are stable.
_UNREACHABLE = {-1765328228, -1765328230, -1765328164}
_ANOTHER_KEY = {-1765328360, -1765328353}
_UNKNOWN = "not found in Kerberos database"


def check_kdc(setup: Setup) -> Iterator[Finding]:
    realm = setup.spns[0].rpartition("@")[2]
    setup.tell(f"asking the KDC of {realm} for its clock")
    try:
        ahead = within(_PATIENCE, _clock_ahead, setup)
    except (TimeoutError, krb5.Krb5Error) as problem:
        yield Check.KDC.problem(
            f"No KDC of {realm} answers: {problem}.",
            "Requests that bring a ticket do not need it, but clients do to get one. Start it, or "
            f"mend kdc = in krb5.conf, or the SRV record _kerberos._udp.{realm} of DNS.",
            "systemctl start krb5-kdc",
        )
        return
    yield Check.KDC.ok(f"a KDC of {realm} answers")
    if ahead is None:
        yield Check.CLOCK.ok("not known: the KDC gives no principal of the keytab a ticket")
    elif abs(ahead) < _SKEW:
        yield Check.CLOCK.ok(f"{abs(ahead):.0f} s apart")
    else:
        where = "behind" if ahead > 0 else "ahead of"
        yield Check.CLOCK.problem(
            f"This machine's clock is {abs(ahead):.0f} s {where} the KDC's, so no ticket is good.",
            "Synchronise it.",
            "timedatectl set-ntp true",
        )


def _clock_ahead(setup: Setup) -> float | None:
    """By how many seconds the KDC's clock is ahead of ours; None if it does not say."""
    for principal in dict.fromkeys(key.principal for key in setup.keytab.keys):
        try:
            return _initial_credential(setup, principal).times.authtime + 0.5 - time.time()
        except krb5.Krb5Error as error:
            if error.err_code in _UNREACHABLE:
                raise
    return None


def check_key(setup: Setup) -> Iterator[Finding]:
    for spn in setup.spns:
        setup.tell(f"asking the KDC for a ticket for {spn}")
        try:
            yield within(_PATIENCE, _compare_key, setup, spn)
        except TimeoutError as late:
            yield Check.KEY.problem(f"No ticket for {spn}: {late}.", "Look into the KDC's log.")


def _compare_key(setup: Setup, spn: str) -> Finding:
    """Whether the ticket that the KDC issues for *spn* is for a key of the keytab."""
    check = Check.KEY
    credentials, error_code = _credentials(setup, spn)
    another = f"The KDC has another key for {spn} than the keytab"
    try:
        token = _initiator(setup, spn, credentials).token
    except (krb5.Krb5Error, InitiatorError) as error:
        if _UNKNOWN in str(error) and not setup.is_renamed:
            found, remedy = f"The KDC knows no {spn}.", "Add it there, and export its key."
            return check.problem(found, remedy, setup.export(spn, new=True, instead=True))
        if error_code in _ANOTHER_KEY:
            return check.problem(f"{another}.", Reason.WRONG_KEY.remedy, setup.export(spn))
        return check.warning(
            f"Not known for {spn}: the KDC gives the keytab's principal no ticket (Active Directory "
            f"may know it as an SPN alone), and you have none: {error}.",
            "Get a ticket of any user, and ask again.",
            "kinit",
        )
    ticket = Ticket.of(token)
    if not ticket or ticket.spn != spn:
        return check.ok(f"not known: as a client, this machine asks for {ticket} instead")
    if objection := ticket.objection(setup.keytab, setup.service):
        found = f"{another}: {objection.detail} ({ticket})"
        if objection.reason is Reason.STALE_TICKET:
            remedy = "Export it again in place of the newer keys: the KDC was set back."
            return check.problem(f"{found}.", remedy, setup.export(spn, instead=True))
        return check.problem(f"{found}.", objection.reason.remedy, setup.export(spn))
    # krb5 tries the newest of the keytab's keys, which need not be the KDC's.
    newest = max(key.kvno for key in setup.keytab.of(spn))
    if error_code in _ANOTHER_KEY and ticket.kvno in (newest, None):
        return check.problem(f"{another}.", Reason.WRONG_KEY.remedy, setup.export(spn))
    return check.ok(f"the same: {ticket}")


def _initial_credential(setup: Setup, principal: str) -> krb5.Creds:
    context = krb5.init_context()
    client = krb5.parse_name_flags(context, principal.encode())
    keytab = krb5.kt_resolve(context, setup.keytab.name.encode())
    options = krb5.get_init_creds_opt_alloc(context)
    return krb5.get_init_creds_keytab(context, client, options, keytab)


def _credentials(setup: Setup, spn: str) -> tuple[list[krb5.Creds], int]:
    """What gets a ticket for *spn*: its own ticket-granting ticket, or else those of the caller.

    With them comes the error with which the KDC gave its own key none, or 0.
    """
    try:
        return [_initial_credential(setup, spn)], 0
    except krb5.Krb5Error as error:
        code = int(error.err_code)
    try:
        cache = list(krb5.cc_default(krb5.init_context()))
    except krb5.Krb5Error:
        cache = []
    return [c for c in cache if str(c.server).startswith("krbtgt/")], code


def _initiator(setup: Setup, spn: str, credentials: list[krb5.Creds]) -> TicketInitiator:
    """A sign-on for *spn*, from a cache in memory.

    The caller's own stays as it is, and an old ticket in there is not taken for what the KDC
    issues now. Raises `krb5.Krb5Error` or `InitiatorError`.
    """
    context = krb5.init_context()
    client = credentials[0].client if credentials else krb5.parse_name_flags(context, spn.encode())
    copy = krb5.cc_new_unique(context, b"MEMORY")
    krb5.cc_initialize(context, copy, client)
    for credential in credentials:
        krb5.cc_store_cred(context, copy, credential)
    return TicketInitiator(f"MEMORY:{(copy.name or b'').decode()}", host_of(spn), setup.service)


def check_sign_on(setup: Setup) -> Iterator[Finding]:
    spn = setup.spns[0]
    setup.tell(f"signing on to ourselves as {spn}")
    try:
        yield within(_PATIENCE, _sign_on, setup, spn)
    except TimeoutError as late:
        yield Check.SIGN_ON.problem(
            f"It does not come to an end: {late}.", "Look into the KDC's log."
        )


def _sign_on(setup: Setup, spn: str) -> Finding:
    from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

    check = Check.SIGN_ON
    try:
        initiator = _initiator(setup, spn, _credentials(setup, spn)[0])
    except (krb5.Krb5Error, InitiatorError) as none:
        return check.ok(f"not tried: there is no ticket for {spn} ({none})")
    ticket = Ticket.of(initiator.token)
    if not ticket or ticket.spn != spn:
        return check.ok(f"not tried: as a client, this machine asks for {ticket}")
    acceptor = PykerberosAcceptor(setup.service, host_of(spn), setup.keytab.path)
    try:
        judged = acceptor.accept(initiator.token)
    except AcceptorError as fault:
        return check.problem(f"{fault.reason.cause} {fault.detail}.", fault.reason.remedy)
    if isinstance(judged, Refused):
        conf = os.environ.get("KRB5_CONFIG", "/etc/krb5.conf")
        # The key is the KDC's: that was found out before.
        is_excluded = judged.reason is Reason.WRONG_KEY
        command = f"sed -i /permitted_enctypes/d {shlex.quote(conf)}" if is_excluded else ""
        return check.problem(f"{judged.reason}: {judged.detail}.", judged.reason.remedy, command)
    if not initiator.trusts(judged.token or b""):
        return check.problem("The acceptor did not prove itself.", "Export the keytab again.")
    return check.ok(
        f"{judged.identity.principal} came in, and was shown that it is {judged.identity.spn}"
    )
