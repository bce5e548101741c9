"""What does a client get here? Asked without touching the caller's own tickets."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from negotiate_wsgi.doctor.accounts import accounts, client_of
from negotiate_wsgi.doctor.setup import Setup, host_of
from negotiate_wsgi.exceptions import ConfigurationError, NegotiateError

try:
    import krb5

    from negotiate_wsgi.doctor.initiator import InitiatorError, TicketInitiator
except ImportError as exc:
    raise ConfigurationError(
        "pyspnego with Kerberos is missing: pip install 'negotiate-wsgi[doctor]'"
    ) from exc

# Of krb5's own table of errors, whose numbers are stable.
_UNREACHABLE = {-1765328228, -1765328230, -1765328164}
_UNKNOWN = -1765328378
_ANOTHER_KEY = {-1765328360, -1765328353}


class ClientError(NegotiateError):
    """There is no answer, or no ticket, in the library's own words."""

    @property
    def is_unknown(self) -> bool:
        """Whether the KDC knows no such SPN."""
        return "not found in Kerberos database" in str(self)

    @property
    def is_of_an_enctype(self) -> bool:
        """Whether there are encryption types that may not be used."""
        return "encryption type" in str(self)

    @property
    def is_of_the_clock(self) -> bool:
        """Whether ours and the KDC's differ too much."""
        return "Clock skew too great" in str(self)


def default_realm() -> str | None:
    """What krb5.conf names. Raises `ClientError` where it cannot be used."""
    try:
        context = krb5.init_context()
    except krb5.Krb5Error as error:
        raise ClientError(str(error)) from error
    try:
        return krb5.get_default_realm(context).decode()
    except krb5.Krb5Error:
        return None


def is_known(principal: str) -> bool:
    """Whether the KDC knows it as a client. No password and no key is sent.

    Raises `ClientError` where no KDC answers.
    """
    try:
        context = krb5.init_context()
        client = krb5.parse_name_flags(context, principal.encode())
        options = krb5.get_init_creds_opt_alloc(context)
        krb5.get_init_creds_password(context, client, options, None)
    except krb5.Krb5Error as error:
        if error.err_code == _UNKNOWN:
            return False
        if error.err_code in _UNREACHABLE:
            raise ClientError(str(error)) from error
    return True


def clock_ahead(setup: Setup) -> float | None:
    """By how many seconds the KDC's clock is ahead of ours; None if it does not say.

    Raises `ClientError` where no KDC answers.
    """
    for principal in dict.fromkeys(key.principal for key in setup.keytab.keys):
        try:
            credential = _initial_credential(setup, principal)
        except krb5.Krb5Error as error:
            if error.err_code in _UNREACHABLE:
                raise ClientError(str(error)) from error
        else:
            return credential.times.authtime + 0.5 - time.time()
    return None


@dataclass(frozen=True)
class Client:
    """Who asks for a ticket for *spn*: its own account, or else the caller.

    In Active Directory an SPN is a client only where it is its account's UPN. The
    account is one by its name, which the keytab may have, too.

    :param opened_by: the principal whose key in the keytab the KDC knows, which is that
        of *spn*; None for the caller.
    :param has_another_key: whether the KDC refused the keytab's key for that account.
    """

    spn: str
    credentials: tuple[krb5.Creds, ...]
    opened_by: str | None
    has_another_key: bool

    @classmethod
    def of(cls, setup: Setup, spn: str) -> Client:
        has_another_key = False
        for principal in filter(None, (spn, client_of(spn, setup.keytab))):
            try:
                credential = _initial_credential(setup, principal)
            except krb5.Krb5Error as error:
                has_another_key = has_another_key or error.err_code in _ANOTHER_KEY
            else:
                return cls(spn, (credential,), principal, False)
        credentials = _of_the_caller() or _of_any_account(setup)
        return cls(spn, credentials, None, has_another_key)

    @classmethod
    def of_somebody(cls, setup: Setup, spn: str) -> Client:
        """The caller, if there is one, and else an account of the keytab."""
        credentials = _of_the_caller()
        if credentials:
            return cls(spn, credentials, None, False)
        return cls.of(setup, spn)

    def sign_on(self, service: str) -> TicketInitiator:
        """A sign-on with a ticket that the KDC issues now. Raises `ClientError`."""
        try:
            return TicketInitiator(self._copy(), host_of(self.spn), service)
        except (krb5.Krb5Error, InitiatorError) as error:
            raise ClientError(str(error)) from error

    def _copy(self) -> str:
        """A cache in memory: the caller's stays as it is, and its old tickets unused."""
        context = krb5.init_context()
        if self.credentials:
            client = self.credentials[0].client
        else:
            client = krb5.parse_name_flags(context, self.spn.encode())
        copy = krb5.cc_new_unique(context, b"MEMORY")
        krb5.cc_initialize(context, copy, client)
        for credential in self.credentials:
            krb5.cc_store_cred(context, copy, credential)
        return f"MEMORY:{(copy.name or b'').decode()}"


def _of_the_caller() -> tuple[krb5.Creds, ...]:
    """The ticket-granting tickets in the caller's cache."""
    try:
        cache = list(krb5.cc_default(krb5.init_context()))
    except krb5.Krb5Error:
        return ()
    return tuple(ticket for ticket in cache if str(ticket.server).startswith("krbtgt/"))


def _of_any_account(setup: Setup) -> tuple[krb5.Creds, ...]:
    """That of an account in the keytab, which need not be the SPN's."""
    for principal in accounts(setup.keytab.keys):
        with contextlib.suppress(krb5.Krb5Error):
            return (_initial_credential(setup, principal),)
    return ()


def _initial_credential(setup: Setup, principal: str) -> krb5.Creds:
    """Of one of the keytab's principals. Raises `krb5.Krb5Error`.

    It is asked for once: accounts are locked after some wrong keys.
    """
    if principal not in setup.asked:
        try:
            setup.asked[principal] = _ask_for_credential(setup, principal)
        except krb5.Krb5Error as error:
            setup.asked[principal] = error
    answer: krb5.Creds | krb5.Krb5Error = setup.asked[principal]
    if isinstance(answer, krb5.Krb5Error):
        raise answer
    return answer


def _ask_for_credential(setup: Setup, principal: str) -> krb5.Creds:
    context = krb5.init_context()
    client = krb5.parse_name_flags(context, principal.encode())
    keytab = krb5.kt_resolve(context, setup.keytab.name.encode())
    options = krb5.get_init_creds_opt_alloc(context)
    return krb5.get_init_creds_keytab(context, client, options, keytab)
