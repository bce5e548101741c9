"""What was looked at, and what was found? The checks' ids are stable."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from negotiate_wsgi.wire.keytab import Keytab


class Status(StrEnum):
    """Of a finding. The worst one decides on the doctor's exit code: 0, 1 or 2."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(StrEnum):
    """What is looked at. The value is a stable id."""

    subject: str

    def __new__(cls, code: str, subject: str) -> Check:
        self = str.__new__(cls, code)
        self._value_ = code
        self.subject = subject
        return self

    BINDING = "NW001", "binding"
    PLUGINS = "NW002", "GSSAPI plugins"
    KRB5_CONF = "NW003", "krb5.conf"
    REPLAY_CACHE = "NW004", "replay cache"
    KEYTAB = "NW005", "keytab"
    PRIVACY = "NW006", "keytab's privacy"
    SPN = "NW007", "SPNs in the keytab"
    AES = "NW008", "AES keys"
    WEAK = "NW009", "weak keys"
    KVNO = "NW010", "key versions"
    NAMES = "NW011", "DNS"
    CANONICAL = "NW012", "canonical names"
    KDC = "NW013", "KDC"
    CLOCK = "NW014", "clock"
    KEY = "NW015", "KDC's key"
    SIGN_ON = "NW016", "sign-on to ourselves"
    ANSWER = "NW020", "server's answer"
    TLS = "NW021", "TLS"
    CHALLENGE = "NW022", "challenge"
    URL_SIGN_ON = "NW023", "sign-on with your ticket"
    COOKIE = "NW024", "session cookie"
    HEADER = "NW025", "largest header"

    def ok(self, found: str) -> Finding:
        return Finding(self, Status.OK, found)

    def warning(self, found: str, remedy: str, command: str = "") -> Finding:
        return Finding(self, Status.WARNING, found, remedy, command)

    def problem(self, found: str, remedy: str, command: str = "") -> Finding:
        return Finding(self, Status.PROBLEM, found, remedy, command)


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    :param found: one sentence.
    :param remedy: what to do; empty where all is well.
    :param command: what to type for it, where that can be said.
    """

    check: Check
    status: Status
    found: str
    remedy: str = ""
    command: str = ""

    @property
    def as_data(self) -> dict[str, str]:
        """For JSON."""
        texts = {"found": self.found, "remedy": self.remedy, "command": self.command}
        return {"id": self.check.value, "status": self.status.value, **texts}


@dataclass
class Setup:
    """What is to be looked at, and what has been learnt of it so far.

    :param service: first component of the SPNs.
    :param hosts: their hosts; empty for all in the keytab.
    :param name: the keytab, as for `read_keytab`.
    :param tell: is told of what may take its time.
    """

    service: str = "HTTP"
    hosts: tuple[str, ...] = ()
    name: str | None = None
    tell: Callable[[str], object] = lambda what: None
    keytab: Keytab = field(default=Keytab("", ()), init=False)
    #: Whether a client on this machine makes another name of a host before it asks the KDC.
    is_renamed: bool = field(default=False, init=False)

    @property
    def spns(self) -> list[str]:
        """The keytab's principals of the service and, if any are given, of the hosts."""
        own = dict.fromkeys(key.principal for key in self.keytab.keys)
        prefixes = [f"{self.service}/{host}@" for host in self.hosts] or [f"{self.service}/"]
        return [spn for spn in own if spn.startswith(tuple(prefixes))]

    def export(self, *spns: str, new: bool = False, instead: bool = False) -> str:
        """What to type to put the KDC's keys of *spns* into the keytab.

        :param new: the KDC does not know them yet.
        :param instead: in place of those that the keytab has for them.
        """
        queries = [f"addprinc -randkey {spn}" for spn in spns if new]
        queries += [f"ktremove -k {self.keytab.path} {spn} all" for spn in spns if instead]
        queries += [f"ktadd -k {self.keytab.path} {spn}" for spn in spns]
        # Where the KDC is this very machine, as in the throwaway realm, there is no password to ask.
        kadmin = "kadmin"
        if "KRB5_KDC_PROFILE" in os.environ:
            kadmin = shutil.which("kadmin.local") or "/usr/sbin/kadmin.local"
        return " && ".join(f"{kadmin} -q {shlex.quote(query)}" for query in queries)


def host_of(spn: str) -> str:
    """``www.example.com`` of ``HTTP/www.example.com@EXAMPLE.COM``."""
    return spn.partition("/")[2].rpartition("@")[0]


def within(seconds: float, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What *ask* returns or raises; TimeoutError where that takes longer.

    The libraries behind it know no deadline, so the thread that asks is left to itself then.
    """
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(*arguments), None))
        except BaseException as problem:
            answers.put((None, problem))

    Thread(target=run, daemon=True).start()
    try:
        answer, problem = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds} s") from None
    if problem:
        raise problem
    return answer
