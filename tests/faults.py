"""Ways to break a machine's set-up, and what the doctor has to make of each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass


@dataclass
class Fault:
    """One way to break a machine.

    :param breaking: does it; what it returns, if anything, are changes to the fields below.
    :param check: the only one that finds something.
    :param says: a pattern in what it finds.
    :param reason: what the log says of the failing request, ``accepted`` where none fails.
    :param repair: for what no command on this machine repairs.
    :param also: the check that finds something once this is repaired, if one does.
    :param authorization: of the failing request, None for a ticket of the host's SPN.
    """

    breaking: object
    check: str
    says: str
    reason: str
    repair: object = None
    authorization: object = None
    hostname: bool = True
    also: str | None = None


NOBODY = lambda machine: ""  # noqa: E731


def no_keytab(machine):
    machine.keytab.unlink()


def empty_keytab(machine):
    machine.keytab.write_bytes(b"")


def damaged_keytab(machine):
    machine.keytab.write_bytes(os.urandom(200))


def clock_ahead(machine):
    machine.prefix = ["faketime", "-f", "+10m"]


def set_the_clock(machine):
    machine.prefix = []


def walk_through(machine, fault):
    """Break *machine*, look, and repair it, by what the doctor says if that can be typed.

    Returns the finding.
    """
    arguments = ["--hostname", machine.host] if fault.hostname else []
    found = {"repair": fault.repair, "authorization": None, "then": None}
    found |= fault.breaking(machine) or {}
    authorization = (
        fault.authorization(machine) if fault.authorization else found["authorization"]
    )
    if authorization is None:
        authorization = machine.ticket()
    try:
        answer = machine.request(authorization)
        assert answer["reason"] == fault.reason, answer
        findings = machine.doctor(*arguments)
        assert [found["id"] for found in findings] == [fault.check], findings
        finding = findings[0]
        assert re.search(fault.says, finding["found"]), finding["found"]
        assert finding["remedy"], finding
    finally:
        if found["repair"]:
            found["repair"](machine)
    if not found["repair"]:
        machine.type(finding["command"])
    if found["then"]:
        found["then"]()
    if fault.also:
        findings = machine.doctor(*arguments)
        assert [found["id"] for found in findings] == [fault.also], findings
        machine.type(findings[0]["command"])
    left = machine.doctor(*arguments)
    assert left == [], left
    machine.realm.kinit("alice")  # for a ticket with the new key
    answer = machine.request(machine.ticket())
    assert answer["reason"] == "accepted", answer
    return finding
