"""A server's machine that is set up right, for tests that break it; and somebody who types at it."""

from __future__ import annotations

import functools
import json
import os
import pty
import pwd
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import sites
from initiator import Initiator

from negotiate_wsgi.realm import Realm


def as_a_user():
    """The words before a command that run it where root is a user like any other."""
    if os.geteuid() != 0:
        return []
    need_user_namespaces()
    daemon = pwd.getpwnam(
        "daemon"
    )  # some user that has a name everywhere: Apache wants one
    return [
        "unshare",
        "--user",
        f"--map-user={daemon.pw_uid}",
        f"--map-group={daemon.pw_gid}",
    ]


def need_user_namespaces():
    """Skip the test where there are none: in a chroot, in many containers, on some kernels."""
    if said := _why_no_user_namespaces():
        pytest.skip(f"no user namespaces on this machine: {said}")


@functools.cache
def _why_no_user_namespaces():
    tried = subprocess.run(
        ["unshare", "--map-root-user", "--net", "true"], capture_output=True, text=True
    )
    return tried.stderr.strip()


#: Of nss_wrapper.
WRAPPER = "libnss_wrapper.so"


class AdministeredRealm(Realm):
    """A realm that can be administered over the network, as ``alice/admin``."""

    def __init__(self, **options):
        admin = f"127.0.0.1:{sites.free_port()}"
        ports = dict.fromkeys(("kadmind_port", "kpasswd_port"))
        listen = {
            "kadmind_listen": admin,
            "kpasswd_listen": f"127.0.0.1:{sites.free_port()}",
        }
        super().__init__(
            krb5_conf={"realms": {"$realm": {"admin_server": admin}}},
            kdc_conf={"realms": {"$realm": ports | listen}},
            **options,
        )

    def __enter__(self):
        super().__enter__()
        (self.directory / "acl").write_text(f"*/admin@{self.name} *\n")
        self._k5.start_kadmind()
        self.add_user("alice/admin")
        return self

    def kadmind_s_log(self):
        return (self.directory / "kadmind5.log").read_text()

    def stop_kdc(self):
        self._k5.stop_kdc()

    def start_kdc(self):
        self._k5.start_kdc()


def name_of_host(test):
    """A host's name that tells of which test it is."""
    return re.sub(r"[^a-z0-9]+", "-", test.lower())[-50:].strip("-")


@contextmanager
def administered_realm(**options):
    """An `AdministeredRealm`, and this process lives in it."""
    with AdministeredRealm(**options) as realm, pytest.MonkeyPatch.context() as patch:
        for name, value in realm.environ.items():
            patch.setenv(name, value)
        yield realm


@dataclass
class Machine:
    """The server for ``http://<host>/``, in a directory of its own."""

    realm: AdministeredRealm
    directory: os.PathLike
    host: str
    prefix: list = field(default_factory=list)

    def __post_init__(self):
        self.spn = f"HTTP/{self.host}"
        self.directory.mkdir()
        self.keytab = self.directory / "keytab"
        self.krb5_conf = self.directory / "krb5.conf"
        self.rcache = self.directory / "rcache"
        self.hosts = self.directory / "hosts"
        self.rcache.mkdir()
        shutil.copy(self.realm.directory / "krb5.conf", self.krb5_conf)
        shutil.copy(self.realm.ccache("alice"), self.directory / "ccache")
        self.hosts.write_text(
            f"{'127.0.0.1' if self.host == 'localhost' else '127.0.0.2'} {self.host}\n"
        )
        self.add_keys()
        self.environ = {
            **os.environ,
            "KRB5_CONFIG": str(self.krb5_conf),
            "KRB5_KTNAME": str(self.keytab),
            "KRB5CCNAME": str(self.directory / "ccache"),
            "KRB5RCACHEDIR": str(self.rcache),
            "LD_PRELOAD": WRAPPER,
            "NSS_WRAPPER_HOSTS": str(self.hosts),
            "PATH": f"{sites.BIN}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(sites.TESTS),
        }
        # The KDC is on another machine.
        self.environ.pop("KRB5_KDC_PROFILE", None)

    def add_keys(self):
        if self.host == "localhost":
            shutil.copy(self.realm.keytab, self.keytab)
        else:
            self.realm.add_service(self.spn, self.keytab)

    def run(self, *command, typed=""):
        return subprocess.run(
            [*self.prefix, *map(str, command)], env=self.environ, input=typed,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def doctor(self, *arguments):
        """What the doctor finds that is not well."""
        done = self.run("negotiate-wsgi", "doctor", "--json", *arguments)
        assert done.stdout, done.stderr
        findings = json.loads(done.stdout)
        statuses = [finding["status"] for finding in findings]
        expected = 2 if "problem" in statuses else 1 if "warning" in statuses else 0
        assert done.returncode == expected, done.stderr
        return [finding for finding in findings if finding["status"] != "ok"]

    def ticket(self, spn=None, ccache=None):
        """The header of a client that is set up right."""
        cache = ccache or self.realm.ccache("alice")
        return Initiator(cache, f"{spn or self.spn}@{self.realm.name}").authorization

    def request(self, authorization, **options):
        """What the server's log says of a request."""
        program = [sys.executable, sites.TESTS / "one_request.py", json.dumps(options)]
        done = self.run(*program, typed=authorization or "")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def type(self, command):
        """Types a command as it stands, and the password where it is asked for; returns what it says."""
        status, said = self._typed(command)
        if status and "error while initializing kadmin interface" in said:
            # Nothing has been done yet, and kadmind fails to answer once in many thousand times.
            print(said, self.realm.kadmind_s_log(), sep="\n")
            status, said = self._typed(command)
        assert status == 0, said
        variables = (self.directory / "environ").read_bytes().split(b"\0")
        left_out = {"_", "SHLVL", "PWD", "OLDPWD"}
        self.environ = {
            name: value
            for name, _, value in (v.decode().partition("=") for v in variables if v)
            if name not in left_out
        }
        return said

    def _typed(self, command):
        shell = [
            "bash",
            "-c",
            f"{command}\ncode=$?; env -0 >{self.directory}/environ; exit $code",
        ]
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe((self.prefix + shell)[0], self.prefix + shell, self.environ)
        said, deadline = b"", time.monotonic() + 120
        while time.monotonic() < deadline and select.select([terminal], [], [], 120)[0]:
            try:
                said += os.read(terminal, 4096)
            except OSError:  # the terminal's other side is closed
                break
            if asked := re.search(rb"Password for (\S+?)@[^:\n]*: $", said):
                os.write(
                    terminal, self.realm.password(asked[1].decode()).encode() + b"\n"
                )
                said += b"\n"
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return status, said.decode()

    def ktutil(self, *lines):
        subprocess.run(["ktutil"], input="\n".join([*lines, ""]), text=True, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip


@dataclass
class Member(Machine):
    """The same in a domain of Active Directory, with an account for it, of whatever kind.

    Whoever types at it can type at the domain controller as well.
    """

    account: str = "svc"

    def __post_init__(self):
        super().__post_init__()
        self.environ["SMB_CONF_PATH"] = str(self.realm.directory / "etc" / "smb.conf")
        self.environ["TDB_NO_FSYNC"] = "1"

    def add_keys(self):
        if self.account.endswith("$"):
            self.realm.add_computer(self.account, [self.spn])
        else:
            self.realm.add_service_account(self.account, [self.spn])
        self.export(self.spn)

    def export(self, *principals):
        self.realm.export_keytab(self.keytab, *principals)

    def export_alone(self, *principals):
        self.keytab.unlink()
        self.export(*principals)
