"""Do the KDC and the keytab agree? The ticket that it issues, and the key for it."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.doctor import krb5_conf
from negotiate_wsgi.doctor.client import Client, ClientError
from negotiate_wsgi.doctor.deadline import PATIENCE, within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup, is_weak
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.ticket import Ticket


@check("NW015", "KDC's key", after={"NW011", "NW014"})
def key(setup: Setup) -> Iterator[Finding]:
    """The ticket that the KDC issues is for a key in the keytab."""
    for spn in setup.spns:
        setup.tell(f"asking the KDC for a ticket for {spn}")
        try:
            yield within(PATIENCE, _compare, setup, spn)
        except TimeoutError as late:
            yield problem(f"No ticket for {spn}: {late}.", "Read the KDC's log.")


def _compare(setup: Setup, spn: str) -> Finding:
    """Whether the ticket that the KDC issues for *spn* is for a key of the keytab."""
    client = Client.of(setup, spn)
    try:
        ticket = Ticket.of(client.sign_on(setup.service).token)
    except ClientError as error:
        return _no_ticket(setup, spn, client, error)
    if not ticket or ticket.spn.lower() != spn.lower():
        return ok(f"not known: as a client, this machine asks for {ticket} instead")
    setup.tickets[spn] = ticket
    objection = ticket.objection(setup.keytab, setup.service)
    if objection:
        return _differs(setup, spn, ticket, objection)
    # krb5 tries the newest of the keytab's keys, which need not be the KDC's.
    newest = max(key.kvno for key in setup.keytab.keys_like(ticket.spn))
    is_newest = ticket.kvno in (newest, None)
    if client.has_another_key and is_newest and spn not in setup.merged:
        return _another_key(setup, spn)
    if _is_proved(setup, spn, client, ticket):
        return ok(
            f"the same key, with which {client.opened_by} got a ticket itself: {ticket}"
        )
    return ok(
        f"kvno and encryption type are the same, as clear text says: {ticket}; the key "
        "itself is tried with the sign-on to ourselves"
    )


def _differs(setup: Setup, spn: str, ticket: Ticket, objection: Refusal) -> Finding:
    if objection.reason is Reason.ENCTYPE_MISSING and is_weak(ticket.enctype):
        return ok(f"not compared: {ticket}, of whose encryption type there is more")
    found = f"The KDC has another key for {spn} than the keytab: {objection.detail} ({ticket})."
    if objection.reason is Reason.STALE_TICKET:
        return problem(
            found,
            "The KDC was set back: export its key in place of the newer ones.",
            setup.commands.export(spn, instead=True),
        )
    return problem(found, objection.reason.remedy, setup.commands.export(spn))


def _is_proved(setup: Setup, spn: str, client: Client, ticket: Ticket) -> bool:
    """Whether the KDC has shown that it knows the very key in the keytab."""
    if client.opened_by is None:
        return False

    def marks(principal: str) -> set[int]:
        return {
            key.mark
            for key in setup.keytab.of(principal)
            if key.kvno == ticket.kvno and key.enctype == ticket.enctype
        }

    return not marks(spn).isdisjoint(marks(client.opened_by))


def _no_ticket(setup: Setup, spn: str, client: Client, error: ClientError) -> Finding:
    if error.is_unknown and not setup.is_renamed:
        return problem(
            f"The KDC knows no {spn}.",
            "Add it there, and export its key.",
            setup.commands.register(spn, instead=True),
        )
    if client.has_another_key and spn not in setup.merged:
        return _another_key(setup, spn)
    if error.is_of_the_clock:
        return problem(
            f"The KDC gives no ticket for {spn}: {error}.",
            "Synchronise this machine's clock with the KDC's.",
            "timedatectl set-ntp true",
        )
    limit = krb5_conf.find("permitted_enctypes")
    if limit and error.is_of_an_enctype:
        path, permitted = limit
        return problem(
            f"There is no ticket for {spn}: {error}. {path} has permitted_enctypes = "
            f"{permitted}.",
            "Leave that line out, or add the encryption types that the KDC uses.",
        )
    return warning(
        f"Not known for {spn}: the KDC gives the keytab's principals no ticket (in "
        f"Active Directory an SPN gets none), and you have none: {error}.",
        "Get a ticket of any user, and ask again.",
        "kinit",
    )


def _another_key(setup: Setup, spn: str) -> Finding:
    return problem(
        f"The KDC has another key for {spn} than the keytab, which it refused.",
        "Export the keytab again, and check that just one account holds this SPN.",
        setup.commands.export(spn, instead=True),
    )


@check("NW027", "tickets' encryption type", after={"NW015"})
def enctype(setup: Setup) -> Iterator[Finding]:
    """The KDC issues tickets with AES, and the keytab has that key."""
    weak = {s: ticket for s, ticket in setup.tickets.items() if is_weak(ticket.enctype)}
    if not weak:
        enctypes = sorted({ticket.enctype for ticket in setup.tickets.values()})
        yield ok(", ".join(enctypes) or "not known: there is no ticket to see it from")
        return
    enctypes = sorted({ticket.enctype for ticket in weak.values()})
    issued = f"The KDC issues tickets with {', '.join(enctypes)} for {', '.join(weak)}"
    remedy = "Let it use AES for that account, and export the keys again."
    instructions = setup.commands.strengthen(*weak)
    missing = [
        spn
        for spn, ticket in weak.items()
        if ticket.enctype not in {key.enctype for key in setup.keytab.of(spn)}
    ]
    if missing:
        found = f"{issued}, and the keytab has no such key: nobody can sign on."
        yield problem(found, remedy, instructions)
    else:
        found = f"{issued}, which is weak, and which newer libraries refuse."
        yield warning(found, remedy, instructions)
