"""Why was the client refused? Stable codes, each with its cause and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from logging import DEBUG, ERROR, WARNING


class Reason(StrEnum):
    """Why a request did not get an identity. The value is a stable code, fit for logs
    and metrics.

    Each member has a ``status`` (the HTTP status it is answered with where sign-on is
    required), a ``cause`` fit for the client's eyes, and a ``remedy`` for the
    administrator's.
    """

    status: int
    cause: str
    remedy: str

    def __new__(cls, code: str, status: int, cause: str, remedy: str) -> Reason:
        self = str.__new__(cls, code)
        self._value_ = code
        self.status = status
        self.cause = cause
        self.remedy = remedy
        return self

    @property
    def level(self) -> int:
        """Of its log record: an administrator sees what was refused without configuring
        anything.

        DEBUG for a first request without credentials, WARNING for a refusal, ERROR
        where no sign-on can work until somebody repairs something here.
        """
        if self is Reason.NO_CREDENTIALS:
            return DEBUG
        if self.status == 500:
            return ERROR
        return WARNING

    @property
    def renews_challenge(self) -> bool:
        """Whether the client is asked again.

        After NTLM or NEGOEX it is not: browsers would open a password dialog.
        """
        return self.status == 401 and self not in (Reason.NTLM, Reason.NEGOEX)

    # fmt: off
    # What the client said
    NO_CREDENTIALS = ("no-credentials", 401,
        "This page needs to know who you are, and your browser has not said so yet.",
        "Nothing to repair: a first request is always asked for a ticket.")
    MALFORMED = ("malformed", 401,
        "What your browser sent as a Kerberos token is damaged or not one.",
        "Look for a proxy that cuts or rewrites the Authorization header.")
    TOO_LARGE = ("too-large", 401,
        "The token your browser sent is larger than 64 KiB.",
        "Take the user out of some groups, or stop the KDC from adding them to the ticket.")
    NTLM = ("ntlm", 401,
        "Your browser offered NTLM, which this site does not accept, instead of a Kerberos ticket.",
        "Check that the client can reach a KDC, that the SPN HTTP/<host in the URL> exists, and "
        "that the browser trusts this site for sign-on.")
    NEGOEX = ("negoex", 401,
        "Your browser offered NEGOEX, which this site does not accept, before a Kerberos ticket.",
        "Check that the client has a ticket-granting ticket of a realm this server trusts.")
    UNSUPPORTED_MECHANISM = ("unsupported-mechanism", 401,
        "Your browser offered a sign-on mechanism other than Kerberos.",
        "Configure the client to offer Kerberos first.")
    NEEDS_ANOTHER_LEG = ("needs-another-leg", 401,
        "Your browser wants to sign on in more than one step, which this site does not do.",
        "Configure the client to send its Kerberos ticket with the first token.")

    CROSS_SITE = ("cross-site", 403,
        "The page of another site asked for this in your name, which this site does not allow.",
        "If that page may, add its origin, or that of this site if a proxy rewrites the Host "
        "header, to trusted_origins=.")

    # What the acceptor found
    REPLAYED = ("replayed", 401,
        "This token has been used before.",
        "Nothing if it was a client's retry; else look for a proxy that repeats requests, or for "
        "someone who has captured the token.")
    EXPIRED = ("expired", 401,
        "Your Kerberos ticket has expired.",
        "Have the user sign on to the workstation again, or run kinit.")
    CLOCK_SKEW = ("clock-skew", 401,
        "The clock of your computer and that of this server are too far apart.",
        "Synchronise the clocks of client, server and KDC (more than 300 s apart is refused).")
    WRONG_SERVICE = ("wrong-service", 401,
        "Your ticket was issued for another service or host than this site.",
        "Use a URL whose host has an SPN of this service, or widen hostname=.")
    SPN_NOT_IN_KEYTAB = ("spn-not-in-keytab", 401,
        "Your ticket was issued for a name that this server has no key for.",
        "Add the SPN's key to the keytab, or have clients use a name that is in it.")
    STALE_TICKET = ("stale-ticket", 401,
        "Your ticket is older than this server's key.",
        "Have the user sign on to the workstation again, or run kinit, and keep the old keys in "
        "the keytab for a ticket's lifetime.")
    STALE_KEYTAB = ("stale-keytab", 401,
        "This server's keytab is older than your ticket.",
        "Export the keytab again: the KDC has a newer key (kvno) for this SPN.")
    WRONG_KEY = ("wrong-key", 401,
        "Your ticket cannot be decrypted with this server's key.",
        "Export the keytab again, and check that just one account holds this SPN, and that "
        "permitted_enctypes in krb5.conf does not exclude the ticket's.")
    ENCTYPE_MISSING = ("enctype-missing", 401,
        "This server has no key of the encryption type of your ticket.",
        "Export the keytab with all encryption types that the KDC issues for this SPN. In Active "
        "Directory, let its account use AES first.")
    NO_PAC = ("no-pac", 401,
        "Your ticket does not say which account of Active Directory you have.",
        "Look whether the user's KDC is an Active Directory, and clear the flag "
        "NO_AUTH_DATA_REQUIRED (0x2000000) in userAccountControl of this service's account.")
    UNKNOWN = ("unknown", 401,
        "Your token was refused for a reason this site has no name for.",
        "Read the library's own text in this record.")

    # What the policy said
    ANONYMOUS = ("anonymous", 403,
        "An anonymous ticket does not say who you are.",
        "Have the user run kinit with a principal of their own.")
    REALM_NOT_ALLOWED = ("realm-not-allowed", 403,
        "Users of your realm may not come in here.",
        "Add the realm to realms= if its users may.")
    USER_NOT_ALLOWED = ("user-not-allowed", 403,
        "You are signed on, but are not one of the users who may come in here.",
        "Add the principal of this record to users= if the user may.")
    GROUP_MISSING = ("group-missing", 403,
        "You are signed on, but are not in a group that may come in here.",
        "Put the user into one of the groups that this record names. It counts from the user's "
        "next sign-on to the workstation, or next kinit.")
    NOT_AUTHORIZED = ("not-authorized", 403,
        "You are signed on, but have not been given access.",
        "The authorize callable said no: grant the right there if the user may.")

    # What is out of order with us
    AUTHORIZE_FAILED = ("authorize-failed", 500,
        "This server could not find out whether you may come in.",
        "Repair the callable authorize=: the exception is in this record.")
    REQUIRED_FAILED = ("required-failed", 500,
        "This server could not find out whether this page needs sign-on.",
        "Repair the callable required=: the exception is in this record.")
    KEYTAB_UNUSABLE = ("keytab-unusable", 500,
        "This server cannot use its Kerberos key.",
        "Give the server's user read access to a keytab with its SPN, and name it by keytab= or "
        "KRB5_KTNAME.")
    KRB5_CONF_UNUSABLE = ("krb5-conf-unusable", 500,
        "This server cannot use its Kerberos configuration.",
        "Repair krb5.conf, or the file that KRB5_CONFIG names, and let the server's user read it.")
    REPLAY_CACHE_UNUSABLE = ("replay-cache-unusable", 500,
        "This server cannot use its replay cache.",
        "Point KRB5RCACHEDIR to a directory that the server's user can write to.")
    # fmt: on


@dataclass(frozen=True)
class Refusal:
    """An offered token that was refused, or a fault of ours that kept it from being
    judged.

    :param reason: the stable code, with cause and remedy.
    :param detail: what exactly was found, for the log; never a token or a key.
    :param principal: the initiator's principal, where the ticket could be opened.
    :param spn: the SPN that the ticket was for, where it is known.
    """

    reason: Reason
    detail: str = ""
    principal: str | None = None
    spn: str | None = None
