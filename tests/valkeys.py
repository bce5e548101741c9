"""Throwaway servers of Valkey or Redis, which each test may kill, freeze and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    """Returns when it really stands still: what it does before would be done."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


class Server:
    """One on a TCP port of loopback and on a Unix socket, without persistence, started by *prefix*."""

    def __init__(self, *options, port=None, prefix=()):
        self.directory = Path(tempfile.mkdtemp(prefix="store"))
        self.port = free_port() if port is None else port
        self.socket = self.directory / "socket"
        self.options = options
        self.prefix = prefix
        self.start()

    @property
    def url(self):
        return f"valkey://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            [*self.prefix, SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--unixsocket", str(self.socket),
             "--dir", str(self.directory), *self.options],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait_for(lambda: self.command("PING"))

    def wait_for(self, ask):
        while True:
            assert self.process.poll() is None, "the server has ended"
            try:
                return ask()
            except OSError:
                time.sleep(0.02)

    def command(self, *words):
        """What the server answers, as it stands on the wire."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.sendall((" ".join(words) + "\r\n").encode())
            client.settimeout(2)
            return client.recv(65536).decode()

    def calls(self):
        """How often each command was sent."""
        lines = self.command("INFO", "commandstats").splitlines()
        stats = [line.removeprefix("cmdstat_") for line in lines if "cmdstat_" in line]
        return {
            name: int(rest.partition("=")[2].partition(",")[0])
            for name, _, rest in (line.partition(":") for line in stats)
        }

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        stop(self.process)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self):
        """Empty, on the same port."""
        self.kill()
        self.start()

    def close(self):
        self.kill()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Cable:
    """What leads one host to a server, and can be cut: a program that passes on what it hears."""

    def __init__(self, server):
        self.server = server
        self.port = free_port()
        self.mend()

    @property
    def url(self):
        return f"valkey://127.0.0.1:{self.port}/0"

    def mend(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RELAY, str(self.port), str(self.server.port)]
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.02)
            else:
                return

    def silence(self):
        """As a firewall does that drops everything."""
        stop(self.process)

    def cut(self):
        self.process.kill()
        self.process.wait()


_RELAY = """
import socket, sys, threading
def pass_on(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        here = listener.accept()[0]
        there = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        for pair in ((here, there), (there, here)):
            threading.Thread(target=pass_on, args=pair, daemon=True).start()
"""
