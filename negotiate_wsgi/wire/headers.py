"""What does an application answer? Its header list, and new lists made of it."""

from __future__ import annotations

import re

_CHALLENGE_IN_LIST = re.compile(r"(?:^|,)\s*negotiate\s*(?:$|,|\s)", re.IGNORECASE)
_CHALLENGE_ALONE = re.compile(
    r"\s*negotiate(?:\s+[A-Za-z0-9+/._~-]*=*)?\s*",
    re.IGNORECASE,
)


def offers_negotiate(headers: list[tuple[str, str]]) -> bool:
    """Whether a response's header list has a Negotiate challenge, alone or among others."""
    return any(
        name.lower() == "www-authenticate" and _CHALLENGE_IN_LIST.search(value)
        for name, value in headers
    )


def without_negotiate(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A new list of *headers* without lines that are a Negotiate challenge or token."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() != "www-authenticate" or not _CHALLENGE_ALONE.fullmatch(value)
    ]
