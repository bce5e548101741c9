"""What does an application answer? Its header list, and new lists made of it."""

from __future__ import annotations

import re

_NEGOTIATE = ("negotiate", "negotiate ", "negotiate\t")
_CHALLENGE_IN_LIST = re.compile(r"(?:^|,)\s*negotiate\s*(?:$|,|\s)", re.IGNORECASE)


def offers_negotiate(headers: list[tuple[str, str]]) -> bool:
    """Whether a response's header list has a Negotiate challenge, alone or among
    others.
    """
    return any(
        name.lower() == "www-authenticate" and _CHALLENGE_IN_LIST.search(value)
        for name, value in headers
    )


def without_negotiate(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A new list of *headers* without lines that are a Negotiate challenge or token."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() != "www-authenticate" or not _is_negotiate_alone(value)
    ]


def _is_negotiate_alone(value: str) -> bool:
    """RFC 9110 section 11.6.1: challenges of one line are separated by commas."""
    return value.strip()[:10].lower() in _NEGOTIATE and "," not in value


_DECIDED = {
    "private",
    "public",
    "no-store",
}  # RFC 9111 section 5.2.2: who may keep the answer


def for_caches(
    headers: list[tuple[str, str]], names_somebody: bool
) -> list[tuple[str, str]]:
    """The lines that keep caches from showing one user's answer to another.

    A cookie does not keep shared caches off, as Authorization does (RFC 9111 section
    3.5).
    """
    added = []
    if names_somebody and not _has_a_word(headers, "cache-control", _DECIDED):
        added.append(("Cache-Control", "private"))
    if not _has_a_word(headers, "vary", {"cookie", "*"}):
        added.append(("Vary", "Cookie"))
    return added


def may_be_shared(headers: list[tuple[str, str]]) -> bool:
    """Whether a shared cache may keep the answer to a request that has an
    Authorization.

    RFC 9111 section 3.5 names the directives that allow it. A cookie in there would be
    handed to whoever asks the cache next.
    """
    if _has_a_word(headers, "cache-control", {"private", "no-store"}):
        return False
    return _has_a_word(
        headers, "cache-control", {"public", "s-maxage", "must-revalidate"}
    )


def _has_a_word(headers: list[tuple[str, str]], name: str, words: set[str]) -> bool:
    """Whether a header that is a list has one of *words* in it, with a value or
    without.
    """
    for key, value in headers:
        if key.lower() == name:
            for part in value.split(","):
                word = part.strip().lower()
                # RFC 9111 section 5.2.2.7: private="field" leaves the rest to caches.
                if not word.startswith("private="):
                    word = word.partition("=")[0].strip()
                if word in words:
                    return True
    return False
