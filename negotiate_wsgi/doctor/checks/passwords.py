"""Can users without a ticket sign on by their password? Only looked at with --passwords."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from negotiate_wsgi.acceptors.passwords import KerberosPasswords, PasswordChecker
from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.acceptors.target import KeytabAcceptor
from negotiate_wsgi.doctor.acceptor import open_acceptor
from negotiate_wsgi.doctor.checks.replay_cache import usable
from negotiate_wsgi.doctor.deadline import PATIENCE, within
from negotiate_wsgi.doctor.finding import Finding, Status, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.terminal import Terminal
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.attempts_file import look_at_attempts, path_of_attempts
from negotiate_wsgi.wire.authorization import Password, checked_password


@check("NW032", "passwords", after={"NW001", "NW005"})
def checker(setup: Setup) -> Iterator[Finding]:
    """With --passwords: python-gssapi is installed, and the keytab has an SPN in that realm."""
    if setup.passwords is None:
        return
    if not setup.spns and not uses_gssproxy():
        return  # another check has told
    acceptor = open_acceptor(
        setup.acceptor,
        setup.service,
        setup.hosts or None,
        setup.keytab.path or None,
        setup.active_directory,
    )
    if isinstance(acceptor, PasswordChecker):
        setup.checker = acceptor
        yield ok("checked by the acceptor itself")
        return
    if not isinstance(acceptor, KeytabAcceptor):
        yield problem(
            f"The acceptor {setup.acceptor} cannot check passwords.",
            "Give it a method check_password(user, password), or use GssapiAcceptor.",
            "export NEGOTIATE_ACCEPTOR=gssapi",
        )
        return
    try:
        passwords = KerberosPasswords(setup.passwords, acceptor)
        spn = passwords.own_spn()
    except ConfigurationError as fault:
        install = "pip install 'negotiate-wsgi[gssapi]'"
        yield problem(f"{fault}.", "Install python-gssapi.", install)
        return
    except AcceptorError as fault:
        yield _no_spn(setup, fault)
        return
    setup.checker = passwords
    yield ok(f"checked with the KDC of {setup.passwords}, and by a ticket for {spn}")


def _no_spn(setup: Setup, fault: AcceptorError) -> Finding:
    if not setup.realm or setup.realm == setup.passwords:
        return problem(f"{fault.detail}.", fault.reason.remedy)
    return problem(
        f"{fault.detail}.",
        "The name of a realm is in upper case, as a rule.",
        f"export NEGOTIATE_PASSWORD_REALM={shlex.quote(setup.realm)}",
    )


@check("NW034", "sign-on by password", after={"NW004", "NW017", "NW032"})
def sign_on(setup: Setup) -> Iterator[Finding]:
    """With --passwords: a password that is typed here is right, and the KDC proves itself.

    It is asked for on the terminal, after the user's name unless --user gives that, and
    tried once. It is not tried where there is no terminal, nor with --json.
    """
    if not setup.is_well_with_tickets and not uses_gssproxy():
        return  # another check has told: nobody types a password for nothing
    if setup.terminal is None:
        yield ok("not tried: a password is typed on a terminal alone, without --json")
        return
    setup.tell("")
    typed = _typed(setup.terminal, setup)
    if typed is None:
        yield ok("not tried: no password was typed")
    elif isinstance(typed, Refusal):
        yield warning(
            f"Not tried: {typed.detail}.",
            "Type the name of a user alone, without a realm, and a password.",
        )
    else:
        setup.tell(f"asking the KDC of {setup.passwords} about a password")
        yield _outcome(setup, *typed)


def _typed(terminal: Terminal, setup: Setup) -> tuple[str, Password] | Refusal | None:
    realm = setup.passwords or ""
    setup.user = setup.user or terminal.ask_for_user(realm)
    name = checked_password(setup.user, "not asked for yet")
    if isinstance(name, Refusal):
        return name
    return terminal.ask_for_password(setup.user, realm)


def _outcome(setup: Setup, user: str, password: Password) -> Finding:
    """What the KDC and the acceptor make of it."""
    try:
        result = within(PATIENCE, setup.checker.check_password, user, password)
    except TimeoutError as late:
        return _silent(setup, str(late))
    except AcceptorError as fault:
        if fault.reason is Reason.KDC_UNREACHABLE:
            return _silent(setup, fault.detail)
        if fault.reason is Reason.KDC_NOT_GENUINE:
            return _not_genuine(setup, fault)
        return problem(f"{fault.reason.cause} {fault.detail}.", fault.reason.remedy)
    if isinstance(result, Accepted):
        return ok(f"{result.identity.principal} came in, and the KDC proved itself")
    if result.reason is Reason.PASSWORD_REFUSED:
        return warning(
            f"The KDC says no to {user}: {result.detail}.",
            "If the password is right, look whether the account is locked, disabled or "
            "expired, or has to change its password.",
            setup.lockouts.show_account(user),
        )
    return problem(f"{result.reason}: {result.detail}.", result.reason.remedy)


def _silent(setup: Setup, why: str) -> Finding:
    reason = Reason.KDC_UNREACHABLE
    realm = setup.passwords or ""
    return problem(
        f"No KDC of {realm} answers: {why}.",
        reason.remedy,
        setup.commands.start(realm),
    )


def _not_genuine(setup: Setup, fault: AcceptorError) -> Finding:
    return problem(
        "The KDC says yes, but its ticket for us is not made with our key, so anybody "
        f"may have answered in its place: {fault.detail}.",
        f"{fault.reason.remedy} In that case, have the password changed.",
        setup.commands.export(*setup.spns, instead=True),
    )


@check("NW036", "file of attempts", after={"NW004", "NW032"})
def attempts(setup: Setup) -> Iterator[Finding]:
    """With --passwords: this user can write to it, and nobody else can read it."""
    path = path_of_attempts()
    found = usable(Path(path), "attempts")
    if found.status is Status.OK and os.path.lexists(path):
        try:
            look_at_attempts(path)
        except AcceptorError as fault:
            yield problem(
                f"{fault.detail}.",
                "What has been counted is lost then.",
                f"rm {shlex.quote(path)}",
            )
            return
        found = ok(f"{path} is in use, and can be")
    yield found
