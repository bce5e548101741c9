"""What is to be looked at, and what has been learnt of it so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from negotiate_wsgi.acceptors.passwords import PasswordChecker
from negotiate_wsgi.doctor.active_directory import ActiveDirectory
from negotiate_wsgi.doctor.commands import Commands, Kadmin, Kind, Unknown
from negotiate_wsgi.doctor.free_ipa import FreeIpa
from negotiate_wsgi.doctor.lockout import Lockouts, LockoutsOfFreeIpa, UnknownLockouts
from negotiate_wsgi.doctor.lockout_ad import LockoutsOfDomain
from negotiate_wsgi.doctor.lockout_mit import LockoutsOfMit
from negotiate_wsgi.doctor.site import Answer, Site
from negotiate_wsgi.doctor.terminal import Terminal
from negotiate_wsgi.stores.inspection import Inspection
from negotiate_wsgi.wire.keytab import Keytab
from negotiate_wsgi.wire.ticket import Ticket

#: Stands for a host that nobody has named, in what is to be typed.
SOME_HOST = "<host-in-the-URL>"


@dataclass
class Setup:
    """What the checks look at; each leaves here what those after it need.

    :param service: first component of the SPNs.
    :param hosts: their hosts; empty for all in the keytab.
    :param keytab_name: as for `read_keytab`.
    :param acceptor: ``pykerberos``, ``gssapi`` or ``package.module:name``.
    :param url: of a page to ask, or None.
    :param kdc: the kind of KDC, None where that is to be found out.
    :param active_directory: whether the acceptor wants a PAC in each ticket.
    :param passwords: the realm of `PasswordSignOn`, None where passwords are not used.
    :param user: who may be asked for a password; empty for whoever is typed.
    :param attempts: of `PasswordSignOn`, and its *period*.
    :param terminal: where somebody can type, None where nobody can.
    :param certificate: the path of the one that the acceptor wants tokens to be bound
        to, None for none.
    :param account: with which the acceptor acts for users (constrained delegation).
    :param next_services: SPNs of those that it asks for them.
    :param store: the URL of the `ValkeyStore`, None where there is none.
    :param prefix: of its keys.
    :param tell: is told of what may take its time.
    """

    service: str = "HTTP"
    hosts: tuple[str, ...] = ()
    keytab_name: str | None = None
    acceptor: str = "pykerberos"
    url: str | None = None
    kdc: Kind | None = None
    active_directory: bool = False
    passwords: str | None = None
    user: str = ""
    attempts: int = 3
    period: int = 1800
    terminal: Terminal | None = None
    certificate: str | None = None
    account: str | None = None
    next_services: tuple[str, ...] = ()
    store: str | None = field(default=None, repr=False)  # has a password
    prefix: str = "negotiate"
    tell: Callable[[str], object] = lambda what: None

    # Learnt on the way:
    keytab: Keytab = field(default=Keytab("", ()), init=False)
    #: Of the keytab, else the default one; empty where neither is known.
    realm: str = field(default="", init=False)
    kind: Kind = field(default=Kind.UNKNOWN, init=False)
    #: What the KDC said when the keytab's principals asked it for a ticket each.
    asked: dict[str, Any] = field(default_factory=dict, init=False)
    #: For each SPN, the ticket that the KDC issues, in clear text.
    tickets: dict[str, Ticket] = field(default_factory=dict, init=False)
    #: Whether the acceptor wants a PAC in each ticket, as `active_directory` says, or as
    #: it says itself.
    wants_pac: bool = field(default=False, init=False)
    #: SPNs for which the KDC issued a ticket without one.
    without_pac: list[str] = field(default_factory=list, init=False)
    #: Whether tickets of each SPN open the door, as far as that was tried.
    is_well_with_tickets: bool = field(default=False, init=False)
    #: What clients may make of each host by DNS.
    canonical: dict[str, set[str]] = field(default_factory=dict, init=False)
    #: Whether a client here makes another name of a host before it asks the KDC.
    is_renamed: bool = field(default=False, init=False)
    #: Seconds that the KDC's clock is ahead of ours, None if it does not say.
    clock_ahead: float | None = field(default=None, init=False)
    site: Site = field(init=False)
    #: What the URL answers to a stranger.
    stranger: Answer = field(default=Answer(), init=False)
    #: And to your ticket, None if that was not sent.
    signed_on: Answer | None = field(default=None, init=False)
    #: What judges passwords.
    checker: PasswordChecker = field(init=False)
    #: The store, None where there is none, or no URL of one.
    inspection: Inspection | None = field(default=None, init=False)
    #: What it says of itself; empty where it does not answer, or not to our account.
    said: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def spns(self) -> list[str]:
        """The keytab's principals of the service, and of the hosts, if any are given."""
        every = dict.fromkeys(key.principal for key in self.keytab.keys)
        own = [spn for spn in every if spn.startswith(f"{self.service}/")]
        if not self.hosts:
            return own
        wanted = {self.folded(host) for host in self.hosts}
        return [spn for spn in own if self.folded(host_of(spn)) in wanted]

    def folded(self, host: str) -> str:
        """*host* as it is compared: in Active Directory without case."""
        return host.lower() if self.kind is Kind.ACTIVE_DIRECTORY else host

    @property
    def merged(self) -> list[str]:
        """Principals with two different keys of the same kvno and encryption type."""
        keys = {
            (key.principal, key.kvno, key.enctype, key.mark) for key in self.keytab.keys
        }
        counted = Counter(key[:3] for key in keys)
        return sorted(
            {principal for (principal, _, _), count in counted.items() if count > 1}
        )

    @property
    def commands(self) -> Commands:
        """What to type at the KDC. Here stands the choice among the kinds of KDC."""
        match self.kind:
            case Kind.ACTIVE_DIRECTORY:
                return ActiveDirectory(self.keytab, self.realm)
            case Kind.FREE_IPA:
                return FreeIpa(self.keytab.path)
            case Kind.MIT:
                return Kadmin(self.keytab.path)
        return Unknown()

    @property
    def lockouts(self) -> Lockouts:
        """The same for when the KDC of the passwords' realm locks accounts."""
        realm = self.passwords or self.realm
        match self.kind:
            case Kind.ACTIVE_DIRECTORY:
                return LockoutsOfDomain(realm)
            case Kind.FREE_IPA:
                return LockoutsOfFreeIpa()
            case Kind.MIT:
                return LockoutsOfMit(realm)
        return UnknownLockouts()


def is_weak(enctype: str) -> bool:
    """Whether it is one that nobody should use any more (RFC 6649, RFC 8429)."""
    return enctype.startswith(("des", "arcfour", "rc4"))


def host_of(spn: str) -> str:
    """``www.example.com`` of ``HTTP/www.example.com@EXAMPLE.COM``."""
    return spn.partition("/")[2].rpartition("@")[0]
