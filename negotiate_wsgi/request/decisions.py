"""What was decided? One value for one request, one record of it, and the same for
whoever counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, Source
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request.environ import request_id
from negotiate_wsgi.wire.authorization import CHALLENGE, token_size, write_token
from negotiate_wsgi.wire.printable import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("negotiate_wsgi")

#: Of who came in. The records of a session's every request would hide those of the tickets.
_LEVELS: dict[Source, int] = {"ticket": logging.INFO, "session": logging.DEBUG}

_LONGEST_FIELD = 1000  # characters

Outcome = Literal["accepted", "asked", "refused", "failed"]


class Authentication:
    """What is known of who asks. Filled on the way, told once, answered once.

    :param began: when the request came, as `time.perf_counter` has it.
    :param identity: who is asking, or None while that is not known.
    :param verdict: of the request's token, if it has one.
    :param refusal: why the credentials do not count, or why who has them may not come
        in.
    :param is_final: whether the refusal is the answer. Else the app is called without
        identity.
    :param is_news: whether no layer of ours above has told the same.
    :param proof: the mutual token, in bytes.
    :param expiry: tells when the ticket ends, in seconds since the epoch.
    :param failure: what a callable of the configuration raised, for the log.
    """

    identity: Identity | None = None
    verdict: Verdict | None = None
    refusal: Refusal | None = None
    is_final = False
    is_news = True
    proof: bytes | None = None
    expiry: Callable[[], float] | None = None
    failure: Exception | None = None

    def __init__(self, began: float) -> None:
        self.began = began

    def take(self, verdict: Verdict) -> None:
        """Learn what was made of the token."""
        self.verdict = verdict
        self.is_news = verdict.is_news
        result = verdict.result
        if isinstance(result, Refusal):
            self.refusal = result
        else:
            self.identity = result.identity
            self.proof = result.token
            self.expiry = result.expiry

    def conclude(self, refusal: Refusal, failure: Exception | None = None) -> None:
        """Make *refusal* the answer; *failure* is what a callable raised, if that is
        why.
        """
        self.refusal = refusal
        self.failure = failure
        self.is_final = True

    @property
    def reason(self) -> Reason | None:
        """Why the answer is no, or None where it is yes."""
        if self.refusal is None:
            return None
        return self.refusal.reason

    @property
    def is_from_session(self) -> bool:
        """Whether a session, and no ticket, said who is asking."""
        return self.identity is not None and self.identity.source == "session"

    @property
    def www_authenticate(self) -> str | None:
        """The mutual token, else a challenge; or None where the client is not to try
        again.
        """
        if self.proof:
            return write_token(self.proof)
        if self.identity:
            return None
        if self.refusal and not self.refusal.reason.renews_challenge:
            return None
        return CHALLENGE


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request's credentials. Never holds the token.

    :param reason: why they did not count, or None if they did.
    :param principal: the initiator, where it is known.
    :param spn: the SPN the ticket was for, where it is known.
    :param source: what named the principal, ``"ticket"`` or ``"session"``; None if
        nothing did.
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
        if self.reason.status == 500:
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
        refusal = authentication.refusal
        if refusal:
            level = refusal.reason.level
        elif authentication.identity is None:
            return
        else:
            level = _LEVELS[authentication.identity.source]
        if not authentication.is_news:
            return
        is_logged = logger.isEnabledFor(level)
        if not is_logged and self.on_decision is None:
            return
        decision = _decision_on(authentication)
        if is_logged:
            _log(level, environ, decision, authentication)
        if self.on_decision:
            try:
                self.on_decision(decision)
            except Exception as exc:
                logger.error("on_decision raised an exception", exc_info=exc)


def _decision_on(authentication: Authentication) -> Decision:
    identity = authentication.identity
    known = identity or authentication.refusal or Refusal(Reason.NO_CREDENTIALS)
    source: Source | None = None
    if identity:
        source = identity.source
    elif known.principal:
        source = "ticket"
    size = 0
    if authentication.verdict:
        size = token_size(authentication.verdict.credential.header)
    return Decision(
        reason=authentication.reason,
        principal=known.principal,
        spn=known.spn,
        source=source,
        seconds=time.perf_counter() - authentication.began,
        token_size=size,
    )


def _log(
    level: int,
    environ: WSGIEnvironment,
    decision: Decision,
    authentication: Authentication,
) -> None:
    """One record for one decision, the same in its message and in its ``extra`` fields."""
    fields = {
        "reason": str(decision.reason or "accepted"),
        "detail": "",
        "remedy": "",
        "client": environ.get("REMOTE_ADDR") or "",
        "path": _beginning(environ, "SCRIPT_NAME") + _beginning(environ, "PATH_INFO"),
        "principal": decision.principal or "",
        "spn": decision.spn or "",
        "source": decision.source or "",
        "request_id": "",
    }
    refusal = authentication.refusal
    if refusal:
        fields["detail"] = refusal.detail
        fields["remedy"] = refusal.reason.remedy
        fields["request_id"] = request_id(environ)
    # Paths, SPNs and principals are the client's words: they must not write records of
    # their own.
    fields = {name: printable(value, _LONGEST_FIELD) for name, value in fields.items()}
    words = [f"{name}={_quoted(value)}" for name, value in fields.items() if value]
    logger.log(
        level, "%s", ", ".join(words), extra=fields, exc_info=authentication.failure
    )


def _beginning(environ: WSGIEnvironment, key: str) -> str:
    """As much of a value as can be shown, before anything else is made of it."""
    return str(environ.get(key, "")[: _LONGEST_FIELD + 1])


def _quoted(text: str) -> str:
    """In double quotes, and those within escaped: no text can pass for the end of a
    field.
    """
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
