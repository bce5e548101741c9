"""May a password stand in for a ticket? The option, and what it may be."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.protocol import Acceptor
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.request.attempts import Attempts
from negotiate_wsgi.request.attempts_file import MOST
from negotiate_wsgi.request.form import SignInForm
from negotiate_wsgi.request.password_verdicts import Passwords
from negotiate_wsgi.request.remembered import Remembered
from negotiate_wsgi.request.workers import Workers

if TYPE_CHECKING:
    from negotiate_wsgi.request.attempts_fleet import AttemptsOfFleet
    from negotiate_wsgi.request.fleet import Fleet


class PasswordSignOn:
    """Passwords of *realm*, for clients without a ticket: Basic over TLS, and a form.

        NegotiateMiddleware(app, passwords=PasswordSignOn("EXAMPLE.COM"), session=...)

    A password is worth more than a ticket: whoever reads it is the user everywhere. So
    it is taken over TLS alone (``wsgi.url_scheme``, whatever other headers say), given
    to the KDC and to nobody else, and neither kept nor logged. The KDC has to prove
    itself by a ticket that our own keytab opens: one that says yes to everything lets
    nobody in. Attempts are counted for all processes of this host, before the KDC is
    asked, so that nobody can lock an account by guessing here. A client that accepts
    HTML is shown a form, which needs ``session=``; others are asked for Basic (RFC
    7617). Needs the extra ``[gssapi]``, and works with each acceptor that has a keytab.

    :param realm: the realm of all who sign on by a password. What is typed never names
        one.
    :param form_path: the path that the form posts to, and a page of its own, which
        ``form_path?next=/there`` links to. The app does not see it.
    :param attempts: wrong passwords for one user, until *period* seconds have passed
        without one. Must be below the KDC's own limit, which locks the account: this
        one only makes passwords wait. Tickets and sessions go on.
    :param attempts_from_address: the same for one client address; of IPv6, for its /64.
        Behind a proxy that hides addresses, all clients share this number.
    :param period: seconds. Active Directory's own counter is usually reset after 30
        minutes.
    :param timeout: seconds that a request waits for the KDC, in all.
    :param workers: threads of each process that talk to the KDC. As many requests again
        may wait for one; the next are told that the KDC is unreachable.
    :param remember: seconds for which a right password of Basic is good without asking
        the KDC again, because clients send it with each request. A password that has
        been changed stays good for as long. 0 asks each time.
    :raises ConfigurationError: an option is wrong, or python-gssapi is not installed.
    """

    def __init__(
        self,
        realm: str,
        *,
        form_path: str = "/.negotiate/sign-in",
        attempts: int = 3,
        attempts_from_address: int = 30,
        period: int = 1800,
        timeout: float = 5,
        workers: int = 4,
        remember: int = 60,
    ) -> None:
        if not isinstance(realm, str) or not _is_a_realm(realm):
            raise ConfigurationError(
                f"realm={realm!r}: write its name alone, such as 'EXAMPLE.COM'"
            )
        _check_number("attempts", attempts, 1, MOST)
        _check_number("attempts_from_address", attempts_from_address, 1, MOST)
        _check_number("period", period, 1)
        _check_number("workers", workers, 1)
        _check_number("remember", remember, 0)
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not is_number or not 0 < timeout < math.inf:
            raise ConfigurationError(
                f"timeout={timeout!r}: write a number of seconds, more than 0"
            )
        _need_gssapi()
        self.realm = realm
        self.form = SignInForm.of(form_path, realm)
        self._attempts = functools.partial(
            Attempts, attempts, attempts_from_address, period
        )
        # All layers of ours that are given these options share them.
        self._waiting = Workers(workers, timeout)
        self._remembered = Remembered(remember)

    def of(self, acceptor: Acceptor, fleet: Fleet | None = None) -> Passwords:
        """What is asked where *acceptor* judges the tickets, on a machine of *fleet*."""
        # A pretended KDC has a place of its own.
        directory = getattr(acceptor, "attempts_directory", None)
        return Passwords(
            acceptor,
            self.realm,
            self.form,
            _attempts_of(fleet, self._attempts(directory=directory)),
            self._waiting,
            self._remembered,
            fleet,
        )


def _attempts_of(fleet: Fleet | None, host: Attempts) -> Attempts | AttemptsOfFleet:
    if fleet is None:
        return host
    # Not at the top of the module: who has no store needs nothing of it.
    from negotiate_wsgi.request.attempts_fleet import AttemptsOfFleet

    return AttemptsOfFleet(fleet, host)


def _is_a_realm(text: str) -> bool:
    """Whether *text* can stand in a challenge and behind a user name as it is."""
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & {
        " ", '"', "\\", "/", "@", ":"
    }  # fmt: skip


def _check_number(
    name: str, value: object, least: int, most: int = sys.maxsize
) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name}={value!r}: write a number, {least} or more")
    if value > most:
        raise ConfigurationError(f"{name}={value!r}: write a number, {most} or less")


def _need_gssapi() -> None:
    """Raises `ConfigurationError`."""
    # Not at the top of the module: the package must import where no binding is
    # installed.
    from negotiate_wsgi.acceptors.gssapi_library import library

    library()
