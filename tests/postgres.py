"""A throwaway PostgreSQL that lets users of a realm in by Kerberos, each as whom the KDC says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import sites

NOBODY = 65534
_HBA = "local all postgres trust\nhost all all 127.0.0.1/32 gss include_realm=0\n"


def programs():
    """The directory of PostgreSQL's programs, of the newest version that is there."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name)
    )
    return found[-1]


class Postgres:
    """A cluster in a temporary directory, as a context manager; it runs as nobody, or as us.

    :param keytab: with the key for ``postgres/localhost``; it is copied.
    :param users: who may come in.
    """

    def __init__(self, keytab, users=("alice", "bob", "carol")):
        self._from = keytab
        self._users = users

    def __enter__(self):
        # Not where TMPDIR says: it makes a socket in it, and its name is short.
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info):
        self._end()

    def _begin(self):
        self._process = None
        data = self.directory / "data"
        data.mkdir()
        for name, file in (
            ("keytab", self._from),
            ("krb5.conf", os.environ["KRB5_CONFIG"]),
        ):
            shutil.copy(file, self.directory / name)
        self._options = {"cwd": self.directory, "text": True}
        if os.geteuid() == 0:  # which it refuses to run as
            for path in (self.directory, data, *self.directory.iterdir()):
                os.chown(path, NOBODY, NOBODY)
            as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            self._options |= as_nobody
        self._options["env"] = {
            "PATH": os.environ["PATH"],
            "KRB5_CONFIG": str(self.directory / "krb5.conf"),
            "KRB5RCACHEDIR": str(self.directory),
            "LC_ALL": "C.UTF-8",
        }
        initdb = ["-D", data, "-U", "postgres", "--auth", "trust", "--no-sync"]
        self._run("initdb", *initdb)
        (data / "pg_hba.conf").write_text(_HBA)
        self._start(data)
        for user in self._users:
            self._run(
                "psql", "-h", self.directory, "-p", str(self.port), "-U", "postgres",
                "-c", f"CREATE ROLE {user} LOGIN",
            )  # fmt: skip

    def _start(self, data):
        self.port = sites.free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "krb_server_keyfile": self.directory / "keytab",
            "fsync": "off",
        }
        words = [f"--{name}={value}" for name, value in settings.items()]
        command = [programs() / "postgres", "-D", data, "-p", str(self.port), *words]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._options,
        )
        sites.wait_for(self.port, self._process)

    def _run(self, program, *arguments):
        command = [programs() / program, *arguments]
        done = subprocess.run(command, capture_output=True, **self._options)
        assert done.returncode == 0, done.stdout + done.stderr

    def _end(self):
        if self._process:
            # PostgreSQL's fast shutdown: SIGTERM would wait for clients that are left.
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.directory)
