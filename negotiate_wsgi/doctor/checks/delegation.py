"""May the service act for users? The KDC is asked for what an app will ask it for."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor
from negotiate_wsgi.acceptors.protocol import Accepted, Delegated
from negotiate_wsgi.doctor.client import Client, ClientError
from negotiate_wsgi.doctor.deadline import PATIENCE, within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.exceptions import DelegationError


@check("NW031", "delegation", after={"NW016"})
def delegation(setup: Setup) -> Iterator[Finding]:
    """The account may act for users at each service that ``--delegate-to`` names."""
    if not setup.account:
        yield ok("not asked for: no account acts for users")
        return
    setup.tell(f"acting for somebody as {setup.account}")
    try:
        found = within(PATIENCE, _acted_for, setup, setup.account)
    except TimeoutError as late:
        yield problem(f"It does not come to an end: {late}.", "Read the KDC's log.")
        return
    if isinstance(found, Finding):
        yield found
        return
    user, lent = found
    if not setup.next_services:
        yield ok(
            f"{setup.account} has a ticket to act for {user} with: name with --delegate-to "
            "the next service, to ask the KDC whether it may be asked"
        )
    for spn in setup.next_services:
        setup.tell(f"asking the KDC for {user}'s ticket for {spn}")
        try:
            yield within(PATIENCE, _next, setup, setup.account, user, lent, spn)
        except TimeoutError as late:
            yield problem(f"No ticket for {spn}: {late}.", "Read the KDC's log.")


def _acted_for(setup: Setup, account: str) -> tuple[str, Delegated] | Finding:
    """Somebody who signs on to ourselves, and what we may then do for them."""
    acceptor = GssapiAcceptor(
        setup.service,
        keytab=setup.keytab.path,
        delegation="constrained",
        account=account,
    )
    fault = "there is no ticket to ourselves"
    for spn in setup.spns:
        try:
            initiator = Client.of_somebody(setup, spn).sign_on(setup.service)
        except ClientError as error:
            fault = str(error)
            continue
        judged = acceptor.accept(initiator.token)
        if not isinstance(judged, Accepted) or judged.delegated is None:
            continue
        try:
            judged.delegated.credentials()
        except DelegationError as error:
            fault = str(error)
        else:
            return judged.identity.principal, judged.delegated
    return problem(
        f"The account {account} acts for nobody: {fault}.",
        "Let the keytab have the current key of this account, beside those of its SPNs.",
        setup.commands.export(account),
    )


def _next(setup: Setup, account: str, user: str, lent: Delegated, spn: str) -> Finding:
    # Not at the top of the module: the binding need not be installed.
    from negotiate_wsgi.acceptors.ccaches import ask_for_ticket

    try:
        ask_for_ticket(lent.credentials(), spn)
    except DelegationError as error:
        return _refused(setup, account, user, spn, str(error))
    return ok(f"{account} may act for {user} at {spn}")


def _refused(setup: Setup, account: str, user: str, spn: str, said: str) -> Finding:
    if "not found in Kerberos database" in said:
        return problem(
            f"The KDC knows no {spn}.",
            "Write the next service's SPN as its clients spell it, or register it there.",
        )
    # KDC_ERR_BADOPTION and KDC_ERR_POLICY (RFC 4120 section 7.5.9), in MIT's words.
    if "can't fulfill requested option" in said or "KDC policy rejects" in said:
        return problem(
            f"The KDC does not let {account} act for {user} at {spn}: {said}.",
            "Permit it.",
            setup.commands.permit(account, spn),
        )
    if "Decrypt integrity check failed" in said:
        return problem(
            f"The KDC no longer reads {user}'s ticket to ourselves: {said}.",
            f"The password of {account} is newer than that ticket. Get a new one.",
            "kinit",
        )
    return problem(f"There is no ticket for {spn}: {said}.", "Read the KDC's log.")
