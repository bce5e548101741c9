"""Is the password right? With KDCs of MIT's and Samba's, with both acceptors, and with liars."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import made, put
from domain import NO_AUTH_DATA_REQUIRED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from password_accounts import (
    PASSWORDS,
    TROUBLES,
    WRONG,
    account_in,
)
from silence import Silence

from negotiate_wsgi import (
    Accepted,
    AcceptorError,
    ConfigurationError,
    GssapiAcceptor,
    Reason,
    Refused,
)
from negotiate_wsgi.acceptors.passwords import KerberosPasswords, PasswordChecker
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.request.workers import Workers
from negotiate_wsgi.wire.authorization import Password, checked_password

ACCEPTORS = {"pykerberos": PykerberosAcceptor, "gssapi": GssapiAcceptor}


@pytest.fixture(params=ACCEPTORS)
def make(request):
    return ACCEPTORS[request.param]


@pytest.fixture
def passwords(home, make):
    return KerberosPasswords(home.name, make())


def check(passwords, user, password):
    """As a request does it, which screens both first."""
    screened = checked_password(user, password)
    if isinstance(screened, Refused):
        return screened
    return passwords.check_password(*screened)


def fault_of(passwords, user="alice", password="any"):
    with pytest.raises(AcceptorError) as fault:
        check(passwords, user, password)
    return fault.value


# What the KDC says


@pytest.mark.parametrize("user", PASSWORDS)
def test_the_right_password_and_the_wrong_one(passwords, home, user):
    accepted = check(passwords, user, PASSWORDS[user])
    identity = accepted.identity
    assert identity.principal == f"{user}@{home.name}"
    assert (identity.source, identity.spn) == ("password", None)
    assert (accepted.token, accepted.delegated) == (None, None)
    for wrong in (
        PASSWORDS[user] + "x",
        PASSWORDS[user][:-1],
        PASSWORDS[user].swapcase(),
    ):
        refused = check(passwords, user, wrong)
        assert refused == Refused(Reason.PASSWORD_REFUSED, WRONG, typed=user)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_accounts_in_trouble(passwords, kind, trouble):
    user = account_in(trouble)
    to_right, to_wrong = TROUBLES[trouble][kind]
    refused = check(passwords, user, "Passw0rd")
    assert refused == Refused(Reason.PASSWORD_REFUSED, to_right, typed=user)
    # Newer versions of Samba say it to a wrong password, too, as MIT does.
    told = [
        Refused(Reason.PASSWORD_REFUSED, text, typed=user)
        for text in (to_wrong, to_right)
    ]
    assert check(passwords, user, "Wr0ng") in told


@pytest.mark.parametrize("user", ["nobody", "no body", "nöbody", "krbtgt", "-x", "a:b"])
def test_a_user_whom_the_kdc_does_not_know_stands_in_no_log(passwords, user):
    refused = check(passwords, user, "hunter2")
    if user == "krbtgt":
        assert refused.reason is Reason.PASSWORD_REFUSED
        return
    detail = "Client '…' not found in Kerberos database"
    assert refused == Refused(Reason.PASSWORD_REFUSED, detail)


def test_without_preauthentication_the_password_has_to_decrypt(accounts_of_mit, make):
    passwords = KerberosPasswords(accounts_of_mit.name, make())
    assert isinstance(check(passwords, "pw-plain", "Passw0rd"), Accepted)
    refused = check(passwords, "pw-plain", "Wr0ng")
    detail = "Decrypt integrity check failed"
    assert refused == Refused(Reason.PASSWORD_REFUSED, detail, typed="pw-plain")


def test_an_account_that_has_rc4_alone(domain, accounts_of_samba, make):
    """Its key is made of UTF-16, which krb5 makes of the password."""
    passwords = KerberosPasswords(domain.name, make())
    assert check(passwords, "pw-rc4", domain.password("pw-rc4")).identity
    for wrong in ("Wr0ng", "Wr0ng \U0001f511", "x" * 1024):
        assert check(passwords, "pw-rc4", wrong).reason is Reason.PASSWORD_REFUSED


@pytest.mark.parametrize("length", [255, 1024])
def test_a_long_password_is_asked_about(passwords, length):
    assert check(passwords, "pw-long", "€" * (length // 3)).detail == WRONG


def test_what_is_typed_is_one_component_of_a_name_in_our_realm(passwords, home):
    """Even if nobody has screened it: it names no other realm, and no service."""
    names = ["alice@EVIL.TEST", "HTTP/localhost", r"a\b", "a\n"]
    for user in names:
        refused = passwords.check_password(user, Password("x"))
        detail = "Client '…' not found in Kerberos database"
        assert refused == Refused(Reason.PASSWORD_REFUSED, detail), user


ANYTHING = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def test_no_user_name_and_no_password_is_a_fault_of_ours(passwords):
    @ANYTHING
    @given(
        st.text(max_size=20) | st.sampled_from(["pw-plain", "bob"]),
        st.text(max_size=40),
    )
    def refused(user, password):
        result = check(passwords, user, password)
        assert result.reason is Reason.PASSWORD_REFUSED
        if len(user) > 4:
            assert result.typed == user or user not in result.detail

    refused()
    accepted = check(passwords, "pw-right", PASSWORDS["pw-right"])
    assert isinstance(accepted, Accepted)


def test_threads_are_not_mixed_up(passwords, home):
    users = {name: home.password(name) for name in ("alice", "bob")}
    found = {name: [] for name in (*users, "nobody")}

    def sign_on(name):
        for _ in range(10):
            result = check(passwords, name, users.get(name, "x"))
            accepted = isinstance(result, Accepted)
            found[name].append(result.identity.name if accepted else result.reason)

    threads = [threading.Thread(target=sign_on, args=[name]) for name in found]
    threads += [threading.Thread(target=sign_on, args=[name]) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {
        "alice": ["alice"] * 20,
        "bob": ["bob"] * 20,
        "nobody": [Reason.PASSWORD_REFUSED] * 20,
    }


# What it is worth


def test_it_ends_with_the_ticket_at_the_latest(accounts_of_mit, make):
    passwords = KerberosPasswords(accounts_of_mit.name, make())
    before = time.time()
    short = check(passwords, "pw-short", "Passw0rd").expiry()
    assert before + 590 < short < time.time() + 601
    plain = check(passwords, "pw-plain", "Passw0rd").expiry()
    assert before + 80_000 < plain < time.time() + 86_401


def test_it_ends_with_our_own_ticket_where_that_is_known(realm, tmp_path):
    """The KDC may give a service tickets that end before the user's own does."""
    keytab = tmp_path / "keytab"
    realm.add_service("HTTP/pw-brief.test", keytab)
    realm.kadmin("modprinc", "-maxlife", "5 minutes", "HTTP/pw-brief.test")
    passwords = KerberosPasswords(realm.name, GssapiAcceptor(keytab=keytab))
    end = check(passwords, "alice", realm.password("alice")).expiry()
    assert time.time() + 200 < end < time.time() + 301


def test_a_password_is_worth_what_a_ticket_is(domain, accounts_of_samba):
    groups = {
        name: domain.sid_of(name)
        for name in ("staff", "everybody", "web-users", "admins")
    }
    acceptor = GssapiAcceptor(active_directory=True, groups=groups)
    passwords = KerberosPasswords(domain.name, acceptor)
    by_ticket = acceptor.accept(domain.token())
    by_password = check(passwords, "aLiCe", domain.password("alice"))
    expected = replace(by_ticket.identity, spn=None, source="password")
    assert by_password.identity == expected
    assert expected.principal == f"alice@{domain.name}"
    assert expected.groups == {"staff", "everybody", "web-users"}
    assert by_password.sids() == by_ticket.sids()
    bob = check(passwords, "bob", domain.password("bob")).identity
    assert bob.groups == {"everybody", "web-users", "admins"}


def test_who_has_no_pac_is_refused_as_with_a_ticket(domain, tmp_path):
    domain.add_service_account("svc-pw-nopac", ["HTTP/pw-no-pac.test"])
    domain.add_flag("svc-pw-nopac", NO_AUTH_DATA_REQUIRED)
    keytab = domain.export_keytab(tmp_path / "keytab", "HTTP/pw-no-pac.test")
    password = domain.password("alice")
    strict = GssapiAcceptor(keytab=keytab, active_directory=True)
    refused = check(KerberosPasswords(domain.name, strict), "alice", password)
    by_ticket = strict.accept(domain.token("HTTP/pw-no-pac.test"))
    assert refused == by_ticket
    assert refused.reason is Reason.NO_PAC
    lax = KerberosPasswords(domain.name, GssapiAcceptor(keytab=keytab))
    assert isinstance(check(lax, "alice", password), Accepted)


# KDCs that are not ours


@contextlib.contextmanager
def fake_kdc_of(home):
    """Another KDC of the same realm, in which the attacker knows every password."""
    with Realm(home.name, users=[], hosts=["localhost"]) as fake:
        for user in ("alice", "pw-right"):
            fake.kadmin("addprinc", "-pw", "the attacker's", user)
        yield fake


def test_who_has_not_signed_on_in_the_way_asked_for_is_refused_as_with_a_ticket(
    accounts_of_mit,
):
    acceptor = GssapiAcceptor(indicators=["pkinit"])
    passwords = KerberosPasswords(accounts_of_mit.name, acceptor)
    refused = check(passwords, "pw-right", PASSWORDS["pw-right"])
    assert refused.reason is Reason.INDICATOR_MISSING
    assert refused.principal == f"pw-right@{accounts_of_mit.name}"


def test_where_tokens_have_to_be_bound_ours_is(accounts_of_mit, tmp_path):
    """It never leaves the process; the certificate may have been renewed."""
    certificate = put(tmp_path / "www.pem", made()[0])
    acceptor = GssapiAcceptor(channel_binding="required", certificate=certificate)
    passwords = KerberosPasswords(accounts_of_mit.name, acceptor)
    for number in (0, 1):
        put(certificate, made(number=number)[0])
        accepted = check(passwords, "pw-right", PASSWORDS["pw-right"])
        assert isinstance(accepted, Accepted)
    refused = check(passwords, "pw-right", "wrong")
    assert refused.reason is Reason.PASSWORD_REFUSED


def test_a_kdc_that_says_yes_has_to_be_ours(home, make, monkeypatch):
    passwords = KerberosPasswords(home.name, make())
    with fake_kdc_of(home) as fake:
        assert check(passwords, "alice", "the attacker's").detail != ""
        with monkeypatch.context() as patch:
            patch.setenv("KRB5_CONFIG", fake.environ["KRB5_CONFIG"])
            # The KDC does say yes, to a client that does not ask more.
            initiator = passwords._initiator
            principal = f"alice@{home.name}"
            initiator.forget(initiator.sign_on(principal, Password("the attacker's")))
            for user in ("alice", "pw-right"):
                fault = fault_of(passwords, user, "the attacker's")
                assert fault.reason is Reason.KDC_NOT_GENUINE
                assert "keytab" in fault.detail
            wrong = check(passwords, "alice", home.password("alice"))
            assert wrong.reason is Reason.PASSWORD_REFUSED
        assert check(passwords, "alice", home.password("alice")).identity


def test_a_stale_keytab_cannot_tell(home, make, monkeypatch):
    passwords = KerberosPasswords(home.name, make(hostname="stale-keytab.test"))
    fault = fault_of(passwords, "alice", home.password("alice"))
    assert fault.reason is Reason.KDC_NOT_GENUINE
    assert fault.detail.startswith("stale-keytab: ")
    assert check(passwords, "alice", "wrong").reason is Reason.PASSWORD_REFUSED
    sound = KerberosPasswords(home.name, make(hostname="rotated.test"))
    assert isinstance(check(sound, "alice", home.password("alice")), Accepted)


# Which SPN


def test_the_first_spn_of_ours_in_the_realm_is_asked_for(
    realm, make, tmp_path, monkeypatch
):
    """Not the first of the keytab, nor one of another realm, nor of a host that is not ours."""
    with Realm("OTHER.TEST", users=[], hosts=["localhost"]) as other:
        keytab = tmp_path / "keytab"
        keytab.write_bytes(Path(other.keytab).read_bytes())
    for spn in ("host/localhost", "HTTP/alias.test", "HTTP/localhost"):
        realm.kadmin("ktadd", "-k", str(keytab), "-norandkey", spn)
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))

    def spn(**options):
        return KerberosPasswords(realm.name, make(**options)).own_spn()

    assert spn() == "HTTP/alias.test@EXAMPLE.TEST"
    assert spn(hostname=["LOCALHOST", "no.test"]) == "HTTP/localhost@EXAMPLE.TEST"
    assert spn(service="host") == "host/localhost@EXAMPLE.TEST"
    passwords = KerberosPasswords(realm.name, make())
    assert isinstance(check(passwords, "alice", realm.password("alice")), Accepted)


def test_a_keytab_without_a_key_in_the_realm(realm, make, tmp_path, monkeypatch):
    with Realm("OTHER.TEST", users=[], hosts=["localhost"]) as other:
        keytab = tmp_path / "keytab"
        keytab.write_bytes(Path(other.keytab).read_bytes())
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    fault = fault_of(KerberosPasswords(realm.name, make()))
    assert fault.reason is Reason.PASSWORDS_UNUSABLE
    assert f"{keytab} has no key for HTTP/ in the realm EXAMPLE.TEST" in fault.detail


def test_an_spn_that_the_realm_does_not_have(home, kind, make, tmp_path, monkeypatch):
    keytab = tmp_path / "keytab"
    if kind == "mit":
        home.add_service("HTTP/pw-gone.test", keytab)
        home.kadmin("delprinc", "HTTP/pw-gone.test")
    else:
        home.add_service_account("svc-pw-gone", ["HTTP/pw-gone.test"])
        home.export_keytab(keytab, "HTTP/pw-gone.test")
        home.delete("svc-pw-gone")
    monkeypatch.setenv("KRB5_KTNAME", str(keytab))
    passwords = KerberosPasswords(home.name, make())
    fault = fault_of(passwords, "bob", home.password("bob"))
    assert fault.reason is Reason.PASSWORDS_UNUSABLE
    assert "gives no ticket for HTTP/pw-gone.test@" in fault.detail
    assert "not found in Kerberos database" in fault.detail
    assert check(passwords, "bob", "wrong").reason is Reason.PASSWORD_REFUSED


def test_without_a_keytab_no_kdc_is_asked(realm, make, tmp_path, monkeypatch):
    with silent_kdc(monkeypatch, realm) as kdc:
        monkeypatch.setenv("KRB5_KTNAME", str(tmp_path / "keytab"))
        fault = fault_of(KerberosPasswords(realm.name, make()))
        assert fault.reason is Reason.KEYTAB_UNUSABLE
        assert not kdc.was_asked()


def test_where_gssproxy_has_the_keytab_hostname_says_the_spn(realm, make, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", "/no/such/keytab")
    monkeypatch.setenv("GSS_USE_PROXY", "yes")
    fault = fault_of(KerberosPasswords(realm.name, make()))
    assert fault.reason is Reason.PASSWORDS_UNUSABLE
    assert "write hostname=" in fault.detail
    several = KerberosPasswords(realm.name, make(hostname=["b.test", "a.test"]))
    assert several.own_spn() == "HTTP/a.test@EXAMPLE.TEST"


# Faults


@contextlib.contextmanager
def silent_kdc(patch, realm):
    kdc = Silence()
    conf = Path(realm.environ["KRB5_CONFIG"])
    silent = conf.with_name(f"silent-{kdc.port}.conf")
    silent.write_text(conf.read_text().replace(str(realm.kdc_port), str(kdc.port)))
    patch.setenv("KRB5_CONFIG", str(silent))
    try:
        yield kdc
    finally:
        kdc.close()
        patch.setenv("KRB5_CONFIG", str(conf))


def test_a_kdc_that_is_not_there(home, passwords, monkeypatch):
    with silent_kdc(monkeypatch, home) as kdc:
        kdc.close()
        fault = fault_of(passwords)
        assert fault.reason is Reason.KDC_UNREACHABLE
        assert fault.detail == f"Cannot contact any KDC for realm '{home.name}'"
    assert isinstance(check(passwords, "alice", home.password("alice")), Accepted)


def test_a_realm_without_a_kdc(realm, make, tmp_path, monkeypatch):
    conf = tmp_path / "krb5.conf"
    text = Path(os.environ["KRB5_CONFIG"]).read_text()
    conf.write_text(text.replace("kdc = ", "no_kdc = "))
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    fault = fault_of(KerberosPasswords(realm.name, make()))
    assert fault.reason is Reason.KDC_UNREACHABLE
    assert fault.detail == 'Cannot find KDC for realm "EXAMPLE.TEST"'


def test_a_silent_kdc_holds_up_20_passwords_for_the_timeout_and_tickets_not_at_all(
    realm, make, monkeypatch
):
    acceptor = make()
    passwords = KerberosPasswords(realm.name, acceptor)
    tokens = [realm.token() for _ in range(100)]
    workers = Workers(count=4, timeout=5)
    ends = []
    reasons = []

    def sign_on(number):
        fault = None
        try:
            workers.call(lambda: check(passwords, f"user-{number}", "x"))
        except AcceptorError as problem:
            fault = problem.reason
        reasons.append(fault)
        ends.append(time.monotonic())

    with silent_kdc(monkeypatch, realm):
        begin = time.monotonic()
        threads = [threading.Thread(target=sign_on, args=[n]) for n in range(20)]
        for thread in threads:
            thread.start()
        results = [acceptor.accept(token) for token in tokens]
        tickets_end = time.monotonic()
        for thread in threads:
            thread.join()
    assert all(isinstance(result, Accepted) for result in results)
    assert reasons == [Reason.KDC_UNREACHABLE] * 20
    assert max(ends) - begin < 7
    # The tickets did not wait until a password was given up.
    assert tickets_end < max(ends)


@pytest.mark.parametrize("make", [GssapiAcceptor], ids=["gssapi"])
def test_a_damaged_krb5_conf(realm, make, tmp_path, monkeypatch):
    passwords = KerberosPasswords(realm.name, make())
    conf = tmp_path / "krb5.conf"
    conf.write_text("[realms\n")
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    fault = fault_of(passwords)
    assert fault.reason is Reason.KRB5_CONF_UNUSABLE


def test_a_replay_cache_that_cannot_be_used(realm, make, monkeypatch):
    passwords = KerberosPasswords(realm.name, make())
    monkeypatch.setenv("KRB5RCACHEDIR", "/no/such/directory")
    fault = fault_of(passwords, "alice", realm.password("alice"))
    assert fault.reason is Reason.REPLAY_CACHE_UNUSABLE


@pytest.mark.parametrize("offset", ["+20m", "-20m"])
def test_clocks_that_differ_are_no_fault_of_the_users(home, make, offset):
    program = (
        "import sys\n"
        "from test_password_checker import *\n"
        "passwords = KerberosPasswords(sys.argv[1], ACCEPTORS[sys.argv[2]]())\n"
        "try: print(check(passwords, 'alice', sys.argv[3]))\n"
        "except AcceptorError as fault: print(fault)\n"
        "print(check(passwords, 'alice', 'wrong').reason)\n"
    )
    name = next(name for name, acceptor in ACCEPTORS.items() if acceptor is make)
    command = ["faketime", "-f", offset, sys.executable, "-c", program]
    said = subprocess.run(
        [*command, home.name, name, home.password("alice")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert said[0].startswith(
        "passwords-unusable: the clocks of this server and of the"
    )
    assert said[1] == "password-refused"


def test_acceptors_without_a_keytab_have_to_check_themselves():
    class Acceptor:
        def accept(self, token):
            raise AssertionError

    with pytest.raises(ConfigurationError, match=r"write GssapiAcceptor\(\)"):
        KerberosPasswords("EXAMPLE.TEST", Acceptor())

    class Checker(Acceptor):
        def check_password(self, user, password):
            raise AssertionError

    assert isinstance(Checker(), PasswordChecker)
    assert not isinstance(Acceptor(), PasswordChecker)
    assert not isinstance(GssapiAcceptor(), PasswordChecker)
    assert isinstance(KerberosPasswords("R", GssapiAcceptor()), PasswordChecker)


def test_without_the_binding_it_says_what_to_install():
    program = (
        "import sys; sys.modules['gssapi'] = None\n"
        "from negotiate_wsgi import ConfigurationError\n"
        "from negotiate_wsgi.acceptors.passwords import KerberosPasswords\n"
        "from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor\n"
        "try: KerberosPasswords('R', PykerberosAcceptor())\n"
        "except ConfigurationError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "pip install 'negotiate-wsgi[gssapi]'" in said


# What is left behind

SECRET = "tOp-SeCrEt-Passw0rd"


def careless(principal, password):
    text = password.reveal()
    raise ZeroDivisionError(len(text))


def test_no_traceback_shows_the_password(home, make, monkeypatch):
    acceptor = make()
    passwords = KerberosPasswords(home.name, acceptor)
    problems = []

    def fail():
        with pytest.raises(Exception) as problem:  # noqa: PT011  # several kinds
            passwords.check_password("alice", Password(SECRET))
        problems.append(problem.value)

    with fake_kdc_of(home) as fake, monkeypatch.context() as patch:
        fake.kadmin("cpw", "-pw", SECRET, "alice")
        patch.setenv("KRB5_CONFIG", fake.environ["KRB5_CONFIG"])
        fail()
        patch.setattr(acceptor, "accept", lambda token: 1 / 0)
        fail()
        patch.setattr(passwords._initiator, "token", lambda *arguments: 1 / 0)
        fail()
        patch.setattr(passwords._initiator, "sign_on", careless)
        fail()
    with silent_kdc(monkeypatch, home) as kdc:
        kdc.close()
        fail()
    names = [type(problem).__name__ for problem in problems]
    assert names == ["AcceptorError", *["ZeroDivisionError"] * 3, "AcceptorError"]
    for problem in problems:
        told = traceback.TracebackException.from_exception(problem, capture_locals=True)
        text = "".join(told.format())
        assert "in check_password" in text
        assert "password = ***" in text
        assert SECRET not in text
    assert SECRET not in str([vars(problem) for problem in problems])


def opened_by(program, arguments, trace):
    """What *program* opened to write, or named in another way, by strace."""
    command = ["strace", "-f", "-e", "trace=file,memfd_create,shmget", "-o", str(trace)]
    command += [sys.executable, "-B", "-c", program, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return trace.read_text().splitlines(), done.stdout


def test_nothing_is_written_and_no_credential_cache_is_asked(
    home, make, tmp_path, monkeypatch
):
    """But the replay cache, by the acceptor, which is the same for tickets."""
    ccache = tmp_path / "of-somebody-else"
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    program = (
        "import sys\n"
        "from test_password_checker import *\n"
        "passwords = KerberosPasswords(sys.argv[1], ACCEPTORS[sys.argv[2]]())\n"
        "before = dict(os.environ)\n"
        "open('/dev/null')\n"
        "for password in sys.argv[3:]:\n"
        "    print(type(check(passwords, 'alice', password)).__name__)\n"
        "assert dict(os.environ) == before\n"
    )
    name = next(name for name, acceptor in ACCEPTORS.items() if acceptor is make)
    arguments = [home.name, name, home.password("alice"), "wrong"]
    lines, printed = opened_by(program, arguments, tmp_path / "trace")
    assert printed.split() == ["Accepted", "Refusal"]
    begin = max(at for at, line in enumerate(lines) if '"/dev/null", O_RDONLY' in line)
    written = [
        line for line in lines[begin:]
        if any(word in line for word in ("O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "memfd"))
    ]  # fmt: skip
    assert written
    assert all(f"krb5_{os.geteuid()}.rcache2" in line for line in written), written
    assert not [line for line in lines if str(ccache) in line]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"trace", f"krb5_{os.geteuid()}.rcache2"}


def test_memory_stays_where_it_was(accounts_of_mit, make):
    """C gets back each ticket, and its copy of each password."""
    passwords = KerberosPasswords(accounts_of_mit.name, make())

    def some(times):
        for _ in range(times):
            assert isinstance(check(passwords, "pw-plain", "Passw0rd"), Accepted)
            assert isinstance(check(passwords, "nobody", "x" * 1000), Refused)
            assert isinstance(check(passwords, "pw-disable", "x" * 1000), Refused)

    some(100)
    settled = resident()
    some(200)
    assert resident() - settled < 200 * 500


def resident():
    """Bytes of memory that this process occupies."""
    statm = Path("/proc/self/statm").read_text()
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
