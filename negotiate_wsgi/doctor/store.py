"""Why does a store not answer, and what does an administrator type there?"""

from __future__ import annotations

import re
import shlex
from typing import Any

from negotiate_wsgi.doctor.commands import Instructions
from negotiate_wsgi.doctor.finding import Finding, problem
from negotiate_wsgi.stores.inspection import Inspection
from negotiate_wsgi.wire.printable import printable

_PLACE = "the store's machine"
_FOR_GOOD = "Write it into the store's configuration file, too."
_LONGEST_WORD = 60  # characters of what a store says of itself
_OLDEST_REDIS = 7  # EXPIRE has NX since then

#: Words of a fault, and what to do about it; the first that is there counts.
_REMEDIES = (
    # What has come of the sentinels, where they have not answered.
    (
        r"No master found for '.*'; (?:Connection|Timeout)Error",
        "No sentinel answers: start one, or correct the hosts in the URL.",
    ),
    (
        "MasterNotFoundError",
        "The sentinels know no store of that name, or none that is up: correct the name "
        "in the URL, valkey+sentinel://host1:26379,host2:26379/NAME/0.",
    ),
    (
        "(?i)certificate",
        "Let the URL name the authority, ?ssl_ca_certs=/path/ca.pem, and the host as the "
        "certificate has it. Certificates are always verified.",
    ),
    (
        "SSL",
        "TLS fails: valkeys:// and rediss:// need a port of the store that speaks it.",
    ),
    (
        "connecting to server",
        "A firewall drops what is sent, or TLS is spoken to a port that speaks none: "
        "correct the host, the port, or valkeys:// in the URL.",
    ),
    (
        "TimeoutError",
        "It takes connections, and says nothing: look whether it hangs, and what load "
        "it has.",
    ),
    (
        "refused",
        "Nothing listens there: start the store, or correct the host and the port.",
    ),
    (
        "Error -",
        "Correct the host in the URL, or its name in DNS.",
    ),
    (
        "No such file",
        "Start the store, or correct the path of its socket.",
    ),
    (
        "Permission denied",
        "Let this user read and write the store's socket (unixsocketperm).",
    ),
    (
        "AuthenticationError",
        "Correct the user and the password in the URL, valkeys://USER:PASSWORD@host/0. "
        "Write @, :, / and % in them as %40, %3A, %2F and %25.",
    ),
    (
        "DB index",
        "Correct the number of the database at the end of the URL, or leave it out.",
    ),
    (
        "Connection closed|reset by peer",
        "If the port speaks TLS, write valkeys://. Else read the store's log.",
    ),
)


def no_answer(store: Inspection, fault: str) -> Finding:
    """Why there is none, as far as *fault* tells it."""
    found = f"{store} does not answer as it should: {fault.rstrip('.?')}."
    missing = re.search(r"run the '([a-z|]+)' command", fault)
    if missing:
        return problem(
            found,
            "The URL asks for more than the account may.",
            allow(store, {}, [missing[1]]),
        )
    for words, remedy in _REMEDIES:
        if re.search(words, fault):
            return problem(found, remedy)
    return problem(found, "Look what listens there, and read the store's log.")


def is_denied(fault: str) -> bool:
    """Whether it is the account that may not do that."""
    return re.search("NoPermission|NOPERM", fault) is not None


def word(said: dict[str, Any], name: str) -> str:
    """What a store says of itself; empty where it does not say that."""
    value = said.get(name)
    return "" if value is None else printable(str(value), _LONGEST_WORD)


def version(said: dict[str, Any]) -> str:
    """Which server it is."""
    if _is_valkey(said):
        return f"Valkey {word(said, 'valkey_version')}"
    return f"Redis {word(said, 'redis_version')}"


def unfit(said: dict[str, Any]) -> Finding | None:
    """Why we cannot use such a server, None if we can, or do not know."""
    # Valkey 8 says server_mode.
    if "cluster" in (word(said, "redis_mode"), word(said, "server_mode")):
        return problem(
            "The store is a cluster, which we do not speak to.",
            "Take one node that is none (cluster-enabled no), with sentinels if one is "
            "not enough.",
        )
    # Of Valkey, 7.2 is the first. Each says that it is a Redis as well.
    major = word(said, "redis_version").partition(".")[0]
    if not said or _is_valkey(said):
        return None
    if major.isascii() and major.isdigit() and int(major) >= _OLDEST_REDIS:
        return None
    return problem(
        f"The store is {version(said)}, which does not know all commands that we need.",
        f"Take Valkey, or Redis {_OLDEST_REDIS}.0 or later.",
    )


def _is_valkey(said: dict[str, Any]) -> bool:
    return "valkey_version" in said


def configure(said: dict[str, Any], name: str, value: str) -> Instructions:
    """What to type, so that the store has another setting.

    :param said: what it says of itself.
    """
    return Instructions(
        f"{_cli(said)} CONFIG SET {name} {value}", _PLACE, note=_FOR_GOOD
    )


def allow(store: Inspection, said: dict[str, Any], commands: list[str]) -> Instructions:
    """What to type, so that its account may send *commands*."""
    rights = [store.pattern, *(f"+{command.lower()}" for command in commands)]
    typed = " ".join(map(shlex.quote, [store.user or "default", *rights]))
    return Instructions(f"{_cli(said)} ACL SETUSER {typed}", _PLACE, note=_FOR_GOOD)


def _cli(said: dict[str, Any]) -> str:
    program = "valkey-cli" if _is_valkey(said) else "redis-cli"
    port = word(said, "tcp_port")
    if port.isascii() and port.isdigit() and port not in ("0", "6379"):
        return f"{program} -p {port}"
    return program
