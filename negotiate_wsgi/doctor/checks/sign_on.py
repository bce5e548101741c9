"""Does it work from end to end? A sign-on to ourselves, by the site's acceptor."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.acceptors.protocol import Acceptor, Refused
from negotiate_wsgi.doctor import krb5_conf
from negotiate_wsgi.doctor.acceptor import (
    is_accepted,
    open_acceptor,
    wants_pac,
)
from negotiate_wsgi.doctor.client import Client, ClientError
from negotiate_wsgi.doctor.deadline import PATIENCE, within
from negotiate_wsgi.doctor.finding import Finding, Status, check, ok, problem
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket


@check("NW016", "sign-on to ourselves", after={"NW001", "NW004", "NW027"})
def sign_on(setup: Setup) -> Iterator[Finding]:
    """It succeeds for each SPN, with the server's proof of itself."""
    acceptor = open_acceptor(
        setup.acceptor,
        setup.service,
        None,
        setup.keytab.path,
        setup.active_directory,
    )
    setup.wants_pac = wants_pac(acceptor)
    spns = [spn for spn in setup.spns if is_accepted(acceptor, spn)]
    if not spns:
        yield problem(
            f"The acceptor accepts no ticket for {', '.join(setup.spns)}.",
            "Correct its service= and hostname=, or the keytab.",
        )
    setup.is_well_with_tickets = bool(spns)
    for spn in spns:
        setup.tell(f"signing on to ourselves as {spn}")
        try:
            found = within(PATIENCE, _sign_on, setup, acceptor, spn)
        except TimeoutError as late:
            found = problem(
                f"It does not come to an end: {late}.", "Read the KDC's log."
            )
        if found.status is Status.PROBLEM:
            setup.is_well_with_tickets = False
        yield found


def _sign_on(setup: Setup, acceptor: Acceptor, spn: str) -> Finding:
    client = Client.of(setup, spn)
    try:
        initiator = client.sign_on(setup.service)
    except ClientError as error:
        return ok(f"not tried: there is no ticket for {spn} ({error})")
    ticket = Ticket.of(initiator.token)
    if not ticket or ticket.spn.lower() != spn.lower():
        return ok(f"not tried: as a client, this machine asks for {ticket}")
    try:
        judged = acceptor.accept(initiator.token)
    except AcceptorError as fault:
        return problem(f"{fault.reason.cause} {fault.detail}.", fault.reason.remedy)
    if isinstance(judged, Refused):
        return _refused(setup, spn, ticket, judged)
    if not initiator.trusts(judged.token or b""):
        return problem("The acceptor did not prove itself.", "Export the keytab again.")
    identity = judged.identity
    return ok(f"{identity.principal} came in, and was shown that it is {identity.spn}")


def _refused(setup: Setup, spn: str, ticket: Ticket, refused: Refused) -> Finding:
    found = f"{refused.reason}: {refused.detail}."
    if refused.reason is Reason.NO_PAC:
        setup.without_pac.append(spn)
        return ok(f"the ticket for {spn} was opened, but has no PAC")
    if refused.reason is Reason.INDICATOR_MISSING:
        return ok(f"the ticket for {spn} was opened; {refused.detail}")
    if refused.reason is Reason.CHANNEL_BINDINGS_MISSING:
        return ok(
            f"the ticket for {spn} was opened; the acceptor wants a token that is bound "
            "to a TLS connection, which --url tries"
        )
    if refused.reason is Reason.WRONG_KEY:
        return _wrong_key(setup, spn, ticket, found)
    return problem(found, refused.reason.remedy)


def _wrong_key(setup: Setup, spn: str, ticket: Ticket, found: str) -> Finding:
    """There is a key of this kvno and encryption type, which does not open the ticket."""
    limit = krb5_conf.find("permitted_enctypes")
    if limit:
        path, permitted = limit
        return problem(
            f"{found} {path} has permitted_enctypes = {permitted}, and the ticket is of "
            f"{ticket.enctype}.",
            "If these do not exclude the ticket's, the keytab has the key of another "
            "account or of another password: export it again.",
        )
    return problem(
        f"{found} The keytab has the key of another account or of another password "
        f"than the KDC has for {spn}, with the same kvno.",
        "Export it again, in place of the one that is there.",
        setup.commands.export(spn, instead=True),
    )


@check("NW029", "PAC", after={"NW016"})
def pac(setup: Setup) -> Iterator[Finding]:
    """Each ticket has one, where active_directory asks for it."""
    if not setup.wants_pac:
        yield ok("not asked for: active_directory is off")
        return
    if not setup.without_pac:
        yield ok("there, as far as a sign-on was tried")
        return
    yield problem(
        f"The tickets for {', '.join(setup.without_pac)} have no PAC, without which "
        "active_directory lets nobody in.",
        "Let the KDC put one into them.",
        setup.commands.add_pac(*setup.without_pac),
    )
