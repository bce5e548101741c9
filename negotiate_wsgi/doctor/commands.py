"""What does an administrator type? Each kind of KDC has commands of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from typing import Protocol


class Commands(Protocol):
    """What to type at one kind of KDC. A command that cannot be given is empty."""

    #: Starts the KDC.
    start: str

    def export(self, *spns: str, new: bool = False, instead: bool = False) -> str:
        """What puts the KDC's keys of *spns* into the keytab.

        :param new: the KDC does not know them yet.
        :param instead: in place of the keys that the keytab has for them.
        """
        ...


@dataclass(frozen=True)
class Kadmin:
    """MIT's KDC.

    :param keytab: its path.
    """

    keytab: str
    start = "systemctl start krb5-kdc"

    def export(self, *spns: str, new: bool = False, instead: bool = False) -> str:
        keytab = _word(self.keytab)
        spns = tuple(map(_word, spns))
        queries = []
        if new:
            queries += [f"addprinc -randkey {spn}" for spn in spns]
        if instead:
            queries += [f"ktremove -k {keytab} {spn} all" for spn in spns]
        queries += [f"ktadd -k {keytab} {spn}" for spn in spns]
        return " && ".join(f"{_kadmin()} -q {shlex.quote(query)}" for query in queries)


def _word(text: str) -> str:
    """*text* as one word of a query: kadmin divides it at spaces, and has its quotes."""
    if re.fullmatch(r"[\w./@$<>-]+", text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _kadmin() -> str:
    # Where the KDC is this machine, as in the throwaway realm, no password is needed.
    if "KRB5_KDC_PROFILE" in os.environ:
        return shutil.which("kadmin.local") or "/usr/sbin/kadmin.local"
    return "kadmin"
