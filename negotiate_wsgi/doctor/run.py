"""Why doesn't it work here? Findings, each with what to do; nothing is changed."""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module

from negotiate_wsgi.doctor import checks
from negotiate_wsgi.doctor.finding import Check, Finding, Status
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.wire.printable import printable


def gather() -> list[Check]:
    """Every check in the modules of `doctor.checks`, each after its premises."""
    found: dict[str, Check] = {}
    for module in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Check):
                found[value.id] = value
    ordered: dict[str, Check] = {}

    def place(id: str) -> None:
        for premise in sorted(found[id].after):
            place(premise)
        ordered.setdefault(id, found[id])

    for id in sorted(found):
        place(id)
    return list(ordered.values())


def diagnose(setup: Setup) -> Iterator[tuple[Check, Finding]]:
    """What each check finds whose premises hold: no fault is told twice."""
    well: set[str] = set()
    for check in gather():
        if not check.after <= well:
            continue
        statuses = set()
        for finding in check.look(setup):
            statuses.add(finding.status)
            yield check, finding
        if statuses and Status.PROBLEM not in statuses:
            well.add(check.id)


def run_doctor(setup: Setup, as_json: bool) -> int:
    """Print what was found. Returns 0, or 1 with warnings, 2 with problems."""
    setup.tell = _progress
    found = []
    for check, finding in diagnose(setup):
        found.append((check, finding))
        _progress("")
        if not as_json:
            sys.stdout.write(_in_words(check, finding))
            sys.stdout.flush()
    _progress("")
    if as_json:
        data = [_as_data(check, finding) for check, finding in found]
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    statuses = {finding.status for _, finding in found}
    if Status.PROBLEM in statuses:
        return 2
    return 1 if Status.WARNING in statuses else 0


def list_checks() -> int:
    """Print what is looked at, and what has to be so. Returns 0."""
    for check in sorted(gather(), key=lambda check: check.id):
        sys.stdout.write(f"{check.id}  {check.subject}: {check.demand}\n")
    return 0


def _as_data(check: Check, finding: Finding) -> dict[str, str | list[str]]:
    return {
        "id": check.id,
        "status": finding.status.value,
        "found": finding.found,
        "remedy": finding.remedy,
        "command": finding.command,
        "place": finding.place,
        "beside": list(finding.beside),
    }


_COLOURS = {Status.OK: 32, Status.WARNING: 33, Status.PROBLEM: 31}


def _in_words(check: Check, finding: Finding) -> str:
    status = f"{finding.status:8}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):  # no-color.org
        status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
    lines = [f"{status} {check.id}  {check.subject}: {finding.found}"]
    command = finding.command
    if command and finding.place:
        command = f"{finding.place}: {command}"
    told = (finding.remedy, *finding.beside, command)
    lines += [f"{'':17}{line}" for line in told if line]
    return "\n".join(lines) + "\n"


def _progress(what: str) -> None:
    """What is under way, on a terminal; the next line takes its place."""
    if sys.stderr.isatty():
        told = f"... {printable(what)}" if what else ""
        sys.stderr.write(f"\r\x1b[K{told}")
        sys.stderr.flush()
