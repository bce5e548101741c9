"""Has another machine seen it, or ended it? What a request asks of the store."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.exceptions import ConfigurationError, StoreError
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.stores.breaker import Breaker
from negotiate_wsgi.stores.picture import Picture
from negotiate_wsgi.stores.protocol import (
    LONGEST_REFRESH,
    check_seconds,
    check_when_down,
)
from negotiate_wsgi.wire.authorization import Credential, read_token

if TYPE_CHECKING:
    from negotiate_wsgi.stores.protocol import Store

_METHODS = ("claim", "count", "revoke", "end_session", "revocations", "restore")
_MEMBERS = (*_METHODS, "refresh", "when_down")


class Fleet:
    """The machines that share *store*, as this process knows them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.breaker = Breaker(store)
        self._picture = Picture(store, self.breaker)
        self._is_over = self._picture.is_over

    @classmethod
    def of(cls, store: Store) -> Fleet:
        """The same for all layers of ours that share *store*. Raises
        `ConfigurationError`.
        """
        if any(not hasattr(store, name) for name in _MEMBERS):
            raise ConfigurationError(
                "store= takes a Store, such as ValkeyStore('valkeys://host:6379/0')"
            )
        check_seconds("store.refresh", store.refresh, LONGEST_REFRESH)
        check_when_down("store.when_down", store.when_down)
        fleet = _FLEETS.get(id(store))
        if fleet is None:
            fleet = _FLEETS[id(store)] = cls(store)
        return fleet

    @property
    def goes_on_alone(self) -> bool:
        """Whether one host's protection is enough while the store does not answer."""
        return self.store.when_down == "local"

    def claim(self, accepted: Accepted, credential: Credential) -> Refusal | None:
        """Why the token in *credential*, which the acceptor has taken, does not count:
        it was taken before, by whatever machine, or that cannot be known.
        """
        identity = accepted.identity
        fingerprint: bytes | Refusal
        if accepted.fingerprint is not None:
            fingerprint = accepted.fingerprint()
        else:
            fingerprint = read_token(credential.header)
        if not fingerprint or isinstance(fingerprint, Refusal):
            reason = Reason.MALFORMED
            detail = "not in the DER that other machines would know again"
            return Refusal(reason, detail, identity.principal, identity.spn)
        try:
            is_first = self.breaker.call(lambda: self.store.claim(fingerprint))
        except StoreError as fault:
            if self.goes_on_alone:
                return None
            return fault.refusal(identity.principal, identity.spn)
        if is_first:
            return None
        detail = "found by the fleet: a machine that shares the store has taken it"
        return Refusal(Reason.REPLAYED, detail, identity.principal, identity.spn)

    def objection(self, principal: str, issued: float, mark: str) -> Refusal | None:
        """Why a session of *principal* does not count: it was ended, or that cannot be
        known. It began at *issued*, in seconds since the epoch, and *mark* is what
        its cookie has of its own.
        """
        try:
            if not self._is_over(principal, issued, mark):
                return None
        except StoreError as fault:
            return fault.refusal(principal)
        return Refusal(Reason.SESSION_REVOKED, "", principal)

    def is_over(self, accepted: Accepted, issued: float) -> bool:
        """Whether what began at *issued* was ended, in seconds since the epoch. Raises
        `StoreError`.
        """
        return self._is_over(accepted.identity.principal, issued, None)

    def end(self, mark: str, end: float) -> None:
        """End one session on all machines. Where the store does not answer, the others
        learn of it when it does.
        """
        if end > time.time():
            self._picture.end_session(mark, end)


#: A fleet holds its store, so that no other can have the same number.
_FLEETS: weakref.WeakValueDictionary[int, Fleet] = weakref.WeakValueDictionary()
