"""Can I try it now? A throwaway Kerberos realm: a real KDC on loopback, gone when you
leave it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.realm.programs import Guardian, run_program, start_daemon

try:
    from k5test.realm import MITRealm
except ImportError as exc:
    raise ConfigurationError(
        "k5test is missing: pip install 'negotiate-wsgi[realm]'"
    ) from exc

_PACKAGES = "apt-get install krb5-kdc krb5-admin-server krb5-user"
_PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")


class Realm:
    """A Kerberos realm in a temporary directory, as a context manager.

    .. code-block:: python

        with Realm(users=["alice"], hosts=["localhost"]) as realm:
            subprocess.run(["curl", "--negotiate", "-u", ":", url], env=os.environ |
            realm.environ)

    :param name: the realm's name.
    :param users: principals that get a ticket-granting ticket each.
    :param hosts: each gets a key for ``HTTP/<host>`` in the keytab.
    :param krb5_conf: merged into the krb5.conf that is written, section by section.
    :param kdc_conf: merged into the kdc.conf that is written.
    :raises ConfigurationError: the KDC's programs are not installed, or one of them
        failed; the message has what it printed.

    ``environ`` is what a process needs to live in the realm, as the first user:
    ``KRB5_CONFIG``, ``KRB5_KTNAME``, ``KRB5CCNAME`` and ``KRB5RCACHEDIR``, and
    ``KRB5_KDC_PROFILE``, with which ``kadmin.local`` administers it. ``keytab`` is the
    path of the keytab, ``directory`` holds all files, ``kdc_port`` is the KDC's port on
    127.0.0.1 (TCP and UDP). Whatever ends this process, be it SIGKILL, ends the KDC and
    deletes the directory, too.
    """

    def __init__(
        self,
        name: str = "EXAMPLE.TEST",
        users: Iterable[str] = ("alice", "bob"),
        hosts: Iterable[str] = ("localhost",),
        *,
        krb5_conf: Mapping[str, Any] | None = None,
        kdc_conf: Mapping[str, Any] | None = None,
    ) -> None:
        _need_programs()
        self.name = name
        self._users = list(users)
        self._hosts = list(hosts)
        self._confs = krb5_conf, kdc_conf

    def __enter__(self) -> Self:
        self.kdc_port = _free_port()
        self._k5 = _K5Realm(self.name, self.kdc_port, *self._confs)
        self.directory = Path(self._k5.tmpdir)
        self.keytab = str(self._k5.keytab)
        try:
            self._k5.create_kdb()
            self._k5.start_kdc()
            for host in self._hosts:
                self.add_service(f"HTTP/{host}")
            for user in self._users:
                self.add_user(user)
        except BaseException:
            self._k5.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._k5.stop()

    @property
    def environ(self) -> dict[str, str]:
        """Variables for a process in this realm, with the first user's ticket."""
        return self.environ_of(self._users[0] if self._users else "nobody")

    def environ_of(self, user: str) -> dict[str, str]:
        """The same with *user*'s ticket."""
        return {
            "KRB5_CONFIG": self._k5.env["KRB5_CONFIG"],
            "KRB5_KTNAME": self.keytab,
            "KRB5CCNAME": self.ccache(user),
            "KRB5RCACHEDIR": str(self.directory),
            "KRB5_KDC_PROFILE": self._k5.env["KRB5_KDC_PROFILE"],
        }

    def ccache(self, user: str) -> str:
        """The path of *user*'s credential cache."""
        return str(self.directory / f"{user.replace('/', '_')}.ccache")

    def password(self, user: str) -> str:
        """What kinit asks *user* for."""
        return str(self._k5.password(user))

    def add_user(self, user: str) -> None:
        """Add a principal and put its ticket-granting ticket into ``ccache(user)``."""
        self.kadmin("addprinc", user, typed=f"{self.password(user)}\n" * 2)
        self.kinit(user)

    def has_user(self, user: str) -> bool:
        """Whether *user* has a credential cache."""
        return os.path.exists(self.ccache(user))

    def kinit(self, user: str, *flags: str) -> None:
        """Get *user* a new ticket-granting ticket, with kinit's own *flags*."""
        self._k5.kinit(user, self.password(user), [*flags, "-c", self.ccache(user)])

    def add_service(
        self, spn: str, keytab: str | os.PathLike[str] | None = None
    ) -> None:
        """Add an SPN such as ``HTTP/www.example.test``, and its key to *keytab* or the
        realm's.
        """
        self.kadmin("addprinc", "-randkey", spn)
        self.kadmin("ktadd", "-k", os.fspath(keytab or self.keytab), "-norandkey", spn)

    def kadmin(self, *arguments: str, typed: str | None = None) -> str:
        """Run one command of kadmin.local, with *typed* as its input; returns what it
        prints.
        """
        # With -p, it need not look up our uid, which may have no name. The command is
        # given as arguments of its own: inside -q, names with spaces cannot be quoted.
        command = [self._k5.kadmin_local, "-p", f"root/admin@{self.name}", *arguments]
        return self._k5.run(command, input=typed)

    def adopt(self, group: int) -> None:
        """End process group *group* with the realm, should this process be killed."""
        self._k5.guardian.watch(group)


class _K5Realm(MITRealm):  # type: ignore[misc]
    """k5test's realm without its default principals, on loopback alone, and without
    DNS.
    """

    def __init__(
        self,
        name: str,
        port: int,
        krb5_conf: Mapping[str, Any] | None,
        kdc_conf: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(
            realm=name, portbase=port, create_kdb=False, create_host=False, create_user=False,
            get_creds=False, krb5_conf=krb5_conf, kdc_conf=kdc_conf,
        )  # fmt: skip
        self.guardian = Guardian(self.tmpdir)

    @property
    def hostname(self) -> str:
        return "localhost"  # k5test asks DNS, which takes its time where there is none

    def run(
        self,
        args: Sequence[str],
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        expected_code: int = 0,
    ) -> str:
        return run_program(args, env or self.env, input)

    def _start_daemon(
        self,
        args: Sequence[str],
        env: Mapping[str, str] | None = None,
        sentinel: str = "",
    ) -> Any:
        group = self.guardian.group
        daemon = start_daemon(args, env or self.env, sentinel, group, Path(self.tmpdir))
        self._daemons.append(daemon)
        return daemon

    def stop(self) -> None:
        for daemon in list(self._daemons):
            self._stop_daemon(daemon)
        self.guardian.end()

    @property
    def _krb5_conf(self) -> dict[str, Any]:
        off = dict.fromkeys(
            ("dns_lookup_kdc", "dns_lookup_realm", "dns_canonicalize_hostname", "rdns"),
            "false",
        )
        return {
            "libdefaults": {"default_realm": "$realm", **off},
            "realms": {"$realm": {"kdc": "127.0.0.1:$port0"}},
        }

    @property
    def _kdc_conf(self) -> dict[str, Any]:
        conf: dict[str, Any] = super()._kdc_conf
        realm = conf["realms"]["$realm"]
        del realm["kdc_ports"], realm["kdc_tcp_ports"]
        realm["kdc_listen"] = realm["kdc_tcp_listen"] = "127.0.0.1:$port0"
        return conf


def _need_programs() -> None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    if missing := [
        program for program in _PROGRAMS if not shutil.which(program, path=path)
    ]:
        raise ConfigurationError(f"no {missing[0]} on this machine: {_PACKAGES}")


def _free_port() -> int:
    """A port that is free for both TCP and UDP on loopback."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.bind(("127.0.0.1", 0))
            udp.bind(tcp.getsockname())
            return int(tcp.getsockname()[1])
