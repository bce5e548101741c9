"""Is the password right? For clients without a ticket: each is checked with the KDC and
with our own keytab.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.passwords import KerberosPasswords, PasswordChecker
from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Refused
from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.exceptions import AcceptorError, StoreError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.attempts import Attempts, Denied
from negotiate_wsgi.request.environ import take_basic
from negotiate_wsgi.request.form import SignInForm, Typed, Visit
from negotiate_wsgi.request.offer import NO_OFFER, Offer
from negotiate_wsgi.request.pages import accepts_html
from negotiate_wsgi.request.remembered import Remembered
from negotiate_wsgi.request.session import audience_of
from negotiate_wsgi.request.workers import Unanswered, Workers
from negotiate_wsgi.wire.authorization import PASSWORD, Password, read_basic

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from negotiate_wsgi.request.attempts_fleet import AttemptsOfFleet
    from negotiate_wsgi.request.fleet import Fleet

_SOONEST = 0.25  # seconds: an MIT KDC says "unknown" in 1 ms, and "wrong" in 13
_PAUSE = 0.02  # seconds
_RETRY_AFTER = 30  # seconds, where the KDC does not answer


class Passwords:
    """What is asked of passwords where *acceptor* judges the tickets."""

    def __init__(
        self,
        acceptor: Acceptor,
        realm: str,
        form: SignInForm,
        attempts: Attempts | AttemptsOfFleet,
        waiting: Workers,
        remembered: Remembered,
        fleet: Fleet | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._audience = audience_of(acceptor)
        self._checker: PasswordChecker
        if isinstance(acceptor, PasswordChecker):
            self._checker = acceptor
        else:
            self._checker = KerberosPasswords(realm, acceptor)
        # RFC 7617 sections 2 and 2.1. The realm has no character that needs an escape.
        self._challenge = f'Basic realm="{realm}", charset="UTF-8"'
        self._form = form
        self._attempts = attempts
        self._waiting = waiting
        self._remembered = remembered
        self._is_over = fleet.is_over if fleet else None

    def offer(
        self, environ: WSGIEnvironment, visit: Visit | None, has_session: bool
    ) -> Offer:
        """What to offer on a 401. Browsers put a box over the form where they are asked
        for Basic, too.
        """
        if environ["wsgi.url_scheme"] != "https":
            return NO_OFFER
        if has_session and accepts_html(environ):
            return Offer(form=self._form.page(environ, visit))
        return Offer(self._challenge)

    def verdict_on(
        self, environ: WSGIEnvironment, visit: Visit | None, began: float
    ) -> Verdict | None:
        """What is to be said of the password that the request brings; None if it brings
        none.

        It is taken out of the environ. *began* is when the request came, as
        `time.perf_counter` has it: a refusal takes the same time whatever the KDC said.
        """
        authorization = take_basic(environ)
        is_typed = visit is not None and visit.is_post
        if authorization is None and not is_typed:
            return None
        if environ["wsgi.url_scheme"] != "https":
            del authorization
            return Verdict(PASSWORD, None, Refusal(Reason.PASSWORD_OVER_HTTP))
        typed: Typed | None
        if visit is not None and is_typed:
            typed = visit.take_typed(environ)
        else:
            typed = read_basic(str(authorization))
        del authorization
        if typed is None:
            return None
        address = environ.get("REMOTE_ADDR") or ""
        result = self._checked(typed, address, began)
        return Verdict(PASSWORD, self._acceptor, result)

    def _checked(
        self, typed: tuple[str, Password] | Refusal, address: str, began: float
    ) -> Accepted | Refused:
        """What is to be said of what was typed, at the time when that may be said."""
        try:
            with self._waiting.slot() as has_slot:
                result: Accepted | Refused
                if isinstance(typed, Refusal):
                    result = self._counted_as_typed(typed, address, has_slot)
                else:
                    result = self._judged(*typed, address, began, has_slot)
                if has_slot and _is_wrong(result):
                    _wait_until(began + _SOONEST)
                return result
        except Unanswered as fault:
            # What a stranger can cause by many requests is no alarm.
            return _unreachable(fault, is_repeated=not fault.has_begun)
        except AcceptorError as fault:
            if fault.reason is Reason.KDC_UNREACHABLE:
                return _unreachable(fault)
            return Refusal(fault.reason, fault.detail)
        except StoreError as fault:
            return fault.refusal()

    def _counted_as_typed(
        self, refusal: Refusal, address: str, has_slot: bool
    ) -> Refusal:
        """*refusal* of what no KDC has to be asked about, counted for the address."""
        denied = self._attempts.charge(address)
        if denied:
            return _denial(denied)
        if not has_slot:
            raise Unanswered("too many passwords are being checked")
        return refusal

    def _judged(
        self, user: str, password: Password, address: str, began: float, has_slot: bool
    ) -> Accepted | Refused:
        """What the KDC says, or has just said, if it may be asked. Raises
        `AcceptorError` and `StoreError`.

        What is remembered is no good for who is denied: it would tell a guesser without
        limit.
        """
        while True:
            remembered = self._remembered.find(
                self._audience, user, password, self._is_over
            )
            denied = self._attempts.take(user, address)
            if denied is None and remembered:
                # The KDC has not heard of it, and goes on with its own count.
                self._attempts.give_back(user, address)
                return remembered
            if denied is None and has_slot:
                return self._asked(user, password, address)
            if denied is None:
                self._count_unanswered(user, address)
            elif not denied.is_busy:
                return _denial(denied)
            if not has_slot or time.perf_counter() >= began + _SOONEST:
                raise Unanswered("too many passwords are being checked")
            # A client that sends several requests at once has as many in check, and
            # soon one of them is remembered.
            time.sleep(_PAUSE)

    def _asked(self, user: str, password: Password, address: str) -> Accepted | Refused:
        """What the KDC says, of an attempt that has been counted. Raises
        `AcceptorError`.
        """
        check = functools.partial(self._ask_and_count, user, password, address)
        try:
            result: Accepted | Refused = self._waiting.call(check)
        except Unanswered as fault:
            if not fault.has_begun:
                self._count_unanswered(user, address)
            raise
        if isinstance(result, Accepted):
            self._remembered.keep(self._audience, user, password, result)
        return result

    def _ask_and_count(
        self, user: str, password: Password, address: str
    ) -> Accepted | Refused:
        """Ask the KDC, and count what comes of it, however late that is."""
        try:
            result = self._checker.check_password(user, password)
        except BaseException:
            self._count_unanswered(user, address)
            raise
        if _is_wrong(result):
            self._attempts.fail(user, address)
        else:
            self._attempts.succeed(user, address)
        return result

    def _count_unanswered(self, user: str, address: str) -> None:
        """Of an attempt that has told nobody whether the password is right: unless
        there is a right one to compare with, which would have been let in.
        """
        if self._remembered.knows(user):
            self._attempts.fail(user, address)
        else:
            self._attempts.give_back(user, address)


def _unreachable(fault: AcceptorError, is_repeated: bool = False) -> Refusal:
    return Refusal(
        fault.reason, fault.detail, retry_after=_RETRY_AFTER, is_repeated=is_repeated
    )


def _denial(denied: Denied) -> Refusal:
    return Refusal(
        Reason.TOO_MANY_ATTEMPTS,
        f"of this {denied.whose}: {denied.retry_after} seconds are left",
        retry_after=denied.retry_after,
        is_repeated=not denied.is_first,
    )


def _is_wrong(result: Accepted | Refused) -> bool:
    """Whether it is the password that was refused. Other refusals come after that."""
    return isinstance(result, Refusal) and result.reason is Reason.PASSWORD_REFUSED


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))
