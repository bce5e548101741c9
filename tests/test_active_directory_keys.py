"""Keys of accounts in Active Directory: for every keytab that people make, both acceptors say the same.

All SPNs of an account have its one key, and a keytab has whatever names it was exported under.
"""

import subprocess
from pathlib import Path

import pytest
from domain import AES, RC4

from negotiate_wsgi import Accepted, AcceptorError, GssapiAcceptor, Reason
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor


@pytest.fixture(params=[PykerberosAcceptor, GssapiAcceptor])
def make(request):
    return request.param


@pytest.fixture
def keytab(domain, tmp_path, monkeypatch):
    """The path of a new keytab, which acceptors take."""
    path = str(tmp_path / "www.keytab")
    monkeypatch.setenv("KRB5_KTNAME", path)
    return path


@pytest.fixture(scope="session")
def accounts(domain_controller):
    """Accounts for these tests alone, with SPNs that no other account has."""
    domain = domain_controller
    domain.add_service_account("svc-app", ["HTTP/app", "HTTP/app.corp.test"])
    domain.add_service_account("svc-case", ["http/CASE.corp.test"])
    domain.add_service_account("svc-rc4", ["HTTP/rc4.test"], enctypes=RC4)
    domain.add_service_account("svc-silent", ["HTTP/silent.test"], enctypes=None)


@pytest.fixture
def rotating(domain, make):
    """An account whose password a test may change, and its SPN."""
    name = f"svc-{make.__name__.lower()}"[:20]
    spn = f"HTTP/{make.__name__.lower()}.test"
    domain.add_service_account(name, [spn])
    yield name, spn
    domain.delete(name)


def is_in(result, spn):
    """Whether alice came in by the key of *spn*."""
    who = (result.identity.principal, result.identity.spn)
    return who == ("alice@AD.CORP.TEST", f"{spn}@AD.CORP.TEST")


def fault_of(acceptor, token):
    with pytest.raises(AcceptorError) as error:
        acceptor.accept(token)
    assert error.value.reason is Reason.KEYTAB_UNUSABLE
    return error.value.detail


@pytest.mark.parametrize(
    "names",
    [
        ["host/web2", "HTTP/web2", "WEB2$"],
        ["WEB2$", "host/web2", "HTTP/web2"],
        ["HTTP/web2", "host/web2", "WEB2$"],
    ],
    ids=["host first", "account first", "HTTP first"],
)
def test_a_computers_keytab(make, domain, keytab, names):
    """As realmd, adcli and net ads keytab write it."""
    domain.export_keytab(keytab, *names)
    assert is_in(make().accept(domain.token("HTTP/web2")), "HTTP/web2")
    assert is_in(make(hostname="web2").accept(domain.token("HTTP/web2")), "HTTP/web2")
    for name in ("host/web2", "WEB2$"):
        refused = make().accept(domain.token(name))
        assert refused.reason is Reason.WRONG_SERVICE
        assert refused.spn == f"{name}@AD.CORP.TEST"


def test_a_computers_keytab_without_a_name_of_ours(make, domain, keytab):
    domain.export_keytab(keytab, "host/web2", "WEB2$")
    there = "host/web2@AD.CORP.TEST, WEB2$@AD.CORP.TEST"
    said = fault_of(make(), domain.token("HTTP/web2"))
    assert (
        said
        == f"the keytab {keytab} has no key for HTTP/ and any host, but for {there}"
    )
    domain.export_keytab(keytab, "HTTP/web2")
    assert is_in(make().accept(domain.token("HTTP/web2")), "HTTP/web2")


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("first", ["HTTP/app", "HTTP/app.corp.test"])
def test_a_service_with_two_spns(make, domain, keytab, first):
    names = sorted(["HTTP/app", "HTTP/app.corp.test"], key=lambda spn: spn != first)
    domain.export_keytab(keytab, *names)
    for spn in names:
        assert is_in(make().accept(domain.token(spn)), spn)
        # Either host is open to both names: they have one key.
        for host in ("app", "app.corp.test"):
            accepted = make(hostname=host).accept(domain.token(spn))
            assert is_in(accepted, f"HTTP/{host}")
    refused = make().accept(domain.token("HTTP/other.test"))
    assert refused.reason is Reason.SPN_NOT_IN_KEYTAB


@pytest.mark.usefixtures("accounts")
def test_a_service_with_two_spns_and_a_key_under_one_of_them(make, domain, keytab):
    domain.export_keytab(keytab, "HTTP/app.corp.test")
    assert is_in(make().accept(domain.token("HTTP/app")), "HTTP/app.corp.test")
    only = make(hostname="app.corp.test")
    assert is_in(only.accept(domain.token("HTTP/app")), "HTTP/app.corp.test")
    said = fault_of(make(hostname="app"), domain.token("HTTP/app"))
    assert "has no key for HTTP/app, but for HTTP/app.corp.test@" in said


@pytest.mark.usefixtures("accounts")
def test_the_accounts_name_alone(make, domain, keytab):
    domain.export_keytab(keytab, "svc-app")
    said = fault_of(make(), domain.token("HTTP/app"))
    assert "has no key for HTTP/ and any host, but for svc-app@AD.CORP.TEST" in said
    said = fault_of(make(hostname="app"), domain.token("HTTP/app"))
    assert "has no key for HTTP/app, but for svc-app@AD.CORP.TEST" in said
    domain.export_keytab(keytab, "HTTP/app")  # its key is beside it
    assert is_in(make().accept(domain.token("HTTP/app")), "HTTP/app")


@pytest.mark.usefixtures("accounts")
def test_registered_in_another_case(make, domain, keytab):
    """The KDC compares without case, and a keytab has the spelling that was exported."""
    domain.export_keytab(keytab, "http/CASE.corp.test")
    for asked in ("HTTP/case.corp.test", "http/CASE.corp.test"):
        said = fault_of(make(), domain.token(asked))
        assert "no key for HTTP/ and any host, but for http/CASE.corp.test@" in said
    domain.export_keytab(keytab, "HTTP/case.corp.test")
    for asked in ("HTTP/case.corp.test", "HTTP/CASE.corp.test", "http/CASE.corp.test"):
        accepted = make().accept(domain.token(asked))
        assert is_in(accepted, "HTTP/case.corp.test")
    only = make(hostname="Case.Corp.Test")
    assert is_in(
        only.accept(domain.token("HTTP/CASE.CORP.TEST")), "HTTP/case.corp.test"
    )


@pytest.mark.usefixtures("accounts")
def test_exported_in_another_case(make, domain, keytab):
    domain.export_keytab(keytab, "HTTP/APP.Corp.Test")
    for asked in ("HTTP/app.corp.test", "HTTP/APP.CORP.TEST", "HTTP/app"):
        assert is_in(make().accept(domain.token(asked)), "HTTP/APP.Corp.Test")


def enctypes_in(keytab):
    listed = subprocess.check_output(["klist", "-ke", keytab], text=True)
    return {
        line.rpartition("(")[2].rstrip(") ").removeprefix("DEPRECATED:")
        for line in listed.splitlines()
        if "@" in line
    }


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("host", ["rc4.test", "silent.test"])
def test_rc4_alone(make, domain, keytab, host):
    """Of an account that says so, and of one that says nothing of encryption types."""
    domain.export_keytab(keytab, f"HTTP/{host}")
    if host == "rc4.test":
        assert enctypes_in(keytab) == {"arcfour-hmac"}
    assert is_in(make().accept(domain.token(f"HTTP/{host}")), f"HTTP/{host}")


def test_rc4_alone_for_an_account_that_has_aes_by_now(make, domain, keytab, rotating):
    name, spn = rotating
    domain.set_enctypes(name, RC4)
    domain.export_keytab(keytab, spn)
    old = domain.token(spn)
    domain.set_enctypes(name, AES)
    domain.kinit("alice")
    refused = make().accept(domain.token(spn))
    assert refused.reason is Reason.ENCTYPE_MISSING
    assert is_in(make().accept(old), spn)
    domain.export_keytab(keytab, spn)
    assert is_in(make().accept(domain.token(spn)), spn)


def test_exported_twice(make, domain, keytab, rotating, tmp_path, monkeypatch):
    name, spn = rotating
    domain.export_keytab(keytab, spn)
    before = [domain.token(spn) for _ in range(3)]
    domain.set_password(name, "Another-passw0rd")
    domain.kinit("alice")
    after = [domain.token(spn) for _ in range(2)]
    assert make().accept(after[0]).reason is Reason.STALE_KEYTAB
    acceptor = make()
    assert is_in(acceptor.accept(before[0]), spn)
    domain.export_keytab(keytab, spn)
    assert is_in(acceptor.accept(before[1]), spn)
    assert is_in(acceptor.accept(after[1]), spn)
    monkeypatch.setenv("KRB5_KTNAME", str(tmp_path / "new"))
    domain.export_keytab(tmp_path / "new", spn)
    assert make().accept(before[2]).reason is Reason.STALE_TICKET
    assert isinstance(make().accept(domain.token(spn)), Accepted)


def typed_keytab(path, principal, kvno, password):
    """A keytab as ktutil makes it of a typed password."""
    typed = f"addent -password -p {principal} -k {kvno} -e aes256-cts-hmac-sha1-96\n"
    subprocess.run(
        ["ktutil"], input=f"{typed}{password}\nwkt {path}\n", text=True, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def kvno_of(domain, name):
    return int(domain.attribute(name, "msDS-KeyVersionNumber")[0])


def test_another_accounts_password(make, domain, keytab, rotating):
    name, spn = rotating
    kvno = kvno_of(domain, name)
    typed_keytab(keytab, f"{spn}@{domain.name}", kvno, domain.password("svc-web"))
    refused = make().accept(domain.token(spn))
    assert refused.reason is Reason.WRONG_KEY
    assert refused.spn == f"{spn}@AD.CORP.TEST"
    Path(keytab).unlink()
    domain.export_keytab(keytab, spn)
    assert is_in(make().accept(domain.token(spn)), spn)
