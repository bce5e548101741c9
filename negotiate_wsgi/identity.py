"""Who is it?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Source = Literal["ticket", "session"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The initiator, as the KDC vouches for it.

    :param principal: the full principal in MIT's notation, ``alice@EXAMPLE.TEST``.
    :param service: the SPN that the ticket was for, or None where it came from a session.
    :param source: ``"ticket"`` or ``"session"``.

    Only the escape ``\\@`` is undone in the name, so that of ``us\\@er@REALM`` is ``us@er``. Every
    other escape stays: ``a\\/b`` (one component) is not ``a/b`` (two), and no two principals of a
    realm share a name.
    """

    principal: str
    service: str | None = None
    source: Source = "ticket"

    @property
    def name(self) -> str:
        """The principal without its realm: ``alice``, or ``alice/admin``."""
        name, _ = _split_realm(self.principal)
        return re.sub(r"\\(.)", lambda pair: "@" if pair[1] == "@" else pair[0], name, flags=re.S)

    @property
    def realm(self) -> str:
        """The realm, ``EXAMPLE.TEST``; empty if the principal has none."""
        return _split_realm(self.principal)[1]


def _split_realm(principal: str) -> tuple[str, str]:
    """Split at the last ``@`` that no backslash escapes."""
    at = principal.rfind("@")
    while at >= 0 and _is_escaped(principal, at):
        at = principal.rfind("@", 0, at)
    return (principal, "") if at < 0 else (principal[:at], principal[at + 1 :])


def _is_escaped(text: str, position: int) -> bool:
    return (position - len(text[:position].rstrip("\\"))) % 2 == 1
