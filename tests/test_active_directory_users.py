"""Whose ticket is it in Active Directory? The PAC says so, and no name that somebody has typed.

Tickets are rewritten with the service's own key, which nobody else has: what the library then makes of
the PAC in them is what keeps everybody else from writing one.
"""

import subprocess
import time
from functools import partial

import gssapi
import krb5
import pytest
from domain import NO_AUTH_DATA_REQUIRED
from helpers import app, der, locals_of_ours, negotiate
from initiator import KRB5, Initiator
from rewriting import (
    IF_RELEVANT,
    LOGON_INFO,
    OF_TICKET,
    UPN_DNS_INFO,
    WIN2K_PAC,
    Key,
    authorization_data,
    buffers,
    credential,
    key_of,
    pac_as_authorization_data,
    pac_in,
    rewrite_ticket,
    signed_anew,
    with_authorization_data_of_the_clients,
    with_group_replaced,
    with_pac,
)
from sites import WsgiSite

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, Reason
from negotiate_wsgi.acceptors.gssapi_library import Library
from negotiate_wsgi.acceptors.libkrb5 import Libkrb5
from negotiate_wsgi.wire.der import Reader

REALM = "AD.CORP.TEST"
SPN = f"HTTP/localhost@{REALM}"
#: What is typed at kinit, whose password it is, and the principal in the ticket.
SPELLINGS = {
    "name": (["alice"], "alice", "alice"),
    "canonicalized": (["-C", "ALICE"], "alice", "alice"),
    "UPN, canonicalized": (["-C", "-E", "alice@ad.corp.test"], "alice", "alice"),
    "upper case": (["ALICE"], "alice", "ALICE"),
    "mixed case": (["aLiCe"], "alice", "aLiCe"),
    "UPN": (["-E", "alice@ad.corp.test"], "alice", r"alice\@ad.corp.test"),
    "UPN in upper case": (["-E", "ALICE@AD.CORP.TEST"], "alice", r"ALICE\@AD.CORP.TEST"),
    "UPN by NetBIOS name": (["-E", "alice@ADCORP"], "alice", r"alice\@ADCORP"),
    "carol's name": (["Carol"], "carol", "Carol"),
    "UPN of another suffix": (
        ["-E", "carol.smith@corp.example"], "carol", r"carol.smith\@corp.example",
    ),
    "computer": (["CLIENT1$"], "CLIENT1$", "CLIENT1$"),
    "computer in lower case": (["client1$"], "CLIENT1$", "client1$"),
    "computer without its $": (["CLIENT1"], "CLIENT1$", "CLIENT1"),
    "computer root$": (["root"], "root$", "root"),
    "mallory, whose UPN is admin": (["admin"], "mallory", "admin"),
}  # fmt: skip


def site_for(domain, **options):
    """A site where the groups of the domain count."""
    groups = {name: domain.sid_of(name) for name in ("staff", "admins")}
    acceptor = GssapiAcceptor(active_directory=True, groups=groups)
    return WsgiSite(NegotiateMiddleware(app, acceptor=acceptor, **options))


def status(site, ccache, spn=SPN):
    answer = site.request("/", Initiator(ccache, spn).authorization)
    return answer.status


@pytest.fixture(scope="session")
def computer_root(domain_controller):
    """Any user may add a computer, and name it."""
    domain_controller.add_computer("root$")


@pytest.fixture
def spelled(domain, computer_root, request, tmp_path):
    """The ticket cache of who typed it, whose it is, and the principal in the ticket."""
    typed, account, principal = SPELLINGS[request.param]
    ccache = str(tmp_path / "ccache")
    *flags, name = typed
    domain.kinit(name, *flags, account=account, ccache=ccache)
    return ccache, account, principal


@pytest.mark.parametrize("spelled", SPELLINGS, indirect=True)
def test_one_account_is_one_principal(domain, spelled):
    ccache, account, principal = spelled
    plain = GssapiAcceptor().accept(Initiator(ccache, SPN).token)
    assert plain.identity.principal == f"{principal}@{REALM}"
    found = GssapiAcceptor(active_directory=True).accept(Initiator(ccache, SPN).token)
    assert found.identity.principal == f"{account}@{REALM}"
    assert found.identity.account == account
    assert found.identity.sid == domain.sid_of(account)


@pytest.mark.parametrize("spelled", SPELLINGS, indirect=True)
def test_who_is_named_comes_in_however_that_is_typed(domain, spelled):
    ccache, account, principal = spelled
    assert status(site_for(domain, users=[f"{account}@{REALM}"]), ccache) == 200
    if principal != account:
        by_what_was_typed = site_for(domain, users=[f"{principal}@{REALM}"])
        assert status(by_what_was_typed, ccache) == 403
    is_staff = account == "alice"
    assert status(site_for(domain, groups=["staff"]), ccache) == (
        200 if is_staff else 403
    )


@pytest.mark.parametrize("spelled", ["computer root$"], indirect=True)
def test_what_the_pac_is_for(domain, spelled):
    """Without it, a computer is root."""
    ccache, _, _ = spelled
    users = [f"root@{REALM}"]
    plain = NegotiateMiddleware(app, acceptor=GssapiAcceptor(), users=users)
    assert status(WsgiSite(plain), ccache) == 200
    assert status(site_for(domain, users=users), ccache) == 403


# --- nobody comes in without a PAC ---


def is_refused(site, ccache, spn=SPN):
    answer = site.request("/", Initiator(ccache, spn).authorization)
    return answer.status == 401 and "(no-pac)" in answer.text


def judged(ccache, spn=SPN, **options):
    return GssapiAcceptor(**options).accept(Initiator(ccache, spn).token)


def test_a_service_whose_tickets_have_no_pac(domain, tmp_path, monkeypatch):
    domain.add_service_account("svc-nopac", ["HTTP/nopac.test"])
    keytab = domain.export_keytab(tmp_path / "keytab", "HTTP/nopac.test")
    monkeypatch.setenv("KRB5_KTNAME", keytab)
    alice, spn = domain.ccache("alice"), f"HTTP/nopac.test@{REALM}"
    assert judged(alice, spn, active_directory=True).identity.account == "alice"
    assert status(site_for(domain), alice, spn) == 200
    domain.add_flag("svc-nopac", NO_AUTH_DATA_REQUIRED)
    domain.kinit("alice")
    refused = judged(alice, spn, active_directory=True)
    assert refused.reason is Reason.NO_PAC
    assert refused.principal == f"alice@{REALM}"
    assert is_refused(site_for(domain), alice, spn)
    staff = {"staff": domain.sid_of("staff")}
    assert judged(alice, spn, groups=staff).identity.groups == frozenset()


def test_mits_kdc(realm):
    """Its PAC, if it has one, says nothing of accounts and groups."""
    alice, spn = realm.ccache("alice"), f"HTTP/localhost@{realm.name}"
    refused = judged(alice, spn, active_directory=True)
    assert refused.reason is Reason.NO_PAC
    assert refused.principal == f"alice@{realm.name}"
    by_group = judged(alice, spn, groups={"staff": "S-1-5-21-1-2-3-1105"})
    assert by_group.identity.groups == frozenset()


def test_a_client_that_asks_for_no_pac(domain, tmp_path):
    """PA-PAC-REQUEST ([MS-KILE] section 2.2.3) is the client's choice."""
    ccache = str(tmp_path / "ccache")
    domain.kinit("alice", "--request-pac", ccache=ccache)
    assert judged(ccache, active_directory=True).identity.account == "alice"
    domain.kinit("alice", "--no-request-pac", ccache=ccache)
    assert judged(ccache, active_directory=True).reason is Reason.NO_PAC
    assert is_refused(site_for(domain), ccache)


# --- nobody writes a PAC ---


def rid(sid):
    return int(sid.rpartition("-")[2])


class Forger:
    """Has the service's key, and rewrites alice's ticket with it."""

    def __init__(self, domain, directory):
        self.domain = domain
        self.key = key_of(domain.keytab, SPN)
        self.alice = self.cache("alice", directory)
        self.pac = pac_in(self.alice, SPN, self.key)
        self.bobs_pac = pac_in(self.cache("bob", directory), SPN, self.key)
        self._target = directory / "rewritten"

    def cache(self, user, directory):
        """A cache with *user*'s ticket for us."""
        ccache = str(directory / user)
        self.domain.kinit(user, ccache=ccache)
        Initiator(ccache, SPN)
        return ccache

    def rewritten(self, change):
        return rewrite_ticket(self.alice, SPN, self.key, change, self._target)

    def as_admin(self):
        """alice's PAC with bob's group for one of hers."""
        staff, admins = (rid(self.domain.sid_of(name)) for name in ("staff", "admins"))
        return with_group_replaced(self.pac, staff, admins)


@pytest.fixture
def forger(domain, tmp_path):
    return Forger(domain, tmp_path)


def groups_in(domain, ccache):
    """By the acceptor that lets in who has no PAC."""
    groups = {name: domain.sid_of(name) for name in ("staff", "admins")}
    return judged(ccache, groups=groups).identity.groups


def has_no_pac(domain, ccache):
    """Whether there is none for the acceptor, and for whoever asks for accounts or groups."""
    assert groups_in(domain, ccache) == frozenset()
    assert judged(ccache, active_directory=True).reason is Reason.NO_PAC
    assert is_refused(site_for(domain), ccache)
    assert is_refused(site_for(domain, groups=["staff", "admins"]), ccache)
    by_group = GssapiAcceptor(groups={"admins": domain.sid_of("admins")})
    site = WsgiSite(NegotiateMiddleware(app, acceptor=by_group, groups=["admins"]))
    return status(site, ccache) == 403


def is_alice_of_staff(domain, ccache):
    found = judged(ccache, active_directory=True)
    site = site_for(domain, groups=["staff"])
    return (
        groups_in(domain, ccache) == {"staff"}
        and found.identity.account == "alice"
        and status(site, ccache) == 200
        and status(site_for(domain, groups=["admins"]), ccache) == 403
    )


def test_a_ticket_that_was_sealed_again(domain, forger):
    """Nothing but what is changed in the others makes the difference."""
    assert is_alice_of_staff(domain, forger.alice)
    assert is_alice_of_staff(domain, forger.rewritten(lambda data: data))
    again = forger.rewritten(with_pac(lambda pac: signed_anew(pac, forger.key)))
    assert is_alice_of_staff(domain, again)


def test_a_pac_with_one_group_for_another(domain, forger):
    changed = forger.rewritten(with_pac(lambda pac: forger.as_admin()))
    assert has_no_pac(domain, changed)


@pytest.mark.parametrize(
    "buffer", [LOGON_INFO, UPN_DNS_INFO], ids=["logon-info", "upn-dns-info"]
)
def test_a_pac_with_one_byte_changed(domain, forger, buffer):
    place = buffers(forger.pac)[buffer]

    def change(pac):
        changed = bytearray(pac)
        changed[place.stop - 9] ^= 1
        return bytes(changed)

    assert has_no_pac(domain, forger.rewritten(with_pac(change)))


def test_the_pac_of_another_user(domain, forger):
    swapped = forger.rewritten(with_pac(lambda pac: forger.bobs_pac))
    assert has_no_pac(domain, swapped)
    signed = signed_anew(forger.bobs_pac, forger.key)
    assert has_no_pac(domain, forger.rewritten(with_pac(lambda pac: signed)))


def test_a_pac_of_an_earlier_sign_on(domain, forger, tmp_path):
    """Genuine, the user's own, and of a time at which they were in other groups."""
    time.sleep(1.1)  # authtime has seconds
    (tmp_path / "later").mkdir()
    later = Forger(domain, tmp_path / "later")
    swapped = later.rewritten(with_pac(lambda pac: forger.pac))
    assert has_no_pac(domain, swapped)
    assert is_alice_of_staff(domain, later.alice)


NO_AUTHORIZATION_DATA = der(0x30)
NOTHING_RELEVANT = der(0x30, authorization_data(IF_RELEVANT, der(0x30)))


@pytest.mark.parametrize(
    "data",
    [NO_AUTHORIZATION_DATA, NOTHING_RELEVANT],
    ids=["with all else", "the PAC alone"],
)
def test_a_pac_that_is_missing(domain, forger, data):
    assert has_no_pac(domain, forger.rewritten(lambda _: data))


def test_a_pac_beside_the_genuine_one(domain, forger):
    forged = pac_as_authorization_data(forger.bobs_pac)

    def before(data):
        return der(0x30, forged, Reader(data).content(0x30))

    def behind(data):
        return der(0x30, Reader(data).content(0x30), forged)

    assert has_no_pac(domain, forger.rewritten(before))
    assert is_alice_of_staff(domain, forger.rewritten(behind))


def test_who_has_the_services_key_can_be_in_any_group(domain, forger):
    """As with names: the KDC's signatures are for the KDC, and nobody else can verify them.

    It is why a keytab is a secret; and that the changes above are right in all but this.
    """
    forged = signed_anew(forger.as_admin(), forger.key)
    ccache = forger.rewritten(with_pac(lambda pac: forged))
    assert groups_in(domain, ccache) == {"admins"}
    other = key_of(domain.keytab, f"nfs/localhost@{REALM}")
    not_ours = signed_anew(forger.as_admin(), other)
    assert has_no_pac(domain, forger.rewritten(with_pac(lambda pac: not_ours)))


def test_a_library_that_calls_every_pac_verified_is_not_believed(
    domain, forger, monkeypatch, tmp_path
):
    """As krb5 1.21 does, whichever is installed here."""
    time.sleep(1.1)  # authtime has seconds
    (tmp_path / "later").mkdir()
    later = Forger(domain, tmp_path / "later")
    other = key_of(domain.keytab, f"nfs/localhost@{REALM}")
    forged = [
        forger.as_admin(),
        forger.bobs_pac,
        signed_anew(forger.bobs_pac, forger.key),
        signed_anew(forger.as_admin(), other),
        later.pac,
        forger.pac[:-1],
        forger.pac[:40],
        b"",
    ]
    for pac in [forger.pac, *forged]:
        monkeypatch.setattr(
            Library, "attribute", lambda self, name, urn, pac=pac: [pac]
        )
        if pac == forger.pac:
            assert is_alice_of_staff(domain, forger.alice)
        else:
            assert has_no_pac(domain, forger.alice)


def test_a_fault_of_the_librarys_is_not_remembered_as_a_verdict(
    domain, forger, monkeypatch
):
    acceptor = GssapiAcceptor(active_directory=True)
    token = partial(Initiator, forger.alice, SPN)
    with monkeypatch.context() as patch:
        patch.setattr(Libkrb5, "has_signed", lambda self, pac, entry: False)
        assert acceptor.accept(token().token).reason is Reason.NO_PAC
    assert acceptor.accept(token().token).identity.account == "alice"


def test_no_exception_shows_the_key(domain, forger, monkeypatch):
    """One that comes from outside while libkrb5 is at work, such as a server's time-out."""

    def interrupted(*arguments):
        raise TimeoutError

    entry = next(iter(krb5.kt_resolve(krb5.init_context(), domain.keytab.encode())))
    library = Libkrb5(gssapi.raw.names.__file__)
    monkeypatch.setattr(library._library, "krb5_pac_verify", interrupted)
    with pytest.raises(TimeoutError) as caught:
        library.has_signed(forger.pac, entry)
    shown = locals_of_ours(caught.value)
    assert "KeyTabEntry" in shown
    assert repr(entry.key.data)[2:-1] not in shown


# --- nor does a client bring one ---


def test_a_pac_in_the_clients_own_request_for_a_ticket(
    domain, forger, large_ticket, tmp_path
):
    """RFC 4120 section 5.4.1: enc-authorization-data, which the KDC copies into the ticket."""
    ccache = str(tmp_path / "asks")
    domain.kinit("alice", ccache=ccache)
    ask_with(large_ticket, ccache, SPN, forger.bobs_pac, tmp_path)
    assert forger.bobs_pac in opened(forger, ccache)  # it has come as far as that
    assert is_alice_of_staff(domain, ccache)


def opened(forger, ccache):
    """What the KDC has sealed in alice's ticket."""
    reader = Reader(bytes(credential(ccache, SPN).ticket)).enter(0x61).enter(0x30)
    for tag in (0xA0, 0xA1, 0xA2):
        reader.skip(tag)
    part = reader.enter(0xA3).enter(0x30)
    for tag in (0xA0, 0xA1):
        part.skip(tag)
    return forger.key.opened(OF_TICKET, part.enter(0xA2).content(4))


def ask_with(large_ticket, ccache, spn, pac, directory):
    """Get *spn* a ticket, and ask with *pac* for it."""
    (directory / "pac").write_bytes(pac)
    smuggled = [str(len(pac)), str(WIN2K_PAC), directory / "pac"]
    subprocess.run([large_ticket, ccache, spn, *smuggled], check=True)


def test_a_pac_in_the_clients_own_request_to_mits_kdc(
    domain_controller, realm, large_ticket, tmp_path, monkeypatch
):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in domain_controller.environ.items():
            patch.setenv(name, value)
        pac = Forger(domain_controller, tmp_path).pac
    realm.kinit("alice")
    spn = f"HTTP/localhost@{realm.name}"
    ask_with(large_ticket, realm.ccache("alice"), spn, pac, tmp_path)
    groups = {"staff": domain_controller.sid_of("staff")}
    found = judged(realm.ccache("alice"), spn, groups=groups)
    assert found.identity.groups == frozenset()
    refused = judged(realm.ccache("alice"), spn, active_directory=True)
    assert refused.reason is Reason.NO_PAC


def test_a_pac_in_the_clients_own_authenticator(domain, forger):
    """RFC 4120 section 5.5.1: the application's server is given what the client wrote there."""
    block = credential(forger.alice, SPN).keyblock
    session_key = Key(block.enctype, bytes(block.data))
    data = pac_as_authorization_data(forger.bobs_pac)

    def token(ccache):
        own = Initiator(ccache, SPN, mech=KRB5).token
        return with_authorization_data_of_the_clients(own, session_key, data)

    groups = {name: domain.sid_of(name) for name in ("staff", "admins")}
    found = GssapiAcceptor(groups=groups).accept(token(forger.alice))
    assert found.identity.groups == {"staff"}
    site = site_for(domain, groups=["admins"])
    assert site.request("/", negotiate(token(forger.alice))).status == 403
    without = forger.rewritten(lambda _: NO_AUTHORIZATION_DATA)
    found = GssapiAcceptor(groups=groups).accept(token(without))
    assert found.identity.groups == frozenset()
    assert site.request("/", negotiate(token(without))).status == 401
