"""Anybody can send tokens that are refused: they must not fill the memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20


@pytest.mark.parametrize(
    ("kind", "acceptor"),
    [
        ("garbage", "pykerberos"),
        ("ntlm", "pykerberos"),
        ("truncated", "pykerberos"),
        ("replayed", "pykerberos"),
        ("mixed", "gssapi"),
    ],
)
def test_15_000_refused_tokens_leave_memory_where_it_was(realm, kind, acceptor):
    script = Path(__file__).parent / "siege" / "refuse.py"
    environ = {**os.environ, "KRB5CCNAME": realm.ccache("bob")}
    command = [
        sys.executable,
        str(script),
        kind,
        "15000",
        "HTTP/localhost@EXAMPLE.TEST",
        acceptor,
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    status, grown = done.stdout.split()
    assert status == "401", done.stderr
    assert int(grown) < MIB
