"""What was decided? One record in the log, and the same as data for whoever counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from negotiate_wsgi.acceptors.protocol import Accepted
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, Source
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.environ import BEGAN
from negotiate_wsgi.wire.authorization import token_size

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("negotiate_wsgi")

Outcome = Literal["accepted", "asked", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request's credentials. Never holds the token.

    :param reason: why they did not count, or None if they did.
    :param principal: the initiator, where it is known.
    :param spn: the SPN the ticket was for, where it is known.
    :param source: what named the principal, ``"ticket"`` or ``"session"``; None if nothing did.
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
        """``"accepted"``, ``"asked"`` (no credentials yet), ``"refused"`` or, by our fault, ``"failed"``."""
        if self.reason is None:
            return "accepted"
        if self.reason is Reason.NO_CREDENTIALS:
            return "asked"
        return "failed" if self.reason.status == 500 else "refused"


OnDecision = Callable[[Decision], object]


@dataclass(frozen=True)
class Decisions:
    """Where decisions go: the log, and whoever counts.

    :param on_decision: given each `Decision`; what it raises is logged, and changes nothing.
    """

    on_decision: OnDecision | None

    @classmethod
    def of(cls, on_decision: OnDecision | None) -> Decisions:
        """Validate the option. Raises `ConfigurationError`."""
        if on_decision is not None and not callable(on_decision):
            raise ConfigurationError("on_decision= takes a callable(decision)")
        return cls(on_decision)

    def tell(
        self,
        environ: WSGIEnvironment,
        judged: Accepted | Identity | Refusal,
        failure: Exception | None = None,
        source: Source = "ticket",
    ) -> None:
        """Tell of a request what became of what it offered, by *source*; *failure* is the log's."""
        if isinstance(judged, Accepted):
            judged = judged.identity
        reason = judged.reason if isinstance(judged, Refusal) else None
        level = _level_of(reason, source)
        is_logged = logger.isEnabledFor(level)
        if not is_logged and self.on_decision is None:
            return
        decision = Decision(
            reason, judged.principal, judged.spn, source if judged.principal else None,
            time.perf_counter() - environ[BEGAN], token_size(environ.get("HTTP_AUTHORIZATION")),
        )  # fmt: skip
        if is_logged:
            detail = judged.detail if isinstance(judged, Refusal) else ""
            _log(level, environ, decision, detail, failure)
        if self.on_decision:
            try:
                self.on_decision(decision)
            except Exception as exc:
                logger.error("on_decision raised an exception", exc_info=exc)


def _level_of(reason: Reason | None, source: Source) -> int:
    """The level of a record: those of a session's every request would drown the tickets'."""
    if reason:
        return reason.level
    return logging.DEBUG if source == "session" else logging.INFO


def _log(
    level: int,
    environ: WSGIEnvironment,
    decision: Decision,
    detail: str,
    failure: Exception | None,
) -> None:
    """One record for one decision, the same in its message and in its ``extra`` fields."""
    fields = {
        "reason": str(decision.reason or "accepted"),
        "detail": detail,
        "remedy": decision.reason.remedy if decision.reason else "",
        "client": environ.get("REMOTE_ADDR", ""),
        "path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "principal": decision.principal or "",
        "spn": decision.spn or "",
        "source": decision.source or "",
    }
    # Paths, SPNs and principals are the client's words: they must not write log lines of their own.
    fields = {
        name: "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
        for name, value in fields.items()
    }
    message = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value)
    logger.log(level, "%s", message, extra=fields, exc_info=failure)
