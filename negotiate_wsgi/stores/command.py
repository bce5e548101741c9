"""``negotiate-wsgi revoke``: whose sessions are to end?"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Mapping

from negotiate_wsgi.exceptions import ConfigurationError, StoreError
from negotiate_wsgi.stores.protocol import (
    EVERYBODY,
    SOON,
    Revocations,
    revoke,
    revoke_all,
)
from negotiate_wsgi.stores.valkey import ValkeyStore

_STILL_GOOD = (
    "A ticket or password that is still good signs on again: disable the account in the "
    "KDC, too."
)


def add_revoke(tools: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The tool's part of the command line."""
    tool = tools.add_parser(
        "revoke",
        help="end sessions on all machines that share a store",
        description="End the sessions of each PRINCIPAL on all machines, within seconds. Exit "
        "code 2: the store cannot be reached, and nothing may have been revoked.",
    )
    who = tool.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "principals", nargs="*", default=[], metavar="PRINCIPAL",
        help="with its realm, as the log has it, such as alice@EXAMPLE.COM",
    )  # fmt: skip
    who.add_argument("--all", action="store_true", help="everybody's sessions")
    who.add_argument("--list", action="store_true", help="say what is revoked")
    add_store(tool)
    tool.set_defaults(run=_run)


def add_store(tool: argparse.ArgumentParser) -> None:
    """The options of a tool that asks a store: see `which_store`."""
    tool.add_argument(
        "--store", metavar="URL", help="NEGOTIATE_STORE by default; of a ValkeyStore"
    )
    tool.add_argument(
        "--prefix",
        help="of its keys; NEGOTIATE_STORE_PREFIX by default, else negotiate",
    )


def which_store(options: argparse.Namespace) -> tuple[str | None, str]:
    """Its URL, None where there is no store, and the prefix of its keys."""
    # From here and not by default=, or --help would show a password.
    url = options.store or os.environ.get("NEGOTIATE_STORE") or None
    prefix = options.prefix or os.environ.get("NEGOTIATE_STORE_PREFIX") or "negotiate"
    return url, prefix


def _run(options: argparse.Namespace) -> int:
    _check(options.principals)
    store = _store(options)
    revoked: list[str] = []
    try:
        if options.list:
            _list(_known(store))
            return 0
        if options.all:
            revoke_all(store)
            revoked.append(EVERYBODY)
        for principal in options.principals:
            revoke(store, principal)
            revoked.append(principal)
    except StoreError as fault:
        problem = f"the store {store} is not reached: {fault}"
    else:
        _say(store, revoked)
        return 0
    if revoked:
        problem += f". Revoked before that: {', '.join(revoked)}"
    raise ConfigurationError(problem)


def _store(options: argparse.Namespace) -> ValkeyStore:
    """Raises `ConfigurationError`."""
    url, prefix = which_store(options)
    if url is None:
        raise ConfigurationError(
            "no store: write --store valkeys://host:6379/0, or set NEGOTIATE_STORE"
        )
    refresh = os.environ.get("NEGOTIATE_STORE_REFRESH") or "5"
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", refresh):
        raise ConfigurationError(f"NEGOTIATE_STORE_REFRESH={refresh!r}: write a number")
    return ValkeyStore(url, prefix=prefix, refresh=int(refresh))


def _check(principals: list[str]) -> None:
    """All before the first is revoked: what no log has cannot be anybody's name. Raises
    `ConfigurationError`.
    """
    for principal in principals:
        name, _, realm = principal.rpartition("@")
        if not name or not realm:
            raise ConfigurationError(
                f"{_shown(principal)}: write it with its realm, such as alice@EXAMPLE.COM"
            )
        if principal != principal.strip() or not principal.isprintable():
            raise ConfigurationError(
                f"'{_shown(principal)}' has a space at an end, or what cannot be "
                "printed: write it as the log has it"
            )


def _known(store: ValkeyStore) -> Revocations:
    return store.revocations(-1) or Revocations()


def _say(store: ValkeyStore, principals: list[str]) -> None:
    known: Mapping[str, float] = {}
    with contextlib.suppress(StoreError):  # It is done, and by our clock then.
        known = _known(store).principals
    for principal in principals:
        whose = f"sessions of {_shown(principal)}"
        if principal == EVERYBODY:
            whose = "all sessions"
        now = time.time()
        moment = known.get(principal, now)
        if moment > now + SOON:
            moment = now
        _tell(f"{whose} that began before {_utc(moment)} end within {store.refresh} s.")
    _tell(_STILL_GOOD)


def _list(known: Revocations) -> None:
    for principal, moment in sorted(known.principals.items()):
        _tell(f"{_utc(moment)} {_shown(principal)}")
    _tell(f"{len(known.sessions)} sessions were ended one by one, by a logout.")


def _tell(line: str) -> None:
    encoding = sys.stdout.encoding or "ascii"
    line = line.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{line}\n")


def _utc(moment: float) -> str:
    """Whoever can write to the store writes any number."""
    if not moment <= time.time() + SOON:
        return "(in the future)"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(0, moment)))


def _shown(principal: str) -> str:
    """Whoever can write to the store writes nothing else to a terminal."""
    return "".join(one if one.isprintable() else "?" for one in principal)
