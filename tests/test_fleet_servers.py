"""A store where no thread of ours runs by itself, and one that fails over: real servers, a real KDC."""

import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers import negotiate, set_cookies, wait_until
from sites import TESTS, HttpSite, WsgiSite, children
from table_app import app
from valkeys import SERVER, Server, free_port, stop

from negotiate_wsgi import (
    GssapiAcceptor,
    NegotiateMiddleware,
    SessionCookie,
    StoreError,
    ValkeyStore,
    revoke,
)

KEY = "an example key of 32 bytes, or more"
#: Where tests/set-up has put what is for single tests alone.
APPS = Path(sys.prefix) / "apps"


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture
def open_site(realm, server, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    with ExitStack() as opened:

        def open_site(kind, *arguments, refresh=1):
            site = HttpSite(
                kind,
                "negotiate_wsgi.wsgi:application",
                arguments=arguments,
                PYTHONPATH=f"{TESTS}:{APPS}",
                NEGOTIATE_APP="table_app:app",
                NEGOTIATE_SECRET_KEY_FILE=str(key),
                # Not by TCP: gevent resolves names in threads of its own.
                NEGOTIATE_STORE=f"unix://{server.socket}",
                NEGOTIATE_STORE_REFRESH=str(refresh),
                KRB5_KTNAME=str(realm.keytab),
            )
            opened.callback(site.close)
            return site

        yield open_site


def sign_on(site, realm, user="alice"):
    """The cookie of a new session, as a header."""
    [line] = set_cookies(site.request("/", realm.authorization(user=user)))
    return [("Cookie", line.partition(";")[0])]


def threads_of(site):
    """Of all its processes, as the kernel counts them."""
    return sum(
        len(list(Path(f"/proc/{pid}/task").iterdir()))
        for pid in children(site.process.pid)
    )


# gevent


@pytest.fixture(params=[[], ["--preload"]], ids=["", "preload"])
def gevent(open_site, request):
    if not (APPS / "gevent").exists():
        pytest.skip("gevent is not installed: see tests/set-up")
    return open_site("gunicorn-gevent", *request.param)


def test_gevent_revokes_by_a_greenlet(gevent, realm, server):
    before = threads_of(gevent)
    alice, bob = sign_on(gevent, realm), sign_on(gevent, realm, "bob")
    for cookie in (alice, bob):
        assert gevent.request("/", headers=cookie).status == 200
    assert threads_of(gevent) == before
    revoke(ValkeyStore(server.url), realm.principal("alice"))
    asked = server.calls()["get"]
    wait_until(lambda: server.calls()["get"] > asked + 1)  # by nobody's request
    assert gevent.request("/", headers=alice).status == 401
    assert gevent.request("/", headers=bob).status == 200
    token = realm.authorization()
    assert [gevent.request("/", token).status for _ in range(2)] == [200, 401]


def test_gevent_goes_on_while_one_waits_for_the_store(gevent, realm, server):
    cookie = sign_on(gevent, realm)
    assert gevent.request("/", headers=cookie).status == 200
    authorization = realm.authorization()
    server.freeze()
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gevent.request, "/", authorization)
            answered = 0
            while not waiting.done():
                assert gevent.request("/", headers=cookie).status == 200
                answered += 1
        assert waiting.result().status == 503
        # While one waits for half a second: with none to go on, at most the first.
        assert answered > 2
    finally:
        server.thaw()
    wait_until(lambda: gevent.request("/", realm.authorization()).status == 200)


# uWSGI


@pytest.mark.parametrize("kind", ["uwsgi", "uwsgi-without-threads"])
def test_uwsgi_revokes(open_site, realm, server, kind):
    site = open_site(kind)
    bob = sign_on(site, realm, "bob")
    store = ValkeyStore(server.url)
    for wait in (0, 5.1):  # a session that begins sooner is over at once
        time.sleep(wait)
        alice = sign_on(site, realm)
        assert site.request("/", headers=alice).status == 200
        revoke(store, realm.principal("alice"))
        time.sleep(3.2)  # 3 x refresh, after which a request looks itself
        assert site.request("/", headers=alice).status == 401
        assert site.request("/", headers=bob).status == 200


def test_uwsgi_runs_no_thread_without_enable_threads(open_site, realm, server):
    """Or the one above would show nothing."""
    asked = {}
    for kind in ("uwsgi", "uwsgi-without-threads"):
        site = open_site(kind)
        assert site.request("/", headers=sign_on(site, realm)).status == 200
        before = server.calls()["get"]
        time.sleep(5)
        asked[kind] = server.calls()["get"] - before
        site.close()
    assert asked["uwsgi"] >= 3
    if version_of_uwsgi() > RUNS_NONE and asked["uwsgi-without-threads"] > 1:
        pytest.skip(f"uWSGI {version_of_uwsgi()} runs threads without being asked to")
    assert asked["uwsgi-without-threads"] <= 1


#: A version of uWSGI that runs no thread unless it is asked to. 2.0.28 does.
RUNS_NONE = (2, 0, 21)


def version_of_uwsgi():
    said = subprocess.run(["uwsgi", "--version"], capture_output=True, text=True)
    return tuple(map(int, re.findall(r"\d+", said.stdout)[:3]))


# Sentinels


class Sentinel:
    """One that decides alone, within seconds."""

    def __init__(self, directory, master):
        self.port = free_port()
        conf = directory / "sentinel.conf"
        conf.write_text(
            f"sentinel monitor site 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds site 500\n"
            "sentinel failover-timeout site 5000\n"
        )
        self.process = subprocess.Popen(
            [SERVER, conf, "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def url(self):
        return f"valkey+sentinel://127.0.0.1:{self.port}/site/0"

    def freeze(self):
        stop(self.process)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.process.kill()
        self.process.wait()


def site_with(store):
    return WsgiSite(
        NegotiateMiddleware(
            app, acceptor=GssapiAcceptor(), session=SessionCookie(KEY), store=store
        )
    )


def test_a_failover(realm, server, tmp_path, monkeypatch):
    monkeypatch.setenv("KRB5RCACHENAME", "none:")
    with ExitStack() as stack:
        replica = stack.enter_context(
            Server("--replicaof", "127.0.0.1", str(server.port))
        )
        wait_until(lambda: "master_link_status:up" in replica.command("INFO"))
        sentinel = Sentinel(tmp_path, server)
        stack.callback(sentinel.close)
        sentinel_store = ValkeyStore(sentinel.url, refresh=0.2)
        site = site_with(sentinel_store)
        wait_until(
            lambda: site.request("/", negotiate(realm.token())).status == 200,
        )
        token = realm.token()
        [line] = set_cookies(site.request("/", negotiate(token)))
        alice = [("Cookie", line.partition(";")[0])]
        [line] = set_cookies(site.request("/", negotiate(realm.token(user="bob"))))
        bob = [("Cookie", line.partition(";")[0])]
        assert site.request("/", headers=bob).status == 200
        revoke(sentinel_store, realm.principal("alice"))
        wait_until(lambda: realm.principal("alice") in replica.command("ZRANGE negotiate:revoked 0 -1"))  # fmt: skip

        server.kill()
        assert site.request("/", negotiate(realm.token())).status == 503
        assert site.request("/", headers=bob).status == 200
        wait_until(lambda: site.request("/", negotiate(realm.token())).status == 200)
        assert "role:master" in replica.command("INFO replication")
        other = site_with(ValkeyStore(sentinel.url))
        for one in (site, other):
            assert one.request("/", negotiate(token)).status == 401
            assert one.request("/", headers=alice).status == 401
            assert one.request("/", headers=bob).status == 200
            assert one.request("/", negotiate(realm.token())).status == 200

        # The old master comes back, and is a replica then.
        server.start()
        wait_until(lambda: "role:slave" in server.command("INFO replication"))
        assert site.request("/", negotiate(realm.token())).status == 200


def test_sentinels_that_hang_are_not_waited_for_one_after_the_other(server, tmp_path):
    with ExitStack() as stack:
        sentinels = []
        for number in range(4):
            directory = tmp_path / str(number)
            directory.mkdir()
            sentinels.append(Sentinel(directory, server))
            stack.callback(sentinels[-1].close)
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)

        def ask(name):
            """By a new connection."""
            ValkeyStore(f"valkey+sentinel://{hosts}/site/0", timeout=2).claim(name)

        wait_until(lambda: not fails(ask, b"0"))
        for sentinel in sentinels[:3]:
            sentinel.freeze()
        ask(b"1")
        sentinels[3].freeze()
        began = time.monotonic()
        assert fails(ask, b"2")
        # Twice `timeout`, as documented, and more for a busy machine.
        assert time.monotonic() - began < 4
        for sentinel in sentinels:
            sentinel.thaw()
        ask(b"3")


def fails(ask, *arguments):
    try:
        ask(*arguments)
    except StoreError:
        return True
    return False


def test_a_master_that_has_become_a_replica_is_left(realm, server, monkeypatch):
    """READONLY is an answer of a store that is down."""
    store = ValkeyStore(server.url)
    site = site_with(store)
    assert site.request("/", negotiate(realm.token())).status == 200
    server.command("REPLICAOF", "127.0.0.1", str(free_port()))
    assert site.request("/", negotiate(realm.token())).status == 503
    server.command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: site.request("/", negotiate(realm.token())).status == 200)
