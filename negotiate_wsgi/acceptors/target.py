"""Which key may open the door? The rule that every acceptor with a keytab keeps."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from negotiate_wsgi.acceptors.attributes import NO_ATTRIBUTES, Attributes
from negotiate_wsgi.acceptors.insight import keytab_in_use
from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Delegated, Refused
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.authorization import PASSWORD, Credential
from negotiate_wsgi.wire.keytab import Keytab
from negotiate_wsgi.wire.ticket import Ticket

if TYPE_CHECKING:
    from negotiate_wsgi.acceptors.channel_bindings import ChannelBindings

_LISTED = 8  # SPNs in a message


@dataclass(frozen=True)
class Target:
    """Which SPNs may open the door: those of *service*, and of *hostnames* unless that
    is None.

    A keytab often holds keys of other services. Whoever can get a ticket for ``host/``
    or ``nfs/`` must not come in by it. Nor may the clear-text SPN of a ticket let
    anybody in, which anybody on the way can rewrite: only the key that opened the
    ticket does, and keys belong to accounts. One of the SPNs that the keytab has this
    key for must be ours.
    """

    service: str
    hostnames: frozenset[str] | None

    @classmethod
    def of(cls, service: str, hostname: str | Collection[str] | None) -> Target:
        """Validate the options. Raises `ConfigurationError`."""
        if not isinstance(service, str) or not re.fullmatch(
            r"[A-Za-z0-9._-]+", service
        ):
            raise ConfigurationError(
                f"service={service!r}: write its name alone, such as 'HTTP'"
            )
        if hostname is None:
            return cls(service, None)
        names = [hostname] if isinstance(hostname, str) else list(hostname)
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
                raise ConfigurationError(
                    f"hostname={name!r}: write its name alone, such as 'www.example.com'"
                )
        if not names:
            raise ConfigurationError(
                "hostname= is empty: write None for every name in the keytab"
            )
        return cls(service, frozenset(map(str.lower, names)))

    def admits(self, spn: str) -> bool:
        """Whether *spn*, with its realm, is one of ours."""
        # An escaped slash is part of a component, not the end of one: HTTP\/x is no
        # HTTP service.
        service, _, host = spn.rpartition("@")[0].partition("/")
        ours = self.hostnames is None or host.lower() in self.hostnames
        return service == self.service and bool(host) and ours

    def objection(self, ticket: Ticket | None) -> Refused | None:
        """Why a ticket is not for us by its clear text alone: it names another service.

        This spares us to open it. Another host is no objection: the key of its account
        may be ours.
        """
        if ticket is None:
            return None
        service = ticket.spn.partition("/")[0]
        if service == self.service or service.lower() == self.service.lower():
            return None
        detail = f"the ticket is for {ticket.spn}"
        return Refused(Reason.WRONG_SERVICE, detail, spn=ticket.spn)

    def fault(self, keytab: Keytab) -> AcceptorError | None:
        """Why no ticket can be for us: *keytab* has no key that may open the door."""
        principals = list(dict.fromkeys(key.principal for key in keytab.keys))
        if any(map(self.admits, principals)):
            return None
        missing = [f"{self.service}/{host}" for host in sorted(self.hostnames or [])]
        wanted = " or ".join(missing[:_LISTED]) or f"{self.service}/ and any host"
        there = ", ".join(principals[:_LISTED])
        if len(principals) > _LISTED:
            there += f" and {len(principals) - _LISTED} more"
        fault = f"the keytab {keytab.path} has no key for {wanted}, but for {there}"
        return AcceptorError(Reason.KEYTAB_UNUSABLE, fault)

    def check(self, accepted: Accepted) -> Accepted | Refused:
        """*accepted*, if its SPN is one of ours; else a refusal."""
        identity = accepted.identity
        if self.admits(identity.spn or ""):
            return accepted
        detail = f"the ticket is for {identity.spn}"
        return Refused(Reason.WRONG_SERVICE, detail, identity.principal, identity.spn)


@dataclass(eq=False)
class KeytabAcceptor:
    """What acceptors with a keytab have in common.

    :param target: which SPNs they accept.
    :param keys: names the key store; two acceptors with equal ``keys`` can open the
        same tickets.
    :param attributes: how they name who has signed on; two acceptors that differ in it
        know one person by two names.
    :param channel_bindings: what they want a token to be bound to; None for nothing.
    """

    target: Target
    keys: str
    attributes: Attributes = NO_ATTRIBUTES
    channel_bindings: ChannelBindings | None = None

    def keytab(self) -> Keytab:
        """Their keytab as it is now, without a key where gssproxy alone can read it.

        Raises `AcceptorError`.
        """
        return keytab_in_use()


#: Acceptors that take the keytab that ``KRB5_KTNAME`` names, while they are in use.
of_the_environment: WeakSet[KeytabAcceptor] = WeakSet()


@dataclass(slots=True)
class Verdict:
    """What was made of the token in *credential*, for the layers below that meet the
    same one.

    A token can be judged once only: the replay cache refuses it the second time.

    :param credential: the header that brought it.
    :param acceptor: who judged it; None where its framing alone was refused.
    :param result: what was made of it.
    :param is_news: whether no layer above has said the same.
    :param is_claimed: whether a store was asked for the token, which it says yes to once.
    :param proof: the value of a ``WWW-Authenticate`` that carries the mutual token.
    """

    credential: Credential
    acceptor: Acceptor | None
    result: Accepted | Refused = field(repr=False)
    is_news: bool = True
    is_claimed: bool = False
    proof: str | None = field(default=None, repr=False)

    @property
    def delegated(self) -> Delegated | None:
        """What came with a good token for the app to act for the user."""
        result = self.result
        return result.delegated if isinstance(result, Accepted) else None

    def as_seen_by(self, other: Acceptor) -> Accepted | Refused | None:
        """What *other* would say of the token; None if it has to judge for itself."""
        mine = self.acceptor
        if mine is None or other is mine:
            return self.result
        if not (isinstance(mine, KeytabAcceptor) and isinstance(other, KeytabAcceptor)):
            return None
        if mine.keys != other.keys or mine.attributes != other.attributes:
            return None
        if mine.channel_bindings != other.channel_bindings:
            return None
        if mine.target == other.target:
            return self.result
        if self.credential is PASSWORD and mine.target.service == other.target.service:
            # It was typed for no host in particular.
            return self.result
        if isinstance(self.result, Accepted):
            return other.target.check(self.result)
        of_mine_alone = self.result.reason is Reason.WRONG_SERVICE
        return None if of_mine_alone else self.result
