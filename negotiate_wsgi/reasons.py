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
        if self in (Reason.NO_CREDENTIALS, Reason.SESSION_REVOKED):
            return DEBUG
        if self.status >= 500:
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

    SESSION_REVOKED = ("session-revoked", 401,
        "Your session here has been ended.",
        "Nothing to repair: somebody has ended it (negotiate-wsgi revoke, or a logout). The client is "
        "asked as if it had none, and a new ticket signs on.")

    PASSWORD_REFUSED = ("password-refused", 401,
        "User name or password is not right, or the password has expired, or the account is "
        "locked.",
        "The detail says what the KDC said. Look for other accounts and addresses in the log "
        "that were refused at the same time: somebody may be guessing.")
    PASSWORD_OVER_HTTP = ("password-over-http", 401,
        "Your password was sent without encryption, and has not been looked at. Change it, for "
        "others may have read it, and open this site by https.",
        "The password was sent in clear; have the user change it. If there is TLS in front, have "
        "the server or ProxyFix set wsgi.url_scheme.")
    TOO_MANY_ATTEMPTS = ("too-many-attempts", 429,
        "There were too many attempts with a wrong password. Wait before the next one.",
        "Nothing if somebody was guessing: tickets and sessions of the user are not affected. "
        "Where many users share one address, as behind a proxy that hides theirs, have the "
        "server set REMOTE_ADDR, or raise attempts_from_address=.")

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
    CHANNEL_BINDINGS_WRONG = ("channel-bindings-wrong", 401,
        "Your token was made for a connection with another server than this one.",
        "Compare certificate= with the certificate that clients see (negotiate-wsgi doctor --url). "
        "Have clients come by TLS alone. Else somebody passes on tokens that are not theirs.")
    CHANNEL_BINDINGS_MISSING = ("channel-bindings-missing", 401,
        "Your browser does not bind its token to this connection, which this site asks for.",
        "Use a client that sends channel bindings over TLS, or write channel_binding='optional'.")
    INDICATOR_MISSING = ("indicator-missing", 403,
        "You are signed on, but not in the way that this site asks for, such as with a smart card.",
        "Have the user get a ticket with one of the authentication indicators that this record "
        "names, or have the KDC set them. Active Directory knows none.")
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
    KDC_UNREACHABLE = ("kdc-unreachable", 503,
        "This server cannot check passwords at the moment.",
        "Look whether this server reaches a KDC of the realm of passwords= on port 88, and which "
        "KDCs krb5.conf or DNS name.")
    KDC_NOT_GENUINE = ("kdc-not-genuine", 500,
        "This server could not make sure that the answer to your password is genuine.",
        "Export the keytab again: it may be older than the SPN's key. If it is not, somebody "
        "answers in the KDC's place: look where the KDC's name leads to from here.")
    PASSWORDS_UNUSABLE = ("passwords-unusable", 500,
        "This server is not able to check passwords.",
        "Do what the detail says: passwords need a keytab that names this server in the realm, "
        "and threads that are not patched by gevent or eventlet, such as gunicorn's gthread.")
    ATTEMPTS_UNUSABLE = ("attempts-unusable", 500,
        "This server cannot count attempts with passwords.",
        "Point KRB5RCACHEDIR to a directory that the server's user can write to, and see to it "
        "that the file of attempts belongs to this user.")
    STORE_UNUSABLE = ("store-unusable", 503,
        "This server cannot find out whether your sign-on has been used or ended elsewhere.",
        "Look whether the store of store= runs, is reached from here, has memory left, and grants "
        "its account the rights that the manual names. The detail says what it said.")
    # fmt: on


@dataclass(frozen=True)
class Refusal:
    """An offered credential that was refused, or a fault of ours that kept it from being
    judged.

    :param reason: the stable code, with cause and remedy.
    :param detail: what exactly was found, for the log; never a token or a key.
    :param principal: the initiator's principal, where the ticket could be opened.
    :param spn: the SPN that the ticket was for, where it is known.
    :param typed: the user name that came with a password, for the log, where the KDC
        knows it. Others may be passwords, typed into the wrong field.
    :param retry_after: seconds after which it is of use to try again, or None.
    :param is_repeated: whether the log has said the same shortly before.
    """

    reason: Reason
    detail: str = ""
    principal: str | None = None
    spn: str | None = None
    typed: str | None = None
    retry_after: int | None = None
    is_repeated: bool = False

    def for_the_app(self) -> Refusal:
        """The same without what would tell a stranger whether an account exists."""
        if self.reason is not Reason.PASSWORD_REFUSED:
            return self
        return Refusal(self.reason)
