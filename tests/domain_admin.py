"""Administers a domain of Samba's: one request a line, as JSON, and one answer a line.

Run by the distribution's own Python, which has Samba's modules. Each of Samba's programs takes a
second to begin; this one does so once.
"""

import contextlib
import json
import logging
import os
import sys
import time

import ldb
from samba import dsdb, ndr, unix2nttime
from samba.auth import system_session
from samba.dcerpc import drsblobs, lsa, security
from samba.netcmd.main import cmd_sambatool
from samba.param import LoadParm
from samba.provision import provision
from samba.samdb import SamDB

SCOPES = {
    "global": dsdb.GTYPE_SECURITY_GLOBAL_GROUP,
    "universal": dsdb.GTYPE_SECURITY_UNIVERSAL_GROUP,
    "domain-local": dsdb.GTYPE_SECURITY_DOMAIN_LOCAL_GROUP,
    "distribution": dsdb.GTYPE_DISTRIBUTION_GLOBAL_GROUP,
}


AES = 0x18  # [MS-KILE] section 2.2.7


def trust_secret(password):
    """What both sides of a trust know ([MS-ADTS] section 6.1.6.9.1)."""
    clear = drsblobs.AuthInfoClear()
    content = list(password.encode("utf-16-le"))
    clear.size = len(content)
    clear.password = content
    current = drsblobs.AuthenticationInformation()
    current.LastUpdateTime = unix2nttime(int(time.time()))
    current.AuthType = lsa.TRUST_AUTH_TYPE_CLEAR
    current.AuthInfo = clear
    several = drsblobs.AuthenticationInformationArray()
    several.count = 1
    several.array = [current]
    secret = drsblobs.trustAuthInOutBlob()
    secret.count = 1
    secret.current = several
    return secret


class Administrator:
    """The domain in *directory*; *log* is the file that Samba's modules print to."""

    def __init__(self, directory, log):
        self._directory = directory
        self._conf = f"{directory}/etc/smb.conf"
        self._log = log
        self._samdb = None

    def provision(self, name, netbios, hostname, password):
        logger = logging.getLogger("provision")
        provision(
            logger, system_session(), targetdir=self._directory, realm=name, domain=netbios,
            hostname=hostname, hostip="127.0.0.1", adminpass=password, dns_backend="NONE",
            serverrole="active directory domain controller",
            dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
        )  # fmt: skip

    @property
    def samdb(self):
        if self._samdb is None:
            lp = LoadParm()
            lp.load(self._conf)
            self._samdb = SamDB(lp.samdb_url(), session_info=system_session(lp), lp=lp)
        return self._samdb

    def add_user(self, name, password, attributes):
        with self._transaction():
            self.samdb.newuser(name, password)
            self.modify(name, attributes)

    def add_computer(self, name, password, attributes):
        with self._transaction():
            self.samdb.newcomputer(name)
            self.set_password(name, password)
            flags = dsdb.UF_WORKSTATION_TRUST_ACCOUNT
            self.modify(name, {"userAccountControl": [str(flags)], **attributes})

    def add_groups(self, names, scope, members):
        with self._transaction():
            for name in names:
                self.samdb.newgroup(name, grouptype=SCOPES[scope])
                self.add_members(name, members)
            return [self.sid_of(name) for name in names]

    def add_members(self, group, members):
        if members:
            values = [self._member(member) for member in members]
            self._change(group, {"member": values}, ldb.FLAG_MOD_ADD)

    def remove_members(self, group, members):
        values = [self._member(member) for member in members]
        self._change(group, {"member": values}, ldb.FLAG_MOD_DELETE)

    def set_password(self, name, password):
        self.samdb.setpassword(f"(sAMAccountName={ldb.binary_encode(name)})", password)

    def modify(self, name, attributes):
        """Replace *attributes* of the account *name*; an empty list deletes one."""
        self._change(name, attributes, ldb.FLAG_MOD_REPLACE)

    def add_spns(self, name, spns):
        self._change(name, {"servicePrincipalName": spns}, ldb.FLAG_MOD_ADD)

    def delete(self, name):
        self.samdb.delete(self._dn(name))

    def add_trust(self, netbios, name, sid, password):
        """Trust the domain *name* in both directions, with a password that both know."""
        secret = ndr.ndr_pack(trust_secret(password))
        trust = {
            "dn": f"CN={name},CN=System,{self.samdb.domain_dn()}",
            "objectClass": "trustedDomain",
            "trustType": str(lsa.LSA_TRUST_TYPE_UPLEVEL),
            "trustAttributes": str(lsa.LSA_TRUST_ATTRIBUTE_FOREST_TRANSITIVE),
            "trustDirection": str(
                lsa.LSA_TRUST_DIRECTION_INBOUND | lsa.LSA_TRUST_DIRECTION_OUTBOUND
            ),
            "flatName": netbios,
            "trustPartner": name,
            "trustAuthIncoming": secret,
            "trustAuthOutgoing": secret,
            "securityIdentifier": ndr.ndr_pack(security.dom_sid(sid)),
            "msDS-SupportedEncryptionTypes": str(AES),
        }
        self.samdb.add(trust)

    def domain_sid(self):
        return str(self.samdb.get_domain_sid())

    def sid_of(self, name):
        found = self._find(name, ["objectSid"])
        return str(ndr.ndr_unpack(security.dom_sid, found["objectSid"][0]))

    def attributes(self, name, names):
        found = self._find(name, names)
        return {key: [str(value) for value in found.get(key, [])] for key in names}

    def samba_tool(self, arguments):
        """What samba-tool prints for *arguments*, and its exit code."""
        start = os.path.getsize(self._log)
        command = cmd_sambatool()
        try:
            words = [*arguments, "-s", self._conf]
            if hasattr(command, "_resolve"):  # since Samba 4.18
                command, words = command._resolve(
                    "samba-tool", *words, outf=sys.stdout, errf=sys.stderr
                )
                code = command._run(*words)
            else:
                code = command._run("samba-tool", *words)
        except SystemExit as problem:
            code = problem.code
        except Exception as problem:
            command.show_command_error(problem)
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        with open(self._log, encoding="utf-8", errors="replace") as log:
            log.seek(start)
            return [code or 0, log.read()]

    def _find(self, name, attributes):
        found = self.samdb.search(
            expression=f"(sAMAccountName={ldb.binary_encode(name)})", attrs=attributes
        )
        if len(found) != 1:
            raise LookupError(f"{name} is the name of {len(found)} accounts")
        return found[0]

    def _member(self, name):
        if name.startswith("S-1-"):  # of a trusted domain, too
            return f"<SID={name}>"
        return str(self._dn(name))

    def _dn(self, name):
        return self._find(name, ["dn"]).dn

    def _change(self, name, attributes, flag):
        message = ldb.Message(self._dn(name))
        for attribute, values in attributes.items():
            message[attribute] = ldb.MessageElement(values, flag, attribute)
        if attributes:
            self.samdb.modify(message)

    @contextlib.contextmanager
    def _transaction(self):
        self.samdb.transaction_start()
        try:
            yield
        except BaseException:
            self.samdb.transaction_cancel()
            raise
        self.samdb.transaction_commit()


def main(directory):
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = f"{directory}/admin.log"
    for stream in (1, 2):  # Samba's modules print what they do
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
    administrator = Administrator(directory, log)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        try:
            answer = {"result": getattr(administrator, method)(*arguments)}
        except Exception as problem:
            logging.exception(method)
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
