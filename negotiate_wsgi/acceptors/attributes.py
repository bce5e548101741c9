"""What else does a ticket say of the initiator? The PAC of Active Directory (MS-PAC),
and how they signed on at the KDC (RFC 8129).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity, identity_of_ticket
from negotiate_wsgi.reasons import Reason

if TYPE_CHECKING:
    from negotiate_wsgi.acceptors.pac import PacReader
    from negotiate_wsgi.wire.pactype import Pac


class AcceptedTicket(Protocol):
    """A ticket, as far as it says who the initiator is."""

    @property
    def principal(self) -> str: ...

    @property
    def spn(self) -> str | None: ...

    def pac(self) -> Pac | None:
        """None where there is none, or none that is genuine."""

    def indicators(self) -> Sequence[bytes]:
        """Of authentication; none where there is none, or none that is verified."""


@dataclass(frozen=True)
class Attributes:
    """What an acceptor makes of a PAC, and of authentication indicators.

    A PAC was verified: that a KDC, or who else has the acceptor's key, has made it for
    the initiator and for this sign-on of theirs. Where it could not be, there is no PAC
    for us: nobody is named by one, and nobody is in a group. Indicators are verified by
    the library.

    :param active_directory: whether the PAC, and not the ticket's own name, says who
        the initiator is.
    :param groups: the SID of each group by the name that the configuration gives it.
    :param indicators: of which a ticket needs one; True to read them and need none,
        False to leave them unread.
    """

    active_directory: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)
    indicators: frozenset[str] | bool = False

    @classmethod
    def of(
        cls,
        active_directory: bool,
        groups: Mapping[str, str] | None,
        indicators: Collection[str] | bool = False,
    ) -> Attributes:
        """Validate the options. Raises `ConfigurationError`."""
        if not isinstance(active_directory, bool):
            raise ConfigurationError(
                f"active_directory={active_directory!r}: write True or False"
            )
        wanted = _check_indicators(indicators)
        if not active_directory and not groups:
            return cls(indicators=wanted)
        # Not at the top of the module: who asks for no PAC needs nothing of it.
        from negotiate_wsgi.acceptors.pac import check_groups

        return cls(active_directory, check_groups(groups), wanted)

    @functools.cached_property
    def _pac(self) -> PacReader:
        from negotiate_wsgi.acceptors.pac import PacReader

        return PacReader(self.active_directory, self.groups)

    def __str__(self) -> str:
        wanted = self.indicators
        indicators = wanted if isinstance(wanted, bool) else sorted(wanted)
        return " ".join(
            [
                f"active_directory={self.active_directory}",
                f"groups={json.dumps(self.groups, sort_keys=True)}",
                f"indicators={json.dumps(indicators)}",
            ]
        )

    @functools.cached_property
    def are_asked_for(self) -> bool:
        """Whether any attribute is looked for."""
        return self._are_in_a_pac or self.indicators is not False

    @property
    def _are_in_a_pac(self) -> bool:
        return self.active_directory or bool(self.groups)

    def identity(self, ticket: AcceptedTicket) -> Identity | Refused:
        """The initiator, as the ticket's PAC and its indicators have it."""
        identity = identity_of_ticket(ticket.principal, ticket.spn)
        if not self.are_asked_for or identity.is_anonymous:
            return identity
        if self._are_in_a_pac:
            named = self._pac.identity(ticket.pac(), identity)
            if isinstance(named, Refused):
                return named
            identity = named
        if self.indicators is False:
            return identity
        return self._with_indicators(ticket, identity)

    def _with_indicators(
        self, ticket: AcceptedTicket, identity: Identity
    ) -> Identity | Refused:
        # Where one is not UTF-8, the others count.
        found = frozenset(
            value.decode("utf-8", "replace") for value in ticket.indicators()
        )
        wanted = self.indicators
        if isinstance(wanted, bool) or not wanted.isdisjoint(found):
            return replace(identity, indicators=found)
        detail = f"none of {_in_words(wanted)} is in the ticket, but {_in_words(found)}"
        return Refused(
            Reason.INDICATOR_MISSING, detail, identity.principal, identity.spn
        )


#: Of an acceptor that looks for none.
NO_ATTRIBUTES = Attributes()


def _check_indicators(indicators: Collection[str] | bool) -> frozenset[str] | bool:
    if isinstance(indicators, bool):
        return indicators
    is_text = isinstance(indicators, str) or not isinstance(indicators, Collection)
    names = frozenset() if is_text else frozenset(indicators)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError(
            f"indicators={indicators!r}: write a collection of texts such as "
            "['pkinit'], of which a ticket needs one; True to read them and need none"
        )
    return names


def _in_words(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
