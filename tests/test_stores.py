"""What every store keeps: one contract for the one on Valkey and the one in memory."""

import contextlib
import contextvars
import logging
import os
import shlex
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from certificates import of_addresses
from helpers import locals_of_ours, wait_until
from test_import import HIDE, run
from valkeys import SERVER, Server, free_port

from negotiate_wsgi import (
    ConfigurationError,
    Revocations,
    StoreError,
    ValkeyStore,
    revoke,
    revoke_all,
)
from negotiate_wsgi.stores.breaker import Breaker
from negotiate_wsgi.stores.patience import at_most, left
from negotiate_wsgi.stores.picture import Picture
from negotiate_wsgi.stores.protocol import KEPT_FOR
from negotiate_wsgi.testing import MemoryStore

ALICE = "alice@EXAMPLE.TEST"
BOB = "bob@EXAMPLE.TEST"
CAROL = "carol@EXAMPLE.TEST"


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
def empty(server):
    server.command("FLUSHALL")
    return server


@pytest.fixture(params=["valkey", "memory"])
def machines(request):
    """The same store, as two machines know it."""
    if request.param == "memory":
        store = MemoryStore()
        return store, store.elsewhere()
    server = request.getfixturevalue("empty")
    return ValkeyStore(server.url), ValkeyStore(f"unix://{server.socket}")


def test_a_claim_is_for_the_first_that_asks(machines):
    here, there = machines
    assert here.claim(b"one")
    assert not here.claim(b"one")
    assert not there.claim(b"one")
    assert there.claim(b"two")
    assert not here.claim(b"two")
    assert here.claim(b"")


def test_of_many_at_once_one_is_the_first(machines):
    answers = []
    threads = [
        threading.Thread(target=lambda s=store: answers.append(s.claim(b"token")))
        for store in machines * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 15 + [True]


def test_counts(machines):
    here, there = machines
    assert here.count(b"alice", 60) == 1
    assert there.count(b"alice", 60) == 2
    assert there.count(b"bob", 60) == 1
    assert here.count(b"alice", 60, 3) == 5
    assert there.count(b"alice", 60, 0) == 5
    assert there.count(b"alice", 60, -4) == 1
    assert here.count(b"nobody", 60, 0) == 0


def test_a_count_ends_after_the_last_addition(machines):
    store = machines[0]
    store.count(b"alice", 3)
    time.sleep(1.5)
    store.count(b"alice", 3)
    store.count(b"alice", 3, -1)
    time.sleep(2)
    assert store.count(b"alice", 3, 0) == 1  # 3.5 seconds after the first
    time.sleep(1.5)
    assert store.count(b"alice", 3, 0) == 0  # -1 has not begun the time anew
    assert store.count(b"alice", 3) == 1


def test_what_is_revoked_is_known_everywhere(machines):
    here, there = machines
    assert there.revocations(0) is None
    began = time.time()
    revoke(here, ALICE)
    first = there.revocations(0)
    assert list(first.principals) == [ALICE]
    assert began - 1 <= first.principals[ALICE] <= time.time() + 1
    assert there.revocations(first.revision) is None
    revoke_all(here)
    second = there.revocations(first.revision)
    assert set(second.principals) == {ALICE, "*"}
    assert second.revision != first.revision


def test_one_session_ends(machines):
    here, there = machines
    end = time.time() + 100
    here.end_session("mark", end)
    known = there.revocations(0)
    assert known.sessions["mark"] == pytest.approx(end)
    assert known.principals == {}


def test_what_a_store_has_lost_is_given_back(machines):
    here, there = machines
    revoke(here, ALICE)
    known = here.revocations(0)
    later = known.principals[ALICE] + 1000
    earlier = known.principals[ALICE] - 1000
    there.restore(Revocations(0, {ALICE: earlier, BOB: later}, {"mark": later}))
    restored = here.revocations(known.revision)
    assert restored.principals == {ALICE: known.principals[ALICE], BOB: later}
    assert restored.sessions == {"mark": later}


def test_after_a_loss_no_revision_comes_again(machines):
    store = machines[0]
    revoke(store, ALICE)
    known = store.revocations(0).revision
    if isinstance(store, MemoryStore):
        store.lose_everything()
    else:
        time.sleep(1)
        store._client.flushall()
    assert store.revocations(known) == Revocations()
    revoke(store, BOB)
    assert list(store.revocations(known).principals) == [BOB]


def picture_of(store):
    return Picture(store, Breaker(store))


@contextlib.contextmanager
def losing_what_follows(machines, request):
    """As a store that has not written it to disk, or a replica that has not heard of it."""
    if isinstance(machines[0], MemoryStore):
        shared = machines[0]._shared
        kept = dict(shared.principals), dict(shared.sessions), shared.revision
        yield
        shared.principals, shared.sessions, shared.revision = kept
        return
    server = request.getfixturevalue("server")
    assert server.command("SAVE") == "+OK\r\n"
    yield
    server.restart()
    (server.directory / "dump.rdb").unlink()


def test_what_was_written_last_and_lost_is_written_back(machines, request):
    store, other = machines
    here, behind = picture_of(store), picture_of(other)
    revoke(store, CAROL)
    behind.look()
    now = time.time()
    with losing_what_follows(machines, request):
        revoke(store, ALICE)
        here.look()
    revoke(other, BOB)  # as many changes as before
    behind.look()
    assert not behind.is_over(ALICE, now, None)  # nobody has told
    here.look()
    assert here.is_over(ALICE, now, None)
    assert here.is_over(BOB, now, None)
    behind.look()
    assert behind.is_over(ALICE, now, None)
    assert set(store.revocations(-1).principals) == {ALICE, BOB, CAROL}
    assert not here.is_over("dave@EXAMPLE.TEST", now, None)


def test_what_is_lost_twice_before_it_is_looked_at_is_written_back(machines, request):
    store, other = machines
    here = picture_of(store)
    revoke(store, CAROL)
    here.look()
    with losing_what_follows(machines, request):
        here.end_session("mark", time.time() + 100)
    with losing_what_follows(machines, request):
        here.look()
        assert list(other.revocations(-1).sessions) == ["mark"]
    assert list(other.revocations(-1).sessions) == []
    here.look()
    assert list(other.revocations(-1).sessions) == ["mark"]


@pytest.mark.parametrize("score", [9e12, 1e18, float("inf")], ids=str)
def test_what_nobody_honest_writes_is_over_once_the_store_is_emptied(machines, score):
    """As the manual says it is after a break-in."""
    store, other = machines
    here, there = picture_of(store), picture_of(other)
    store.restore(Revocations(0, {"*": score, ALICE: score}, {"mark": score}))
    for picture in (here, there):
        picture.look()
        assert picture.is_over(BOB, time.time() - 1, None)
        assert not picture.is_over(BOB, time.time() + 6, None)
        assert picture.is_over(BOB, time.time() + 6, "mark")
    if isinstance(store, MemoryStore):
        store.lose_everything()
    else:
        store._client.flushall()
    revoke_all(store)
    for picture in (here, there):
        picture.look()
        assert not picture.is_over(ALICE, time.time() + 6, None)
    known = other.revocations(-1)
    assert all(moment < time.time() + 1 for moment in known.principals.values())
    assert all(moment < time.time() + KEPT_FOR for moment in known.sessions.values())


def test_a_session_that_has_ended_is_ended_once(machines):
    store, other = machines
    here = picture_of(store)
    end = time.time() + 100
    here.end_session("mark", end)
    known = other.revocations(-1).revision
    for _ in range(3):
        here.end_session("mark", end)
    assert other.revocations(known) is None
    here.end_session("another", end)
    assert set(other.revocations(known).sessions) == {"mark", "another"}


@pytest.mark.parametrize("principal", ["alice", "", "@EXAMPLE.TEST", "alice@", "*"])
def test_who_is_revoked_has_a_realm(machines, principal):
    with pytest.raises(ValueError, match="realm"):
        revoke(machines[0], principal)
    assert machines[0].revocations(0) is None


def test_a_child_after_fork_and_its_parent_both_go_on(machines):
    store = machines[0]
    assert store.claim(b"before")
    child = os.fork()
    if child == 0:
        is_right = store.claim(b"in the child") and not store.claim(b"before")
        os._exit(0 if is_right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not store.claim(b"before")


# The one on Valkey alone


def keys(server):
    return server.command("KEYS", "*").split("\r\n")[2::2]


def test_no_name_of_a_user_that_was_not_revoked_is_kept(empty):
    store = ValkeyStore(empty.url, prefix="site-1")
    store.claim(b"secret fingerprint")
    store.count(b"user alice", 60)
    assert all(key.startswith("site-1:") for key in keys(empty))
    assert not any("secret" in key or "alice" in key for key in keys(empty))


def test_a_claim_lives_three_times_the_skew_and_costs_one_command(empty):
    store = ValkeyStore(empty.url, clock_skew=100)
    store.claim(b"connect")
    before = empty.calls()
    store.claim(b"token")
    changes = {
        name: count - before.get(name, 0)
        for name, count in empty.calls().items()
        if count != before.get(name, 0) and name != "info"
    }
    assert changes == {"set": 1}
    [ttl] = {empty.command("TTL", key).strip(":\r\n") for key in keys(empty)}
    assert 298 <= int(ttl) <= 300


def test_another_prefix_is_another_site(empty):
    one = ValkeyStore(empty.url)
    other = ValkeyStore(empty.url, prefix="other")
    assert one.claim(b"token")
    assert other.claim(b"token")
    revoke(one, ALICE)
    assert other.revocations(0) is None


def test_too_old_revocations_are_dropped(empty):
    store = ValkeyStore(empty.url)
    store.restore(Revocations(0, {ALICE: time.time() - 401 * 86400}, {"mark": 1000}))
    assert store.revocations(0).principals == {}
    assert store.revocations(0).sessions == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://h/0",
        "h:6379",
        "",
        "valkey://h/zero",
        "valkey://h:port/0",
        "valkey://h1,h2/0",
        "valkey+sentinel://h1,h2",
        "unix+sentinel:///x",
        "unix://",
        "valkeys://h/0?ssl_cert_reqs=none",
        "valkeys://h/0?ssl_cert_reqs=optional",
        "valkeys://h/0?ssl_check_hostname=false",
        "valkey://h/0?socket_timeout=9",
        "valkey://h/0?retry_on_timeout=yes",
        "valkey://h/0?no_such=1",
        "valkey://h/0?ssl_ca_certs=/x",
    ],
)
def test_urls_that_are_refused_without_their_password(url):
    if "//" in url:
        url = url.replace("//", "//user:hunter2@", 1)
    with pytest.raises(ConfigurationError) as caught:
        ValkeyStore(url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in locals_of_ours(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("valkeys://u:hunter2@h", "valkeys://h:6379/0"),
        ("redis://:hunter2@[::1]:1/2", "redis://[::1]:1/2"),
        ("rediss://h/1?password=hunter2&ssl_cert_reqs=required", "rediss://h:6379/1"),
        ("unix:///run/x?db=3&password=hunter2", "unix:///run/x"),
        ("valkeys+sentinel://u:hunter2@h1,h2:1/site/4",
         "valkeys+sentinel://h1:26379,h2:1/site/4"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_url(url, shown):
    store = ValkeyStore(url)
    assert str(store) == shown
    assert repr(store) == f"ValkeyStore({shown!r})"


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("valkey://store.example/0", 1),
        ("redis://192.0.2.1", 1),
        ("valkey+sentinel://127.0.0.1,h2/x", 1),
        ("valkeys://store.example/0", 0),
        ("valkey://127.0.0.1", 0),
        ("valkey://localhost", 0),
        ("valkey://[::1]:1", 0),
        ("unix:///run/x", 0),
    ],
)
def test_plain_text_to_another_host_is_one_warning(url, warnings, caplog):
    ValkeyStore(url)
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * warnings


@pytest.mark.parametrize(
    "options",
    [
        {"prefix": ""},
        {"prefix": "a:b"},
        {"prefix": "a" * 65},
        {"prefix": None},
        {"refresh": 0},
        {"refresh": 1e-9},
        {"refresh": float("inf")},
        {"refresh": 21},
        {"timeout": 0},
        {"timeout": True},
        {"timeout": float("nan")},
        {"clock_skew": "300"},
        {"when_down": "allow"},
    ],
)
def test_options_that_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ValkeyStore("valkey://127.0.0.1", **options)


def test_without_valkey_the_names_are_there_and_the_constructor_says_what_to_install():
    script = HIDE.format(hidden={"valkey"}) + (
        "from negotiate_wsgi import ConfigurationError, ValkeyStore, revoke, revoke_all\n"
        "try: ValkeyStore('valkey://127.0.0.1')\n"
        "except ConfigurationError as problem: print(problem)\n"
    )
    assert "pip install 'negotiate-wsgi[fleet]'" in run(script).stdout


UNUSED = {
    "valkey",
    "negotiate_wsgi.request.attempts",
    "negotiate_wsgi.request.fleet",
    "negotiate_wsgi.request.password_verdicts",
    "negotiate_wsgi.settings",
    "negotiate_wsgi.stores.valkey",
}


def test_nothing_is_imported_of_what_an_application_does_not_use():
    script = (
        "import sys\n"
        "from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware\n"
        "NegotiateMiddleware(print, acceptor=GssapiAcceptor())\n"
        "print(*sys.modules)\n"
        "from negotiate_wsgi import *\n"
        "ValkeyStore('valkey://127.0.0.1')\n"
        "NegotiateMiddleware(print, passwords=PasswordSignOn('R'), acceptor=GssapiAcceptor())\n"
        "print(*sys.modules)\n"
    )
    before, after = (set(line.split(" ")) for line in run(script).stdout.splitlines())
    assert before & UNUSED == set()
    assert UNUSED - after == {"negotiate_wsgi.request.fleet"}


def test_settings_import_a_store_where_one_is_configured():
    script = (
        "import sys\n"
        "from negotiate_wsgi import GssapiAcceptor, protect\n"
        "protect(print, acceptor=GssapiAcceptor())\n"
        "print(*sys.modules)\n"
        "protect(print, acceptor=GssapiAcceptor(), store='valkey://127.0.0.1')\n"
        "print(*sys.modules)\n"
    )
    before, after = (set(line.split(" ")) for line in run(script).stdout.splitlines())
    of_a_store = {
        "valkey",
        "negotiate_wsgi.stores.valkey",
        "negotiate_wsgi.request.fleet",
    }
    assert before & of_a_store == set()
    assert after >= of_a_store


def faults_of(url):
    store = ValkeyStore(url, timeout=0.2)
    asks = [
        lambda: store.claim(b"x"),
        lambda: store.count(b"x", 60),
        lambda: store.count(b"x", 60, 0),
        lambda: store.revoke(None),
        lambda: store.revocations(0),
    ]
    faults = []
    for ask in asks:
        with pytest.raises(StoreError) as caught:
            ask()
        assert caught.value.__context__ is None  # its frames have the password
        assert "hunter2" not in str(caught.value)
        faults.append(str(caught.value))
    return faults


def test_nobody_there():
    assert all(
        "ConnectionError" in f for f in faults_of(f"valkey://127.0.0.1:{free_port()}")
    )


def test_a_store_that_is_frozen_on_old_and_new_connections_and_is_thawed():
    with Server() as server:
        store = ValkeyStore(server.url, timeout=0.2)
        assert store.claim(b"one")
        server.freeze()
        for _ in range(2):
            with pytest.raises(StoreError, match="Timeout"):
                store.claim(b"two")
        faults_of(server.url)
        server.thaw()
        assert store.claim(b"three")


@contextlib.contextmanager
def served_by(serve, *addresses, family=socket.AF_INET):
    """The address of a port whose connections are each given to *serve*."""
    listener = socket.socket(family)
    listener.bind(*addresses or [("127.0.0.1", 0)])
    listener.listen()
    clients = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                clients.append(listener.accept()[0])
                threading.Thread(target=served, args=[clients[-1]], daemon=True).start()

    def served(client):
        with contextlib.suppress(OSError, ValueError):
            serve(client)

    thread = threading.Thread(target=accept)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    for one in (listener, *clients):
        one.close()
    thread.join()


def drip(client):
    """An answer that comes in parts, each in time, for 18 seconds."""
    client.recv(1000)
    client.sendall(b"+")
    for _ in range(60):
        time.sleep(0.3)
        client.sendall(b"O")


def answer_after(seconds):
    def serve(client):
        lines = client.makefile("rb")
        while True:
            for _ in range(int(lines.readline()[1:])):
                lines.read(int(lines.readline()[1:]) + 2)
            time.sleep(seconds)
            client.sendall(b"+OK\r\n")

    return serve


def fault_in_time(store, ask=lambda store: store.claim(b"x")):
    """The one that is raised within twice ``timeout``, half a second, and not at once."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        ask(store)
    assert 0.4 < time.monotonic() - began < 1.6
    return str(caught.value)


def test_an_answer_that_drips(tls, tmp_path):
    by_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    by_tls.load_cert_chain(tls / "good.pem", tls / "good.key")

    def encrypted(client):
        with by_tls.wrap_socket(client, server_side=True) as wrapped:
            drip(wrapped)

    path = str(tmp_path / "socket")
    with (
        served_by(drip) as (_, port),
        served_by(drip, path, family=socket.AF_UNIX),
        served_by(encrypted) as (_, tls_port),
    ):
        for url in (
            f"valkey://127.0.0.1:{port}",
            f"unix://{path}",
            f"valkeys://127.0.0.1:{tls_port}?ssl_ca_certs={tls}/good.pem",
            f"valkeys://127.0.0.1:{port}",  # a handshake
            f"valkey+sentinel://127.0.0.1:{port},127.0.0.1:{port}/site/0",
        ):
            store = ValkeyStore(url)
            assert "Timeout" in fault_in_time(store)
            picture = picture_of(store)
            fault_in_time(picture, lambda picture: picture.look())
            began = time.monotonic()
            with pytest.raises(StoreError):
                picture.look()
            assert time.monotonic() - began < 0.1  # it is lost


def test_answers_that_are_slow_each():
    four = "valkey://u:p@127.0.0.1:{}/1?client_name=a"
    with served_by(answer_after(0.4)) as (_, port):
        assert "Timeout" in fault_in_time(ValkeyStore(four.format(port)))
        assert ValkeyStore(f"valkey://127.0.0.1:{port}").claim(b"x")
    with served_by(answer_after(0.1)) as (_, port):
        assert ValkeyStore(four.format(port)).claim(b"x")


def test_a_host_with_several_addresses_that_do_not_answer(monkeypatch):
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(4):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.listen(0)
            for _ in range(3):  # what comes after these is dropped
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
            found.append(
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())
            )
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: found)
        store = ValkeyStore("valkeys://store.example.com")
        assert "Timeout" in fault_in_time(store)


def test_a_sentinel_that_leads_to_a_store_that_drips(server):
    with served_by(drip) as (_, port), sentinel_of(port) as site:
        store = ValkeyStore(site)
        wait_until(lambda: "Timeout" in fault_of_claim(store))
        fault_in_time(store)
    with sentinel_of(server.port) as site:
        store = ValkeyStore(site)
        wait_until(lambda: fault_of_claim(store) == "")


def fault_of_claim(store):
    try:
        store.claim(b"x")
    except StoreError as fault:
        return str(fault)
    return ""


def test_a_long_list_takes_longer_to_read_than_to_wait_for(empty):
    marks = {f"mark {number:040}": 2e9 for number in range(100_000)}
    ValkeyStore(empty.url, timeout=20).restore(Revocations(0, {}, marks))
    store = ValkeyStore(empty.url, timeout=0.3)
    began = time.thread_time()
    assert len(store.revocations(0).sessions) == len(marks)
    assert time.thread_time() - began > 0.1


def test_a_restart_that_no_command_has_seen():
    with Server() as server:
        store = ValkeyStore(server.url)
        assert store.claim(b"one")
        server.restart()
        assert store.claim(b"one")


@pytest.mark.parametrize(
    ("user", "options", "fault"),
    [
        ("", "--requirepass other", "AuthenticationError: Authentication required"),
        (":hunter2@", "--requirepass other",
         "AuthenticationError: invalid username-password pair or user is disabled"),
        (":hunter2@", "", "AuthenticationError: called without any password configured for "
         "the default user"),
        ("", "--user default on nopass ~none:* +@all",
         "NoPermissionError: no permissions to access"),
        ("", "--user default on nopass ~* +@all -set",
         "NoPermissionError: run the 'set' command"),
        ("", "--maxmemory 1 --maxmemory-policy noeviction",
         "OutOfMemoryError: command not allowed when used memory > 'maxmemory'"),
        ("a:hunter2@", "--rename-command AUTH ''", "ResponseError: unknown command 'AUTH'"),
    ],
    ids=["NOAUTH", "WRONGPASS", "no password", "NOPERM, key", "NOPERM", "OOM", "no AUTH"],
)  # fmt: skip
def test_wrong_answers(user, options, fault):
    with Server(*shlex.split(options)) as server:
        store = ValkeyStore(f"valkey://{user}127.0.0.1:{server.port}")
        with pytest.raises(StoreError) as caught:
            store.claim(b"x")
        # Redis 8 begins it with a capital letter.
        assert str(caught.value).replace(": No ", ": no ") == fault


def test_a_store_that_is_still_loading():
    slowly = ["--enable-debug-command", "local", "--key-load-delay", "2000",
              "--loading-process-events-interval-bytes", "1024"]  # fmt: skip
    with Server(*slowly) as server:
        store = ValkeyStore(server.url)
        assert store.claim(b"one")
        assert server.command("DEBUG", "POPULATE", "1000") == "+OK\r\n"
        assert server.command("SAVE") == "+OK\r\n"
        server.restart()
        with pytest.raises(StoreError) as caught:
            store.claim(b"two")
        assert str(caught.value) == (
            "BusyLoadingError: is loading the dataset in memory"
        )
        server.wait_for(lambda: "\nloading:0" in server.command("INFO") or missing())
        assert not store.claim(b"one")
        assert store.claim(b"two")


def missing():
    raise OSError


LONG = "correct%20horse%0Abattery%C3%A9" * 6


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR unknown command 'AUTH', with args beginning with: 'a' %b",
        b"-WRONGPASS %b",
        b"-NOPERM this user has no permissions to run the '%b' command",
        b"-NOAUTH %b",
        b"-MISCONF %b",
        b"-%b",
        b"+%b",
        b"%b",
    ],
)
@pytest.mark.parametrize("longest", [20, 100, 500])
def test_a_store_that_repeats_the_password_cut_and_escaped(answer, longest):
    sent = unquote(LONG)
    forms = [sent, repr(sent), quote(sent), ascii(sent), sent.encode().hex()]
    for form in forms:
        told = form.encode()[:longest].replace(b"\n", b" ")
        with answering(lambda heard, told=told: answer % told + b"\r\n") as (port, _):
            with pytest.raises(StoreError) as caught:
                ValkeyStore(f"valkey://a:{LONG}@127.0.0.1:{port}").claim(b"x")
            text = str(caught.value)
            assert not {text[at : at + 4] for at in range(len(text) - 3)} & {
                form[at : at + 4] for form in forms for at in range(len(form) - 3)
            }, text


@contextlib.contextmanager
def answering(answer):
    """A port where each connection is answered once by *answer*, and closed; and what was heard."""
    heard = []

    def serve(listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(1)
            heard.append(client.recv(1000))
            client.sendall(answer(heard[-1]))
            client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_another_protocol_that_repeats_what_it_is_told():
    def repeat(heard):
        return b"HTTP/1.1 400\x1b " + heard.replace(b"\r\n", b" ") + b"\r\n"

    with answering(repeat) as (port, _):
        faults = faults_of(f"valkey://:hunter2@127.0.0.1:{port}")
        assert all(fault.isprintable() for fault in faults)


def test_a_claim_whose_answer_was_lost_is_not_sent_again():
    with answering(lambda heard: b"") as (port, heard):
        with pytest.raises(StoreError, match="ConnectionError"):
            ValkeyStore(f"valkey://127.0.0.1:{port}").claim(b"x")
        assert len(heard) == 1
        assert b"SET" in heard[0]


@pytest.mark.parametrize(
    "answer", [b":1\r\n", b"+QUEUED\r\n", b"$2\r\nno\r\n", b"*0\r\n"]
)
def test_an_answer_to_a_claim_that_is_none(answer):
    with (
        answering(lambda heard: answer) as (port, _),
        pytest.raises(StoreError),
    ):
        ValkeyStore(f"valkey://127.0.0.1:{port}").claim(b"x")


ACL = ("on >hunter2 ~negotiate:* +ping +set +get +del +incrby +expire +time +zadd "
       "+zrange +zremrangebyscore +multi +exec +info")  # fmt: skip


def test_the_rights_that_the_manual_names_suffice():
    with Server("--user", "negotiate", *ACL.split()) as server:
        store = ValkeyStore(f"valkey://negotiate:hunter2@127.0.0.1:{server.port}")
        assert store.claim(b"x")
        assert store.count(b"x", 60) == 1
        assert store.count(b"x", 60, -1) == 0
        revoke(store, ALICE)
        store.end_session("mark", time.time() + 9)
        assert list(store.revocations(0).principals) == [ALICE]
        store.restore(Revocations(0, {BOB: 1e9}))


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    return of_addresses(directory, good="127.0.0.1", other="192.0.2.7")


@pytest.mark.parametrize(
    ("shown", "trusted", "is_good"),
    [
        ("good", "good", True),
        ("good", "other", False),
        ("other", "other", False),
        ("good", None, False),
    ],
    ids=["its own", "another authority", "another host", "the system's authorities"],
)
def test_certificates_and_their_names_are_verified(tls, shown, trusted, is_good):
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", f"{tls}/{shown}.pem",
               "--tls-key-file", f"{tls}/{shown}.key", "--tls-auth-clients", "no",
               "--tls-ca-cert-file", f"{tls}/{shown}.pem"]  # fmt: skip
    with Server(*options, port=0):
        query = f"?ssl_ca_certs={tls}/{trusted}.pem" if trusted else ""
        store = ValkeyStore(f"valkeys://127.0.0.1:{port}/0{query}")
        if is_good:
            assert store.claim(b"x")
            return
        with pytest.raises(StoreError, match=r"(?i)certificate"):
            store.claim(b"x")


@contextlib.contextmanager
def sentinel_of(port):
    """The URL of a store that a sentinel knows by *port*, as ``site``."""
    own = free_port()
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory, "sentinel.conf")
        conf.write_text(f"sentinel monitor site 127.0.0.1 {port} 1\n")
        process = subprocess.Popen(
            [SERVER, conf, "--sentinel", "--port", str(own)], stdout=subprocess.DEVNULL
        )
        try:
            yield f"valkey+sentinel://127.0.0.1:{own}/site/0"
        finally:
            process.kill()
            process.wait()


def test_sentinels_name_the_store():
    with Server() as master, sentinel_of(master.port) as site:
        store = ValkeyStore(site)
        wait_until(lambda: fault_of_claim(store) == "")
        assert not store.claim(b"x")
        assert not ValkeyStore(master.url).claim(b"x")
        wrong = ValkeyStore(site.replace("site", "other"))
        with pytest.raises(StoreError, match="MasterNotFound"):
            wrong.claim(b"x")


def test_patience_is_of_who_asks_and_not_of_the_thread():
    """As greenlets have it, each with a context of its own, wherever `threading` is patched."""
    with at_most(0.5):
        assert left(10) <= 0.5
        assert contextvars.Context().run(left, 10) == 10
        with at_most(0.2):
            assert left(10) <= 0.2
        assert 0.2 < left(10) <= 0.5
    assert left(10) == 10
