"""What is known of who asks? One value for one request, filled on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.identity import Identity, Source
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.authorization import CHALLENGE, PASSWORD

if TYPE_CHECKING:
    from negotiate_wsgi.request.form import Visit

#: How somebody has signed on, as the app reads it in ``AUTH_TYPE`` (RFC 3875 section
#: 4.1.1).
AuthType = Literal["Negotiate", "Basic"]


class Authentication:
    """What is known of who asks. Filled on the way, told once, answered once.

    :param began: when the request came, as `time.perf_counter` has it.
    :param visit: to the sign-in form, or None for all other requests.
    :param identity: who is asking, or None while that is not known.
    :param auth_type: how they signed on, in this request or where the session began.
    :param verdict: of the request's token or password, if it has one.
    :param refusal: why the credentials do not count, or why who has them may not come
        in.
    :param is_final: whether the refusal is the answer. Else the app is called without
        identity.
    :param is_news: whether no layer of ours above has told the same.
    :param proof: the value of ``WWW-Authenticate`` that carries the mutual token.
    :param expiry: tells when the ticket ends, in seconds since the epoch.
    :param failure: what a callable of the configuration raised, for the log.
    """

    visit: Visit | None = None
    identity: Identity | None = None
    auth_type: AuthType = "Negotiate"
    verdict: Verdict | None = None
    refusal: Refusal | None = None
    is_final = False
    is_news = True
    proof: str | None = None
    expiry: Callable[[], float] | None = None
    failure: Exception | None = None

    def __init__(self, began: float) -> None:
        self.began = began

    def take(self, verdict: Verdict) -> None:
        """Learn what was made of the token or the password."""
        self.verdict = verdict
        self.is_news = verdict.is_news
        result = verdict.result
        if verdict.credential is PASSWORD:
            self.auth_type = "Basic"
        if not isinstance(result, Refusal):
            self.identity = result.identity
            self.proof = verdict.proof
            self.expiry = result.expiry
        elif verdict.credential is PASSWORD and result.reason.status != 401:
            # To wait, or a fault of ours: who typed a password is to know of it even
            # where the app would have been called without.
            self.conclude(result)
        else:
            self.refusal = result

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
    def is_answered(self) -> bool:
        """Whether it is known what to answer before anything is asked of who it is."""
        return self.is_final or (
            self.visit is not None and self.visit.instead is not None
        )

    @property
    def source(self) -> Source | None:
        """What named who is asking, or tried to; None where nothing did."""
        if self.identity:
            return self.identity.source
        if self.verdict and self.verdict.credential is PASSWORD:
            return "password"
        if self.refusal and self.refusal.principal:
            return "ticket" if self.verdict else "session"
        return None

    @property
    def is_revoked(self) -> bool:
        """Whether the request brought a session that has been ended."""
        return self.verdict is None and self.reason is Reason.SESSION_REVOKED

    @property
    def is_from_session(self) -> bool:
        """Whether a session, and no credential, said who is asking."""
        return self.identity is not None and self.identity.source == "session"

    def challenges(self, basic: str | None) -> list[str]:
        """The values of ``WWW-Authenticate``: the mutual token, else a challenge for
        each way to try again. *basic* is that of passwords, if they are offered.
        """
        if self.proof:
            return [self.proof]
        if self.identity:
            return []
        if self.visit and self.visit.is_posted_again_when_challenged:
            return []
        reason = self.reason or Reason.NO_CREDENTIALS
        challenges = []
        if reason.renews_challenge:
            challenges.append(CHALLENGE)
        if basic and reason.status == 401:
            challenges.append(basic)
        return challenges
