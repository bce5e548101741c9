"""What is wrong with our own set-up?"""

from __future__ import annotations

from negotiate_wsgi.reasons import Reason


class NegotiateError(Exception):
    """Root of everything this package raises. A client's bad token raises nothing: it
    is a value.
    """


class ConfigurationError(NegotiateError):
    """An option is wrong. Raised at start-up, with a message that says what to write
    instead.
    """


class AcceptorError(NegotiateError):
    """The acceptor cannot judge any token, through no fault of the client: the answer
    is 500.

    :param reason: one of the reasons whose status is 500.
    :param detail: what exactly is wrong here: which keytab, which uid, which directory.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
