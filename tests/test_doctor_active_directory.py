"""Ways to break a set-up in Active Directory for real. For each the doctor names that fault and no
other, in the words of Active Directory, and what it says to type at Samba's domain controller
repairs it, typed as it stands.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess

import pytest
import sites
from domain import AES, NO_AUTH_DATA_REQUIRED, RC4
from faults import (
    NOBODY,
    Fault,
    clock_ahead,
    damaged_keytab,
    empty_keytab,
    no_keytab,
    set_the_clock,
    walk_through,
)
from machine import Member

from negotiate_wsgi.wire.keytab import parse

#: What is typed at KDCs of other kinds.
FOREIGN = re.compile(
    r"kadmin|ktadd|ktremove|addprinc|krb5-kdc|ipa-|ipa service|kdc\.conf", re.I
)
_numbers = itertools.count(1)


@pytest.fixture
def number():
    return next(_numbers)


@pytest.fixture
def machine(domain, tmp_path, number):
    """A server whose service has an account of its own."""
    host, account = f"www{number}.corp.test", f"svc-{number}"
    return Member(domain, tmp_path / "machine", host, account=account)


@pytest.fixture
def computer(domain, tmp_path, number):
    """One whose service has that of the computer itself, as realmd and adcli set it up."""
    host, account = f"srv{number}.corp.test", f"SRV{number}$"
    machine = Member(domain, tmp_path / "machine", host, account=account)
    machine.export(account)
    without_weak_keys(machine)
    return machine


def without_weak_keys(machine):
    """Take out those that Samba exports of whatever is a client."""
    listed = subprocess.run(
        ["klist", "-ke", machine.keytab], capture_output=True, text=True, check=True
    )
    lines = listed.stdout.splitlines()[3:]
    weak = [at for at, line in enumerate(lines, 1) if "arcfour" in line]
    deleted = [f"delent {at}" for at in reversed(weak)]
    new = f"{machine.keytab}.new"
    machine.ktutil(f"rkt {machine.keytab}", *deleted, f"wkt {new}")
    shutil.move(new, machine.keytab)


def other_host(machine):
    machine.realm.add_spn(machine.account, f"HTTP/other-{machine.host}")
    machine.export_alone(f"HTTP/other-{machine.host}")


def name_of_the_account_alone(machine):
    """Which opens every ticket of the account, but does not say for what it is."""
    machine.export_alone(machine.account)
    without_weak_keys(machine)


def other_case_of_the_service(machine):
    machine.export_alone(machine.spn.replace("HTTP/", "http/"))


def spn_that_was_never_registered(machine):
    """The keytab is that of another name of the account, whose own SPN is missing."""
    machine.realm.add_spn(machine.account, f"HTTP/other-{machine.host}")
    machine.export_alone(f"HTTP/other-{machine.host}")
    return without_its_spn(machine)


def without_its_spn(machine):
    spns = machine.realm.attribute(machine.account, "servicePrincipalName")
    others = [spn for spn in spns if spn != machine.spn]
    machine.realm.modify(machine.account, servicePrincipalName=others)
    return {"authorization": ""}


def account_without_aes(machine):
    """As accounts are made: Samba exports RC4 alone."""
    machine.realm.set_enctypes(machine.account, None)
    machine.export_alone(machine.spn)


def aes_in_the_keytab_alone(machine):
    """As ``ktpass /crypto AES256-SHA1`` leaves an account whose box is empty."""
    machine.realm.set_enctypes(machine.account, None)


def weak_keys_beside(machine):
    machine.realm.set_enctypes(machine.account, AES | RC4)
    machine.export_alone(machine.spn)


def aes256_missing(machine):
    machine.ktutil(f"rkt {machine.keytab}", "delent 1", f"wkt {machine.keytab}.new")
    shutil.move(f"{machine.keytab}.new", machine.keytab)


def keys_of_two_accounts(machine):
    """With the same kvno, as after an account was made anew."""
    before = machine.directory / "before"
    machine.keytab.rename(before)
    machine.realm.delete(machine.account)
    machine.realm.add_service_account(
        machine.account, [machine.spn], password="Another-passw0rd"
    )
    machine.export(machine.spn)
    both = machine.directory / "both"
    machine.ktutil(f"rkt {before}", f"rkt {machine.keytab}", f"wkt {both}")
    shutil.move(both, machine.keytab)


def new_password(machine):
    """As after ``ktpass /mapuser`` for another host."""
    machine.realm.set_password(machine.account, "Another-passw0rd")


def directory_from_a_backup(machine):
    """Its key is older than the keytab's."""
    machine.realm.set_password(machine.account, "Another-passw0rd")
    content = machine.keytab.read_bytes()
    kvno = kvno_in(machine).to_bytes(4)
    assert kvno in content
    machine.keytab.write_bytes(content.replace(kvno, (7).to_bytes(4)))


def wrong_password(machine):
    """Typed into ktutil, or another account's, with the right kvno."""
    with_the_key_of_another_password(machine, machine.spn)


def wrong_password_of_a_name_that_is_a_client(machine):
    """The same where ktpass made the SPN the account's userPrincipalName."""
    realm = machine.realm
    realm.modify(machine.account, userPrincipalName=f"{machine.spn}@{realm.name}")
    with_the_key_of_another_password(machine, machine.spn)


def wrong_password_of_the_computer(machine):
    with_the_key_of_another_password(machine, machine.spn, machine.account)


def kvno_in(machine):
    """The keytab's newest."""
    return max(key.kvno for key in parse(machine.keytab.read_bytes()))


def with_the_key_of_another_password(machine, *principals):
    kvno = kvno_in(machine)
    lines = []
    for principal in principals:
        whole = f"{principal}@{machine.realm.name}"
        lines += [
            f"addent -password -p {whole} -k {kvno} -e aes256-cts -s SALT",
            "a-guess",
        ]
    machine.keytab.unlink()
    machine.ktutil(*lines, f"wkt {machine.keytab}")


def spn_taken_away(machine):
    machine.realm.add_spn(machine.account, f"HTTP/other-{machine.host}")
    machine.export(f"HTTP/other-{machine.host}")
    return without_its_spn(machine)


def spn_moved_to_another_account(machine):
    """With as many passwords as the other one."""
    machine.realm.modify(machine.account, servicePrincipalName=[])
    machine.realm.add_service_account(f"{machine.account}b", [machine.spn])


def reverse_name_differs(machine):
    machine.hosts.write_text(
        f"127.0.0.2 node-{machine.host}\n127.0.0.2 {machine.host}\n"
    )
    machine.realm.add_service_account(
        f"{machine.account}n", [f"HTTP/node-{machine.host}"]
    )
    return {"authorization": machine.ticket(f"HTTP/node-{machine.host}")}


def kdc_at_another_port(machine):
    text = machine.krb5_conf.read_text()
    changed = re.sub(r"kdc = 127\S*", f"kdc = 127.0.0.1:{sites.free_port()}", text)
    assert changed != text
    machine.krb5_conf.write_text(changed)
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def enctype_excluded(machine):
    text = machine.krb5_conf.read_text()
    machine.krb5_conf.write_text(
        text.replace(
            "[libdefaults]\n", "[libdefaults]\npermitted_enctypes = aes128-cts\n"
        )
    )
    return {"repair": lambda machine: machine.krb5_conf.write_text(text)}


def no_pac(machine):
    machine.environ["NEGOTIATE_ACCEPTOR"] = "gssapi"
    machine.environ["NEGOTIATE_ACTIVE_DIRECTORY"] = "yes"
    machine.realm.add_flag(machine.account, NO_AUTH_DATA_REQUIRED)


def one_key_for_two_services(machine):
    """As realmd and adcli write a computer's keytab, with ours after it."""
    host = f"host/{machine.host}"
    machine.realm.add_spn(machine.account, host)
    machine.export_alone(host, machine.spn, machine.account)
    without_weak_keys(machine)


FAULTS = [
    Fault(no_keytab, "NW005", "There is no keytab", "keytab-unusable"),
    Fault(empty_keytab, "NW005", "empty or damaged", "keytab-unusable"),
    Fault(damaged_keytab, "NW005", "empty or damaged", "keytab-unusable"),
    Fault(other_host, "NW007", "no key for HTTP/www.* but for HTTP/other-", "accepted"),
    Fault(name_of_the_account_alone, "NW007", "but for svc-", "keytab-unusable"),
    Fault(other_case_of_the_service, "NW007", "but for http/www", "keytab-unusable"),
    Fault(
        spn_that_was_never_registered, "NW007", "but for HTTP/other-", "no-credentials"
    ),
    Fault(account_without_aes, "NW008", "no AES key, only arcfour", "accepted"),
    Fault(aes_in_the_keytab_alone, "NW027", "arcfour.* nobody can", "enctype-missing"),
    Fault(weak_keys_beside, "NW009", "Weak keys beside strong ones", "accepted"),
    Fault(aes256_missing, "NW015", "no key of aes256", "enctype-missing"),
    Fault(
        keys_of_two_accounts, "NW010", "Different keys with the same kvno", "accepted"
    ),
    Fault(new_password, "NW015", r"kvno \d, .* newest is \d", "stale-keytab"),
    Fault(directory_from_a_backup, "NW015", r"kvno \d, .* newest is 7", "stale-ticket"),
    Fault(wrong_password, "NW016", "another account or of another", "wrong-key"),
    Fault(
        wrong_password_of_a_name_that_is_a_client,
        "NW015",
        "which it refused",
        "wrong-key",
        also="NW009",
    ),
    Fault(spn_taken_away, "NW015", "The KDC knows no HTTP/", "no-credentials"),
    Fault(spn_moved_to_another_account, "NW016", "another account", "wrong-key"),
    Fault(reverse_name_differs, "NW012", "Windows do not ask", "spn-not-in-keytab"),
    Fault(
        kdc_at_another_port, "NW013", "Cannot contact", "no-credentials", None, NOBODY
    ),
    Fault(clock_ahead, "NW015", "Clock skew too great", "clock-skew", set_the_clock),
    Fault(enctype_excluded, "NW015", "permitted_enctypes = aes128-cts", "wrong-key"),
    Fault(no_pac, "NW029", "have no PAC", "accepted"),
]
OF_A_COMPUTER = [
    Fault(no_keytab, "NW005", "There is no keytab", "keytab-unusable"),
    Fault(new_password, "NW015", r"kvno \d, .* newest is \d", "stale-keytab"),
    Fault(wrong_password_of_the_computer, "NW015", "which it refused", "wrong-key"),
    Fault(clock_ahead, "NW014", "6.. s ahead of", "clock-skew", set_the_clock),
    Fault(one_key_for_two_services, "NW028", "has that of host/srv", "accepted"),
]


def told(finding):
    texts = ("found", "remedy", "command", "place")
    return [*(finding[text] for text in texts), *finding["beside"]]


def is_in_its_words(finding):
    """Whether it is of no other kind of KDC; and beside Samba stands Windows."""
    if FOREIGN.search("\n".join(told(finding))):
        return False
    if finding["place"] != "Samba DC":
        return True
    return any(line.startswith(("Windows: ", "member: ")) for line in finding["beside"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaking.__name__)
def test_fault(machine, fault):
    assert is_in_its_words(walk_through(machine, fault))


@pytest.mark.parametrize(
    "fault", OF_A_COMPUTER, ids=lambda fault: fault.breaking.__name__
)
def test_fault_of_a_computer(computer, fault):
    assert is_in_its_words(walk_through(computer, fault))


def everything(machine, *arguments):
    """What the doctor finds, whether it is well or not, by check."""
    done = machine.run("negotiate-wsgi", "doctor", "--json", *arguments)
    return {finding["id"]: finding for finding in json.loads(done.stdout)}


@pytest.mark.parametrize("acceptor", ["pykerberos", "gssapi"])
def test_a_healthy_machine_is_told_so(machine, acceptor):
    machine.environ["NEGOTIATE_ACCEPTOR"] = acceptor
    assert machine.doctor() == []
    said = "\n".join(finding["found"] for finding in everything(machine).values())
    assert "Active Directory: it has an account krbtgt" in said
    assert not FOREIGN.search(said)


def test_a_healthy_computer_is_told_so(computer):
    assert computer.doctor() == []
    found = everything(computer)
    assert "the keytab has the computer SRV" in found["NW019"]["found"]


def test_it_says_whether_the_key_itself_was_compared(machine, tmp_path):
    def compared():
        return everything(machine)["NW015"]["found"]

    assert "as clear text says" in compared()
    # The account's own name is a client, and has the same key.
    machine.export(machine.account)
    without_weak_keys(machine)
    own = f"{machine.account}@{machine.realm.name}"
    assert f"the same key, with which {own} got a ticket itself" in compared()
    # Not if its newest key is another one.
    machine.realm.set_password(machine.account, "Another-passw0rd")
    machine.export(machine.spn)
    without_weak_keys(machine)
    assert "as clear text says" in compared()


def test_where_two_faults_are_possible_neither_is_concluded(machine):
    """And nothing is said to be typed, least of all what would take that line away."""
    wrong_password(machine)
    text = machine.krb5_conf.read_text()
    permitted = "permitted_enctypes = aes256-cts aes128-cts"
    machine.krb5_conf.write_text(
        text.replace("[libdefaults]\n", f"[libdefaults]\n{permitted}\n")
    )
    [finding] = machine.doctor()
    assert finding["id"] == "NW016"
    assert f"{machine.krb5_conf} has {permitted}" in finding["found"]
    assert "the key of another account or of another password" in finding["remedy"]
    assert finding["command"] == ""


def test_nobody_s_ticket_is_needed_where_the_account_is_in_the_keytab(machine):
    machine.environ["KRB5CCNAME"] = f"{machine.directory}/none"
    [finding] = machine.doctor()
    assert (finding["id"], finding["status"]) == ("NW015", "warning")
    assert "in Active Directory an SPN gets none" in finding["found"]
    machine.export(machine.account)
    without_weak_keys(machine)
    assert machine.doctor() == []


def test_any_account_will_do_to_ask_for_a_ticket(machine, number):
    """Whose key is not the SPN's: then that one is compared in clear text alone."""
    machine.environ["KRB5CCNAME"] = f"{machine.directory}/none"
    machine.realm.add_user(f"visitor-{number}")
    machine.export(f"visitor-{number}")
    without_weak_keys(machine)
    assert machine.doctor() == []
    assert "as clear text says" in everything(machine)["NW015"]["found"]


@pytest.fixture
def locking(domain):
    """The domain counts wrong passwords, and locks whoever types ten."""
    policy = ("domain", "passwordsettings", "set")
    domain.samba_tool(*policy, "--account-lockout-threshold=10")
    yield
    domain.samba_tool(*policy, "--account-lockout-threshold=0")


def test_an_account_is_not_locked_by_the_doctor(machine, locking):
    """A key that is wrong is tried once."""
    with_the_key_of_another_password(machine, machine.spn, machine.account)
    [finding] = machine.doctor()
    assert finding["id"] == "NW015"
    [count] = machine.realm.attribute(machine.account, "badPwdCount")
    assert count == "1"


def test_to_ask_which_kind_it_is_counts_as_no_wrong_password(machine, locking):
    no_keytab(machine)
    assert "krbtgt" in everything(machine)["NW019"]["found"]
    assert machine.realm.attribute("krbtgt", "badPwdCount") in ([], ["0"])


def test_the_host_s_case_matters_to_nobody(machine):
    machine.export_alone(f"HTTP/{machine.host.upper()}")
    assert machine.doctor() == []
    assert machine.doctor("--hostname", machine.host) == []
    assert machine.request(machine.ticket())["reason"] == "accepted"


def test_a_dead_kdc_is_started_in_the_right_words(computer):
    kdc_at_another_port(computer)
    [finding] = computer.doctor()
    assert finding["id"] == "NW013"
    assert finding["command"] == "systemctl start samba-ad-dc"
    assert is_in_its_words(finding)


def test_pykerberos_shows_no_pac(machine):
    [finding] = machine.doctor("--active-directory")
    assert (finding["id"], finding["status"]) == ("NW001", "problem")
    machine.environ["NEGOTIATE_ACTIVE_DIRECTORY"] = "yes"
    [same] = machine.doctor()
    assert same == finding
    machine.type(finding["command"])
    assert machine.doctor() == []
    assert "there, as far as" in everything(machine)["NW029"]["found"]
    machine.environ["NEGOTIATE_ACTIVE_DIRECTORY"] = "no"
    assert "active_directory is off" in everything(machine)["NW029"]["found"]


NAMED = "acceptor = __import__('negotiate_wsgi').GssapiAcceptor(active_directory=True)"


def test_an_acceptor_that_wants_a_pac_says_so_itself(machine):
    (machine.directory / "acceptors.py").write_text(NAMED)
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:acceptor"
    assert "there, as far as" in everything(machine)["NW029"]["found"]
    machine.realm.add_flag(machine.account, NO_AUTH_DATA_REQUIRED)
    [finding] = machine.doctor()
    assert finding["id"] == "NW029"


def test_who_is_asked_for_another_kind_hears_its_words(machine):
    no_keytab(machine)
    host = ["--hostname", machine.host]
    spoken = {
        kind: "\n".join(told(machine.doctor("--kdc", kind, *host)[0]))
        for kind in ("ad", "ipa", "mit")
    }
    assert "samba-tool" in spoken["ad"]
    assert "ipa-getkeytab -p HTTP/" in spoken["ipa"]
    assert "kadmin -q" in spoken["mit"]
    assert not FOREIGN.search(spoken["ad"])
    for kind in ("ipa", "mit"):
        assert not re.search("samba|ktpass|setspn", spoken[kind])


def test_in_words_each_line_says_where_it_is_typed(machine):
    no_keytab(machine)
    said = machine.run("negotiate-wsgi", "doctor", "--hostname", machine.host).stdout
    assert re.search(
        r"^problem  NW005  keytab: .+\n {17}Export it.+\n {17}Windows: ktpass .+\n"
        r" {17}Samba DC: samba-tool domain exportkeytab ",
        said,
        re.MULTILINE,
    )


BACK = "HTTP/back-of-doctor.test"


@pytest.fixture(scope="session")
def next_service(domain_controller):
    domain_controller.add_service_account("svc-back-doctor", [BACK])
    return BACK


@pytest.fixture
def acting(machine, next_service):
    """A server whose keytab has its account, too, and how the doctor is asked of that."""
    machine.export(machine.account)
    without_weak_keys(machine)
    return ["--delegation-account", machine.account, "--delegate-to", next_service]


def delegation(machine, *arguments):
    return everything(machine, *arguments)["NW031"]


def permit(machine, spn=BACK):
    add = ("delegation", "add-service", machine.account, spn)
    machine.realm.samba_tool(*add)


def test_an_account_that_may_act_for_users(machine, acting):
    permit(machine)
    assert machine.doctor(*acting) == []
    found = delegation(machine, *acting)
    assert (
        found["found"] == f"{machine.account} may act for alice@AD.CORP.TEST at {BACK}"
    )
    machine.environ["NEGOTIATE_DELEGATION_ACCOUNT"] = machine.account
    assert "name with --delegate-to" in delegation(machine)["found"]
    del machine.environ["NEGOTIATE_DELEGATION_ACCOUNT"]
    assert "not asked for" in delegation(machine)["found"]


def test_an_account_that_may_not(machine, acting):
    """What the doctor says to type permits it."""
    [found] = machine.doctor(*acting)
    assert found["id"] == "NW031"
    assert "does not let" in found["found"]
    assert is_in_its_words(found)
    machine.type(found["command"])
    assert machine.doctor(*acting) == []


def test_a_keytab_without_the_account(machine, next_service):
    permit(machine)
    acting = ["--delegation-account", machine.account, "--delegate-to", next_service]
    [found] = machine.doctor(*acting)
    assert "has no key for the account" in found["found"]
    assert is_in_its_words(found)
    machine.type(found["command"])
    without_weak_keys(machine)
    assert machine.doctor(*acting) == []


def test_a_next_service_that_the_kdc_does_not_know(machine, acting):
    [found] = machine.doctor(*acting[:-1], "HTTP/no-such.test")
    assert found["found"] == "The KDC knows no HTTP/no-such.test."


def test_delegate_to_needs_an_account(machine):
    done = machine.run("negotiate-wsgi", "doctor", "--delegate-to", BACK)
    assert done.returncode == 2
    assert "--delegate-to needs --delegation-account" in done.stderr
