"""Two hosts, a store and HAProxy in front, each on a machine of its own."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import sites
from helpers import KEY, wait_until
from network import Network
from valkeys import Server

PORT = 8000
HOSTS = ("one", "two")
USERS = ["alice", "bob", "fleet-1", "fleet-2"]
CONF = sites.TESTS.parent / "samples" / "haproxy.cfg"


@dataclass
class Heard:
    """An answer, and when it was asked for and came, in seconds of the monotonic clock."""

    host: str
    status: int
    reason: str
    user: str
    cookie: str
    began: float
    ended: float


class FleetSite:
    """Both hosts behind a HAProxy with the sample's configuration, which is reached by a Unix socket
    and sends a request to the host that the request's header X-To names, else to any.
    """

    def __init__(self, keytab, workers=2, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="fleet"))
        self.network = Network("front", "store", *HOSTS)
        self.processes = []
        self._workers = len(HOSTS) * workers
        try:
            self._open(keytab, workers, settings)
        except BaseException:
            self.close()
            raise

    def _open(self, keytab, workers, settings):
        to_store = {host: self.network.join(host, "store")[1] for host in HOSTS}
        places = {host: self.network.join("front", host)[1] for host in HOSTS}
        self.store = Server(
            "--bind", "0.0.0.0", "--protected-mode", "no", port=6379,
            prefix=self.network.on("store"),
        )  # fmt: skip
        key = self.directory / "key"
        key.write_text(KEY)
        key.chmod(0o600)
        for host in HOSTS:
            (self.directory / host).mkdir()
            environ = {
                "NEGOTIATE_APP": "table_app:app",
                "NEGOTIATE_SECRET_KEY_FILE": str(key),
                "NEGOTIATE_STORE": f"valkey://{to_store[host]}:6379/0",
                "KRB5_KTNAME": str(keytab),
                "KRB5RCACHEDIR": str(self.directory / host),
                **{f"NEGOTIATE_{name}": value for name, value in settings.items()},
            }
            self._start_host(host, places[host], workers, environ)
        self._start_proxy(places)
        for host in HOSTS:
            wait_until(lambda host=host: self.ask(host).status == 401)

    def _start_host(self, host, address, workers, environ):
        pid = self.directory / f"{host}.pid"
        command = sites.command(
            "gunicorn-gthread", PORT, "negotiate_wsgi.wsgi:application"
        )
        command += ["--bind", f"{address}:{PORT}", "--workers", str(workers)]
        command += ["--pid", str(pid), "--access-logfile", self.access_log(host)]
        command += ["--access-logformat", "%(p)s %(s)s %(U)s %({REMOTE_USER}e)s"]
        with self.log(host).open("w") as log:
            process = subprocess.Popen(
                [*self.network.on(host), *command], cwd=sites.TESTS,
                env={**os.environ, "PYTHONPATH": str(sites.TESTS), **environ},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        wait_until(pid.exists)

    def _start_proxy(self, places):
        text = CONF.read_text()
        socket = self.directory / "front"
        text = re.sub("bind 127.*", f"bind unix@{socket}", text)
        for host, name in zip(HOSTS, ("8011", "8012"), strict=True):
            text = text.replace(f"127.0.0.1:{name}", f"{places[host]}:{PORT}")
            text += f"    use-server {host} if {{ req.hdr(X-To) {host} }}\n"
        text += "    http-response set-header X-Host %s\n"
        conf = self.directory / "haproxy.cfg"
        conf.write_text(text)
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
        command = [*self.network.on("front"), haproxy, "-f", conf]
        self.processes.append(
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        wait_until(socket.exists)

    def ask(self, host=None, authorization=None, cookie=None):
        fields = {"X-To": host, "Authorization": authorization, "Cookie": cookie}
        began = time.monotonic()
        connection = _Connection(self.directory / "front")
        path = "/ticket" if cookie is None else "/session"
        connection.request(
            "GET", path, headers={k: v for k, v in fields.items() if v is not None}
        )
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        ended = time.monotonic()
        by = response.headers["X-Host"]
        assert host in (None, by), (host, by)
        reason = re.search(r"\(([a-z-]+)\)$", body)
        user = re.search(r"^user=(.*)", body)
        cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]
        if response.status == 503:
            assert response.headers["Retry-After"] == "5", body
        return Heard(
            by, response.status, reason[1] if reason else "", user[1] if user else "",
            cookie, began, ended,
        )  # fmt: skip

    def log(self, host):
        return self.directory / f"{host}.log"

    def access_log(self, host):
        return self.directory / f"{host}.access"

    def workers(self, path, user):
        """The processes of both hosts that have answered *user* at *path* with 200."""
        lines = [
            line.split()
            for host in HOSTS
            for line in self.access_log(host).read_text().splitlines()
        ]
        return {pid for pid, *seen in lines if seen == ["200", path, user]}

    def show_to_all_workers(self, cookie, user):
        """Until then a worker has not asked the store what sessions are revoked."""
        with ThreadPoolExecutor(8) as pool:

            def show():
                for host in HOSTS:
                    calls = [
                        pool.submit(self.ask, host, None, cookie) for _ in range(8)
                    ]
                    assert {call.result().status for call in calls} == {200}
                return len(self.workers("/session", user)) == self._workers

            wait_until(show)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(60)
        if hasattr(self, "store"):
            self.store.close()
        self.network.close()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class _Connection(http.client.HTTPConnection):
    """Over the Unix socket at *path*."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
