"""What was decided? One record of it, and the same for whoever counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, Source
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.authentication import Authentication
from negotiate_wsgi.request.environ import request_id
from negotiate_wsgi.wire.authorization import token_size
from negotiate_wsgi.wire.printable import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("negotiate_wsgi")

#: Of who came in. The records of a session's every request would hide those of the tickets.
_LEVELS: dict[Source, int] = {
    "ticket": logging.INFO,
    "password": logging.INFO,
    "session": logging.DEBUG,
}

_LONGEST_FIELD = 1000  # characters

Outcome = Literal["accepted", "asked", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request's credentials. Never holds the token.

    :param reason: why they did not count, or None if they did.
    :param principal: the initiator, where it is known.
    :param spn: the SPN the ticket was for, where it is known.
    :param source: what named who is asking, or was to: ``"ticket"``, ``"password"`` or
        ``"session"``; None if nothing did.
    :param seconds: from the request's arrival to the decision.
    :param token_size: of the token in bytes; 0 if there was none.
    """

    reason: Reason | None
    principal: str | None
    spn: str | None
    source: Source | None
    seconds: float
    token_size: int

    @property
    def outcome(self) -> Outcome:
        """``"accepted"``, ``"asked"`` (no credentials yet), ``"refused"``, or
        ``"failed"`` by our fault.
        """
        if self.reason is None:
            return "accepted"
        if self.reason is Reason.NO_CREDENTIALS:
            return "asked"
        if self.reason.status >= 500:
            return "failed"
        return "refused"


OnDecision = Callable[[Decision], object]


@dataclass(frozen=True)
class Decisions:
    """Where decisions go: the log, and whoever counts.

    :param on_decision: given each `Decision`; what it raises is logged, and changes
        nothing.
    """

    on_decision: OnDecision | None

    @classmethod
    def of(cls, on_decision: OnDecision | None) -> Decisions:
        """Validate the option. Raises `ConfigurationError`."""
        if on_decision is not None and not callable(on_decision):
            raise ConfigurationError("on_decision= takes a callable(decision)")
        return cls(on_decision)

    def tell(self, authentication: Authentication, environ: WSGIEnvironment) -> None:
        """Tell what became of a request, unless there is nothing new to tell."""
        if not authentication.is_news:
            return
        refusal = authentication.refusal
        if refusal:
            level = logging.DEBUG if refusal.is_repeated else refusal.reason.level
        elif authentication.identity is None:
            return
        else:
            level = _LEVELS[authentication.identity.source]
        is_logged = logger.isEnabledFor(level)
        if not is_logged and self.on_decision is None:
            return
        decision = _decision_on(authentication) if self.on_decision else None
        if is_logged:
            _log(level, environ, authentication)
        if self.on_decision and decision:
            try:
                self.on_decision(decision)
            except Exception as exc:
                logger.error("on_decision raised an exception", exc_info=exc)


def _known(authentication: Authentication) -> Identity | Refusal:
    """What names the initiator and the SPN, where anything does."""
    known = authentication.identity or authentication.refusal
    return known or Refusal(Reason.NO_CREDENTIALS)


def _decision_on(authentication: Authentication) -> Decision:
    known = _known(authentication)
    size = 0
    if authentication.verdict:
        size = token_size(authentication.verdict.credential.header)
    return Decision(
        reason=authentication.reason,
        principal=known.principal,
        spn=known.spn,
        source=authentication.source,
        seconds=time.perf_counter() - authentication.began,
        token_size=size,
    )


def _log(level: int, environ: WSGIEnvironment, authentication: Authentication) -> None:
    """One record for one decision, the same in its message and in its ``extra`` fields."""
    known = _known(authentication)
    fields = {
        "reason": str(authentication.reason or "accepted"),
        "detail": "",
        "remedy": "",
        "client": environ.get("REMOTE_ADDR") or "",
        "path": _beginning(environ, "SCRIPT_NAME") + _beginning(environ, "PATH_INFO"),
        "principal": known.principal or "",
        "spn": known.spn or "",
        "source": authentication.source or "",
        "typed": "",
        "request_id": "",
    }
    refusal = authentication.refusal
    if refusal:
        fields["detail"] = refusal.detail
        fields["remedy"] = refusal.reason.remedy
        fields["typed"] = refusal.typed or ""
        fields["request_id"] = request_id(environ)
    message, fields = _in_words(fields)
    _hand_over(level, message, fields, authentication.failure)


def _in_words(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The message of a record that has *fields*, and these as they can be shown.

    Paths, SPNs and principals are the client's words: they must not write records of
    their own.
    """
    quoted = fields
    if not _is_plain("".join(fields.values())):
        fields = {
            name: printable(value, _LONGEST_FIELD) for name, value in fields.items()
        }
        quoted = {name: _escaped(value) for name, value in fields.items()}
    words = [f'{name}="{value}"' for name, value in quoted.items() if value]
    return ", ".join(words), fields


def _hand_over(
    level: int, message: str, fields: dict[str, str], failure: Exception | None
) -> None:
    """As `Logger.log` does, which would look for its caller each time, and find us."""
    exc_info = None
    if failure:
        exc_info = (type(failure), failure, failure.__traceback__)
    record = logger.makeRecord(
        logger.name, level, __file__, _LINE, "%s", (message,), exc_info, "_hand_over"
    )
    known = record.__dict__
    for name, value in fields.items():
        # A factory of the application's may have its own "request_id".
        if value or name not in known:
            known[name] = value
    logger.handle(record)


_LINE = _hand_over.__code__.co_firstlineno


def _beginning(environ: WSGIEnvironment, key: str) -> str:
    """As much of a value as can be shown, before anything else is made of it."""
    return str(environ.get(key, "")[: _LONGEST_FIELD + 1])


def _is_plain(text: str) -> bool:
    """Whether nothing in it has to be escaped or cut, which is so of nearly all."""
    if len(text) > _LONGEST_FIELD or not text.isprintable():
        return False
    return '"' not in text and "\\" not in text


def _escaped(text: str) -> str:
    """So that within double quotes no text can pass for the end of a field."""
    return text.replace("\\", r"\\").replace('"', r"\"")
