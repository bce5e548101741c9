"""Two hosts with replay caches of their own, and one store: real servers, a real KDC.

``SIGN_ONS`` is how many tokens are sent to both; the hosts are two gunicorns of several workers,
whose replay caches lie in directories of their own.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet_site import USERS
from helpers import set_cookies, wait_until
from sites import HttpSite
from valkeys import Cable, Server

from negotiate_wsgi import ValkeyStore, revoke

SIGN_ONS = int(os.environ.get("SIGN_ONS", "200"))
KEY = "an example key of 32 bytes, or more"


@pytest.fixture
def open_hosts(users, tmp_path):
    opened = []
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)

    def open_hosts(workers=2, stores=(None, None), **settings):
        for store in stores:
            own = {"NEGOTIATE_STORE": store} if store else {}
            cache = tmp_path / f"host-{len(opened)}"
            cache.mkdir()
            opened.append(
                HttpSite(
                    "gunicorn-gthread",
                    "negotiate_wsgi.wsgi:application",
                    arguments=["--workers", str(workers)],
                    NEGOTIATE_APP="table_app:app",
                    NEGOTIATE_SECRET_KEY_FILE=str(key),
                    KRB5_KTNAME=str(users.keytab),
                    KRB5RCACHEDIR=str(cache),
                    **own,
                    **{f"NEGOTIATE_{name}": value for name, value in settings.items()},
                )
            )
        return opened[-2:]

    yield open_hosts
    for site in opened:
        site.close()


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Sent:
    """What became of tokens, each of which was sent to both hosts at a time."""

    def __init__(self, users, hosts, pool, count):
        self.statuses = []
        self.seconds = []
        self.wrong = []
        calls = []
        for number in range(count):
            user = USERS[number % len(USERS)]
            authorization = users.authorization(user=user)
            pair = [pool.submit(self.send, host, authorization) for host in hosts]
            calls.append((user, pair))
            if number % 50 == 49:
                self.take(calls)
        self.take(calls)

    @staticmethod
    def send(host, authorization):
        began = time.monotonic()
        answer = host.request("/", authorization)
        return answer, time.monotonic() - began

    def take(self, calls):
        for user, pair in calls:
            answers = [call.result() for call in pair]
            self.statuses.append(sorted(answer.status for answer, _ in answers))
            self.seconds += [seconds for _, seconds in answers]
            for answer, _ in answers:
                if answer.status == 200 and f"user={user}@" not in answer.text:
                    self.wrong.append((user, answer.text))
        calls.clear()

    def all_are(self, *statuses):
        assert self.wrong == []
        others = [found for found in self.statuses if found != list(statuses)]
        print(f"of {len(self.statuses)} others than {statuses}: {others}")
        return not others


def test_without_a_store_each_host_takes_it_once(users, open_hosts, pool):
    assert Sent(users, open_hosts(), pool, 8).all_are(200, 200)


def test_each_token_counts_once_whatever_happens_to_the_store(
    users, open_hosts, pool, server
):
    hosts = open_hosts(STORE=server.url)
    before = server.calls()
    assert Sent(users, hosts, pool, SIGN_ONS).all_are(200, 401)
    after = server.calls()
    assert after["set"] - before.get("set", 0) == 2 * SIGN_ONS
    assert set(after) - set(before) - {"info"} == {"set"}

    server.kill()
    assert Sent(users, hosts, pool, 20).all_are(503, 503)
    server.start()
    wait_for_all(users, hosts, pool)
    assert Sent(users, hosts, pool, 20).all_are(200, 401)

    server.freeze()
    frozen = Sent(users, hosts, pool, 40)
    server.thaw()
    assert frozen.all_are(503, 503)
    # One request of each process waits at a time, for a second at most. (What is
    # documented, and a second for a busy machine.)
    assert max(frozen.seconds) < 2
    wait_for_all(users, hosts, pool)
    assert Sent(users, hosts, pool, 20).all_are(200, 401)

    server.restart()
    wait_for_all(users, hosts, pool)
    assert Sent(users, hosts, pool, 20).all_are(200, 401)


def wait_for_all(users, hosts, pool):
    """A worker that has seen a failure tries again after a second, by one request, and has
    refused the others meanwhile: what comes of those is not looked at.
    """
    wait_until(lambda: is_back(users, hosts))
    time.sleep(1)
    Sent(users, hosts, pool, 40)


def is_back(users, hosts):
    """Whether all workers that answer have signed on again."""
    return all(
        host.request("/", users.authorization()).status == 200
        for host in hosts
        for _ in range(8)
    )


@pytest.mark.parametrize("way", ["cut", "silence"])
@pytest.mark.parametrize("when_down", ["refuse", "local"])
def test_one_host_is_cut_off(users, open_hosts, pool, server, when_down, way):
    cable = Cable(server)
    stores = (cable.url, server.url)
    hosts = open_hosts(stores=stores, STORE_WHEN_DOWN=when_down)
    try:
        assert Sent(users, hosts, pool, 8).all_are(200, 401)
        getattr(cable, way)()
        meanwhile = Sent(users, hosts, pool, 20)
        assert meanwhile.all_are(
            *{"refuse": (200, 503), "local": (200, 200)}[when_down]
        )
        assert max(meanwhile.seconds) < 2
        cable.cut()
        cable.mend()
        wait_until(lambda: Sent(users, hosts, pool, 8).all_are(200, 401))
    finally:
        cable.cut()


def test_local_goes_on_with_the_hosts_own_caches(users, open_hosts, pool, server):
    hosts = open_hosts(STORE=server.url, STORE_WHEN_DOWN="local")
    assert Sent(users, hosts, pool, 8).all_are(200, 401)
    server.kill()
    assert Sent(users, hosts, pool, 8).all_are(200, 200)
    authorization = users.authorization()
    statuses = [hosts[0].request("/", authorization).status for _ in range(8)]
    assert sorted(statuses) == [200] + [401] * 7
    server.start()


def test_revoked_sessions_end_on_all_workers_and_stay_ended(users, open_hosts, server):
    hosts = open_hosts(workers=4, STORE=server.url, STORE_REFRESH="1")
    cookies = {}
    for user in ("alice", "bob"):
        answer = hosts[0].request("/", users.authorization(user=user))
        [line] = set_cookies(answer)
        cookies[user] = [("Cookie", line.partition(";")[0])]

    def statuses(user, count=40):
        return {
            host.request("/", headers=cookies[user]).status
            for host in hosts
            for _ in range(count)
        }

    assert statuses("alice") == statuses("bob") == {200}
    store = ValkeyStore(server.url)
    revoke(store, users.principal("alice"))
    time.sleep(2)  # refresh + 1
    assert statuses("alice") == {401}
    assert statuses("bob") == {200}
    assert hosts[1].request("/", users.authorization(user="alice")).status == 200
    server.restart()
    time.sleep(2)
    assert statuses("alice") == {401}
    assert statuses("bob") == {200}
    wait_until(lambda: store.revocations(-1).principals)
    assert list(store.revocations(-1).principals) == [users.principal("alice")]
    before = server.calls()
    assert statuses("bob", 200) == {200}
    after = server.calls()
    asked = {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}
    assert set(asked) <= {"get", "info"}
