"""Machines of their own on this one: network namespaces, and cables between two of them."""

from __future__ import annotations

import subprocess

import pytest
from machine import need_user_namespaces


class Network:
    """One machine for each of *names*, with its own addresses, ports and loopback.

    They share this one's files, sockets of Unix, and processes. The test is skipped where there are
    no such namespaces, or no cables.
    """

    def __init__(self, *names):
        need_user_namespaces()
        self._machines = {}
        self._cables = {}
        for name in names:
            self._machines[name] = self._open(name)

    def _open(self, name):
        apart = ["unshare", "--map-root-user", "--net"]
        if self._machines:
            # All of them in the user namespace of the first, whose root may join them.
            apart = [*self.on(next(iter(self._machines))), "unshare", "--net"]
        process = subprocess.Popen(
            [*apart, "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "up\n", name
        return process

    def on(self, name):
        """The words before a command that run it on that machine."""
        target = str(self._machines[name].pid)
        enter = ["nsenter", "--user", "--preserve-credentials", "--net"]
        return [*enter, "--target", target]

    def join(self, one, other):
        """Lay a cable; returns the addresses of *one* and *other* at its ends."""
        number = len(self._cables) + 1
        pid = str(self._machines[other].pid)
        ends = {(one, other): f"to-{other}", (other, one): f"to-{one}"}
        here, there = ends.values()
        words = ["link", "add", here, "type", "veth", "peer", "name", there]
        laid = self._ip(one, *words, "netns", pid)
        if laid.returncode != 0:
            said = laid.stderr.strip()
            pytest.skip(f"no cables between namespaces on this machine: {said}")
        self._cables |= ends
        addresses = f"10.77.{number}.1", f"10.77.{number}.2"
        for (name, to), address in zip(ends, addresses, strict=True):
            self._ip(name, "address", "add", f"{address}/30", "dev", f"to-{to}")
            self.plug(name, to)
        return addresses

    def pull(self, name, other):
        """Pull the cable that leads to *other* out of *name*, which sees that it is out. *other*
        does not: what it sends is lost.
        """
        assert self._ip(name, "link", "set", f"to-{other}", "down").returncode == 0

    def plug(self, name, other):
        assert self._ip(name, "link", "set", f"to-{other}", "up").returncode == 0

    def _ip(self, name, *words):
        return subprocess.run(
            [*self.on(name), "ip", *words], capture_output=True, text=True
        )

    def close(self):
        for process in self._machines.values():
            process.kill()
            process.wait()
            process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
