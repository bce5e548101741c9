"""Which media type does the client like best? An ``Accept`` header, looked at to a bound."""

from __future__ import annotations

from collections.abc import Collection

_LOOKED_AT = 200  # characters: a browser sends 140 of them
_MOST = 16  # ranges: a browser sends 8 of them


def preferred_type(header: str, types: Collection[str], default: str) -> str:
    """The one of *types* that the client names with the highest quality, else *default*.

    Of several with the same quality it is the first, as clients write them in their
    order. What is not named, but covered by a wildcard, is *default*. RFC 9110 section
    12.5.1.

    Not werkzeug's parser, which takes a hundred times as long as all the rest of a 401.
    """
    ranges = header[:_LOOKED_AT].split(",", _MOST)
    if len(header) > _LOOKED_AT or len(ranges) > _MOST:
        ranges.pop()  # what lies across the bound
    best = default
    highest = (0.0, False)
    for each in ranges:
        name, *parameters = each.split(";")
        name = name.strip().lower()
        is_named = name in types
        if not is_named and not name.endswith("/*"):
            continue
        rank = (_quality(parameters), is_named)
        if rank[0] > 0 and rank > highest:
            highest = rank
            best = default
            if is_named:
                best = name
    return best


def _quality(parameters: Collection[str]) -> float:
    """The weight among a range's parameters, 0 where it is wrong (RFC 9110, 12.4.2)."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return _weight(value)
    return 1.0


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    if 0 <= weight <= 1:
        return weight
    return 0.0
