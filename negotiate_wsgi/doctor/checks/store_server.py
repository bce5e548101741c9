"""Is the fleet's store set up right? Only looked at with --store, by what INFO says."""

from __future__ import annotations

from collections.abc import Iterator

from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.store import configure, unfit, version, word


@check("NW039", "version of the store", after={"NW037"})
def kind(setup: Setup) -> Iterator[Finding]:
    """With --store: it is a Valkey, or a Redis of 7.0 or later, and no cluster."""
    if not setup.said:
        return  # NW040 tells that INFO is not allowed
    yield unfit(setup.said) or ok(version(setup.said))


@check("NW042", "memory of the store", after={"NW037"})
def eviction(setup: Setup) -> Iterator[Finding]:
    """With --store: it drops no keys where its memory is full (maxmemory-policy noeviction)."""
    if not setup.said:
        return
    policy = word(setup.said, "maxmemory_policy")
    if policy == "noeviction":
        limit = word(setup.said, "maxmemory_human")
        is_limited = word(setup.said, "maxmemory") not in ("", "0")
        yield ok(f"noeviction, {f'at most {limit}' if is_limited else 'no limit'}")
    elif policy:
        yield problem(
            f"The store drops keys where its memory is full ({policy}): a flood of "
            "sign-ons or wrong passwords makes it forget revocations or replays.",
            "Let it refuse to write instead.",
            configure(setup.said, "maxmemory-policy", "noeviction"),
        )
    else:
        yield _untold("maxmemory-policy", "noeviction")


@check("NW043", "persistence of the store", after={"NW037"})
def persistence(setup: Setup) -> Iterator[Finding]:
    """With --store: it appends each change to a file, and can write its files."""
    if not setup.said:
        return
    failed = [
        name
        for name in ("aof_last_write_status", "rdb_last_bgsave_status")
        if word(setup.said, name) not in ("", "ok")
    ]
    if failed:
        yield problem(
            f"The store could not write its files ({', '.join(failed)}). It may refuse "
            "to take anything until it can.",
            "Read its log, and look at its disk and the rights of its directory.",
        )
        return
    is_appending = word(setup.said, "aof_enabled")
    if is_appending == "1":
        yield ok("each change is appended to a file")
    elif is_appending:
        snapshots = word(setup.said, "rdb_saves") or "an unknown number"
        yield warning(
            f"The store has no append-only file (snapshots since it began: {snapshots}). "
            "A restart makes it forget replays of the last 15 minutes, failed passwords, "
            "and revocations that no running server knows.",
            "Let it append.",
            configure(setup.said, "appendonly", "yes"),
        )
    else:
        yield _untold("appendonly", "yes")


def _untold(name: str, value: str) -> Finding:
    return warning(
        f"The store does not say what its {name} is.",
        f"Ask whoever runs it: it has to be {value}.",
    )
