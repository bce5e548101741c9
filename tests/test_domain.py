"""The domain of Active Directory that other tests live in: its accounts, its tickets, and its end."""

import os
import signal
import subprocess
import sys

import gssapi
import pytest
import sites
from helpers import processes_with, wait_until
from initiator import Initiator

from negotiate_wsgi import Accepted, GssapiAcceptor, Reason
from negotiate_wsgi.wire.pac import LogonInfo


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
    domain.samba_tool("group", "add", "callers")
    domain.samba_tool("group", "addmembers", "callers", "bob")
    assert domain.samba_tool("group", "listmembers", "callers").split() == ["bob"]
    assert domain.sid_of("callers").startswith("S-1-5-21-")
    with pytest.raises(RuntimeError, match="samba-tool group add callers: "):
        domain.samba_tool("group", "add", "callers")


def test_what_a_test_does_to_the_keytab_is_undone(domain):
    os.unlink(domain.keytab)
    with pytest.raises(Exception, match="does not exist") as error:
        GssapiAcceptor().accept(domain.token())
    assert error.value.reason is Reason.KEYTAB_UNUSABLE
    domain.put_back()
    assert isinstance(GssapiAcceptor().accept(domain.token()), Accepted)


def groups_of(token):
    """The SIDs in the PAC of a genuine ticket."""
    result = gssapi.raw.accept_sec_context(token)
    name = result.initiator_name
    buffer = gssapi.raw.get_name_attribute(name, b"urn:mspac:logon-info")
    assert buffer.authenticated
    return set(map(str, LogonInfo.of(buffer.values[0]).sids()))


def test_groups_are_in_the_ticket_nested_ones_too_and_distribution_lists_are_not(
    domain,
):
    here = {
        name: domain.sid_of(name)
        for name in ("staff", "everybody", "web-users", "admins", "news")
    }
    alice = groups_of(domain.token())
    assert {name for name, sid in here.items() if sid in alice} == {
        "staff",
        "everybody",
        "web-users",
    }
    bob = groups_of(domain.token(user="bob"))
    assert {name for name, sid in here.items() if sid in bob} == {
        "everybody",
        "web-users",
        "admins",
    }


def test_a_thousand_groups_are_in_the_ticket(domain, sids_of_many):
    assert len(set(sids_of_many)) == 1000
    assert set(sids_of_many) <= groups_of(domain.token(user="many"))
    assert not set(sids_of_many) & groups_of(domain.token())


def olgas_token(domain, trusted_domain):
    spn = f"HTTP/localhost@{domain.name}"
    return Initiator(trusted_domain.ccache("olga"), spn).token


def test_a_user_of_a_trusted_domain_signs_on(domain, trusted_domain):
    token = olgas_token(domain, trusted_domain)
    result = GssapiAcceptor().accept(token)
    assert result.identity.principal == "olga@PARTNER.TEST"
    sids = groups_of(olgas_token(domain, trusted_domain))
    assert trusted_domain.sid_of("partners") in sids
    assert domain.sid_of("visitors") in sids  # of ours, and the ticket of theirs
    assert domain.sid_of("staff") not in sids


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
