"""What does an administrator of Active Directory type? Keys belong to accounts there.

The commands are those of a Samba domain controller. Beside them stand those of Windows,
and those for Unix machines that are members of a domain of either.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from negotiate_wsgi.doctor import samba
from negotiate_wsgi.doctor.accounts import account_of, without_realm
from negotiate_wsgi.doctor.commands import Instructions, take_out
from negotiate_wsgi.wire.keytab import Keytab

_SAMBA = "Samba DC"
_LONGEST_NAME = 20  # characters of a user's sAMAccountName
_AFTER_KTPASS = (
    "ktpass gives the account a new password, after which every earlier keytab of that "
    "account is of no use: export all its names at once."
)
_ALLOW_AES = (
    "The account's box 'This account supports Kerberos AES 256 bit encryption' has to be "
    "set. One that is older than AES needs a new password. Clients then need new tickets."
)


@dataclass(frozen=True)
class ActiveDirectory:
    """A KDC of Active Directory, be it of Windows or of Samba.

    :param keytab: what is in it shows which accounts the SPNs belong to.
    :param realm: of the SPNs.
    """

    keytab: Keytab
    realm: str

    def start(self, realm: str) -> Instructions:
        windows = f"Windows: nltest /dsgetdc:{plain(realm)} /kdc"
        return Instructions("systemctl start samba-ad-dc", _SAMBA, (windows,))

    def export(self, *spns: str, instead: bool = False) -> Instructions:
        ktpass = self._ktpass(spns)
        return Instructions(
            self._export(spns, instead),
            _SAMBA,
            (*ktpass, *self._adcli(spns, ["--computer-password-lifetime=0"])),
            _AFTER_KTPASS if ktpass else "",
        )

    def register(self, *spns: str, instead: bool = False) -> Instructions:
        lines = [f"samba-tool spn add {_name(spn)} {self._word(spn)}" for spn in spns]
        windows = []
        members = []
        for spn in spns:
            account = self._account(spn)
            windows.append(f"Windows: setspn -S {plain(spn)} {account}")
            if account.endswith("$"):
                members.append(
                    f"member: net ads setspn add {account[:-1]} {plain(spn)} "
                    "-U Administrator"
                )
        ktpass = self._ktpass(spns)
        options = [f"--add-service-principal={_name(spn)}" for spn in spns]
        # That the account has it already is an error, too, which does no harm.
        then = " && " if instead else "; "
        return Instructions(
            then.join([*lines, self._export(spns, instead)]),
            _SAMBA,
            (*windows, *ktpass, *members, *self._adcli(spns, options)),
            _AFTER_KTPASS if ktpass else "",
        )

    def strengthen(self, *spns: str) -> Instructions:
        return Instructions(
            f"{samba.let_use_aes(spns)} && {self._export(spns, True)}",
            _SAMBA,
            (*self.forbid_weak(*spns).beside, *self._ktpass(spns)),
            _ALLOW_AES,
        )

    def forbid_weak(self, *spns: str) -> Instructions:
        windows = []
        members = []
        for account in dict.fromkeys(map(self._account, spns)):
            kind = "Computer" if account.endswith("$") else "User"
            windows.append(
                f"Windows: Set-AD{kind} {account} -KerberosEncryptionType AES128,AES256"
            )
            members.append(
                f"member: net ads enctypes set {account} {samba.AES} -U Administrator"
            )
        return Instructions(beside=(*windows, *members))

    def set_apart(self, *spns: str) -> Instructions:
        own = _name_of_an_account(spns[0])
        lines = [
            f"samba-tool user create {own} --random-password",
            f"samba-tool user setexpiry {own} --noexpiry",
        ]
        windows = [
            f"Windows: New-ADUser {own} -KerberosEncryptionType AES128,AES256 "
            "-AccountPassword (Read-Host -AsSecureString) -Enabled $true"
        ]
        for spn in spns:
            account = self._word(spn)
            lines.append(f"samba-tool spn delete {_name(spn)} {account}")
            lines.append(f"samba-tool spn add {_name(spn)} {own}")
            windows.append(f"Windows: setspn -D {plain(spn)} {self._account(spn)}")
            windows.append(f"Windows: setspn -S {plain(spn)} {own}")
        ktpass = self._lines_of_ktpass(dict.fromkeys(spns, own))
        return Instructions(
            " && ".join([*lines, samba.let_use_aes(spns), self._export(spns, True)]),
            _SAMBA,
            (*windows, *ktpass),
        )

    def add_pac(self, *spns: str) -> Instructions:
        replaced = "Set-ADObject $_ -Replace @{userAccountControl = "
        cleared = f"$_.userAccountControl -band -bnot {samba.NO_AUTH_DATA_REQUIRED}"
        windows = [
            f"Windows: Get-ADObject -Filter \"servicePrincipalName -eq '{plain(spn)}'\" "
            "-Properties userAccountControl | "
            f"ForEach-Object {{ {replaced}{cleared}}} }}"
            for spn in spns
        ]
        return Instructions(
            samba.let_have_a_pac(spns),
            _SAMBA,
            tuple(windows),
            "Their account has the flag NO_AUTH_DATA_REQUIRED: take it away.",
        )

    def permit(self, account: str, spn: str) -> Instructions:
        kind = "Computer" if account.endswith("$") else "User"
        attribute = "msDS-AllowedToDelegateTo"
        return Instructions(
            f"samba-tool delegation add-service {_name(account)} {_name(spn)}",
            _SAMBA,
            (
                f"Windows: Set-AD{kind} {plain(account)} "
                f"-Add @{{'{attribute}' = '{plain(spn)}'}}",
            ),
            "Nobody may act for a user who is marked as sensitive, or who is in the group "
            "Protected Users: for them, leave it as it is.",
        )

    def _export(self, spns: Iterable[str], instead: bool) -> str:
        names = [without_realm(spn) for spn in spns]
        lines = []
        places = [
            place
            for place, key in enumerate(self.keytab.keys, 1)
            if without_realm(key.principal) in names
        ]
        if instead and places:
            lines.append(take_out(self.keytab, places))
        path = shlex.quote(self.keytab.path)
        for name in map(shlex.quote, names):
            lines.append(f"samba-tool domain exportkeytab {path} --principal={name}")
        return " && ".join(lines)

    def _ktpass(self, spns: Iterable[str]) -> list[str]:
        accounts = {}
        for spn in spns:
            accounts[without_realm(spn)] = self._account(spn)
            for key in self.keytab.shared_with(spn):
                if "/" in key.principal:
                    accounts[without_realm(key.principal)] = self._account(spn)
        # A computer changes its password itself, and needs to know it.
        of_users = {s: name for s, name in accounts.items() if not name.endswith("$")}
        return self._lines_of_ktpass(of_users)

    def _lines_of_ktpass(self, accounts: Mapping[str, str]) -> list[str]:
        """A line for each SPN of *accounts*, of which each has to be given once."""
        file = plain(PurePath(self.keytab.path).name)
        lines: list[str] = []
        seen: set[str] = set()
        for spn, account in accounts.items():
            line = (
                f"Windows: ktpass /princ {plain(spn)}@{plain(self.realm)} "
                f"/mapuser {account} /crypto AES256-SHA1 /ptype KRB5_NT_PRINCIPAL /pass * "
            )
            if account in seen:
                line += "-setpass -setupn "  # The same password, typed once more.
            if lines:
                line += f"/in {file} "
            lines.append(f"{line}/out {file}")
            seen.add(account)
        return lines

    def _adcli(self, spns: Iterable[str], options: Iterable[str]) -> list[str]:
        """For the account of the computer itself, which may change its own."""
        if not all(self._account(spn).endswith("$") for spn in spns):
            return []
        path = shlex.quote(self.keytab.path)
        return [f"member: adcli update --host-keytab={path} {' '.join(options)}"]

    def _account(self, spn: str) -> str:
        """The account of *spn*, or a word that says what to put there, for people."""
        known = account_of(spn, self.keytab)
        return plain(known) if known else "<account>"

    def _word(self, spn: str) -> str:
        """The same for Samba's shell, which can ask the directory."""
        known = account_of(spn, self.keytab)
        if known:
            return shlex.quote(known)
        service = spn.partition("/")[0]
        for key in self.keytab.keys:
            other = key.principal
            if without_realm(other) == without_realm(spn):
                continue
            if other.startswith(f"{service}/"):
                return samba.account_with(other)
        return shlex.quote("<account>")


def _name(spn: str) -> str:
    """As a word for the shell."""
    return shlex.quote(without_realm(spn))


def plain(name: str) -> str:
    """Without realm, for a line that is no shell's; only where it needs no quotes."""
    name = without_realm(name)
    return name if re.fullmatch(r"[\w./$<>-]+", name) else "<name>"


def _name_of_an_account(spn: str) -> str:
    """One that tells what it is for: ``http-www`` for ``HTTP/www.example.com``."""
    service, _, host = without_realm(spn).partition("/")
    name = f"{service}-{host.partition('.')[0]}".lower()
    return re.sub(r"[^a-z0-9-]", "-", name)[:_LONGEST_NAME]
