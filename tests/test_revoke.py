"""``negotiate-wsgi revoke``, and sites that are configured by variables, with a real store."""

import math
import os
import re
import subprocess
import sys
import time

import pytest
from helpers import GOOD, KEY, KRB5, negotiate, set_cookies, spnego, wait_until
from sites import WsgiSite
from valkeys import Server, free_port

from negotiate_wsgi.__main__ import main
from negotiate_wsgi.settings import from_environ
from negotiate_wsgi.stores.protocol import Revocations
from negotiate_wsgi.stores.valkey import ValkeyStore

OTHER = spnego(KRB5, ticket=b"another")


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
def store(server, monkeypatch):
    server.command("FLUSHALL")
    monkeypatch.setenv("NEGOTIATE_STORE", server.url)
    return ValkeyStore(server.url)


def run(*arguments):
    """The exit code."""
    try:
        return main(["revoke", *arguments])
    except SystemExit as ended:
        return ended.code


def test_one_and_two(store, capsys):
    assert run("alice@EXAMPLE.TEST") == 0
    told = capsys.readouterr().out
    assert re.fullmatch(
        r"sessions of alice@EXAMPLE\.TEST that began before "
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ end within 5 s\.\n"
        r"A ticket or password that is still good signs on again: disable the account "
        r"in the KDC, too\.\n",
        told,
    )
    assert run("bob@R", "http/carol@R") == 0
    known = store.revocations(0).principals
    assert set(known) == {"alice@EXAMPLE.TEST", "bob@R", "http/carol@R"}
    assert all(abs(moment - time.time()) < 5 for moment in known.values())


def test_everybody(store, capsys, monkeypatch):
    monkeypatch.setenv("NEGOTIATE_STORE_REFRESH", "2")
    assert run("--all") == 0
    assert "all sessions that began before" in capsys.readouterr().out
    assert list(store.revocations(0).principals) == ["*"]


def test_list(store, capsys):
    store.restore(
        Revocations(0, {"a\x1b[31m\n@R": time.time()}, {"x": time.time() + 9})
    )
    assert run("--list") == 0
    told = capsys.readouterr().out
    assert re.search(r"^\S+Z a\?\[31m\?@R$", told, re.MULTILINE)
    assert "1 sessions were ended" in told


def test_another_prefix(store, server, monkeypatch):
    assert run("--prefix", "other", "alice@R") == 0
    monkeypatch.setenv("NEGOTIATE_STORE_PREFIX", "third")
    assert run("alice@R") == 0
    assert store.revocations(0) is None
    for prefix in ("other", "third"):
        assert ValkeyStore(server.url, prefix=prefix).revocations(0)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["alice"],
        ["alice@R", "bob"],
        ["alice@R", "--all"],
        ["--all", "--list"],
        ["*"],
        [" alice@R"],
        ["alice@R "],
        ["alice@R", "bob@R\n"],
        ["a\x1b[31m@R"],
        [os.fsdecode(b"\xe9@R")],
    ],
)
def test_usage(store, arguments, capsys):
    assert run(*arguments) == 2
    told = capsys.readouterr().err
    assert told
    assert told.replace("\n", "").isprintable()
    assert store.revocations(0) is None


@pytest.mark.parametrize("refresh", ["junk", "0", "21", "-1", "1.5"])
def test_a_wrong_refresh_is_said_before_anything_is_revoked(
    store, refresh, monkeypatch, capsys
):
    monkeypatch.setenv("NEGOTIATE_STORE_REFRESH", refresh)
    assert run("--all") == 2
    assert "refresh" in capsys.readouterr().err.lower()
    assert store.revocations(0) is None


def test_moments_that_nobody_honest_writes(store, capsys):
    for number, moment in enumerate((9e12, 1e18, math.inf, -1e18, -math.inf)):
        store._client.zadd("negotiate:revoked", {f"user{number}@R": moment})
    store._client.set("negotiate:revision", 1)
    assert run("--list") == 0
    told = capsys.readouterr().out
    assert told.count("(in the future) user") == 3
    assert told.count("1970-01-01T00:00:00Z user") == 2
    assert run("user1@R") == 0
    assert f"began before {time.gmtime().tm_year}-" in capsys.readouterr().out


def test_what_its_output_cannot_show_is_escaped(store):
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in (["é@R"], ["--list"]):
        program = [sys.executable, "-m", "negotiate_wsgi", "revoke", *arguments]
        done = subprocess.run(
            program, env=environ, check=True, capture_output=True, text=True
        )
        assert "\\xe9@R" in done.stdout
        assert done.stderr == ""
    assert list(store.revocations(0).principals) == ["é@R"]


def test_it_is_done_where_it_cannot_be_read_again(server, capsys):
    server.command("FLUSHALL")
    server.command(
        "ACL", "SETUSER", "blind", "on", ">hunter2", "~negotiate:*", "+@all", "-zrange"
    )
    url = f"valkey://blind:hunter2@127.0.0.1:{server.port}/0"
    assert run("alice@R", "--store", url) == 0
    assert "sessions of alice@R that began before 2" in capsys.readouterr().out
    assert run("--list", "--store", url) == 2
    assert "is not reached: NoPermissionError" in capsys.readouterr().err
    assert list(ValkeyStore(server.url).revocations(0).principals) == ["alice@R"]


def test_no_store(monkeypatch, capsys):
    monkeypatch.delenv("NEGOTIATE_STORE", raising=False)
    assert run("--all") == 2
    assert "NEGOTIATE_STORE" in capsys.readouterr().err


def test_not_reached_is_one_line_without_the_password(capsys):
    url = f"valkey://user:hunter2@127.0.0.1:{free_port()}/0"
    assert run("--all", "--store", url) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "is not reached: ConnectionError" in told
    assert "hunter2" not in told


def test_help_does_not_show_the_variable(monkeypatch, capsys):
    monkeypatch.setenv("NEGOTIATE_STORE", "valkey://:hunter2@host")
    assert run("--help") == 0
    assert "hunter2" not in capsys.readouterr().out


def test_sites_by_variables(store, server, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    variables = {
        "NEGOTIATE_APP": "mounted:app",
        "NEGOTIATE_ACCEPTOR": "mounted:acceptor",
        "NEGOTIATE_SECRET_KEY_FILE": str(key),
        "NEGOTIATE_STORE": server.url,
        "NEGOTIATE_STORE_REFRESH": "1",
    }
    here, there = (WsgiSite(from_environ(variables)) for _ in range(2))
    signed_on = here.request("/", negotiate(GOOD))
    assert signed_on.status == 200
    assert there.request("/", negotiate(GOOD)).status == 401
    cookie = ("Cookie", set_cookies(signed_on)[0].partition(";")[0])
    assert there.request("/", headers=[cookie]).status == 200
    assert run("--all") == 0
    wait_until(lambda: there.request("/", headers=[cookie]).status == 401)
    wait_until(lambda: here.request("/", headers=[cookie]).status == 401)
    assert there.request("/", negotiate(OTHER)).status == 200
