"""The store that users already run: Valkey, or Redis."""

from __future__ import annotations

import hashlib
import logging
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from negotiate_wsgi.exceptions import ConfigurationError, StoreError
from negotiate_wsgi.stores.fault import in_words
from negotiate_wsgi.stores.patience import at_most
from negotiate_wsgi.stores.protocol import (
    EVERYBODY,
    KEPT_FOR,
    LONGEST_REFRESH,
    Revocations,
    WhenDown,
    check_seconds,
    check_when_down,
    draw_revision,
)

if TYPE_CHECKING:
    from negotiate_wsgi.stores.valkey_url import Address

T = TypeVar("T")

_logger = logging.getLogger("negotiate_wsgi")

_REPLAY = b"negotiate-wsgi replay 1\0"
_COUNT = b"negotiate-wsgi count 1\0"
_CLOCKS_DIFFER = 60  # seconds. A session may be over here and not yet elsewhere.


class ValkeyStore:
    """What the machines of a site share, in a Valkey or Redis (7.0 or later) of theirs.

        NegotiateMiddleware(app, store=ValkeyStore("valkeys://store.example.com:6379/0"))

    A token that one machine has taken is refused on all others, and `revoke` ends
    sessions on each of them. Needs the extra ``[fleet]``.

    Whoever can write to the store can undo revocations, end everybody's sessions, and
    let captured tokens count again for the minutes that they are good, but nobody in:
    the keys of cookies and tickets are not there. Give it an account of its own.

    :param url: ``valkey://`` or ``redis://`` (TCP), ``valkeys://`` or ``rediss://``
        (TLS, whose certificate and host name are verified), ``unix://``, or
        ``valkey+sentinel://host1:26379,host2:26379/NAME/0``. Behind a question mark
        ``username``, ``password``, ``db``, ``client_name``, ``ssl_ca_certs``,
        ``ssl_ca_path``, ``ssl_certfile`` and ``ssl_keyfile``, as in valkey-py.
    :param prefix: of all keys; one for each site that shares keys of sessions.
    :param refresh: seconds between two looks for revocations, 0.1 to 20: within these a
        revoked session ends.
    :param timeout: seconds to wait for an answer. A question that needs several, as on a
        new connection, waits twice as long in all. How long a name is looked up in DNS
        is the system's to say.
    :param when_down: what becomes of a sign-on while the store does not answer:
        ``"refuse"`` it with 503, or ``"local"`` to go on with what one host knows.
    :param clock_skew: as in krb5.conf, in seconds. Records of replays live three times
        as long: a client's clock may be ahead by that, and clocks of machines differ.
    :raises ConfigurationError: an option is wrong, or valkey-py is not installed. Never
        has the password of *url* in it.
    """

    _shown = "?"

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "negotiate",
        refresh: float = 5,
        timeout: float = 0.5,
        when_down: WhenDown = "refuse",
        clock_skew: int = 300,
    ) -> None:
        # Not at the top of the module: who has no store needs nothing of it.
        from negotiate_wsgi.stores.valkey_url import read_url

        address = read_url(url)
        del url  # whoever traces exceptions stores the locals
        if isinstance(address, str):
            raise ConfigurationError(f"the URL of the store: {address}")
        if not isinstance(prefix, str) or not re.fullmatch("[A-Za-z0-9_.-]+", prefix):
            raise ConfigurationError(
                f"prefix={prefix!r}: write letters, digits, '_', '.' and '-'"
            )
        if len(prefix) > 64:
            raise ConfigurationError(f"prefix={prefix!r}: write 64 characters at most")
        check_seconds("refresh", refresh, LONGEST_REFRESH)
        check_seconds("timeout", timeout, 60)
        check_seconds("clock_skew", clock_skew, 86_400)
        check_when_down("when_down", when_down)
        self.refresh = refresh
        self.when_down = when_down
        self._shown = address.shown
        self._prefix = prefix
        self._life_of_a_claim = int(3000 * clock_skew)  # milliseconds
        self._timeout = timeout
        self._client = _client(address, timeout)
        if address.is_in_clear:
            self._warn_of_clear_text()

    def __repr__(self) -> str:
        return f"ValkeyStore({self._shown!r})"

    def __str__(self) -> str:
        return self._shown

    def _warn_of_clear_text(self) -> None:
        _logger.warning(
            "the store %s is reached without TLS: others on the way can undo "
            "revocations. Write valkeys://",
            self._shown,
        )

    def claim(self, fingerprint: bytes) -> bool:
        key = f"{self._prefix}:replay:{_name(_REPLAY, fingerprint)}"
        ttl = self._life_of_a_claim
        answer = self._ask(lambda: self._client.set(key, 1, nx=True, px=ttl))
        if answer not in (True, None):
            raise StoreError("it gave an answer to SET that is none")
        return answer is True

    def count(self, name: bytes, seconds: int, by: int = 1) -> int:
        key = f"{self._prefix}:count:{_name(_COUNT, name)}"
        if by == 0:
            return self._ask(lambda: int(self._client.get(key) or 0))
        pipeline = self._client.pipeline()
        pipeline.incrby(key, by)
        pipeline.expire(key, seconds, nx=by < 0)
        return self._ask(lambda: int(pipeline.execute()[0]))

    def revoke(self, principal: str | None) -> None:
        member = EVERYBODY if principal is None else principal

        def change() -> None:
            now = self._now()
            self._add(now, {member: now}, {})

        self._ask(change)

    def end_session(self, session: str, end: float) -> None:
        self._ask(lambda: self._add(self._now(), {}, {session: end}))

    def restore(self, lost: Revocations) -> None:
        self._ask(lambda: self._add(self._now(), lost.principals, lost.sessions))

    def revocations(self, known: int) -> Revocations | None:
        return self._ask(lambda: self._revocations(known))

    def _revocations(self, known: int) -> Revocations | None:
        if int(self._client.get(self._key("revision")) or 0) == known:
            return None
        pipeline = self._client.pipeline()
        pipeline.get(self._key("revision"))
        pipeline.zrange(self._key("revoked"), 0, -1, withscores=True)
        pipeline.zrange(self._key("ended"), 0, -1, withscores=True)
        revision, principals, sessions = pipeline.execute()
        return Revocations(int(revision or 0), _scores(principals), _scores(sessions))

    def _now(self) -> int:
        """In seconds since the epoch, by the store's clock."""
        return int(self._client.time()[0])

    def _add(self, now: int, principals: Any, sessions: Any) -> None:
        """Add to what is revoked, drop what is too old to matter, and say that it
        changed.
        """
        pipeline = self._client.pipeline()
        if principals:
            pipeline.zadd(self._key("revoked"), principals, gt=True)
        if sessions:
            pipeline.zadd(self._key("ended"), sessions, gt=True)
        pipeline.zremrangebyscore(self._key("revoked"), "-inf", now - KEPT_FOR)
        pipeline.zremrangebyscore(self._key("ended"), "-inf", now - _CLOCKS_DIFFER)
        pipeline.set(self._key("revision"), draw_revision())
        pipeline.execute()

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _ask(self, ask: Callable[[], T]) -> T:
        """What the store answers. Raises `StoreError` without the exception before it,
        whose frames have the password in their locals.
        """
        try:
            with at_most(2 * self._timeout):
                return ask()
        # Not ValkeyError alone: another protocol's answers end in ValueErrors and others.
        except Exception as problem:
            fault = in_words(problem)
        raise StoreError(fault)


def _client(address: Address, timeout: float) -> Any:
    """Of valkey-py. Raises `ConfigurationError`."""
    try:
        from negotiate_wsgi.stores.connection import open_client
    except ImportError as exc:
        raise ConfigurationError(
            "ValkeyStore needs valkey-py: pip install 'negotiate-wsgi[fleet]'"
        ) from exc
    return open_client(address, timeout)


def _name(purpose: bytes, content: bytes) -> str:
    digest = hashlib.sha256(purpose + content).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _scores(pairs: Iterable[tuple[bytes, float]]) -> dict[str, float]:
    return {member.decode(errors="replace"): score for member, score in pairs}
