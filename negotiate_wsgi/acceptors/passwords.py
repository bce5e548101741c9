"""Is the password right? The KDC is asked, and then has to prove that it is ours.

A KDC that says yes proves nothing: whoever can answer in its place, and has chosen the
password, says yes, too. So the user's ticket-granting ticket is used at once for a
ticket to ourselves, and the acceptor judges that as it judges a browser's: only a KDC
that has our key can have made it. All that the acceptor knows of tickets (which key may
open the door, the PAC, groups) holds for passwords as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from negotiate_wsgi.acceptors.gssapi_initiator import Initiator, SignedOn
from negotiate_wsgi.acceptors.gssapi_library import library
from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Refused
from negotiate_wsgi.acceptors.status import is_for_want_of_a_credential
from negotiate_wsgi.acceptors.target import KeytabAcceptor
from negotiate_wsgi.exceptions import (
    AcceptorError,
    ConfigurationError,
    clear_locals,
)
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.authorization import Password
from negotiate_wsgi.wire.names import principal_in_words


@runtime_checkable
class PasswordChecker(Protocol):
    """Judges a user's password. Must be safe to call from any thread."""

    def check_password(self, user: str, password: Password) -> Accepted | Refused:
        """Judge one password.

        :param user: a user name without a realm, which `checked_password` has let pass,
            as the password.
        :returns: an `Accepted` whose identity has the source ``"password"`` and no SPN,
            without a mutual token; or what `PASSWORD_REFUSED` or a reason of the
            acceptor's says of the user.

        Raises `AcceptorError` for faults of our own, and where the KDC does not answer.
        """
        ...


# What krb5 says of a user that the KDC knows (RFC 4120 section 7.5.9, MIT's texts):
# of the account, where the password need not even have been looked at, ...
_OF_THE_ACCOUNT = (
    r"Client's credentials have been revoked"  # locked, or disabled
    r"|Password has expired"  # or has to be changed
    r"|Client's entry in database has expired"
    r"|Client not yet valid.*"
    r"|KDC policy rejects request"
)
# ... and of the password. The last one where the KDC asks for no preauthentication: the
# password does not decrypt what everybody gets.
_OF_WHAT_WAS_TYPED = r"Pre-?authentication failed.*|Decrypt integrity check failed"
_IS_NOT_ADMITTED = re.compile(_OF_THE_ACCOUNT)
_KNOWS_THE_USER = re.compile(f"{_OF_THE_ACCOUNT}|{_OF_WHAT_WAS_TYPED}", re.DOTALL)
_CLOCKS = re.compile(r"Clock skew too great.*", re.DOTALL)
_SYNCHRONISE = (
    "the clocks of this server and of the KDC are too far apart: synchronise them"
)
# Refusals that are of the user, by a KDC that has proved itself with the acceptor's key.
_OF_THE_USER = {Reason.NO_PAC, Reason.INDICATOR_MISSING}
# With an acceptor's own clock, as long as the ticket was made a moment ago.
_OF_THE_CLOCKS = {Reason.CLOCK_SKEW, Reason.EXPIRED}


class KerberosPasswords(PasswordChecker):
    """Asks the KDC of *realm*, and has *acceptor* judge the ticket that it gives.

    :param realm: put behind each user name.
    :param acceptor: with a keytab, for one of whose SPNs the ticket is.
    :raises ConfigurationError: the acceptor has no keytab, or python-gssapi is not
        installed.
    """

    def __init__(self, realm: str, acceptor: Acceptor) -> None:
        if not isinstance(acceptor, KeytabAcceptor):
            raise ConfigurationError(
                f"acceptor={acceptor!r} cannot check passwords: write GssapiAcceptor() or "
                "PykerberosAcceptor(), or give it a method check_password(user, password)"
            )
        self._realm = realm
        self._acceptor: Acceptor = acceptor
        self._target = acceptor.target
        self._channel_bindings = acceptor.channel_bindings
        self._read_keytab = acceptor.keytab
        self._library = library()
        self._initiator = Initiator(self._library)
        self._is_unreachable = _silence_of(realm)

    def check_password(self, user: str, password: Password) -> Accepted | Refused:
        """Judge one password, as `PasswordChecker` has it. Blocks, for half a minute
        where the KDC is silent.
        """
        try:
            return self._check(user, password)
        except BaseException as problem:
            clear_locals(problem)
            raise

    def own_spn(self) -> str:
        """Which of our SPNs the user's ticket is to be for. Raises `AcceptorError`."""
        service = self._target.service
        keytab = self._read_keytab()
        for key in keytab.keys:
            in_realm = key.principal.endswith(f"@{self._realm}")
            if in_realm and self._target.admits(key.principal):
                return key.principal
        if keytab.keys:
            problem = (
                f"the keytab {keytab.path} has no key for {service}/ in the realm "
                f"{self._realm}: add one, or write the realm of its keys in passwords="
            )
            raise AcceptorError(Reason.PASSWORDS_UNUSABLE, problem)
        if not self._target.hostnames:
            problem = (
                "gssproxy alone can read the keytab, and does not say which SPN it has: "
                "write hostname="
            )
            raise AcceptorError(Reason.PASSWORDS_UNUSABLE, problem)
        return f"{service}/{min(self._target.hostnames)}@{self._realm}"

    def _check(self, user: str, password: Password) -> Accepted | Refused:
        # Before the KDC is asked, which counts passwords that are not right.
        spn = self.own_spn()
        principal = principal_in_words([user.encode()], self._realm.encode())
        try:
            signed_on = self._initiator.sign_on(principal, password)
        except self._library.GSSError as error:
            return self._refused(error, user, principal)
        try:
            token = self._initiator.token(signed_on, spn, self._binding())
        except self._library.GSSError as error:
            return self._refused_a_ticket(error, user, spn)
        finally:
            self._initiator.forget(signed_on)
        result = self._acceptor.accept(token)
        if isinstance(result, Accepted):
            return _with_password(result, signed_on)
        return _unless_of_the_user(result)

    def _binding(self) -> bytes | None:
        """What our own token has to be bound to, which never leaves this process."""
        if self._channel_bindings is None:
            return None
        return self._channel_bindings.accepted()[0]

    def _refused(self, error: Any, user: str, principal: str) -> Refused:
        """What the KDC said of the user. Raises `AcceptorError` where it did not, or
        where that is no fault of the user's.
        """
        text = self._text_of(error)
        if not is_for_want_of_a_credential(error.maj_code, text):
            self._library.context()
            raise AcceptorError(Reason.PASSWORDS_UNUSABLE, text)
        self._check_for_faults(text)
        # People type passwords into the wrong field: a name that the KDC does not know
        # stands in no log.
        typed = user if _KNOWS_THE_USER.fullmatch(text) else None
        detail = text.replace(principal, "…")
        return Refused(Reason.PASSWORD_REFUSED, detail, typed=typed)

    def _refused_a_ticket(self, error: Any, user: str, spn: str) -> Refused:
        """The same once the password is right, but no ticket for us is to be had."""
        text = self._text_of(error)
        self._check_for_faults(text)
        if _IS_NOT_ADMITTED.fullmatch(text):
            return Refused(Reason.PASSWORD_REFUSED, text, typed=user)
        problem = (
            f"the KDC gives no ticket for {spn}, the first SPN of ours: {text}. See to it "
            "that the realm has this SPN, or take it out of the keytab"
        )
        raise AcceptorError(Reason.PASSWORDS_UNUSABLE, problem)

    def _text_of(self, error: Any) -> str:
        try:
            return self._library.text_of(error)
        except UnicodeDecodeError:
            return "the library's text is not UTF-8"

    def _check_for_faults(self, text: str) -> None:
        if self._is_unreachable(text):
            raise AcceptorError(Reason.KDC_UNREACHABLE, text)
        if _CLOCKS.fullmatch(text):
            raise AcceptorError(Reason.PASSWORDS_UNUSABLE, f"{_SYNCHRONISE} ({text})")


def _silence_of(realm: str) -> Callable[[str], object]:
    """Whether a text of krb5's says that no KDC of *realm* has answered.

    Of another realm it says nothing of ours.
    """
    name = f"""['"]{re.escape(realm)}['"].*"""
    return re.compile(
        f"Cannot (?:contact any|find) KDC for realm {name}"
        f"|Cannot resolve .* in realm {name}"
        "|A service is not available that is required to process the request",
        re.DOTALL,
    ).fullmatch


def _with_password(accepted: Accepted, signed_on: SignedOn) -> Accepted:
    """What a password is worth: the ticket that came of it, until that or the
    ticket-granting ticket ends.
    """
    end = signed_on.end
    if accepted.expiry:
        end = min(end, accepted.expiry())
    identity = replace(accepted.identity, spn=None, source="password")
    return Accepted(identity, expiry=lambda: end, sids=accepted.sids)


def _unless_of_the_user(refused: Refused) -> Refused:
    """*refused*, if that is the user's fault. Raises `AcceptorError` if the ticket, which
    the KDC made for us a moment ago, is not good.
    """
    if refused.reason in _OF_THE_USER:
        return refused
    told = f"{refused.reason}: {refused.detail}"
    if refused.reason in _OF_THE_CLOCKS:
        raise AcceptorError(Reason.PASSWORDS_UNUSABLE, f"{_SYNCHRONISE} ({told})")
    raise AcceptorError(Reason.KDC_NOT_GENUINE, told)
