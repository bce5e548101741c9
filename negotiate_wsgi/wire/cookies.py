"""What cookies did the client send? A ``Cookie`` header, looked at to a bound."""

from __future__ import annotations

from collections.abc import Iterator

#: Characters of the header that are looked at: what servers take of one by default.
LOOKED_AT = 8 * 1024
_NAMES_LOOKED_AT = 32


def cookie_values(header: str, name: str, most: int) -> Iterator[str]:
    """At most *most* values of the cookies of that name, in a time that no client can
    stretch.

    Not werkzeug's parse_cookie: it takes as long as all the rest of a session's
    request, and undoes quotes, which our values never have.
    """
    header = header[:LOOKED_AT]
    found = 0
    position = 0
    for _ in range(_NAMES_LOOKED_AT):
        position = header.find(name, position)
        if position < 0 or found == most:
            return
        begin = header.rfind(";", 0, position) + 1
        end = header.find(";", position)
        if end < 0:
            end = len(header)
        pair = header[begin:end]
        key, _, value = pair.partition("=")
        if key.strip() == name:
            found += 1
            yield value.strip()
        position = begin + len(pair)
