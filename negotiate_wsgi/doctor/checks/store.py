"""Can this machine use the fleet's store? Only looked at with --store."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator

from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.store import allow, is_denied, no_answer, unfit
from negotiate_wsgi.exceptions import ConfigurationError, StoreError
from negotiate_wsgi.stores.inspection import COMMANDS, Inspection
from negotiate_wsgi.stores.protocol import CLOCKS_DIFFER

_ROUND_TRIPS = 21
_PART_OF_TIMEOUT = 10  # more than one such part of it is slow


@check("NW037", "store")
def reached(setup: Setup) -> Iterator[Finding]:
    """With --store: it answers, and takes the account in the URL."""
    if setup.store is None:
        return
    try:
        setup.inspection = Inspection(setup.store, setup.prefix)
    except ConfigurationError as fault:
        yield _unusable(str(fault))
        return
    setup.tell(f"asking the store {setup.inspection}")
    try:
        setup.said = setup.inspection.info()
    except StoreError as fault:
        yield no_answer(setup.inspection, str(fault))
        return
    yield ok(f"{setup.inspection} answers")


def _unusable(fault: str) -> Finding:
    install = "pip install 'negotiate-wsgi[fleet]'"
    if install in fault:
        return problem("valkey-py is not installed.", "Install it.", install)
    return problem(f"{fault}.", "Correct --store, --prefix or NEGOTIATE_STORE.")


@check("NW038", "encryption to the store")
def encryption(setup: Setup) -> Iterator[Finding]:
    """With --store: the connection is encrypted, or stays on this machine, by its URL."""
    if setup.inspection is None:
        return
    if setup.inspection.is_in_clear:
        yield warning(
            f"{setup.inspection} is reached without TLS: others on the way can read the "
            "password, undo revocations, and let captured tokens count again.",
            "Let the store listen with TLS (tls-port), and write valkeys:// in the URL.",
        )
    else:
        yield ok("encrypted, or on this machine alone")


def _asked(
    look: Callable[[Setup, Inspection], Iterator[Finding]],
) -> Callable[[Setup], Iterator[Finding]]:
    """A check that has something to ask of the store, which may not answer."""

    @functools.wraps(look)
    def looked(setup: Setup) -> Iterator[Finding]:
        if setup.inspection is None:
            return
        try:
            yield from look(setup, setup.inspection)
        except StoreError as fault:
            yield no_answer(setup.inspection, str(fault))

    return looked


@check("NW040", "rights at the store", after={"NW037"})
@_asked
def rights(setup: Setup, store: Inspection) -> Iterator[Finding]:
    """With --store: the account may send all commands that are needed, for the site's keys.

    They are tried in one transaction on a key of the doctor's own, PREFIX:doctor, of
    which nothing stays.
    """
    if unfit(setup.said):
        return  # another check has told
    refusals = store.refusals()
    if refusals:
        yield _refused(setup, store, refusals)
        return
    known = store.revocations(-1)
    count = len(known.principals) + len(known.sessions) if known else 0
    yield ok(f"as many as needed; revocations that the store knows: {count}")


def _refused(setup: Setup, store: Inspection, refusals: dict[str, str]) -> Finding:
    denied = [name for name, fault in refusals.items() if is_denied(fault)]
    if denied:
        fault = refusals[denied[0]].rstrip(".")
        remedy = "Give it the rights."
        missing = denied
        if "MULTI" in denied:
            remedy = (
                "Without that nothing else can be tried: give it all rights it needs."
            )
            missing = COMMANDS
        return problem(
            f"The account may not send {', '.join(denied)}: {fault}.",
            remedy,
            allow(store, setup.said, missing),
        )
    faults = "; ".join(dict.fromkeys(refusals.values())).rstrip(".")
    return problem(
        f"The store does not do {', '.join(refusals)}: {faults}.",
        "Let the URL name the primary, and no replica of it; or read the store's log.",
    )


@check("NW041", "time to the store", after={"NW037"})
@_asked
def latency(setup: Setup, store: Inspection) -> Iterator[Finding]:
    """With --store: half of the answers take less than a tenth of the time that is waited."""
    took = sorted(store.round_trip() for _ in range(_ROUND_TRIPS))
    median = statistics.median(took)
    found = (
        f"{median * 1000:.1f} ms in the middle of {_ROUND_TRIPS} answers, "
        f"{took[-1] * 1000:.1f} ms at most; a sign-on waits for one, "
        f"{store.timeout * 1000:.0f} ms at most"
    )
    if median * _PART_OF_TIMEOUT <= store.timeout:
        yield ok(found)
        return
    yield warning(
        f"{found}.",
        "Have a store that is nearer, or less busy: under load, sign-ons will not get "
        "their answer in time.",
    )


@check("NW044", "clock of the store", after={"NW037"})
@_asked
def clock(setup: Setup, store: Inspection) -> Iterator[Finding]:
    """With --store: it is less than 5 s from this machine's."""
    try:
        ahead = store.clock_ahead()
    except StoreError as fault:
        if is_denied(str(fault)):
            return  # NW040 has told
        raise
    apart = abs(ahead)
    if apart <= CLOCKS_DIFFER:
        yield ok(f"{apart:.1f} s apart")
        return
    synchronise = "Synchronise both.", "timedatectl set-ntp true"
    if ahead < 0:
        yield problem(
            f"This machine's clock is {apart:.0f} s ahead of the store's: of the sessions "
            f"that began here, those of the last {apart - CLOCKS_DIFFER:.0f} s before a "
            "revocation go on.",
            *synchronise,
        )
    else:
        yield warning(
            f"This machine's clock is {apart:.0f} s behind the store's: after a "
            f"revocation, no session that begins here holds for {apart + CLOCKS_DIFFER:.0f}"
            " s.",
            *synchronise,
        )
