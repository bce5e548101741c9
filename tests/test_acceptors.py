"""Is it true? The key rule without a KDC, and the contract that every acceptor keeps, with one."""

import base64
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import krb5
import pytest
from helpers import IAKERB, NTLM, accepted, der, keytab_entry, relabelled, rewritten
from helpers import KRB5 as KRB5_OID
from helpers import SPNEGO as SPNEGO_OID
from initiator import KRB5, SPNEGO

from negotiate_wsgi import Accepted, AcceptorError, GssapiAcceptor, Reason, Refused
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target, Verdict
from negotiate_wsgi.wire.authorization import Credential, screen, write_token
from negotiate_wsgi.wire.ticket import Ticket

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
    verdict = Verdict(
        Credential("secret"), object(), accepted("alice@R", None, b"secret")
    )
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


@pytest.fixture(scope="session", autouse=True)
def hosts_without_a_key(realm):
    """HTTP/xxxx..., of the lengths that a test puts other words into."""
    for length in (2, 14, 15, 18, 23):
        realm.kadmin("addprinc", "-randkey", f"HTTP/{'x' * length}")


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
def test_contract_spn_relabelled_in_transit(
    make, realm, service, tmp_path, monkeypatch
):
    """The key that opens a ticket tells what it was issued for, whatever its clear text says."""
    keytab = tmp_path / "keytab"
    for spn in ("HTTP/localhost", f"{service}/localhost"):
        realm.kadmin("ktadd", "-norandkey", "-k", str(keytab), spn)
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    token = realm.token(f"{service}/localhost")
    refused = make().accept(relabelled(token, service.encode(), b"HTTP"))
    assert refused.reason is Reason.WRONG_SERVICE
    assert refused.principal == "alice@EXAMPLE.TEST"
    assert refused.spn == f"{service}/localhost@EXAMPLE.TEST"


def test_contract_an_spn_of_another_service_is_not_even_opened(make, realm):
    """The token is good still afterwards: krb5 has not seen it."""
    token = realm.token()
    refused = make().accept(relabelled(token, b"HTTP", b"host"))
    assert refused.reason is Reason.WRONG_SERVICE
    assert refused.spn == f"host/localhost@{realm.name}"
    assert refused.principal is None
    assert isinstance(make().accept(token), Accepted)


def test_contract_the_service_in_clear_text_has_no_case(make, realm):
    """Active Directory issues tickets for whatever case a client asks with."""
    accepted = make().accept(
        relabelled(realm.token("HTTP/alias.test"), b"HTTP", b"hTTp")
    )
    assert accepted.identity.spn == "HTTP/alias.test@EXAMPLE.TEST"


def test_contract_the_clear_text_may_name_another_host(make, realm):
    """An account's key may be known to us under another of its names."""
    token = realm.token("HTTP/alias.test")
    accepted = make().accept(relabelled(token, b"alias.test", b"other.test"))
    assert accepted.identity.spn == "HTTP/alias.test@EXAMPLE.TEST"


def test_contract_a_clear_text_that_is_no_der_decides_nothing(make, realm):
    """krb5 reads lengths in more octets than DER has. We do not, and leave it to the key."""
    tokens = [
        with_a_long_length(realm.token(spn, mech=KRB5))
        for spn in ("HTTP/alias.test", "host/localhost")
    ]
    assert [Ticket.of(token) for token in tokens] == [None, None]
    assert make().accept(tokens[0]).identity.spn == "HTTP/alias.test@EXAMPLE.TEST"
    assert make().accept(tokens[1]).reason is Reason.WRONG_SERVICE


def with_a_long_length(token):
    """*token*, bare krb5, whose list of the SPN's components has its length in two octets."""
    to_the_list = [0x60, 0x6E, 0x30, 0xA3, 0x61, 0x30, 0xA2, 0x30, 0xA1]
    return rewritten(token, to_the_list, lambda it: b"\x30\x81" + it[1:])


class Account:
    """An account as in Active Directory: the names in its keytab have one key."""

    def __init__(self, realm, directory, name):
        self.spn = f"HTTP/{name}"
        self.keytab = directory / name
        realm.add_service(self.spn, self.keytab)
        self.keys = keys_in(self.keytab)

    def write(self, *entries):
        """Entries of this realm: a name, a kvno, and whose keys; of each encryption type."""
        content = b"\5\2"
        for name, kvno, keys in entries:
            for enctype, key in keys:
                content += keytab_entry(name, b"EXAMPLE.TEST", kvno, enctype, key)
        self.keytab.write_bytes(content)


def keys_in(keytab):
    found = krb5.kt_resolve(krb5.init_context(), f"FILE:{keytab}".encode())
    return [(entry.key.enctype, bytes(entry.key.data)) for entry in found]


_numbers = itertools.count()


@pytest.fixture
def account(make, realm, tmp_path, monkeypatch):
    account = Account(realm, tmp_path, f"web-{next(_numbers)}.test")
    monkeypatch.setenv("KRB5_KTNAME", str(account.keytab))
    return account


def other_keys(account):
    return [(enctype, key[::-1]) for enctype, key in account.keys]


def test_contract_any_spn_of_the_key_may_be_ours(make, realm, account):
    """The keytab of a machine's account in Active Directory: host/ first, then HTTP/."""
    account.write(("host/web.test", 1, account.keys), (account.spn, 1, account.keys))
    accepted = make().accept(realm.token(account.spn))
    assert accepted.identity.spn == f"{account.spn}@EXAMPLE.TEST"
    assert accepted.identity.principal == "alice@EXAMPLE.TEST"
    # A ticket that says that it is for host/ is refused all the same.
    host = relabelled(realm.token(account.spn), b"HTTP", b"host")
    assert make().accept(host).reason is Reason.WRONG_SERVICE
    # Nor is the door open for a service whose key it is not.
    account.write(
        ("host/web.test", 1, account.keys), (account.spn, 1, other_keys(account))
    )
    refused = make().accept(realm.token(account.spn))
    assert refused.reason is Reason.WRONG_SERVICE
    assert refused.spn == "host/web.test@EXAMPLE.TEST"


def test_contract_the_name_that_the_ticket_has_comes_first(make, realm, account):
    account.write(
        ("host/web.test", 1, account.keys),
        ("HTTP/a.test", 1, account.keys),
        (account.spn, 1, account.keys),
    )
    assert (
        make().accept(realm.token(account.spn)).identity.spn
        == f"{account.spn}@EXAMPLE.TEST"
    )


def test_contract_a_shared_key_opens_for_the_host_that_is_wanted(make, realm, account):
    account.write((account.spn, 1, account.keys), ("HTTP/wanted.test", 1, account.keys))
    accepted = make(hostname="wanted.test").accept(realm.token(account.spn))
    assert accepted.identity.spn == "HTTP/wanted.test@EXAMPLE.TEST"
    account.write(
        (account.spn, 1, account.keys), ("HTTP/wanted.test", 1, other_keys(account))
    )
    refused = make(hostname="wanted.test").accept(realm.token(account.spn))
    assert refused.reason is Reason.WRONG_SERVICE
    assert refused.spn == f"{account.spn}@EXAMPLE.TEST"


def test_contract_a_key_that_is_not_shared_does_not_open(make, realm, account):
    """host/ has a key of its own beside one that it shared with us: which one it was is what counts."""
    shared = other_keys(account)
    account.write(
        ("host/web.test", 1, account.keys),
        ("host/web.test", 2, shared),
        (account.spn, 2, shared),
    )
    kvno = b"\xa1\x03\x02\x01"
    for claimed in (b"\1", b"\2"):
        token = realm.token(account.spn).replace(
            kvno + b"\1\xa2", kvno + claimed + b"\xa2", 1
        )
        assert Ticket.of(token).kvno == ord(claimed)
        refused = make().accept(token)
        assert refused.reason is Reason.WRONG_SERVICE
        assert refused.spn == "host/web.test@EXAMPLE.TEST"


def test_contract_an_older_key_of_ours_opens(make, realm, account):
    newer = other_keys(account)
    account.write((account.spn, 2, newer), (account.spn, 1, account.keys))
    assert isinstance(make().accept(realm.token(account.spn)), Accepted)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"hostname": "wrong.test"}, "no key for HTTP/wrong.test, but for "),
        (
            {"hostname": ["b.test", "a.test"]},
            "no key for HTTP/a.test or HTTP/b.test, but for ",
        ),
        ({"service": "rest"}, "no key for rest/ and any host, but for "),
    ],
    ids=["hostname", "hostnames", "service"],
)
def test_contract_a_keytab_without_a_key_of_ours_is_our_fault(
    make, realm, account, options, missing
):
    account.write((account.spn, 1, account.keys), ("host/web.test", 1, account.keys))
    token = realm.token(account.spn)
    there = f"{account.spn}@EXAMPLE.TEST, host/web.test@EXAMPLE.TEST"
    for sent in (token, b"\x60\x0d" + KRB5_OID + b"\1\0"):
        with pytest.raises(AcceptorError) as error:
            make(**options).accept(sent)
        assert error.value.reason is Reason.KEYTAB_UNUSABLE
        assert error.value.detail == f"the keytab {account.keytab} has {missing}{there}"
    assert isinstance(make().accept(realm.token(account.spn)), Accepted)


def test_contract_keytab_of_the_kind_that_is_written_to(make, realm, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", f"WRFILE:{realm.keytab}")
    assert isinstance(make().accept(realm.token()), Accepted)
    refused = make().accept(realm.token("HTTP/no-key.test"))
    assert refused.reason is Reason.SPN_NOT_IN_KEYTAB
    assert "HTTP/localhost@EXAMPLE.TEST kvno 1" in refused.detail
    monkeypatch.setenv("KRB5_KTNAME", "WRFILE:/no/such/keytab")
    with pytest.raises(
        AcceptorError, match="the keytab /no/such/keytab does not exist"
    ):
        make().accept(realm.token())


def test_contract_hostname(make, realm):
    only = make(hostname=["LOCALHOST"])
    assert (
        only.accept(realm.token("HTTP/no-key.test")).reason is Reason.SPN_NOT_IN_KEYTAB
    )
    assert only.accept(realm.token()).identity.principal == "alice@EXAMPLE.TEST"
    assert only.accept(realm.token("HTTP/alias.test")).reason is Reason.WRONG_SERVICE
    assert (
        make().accept(realm.token("HTTP/alias.test")).identity.spn
        == "HTTP/alias.test@EXAMPLE.TEST"
    )


def test_contract_service(make, realm):
    assert isinstance(
        make(service="host").accept(realm.token("host/localhost")), Accepted
    )
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
        damaged[min(at, len(token) - 1)] ^= 0x55  # another token may be shorter
        result = acceptor.accept(bytes(damaged))
        # The outermost bytes are the screening's; nothing that the ticket protects may change.
        if isinstance(result, Accepted):
            assert (result.identity.principal, result.identity.spn) == (
                realm.principal(),
                f"HTTP/localhost@{realm.name}",
            )
            token = realm.token()
        else:
            assert result.reason.status == 401


def test_contract_garbage(make, realm):
    for garbage in (b"\x60", b"\x60\x00", bytes(1000), b"NTLMSSP\0"):
        assert make().accept(garbage).reason.status == 401


@pytest.mark.parametrize(
    "mechanism", [IAKERB, SPNEGO_OID, NTLM], ids=["iakerb", "spnego", "ntlm"]
)
def test_contract_another_mechanism_inside_is_the_clients_fault(make, realm, mechanism):
    """The screening refuses it; an acceptor that is asked all the same finds no fault of ours."""
    inside = der(0xA2, der(0x04, der(0x60, mechanism, b"\1\0ticket")))
    offers = der(0xA0, der(0x30, KRB5_OID))
    token = der(0x60, SPNEGO_OID, der(0xA0, der(0x30, offers, inside)))
    assert screen(token).reason is Reason.UNSUPPORTED_MECHANISM
    assert make().accept(token).reason.status == 401
    assert isinstance(make().accept(realm.token()), Accepted)


@pytest.mark.parametrize(
    "host",
    [
        "no replay cache",
        "(filename: /etc/passwd)",
        "Replay information",
        "\xff\xfe",
        "Ticket expired",
    ],
)
def test_contract_the_words_of_an_spn_are_no_fault_of_ours(make, realm, host):
    host = host.encode("latin-1")
    token = relabelled(realm.token(f"HTTP/{'x' * len(host)}"), b"x" * len(host), host)
    refused = make().accept(token)
    assert refused.reason in (Reason.SPN_NOT_IN_KEYTAB, Reason.UNKNOWN)
    assert (refused.reason is Reason.UNKNOWN) <= (host == b"\xff\xfe")


def test_contract_needs_another_leg(make, realm):
    offers_only = der(
        0x60, SPNEGO_OID, der(0xA0, der(0x30, der(0xA0, der(0x30, KRB5_OID))))
    )
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
        if "resolv.conf" in line
        or "nsswitch" in line
        or "AF_INET" in line
        or "/etc/hosts" in line
    ]
    assert looked_up == []
    assert "libkrb5" in trace.read_text()  # it has traced what it was to trace


def test_contract_threads_do_not_mix_users(make, realm):
    acceptor, wrong = make(), []
    users = ["alice", "bob"]
    spns = ["HTTP/localhost", "HTTP/alias.test"]
    work = [
        (user, spn, realm.token(spn, user))
        for user in users
        for spn in spns
        for _ in range(40)
    ]

    def run(part):
        for user, spn, token in part:
            result = acceptor.accept(token)
            if (result.identity.principal, result.identity.spn) != (
                realm.principal(user),
                f"{spn}@{realm.name}",
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
