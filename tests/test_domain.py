"""The domain of Active Directory that other tests live in: its accounts, its tickets, and its end."""

import os
import signal
import subprocess
import sys

import pytest
import sites
from helpers import processes_with, wait_until

from negotiate_wsgi import Accepted, GssapiAcceptor, Reason


def test_a_user_signs_on(domain):
    result = GssapiAcceptor().accept(domain.token())
    assert result.identity.principal == "alice@AD.CORP.TEST"
    assert GssapiAcceptor().accept(domain.token("HTTP/other.test")).reason.status == 401


def test_a_change_counts_at_once(domain):
    domain.add_user("dora")
    domain.kinit("dora")
    domain.set_password("dora", "Another-passw0rd")
    domain.kinit("dora")
    with pytest.raises(Exception, match="Password incorrect"):
        domain.kinit("dora", account="alice")
    domain.delete("dora")
    with pytest.raises(Exception, match="not found in Kerberos database"):
        domain.kinit("dora", account="alice")


def test_samba_tool_administers_it(domain):
    domain.samba_tool("group", "add", "visitors")
    domain.samba_tool("group", "addmembers", "visitors", "bob")
    assert domain.samba_tool("group", "listmembers", "visitors").split() == ["bob"]
    assert domain.sid_of("visitors").startswith("S-1-5-21-")
    with pytest.raises(RuntimeError, match="samba-tool group add visitors: "):
        domain.samba_tool("group", "add", "visitors")


def test_what_a_test_does_to_the_keytab_is_undone(domain):
    os.unlink(domain.keytab)
    with pytest.raises(Exception, match="does not exist") as error:
        GssapiAcceptor().accept(domain.token())
    assert error.value.reason is Reason.KEYTAB_UNUSABLE
    domain.put_back()
    assert isinstance(GssapiAcceptor().accept(domain.token()), Accepted)


DIES = """
import domain, sys
with domain.Domain() as here:
    print(here.kdc_port, here.directory, flush=True)
    sys.stdin.read()
"""


def test_nothing_of_it_survives_a_kill():
    process = subprocess.Popen(
        [sys.executable, "-c", DIES],
        env={**os.environ, "PYTHONPATH": str(sites.TESTS)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    port, directory = process.stdout.readline().split()
    assert sites.is_open(int(port))
    assert len(processes_with(directory)) >= 2  # Samba has other names for itself
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    wait_until(lambda: not processes_with(directory))
    wait_until(lambda: not sites.is_open(int(port)))
    wait_until(lambda: not os.path.exists(directory))
