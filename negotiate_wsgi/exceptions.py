"""What is wrong with our own set-up?"""

from __future__ import annotations

import traceback

from negotiate_wsgi.reasons import Reason, Refusal

_RETRY_AFTER = 5  # seconds, where a store does not answer


class NegotiateError(Exception):
    """Root of everything this package raises. A client's bad token raises nothing: it
    is a value.
    """


class ConfigurationError(NegotiateError):
    """An option is wrong. Raised at start-up, with a message that says what to write
    instead.
    """


class DelegationError(NegotiateError):
    """There is no way to act for the user: what was delegated cannot be used, or the KDC
    gives no ticket with it. Raised where the application asks for it.
    """


class AcceptorError(NegotiateError):
    """The acceptor cannot judge any token, through no fault of the client: the answer
    is 500, or 503 where it may be otherwise soon.

    :param reason: one of the reasons whose status is 500 or 503.
    :param detail: what exactly is wrong here: which keytab, which uid, which directory.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class StoreError(NegotiateError):
    """The store of a fleet does not answer, or not as it should. What it says names the
    fault, never the password.
    """

    def refusal(self, principal: str | None = None, spn: str | None = None) -> Refusal:
        """Of somebody of whom nothing can be known without the store."""
        reason = Reason.STORE_UNUSABLE
        return Refusal(reason, str(self), principal, spn, retry_after=_RETRY_AFTER)


def clear_locals(problem: BaseException | None) -> None:
    """Clear the locals of the frames that *problem* went through and that have ended.

    A token or a password is among them, and whoever traces exceptions would store it.
    """
    while problem:
        traceback.clear_frames(problem.__traceback__)
        problem = problem.__context__
