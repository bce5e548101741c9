"""The fast acceptor: python-gssapi, with a keytab of its own for each instance."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.acceptors.attributes import Attributes
from negotiate_wsgi.acceptors.delegation import (
    DelegatedCredentials,
    NoCredentials,
    check_delegation,
)
from negotiate_wsgi.acceptors.gssapi_library import KEYS_OF_GSSPROXY, Keys, library
from negotiate_wsgi.acceptors.insight import with_insight
from negotiate_wsgi.acceptors.opened import Opened
from negotiate_wsgi.acceptors.protocol import Accepted, Refused
from negotiate_wsgi.acceptors.status import (
    BAD_BINDINGS,
    classify,
    gssproxy_fault,
    is_for_want_of_a_credential,
    keytab_fault,
    path_of_keytab,
    uses_gssproxy,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, of_the_environment
from negotiate_wsgi.exceptions import ConfigurationError, DelegationError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.keytab import Keytab
from negotiate_wsgi.wire.ticket import Ticket

if TYPE_CHECKING:
    from negotiate_wsgi.acceptors.channel_bindings import ChannelBindings
    from negotiate_wsgi.acceptors.constrained import Constrained

# What the library says where no key that it was given fits.
_NO_KEY_FITS = re.compile(
    "Request ticket server|Cannot find key for|Cannot decrypt ticket for"
    "|Service key not available"
)
_NO_SUCH_KEY = re.compile("Cannot find key for|Service key not available")
# Bytes of a token with which few keys are tried: no user in less than 1000 groups has it.
_LARGE = 16 * 1024


class GssapiAcceptor(KeytabAcceptor):
    """Accepts tokens with any key of *service* in its keytab, whatever other acceptors
    use.

        NegotiateMiddleware(app, acceptor=GssapiAcceptor(keytab="/etc/www.keytab"))

    It keeps its keys in memory, and a credential for each SPN and thread, so that a
    token costs little more than the library's own call, however many other keys the
    keytab has: the key that the ticket names is tried, and where that is none of ours,
    at most 64. No request asks DNS. A keytab that is replaced is used from the next
    token on.

    Under gssproxy (``GSS_USE_PROXY=yes``) the server need not be able to read the
    keytab.

    :param service: the SPN's first component.
    :param hostname: None for every host in the keytab, or the only host or hosts
        accepted, compared without case.
    :param keytab: a path; None for ``KRB5_KTNAME``, else krb5's default, as they are
        when the first token comes. It need not exist before.
    :param active_directory: True has the PAC say who it is, and refuses a ticket
        without one. The principal is ``account@REALM`` in the directory's spelling, and
        the `Identity` has ``account`` and ``sid``. The name in a ticket is what the
        user has typed (``ALICE``), or a name of no account (``root``).
    :param groups: the SID of each group by a name of yours, ``{"staff": "S-1-5-…"}``.
        The `Identity` has those names whose group the user is in, as the KDC resolved
        it; without a PAC, none.
    :param indicators: authentication indicators (RFC 8129) of MIT's KDC or FreeIPA,
        ``["pkinit"]``, of which a ticket needs one: they say how the user has signed on
        at the KDC. True needs none. The `Identity` has all of the ticket's; with False
        they are not read.
    :param channel_binding: ``"optional"`` refuses a token that is bound to a TLS
        connection with another certificate; ``"required"`` one that is not bound to
        ours, too, as that of browsers on Linux is not. ``"off"`` does not
        look.
    :param certificate: the path of the certificate that clients see, in PEM: the
        proxy's, where one ends TLS. Read again when it changes; the one before stays
        good for a day.
    :param delegation: ``"forwarded"`` takes the ticket-granting ticket that a client
        forwards, with which `get_delegated` lets the app act as the user everywhere.
        ``"constrained"`` asks the KDC in the name of *account*, which may act for users
        at those services that the directory names (S4U2Proxy). None acts for nobody.
    :param account: for constrained delegation, the account that has our SPNs:
        ``"WEB2$"`` or ``"svc-web"``. The keytab has to have an entry of this name.
    :raises ConfigurationError: an option is wrong, or python-gssapi is not installed,
        or is not for MIT's library.
    """

    def __init__(
        self,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        *,
        active_directory: bool = False,
        groups: Mapping[str, str] | None = None,
        indicators: Collection[str] | bool = False,
        channel_binding: str = "off",
        certificate: str | os.PathLike[str] | None = None,
        delegation: str | None = None,
        account: str | None = None,
    ) -> None:
        name = None if keytab is None else os.fspath(keytab)
        if name == "":
            raise ConfigurationError(
                "keytab='': write its path, or None for KRB5_KTNAME"
            )
        super().__init__(
            Target.of(service, hostname),
            f"gssapi {name or 'KRB5_KTNAME'}",
            Attributes.of(active_directory, groups, indicators),
            _bindings_of(channel_binding, certificate),
        )
        self._library = library()
        check_delegation(delegation, account)
        self.takes_credentials = delegation is not None
        self._constrained: Constrained | None = None
        if account:
            # Not at the top of the module: few act for users.
            from negotiate_wsgi.acceptors.constrained import Constrained

            self._constrained = Constrained(account.strip(), self.target)
        self._name = name
        if name is None:
            of_the_environment.add(self)
        self._keys: Keys | None = None
        self._of_thread = threading.local()

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one initial token.

        Raises `AcceptorError` for an unusable keytab, krb5.conf or replay cache.
        """
        keys = self._current_keys()
        ticket = Ticket.of(token)
        accept = self._accept_as_account if self._constrained else self._accept
        try:
            result = accept(keys, ticket, token)
        except self._library.GSSError as error:
            result = self._refused(error, keys, ticket)
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the principal is not UTF-8")
        if isinstance(result, Accepted):
            return result
        return with_insight(result, token, ticket, keys.current)

    def keytab(self) -> Keytab:
        return self._current_keys().keytab

    def _accept_as_account(
        self, keys: Keys, ticket: Ticket | None, token: bytes
    ) -> Accepted | Refused:
        """With a credential that can act for the initiator, where there is one.

        Else as ever: a fault in acting for users is none in knowing who they are.
        """
        try:
            credential, spn, for_a_replay = self._of_account(keys, ticket)
            return self._judge(token, keys, credential, spn, for_a_replay)
        except DelegationError as error:
            fault = str(error)
        except self._library.GSSError as error:
            fault = self._library.text_of(error)
            if not _NO_KEY_FITS.match(fault):
                raise
        result = self._accept(keys, ticket, token)
        if isinstance(result, Accepted) and result.delegated is None:
            result.delegated = NoCredentials(fault)
        return result

    def _of_account(
        self, keys: Keys, ticket: Ticket | None
    ) -> tuple[Any, str, Callable[[], Any]]:
        """The account's credential, which SPN of ours a ticket is for that it opens, and
        what makes one with which the replay cache is not asked.

        GSSAPI names the account, whichever of its SPNs that is: they have one key.
        Raises `DelegationError`.
        """
        constrained: Any = self._constrained
        account = constrained.account(keys)
        spn = None
        if ticket and not self.target.objection(ticket):
            spn = account.spn_of(ticket)
        if spn is None:
            raise DelegationError(
                f"the ticket is for {ticket}, and not with a key of {account.principal}"
            )
        credential = constrained.credential(account)
        return credential, spn, functools.partial(constrained.for_a_replay, account)

    def _accept(
        self, keys: Keys, ticket: Ticket | None, token: bytes
    ) -> Accepted | Refused:
        memory = keys.of_spn.get(ticket.spn) if ticket else None
        if ticket and memory:
            try:
                return self._accept_with(keys, memory, token, ticket.spn)
            except self._library.GSSError as error:
                accepted = self._accept_with_others(keys, memory, token, error)
        else:
            objection = self.target.objection(ticket)
            if objection:
                return objection
            several = keys.few if len(token) > _LARGE else keys.several
            accepted = self._accept_with(keys, several, token)
        return (
            self.target.check(accepted) if isinstance(accepted, Accepted) else accepted
        )

    def _accept_with_others(
        self, keys: Keys, memory: bytes, token: bytes, error: Exception
    ) -> Accepted | Refused:
        """The same where *error* says that the key that the ticket names does not fit.

        Its kvno may be another one in the keytab, or a key of another SPN may be the one.
        """
        text = self._library.text_of(error)
        if _NO_SUCH_KEY.match(text):  # of this kvno and enctype
            try:
                return self._accept_with(keys, memory, token)
            except self._library.GSSError as problem:
                error = problem
                text = self._library.text_of(problem)
        if len(token) > _LARGE or not _NO_KEY_FITS.match(text):
            raise error
        return self._accept_with(keys, keys.few, token)

    def _accept_with(
        self, keys: Keys, memory: bytes, token: bytes, spn: str | None = None
    ) -> Accepted | Refused:
        """The same with the key of *spn* in *memory*, or with each if that is None."""
        credential = self._credential(keys, memory, spn)
        for_a_replay = None
        if self.channel_bindings and keys is not KEYS_OF_GSSPROXY:
            make = self._library.credential
            for_a_replay = functools.partial(
                make, keys, memory, spn, is_for_a_replay=True
            )
        return self._judge(token, keys, credential, spn, for_a_replay)

    def _judge(
        self,
        token: bytes,
        keys: Keys,
        credential: Any,
        spn: str | None,
        for_a_replay: Callable[[], Any] | None,
    ) -> Accepted | Refused:
        """The same with *credential*. *for_a_replay* makes another one, with which the
        replay cache is not asked, where that can be.
        """
        library = self._library
        if self.channel_bindings is None:
            result = library.accept(token, credential)
        else:
            result = self._bound(token, credential, for_a_replay)
        if result.more_steps or result.mech != library.mechanism:
            return Refused(Reason.NEEDS_ANOTHER_LEG, "the negotiation is not complete")
        opened = Opened(
            library,
            result.context,
            result.initiator_name,
            token,
            keys,
            spn or library.target(result.context),
        )
        identity = self.attributes.identity(opened)
        if isinstance(identity, Refused):
            return identity
        if self.channel_bindings and not library.is_bound(result):
            objection = self.channel_bindings.objection_to_unbound(identity)
            if objection:
                return objection
        delegated = None
        if self.takes_credentials and result.delegated_creds is not None:
            delegated = DelegatedCredentials(result.delegated_creds)
        return Accepted(
            identity,
            result.token,
            opened.end,
            delegated,
            opened.sids,
            opened.fingerprint,
        )

    def _bound(
        self,
        token: bytes,
        credential: Any,
        for_a_replay: Callable[[], Any] | None,
    ) -> Any:
        """What the library makes of it, and of the channel binding that is in it."""
        library = self._library
        bindings: Any = self.channel_bindings
        current, *before = bindings.accepted()
        try:
            return library.accept_bound(token, credential, current)
        except library.GSSError as error:
            if error.maj_code != BAD_BINDINGS or not before or for_a_replay is None:
                raise
        # libkrb5 asks the replay cache before it looks at the binding. Had it known the
        # token, it would have said so; now it does, and is not asked a second time.
        return library.accept_bound(token, for_a_replay(), before[0])

    @functools.cached_property
    def _path(self) -> str:
        name = (
            self._name
            or os.environ.get("KRB5_KTNAME")
            or self._library.default_keytab()
        )
        return path_of_keytab(name)

    def _current_keys(self) -> Keys:
        """The keys, read again if the keytab has changed. Raises `AcceptorError`."""
        path = self._path
        try:
            status = os.stat(path)
        except OSError:
            return _without_a_keytab(path)
        version = (path, status.st_mtime_ns, status.st_ino, status.st_size)
        keys = self._keys
        if keys and keys.version == version:
            return keys
        if not os.access(path, os.R_OK):
            return _without_a_keytab(path)
        self._keys = self._library.read_keys(path, version, self.target)
        return self._keys

    def _credential(self, keys: Keys, memory: bytes, spn: str | None) -> Any:
        """This thread's: one that threads share would have them wait for each other."""
        if keys is KEYS_OF_GSSPROXY:
            # Not one of before: gssproxy may have been restarted.
            return self._library.credential(keys, memory, spn)
        local = self._of_thread
        if getattr(local, "version", None) is not keys.version:
            local.version = keys.version
            local.credentials = {}
        which = spn or memory
        credential = local.credentials.get(which)
        if credential is None:
            credential = self._library.credential(keys, memory, spn)
            local.credentials[which] = credential
        return credential

    def _refused(self, error: Any, keys: Keys, ticket: Ticket | None) -> Refused:
        """The refusal for an error of the library's. Raises `AcceptorError` where we
        are at fault.
        """
        try:
            text = self._library.text_of(error)
            majors = ", ".join(error.get_all_statuses(error.maj_code, True))
        except UnicodeDecodeError:
            return Refused(Reason.UNKNOWN, "the library's text is not UTF-8")
        if is_for_want_of_a_credential(error.maj_code, text):
            if keys is KEYS_OF_GSSPROXY:
                raise gssproxy_fault()
            # There is one, but for Kerberos; if the library can begin at all.
            self._library.context()
            return Refused(Reason.UNSUPPORTED_MECHANISM, text)
        refused = classify(error.maj_code, majors, text, ticket)
        if not ticket or not keys.keytab.keys or not _NO_KEY_FITS.match(text):
            return refused
        # It was given a choice of the keytab's keys, and says that the others are missing.
        objection = ticket.misfit(keys.keytab)
        reason = objection.reason if objection else Reason.WRONG_KEY
        detail = objection.detail if objection else text
        return replace(refused, reason=reason, detail=detail)


def _bindings_of(
    mode: str, certificate: str | os.PathLike[str] | None
) -> ChannelBindings | None:
    """What tokens have to be bound to. Raises `ConfigurationError`."""
    if mode == "off" and certificate is None:
        return None
    # Not at the top of the module: few look for them.
    from negotiate_wsgi.acceptors.channel_bindings import ChannelBindings

    return ChannelBindings.of(mode, certificate)


def _without_a_keytab(path: str) -> Keys:
    """Those of gssproxy, if it accepts for us. Raises `AcceptorError` if not."""
    if uses_gssproxy():
        return KEYS_OF_GSSPROXY
    raise keytab_fault(path)
