"""Acting for users as the service's own account: who has its ticket, and how it is
renewed before it ends.

No request waits for the KDC but the first ones, and those after so long a silence that
the ticket has ended: from half of its life on, the request that finds it so has a
thread get another one, and goes on with the old one.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.exceptions import DelegationError

if TYPE_CHECKING:
    from negotiate_wsgi.acceptors.account import AccountKeys, OwnTicket
    from negotiate_wsgi.acceptors.gssapi_library import Keys
    from negotiate_wsgi.acceptors.target import Target

# Seconds that a sign-on waits for the first ticket, before it goes on without.
_PATIENCE = 5
# Seconds after a failure, before the KDC is asked again.
_PAUSE = 30
_logger = logging.getLogger("negotiate_wsgi")


class Constrained:
    """The credential of the account *name*, which accepts its tickets and acts for
    their users.
    """

    def __init__(self, name: str, target: Target) -> None:
        self._name = name
        self._target = target
        self._account: AccountKeys | None = None
        self._ticket: OwnTicket | None = None
        self._fault: str | None = None
        self._ask_after = 0.0
        self._renewal: threading.Thread | None = None
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def account(self, keys: Keys) -> AccountKeys:
        """Its keys in this version of the keytab. Raises `DelegationError`."""
        account = self._account
        if account is None or account.version is not keys.version:
            # Not at the top of the module: the binding need not be installed. It is
            # loaded where the option is checked.
            from negotiate_wsgi.acceptors.account import AccountKeys

            account = AccountKeys(keys, self._name, self._target)
            self._account = account
        return account

    def credential(self, account: AccountKeys) -> Any:
        """This thread's: threads that share one wait for each other. Raises
        `DelegationError`.
        """
        ticket = self._current_ticket(account)
        local = self._of_thread
        made_of = (ticket, account)
        if getattr(local, "made_of", None) != made_of:
            local.credential = ticket.credential(account)
            local.made_of = made_of
        return local.credential

    def for_a_replay(self, account: AccountKeys) -> Any:
        """The same as `credential` has just given this thread, but that it leaves the
        replay cache alone. Raises `DelegationError`.
        """
        ticket, _ = self._of_thread.made_of
        return ticket.credential(account, is_for_a_replay=True)

    def _current_ticket(self, account: AccountKeys) -> OwnTicket:
        ticket = self._ticket
        now = time.time()
        if ticket and now < ticket.due and ticket.account is account:
            return ticket
        self._renew_soon(account)
        if ticket and now < ticket.end:
            return ticket
        renewal = self._renewal
        if renewal and self._fault is None:
            renewal.join(_PATIENCE)
        ticket = self._ticket
        if ticket and now < ticket.end:
            return ticket
        raise DelegationError(self._fault or "the KDC has not answered yet")

    def _renew_soon(self, account: AccountKeys) -> None:
        """Have one thread ask the KDC, unless one does, or has just failed."""
        with self._lock:
            # In a process that was forked meanwhile, it is not alive.
            is_asked = self._renewal is not None and self._renewal.is_alive()
            if is_asked or time.time() < self._ask_after:
                return
            self._renewal = threading.Thread(
                target=self._renew, args=(account,), name="negotiate-wsgi", daemon=True
            )
            self._renewal.start()

    def _renew(self, account: AccountKeys) -> None:
        from negotiate_wsgi.acceptors.account import OwnTicket

        try:
            self._ticket = OwnTicket(account)
            self._fault = None
        except DelegationError as fault:
            self._ask_after = time.time() + _PAUSE
            self._fault = str(fault)
            self._tell_of(self._fault)

    def _tell_of(self, fault: str) -> None:
        ticket = self._ticket
        left = int(ticket.end - time.time()) if ticket else 0
        if left > 0:
            _logger.warning("delegation: %s. The old one lasts %d s more", fault, left)
        else:
            _logger.error("delegation: %s. Until then, the app acts for nobody", fault)
