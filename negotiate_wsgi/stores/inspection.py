"""What does a store say of itself, and what does it let us do? Asked by the doctor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from negotiate_wsgi.exceptions import StoreError
from negotiate_wsgi.stores.valkey import ValkeyStore

#: After these there is no connection any more. Any other error is an answer.
_LOST = ("TimeoutError", "ConnectionError", "MasterNotFoundError")
_SHORT = 1000  # milliseconds, that our key lives if nothing else removes it


class Inspection(ValkeyStore):
    """The store of a site, by the connection that its processes have.

    Its own key is ``PREFIX:doctor``, of which nothing stays.

    :ivar timeout: that of the site, in seconds.
    :ivar is_in_clear: whether others on the way can read and change what is said.
    """

    is_in_clear = False

    def __init__(self, url: str, prefix: str, timeout: float = 0.5) -> None:
        super().__init__(url, prefix=prefix, timeout=timeout)
        del url  # whoever traces exceptions stores the locals
        self.timeout = timeout

    def _warn_of_clear_text(self) -> None:
        self.is_in_clear = True

    @property
    def user(self) -> str:
        """Whose password is sent."""
        return str(self._client.connection_pool.connection_kwargs.get("username", ""))

    @property
    def pattern(self) -> str:
        """Of all keys, as an ACL has it."""
        return f"~{self._prefix}:*"

    def info(self) -> dict[str, Any]:
        """What INFO says. Empty where the account may not ask that.

        Raises `StoreError` where nothing else can be asked, either.
        """
        try:
            return self._ask(lambda: dict(self._client.info()))
        except StoreError as fault:
            if "'info'" in str(fault):
                return {}
            raise

    def clock_ahead(self) -> float:
        """Seconds that the store's clock is ahead of ours. Raises `StoreError`."""
        before = time.time()
        seconds, microseconds = self._ask(lambda: tuple(map(int, self._client.time())))
        return seconds + microseconds / 1e6 - (before + time.time()) / 2

    def round_trip(self) -> float:
        """How long the command of a sign-on takes, in seconds. Raises `StoreError`."""
        key = self._key("doctor")
        started = time.perf_counter()
        self._refusal(lambda: self._client.set(key, 1, nx=True, px=1))
        return time.perf_counter() - started

    def refusals(self) -> dict[str, str]:
        """What the store says to each command of ours that it does not take.

        They are one transaction, which removes what it has made; where one is refused,
        the store does none of them. Raises `StoreError`.
        """
        pool = self._client.connection_pool
        connection = self._ask(lambda: pool.get_connection("MULTI"))
        try:
            return dict(self._tried(connection))
        finally:
            connection.disconnect()  # and with it a transaction that EXEC may not end
            pool.release(connection)

    def _tried(self, connection: Any) -> Iterator[tuple[str, str]]:
        def send(*words: object) -> Any:
            connection.send_command(*words)
            return connection.read_response()

        refused = self._refusal(lambda: send("MULTI"))
        if refused:
            yield "MULTI", refused
            return  # what follows would be done one by one
        commands = _commands(self._key("doctor"))
        is_whole = True
        for words in commands:
            refused = self._refusal(lambda words=words: send(*words))  # type: ignore[misc]
            if refused:
                is_whole = False
                yield str(words[0]), refused
        done: list[Any] = []
        refused = self._refusal(lambda: done.extend(send("EXEC")))
        if refused and (is_whole or "'exec'" in refused):
            yield "EXEC", refused
        for words, answer in zip(commands, done, strict=False):
            refused = self._refusal(lambda answer=answer: _checked(answer))  # type: ignore[misc]
            if refused:
                yield str(words[0]), refused

    def _refusal(self, ask: Callable[[], object]) -> str | None:
        """The error that the store answers with. Raises `StoreError` if there is no
        answer.
        """
        try:
            self._ask(ask)
        except StoreError as fault:
            if str(fault).startswith(_LOST):
                raise
            return str(fault)
        return None


def _commands(key: str) -> tuple[tuple[object, ...], ...]:
    """What processes of the site send in a transaction or beside one, and our own
    removal of *key*.
    """
    return (
        ("PING",),
        ("TIME",),
        ("INFO", "server"),
        ("SET", key, 1, "NX", "PX", _SHORT),
        ("GET", key),
        ("INCRBY", key, 1),
        ("EXPIRE", key, 1, "NX"),
        ("DEL", key),
        ("ZADD", key, "GT", 0, "member"),
        ("ZRANGE", key, 0, -1, "WITHSCORES"),
        ("ZREMRANGEBYSCORE", key, "-inf", 0),
    )


#: All that the account has to be allowed.
COMMANDS = ["MULTI", *(str(words[0]) for words in _commands("")), "EXEC"]


def _checked(answer: object) -> None:
    if isinstance(answer, Exception):
        raise answer
