"""What is told of a fault at the store? Nothing of what is said there but words that are
known: a store repeats what it was told, and that may be the password, whole, cut or escaped.
"""

from __future__ import annotations

import re

#: Of valkey-py, with its own words, or the system's.
_OWN_WORDS = {"ConnectionError", "TimeoutError"}
_LONGEST = 200  # characters

_COMMANDS = (
    r"(?i:auth|client(?:\|setname)?|del|exec|expire|get|incrby|info|multi|ping|select|set"
    r"|time|zadd|zrange|zremrangebyscore)"
)
#: Of Redis and Valkey; behind a capital word valkey-py has made a name of an exception.
_KNOWN = re.compile(
    "|".join(
        (
            r"\b(?:BUSY|CLUSTERDOWN|DENIED|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOPERM|NOREPLICAS|OOM"
            r"|READONLY|WRONGTYPE)\b",
            r"Authentication required",
            r"invalid username-password pair or user is disabled",
            r"called without any password configured for the default user",
            r"[Nn]o permissions to access",
            rf"run the '{_COMMANDS}' command",
            rf"unknown command '{_COMMANDS}'",
            rf"wrong number of arguments for '{_COMMANDS}' command",
            r"command not allowed when used memory > 'maxmemory'",
            r"can't write against a read only replica",
            r"is loading the dataset in memory",
            r"Transaction discarded",
            r"DB index is out of range",
            # What the sentinels said to it is their own words, but for the kind of fault.
            r"No master found for '[\w.-]{1,64}'",
            r"\b(?:Authentication|Connection|Response|Timeout)Error\b",
        )
    )
)


def in_words(problem: Exception) -> str:
    """One line: the name of its type, and what may be told of its text."""
    name = type(problem).__name__
    text = str(problem)
    if name not in _OWN_WORDS:
        text = "; ".join(dict.fromkeys(match[0] for match in _KNOWN.finditer(text)))
    said = f"{name}: {text}" if text else name
    return "".join(one if one.isprintable() else "?" for one in said[:_LONGEST])
