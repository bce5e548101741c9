"""Is it true? The key rule without a KDC, and the contract that every acceptor keeps, with one."""

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import KRB5 as KRB5_OID
from helpers import SPNEGO as SPNEGO_OID
from helpers import accepted, der
from initiator import KRB5, SPNEGO

from negotiate_wsgi import Accepted, AcceptorError, GssapiAcceptor, Reason, Refused
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, Verdict
from negotiate_wsgi.wire.authorization import Credential, screen, write_token

ANY_HOST = Target.of("HTTP", None)
TWO_HOSTS = Target.of("HTTP", ["www.example.com", "Alias.Example.Com"])


@pytest.mark.parametrize(
    ("spn", "any_host", "two_hosts"),
    [
        ("HTTP/www.example.com@R", True, True),
        ("HTTP/WWW.EXAMPLE.COM@R", True, True),
        ("HTTP/alias.example.com@OTHER", True, True),
        ("HTTP/evil.example.com@R", True, False),
        ("HTTP/www.example.com.evil@R", True, False),
        ("host/www.example.com@R", False, False),
        ("http/www.example.com@R", False, False),
        ("HTTPS/www.example.com@R", False, False),
        ("HTTP@R", False, False),
        (r"HTTP\/www.example.com@R", False, False),
        (r"host/HTTP/www.example.com@R", False, False),
        ("HTTP/www.example.com/www.example.com@R", True, False),
        ("HTTP/www.example.com", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_target(spn, any_host, two_hosts):
    ticket = accepted("alice@R", spn)
    for target, expected in ((ANY_HOST, any_host), (TWO_HOSTS, two_hosts)):
        result = target.check(ticket)
        if expected:
            assert result is ticket
        else:
            assert result.reason is Reason.WRONG_SERVICE
            assert result.spn == spn


def test_verdict_is_read_by_another_layer_in_the_light_of_its_own_target():
    here, there = KeytabAcceptor(ANY_HOST, "k"), KeytabAcceptor(TWO_HOSTS, "k")
    elsewhere = KeytabAcceptor(ANY_HOST, "another keytab")
    www = accepted("alice@R", "HTTP/www.example.com@R", b"proof")
    evil = accepted("alice@R", "HTTP/evil.example.com@R", b"proof")
    assert Verdict(b"t", here, www).as_seen_by(here) is www
    assert Verdict(b"t", here, www).as_seen_by(there) is www
    assert Verdict(b"t", here, evil).as_seen_by(there).reason is Reason.WRONG_SERVICE
    assert Verdict(b"t", here, www).as_seen_by(elsewhere) is None
    assert Verdict(b"t", here, www).as_seen_by(object()) is None
    assert Verdict(b"t", object(), www).as_seen_by(here) is None
    replayed, wrong = Refused(Reason.REPLAYED), Refused(Reason.WRONG_SERVICE)
    assert Verdict(b"t", here, replayed).as_seen_by(there) is replayed
    assert Verdict(b"t", there, wrong).as_seen_by(here) is None


def test_tokens_are_not_shown():
    verdict = Verdict(Credential("secret"), object(), accepted("alice@R", None, b"secret"))
    assert "secret" not in repr(verdict)


@pytest.fixture(params=[PykerberosAcceptor, GssapiAcceptor])
def make(request, realm):
    """Makes acceptors; every implementation goes through all that follows."""
    return request.param


NAMES = ["alice", "user/admin", "we ird", "\xfcser", r"a\@b", "host/web"]


@pytest.mark.parametrize("name", NAMES)
def test_contract_names(make, realm, name):
    if not realm.has_user(name):
        realm.add_user(name)
    initiator = realm.initiator(user=name)
    accepted = make().accept(initiator.token)
    assert accepted.identity.principal == f"{name}@EXAMPLE.TEST"
    assert accepted.identity.spn == "HTTP/localhost@EXAMPLE.TEST"


@pytest.mark.parametrize("mech", [SPNEGO, KRB5], ids=["spnego", "krb5"])
def test_contract_mutual_token(make, realm, mech):
    initiator = realm.initiator(mech=mech)
    assert initiator.trusts(write_token(make().accept(initiator.token).token))


def test_contract_no_mutual_token_where_none_was_asked(make, realm):
    assert make().accept(realm.token(mech=KRB5, mutual=False)).token is None


@pytest.mark.parametrize(
    ("spn", "reason"),
    [
        ("host/localhost", Reason.WRONG_SERVICE),
        ("nfs/localhost", Reason.WRONG_SERVICE),
        ("http/localhost", Reason.WRONG_SERVICE),
        ("HTTP/no-key.test", Reason.SPN_NOT_IN_KEYTAB),
        ("HTTP/rotated.test", Reason.STALE_TICKET),
        ("HTTP/stale-keytab.test", Reason.STALE_KEYTAB),
        ("HTTP/wrong-key.test", Reason.WRONG_KEY),
        ("HTTP/no-enctype.test", Reason.ENCTYPE_MISSING),
    ],
)
def test_contract_refused_for_its_spn(make, realm, spn, reason):
    refused = make().accept(realm.token(spn))
    assert refused.reason is reason
    assert refused.spn == f"{spn}@EXAMPLE.TEST"
    assert isinstance(make().accept(realm.token()), Accepted)


@pytest.mark.parametrize("service", ["host", "rest"])
def test_contract_spn_relabelled_in_transit(make, realm, service):
    token = realm.token(f"{service}/localhost")
    relabelled = token.replace(b"\x04" + service.encode(), b"\x04HTTP", 1)
    assert relabelled != token
    refused = make().accept(relabelled)
    # An acceptor that tries other services' keys finds out which one it was.
    assert refused.reason in (Reason.WRONG_SERVICE, Reason.WRONG_KEY)
    if refused.reason is Reason.WRONG_SERVICE:
        assert refused.principal == "alice@EXAMPLE.TEST"
        assert refused.spn == f"{service}/localhost@EXAMPLE.TEST"


def test_contract_hostname(make, realm):
    only = make(hostname=["LOCALHOST"])
    assert only.accept(realm.token()).identity.principal == "alice@EXAMPLE.TEST"
    assert only.accept(realm.token("HTTP/alias.test")).reason is Reason.WRONG_SERVICE
    assert (
        make().accept(realm.token("HTTP/alias.test")).identity.spn == "HTTP/alias.test@EXAMPLE.TEST"
    )


def test_contract_service(make, realm):
    assert isinstance(make(service="host").accept(realm.token("host/localhost")), Accepted)
    assert make(service="host").accept(realm.token()).reason is Reason.WRONG_SERVICE


def test_contract_replayed(make, realm):
    token = realm.token()
    assert isinstance(make().accept(token), Accepted)
    assert make().accept(token).reason is Reason.REPLAYED


def test_contract_expired_and_skewed(make, realm, expired, skewed):
    assert make().accept(expired).reason is Reason.EXPIRED
    assert make().accept(skewed).reason is Reason.CLOCK_SKEW


def test_contract_damaged_in_every_place(make, realm):
    acceptor, token = make(), realm.token()
    for at in range(0, len(token), 7):
        damaged = bytearray(token)
        damaged[at] ^= 0x55
        result = acceptor.accept(bytes(damaged))
        # The outermost bytes are the screening's; nothing that the ticket protects may change.
        if isinstance(result, Accepted):
            assert (result.identity.principal, result.identity.spn) == (
                "alice@EXAMPLE.TEST",
                "HTTP/localhost@EXAMPLE.TEST",
            )
            token = realm.token()
        else:
            assert result.reason.status == 401


def test_contract_garbage(make, realm):
    for garbage in (b"\x60", b"\x60\x00", bytes(1000), b"NTLMSSP\0"):
        assert make().accept(garbage).reason.status == 401


def test_contract_needs_another_leg(make, realm):
    offers_only = der(0x60, SPNEGO_OID, der(0xA0, der(0x30, der(0xA0, der(0x30, KRB5_OID)))))
    assert screen(offers_only) is None
    assert make().accept(offers_only).reason is Reason.NEEDS_ANOTHER_LEG


def test_contract_keytab_missing(make, realm, tmp_path, monkeypatch):
    keytab = tmp_path / "keytab"
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    acceptor = make()
    with pytest.raises(AcceptorError, match=f"{keytab} does not exist") as error:
        acceptor.accept(realm.token())
    assert error.value.reason is Reason.KEYTAB_UNUSABLE
    keytab.write_bytes(Path(realm.keytab).read_bytes())
    assert isinstance(acceptor.accept(realm.token()), Accepted)


def test_contract_replay_cache_unusable(make, realm, monkeypatch):
    monkeypatch.setenv("KRB5RCACHEDIR", "/no/such/directory")
    with pytest.raises(AcceptorError, match="directory /no/such/directory") as error:
        make().accept(realm.token())
    assert error.value.reason is Reason.REPLAY_CACHE_UNUSABLE


def test_contract_keytab_replaced_on_disk(make, realm, tmp_path, monkeypatch):
    keytab = tmp_path / "keytab"
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    spn = f"HTTP/replaced-{make.__name__.lower()}.test"
    realm.add_service(spn, keytab)
    acceptor = make()
    assert isinstance(acceptor.accept(realm.token(spn)), Accepted)
    keytab.unlink()
    realm.kadmin("ktadd", "-k", str(keytab), spn)  # a new key
    assert acceptor.accept(realm.token(spn)).reason is Reason.STALE_TICKET
    realm.kinit("bob")
    assert isinstance(acceptor.accept(realm.token(spn, user="bob")), Accepted)


def test_contract_no_dns(make, realm, monkeypatch, tmp_path):
    """Watches the system calls of a process that accepts: C libraries look up names, too."""
    script = tmp_path / "accept.py"
    script.write_text(
        "import sys, base64\n"
        f"from {make.__module__} import {make.__name__} as Acceptor\n"
        "print(Acceptor(hostname='localhost').accept(base64.b64decode(sys.argv[1])).identity.principal)\n"
    )
    token = base64.b64encode(realm.token()).decode()
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=openat,socket,connect", "-o", str(trace)]
    seen = subprocess.run(
        [*command, sys.executable, str(script), token],
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert seen.stdout == "alice@EXAMPLE.TEST\n", seen.stderr
    looked_up = [
        line
        for line in trace.read_text().splitlines()
        if "resolv.conf" in line or "nsswitch" in line or "AF_INET" in line or "/etc/hosts" in line
    ]
    assert looked_up == []
    assert "libkrb5" in trace.read_text()  # it has traced what it was to trace


def test_contract_threads_do_not_mix_users(make, realm):
    acceptor, wrong = make(), []
    users = ["alice", "bob"]
    spns = ["HTTP/localhost", "HTTP/alias.test"]
    work = [
        (user, spn, realm.token(spn, user)) for user in users for spn in spns for _ in range(40)
    ]

    def run(part):
        for user, spn, token in part:
            result = acceptor.accept(token)
            if (result.identity.principal, result.identity.spn) != (
                f"{user}@EXAMPLE.TEST",
                f"{spn}@EXAMPLE.TEST",
            ):
                wrong.append(result)
            if acceptor.accept(token[:-1]).reason.status != 401:
                wrong.append(token)

    threads = [threading.Thread(target=run, args=(work[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
