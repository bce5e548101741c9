"""Who is it?"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Source = Literal["ticket", "password", "session"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The initiator, as the KDC vouches for it.

    :param principal: the full principal in MIT's notation, ``alice@EXAMPLE.TEST``.
    :param spn: the SPN of the key that opened the ticket, or None where no ticket came.
    :param source: ``"ticket"``, ``"password"`` or ``"session"``: what said so in this
        request.
    :param groups: those of the groups named in the configuration that the initiator is
        in.
    :param account: sAMAccountName in Active Directory's spelling, or None.
    :param sid: the account's security identifier in Active Directory, or None.
    :param indicators: how the initiator signed on at the KDC (RFC 8129), as far as it
        says so and the acceptor reads it.

    Escapes stay in the name, so that no two principals of a realm share one: that of
    ``us\\@er@REALM`` is ``us\\@er``, and ``a\\/b`` (one component) is not ``a/b``
    (two).
    """

    principal: str
    spn: str | None = None
    source: Source = "ticket"
    groups: frozenset[str] = frozenset()
    account: str | None = None
    sid: str | None = None
    indicators: frozenset[str] = frozenset()

    @property
    def is_anonymous(self) -> bool:
        """Whether the ticket is one that anybody can have (RFC 8062 section 3)."""
        principal = self.principal
        return "ANONYMOUS" in principal and (
            principal.startswith("WELLKNOWN/ANONYMOUS@")
            or principal.endswith("@WELLKNOWN:ANONYMOUS")
        )

    @property
    def name(self) -> str:
        """The principal without its realm: ``alice``, or ``alice/admin``."""
        return _split_realm(self.principal)[0]

    @property
    def realm(self) -> str:
        """The realm, ``EXAMPLE.TEST``; empty if the principal has none."""
        return _split_realm(self.principal)[1]


@functools.lru_cache(maxsize=1024)
def identity_of_ticket(principal: str, spn: str | None) -> Identity:
    """An `Identity` that a ticket vouches for. Remembered, as most users come again."""
    return Identity(principal, spn)


def fields_of(identity: Identity) -> list[Any]:
    """What a session restores of an identity, fit for JSON: all but SPN and source."""
    return [
        identity.principal,
        sorted(identity.groups),
        identity.account,
        identity.sid,
        sorted(identity.indicators),
    ]


def identity_of_fields(
    fields: Sequence[Any], spn: str | None, source: Source
) -> Identity:
    """The other way round."""
    principal, groups, account, sid, indicators = fields
    return Identity(
        principal,
        spn,
        source,
        frozenset(groups),
        account,
        sid,
        frozenset(indicators),
    )


def _split_realm(principal: str) -> tuple[str, str]:
    """Split at the last ``@`` that no backslash escapes."""
    at = principal.rfind("@")
    while at >= 0 and _is_escaped(principal, at):
        at = principal.rfind("@", 0, at)
    if at < 0:
        return principal, ""
    return principal[:at], principal[at + 1 :]


def _is_escaped(text: str, position: int) -> bool:
    return (position - len(text[:position].rstrip("\\"))) % 2 == 1
