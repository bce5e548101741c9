"""Does it work from end to end? A sign-on to ourselves, by the site's acceptor."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.acceptors.protocol import Acceptor, Refused
from negotiate_wsgi.doctor.acceptor import is_accepted, open_acceptor
from negotiate_wsgi.doctor.client import Client, ClientError
from negotiate_wsgi.doctor.deadline import within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.wire.ticket import Ticket

_PATIENCE = 5  # seconds


@check("NW016", "sign-on to ourselves", after={"NW001", "NW004", "NW015"})
def sign_on(setup: Setup) -> Iterator[Finding]:
    """It succeeds, with the server's proof of itself."""
    acceptor = open_acceptor(setup.acceptor, setup.service, None, setup.keytab.path)
    spn = next((spn for spn in setup.spns if is_accepted(acceptor, spn)), None)
    if spn is None:
        yield problem(
            f"The acceptor accepts no ticket for {', '.join(setup.spns)}.",
            "Correct its service= and hostname=, or the keytab.",
        )
        return
    setup.tell(f"signing on to ourselves as {spn}")
    try:
        yield within(_PATIENCE, _sign_on, setup, acceptor, spn)
    except TimeoutError as late:
        yield problem(f"It does not come to an end: {late}.", "Read the KDC's log.")


def _sign_on(setup: Setup, acceptor: Acceptor, spn: str) -> Finding:
    try:
        initiator = Client.of(setup, spn).sign_on(setup.service)
    except ClientError as error:
        return ok(f"not tried: there is no ticket for {spn} ({error})")
    ticket = Ticket.of(initiator.token)
    if not ticket or ticket.spn != spn:
        return ok(f"not tried: as a client, this machine asks for {ticket}")
    try:
        judged = acceptor.accept(initiator.token)
    except AcceptorError as fault:
        return problem(f"{fault.reason.cause} {fault.detail}.", fault.reason.remedy)
    if isinstance(judged, Refused):
        return problem(f"{judged.reason}: {judged.detail}.", judged.reason.remedy)
    if not initiator.trusts(judged.token or b""):
        return problem("The acceptor did not prove itself.", "Export the keytab again.")
    identity = judged.identity
    return ok(f"{identity.principal} came in, and was shown that it is {identity.spn}")
