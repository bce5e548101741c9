"""What the doctor finds out about passwords: planted faults, each repaired by what it says to type,
and a password that is typed on a terminal, tried once, and shown nowhere."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import pty
import re
import select
import shutil
import ssl
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sites
from machine import Machine, Member, administered_realm, name_of_host

from negotiate_wsgi import PasswordSignOn
from negotiate_wsgi.doctor import krb5_conf
from negotiate_wsgi.doctor.run import gather
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.request.attempts_file import locked_table

IDS = ["NW032", "NW033", "NW034", "NW035", "NW036"]
WRONG = "not-The-Passw0rd"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def realm():
    with administered_realm(hosts=()) as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path, request):
    host = name_of_host(request.node.name)
    return Machine(realm, tmp_path / "machine", f"pw-{host}.test")


@pytest.fixture
def on_the_kdc(machine, realm):
    """The same machine, where the KDC's database can be read."""
    machine.environ["KRB5_KDC_PROFILE"] = realm.environ["KRB5_KDC_PROFILE"]
    return machine


@pytest.fixture
def user(realm):
    name = f"user{next(_numbers)}"
    realm.add_user(name)
    return name


@pytest.fixture
def member(domain, tmp_path):
    """A server in a domain of Active Directory."""
    number = next(_numbers)
    host, account = f"pw{number}.corp.test", f"svc-pw{number}"
    return Member(domain, tmp_path / "machine", host, account=account)


def everything(machine, *arguments):
    """What the doctor finds of passwords, by check."""
    done = machine.run(
        "negotiate-wsgi", "doctor", "--json", "--passwords", machine.realm.name, *arguments
    )  # fmt: skip
    assert done.stdout, done.stderr
    return {
        finding["id"]: finding
        for finding in json.loads(done.stdout)
        if finding["id"] in IDS
    }


def amiss(machine, *arguments):
    found = everything(machine, *arguments).values()
    return [finding for finding in found if finding["status"] != "ok"]


def converse(machine, *words, answers):
    """Run the doctor on a terminal, and type an answer where it asks; None closes the terminal.

    Returns its exit code, and all that the terminal showed.
    """
    command = [*machine.prefix, "negotiate-wsgi", "doctor", *words]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, machine.environ)
    shown = b""
    answers = list(answers)
    while select.select([terminal], [], [], 120)[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if answers and shown.endswith(b": "):
            answer = answers.pop(0)
            os.write(terminal, b"\x04" if answer is None else answer.encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert not answers
    return os.waitstatus_to_exitcode(status), shown.decode()


def plain(shown):
    """What stays on the terminal, without colours and progress."""
    lines = shown.replace("\r\x1b[K", "\n").replace("\r\n", "\n")
    return re.sub(r"\x1b\[\d*m", "", lines)


def line(shown, check):
    [found] = re.findall(rf"^\w+ +{check} .*$", plain(shown), re.MULTILINE)
    return found.strip()


def try_one(machine, user, password):
    """Exit code and what is shown where *password* is typed for *user*."""
    code, shown = converse(
        machine, "--passwords", machine.realm.name, "--user", user, answers=[password]
    )  # fmt: skip
    if password:
        assert password not in shown
    return code, shown


def failures(realm, user):
    return int(
        re.search(r"password attempts: (\d+)", realm.kadmin("getprinc", user))[1]
    )


# Whether they are looked at


def test_nobody_who_has_no_passwords_hears_of_them(machine):
    done = machine.run("negotiate-wsgi", "doctor", "--json", "--user", "alice")
    assert not set(IDS) & {finding["id"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert [check.id for check in gather() if check.id in IDS] == IDS


def test_a_healthy_machine_is_told_so(machine, user):
    found = everything(machine, "--user", user)
    assert [finding["status"] for finding in found.values()] == ["ok"] * 5
    assert list(found) == IDS
    assert f"by a ticket for {machine.spn}@EXAMPLE.TEST" in found["NW032"]["found"]
    assert found["NW033"]["found"] == "not looked at: --url names no page"
    assert "not tried" in found["NW034"]["found"]
    assert "not known" in found["NW035"]["found"]
    assert f"{machine.rcache} can be written" in found["NW036"]["found"]


def test_its_defaults_are_those_of_the_option():
    options = inspect.signature(PasswordSignOn).parameters
    setup = Setup()
    assert setup.attempts == options["attempts"].default
    assert setup.period == options["period"].default


# Binding and SPN


def test_the_realm_has_to_be_that_of_a_key(machine):
    arguments = ["doctor", "--json", "--passwords", "example.test"]
    done = machine.run("negotiate-wsgi", *arguments)
    [finding] = [f for f in json.loads(done.stdout) if f["status"] != "ok"]
    assert (finding["id"], finding["status"]) == ("NW032", "problem")
    assert "has no key for HTTP/ in the realm example.test" in finding["found"]
    machine.type(finding["command"])
    assert machine.environ["NEGOTIATE_PASSWORD_REALM"] == machine.realm.name
    assert amiss(machine) == []


def test_a_missing_key_is_told_of_once(machine):
    machine.keytab.unlink()
    machine.realm.add_service(f"host/{machine.host}", machine.keytab)
    found = machine.doctor("--passwords", machine.realm.name)
    assert [finding["id"] for finding in found] == ["NW007"]


def test_python_gssapi_is_needed_with_either_acceptor(machine):
    program = (
        "import sys; sys.modules['gssapi'] = None; from negotiate_wsgi.__main__ import main; "
        "sys.exit(main(['doctor', '--json', '--passwords', 'EXAMPLE.TEST']))"
    )
    done = machine.run(sys.executable, "-P", "-c", program)
    [finding] = [f for f in json.loads(done.stdout) if f["id"] == "NW032"]
    assert finding["status"] == "problem"
    assert finding["command"] == "pip install 'negotiate-wsgi[gssapi]'"


ACCEPTORS = """
from negotiate_wsgi import GssapiAcceptor

class Acceptor:
    accept = GssapiAcceptor().accept

class Checker(Acceptor):
    def check_password(self, user, password): raise AssertionError

without, checks = Acceptor(), Checker()
"""


def test_an_acceptor_may_check_passwords_itself(machine):
    (machine.directory / "acceptors.py").write_text(ACCEPTORS)
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:checks"
    assert everything(machine)["NW032"]["found"] == "checked by the acceptor itself"
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:without"
    [finding] = amiss(machine)
    assert finding["id"] == "NW032"
    assert "cannot check passwords" in finding["found"]
    machine.type(finding["command"])
    assert amiss(machine) == []


# A password


@pytest.mark.parametrize("acceptor", ["pykerberos", "gssapi"])
def test_a_right_password_is_said_to_come_in(machine, user, acceptor):
    machine.environ["NEGOTIATE_ACCEPTOR"] = acceptor
    code, shown = try_one(machine, user, machine.realm.password(user))
    assert code == 0, shown
    assert f"{user}@EXAMPLE.TEST came in, and the KDC proved itself" in line(
        shown, "NW034"
    )
    assert "tried once; a wrong one counts at the KDC" in plain(shown)


def test_a_wrong_one_is_tried_once(machine, realm, user):
    realm.kadmin("modprinc", "+requires_preauth", user)
    code, shown = try_one(machine, user, WRONG)
    assert code == 1
    said = line(shown, "NW034")
    assert said.startswith("warning")
    assert f"The KDC says no to {user}: Preauthentication failed" in said
    assert failures(realm, user) == 1
    # The negative control.
    code, shown = try_one(machine, user, realm.password(user))
    assert (code, failures(realm, user)) == (0, 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["-allow_tix"], "credentials have been revoked"),
        (["+needchange"], "Password has expired"),
        (["-expire", "2001-01-01"], "entry in database has expired"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_the_kdc_says_is_said_and_where_to_look(on_the_kdc, user, change, says):
    on_the_kdc.realm.kadmin("modprinc", *change, user)
    code, shown = try_one(on_the_kdc, user, on_the_kdc.realm.password(user))
    assert code == 1
    assert says in line(shown, "NW034")
    [command] = re.findall(r"^ +(\S*kadmin.local .*getprinc.*)$", plain(shown), re.M)
    assert f"Principal: {user}@EXAMPLE.TEST" in on_the_kdc.type(command)


def test_a_user_that_the_kdc_does_not_know(machine):
    code, shown = try_one(machine, "nobody-of-this-name", WRONG)
    assert code == 1
    assert "not found in Kerberos database" in line(shown, "NW034")


def test_the_user_is_asked_for(machine, user):
    password = machine.realm.password(user)
    code, shown = converse(
        machine, "--passwords", "EXAMPLE.TEST", answers=[user, password]
    )
    assert code == 0
    assert "User name in EXAMPLE.TEST: " in shown
    assert f"{user}@EXAMPLE.TEST came in" in line(shown, "NW034")
    assert password not in shown


@pytest.mark.parametrize("name", ["alice@EXAMPLE.TEST", "HTTP/x", r"CORP\alice", ""])
def test_what_is_no_user_s_name_is_not_tried(machine, name):
    code, shown = converse(machine, "--passwords", "EXAMPLE.TEST", answers=[name])
    assert code == 1
    assert "Not tried: " in line(shown, "NW034")
    assert "Password for" not in shown


@pytest.mark.parametrize(
    ("typed", "code"), [(None, 0), ("", 1)], ids=["closed", "empty"]
)
def test_where_nothing_is_typed_nothing_is_tried(machine, realm, user, typed, code):
    realm.kadmin("modprinc", "+requires_preauth", user)
    done, shown = try_one(machine, user, typed)
    assert done == code
    assert "not tried: " in line(shown, "NW034").lower()
    assert failures(realm, user) == 0


def test_without_a_terminal_and_for_machines_nothing_is_asked(machine, user):
    arguments = ["--passwords", "EXAMPLE.TEST", "--user", user]
    done = machine.run("negotiate-wsgi", "doctor", *arguments, typed="secret\n")
    assert done.returncode == 0
    assert "typed on a terminal alone, without --json" in line(done.stdout, "NW034")
    code, shown = converse(machine, "--json", *arguments, answers=[])
    assert code == 0
    assert "Password for" not in shown
    found = json.loads(plain(shown)[plain(shown).index("[\n") :])
    [finding] = [each for each in found if each["id"] == "NW034"]
    assert "without --json" in finding["found"]


@contextmanager
def fake_kdc(machine, user):
    """Somebody else's, who has chosen the user's password. It gives the SPN no ticket, so that
    nothing but a password shows it.
    """
    text = machine.krb5_conf.read_text()
    with Realm(machine.realm.name, users=[], hosts=[machine.host]) as fake:
        fake.kadmin("addprinc", "-pw", WRONG, user)
        fake.kadmin("modprinc", "+needchange", machine.spn)
        port = re.compile(r"kdc = 127\S*")
        machine.krb5_conf.write_text(port.sub(f"kdc = 127.0.0.1:{fake.kdc_port}", text))
        yield
    machine.krb5_conf.write_text(text)


def test_a_kdc_that_is_not_ours_is_called_that(machine, user):
    (machine.directory / "ccache").unlink()
    with fake_kdc(machine, user):
        code, shown = try_one(machine, user, WRONG)
        assert code == 2
        said = line(shown, "NW034")
        assert said.startswith("problem")
        assert (
            "The KDC says yes, but its ticket for us is not made with our key" in said
        )
        assert "have the password changed" in plain(shown)
    code, shown = try_one(machine, user, machine.realm.password(user))
    assert code == 0
    assert "came in" in line(shown, "NW034")


def test_a_kdc_that_does_not_answer(machine, user):
    """That of a second realm: else nobody would be asked."""
    port = sites.free_port()
    text = machine.krb5_conf.read_text()
    dead = f"[realms]\n\tDEAD.TEST = {{\n\t\tkdc = 127.0.0.1:{port}\n\t}}\n"
    machine.krb5_conf.write_text(text.replace("[realms]\n", dead))
    entry = f"addent -password -p {machine.spn}@DEAD.TEST -k 1 -e aes256-cts -s SALT"
    machine.ktutil(entry, "a-guess", f"wkt {machine.keytab}")
    code, shown = converse(
        machine, "--passwords", "DEAD.TEST", "--user", user, answers=[WRONG]
    )  # fmt: skip
    assert code == 2
    assert "No KDC of DEAD.TEST answers: " in line(shown, "NW034")


def test_in_active_directory_too(member):
    member.realm.add_user("pw-typist", password="Passw0rd-typed-here")
    code, shown = try_one(member, "pw-typist", "Passw0rd-typed-here")
    assert code == 0, shown
    assert "pw-typist@AD.CORP.TEST came in" in line(shown, "NW034")
    code, shown = try_one(member, "pw-typist", WRONG)
    assert code == 1
    assert "Preauthentication failed" in line(shown, "NW034")
    [command] = re.findall(
        r"^ +Samba DC: (samba-tool user show .*)$", plain(shown), re.M
    )
    assert "sAMAccountName: pw-typist" in member.type(command)


def test_a_keytab_of_another_password_is_a_kdc_that_is_not_genuine(member):
    """Where nobody has a ticket, nothing but a password shows it. What is said repairs it."""
    member.realm.add_user("pw-witness", password="Passw0rd-typed-here")
    (member.directory / "ccache").unlink()
    whole = f"{member.spn}@{member.realm.name}"
    kvno = int(member.realm.kvno(member.spn).split("kvno = ")[1])
    member.keytab.unlink()
    entry = f"addent -password -p {whole} -k {kvno} -e aes256-cts -s SALT"
    member.ktutil(entry, "a-guess", f"wkt {member.keytab}")
    code, shown = try_one(member, "pw-witness", "Passw0rd-typed-here")
    assert code == 2
    assert "not made with our key" in line(shown, "NW034")
    [command] = re.findall(r"^ +Samba DC: (.*exportkeytab.*)$", plain(shown), re.M)
    member.type(command)
    _, shown = try_one(member, "pw-witness", "Passw0rd-typed-here")
    assert "came in" in line(shown, "NW034")


# Lock-out


@pytest.fixture
def policy(realm):
    name = f"policy{next(_numbers)}"
    realm.kadmin("addpol", "-maxfailure", "9", "-failurecountinterval", "1800s", name)
    return name


@pytest.fixture
def limited(realm, user, policy):
    realm.kadmin("modprinc", "+requires_preauth", "-policy", policy, user)
    return user


def test_a_limit_that_is_high_enough(on_the_kdc, limited, policy):
    finding = everything(on_the_kdc, "--user", limited)["NW035"]
    assert finding["found"] == (
        f"the policy {policy} locks an account after 9 wrong passwords, and we refuse after 3"
    )
    assert amiss(on_the_kdc, "--user", limited, "--attempts", "8") == []
    [finding] = amiss(on_the_kdc, "--user", limited, "--attempts", "9")
    assert (finding["id"], finding["status"]) == ("NW035", "problem")


@pytest.mark.parametrize("ours_or_theirs", ["command", "beside"])
def test_a_limit_that_is_too_low(on_the_kdc, realm, limited, policy, ours_or_theirs):
    realm.kadmin("modpol", "-maxfailure", "3", policy)
    [finding] = amiss(on_the_kdc, "--user", limited)
    assert (finding["id"], finding["status"]) == ("NW035", "problem")
    assert "after 3 wrong passwords, and attempts=3" in finding["found"]
    told = finding[ours_or_theirs]
    on_the_kdc.type(told if isinstance(told, str) else told[0])
    assert amiss(on_the_kdc, "--user", limited) == []


def test_one_wrong_password_is_too_few_for_any_attempts(
    on_the_kdc, realm, limited, policy
):
    realm.kadmin("modpol", "-maxfailure", "1", policy)
    [finding] = amiss(on_the_kdc, "--user", limited)
    assert "modpol -maxfailure 7" in finding["command"]
    on_the_kdc.type(finding["command"])
    assert amiss(on_the_kdc, "--user", limited) == []


def test_what_is_not_counted(on_the_kdc, realm, limited):
    realm.kadmin("modprinc", "-requires_preauth", limited)
    [finding] = amiss(on_the_kdc, "--user", limited)
    assert (finding["id"], finding["status"]) == ("NW035", "warning")
    assert "counts no wrong passwords" in finding["found"]
    # It is so.
    try_one(on_the_kdc, limited, WRONG)
    assert failures(realm, limited) == 0
    on_the_kdc.type(finding["command"])
    assert amiss(on_the_kdc, "--user", limited) == []
    try_one(on_the_kdc, limited, WRONG)
    assert failures(realm, limited) == 1


@pytest.mark.parametrize(
    ("window", "says"), [("0", "for ever"), ("1801s", "for 1801 s")]
)
def test_a_window_that_is_longer_than_ours(
    on_the_kdc, realm, limited, policy, window, says
):
    realm.kadmin("modpol", "-failurecountinterval", window, policy)
    [finding] = amiss(on_the_kdc, "--user", limited)
    assert (finding["id"], finding["status"]) == ("NW035", "warning")
    assert f"keeps wrong passwords {says}, and we for 1800 s" in finding["found"]
    if window != "0":
        assert amiss(on_the_kdc, "--user", limited, "--period", "1801") == []
    on_the_kdc.type(finding["command"])
    assert amiss(on_the_kdc, "--user", limited) == []


def test_who_is_never_locked(on_the_kdc, realm, user, limited, policy):
    realm.kadmin("modprinc", "-clearpolicy", user)
    finding = everything(on_the_kdc, "--user", user)["NW035"]
    assert finding["found"].startswith(
        f"{user} is never locked (no policy): attempts=3"
    )
    realm.kadmin("modprinc", "-policy", policy, user)
    realm.kadmin("modpol", "-maxfailure", "0", policy)
    finding = everything(on_the_kdc, "--user", user)["NW035"]
    assert f"{user} is never locked (the policy {policy})" in finding["found"]


def is_asked_by_krb5(machine, address, user):
    """Whether krb5 sends something to *address* where a password is wrong."""
    trace = machine.directory / "trace"
    trace.write_text("")
    machine.environ["KRB5_TRACE"] = str(trace)
    machine.run("kinit", "-c", f"{machine.directory}/none", user, typed=f"{WRONG}\n")
    del machine.environ["KRB5_TRACE"]
    assert "Preauthentication failed" in trace.read_text()
    return address in trace.read_text()


@pytest.mark.parametrize("name", ["primary_kdc", "master_kdc", "admin_server"])
def test_a_primary_kdc_that_counts_again(on_the_kdc, realm, limited, policy, name):
    realm.kadmin("modpol", "-maxfailure", "6", policy)
    text = on_the_kdc.krb5_conf.read_text()

    def name_it(host):
        named = re.sub(r"(\t*)(kdc = \S+\n)", rf"\1\2\1{name} = {host}\n", text)
        assert named != text
        on_the_kdc.krb5_conf.write_text(named)

    name_it("127.0.0.1:749")  # the one that is asked
    assert amiss(on_the_kdc, "--user", limited) == []
    name_it("127.0.0.3:88")
    is_asked = is_asked_by_krb5(on_the_kdc, "127.0.0.3", limited)
    assert is_asked == (name != "admin_server")
    found = amiss(on_the_kdc, "--user", limited)
    if not is_asked:
        assert found == []
        return
    assert [each["status"] for each in found] == ["warning"]
    assert "krb5 asks the primary KDC 127.0.0.3:88 once more" in found[0]["found"]
    on_the_kdc.type(found[0]["command"])
    assert on_the_kdc.environ["NEGOTIATE_PASSWORD_ATTEMPTS"] == "2"
    assert amiss(on_the_kdc, "--user", limited) == []


def test_of_another_realm_s_block_nothing_is_taken(tmp_path, monkeypatch):
    conf = tmp_path / "krb5.conf"
    conf.write_text(
        "[libdefaults]\n primary_kdc = a\n[realms]\n ONE.TEST = {\n  kdc = b:88\n  primary_kdc = c\n"
        f" }}\n include {tmp_path}/more\n[domain_realm]\n kdc = d\ninclude {tmp_path}/more\n"
    )
    (tmp_path / "more").write_text(
        "[realms]\n TWO.TEST = {\n  kdc = e\n  kdc = f\n }\n"
    )
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    assert krb5_conf.of_realm("ONE.TEST", "kdc") == ["b:88"]
    assert krb5_conf.of_realm("ONE.TEST", "primary_kdc", "master_kdc") == ["c"]
    assert krb5_conf.of_realm("TWO.TEST", "kdc", "primary_kdc") == ["e", "f"]
    assert krb5_conf.of_realm("THREE.TEST", "kdc") == []


def test_where_the_database_is_elsewhere_it_says_what_to_type(machine, limited):
    finding = everything(machine, "--user", limited)["NW035"]
    assert finding["status"] == "ok"
    assert finding["command"] == f"kadmin -q 'getprinc {limited}@EXAMPLE.TEST'"
    assert "Policy: policy" in machine.type(finding["command"])


def test_a_user_whom_the_kdc_does_not_know_is_no_reason_to_guess(on_the_kdc):
    for name in ("nobody", "-terse", 'a" "b', "x; touch evil"):
        found = everything(on_the_kdc, f"--user={name}")["NW035"]["found"]
        assert found.startswith("not known")
    assert not (on_the_kdc.directory / "evil").exists()


SETTINGS = ("domain", "passwordsettings")


@pytest.fixture
def locking(domain):
    """The domain locks whoever types three wrong passwords."""
    domain.samba_tool(*SETTINGS, "set", "--account-lockout-threshold=3")
    yield domain
    domain.samba_tool(*SETTINGS, "set", "--account-lockout-threshold=0")


def test_active_directory_says_its_limit(member, locking):
    [finding] = amiss(member, "--user", "alice")
    assert (finding["id"], finding["status"]) == ("NW035", "problem")
    assert "The domain AD.CORP.TEST locks an account after 3" in finding["found"]
    windows, samba = finding["beside"]
    assert windows == (
        "Windows: Set-ADDefaultDomainPasswordPolicy ad.corp.test -LockoutThreshold 7"
    )
    assert samba.startswith("Samba DC: samba-tool ")
    member.type(samba.removeprefix("Samba DC: "))
    assert amiss(member, "--user", "alice") == []
    locking.samba_tool(*SETTINGS, "set", "--account-lockout-threshold=3")
    member.type(finding["command"])
    assert amiss(member, "--user", "alice") == []


def test_active_directory_says_its_window(member, locking):
    duration = "--account-lockout-duration=40"
    locking.samba_tool(
        *SETTINGS, "set", duration, "--reset-account-lockout-after=40",
        "--account-lockout-threshold=9",
    )  # fmt: skip
    try:
        [finding] = amiss(member, "--user", "alice")
        assert "keeps wrong passwords for 2400 s, and we for 1800 s" in finding["found"]
        assert finding["beside"] == [
            "Windows: Set-ADDefaultDomainPasswordPolicy ad.corp.test "
            "-LockoutObservationWindow (New-TimeSpan -Minutes 30)"
        ]
        member.type(finding["command"])
        assert amiss(member, "--user", "alice") == []
    finally:
        default = ("--account-lockout-duration=30", "--reset-account-lockout-after=30")
        locking.samba_tool(*SETTINGS, "set", *reversed(default))


def test_a_settings_object_is_for_some_users_alone(member, domain):
    domain.add_user("pw-of-few")
    pso = (*SETTINGS, "pso")
    options = ["--account-lockout-threshold=2", "--account-lockout-duration=30"]
    domain.samba_tool(*pso, "create", "few", "1", *options)
    try:
        domain.samba_tool(*pso, "apply", "few", "pw-of-few")
        [finding] = amiss(member, "--user", "pw-of-few")
        assert (
            "The password settings object few locks an account after 2"
            in finding["found"]
        )
        assert "Set-ADFineGrainedPasswordPolicy few -LockoutThreshold 7" in "".join(
            finding["beside"]
        )
        other = everything(member, "--user", "bob")["NW035"]["found"]
        assert other.startswith("bob is never locked (the domain AD.CORP.TEST)")
        member.type(finding["beside"][1].removeprefix("Samba DC: "))
        assert amiss(member, "--user", "pw-of-few") == []
    finally:
        domain.samba_tool(*pso, "delete", "few")


def test_who_is_no_domain_controller_is_told_what_to_type_there(member):
    conf = member.environ["SMB_CONF_PATH"]
    member.environ["SMB_CONF_PATH"] = f"{member.directory}/none"
    finding = everything(member, "--user", "alice")["NW035"]
    assert finding["found"].startswith("not known")
    assert any(
        "Get-ADDefaultDomainPasswordPolicy" in line for line in finding["beside"]
    )
    member.environ["SMB_CONF_PATH"] = conf
    assert "Account lockout threshold" in member.type(finding["command"])


# The file of attempts


def file_of(machine):
    return machine.rcache / f"negotiate_{os.geteuid()}.attempts"


@pytest.fixture
def counted(machine, monkeypatch):
    """A machine with a file that a server has made."""
    monkeypatch.setenv("KRB5RCACHEDIR", str(machine.rcache))
    with locked_table():
        pass
    assert file_of(machine).exists()
    return machine


def open_to_others(file):
    file.chmod(0o640)


def a_link(file):
    file.rename(f"{file}.other")
    file.symlink_to(f"{file}.other")


def another_name(file):
    os.link(file, f"{file}.other")


def cut_off(file):
    file.write_bytes(file.read_bytes()[:1000])


def of_somebody_else(file):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 4711, 4711)


def a_pipe(file):
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    ("breaking", "says"),
    [
        (open_to_others, "is open to other users"),
        (a_link, "is not a file of uid"),
        (another_name, "has another name, too"),
        (cut_off, "is damaged"),
        (of_somebody_else, "is not a file of uid"),
        (a_pipe, "is not a file of uid"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_no_server_can_use(counted, breaking, says):
    assert amiss(counted) == []
    assert "is in use" in everything(counted)["NW036"]["found"]
    breaking(file_of(counted))
    [finding] = amiss(counted)
    assert (finding["id"], finding["status"]) == ("NW036", "problem")
    assert says in finding["found"]
    counted.type(finding["command"])
    assert amiss(counted) == []


def test_a_directory_that_is_not_there(machine):
    """That of the replay cache is elsewhere: else another check would tell."""
    machine.environ["KRB5RCACHENAME"] = f"file2:{machine.directory}/rcache2"
    shutil.rmtree(machine.rcache)
    [finding] = amiss(machine)
    assert finding["id"] == "NW036"
    assert f"there is no directory {machine.rcache}" in finding["found"]
    machine.type(finding["command"])
    assert amiss(machine) == []
    del machine.environ["KRB5RCACHENAME"]
    shutil.rmtree(machine.rcache)
    found = machine.doctor("--passwords", "EXAMPLE.TEST")
    assert [finding["id"] for finding in found] == ["NW004"]


def test_no_file_is_made_or_changed(counted, user):
    file = file_of(counted)
    before = file.read_bytes()
    try_one(counted, user, WRONG)
    assert file.read_bytes() == before
    file.unlink()
    try_one(counted, user, WRONG)
    assert not file.exists()


# TLS


@contextmanager
def answering(port, status, headers, context=None):
    """A server on an address of its own, at the port where people look for one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    try:
        server = HTTPServer(("127.0.0.2", port), Handler)
    except OSError as problem:
        pytest.skip(f"port {port} of 127.0.0.2 cannot be had: {problem}")
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def trusted(machine):
    """A certificate for the machine's host, which it trusts."""
    crt, key = machine.directory / "crt", machine.directory / "key"
    machine.run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=www",
        "-addext", f"subjectAltName=DNS:{machine.host}", "-keyout", key, "-out", crt,
    )  # fmt: skip
    machine.environ["SSL_CERT_FILE"] = str(crt)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return context


NEGOTIATE = ("WWW-Authenticate", "Negotiate")
BASIC = ("WWW-Authenticate", 'Basic realm="EXAMPLE.TEST", charset="UTF-8"')


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (401, [NEGOTIATE], "does not ask for a password"),
        (301, [("Location", "https://www.example.test/")], "leads to https:"),
        (401, [NEGOTIATE, BASIC], "Passwords of EXAMPLE.TEST are asked for over http"),
        (
            401,
            [("WWW-Authenticate", "Negotiate, basic realm=x")],
            "Passwords of x are asked for over http",
        ),
    ],
    ids=["asks for tickets", "leads on", "asks for passwords", "asks for others"],
)
def test_the_same_page_over_http(machine, trusted, status, headers, says):
    arguments = ["--url", f"https://{machine.host}/", "--passwords", "EXAMPLE.TEST"]
    with answering(443, 401, [NEGOTIATE, BASIC], trusted):
        with answering(80, status, headers):
            done = machine.run("negotiate-wsgi", "doctor", *arguments)
        alone = machine.run("negotiate-wsgi", "doctor", *arguments)
    first, second = re.findall("NW033.*", done.stdout)
    assert "passwords of EXAMPLE.TEST are asked for over https" in first
    assert says in second
    assert ("problem  NW033" in done.stdout) == ("asked for over http" in says)
    assert "nothing answers at http:" in re.findall("NW033.*", alone.stdout)[1]
