"""What the doctor finds out about a fleet's store: real servers, each with one fault, and repaired by
what it says to type."""

from __future__ import annotations

import inspect
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from certificates import of_addresses
from helpers import wait_until
from machine import Machine, administered_realm
from valkeys import Server, free_port

from negotiate_wsgi import StoreError, ValkeyStore, revoke
from negotiate_wsgi.doctor.run import diagnose, gather
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.doctor.store import unfit
from negotiate_wsgi.stores.inspection import COMMANDS, Inspection
from negotiate_wsgi.stores.valkey_url import read_url

IDS = [f"NW{number:03}" for number in range(37, 45)]
PASSWORD = "hunter2"
GOOD = ("--appendonly", "yes")
#: As the manual has it.
RIGHTS = [f"+{name.lower()}" for name in COMMANDS]


@pytest.fixture(scope="module")
def server():
    """One that all is well with."""
    with Server(*GOOD) as server:
        yield server


@pytest.fixture
def account(server):
    """One that has just the rights that are needed; its URL."""
    set_account(server, *RIGHTS)
    return f"valkey://site:{PASSWORD}@127.0.0.1:{server.port}/0"


def set_account(server, *rights, keys="~negotiate:*"):
    words = ["ACL", "SETUSER", "site", "reset", "on", f">{PASSWORD}", keys, *rights]
    assert server.command(*words) == "+OK\r\n"


def look(url, **options):
    """What each check of the store finds."""
    setup = Setup(store=url, **options)
    found = {check.id: finding for check, finding in diagnose(setup) if check.id in IDS}
    assert PASSWORD not in repr(found)
    return found


def amiss(url, **options):
    """What is not well."""
    found = look(url, **options).items()
    return {id: finding for id, finding in found if finding.status != "ok"}


def only(url, id, status="problem", **options):
    """The one finding of a store that is not well."""
    found = amiss(url, **options)
    assert list(found) == [id], found
    assert found[id].status == status
    return found[id]


def type_at_the_store(finding):
    """The command as it stands, on the store's machine, which is ours."""
    assert finding.place == "the store's machine"
    done = subprocess.run(
        finding.command, shell=True, check=True, capture_output=True, text=True
    )
    assert done.stdout == "OK\n", done.stdout


@contextmanager
def relayed(server, delay=0, changes=None):
    """The way to *server* takes *delay* seconds, and changes what it answers."""
    options = json.dumps([server.port, delay, changes or {}])
    program = [sys.executable, "-c", RELAY, options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as relay:
        try:
            yield f"valkey://127.0.0.1:{int(relay.stdout.readline())}/0"
        finally:
            relay.kill()


RELAY = """
import json, socket, sys, threading, time
port, delay, changes = json.loads(sys.argv[1])
def pass_on(source, target, delay, changes):
    while data := source.recv(65536):
        time.sleep(delay)
        for old, new in changes.items():
            data = data.replace(old.encode(), new.encode())
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        here = listener.accept()[0]
        there = socket.create_connection(("127.0.0.1", port))
        for pair in ((here, there, delay, {}), (there, here, 0, changes)):
            threading.Thread(target=pass_on, args=pair, daemon=True).start()
"""


# Whether it is looked at


@pytest.fixture(scope="module")
def realm():
    with administered_realm() as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path):
    return Machine(realm, tmp_path / "machine", "localhost")


def of_the_store(machine, *arguments):
    """What the command finds, on a machine that is well."""
    done = machine.run("negotiate-wsgi", "doctor", "--json", *arguments)
    assert PASSWORD not in done.stdout + done.stderr
    assert done.stderr == ""
    findings = json.loads(done.stdout)
    assert all(f["status"] == "ok" for f in findings if f["id"] not in IDS)
    return done.returncode, [f for f in findings if f["id"] in IDS]


def test_it_is_named_by_options_or_by_variables(machine, server, account):
    code, found = of_the_store(machine, "--store", account)
    assert code == 0
    assert [(f["id"], f["status"]) for f in found] == [(id, "ok") for id in IDS]
    machine.environ["NEGOTIATE_STORE"] = account
    assert of_the_store(machine)[0] == 0
    machine.environ["NEGOTIATE_STORE_PREFIX"] = "other"
    code, found = of_the_store(machine)
    assert code == 2
    [rights] = [f for f in found if f["status"] != "ok"]
    assert rights["id"] == "NW040"
    assert "'~other:*'" in rights["command"]
    assert of_the_store(machine, "--prefix", "negotiate")[0] == 0
    # A warning, and the option wins.
    with Server() as other:
        arguments = ["--store", other.url, "--prefix", "negotiate"]
        assert of_the_store(machine, *arguments)[0] == 1


def test_help_does_not_show_the_variable(machine):
    machine.environ["NEGOTIATE_STORE"] = f"valkey://:{PASSWORD}@host"
    assert PASSWORD not in machine.run("negotiate-wsgi", "doctor", "--help").stdout


def test_nobody_who_has_none_hears_of_it(machine):
    assert of_the_store(machine) == (0, [])
    assert [check.id for check in gather() if check.id in IDS] == IDS


@pytest.mark.parametrize("is_there", [False, True])
def test_valkey_py_is_loaded_for_a_store_alone(machine, server, is_there):
    arguments = ["doctor", *(["--store", server.url] if is_there else [])]
    program = (
        "import sys; from negotiate_wsgi.__main__ import main\n"
        f"main({arguments!r})\n"
        "print('valkey' in sys.modules, 'negotiate_wsgi.stores.valkey_url' in sys.modules)"
    )
    said = machine.run(sys.executable, "-P", "-c", program).stdout
    assert said.splitlines()[-1] == f"{is_there} {is_there}"


def test_the_time_that_is_waited_is_that_of_the_site():
    own = inspect.signature(Inspection).parameters["timeout"].default
    assert own == inspect.signature(ValkeyStore).parameters["timeout"].default


# Reached


def test_a_good_one(server, account):
    found = look(account)
    assert list(found) == IDS
    assert all(finding.status == "ok" for finding in found.values()), found
    said = server.command("INFO", "server")
    assert found["NW039"].found.partition(" ")[2] in said
    assert look(f"unix://{server.socket}?db=0").keys() == found.keys()


def test_nothing_stays(server):
    server.command("FLUSHALL")
    revoke(ValkeyStore(server.url), "alice@EXAMPLE.TEST")
    before = server.command("GET", "negotiate:revision")
    found = look(server.url)
    assert found["NW040"].found.endswith("revocations that the store knows: 1")
    keys = {"negotiate:revoked", "negotiate:revision"}
    # The last one lives for a millisecond.
    wait_until(lambda: set(server.command("KEYS", "*").split()[2::2]) == keys)
    assert server.command("GET", "negotiate:revision") == before


def test_nothing_listens():
    finding = only(f"valkey://127.0.0.1:{free_port()}/0", "NW037")
    assert "refused" in finding.found
    assert finding.remedy.startswith("Nothing listens there")
    finding = only("unix:///nowhere/socket", "NW037")
    assert "the path of its socket" in finding.remedy


def test_the_host_is_not_known():
    found = amiss("valkeys://nowhere.invalid:6379/0")
    assert list(found) == ["NW037"]
    assert "its name in DNS" in found["NW037"].remedy


def test_it_hangs():
    with Server(*GOOD) as server:
        assert amiss(server.url) == {}
        server.freeze()
        try:
            finding = only(server.url, "NW037")
        finally:
            server.thaw()
        assert "TimeoutError" in finding.found
        assert "says nothing" in finding.remedy
        assert amiss(server.url) == {}


@pytest.mark.parametrize(
    "user", [":wrong", "site:wrong", "nobody:wrong"], ids=lambda user: user
)
def test_the_password_is_wrong(server, account, user):
    finding = only(f"valkey://{user}@127.0.0.1:{server.port}/0", "NW037")
    assert "AuthenticationError" in finding.found
    assert "Correct the user and the password" in finding.remedy


def test_a_password_is_missing():
    with Server(*GOOD, "--requirepass", PASSWORD) as server:
        # wait_for() is content with NOAUTH.
        finding = only(server.url, "NW037")
        assert "Authentication required" in finding.found
        assert amiss(f"valkey://:{PASSWORD}@127.0.0.1:{server.port}/0") == {}


def test_a_store_that_repeats_a_password_and_cuts_it():
    password = PASSWORD * 20
    with Server(*GOOD, "--rename-command", "AUTH", "") as server:
        finding = only(f"valkey://site:{password}@127.0.0.1:{server.port}/0", "NW037")
        assert "unknown command 'AUTH'" in finding.found
        assert amiss(server.url) == {}


def test_no_such_database(server):
    finding = only(f"valkey://127.0.0.1:{server.port}/99", "NW037")
    assert "the number of the database" in finding.remedy


def test_another_database_needs_a_right_more(server, account):
    url = account.replace("/0", "/1")
    finding = only(url, "NW037")
    assert "'select'" in finding.found
    # Nothing is known of the server yet, such as its port.
    command = finding.command.replace("redis-cli", f"redis-cli -p {server.port}")
    subprocess.run(command, shell=True, check=True)
    assert amiss(url) == {}


@pytest.mark.parametrize("url", ["http://host", "valkey://host/x", "", "valkeys://a,b"])
def test_the_url_is_none(url):
    finding = only(url, "NW037")
    assert finding.remedy.startswith("Correct --store")


def test_the_prefix_is_none(server):
    assert "prefix='a b'" in only(server.url, "NW037", prefix="a b").found


def test_valkey_py_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "valkey", None)
    monkeypatch.delitem(sys.modules, "negotiate_wsgi.stores.connection", raising=False)
    finding = only(server.url, "NW037")
    assert finding.command == "pip install 'negotiate-wsgi[fleet]'"


@contextmanager
def answering(answer):
    """Somebody else's port, which says *answer* to whatever it hears."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"valkey://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR \x1b[2J\x1b]0;owned\x07" + b"x" * 100_000 + b"\r\n",
        b"+redis_version:7\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"",
    ],
    ids=["HTTP", "escapes", "text", "number", "nothing", "closed"],
)
def test_what_is_no_store_says_nothing_to_the_terminal(answer):
    with answering(answer) as url:
        found = amiss(url)
    assert found
    for finding in found.values():
        words = [finding.found, finding.remedy, finding.command]
        assert all(text.isprintable() and len(text) < 500 for text in words)


def test_what_a_store_says_of_itself_is_cut_and_made_printable():
    info = (
        b"redis_version:7\x1b[2J" + b"x" * 5000 + b"\r\nmaxmemory_policy:\x1b[31m\r\n"
    )
    with answering(b"$%d\r\n%b\r\n" % (len(info), info)) as url:
        found = look(url)
    assert found["NW042"].status == "problem"
    for finding in found.values():
        assert finding.found.isprintable()
        assert len(finding.found) < 500


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    return of_addresses(directory, good="127.0.0.1", elsewhere="192.0.2.7")


@contextmanager
def with_tls(certificates, shown):
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", f"{certificates}/{shown}.pem",
               "--tls-key-file", f"{certificates}/{shown}.key", "--tls-auth-clients", "no",
               "--tls-ca-cert-file", f"{certificates}/{shown}.pem"]  # fmt: skip
    with Server(*GOOD, *options, port=0):
        yield f"127.0.0.1:{port}/0"


def test_a_certificate_is_not_trusted(certificates):
    with with_tls(certificates, "good") as place:
        finding = only(f"valkeys://{place}", "NW037")
        assert "CERTIFICATE_VERIFY_FAILED" in finding.found
        assert "?ssl_ca_certs=/path/ca.pem" in finding.remedy
        trusted = f"?ssl_ca_certs={certificates}/good.pem"
        assert amiss(f"valkeys://{place}{trusted}") == {}
        # Without TLS to the same port.
        finding = only(f"valkey://{place}", "NW037")
        assert "write valkeys://" in finding.remedy


def test_a_certificate_is_of_another_host(certificates):
    with with_tls(certificates, "elsewhere") as place:
        trusted = f"?ssl_ca_certs={certificates}/elsewhere.pem"
        finding = only(f"valkeys://{place}{trusted}", "NW037")
        assert "the host as the certificate has it" in finding.remedy


def test_tls_to_a_port_that_has_none(server):
    finding = only(f"valkeys://127.0.0.1:{server.port}/0", "NW037")
    assert "TLS is spoken to a port that speaks none" in finding.remedy


@pytest.mark.parametrize(
    ("url", "is_in_clear"),
    [
        ("valkey://127.0.0.1", False),
        ("redis://[::1]:6380/1", False),
        ("valkey://localhost", False),
        ("unix:///run/store", False),
        ("valkeys://store.example.com", False),
        ("valkeys+sentinel://a,b/site/0", False),
        ("valkey://store.example.com", True),
        ("redis://192.0.2.1", True),
        ("valkey://127.0.0.1.example.com", True),
        ("valkey+sentinel://127.0.0.1,b/site/0", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_leaves_the_machine_without_tls(url, is_in_clear):
    assert read_url(url).is_in_clear == is_in_clear
    assert Inspection(url, "negotiate").is_in_clear == is_in_clear


def test_it_is_reached_by_a_name_without_tls(machine, server):
    """Which the doctor cannot know to be this machine's. It warns once, and not in the log, too."""
    machine.hosts.write_text(machine.hosts.read_text() + "127.0.0.1 store.test\n")
    code, found = of_the_store(machine, "--store", f"valkey://store.test:{server.port}")
    assert code == 1
    [finding] = [f for f in found if f["status"] != "ok"]
    assert (finding["id"], finding["status"]) == ("NW038", "warning")
    assert "write valkeys://" in finding["remedy"]


# Sentinels


@contextmanager
def sentinel_of(master, directory):
    port = free_port()
    (directory / "sentinel.conf").write_text(
        f"sentinel monitor site 127.0.0.1 {master.port} 1\n"
    )
    process = subprocess.Popen(
        [master.process.args[0], directory / "sentinel.conf", "--sentinel", "--port",
         str(port)], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def test_sentinels(server, tmp_path):
    with sentinel_of(server, tmp_path) as port:
        site = f"valkey+sentinel://127.0.0.1:{port}/site/0"
        wait_until(lambda: "NW037" not in amiss(site))
        assert amiss(site) == {}
        finding = only(site.replace("site", "another"), "NW037")
        assert "know no store of that name" in finding.remedy
    finding = only(site, "NW037")
    assert "No sentinel answers" in finding.remedy


# What it is


def test_a_cluster(tmp_path):
    with Server(
        *GOOD, "--cluster-enabled", "yes", "--cluster-port", str(free_port())
    ) as server:
        assert "cluster" in only(server.url, "NW039").found


def test_it_is_too_old(server):
    info = server.command("INFO", "server")
    [version] = re.findall(r"redis_version:\d+", info)
    changes = {version: "redis_version:6", "valkey_version": "other__version"}
    with relayed(server, changes=changes) as url:
        finding = only(url, "NW039")
        assert "The store is Redis 6." in finding.found
    with relayed(server) as url:
        assert amiss(url) == {}


@pytest.mark.parametrize(
    ("said", "is_fit"),
    [
        ({"redis_version": "6.2.14"}, False),
        ({"redis_version": "7.0.0"}, True),
        ({"redis_version": "10.1"}, True),
        ({"redis_version": 7.0}, True),
        ({"redis_version": "7.2.4", "valkey_version": "9.0.1"}, True),
        ({"redis_version": "7.2.4", "redis_mode": "sentinel"}, True),
        ({"redis_version": "7.2.4", "redis_mode": "cluster"}, False),
        (
            {
                "redis_version": "7.2.4",
                "valkey_version": "8.1.1",
                "server_mode": "cluster",
            },
            False,
        ),
        (
            {
                "redis_version": "7.2.4",
                "valkey_version": "8.1.1",
                "server_mode": "standalone",
            },
            True,
        ),
        ({"redis_version": "none"}, False),
        ({"other": "1"}, False),
        ({}, True),
    ],
    ids=lambda value: str(value),
)
def test_which_versions_are_fit(said, is_fit):
    assert (unfit(said) is None) == is_fit


# Rights


@pytest.mark.parametrize("missing", COMMANDS)
def test_a_right_is_missing(server, account, missing):
    assert amiss(account) == {}
    set_account(server, *RIGHTS, f"-{missing.lower()}")
    server.command("DEL", "negotiate:doctor")
    finding = only(account, "NW040")
    assert finding.found.startswith(f"The account may not send {missing}: ")
    command = finding.command
    if missing == "INFO":  # and with it the port
        command = command.replace("redis-cli", f"redis-cli -p {server.port}")
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert amiss(account) == {}


def test_what_is_told_is_what_a_site_meets(server, account):
    """The negative control: what is asked for is enough, and what is missing is missed."""
    store = ValkeyStore(account)

    def everything():
        assert store.claim(os.urandom(9))
        store.count(b"x", 60)
        store.count(b"x", 60, -1)
        store.count(b"x", 60, 0)
        revoke(store, "alice@R")
        store.end_session("x", time.time() + 60)
        assert store.revocations(0)

    everything()
    set_account(server, *RIGHTS, "-zadd")
    with pytest.raises(StoreError, match="zadd"):
        everything()


def test_keys_of_another_prefix(server, account):
    finding = only(account, "NW040", prefix="other")
    type_at_the_store(finding)
    assert amiss(account, prefix="other") == {}


def test_several_rights_are_missing(server, account):
    set_account(server, "+ping", "+info", "+multi", "+exec", "+get")
    finding = only(account, "NW040")
    type_at_the_store(finding)
    assert amiss(account) == {}
    set_account(server)
    assert list(amiss(account)) == ["NW040"]


def test_a_replica_takes_nothing(server):
    with Server(*GOOD, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        wait_until(lambda: "link_status:up" in replica.command("INFO", "replication"))
        finding = only(replica.url, "NW040")
        assert "does not do SET, " in finding.found
        assert "ReadOnlyError" in finding.found
        assert "no replica" in finding.remedy
        replica.command("REPLICAOF", "NO", "ONE")
        assert amiss(replica.url) == {}


# How it is set up


def test_it_forgets_what_it_has_no_room_for():
    with Server(*GOOD, "--maxmemory-policy", "allkeys-lru") as server:
        finding = only(server.url, "NW042")
        assert "(allkeys-lru)" in finding.found
        type_at_the_store(finding)
        assert amiss(server.url) == {}
        server.command("CONFIG", "SET", "maxmemory", "100mb")
        assert look(server.url)["NW042"].found == "noeviction, at most 100.00M"
        server.command("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
        only(server.url, "NW042")


def test_it_keeps_nothing():
    with Server() as server:
        finding = only(server.url, "NW043", "warning")
        assert "snapshots since it began: 0" in finding.found
        server.command("SAVE")
        assert "began: 1" in only(server.url, "NW043", "warning").found
        type_at_the_store(finding)
        assert amiss(server.url) == {}


def test_it_cannot_write():
    with Server("--save", "3600 1") as server:
        server.command("SET", "x", "1")
        in_its_way = server.directory / "dump.rdb" / "x"
        in_its_way.mkdir(parents=True)
        server.command("BGSAVE")
        persistence = lambda: server.command("INFO", "persistence")  # noqa: E731
        wait_until(lambda: "bgsave_status:err" in persistence())
        found = amiss(server.url)
        assert found["NW043"].status == "problem"
        assert "(rdb_last_bgsave_status)" in found["NW043"].found
        assert "MISCONF" in found["NW040"].found
        in_its_way.rmdir()
        in_its_way.parent.rmdir()
        server.command("SAVE")
        only(server.url, "NW043", "warning")


# Time


def test_it_is_far_away(server):
    """Each answer takes a fifth of the time that is waited for it."""
    with relayed(server, delay=0.1) as url:
        finding = only(url, "NW041", "warning")
    assert "ms in the middle of 21 answers" in finding.found
    assert "500 ms at most" in finding.found
    with relayed(server) as url:
        assert amiss(url) == {}


@pytest.mark.parametrize(
    ("clock", "status", "says"),
    [
        ("+60s", "problem", r"ahead of the store's: .* those of the last 5\d s before"),
        ("-60s", "warning", r"behind the store's: after a revocation, .* for 6\d s"),
    ],
    ids=["ahead", "behind"],
)
def test_the_clocks_differ(machine, server, clock, status, says):
    machine.prefix = ["faketime", "-f", clock]
    code, found = of_the_store(machine, "--store", server.url)
    [finding] = [f for f in found if f["status"] != "ok"]
    assert (finding["id"], finding["status"]) == ("NW044", status)
    assert code == {"problem": 2, "warning": 1}[status]
    assert re.search(says, finding["found"]), finding["found"]
