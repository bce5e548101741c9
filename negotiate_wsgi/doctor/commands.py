"""What does an administrator type? Each kind of KDC has commands of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from negotiate_wsgi.wire.keytab import Keytab


class Kind(StrEnum):
    """Of KDC. The value is what ``--kdc`` calls it."""

    ACTIVE_DIRECTORY = "ad"
    FREE_IPA = "ipa"
    MIT = "mit"
    UNKNOWN = ""


@dataclass(frozen=True)
class Instructions:
    """How one thing is done at one kind of KDC.

    :param command: what to type; empty where it cannot be given.
    :param place: where that is typed, unless that goes without saying.
    :param beside: the same for other tools of that KDC, a line each.
    :param note: what to know before it is typed: a sentence or two.
    """

    command: str = ""
    place: str = ""
    beside: tuple[str, ...] = ()
    note: str = ""


class Commands(Protocol):
    """What to type at one kind of KDC."""

    def start(self, realm: str) -> Instructions:
        """The KDC of *realm* answers again."""
        ...

    def export(self, *spns: str, instead: bool = False) -> Instructions:
        """The KDC's keys of *spns* get into the keytab.

        :param instead: in place of the keys that the keytab has for them.
        """
        ...

    def register(self, *spns: str, instead: bool = False) -> Instructions:
        """The same where the KDC does not know *spns* yet."""
        ...

    def strengthen(self, *spns: str) -> Instructions:
        """The KDC issues tickets with AES keys for *spns*, and the keytab has these."""
        ...

    def forbid_weak(self, *spns: str) -> Instructions:
        """The KDC issues no weak keys for *spns* any more."""
        ...

    def set_apart(self, *spns: str) -> Instructions:
        """*spns* have keys that no other service has."""
        ...

    def add_pac(self, *spns: str) -> Instructions:
        """Tickets for *spns* say which groups the user is in."""
        ...

    def permit(self, account: str, spn: str) -> Instructions:
        """*account* may act for users at the service *spn*."""
        ...


#: MIT's program that administers a database on the same machine.
LOCAL = "kadmin.local"


@dataclass(frozen=True)
class Kadmin:
    """MIT's KDC.

    :param keytab: its path.
    """

    keytab: str

    def start(self, realm: str) -> Instructions:
        return Instructions("systemctl start krb5-kdc")

    def export(self, *spns: str, instead: bool = False) -> Instructions:
        return Instructions(self._export(spns, instead))

    def register(self, *spns: str, instead: bool = False) -> Instructions:
        queries = [f"addprinc -randkey {word(spn)}" for spn in spns]
        return Instructions(
            " && ".join([*map(query, queries), self._export(spns, instead)])
        )

    def strengthen(self, *spns: str) -> Instructions:
        return self.export(*spns, instead=True)

    def forbid_weak(self, *spns: str) -> Instructions:
        return Instructions(
            note="supported_enctypes in its kdc.conf names those that it makes."
        )

    def set_apart(self, *spns: str) -> Instructions:
        return self.export(*spns, instead=True)

    def add_pac(self, *spns: str) -> Instructions:
        return Instructions(
            note="MIT's KDC knows of no groups: leave active_directory out."
        )

    def permit(self, account: str, spn: str) -> Instructions:
        return Instructions(
            note="MIT's KDC can permit that only with a database in LDAP: write "
            f"krbAllowedToDelegateTo: {spn} into the entry of {account} there."
        )

    def _export(self, spns: Collection[str], instead: bool) -> str:
        keytab = word(self.keytab)
        queries = []
        if instead:
            queries += [f"ktremove -k {keytab} {word(spn)} all" for spn in spns]
        queries += [f"ktadd -k {keytab} {word(spn)}" for spn in spns]
        return " && ".join(map(query, queries))


def query(asked: str) -> str:
    """The command that has MIT's administration server do what is asked."""
    return f"{_kadmin()} -q {shlex.quote(asked)}"


def word(text: str) -> str:
    """*text* as one word for kadmin and ktutil, which divide at spaces, and have their
    own quotes.
    """
    if re.fullmatch(r"[\w./@$<>-]+", text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _kadmin() -> str:
    # Where the KDC is this machine, as in the throwaway realm, no password is needed.
    if "KRB5_KDC_PROFILE" in os.environ:
        return shutil.which(LOCAL) or f"/usr/sbin/{LOCAL}"
    return "kadmin"


class Unknown:
    """A KDC of some kind: with words that fit all, and no command."""

    instructions = Instructions(
        note="Say --kdc ad, --kdc ipa or --kdc mit to be told what to type."
    )

    def start(self, realm: str) -> Instructions:
        return self.instructions

    def export(self, *spns: str, instead: bool = False) -> Instructions:
        return self.instructions

    def register(self, *spns: str, instead: bool = False) -> Instructions:
        return self.instructions

    def strengthen(self, *spns: str) -> Instructions:
        return self.instructions

    def forbid_weak(self, *spns: str) -> Instructions:
        return self.instructions

    def set_apart(self, *spns: str) -> Instructions:
        return self.instructions

    def add_pac(self, *spns: str) -> Instructions:
        return self.instructions

    def permit(self, account: str, spn: str) -> Instructions:
        return self.instructions


def take_out(keytab: Keytab, places: Collection[int]) -> str:
    """The command that takes entries out of *keytab*. None is lost if that is all of it.

    :param places: of the entries, counted from 1.
    """
    path = shlex.quote(keytab.path)
    if len(places) == len(keytab.keys):
        return f"mv {path} {shlex.quote(keytab.path + '.old')}"
    # Deleted from the end, because ktutil numbers the rest anew.
    lines = [f"rkt {word(keytab.path)}"]
    lines += [f"delent {place}" for place in sorted(places, reverse=True)]
    lines.append(f"wkt {word(keytab.path + '.new')}")
    new = shlex.quote(f"{keytab.path}.new")
    typed = " ".join(map(shlex.quote, lines))
    return f"printf '%s\\n' {typed} | ktutil && cat {new} >{path} && rm {new}"
