"""Is the token good? Screened, then judged: once, whatever layers of ours it passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor
from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.exceptions import AcceptorError, clear_locals
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.authorization import (
    PASSWORD,
    Credential,
    read_token,
    write_token,
)

if TYPE_CHECKING:
    from negotiate_wsgi.request.fleet import Fleet


def verdict_on(
    credential: Credential,
    acceptor: Acceptor,
    earlier: object,
    fleet: Fleet | None = None,
) -> Verdict | None:
    """What is to be said of the credential: by a layer of ours above, which said
    *earlier*, or by *acceptor* and then *fleet*.

    None where only a layer above could tell: it has taken the password out, and has
    another acceptor.
    """
    if (
        not isinstance(earlier, Verdict)
        or credential.header != earlier.credential.header
    ):
        return _judge(credential, acceptor, fleet)
    if earlier.is_claimed:
        # A store says yes once. Where it did not, no acceptor's yes counts.
        fleet = None
        if isinstance(earlier.result, Refusal):
            return replace(earlier, is_news=False)
    result = earlier.as_seen_by(acceptor)
    if result:
        is_news = result is not earlier.result
        verdict = Verdict(
            credential, acceptor, result, is_news, earlier.is_claimed, earlier.proof
        )
        if fleet and credential is not PASSWORD:
            _claim(verdict, fleet)
        return verdict
    if credential is PASSWORD:
        return None
    verdict = _judge(credential, acceptor, fleet)
    if verdict.is_claimed:
        return verdict
    verdict.is_claimed = earlier.is_claimed
    return _judged_again(verdict)


def _judge(credential: Credential, acceptor: Acceptor, fleet: Fleet | None) -> Verdict:
    """What *acceptor* says of the token, if that passes the screening, and then
    *fleet*.
    """
    token = read_token(credential.header)
    if not isinstance(token, bytes):
        return Verdict(credential, None, token)
    try:
        result = acceptor.accept(token)
    except AcceptorError as fault:
        result = Refusal(fault.reason, fault.detail)
    except BaseException as bug:
        clear_locals(bug)
        raise
    finally:
        del token
    verdict = Verdict(credential, acceptor, result)
    if fleet:
        _claim(verdict, fleet)
    accepted = verdict.result
    if isinstance(accepted, Accepted) and accepted.token:
        verdict.proof = write_token(accepted.token)
    return verdict


def _claim(verdict: Verdict, fleet: Fleet) -> None:
    """Let an accepted token count for once, on all machines of *fleet*."""
    accepted = verdict.result
    if isinstance(accepted, Refusal):
        return
    try:
        objection = fleet.claim(accepted, verdict.credential)
    except BaseException as bug:
        clear_locals(bug)
        raise
    verdict.is_claimed = True
    if objection:
        verdict.result = objection
        verdict.is_news = True


def _judged_again(verdict: Verdict) -> Verdict:
    """*verdict* on a token that a layer of ours above has judged with another acceptor."""
    result = verdict.result
    if isinstance(result, Refusal) and result.reason is Reason.REPLAYED:
        detail = "by a layer of ours above, whose acceptor is another one: share one"
        verdict.result = replace(result, detail=detail)
    return verdict
