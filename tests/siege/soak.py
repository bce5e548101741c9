"""Everything at once over HTTP, while what a sign-on needs is taken away and given back.

    tests/siege/soak.py ROUNDS

Four clients send good, bad, replayed, oversized, slow and cut-off requests to two workers of
gunicorn. Meanwhile a worker is killed, the keytab is rotated and taken away, the KDC is stopped and
a clock is moved, over and over. It must hold that

- nobody is ever taken for somebody else, and what is bad is never let in;
- every answer is one of the answer table's, and a 500 only while the keytab is away;
- every good request is answered once the fault is gone;
- memory is flat.

A round has each fault once. How long a part of it takes is counted in requests, not in seconds: the
machine may be a busy one. Prints what was asked and answered, and exits with 1 where something did not hold.
"""

from __future__ import annotations

import collections
import http.client
import itertools
import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import sites
from helpers import wait_until
from initiator import Initiator, token_at

from negotiate_wsgi.realm import Realm
from negotiate_wsgi.wire.authorization import write_token

SPN = "HTTP/localhost"
HANG = 300  # seconds, far more than anything takes
DURING = 40  # requests while a fault lasts
AFTER = 80  # requests after it, which must all be answered well
WARM = 1000  # requests, before memory is looked at
APP = """
from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware

def app(environ, start_response):
    body = environ["REMOTE_USER"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

application = NegotiateMiddleware(app, acceptor=GssapiAcceptor())
"""


class World:
    """The realm, the server, and the fault of the moment."""

    def __init__(self, realm, directory):
        self.realm, self.keytab = realm, Path(realm.keytab)
        (directory / "soaked.py").write_text(APP)
        self.site = sites.HttpSite(
            "gunicorn-gthread", "soaked:application",
            arguments=["--workers", "2", "--pythonpath", str(directory)],
        )  # fmt: skip
        self.skew = ""
        self.fault, self.healed = "", time.monotonic()
        self.counts, self.broken = collections.Counter(), []
        self.asked = itertools.count()
        self.last = 0  # the number of the last request
        self.ends = threading.Event()
        self.locks = {user: threading.Lock() for user in ("alice", "bob")}
        self.spared = 0  # the worker that is never killed, whose memory is looked at

    def token(self, user):
        with self.locks[user]:  # while kinit writes the cache
            ccache, spn = self.realm.ccache(user), f"{SPN}@{self.realm.name}"
            if self.skew:
                return write_token(token_at(self.skew, ccache, spn))
            return Initiator(ccache, spn).authorization

    def is_well(self, since):
        return not self.fault and since > self.healed

    def wait_for_requests(self, count):
        end = self.last + count
        wait_until(lambda: self.last >= end, HANG)

    def workers(self):
        return sites.children(self.site.process.pid)


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def ask(world, authorization, pause=0.0, cut=False):
    """Status and body; 0 where there was no answer."""
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\r\n"
    content = head.encode()
    half = len(content) // 2
    try:
        with socket.create_connection(
            ("127.0.0.1", world.site.port), timeout=HANG
        ) as connection:
            connection.sendall(content[:half])
            time.sleep(pause)
            if cut:
                return 0, ""
            connection.sendall(content[half:])
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""


def good(world, user, pause=0.0):
    """A sign-on that must succeed where all is well, and must never be somebody else's."""
    began = time.monotonic()
    try:
        authorization = world.token(user)
    except Exception as problem:  # without a KDC there may be no ticket
        if world.is_well(began):
            world.broken.append(f"no ticket though all is well: {problem}")
        return
    status, body = ask(world, authorization, pause)
    world.counts[f"good {status}"] += 1
    if status == 200 and body != f"{user}@{world.realm.name}":
        world.broken.append(f"{user} was taken for {body}")
    if status not in (200, 401, 500, 0) or (
        status == 500 and "keytab-unusable" not in body
    ):
        world.broken.append(f"good: {status} {body}")
    if status != 200 and world.is_well(began):
        world.broken.append(f"good, and all is well: {status} {body}")


def bad(world, kind, authorization, allowed, **how):
    status, body = ask(world, authorization, **how)
    world.counts[f"{kind} {status}"] += 1
    if status not in allowed | ({500} if world.fault else set()):
        world.broken.append(f"{kind}: {status} {body}")


def client(world, seed):
    choose = random.Random(seed)
    while not world.ends.is_set():
        world.last = next(world.asked)
        user = choose.choice(("alice", "bob"))
        kind = choose.choice(
            ("good",) * 6 + ("bad", "replayed", "oversized", "slow", "cut off")
        )
        if kind == "good":
            good(world, user)
        elif kind == "slow":
            good(world, user, pause=0.3)
        elif kind == "bad":
            bad(world, kind, f"Negotiate {'YIGq' * choose.randrange(1, 500)}", {401, 0})
        elif kind == "oversized":
            bad(world, kind, f"Negotiate {'A' * 200_000}", {400, 401, 431, 0})
        elif kind == "cut off":
            bad(world, kind, "Negotiate YIGq", {0}, cut=True)
        else:
            replay(world, user)


def replay(world, user):
    try:
        authorization = world.token(user)
    except Exception:  # without a KDC there may be no ticket
        return
    first, _ = ask(world, authorization)
    if first == 200:
        bad(world, "replayed", authorization, {401, 0})


def kill_a_worker(world):
    others = [pid for pid in world.workers() if pid != world.spared]
    os.kill(others[0], signal.SIGKILL)
    yield


def rotate_the_keytab(world):
    """With the old keys kept, as the README says: no ticket is lost."""
    world.realm.kadmin("ktadd", "-k", str(world.keytab), SPN)
    for user, lock in world.locks.items():
        with lock:
            world.realm.kinit(user)
    yield


def take_the_keytab_away(world):
    away = world.keytab.rename(world.keytab.with_suffix(".away"))
    yield
    away.rename(world.keytab)


def stop_the_kdc(world):
    world.realm._k5.stop_kdc()
    yield
    world.realm._k5.start_kdc()


def move_the_clock(world):
    """The clients' from the server's, which comes to the same."""
    world.skew = "+10m"
    yield
    world.skew = ""


FAULTS = (
    kill_a_worker,
    rotate_the_keytab,
    take_the_keytab_away,
    stop_the_kdc,
    move_the_clock,
)


def disturb(world, rounds):
    """One fault after the other, and a while without any after each."""
    for _ in range(rounds):
        for bring_about in FAULTS:
            fault = bring_about(world)
            world.fault = bring_about.__name__
            next(fault)
            world.wait_for_requests(DURING)
            next(fault, None)
            wait_until(lambda: recovers(world), HANG)
            world.fault, world.healed = "", time.monotonic()
            world.wait_for_requests(AFTER)


def recovers(world, in_a_row=20):
    """Whether all of some sign-ons succeed: with a worker just killed, some of them may not."""
    for _ in range(in_a_row):
        try:
            status, _ = ask(world, world.token("alice"))
        except Exception:  # the KDC is not up yet
            return False
        if status != 200:
            return False
    return True


def main(rounds):
    with Realm(users=["alice", "bob"]) as realm:
        os.environ |= realm.environ
        world = World(realm, realm.directory)
        clients = [
            threading.Thread(target=client, args=(world, seed)) for seed in range(4)
        ]
        for thread in clients:
            thread.start()
        try:
            world.wait_for_requests(WARM)
            world.spared = world.workers()[0]
            before = resident(world.spared)
            disturb(world, rounds)
            grown = resident(world.spared) - before
        finally:
            world.ends.set()
            for thread in clients:
                thread.join()
            world.site.close()
    answered = ", ".join(
        f"{kind}: {count}" for kind, count in sorted(world.counts.items())
    )
    print(f"soaked: {answered}; memory {grown / 2**20:+.1f} MiB")
    if grown > 4 * 2**20:
        world.broken.append("memory has grown")
    if not world.counts["good 200"]:
        world.broken.append("nobody was let in")
    for what in world.broken[:20]:
        print(f"did not hold: {what}")
    return 1 if world.broken else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
