"""Ways to break a set-up in Active Directory for real. For each the doctor names that fault and no
other, in the words of Active Directory, and what it says to type at Samba's domain controller
repairs it, typed as it stands.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess

import pytest
import sites
from domain import AES, NO_AUTH_DATA_REQUIRED, RC4
from faults import Fault, walk_through
from machine import Member

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


def no_keytab(machine):
    machine.keytab.unlink()


def empty_keytab(machine):
    machine.keytab.write_bytes(b"")


def damaged_keytab(machine):
    machine.keytab.write_bytes(os.urandom(200))


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
    kvno = 7
    content = machine.keytab.read_bytes()
    assert content.count((2).to_bytes(4)) >= 2
    later = content.replace((2).to_bytes(4), kvno.to_bytes(4))
    machine.keytab.write_bytes(later)


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


def with_the_key_of_another_password(machine, *principals):
    lines = []
    for principal in principals:
        whole = f"{principal}@{machine.realm.name}"
        lines += [f"addent -password -p {whole} -k 2 -e aes256-cts -s SALT", "a-guess"]
    machine.keytab.unlink()
    machine.ktutil(*lines, f"wkt {machine.keytab}")


def spn_taken_away(machine):
    machine.realm.add_spn(machine.account, f"HTTP/other-{machine.host}")
    machine.export(f"HTTP/other-{machine.host}")
    spns = machine.realm.attribute(machine.account, "servicePrincipalName")
    others = [spn for spn in spns if spn != machine.spn]
    machine.realm.modify(machine.account, servicePrincipalName=others)
    return {"authorization": ""}


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


def clock_ahead(machine):
    machine.prefix = ["faketime", "-f", "+10m"]


def set_the_clock(machine):
    machine.prefix = []


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


NOBODY = lambda machine: ""  # noqa: E731
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
    Fault(new_password, "NW015", "kvno 3, .* newest is 2", "stale-keytab"),
    Fault(directory_from_a_backup, "NW015", "kvno 3, .* newest is 7", "stale-ticket"),
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
    Fault(new_password, "NW015", "kvno 3, .* newest is 2", "stale-keytab"),
    Fault(wrong_password_of_the_computer, "NW015", "which it refused", "wrong-key"),
    Fault(clock_ahead, "NW014", "6.. s ahead of", "clock-skew", set_the_clock),
    Fault(one_key_for_two_services, "NW028", "has that of host/srv", "accepted"),
]


def told(finding):
    return [finding["remedy"], finding["command"], *finding["beside"]]


def is_in_its_words(finding):
    """Whether it is of no other kind of KDC; and beside Samba stands Windows."""
    if FOREIGN.search("\n".join(told(finding))):
        return False
    if finding["place"] != "Samba":
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
