"""Do the KDC and we agree? Its answer, its clock, its key."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.doctor.client import Client, ClientError, clock_ahead
from negotiate_wsgi.doctor.deadline import within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket

_PATIENCE = 5  # seconds
_SKEW = 300  # seconds that krb5 tolerates, unless clockskew in krb5.conf says otherwise


@check("NW013", "KDC", after={"NW003", "NW008"})
def kdc(setup: Setup) -> Iterator[Finding]:
    """One answers."""
    realm = setup.spns[0].rpartition("@")[2]
    setup.tell(f"asking the KDC of {realm} for its clock")
    try:
        setup.clock_ahead = within(_PATIENCE, clock_ahead, setup)
    except (TimeoutError, ClientError) as silence:
        yield problem(
            f"No KDC of {realm} answers: {silence}.",
            "Requests that bring a ticket do not need it, but clients do to get one. "
            "Start it, or correct kdc = in krb5.conf, or the SRV record "
            f"_kerberos._udp.{realm} of DNS.",
            setup.commands.start,
        )
    else:
        yield ok(f"a KDC of {realm} answers")


@check("NW014", "clock", after={"NW013"})
def clock(setup: Setup) -> Iterator[Finding]:
    """It is less than 300 s from the KDC's."""
    ahead = setup.clock_ahead
    if ahead is None:
        yield ok("not known: the KDC gives no principal of the keytab a ticket")
    elif abs(ahead) < _SKEW:
        yield ok(f"{abs(ahead):.0f} s apart")
    else:
        where = "behind" if ahead > 0 else "ahead of"
        yield problem(
            f"This machine's clock is {abs(ahead):.0f} s {where} the KDC's, so no ticket is good.",
            "Synchronise it.",
            "timedatectl set-ntp true",
        )


@check("NW015", "KDC's key", after={"NW011", "NW014"})
def key(setup: Setup) -> Iterator[Finding]:
    """The ticket that the KDC issues is for a key in the keytab."""
    for spn in setup.spns:
        setup.tell(f"asking the KDC for a ticket for {spn}")
        try:
            yield within(_PATIENCE, _compare, setup, spn)
        except TimeoutError as late:
            yield problem(f"No ticket for {spn}: {late}.", "Read the KDC's log.")


def _compare(setup: Setup, spn: str) -> Finding:
    """Whether the ticket that the KDC issues for *spn* is for a key of the keytab."""
    client = Client.of(setup, spn)
    try:
        ticket = Ticket.of(client.sign_on(setup.service).token)
    except ClientError as error:
        return _no_ticket(setup, spn, client, error)
    if not ticket or ticket.spn != spn:
        return ok(f"not known: as a client, this machine asks for {ticket} instead")
    commands = setup.commands
    if objection := ticket.objection(setup.keytab, setup.service):
        found = f"The KDC has another key for {spn} than the keytab: {objection.detail} ({ticket})."
        if objection.reason is Reason.STALE_TICKET:
            remedy = "The KDC was set back: export its key in place of the newer ones."
            return problem(found, remedy, commands.export(spn, instead=True))
        return problem(found, objection.reason.remedy, commands.export(spn))
    # krb5 tries the newest of the keytab's keys, which need not be the KDC's.
    newest = max(key.kvno for key in setup.keytab.of(spn))
    if (
        client.has_another_key
        and ticket.kvno in (newest, None)
        and spn not in setup.merged
    ):
        return _another_key(setup, spn)
    return ok(f"the same: {ticket}")


def _no_ticket(setup: Setup, spn: str, client: Client, error: ClientError) -> Finding:
    if error.is_unknown and not setup.is_renamed:
        return problem(
            f"The KDC knows no {spn}.",
            "Add it there, and export its key.",
            setup.commands.export(spn, new=True, instead=True),
        )
    if client.has_another_key and spn not in setup.merged:
        return _another_key(setup, spn)
    return warning(
        f"Not known for {spn}: the KDC gives the keytab's principal no ticket (Active "
        f"Directory may know it as an SPN alone), and you have none: {error}.",
        "Get a ticket of any user, and ask again.",
        "kinit",
    )


def _another_key(setup: Setup, spn: str) -> Finding:
    return problem(
        f"The KDC has another key for {spn} than the keytab.",
        Reason.WRONG_KEY.remedy,
        setup.commands.export(spn),
    )
