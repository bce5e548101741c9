"""What can whoever looks at the page do about it? It fits the reason, not the status."""

from __future__ import annotations

from dataclasses import dataclass

from negotiate_wsgi.reasons import Reason


@dataclass(frozen=True)
class Advice:
    """What helps against a refusal.

    :param text: for the person who looks at the page.
    :param again: whether to try again is of any use.
    :param browsers: whether to show what to set in each browser.
    """

    text: str
    again: bool = False
    browsers: bool = False


_TELL = "tell the people who run this site, with the reason and the request below."

#: Where the person who looks at the page can do something.
_GROUPS = (
    (
        Advice(
            "Your computer needs a Kerberos ticket: sign in to Windows with the account "
            "that your organisation gave you, or elsewhere run kinit. And your browser "
            "must trust this site for sign-on:",
            again=True,
            browsers=True,
        ),
        (
            Reason.NO_CREDENTIALS,
            Reason.NTLM,
            Reason.NEGOEX,
            Reason.UNSUPPORTED_MECHANISM,
        ),
    ),
    (
        Advice(
            "Get a new ticket: lock the screen of Windows and unlock it, or elsewhere "
            "run kinit. If that does not help, sign out of your computer and sign in "
            "again.",
            again=True,
        ),
        (Reason.EXPIRED, Reason.STALE_TICKET),
    ),
    (
        Advice("Set the clock of your computer, then try again.", again=True),
        (Reason.CLOCK_SKEW,),
    ),
    (
        Advice(
            "Try again: your browser sends a new token then. If that does not help, "
            + _TELL,
            again=True,
        ),
        (
            Reason.REPLAYED,
            Reason.MALFORMED,
            Reason.CHANNEL_BINDINGS_WRONG,
            Reason.UNKNOWN,
        ),
    ),
    (
        Advice(
            "Compare the address of this page with the one that you were given: a "
            "ticket is good for one name of a site, and not for another. If they are "
            "the same, " + _TELL
        ),
        (Reason.WRONG_SERVICE, Reason.SPN_NOT_IN_KEYTAB),
    ),
    (
        Advice(
            "Sign out of your computer, and sign in again in the way that your "
            "organisation asks for, such as with a smart card. If that does not help, "
            + _TELL,
            again=True,
        ),
        (Reason.INDICATOR_MISSING,),
    ),
    (
        Advice("Run kinit with your own user name, then try again.", again=True),
        (Reason.ANONYMOUS,),
    ),
    (
        Advice("Try again, and look whether the Caps Lock key is on."),
        (Reason.PASSWORD_REFUSED,),
    ),
    (
        Advice("Open this site by its address that begins with https."),
        (Reason.PASSWORD_OVER_HTTP,),
    ),
    (
        Advice(
            "Wait, and then type the right password: each wrong one makes the wait start "
            "anew. If you did not try so often yourself, " + _TELL
        ),
        (Reason.TOO_MANY_ATTEMPTS,),
    ),
    (
        Advice("Try again in a minute. If that does not help, " + _TELL, again=True),
        (Reason.KDC_UNREACHABLE, Reason.STORE_UNUSABLE),
    ),
    (
        Advice(
            "Open this site by its own address, and do there what you wanted to do."
        ),
        (Reason.CROSS_SITE,),
    ),
)
_OF_A_REASON = {reason: advice for advice, reasons in _GROUPS for reason in reasons}

#: Where nothing that the person does helps, by status.
_OTHERS = {
    401: Advice("It does not help to try again. Please " + _TELL),
    403: Advice("If you should have access, " + _TELL),
    500: Advice("This is not your fault. Please " + _TELL),
}


def advice_on(reason: Reason) -> Advice:
    """What helps against *reason*; where nothing does, whom to tell."""
    return _OF_A_REASON.get(reason) or _OTHERS[reason.status]
