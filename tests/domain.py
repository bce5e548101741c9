"""A domain of Active Directory, as Samba has it: a domain controller on loopback."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import sites
from tickets import Tickets

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.realm.programs import Guardian, run_program
from negotiate_wsgi.realm.realm import _free_port

#: The Python that has Samba's modules.
PYTHON = "/usr/bin/python3"
#: Bits of msDS-SupportedEncryptionTypes ([MS-KILE] section 2.2.7).
RC4 = 0x04
AES = 0x18
#: A bit of userAccountControl ([MS-ADTS] section 2.2.16): tickets come without a PAC.
NO_AUTH_DATA_REQUIRED = 0x02000000
#: Another, of an account that nobody may use.
ACCOUNTDISABLE = 0x00000002
#: What `Domain.add_user` and its like give an account that names no other.
PASSWORD = "Passw0rd-of-{}"

_SMB_CONF = """[global]
realm = {name}
workgroup = {netbios}
netbios name = {hostname}
server role = active directory domain controller
server services = {services}
interfaces = {interfaces}
bind interfaces only = yes
ldap server require strong auth = no
tls enabled = no
krb5 port = {kdc_port}
kpasswd port = {kpasswd_port}
log level = 1
log file = {directory}/samba.log
lock directory = {directory}/lock
pid directory = {directory}/run
cache directory = {directory}/cache
state directory = {directory}/state
private directory = {directory}/private
binddns directory = {directory}/bind-dns
ncalrpc dir = {directory}/ncalrpc

[sysvol]
path = {directory}/state/sysvol
read only = no

[netlogon]
path = {directory}/state/sysvol/scripts
read only = no
"""
_KRB5_CONF = """[libdefaults]
default_realm = {name}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
forwardable = true

[realms]
{realms}
"""


class Domain(Tickets):
    """A domain of Active Directory in a temporary directory, as a context manager.

    Accounts are administered in the running domain controller's database, so that it sees a change
    at once. ``environ`` is what a process needs to live in the domain, as its first user.
    Whatever ends this process, be it SIGKILL, ends the domain controller and deletes the
    directory, too.

    With *has_ldap*, its directory answers on port 389 of ``address``, which is its own, for users who
    may open such a port.
    """

    def __init__(
        self, name="AD.CORP.TEST", netbios="ADCORP", hostname="dc1", has_ldap=False
    ):
        self.services = "kdc"
        self.interfaces = "lo"
        self.address = "127.0.0.1"
        if has_ldap:
            self.services = "kdc, ldap"
            self.address = ".".join(["127", *map(str, secrets.token_bytes(2)), "77"])
            self.interfaces = f"{self.address}/8"
        self.name = name
        self.netbios = netbios
        self.hostname = hostname
        self._passwords = {}

    def __enter__(self):
        # Not where TMPDIR says: Samba makes sockets in it, and their names are short.
        self.directory = Path(tempfile.mkdtemp(prefix="domain-", dir="/tmp"))
        self._guardian = Guardian(str(self.directory))
        self._processes = []
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info):
        self._end()

    def _end(self):
        self._guardian.end()
        for process in self._processes:
            process.communicate()

    def _begin(self):
        for name in ("etc", "lock", "run", "cache", "ncalrpc"):
            (self.directory / name).mkdir()
        self.keytab = str(self.directory / "www.keytab")
        self._choose_ports()
        # Samba's databases need not survive a power failure.
        self._environ = {**os.environ, **self._krb5_environ(), "TDB_NO_FSYNC": "1"}
        self._administrator = subprocess.Popen(
            [PYTHON, sites.TESTS / "domain_admin.py", self.directory],
            env=self._environ, text=True, process_group=self._guardian.group,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._processes.append(self._administrator)
        password = PASSWORD.format("Administrator")
        self._ask("provision", self.name, self.netbios, self.hostname, password)
        self._passwords["administrator"] = password
        self._choose_ports()  # again: it took seconds
        self._start()

    def _choose_ports(self):
        self.kdc_port = _free_port()
        facts = {**vars(self), "kpasswd_port": _free_port()}
        (self.directory / "etc" / "smb.conf").write_text(_SMB_CONF.format_map(facts))
        self._write_krb5_conf()

    def _write_krb5_conf(self, *others):
        """The krb5.conf of those who live here, who know the KDCs of *others*, too."""
        realms = "".join(
            f"{domain.name} = {{\n kdc = {domain.address}:{domain.kdc_port}\n}}\n"
            for domain in (self, *others)
        )
        conf = _KRB5_CONF.format(name=self.name, realms=realms)
        (self.directory / "krb5.conf").write_text(conf)

    def trust(self, other):
        """Have this domain and *other* trust each other."""
        password = PASSWORD.format("trust")
        for one, two in ((self, other), (other, self)):
            sid = two._ask("domain_sid")
            one._ask("add_trust", two.netbios, two.name.lower(), sid, password)
            one._write_krb5_conf(two)

    def _start(self):
        samba = shutil.which("samba", path="/usr/sbin:/usr/bin:/sbin:/bin")
        conf = self.directory / "etc" / "smb.conf"
        controller = subprocess.Popen(
            [samba, "-s", conf, "-F", "--no-process-group", "-M", "single"],
            env=self._environ, process_group=self._guardian.group,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(controller)
        try:
            sites.wait_for(self.kdc_port, controller, address=self.address)
        except AssertionError as problem:
            log = self.directory / "samba.log"
            raise RuntimeError(f"samba: {problem}\n{log.read_text()}") from None

    def _ask(self, method, *arguments):
        print(
            json.dumps([method, arguments]), file=self._administrator.stdin, flush=True
        )
        answer = json.loads(self._administrator.stdout.readline() or "{}")
        if "result" not in answer:
            log = (self.directory / "admin.log").read_text(errors="replace")
            raise RuntimeError(f"{method}: {answer.get('error')}\n{log[-4000:]}")
        return answer["result"]

    def _krb5_environ(self):
        return {
            "KRB5_CONFIG": str(self.directory / "krb5.conf"),
            "KRB5RCACHEDIR": str(self.directory),
        }

    @property
    def environ(self):
        """Variables for a process in this domain, with alice's ticket."""
        return self.environ_of("alice")

    def environ_of(self, user):
        return {
            **self._krb5_environ(),
            "KRB5_KTNAME": self.keytab,
            "KRB5CCNAME": self.ccache(user),
        }

    # Accounts

    def add_user(self, name, *, upn=None, password=None, **attributes):
        """A user, whose *attributes* are those of the directory's schema."""
        if upn:
            attributes["userPrincipalName"] = upn
        password = self._remember(name, password)
        self._ask("add_user", name, password, _values(attributes))

    def add_computer(self, name, spns=(), *, enctypes=AES, password=None, **attributes):
        """A computer, such as ``WEB2$``."""
        attributes |= _of_service(spns, enctypes)
        password = self._remember(name, password)
        self._ask("add_computer", name, password, _values(attributes))

    def add_service_account(self, name, spns, *, enctypes=AES, **options):
        """A user with SPNs; with *enctypes* None, the account says nothing of them."""
        self.add_user(name, **options, **_of_service(spns, enctypes))

    def add_group(self, name, scope="global", members=()):
        """A group that is global, universal, domain-local or a distribution list; returns its SID."""
        return self.add_groups([name], scope, members)[0]

    def add_groups(self, names, scope="global", members=()):
        """Groups with the same *members*; returns their SIDs."""
        return self._ask("add_groups", list(names), scope, list(members))

    def add_members(self, group, *members):
        """Accounts and groups, by their names or their SIDs."""
        self._ask("add_members", group, members)

    def remove_members(self, group, *members):
        self._ask("remove_members", group, members)

    def set_password(self, name, password):
        """A new password, and so a new key and kvno."""
        self._ask("set_password", name, self._remember(name, password))

    def set_enctypes(self, name, enctypes):
        """msDS-SupportedEncryptionTypes; None takes it away."""
        values = [] if enctypes is None else [str(enctypes)]
        self.modify(name, **{"msDS-SupportedEncryptionTypes": values})

    def add_flag(self, name, flag):
        """Set a bit of userAccountControl."""
        flags = int(self.attribute(name, "userAccountControl")[0])
        self.modify(name, userAccountControl=str(flags | flag))

    def disable(self, name):
        self.add_flag(name, ACCOUNTDISABLE)

    def end_account(self, name):
        """Have it expired, in the year 1601."""
        self.modify(name, accountExpires="1")

    def expire_password(self, name):
        """Have it to be changed, which is all that Active Directory knows of an old one."""
        self.modify(name, pwdLastSet="0")

    require_change = expire_password

    def lock(self, name):
        """Have a wrong password lock it, and type one."""
        if "locks" not in self.samba_tool("domain", "passwordsettings", "pso", "list"):
            pso = ["domain", "passwordsettings", "pso"]
            options = ["--account-lockout-threshold=1", "--account-lockout-duration=99"]
            self.samba_tool(*pso, "create", "locks", "1", *options)
        self.samba_tool("domain", "passwordsettings", "pso", "apply", "locks", name)
        with contextlib.suppress(ConfigurationError):
            self._kinit(self.ccache(name), name, "not the password")

    def add_spn(self, name, *spns):
        self._ask("add_spns", name, spns)

    def modify(self, name, **attributes):
        """Replace attributes of an account."""
        self._ask("modify", name, _values(attributes))

    def attribute(self, name, attribute):
        """The values of an account's attribute."""
        return self._ask("attributes", name, [attribute])[attribute]

    def delete(self, name):
        self._ask("delete", name)

    def sid_of(self, name):
        return self._ask("sid_of", name)

    def samba_tool(self, *arguments):
        """What samba-tool prints. Raises `RuntimeError` where it fails."""
        code, printed = self._ask("samba_tool", arguments)
        if code:
            raise RuntimeError(f"samba-tool {' '.join(arguments)}: {code}: {printed}")
        return printed

    # Keys and tickets

    def export_keytab(self, keytab, *principals):
        """Append the keys of *principals* to *keytab*, in their order."""
        export = ["domain", "exportkeytab", str(keytab), *self._only_current_keys]
        for principal in principals:
            self.samba_tool(*export, f"--principal={principal}")
        return str(keytab)

    @functools.cached_property
    def _only_current_keys(self):
        """Of a newer Samba (4.22), without which those of earlier passwords come, too."""
        option = "--only-current-keys"
        known = self.samba_tool("domain", "exportkeytab", "--help")
        return [option] if option in known else []

    def _remember(self, name, password):
        password = password or PASSWORD.format(name)
        self._passwords[name.lower()] = password
        return password

    def password(self, account):
        return self._passwords[account.lower()]

    def ccache(self, user):
        """The path of *user*'s credential cache."""
        return str(self.directory / f"{user.replace('/', '_')}.ccache")

    def initiator(self, spn="HTTP/localhost", user="alice", **options):
        if not os.path.exists(self.ccache(user)):
            self.kinit(user)
        return super().initiator(spn, user, **options)

    def kinit(self, principal, *options, account=None, ccache=None):
        """Get a ticket-granting ticket with the password of *account*, which *principal* is unless
        said otherwise; returns the credential cache.
        """
        ccache = ccache or self.ccache(principal)
        password = self.password(account or principal)
        self._kinit(ccache, principal, password, *options)
        return ccache

    def _kinit(self, ccache, principal, password, *options):
        environ = {**os.environ, **self._krb5_environ()}
        command = ["kinit", *options, "-c", ccache, principal]
        run_program(command, environ, password + "\n")

    def kvno(self, spn, user="alice"):
        """Have *user* get a ticket for *spn*, and return what the program kvno says of it."""
        environ = {**os.environ, **self._krb5_environ()}
        return run_program(["kvno", "-c", self.ccache(user), spn], environ, None)


def _of_service(spns, enctypes):
    attributes = {"servicePrincipalName": list(spns)} if spns else {}
    if enctypes is not None:
        attributes["msDS-SupportedEncryptionTypes"] = str(enctypes)
    return attributes


def _values(attributes):
    return {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in attributes.items()
    }
