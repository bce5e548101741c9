"""What does an administrator of FreeIPA type?"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass

from negotiate_wsgi.doctor.commands import Instructions


@dataclass(frozen=True)
class FreeIpa:
    """FreeIPA's KDC, by its own tools on an enrolled machine.

    :param keytab: its path.
    """

    keytab: str

    def start(self, realm: str) -> Instructions:
        return Instructions("ipactl start", place="FreeIPA's server")

    def export(self, *spns: str, instead: bool = False) -> Instructions:
        return Instructions(self._export(spns, instead), note=self._note)

    def register(self, *spns: str, instead: bool = False) -> Instructions:
        add = [f"ipa service-add {shlex.quote(spn)}" for spn in spns]
        command = " && ".join([*add, self._export(spns, instead)])
        return Instructions(command, note=self._note)

    def strengthen(self, *spns: str) -> Instructions:
        command = self._export(spns, True, "-e aes256-cts,aes128-cts ")
        return Instructions(command, note=self._note)

    def forbid_weak(self, *spns: str) -> Instructions:
        return Instructions(
            note="ipa-getkeytab makes those that -e names, and no other."
        )

    def set_apart(self, *spns: str) -> Instructions:
        return self.export(*spns, instead=True)

    def add_pac(self, *spns: str) -> Instructions:
        modify = [
            f"ipa service-mod {shlex.quote(spn)} --pac-type=MS-PAC" for spn in spns
        ]
        return Instructions(" && ".join(modify))

    def permit(self, account: str, spn: str) -> Instructions:
        rule = "act-for-users"
        targets = f"{rule}-targets"
        name = f"--principals={shlex.quote(account)}"
        next_service = f"--principals={shlex.quote(spn)}"
        lines = [
            f"servicedelegationtarget-add {targets}",
            f"servicedelegationtarget-add-member {targets} {next_service}",
            f"servicedelegationrule-add {rule}",
            f"servicedelegationrule-add-member {rule} {name}",
            f"servicedelegationrule-add-target {rule} "
            f"--servicedelegationtargets={targets}",
        ]
        return Instructions(" && ".join(f"ipa {line}" for line in lines))

    @property
    def _note(self) -> str:
        return (
            "ipa-getkeytab makes a new key, so other keytabs with this SPN need to be "
            "exported again, too; with -r it fetches the one there is."
        )

    def _export(self, spns: Collection[str], instead: bool, options: str = "") -> str:
        keytab = shlex.quote(self.keytab)
        lines = []
        for spn in map(shlex.quote, spns):
            if instead:
                lines.append(f"ipa-rmkeytab -p {spn} -k {keytab}")
            lines.append(f"ipa-getkeytab {options}-p {spn} -k {keytab}")
        return " && ".join(lines)
