"""How is a stranger's text shown? Without the characters that drive a terminal."""

from __future__ import annotations

_LONGEST = 2000  # characters


def printable(text: str, longest: int = _LONGEST) -> str:
    """*text* on one line, with what cannot be printed escaped, and cut after *longest*
    characters.

    Escape sequences, line feeds and marks of direction can overwrite, hide or forge
    what stands around them, and a terminal may even answer some of them.
    """
    if len(text) > longest:
        text = f"{text[:longest]}..."
    if text.isprintable():
        return text
    escaped = "".join(map(_escaped, text))
    if len(escaped) > longest:
        escaped = f"{escaped[:longest]}..."
    return escaped


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
