"""Is it true? The acceptor's side of a GSS-API negotiation, and the rule of which key may open."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Protocol

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal

#: What an acceptor answers for "no" is what the application reads as ``negotiate_wsgi.refusal``.
Refused = Refusal


@dataclass(slots=True)
class Accepted:
    """A token that a ticket of ours stands behind.

    :param identity: the initiator. Its ``spn`` is that of the key that really opened the ticket.
    :param token: the mutual token for the initiator, in bytes, or None if there is none to send.
    :param expiry: tells when the ticket ends, in seconds since the epoch; None where the acceptor
        cannot know.
    :param delegated: what the initiator delegated to us, or None.
    """

    identity: Identity
    token: bytes | None = field(default=None, repr=False)
    expiry: Callable[[], float] | None = field(default=None, repr=False)
    delegated: object | None = field(default=None, repr=False)


class Acceptor(Protocol):
    """Judges tokens, one leg each (RFC 2743 section 2.2.2). Must be safe to call from any thread."""

    def accept(self, token: bytes) -> Accepted | Refused:
        """Judge one token. Raises `AcceptorError` only for faults of our own."""
        ...


@dataclass(frozen=True)
class Target:
    """Which SPNs may open the door: those of *service*, and of *hostnames* unless that is None.

    A keytab often holds keys of other services. Whoever can get a ticket for ``host/`` or
    ``nfs/`` must not come in by it, nor may the clear-text SPN of a ticket decide, which anybody
    on the way can rewrite: only the SPN of the key that opened the ticket does.
    """

    service: str
    hostnames: frozenset[str] | None

    @classmethod
    def of(cls, service: str, hostname: str | Collection[str] | None) -> Target:
        """Validate the options. Raises `ConfigurationError`."""
        if not isinstance(service, str) or not re.fullmatch(r"[A-Za-z0-9._-]+", service):
            raise ConfigurationError(f"service={service!r}: write its name alone, such as 'HTTP'")
        if hostname is None:
            return cls(service, None)
        names = [hostname] if isinstance(hostname, str) else list(hostname)
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
                raise ConfigurationError(
                    f"hostname={name!r}: write the host name alone, such as 'www.example.com'"
                )
        if not names:
            raise ConfigurationError("hostname= is empty: write None for every name in the keytab")
        return cls(service, frozenset(map(str.lower, names)))

    def admits(self, spn: str) -> bool:
        """Whether *spn*, with its realm, is one of ours."""
        # An escaped slash is part of a component, not the end of one: HTTP\/x is no HTTP service.
        service, _, host = spn.rpartition("@")[0].partition("/")
        ours = self.hostnames is None or host.lower() in self.hostnames
        return service == self.service and bool(host) and ours

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
    :param keys: names the key store; two acceptors with equal ``keys`` can open the same tickets.
    """

    target: Target
    keys: str


_DETAIL = 1000  # characters: an SPN is the client's choice, and can be as long as a token

# What is said only once the library has found a well-formed ticket. Not a replay, of which the log
# has told already, and which costs nothing to send by the thousand: to parse costs more than to refuse.
_OF_A_TICKET = {
    Reason.EXPIRED, Reason.CLOCK_SKEW, Reason.WRONG_SERVICE, Reason.SPN_NOT_IN_KEYTAB,
    Reason.STALE_TICKET, Reason.STALE_KEYTAB, Reason.WRONG_KEY, Reason.ENCTYPE_MISSING,
}  # fmt: skip


def with_insight(refused: Refused, token: bytes, keytab: str | None = None) -> Refused:
    """*refused*, and what its ticket says in clear text beside what *keytab* has, for the log.

    That takes the extra [doctor]; without it, the library's own text has to do.
    """
    read = _reader()
    if not read or refused.reason not in _OF_A_TICKET:
        return refused
    spn, insight = read(token, keytab)
    detail = "; ".join(filter(None, (refused.detail, insight)))
    spn = refused.spn or (spn and spn[:_DETAIL])
    return replace(refused, detail=detail[:_DETAIL], spn=spn)


@functools.cache
def _reader() -> Callable[[bytes, str | None], tuple[str | None, str]] | None:
    # Not before a ticket is refused, because parsers are large.
    try:
        from negotiate_wsgi.acceptors.insight import beside_the_keytab
    except ConfigurationError:
        return None
    return beside_the_keytab


@dataclass(slots=True)
class Verdict:
    """What was made of the token in *authorization*, for the layers below that meet the same one.

    A token can be judged once only: the replay cache refuses it the second time.

    :param authorization: the header that brought it.
    :param acceptor: who judged it; None where its framing alone was refused.
    :param result: what was made of it.
    :param is_news: whether no layer above has said the same.
    """

    authorization: str = field(repr=False)
    acceptor: Acceptor | None
    result: Accepted | Refused
    is_news: bool = True

    def as_seen_by(self, other: Acceptor) -> Accepted | Refused | None:
        """What *other* would say of the token; None if it has to judge for itself."""
        mine = self.acceptor
        if mine is None or other is mine:
            return self.result
        if not (isinstance(mine, KeytabAcceptor) and isinstance(other, KeytabAcceptor)):
            return None
        if mine.keys != other.keys:
            return None
        if isinstance(self.result, Accepted):
            return other.target.check(self.result)
        of_mine_alone = self.result.reason is Reason.WRONG_SERVICE and mine.target != other.target
        return None if of_mine_alone else self.result
