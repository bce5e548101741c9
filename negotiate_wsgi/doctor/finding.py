"""What has a check found, and how is a check declared? The ids are stable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from negotiate_wsgi.doctor.commands import Instructions
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.wire.printable import printable


class Status(StrEnum):
    """Of a finding. The worst one decides on the doctor's exit code: 0, 1 or 2."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What a check has found: see `ok`, `warning` and `problem`.

    :param found: one sentence.
    :param remedy: what to do; empty where all is well, as far as can be seen.
    :param command: what to type for it, where that can be said.
    :param place: where to type that, unless it is here, or goes without saying.
    :param beside: the same in the words of other tools, a line each.
    """

    status: Status
    found: str
    remedy: str = ""
    command: str = ""
    place: str = ""
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Servers, KDCs and keytabs choose some words, which must not drive the
        # terminal.
        object.__setattr__(self, "found", printable(self.found))
        object.__setattr__(self, "remedy", printable(self.remedy))
        object.__setattr__(self, "beside", tuple(map(printable, self.beside)))
        if not self.command.isprintable():
            object.__setattr__(self, "command", "")


def ok(found: str, remedy: str = "", command: str | Instructions = "") -> Finding:
    return _finding(Status.OK, found, remedy, command)


def warning(found: str, remedy: str, command: str | Instructions = "") -> Finding:
    return _finding(Status.WARNING, found, remedy, command)


def problem(found: str, remedy: str, command: str | Instructions = "") -> Finding:
    return _finding(Status.PROBLEM, found, remedy, command)


def _finding(
    status: Status, found: str, remedy: str, command: str | Instructions
) -> Finding:
    if isinstance(command, str):
        return Finding(status, found, remedy, command)
    remedy = " ".join(filter(None, (remedy, command.note)))
    return Finding(
        status, found, remedy, command.command, command.place, command.beside
    )


@dataclass(frozen=True)
class Check:
    """One thing that the doctor looks at: see `check`."""

    id: str
    subject: str
    after: frozenset[str]
    look: Callable[[Setup], Iterator[Finding]]

    @property
    def demand(self) -> str:
        """What has to be so: the first line of the check's docstring."""
        return (self.look.__doc__ or "").strip().partition("\n")[0]


def check(
    id: str, subject: str, after: Iterable[str] = ()
) -> Callable[[Callable[[Setup], Iterator[Finding]]], Check]:
    """Declare a check, in any module of `doctor.checks`; nothing else lists it.

        @check("NW008", "AES keys", after={"NW007"})
        def aes(setup):
            \"\"\"Each SPN has one.\"\"\"
            yield ok("each SPN has an AES key")

    The function yields what it finds, or nothing where it has nothing to say.

    :param id: never changes and is never used again. NW020 to NW026 and NW030 ask
        the URL, NW031 looks at delegation, NW032 to NW036 at passwords, NW037 to
        NW044 at a fleet's store.
    :param subject: in two or three words.
    :param after: the ids of the checks without whose success this one would only repeat
        a fault. It is left out where one of them found a problem or had nothing to say.
    """
    return lambda look: Check(id, subject, frozenset(after), look)
