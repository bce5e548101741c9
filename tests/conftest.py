"""A real realm with everything a server can get wrong in it, and the sites that live there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import sites
from domain import AES, RC4, Domain
from fleet_site import USERS
from initiator import Initiator, prolong, token_at
from password_accounts import PASSWORDS, TROUBLES, account_in
from pkinit import make_pkinit_identity
from playwright.sync_api import sync_playwright
from tickets import Tickets

from negotiate_wsgi.acceptors import insight
from negotiate_wsgi.realm import Realm

CHROMIUM = (
    {"executable_path": path}
    if (path := shutil.which("chromium"))
    else {"channel": "chromium"}
)
FLAGS = [
    "--auth-server-allowlist=localhost,*.localhost", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

# After nohup it is ignored by all that the tests start, some of which it has to end.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.environ["LC_ALL"] = "C.UTF-8"  # the library's texts can be localised
os.environ["GSS_MECH_CONFIG"] = os.devnull  # only who asks for it meets the NTLM plugin
for name in list(os.environ):
    if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
        del os.environ[name]  # a proxy does not know this machine's localhost


class World(Tickets, Realm):
    """A realm of MIT's, the tickets that each scenario needs, and what accounts can be like."""

    def add_account(self, name, password=None, *options):
        """A principal, which needs no ticket; with *options* of kadmin's addprinc."""
        password = password or self.password(name)
        self.kadmin("addprinc", *options, "-pw", password, name)

    def disable(self, name):
        self.kadmin("modprinc", "-allow_tix", name)

    def end_account(self, name):
        self.kadmin("modprinc", "-expire", "2001-01-01", name)

    def expire_password(self, name):
        self.kadmin("modprinc", "-pwexpire", "2001-01-01", name)

    def require_change(self, name):
        self.kadmin("modprinc", "+needchange", name)

    def lock(self, name):
        """Have a wrong password lock it, and type one."""
        if "locks" not in self.kadmin("listpols").split():
            self.kadmin("addpol", "-maxfailure", "1", "locks")
        self.kadmin("modprinc", "+requires_preauth", "-policy", "locks", name)
        kinit = ["kinit", "-c", f"{self.ccache(name)}.none", name]
        failed = subprocess.run(kinit, input="no\n", text=True, capture_output=True)
        assert failed.returncode


@pytest.fixture(autouse=True)
def a_fresh_second(monkeypatch):
    """A record of a refused ticket has all there is to say, whatever was refused just before."""
    monkeypatch.setattr(insight, "_pace", insight._Pace(10))


@pytest.fixture(scope="session")
def realm(tmp_path_factory):
    pkinit = make_pkinit_identity(tmp_path_factory.mktemp("pkinit"))
    conf = {
        "krb5_conf": {
            "realms": {"$realm": {"pkinit_anchors": f"FILE:{pkinit / 'ca.pem'}"}}
        },
        "kdc_conf": {
            "realms": {
                "$realm": {
                    "pkinit_identity": f"FILE:{pkinit / 'kdc.pem'},{pkinit / 'kdc.key'}"
                }
            }
        },
    }
    hosts = [
        "localhost",
        "alias.test",
        "rotated.test",
        "stale-keytab.test",
        "wrong-key.test",
    ]
    with World(hosts=hosts, **conf) as realm, pytest.MonkeyPatch.context() as patch:
        for name, value in realm.environ.items():
            patch.setenv(name, value)
        for service in ("host", "nfs", "rest", "http"):
            realm.add_service(f"{service}/localhost")
        realm.kadmin("addprinc", "-randkey", "HTTP/no-key.test")
        break_keys(realm)
        realm.keep()
        yield realm


@pytest.fixture(scope="session")
def users(realm):
    """The realm, in which the four of a fleet's tests have tickets."""
    for user in USERS[2:]:
        realm.add_account(user)
        realm.kinit(user)
    return realm


@pytest.fixture(scope="session")
def forwardable(realm, tmp_path_factory):
    """The credential cache of each of three users, whose tickets may be forwarded."""
    directory = tmp_path_factory.mktemp("forwardable")
    realm.kadmin("addprinc", "-pw", realm.password("carol"), "carol")
    caches = {user: str(directory / user) for user in ("alice", "bob", "carol")}
    for user, ccache in caches.items():
        realm._k5.kinit(user, realm.password(user), ["-f", "-c", ccache])
    return caches


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request):
    yield
    for name in ("realm", "domain"):
        shared = request.node.funcargs.get(name)
        if isinstance(shared, Tickets):
            shared.put_back()


@pytest.fixture(scope="session")
def domain_controller():
    """A domain of Active Directory, with who lives there; `domain` is for a test that does.

    ``staff`` is in ``everybody``, and that in ``web-users``.
    """
    with Domain() as domain:
        domain.add_user("alice")
        domain.add_user("bob")
        domain.add_user("carol", upn="carol.smith@corp.example")
        domain.add_user("mallory", upn=f"admin@{domain.name.lower()}")
        domain.add_computer("WEB2$", ["host/web2", "HTTP/web2"])
        domain.add_computer("CLIENT1$")
        domain.add_service_account("svc-web", ["HTTP/localhost", "HTTP/alias.test"])
        domain.add_service_account("svc-other", ["HTTP/other.test"])
        domain.add_service_account("svc-nfs", ["nfs/localhost", "rest/localhost"])
        domain.add_group("staff", "global", ["alice"])
        domain.add_group("everybody", "universal", ["staff", "bob"])
        domain.add_group("web-users", "domain-local", ["everybody"])
        domain.add_group("admins", "global", ["bob"])
        domain.add_group("news", "distribution", ["alice"])
        spns = ["HTTP/localhost", "HTTP/alias.test", "nfs/localhost"]
        domain.export_keytab(domain.keytab, *spns)
        for user in ("alice", "bob"):
            domain.kinit(user)
        break_accounts(domain)
        domain.keep()
        yield domain


def break_accounts(domain):
    """As `break_keys`, with accounts of Active Directory."""
    for name, spn in [
        ("svc-rotated", "HTTP/rotated.test"),
        ("svc-stale", "HTTP/stale-keytab.test"),
        ("svc-wrong", "HTTP/wrong-key.test"),
        ("svc-enctype", "HTTP/no-enctype.test"),
    ]:
        domain.add_service_account(name, [spn])
    domain.kvno("HTTP/rotated.test")  # is in the cache before the key changes
    domain.set_password("svc-rotated", "Another-passw0rd")
    domain.set_enctypes("svc-enctype", RC4)
    for host in ("rotated", "stale-keytab", "wrong-key", "no-enctype"):
        domain.export_keytab(domain.keytab, f"HTTP/{host}.test")
    domain.set_password("svc-stale", "Another-passw0rd")
    domain.delete("svc-wrong")
    domain.add_service_account(
        "svc-wrong", ["HTTP/wrong-key.test"], password="Another-passw0rd"
    )
    domain.set_enctypes("svc-enctype", AES)


@pytest.fixture
def domain(domain_controller, monkeypatch):
    """The domain of Active Directory, and a test that lives in it."""
    for name, value in domain_controller.environ.items():
        monkeypatch.setenv(name, value)
    return domain_controller


@pytest.fixture(scope="session")
def accounts_of_mit(realm):
    for user, password in PASSWORDS.items():
        realm.add_account(user, password, "+requires_preauth")
    realm.add_account("pw-plain", "Passw0rd", "-requires_preauth")
    realm.add_account("pw-short", "Passw0rd", "-maxlife", "10 minutes")
    for trouble in TROUBLES:
        realm.add_account(account_in(trouble), "Passw0rd")
        getattr(realm, trouble)(account_in(trouble))
    return realm


@pytest.fixture(scope="session")
def accounts_of_samba(domain_controller):
    for user, password in PASSWORDS.items():
        domain_controller.add_user(user, password=password)
    for trouble in TROUBLES:
        domain_controller.add_user(account_in(trouble), password="Passw0rd")
        getattr(domain_controller, trouble)(account_in(trouble))
    domain_controller.add_user("pw-rc4", **{"msDS-SupportedEncryptionTypes": str(RC4)})
    return domain_controller


@pytest.fixture(params=["mit", "samba"])
def kind(request):
    return request.param


@pytest.fixture
def home(request, kind):
    """A realm of each kind, with the accounts above; the test lives in it."""
    home = request.getfixturevalue({"mit": "realm", "samba": "domain"}[kind])
    request.getfixturevalue(f"accounts_of_{kind}")
    return home


@pytest.fixture(scope="session")
def trusted_domain(domain_controller):
    """Another domain, which `domain` trusts; its user olga is in ``visitors`` of `domain`."""
    with Domain("PARTNER.TEST", "PARTNER", "dc2") as partner:
        partner.add_user("olga")
        partner.add_group("partners", members=["olga"])
        domain_controller.trust(partner)
        domain_controller.add_group("visitors", "domain-local")
        domain_controller.add_members("visitors", partner.sid_of("olga"))
        partner.kinit("olga")
        yield partner


@pytest.fixture(scope="session")
def sids_of_many(domain_controller):
    """The SIDs of the thousand groups that the user ``many`` is in."""
    domain_controller.add_user("many")
    names = [f"group {number:04}" for number in range(1000)]
    return domain_controller.add_groups(names, members=["many"])


def break_keys(realm):
    realm.token(
        "HTTP/rotated.test"
    )  # the ticket is in the cache before the key changes
    realm.kadmin("ktremove", "-k", realm.keytab, "HTTP/rotated.test", "all")
    realm.kadmin("ktadd", "-k", realm.keytab, "HTTP/rotated.test")
    realm.kadmin("cpw", "-randkey", "HTTP/stale-keytab.test")
    realm.kadmin("delprinc", "-force", "HTTP/wrong-key.test")
    realm.kadmin("addprinc", "-randkey", "HTTP/wrong-key.test")
    scratch = realm.directory / "aes"
    realm.add_service("HTTP/no-enctype.test", scratch)
    subprocess.run(
        ["ktutil"], input=f"rkt {scratch}\ndelent 1\nwkt {realm.keytab}\n", text=True, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="session")
def anonymous_ccache(realm):
    """The ticket of nobody (RFC 8062), as ``kinit -n`` gets it."""
    realm.kadmin("addprinc", "-randkey", "WELLKNOWN/ANONYMOUS")
    ccache = str(realm.directory / "anonymous.ccache")
    subprocess.run(["kinit", "-n", "-c", ccache], check=True)
    return ccache


@pytest.fixture(scope="session")
def expired_ccache(realm):
    """Alice's ticket of three days ago, which her client believes to be good still."""
    port = sites.free_port()
    confs = {}
    for variable, name in [
        ("KRB5_CONFIG", "krb5.conf"),
        ("KRB5_KDC_PROFILE", "kdc.conf"),
    ]:
        text = (
            (realm.directory / name).read_text().replace(str(realm.kdc_port), str(port))
        )
        confs[variable] = str(realm.directory / f"past-{name}")
        (realm.directory / f"past-{name}").write_text(text)
    past = ["faketime", "-f", "-3d"]
    environ = {**os.environ, **confs}
    ccache = str(realm.directory / "expired.ccache")
    kdc = subprocess.Popen(
        [*past, shutil.which("krb5kdc", path="/usr/sbin:/usr/bin"), "-n"], env=environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        sites.wait_for(port, kdc)
        typed = realm.password("alice") + "\n"
        kinit = [*past, "kinit", "-c", ccache, "alice"]
        subprocess.run(kinit, env=environ, input=typed, text=True, check=True)
        kvno = [*past, "kvno", "-c", ccache, "HTTP/localhost"]
        subprocess.run(kvno, env=environ, check=True)
    finally:
        for pid in sites.children(
            kdc.pid
        ):  # the KDC; faketime itself tidies up and follows
            os.kill(pid, signal.SIGTERM)
        kdc.wait()
    prolong(ccache, 4 * 86_400)
    return ccache


@pytest.fixture
def expired(realm, expired_ccache):
    return Initiator(expired_ccache, f"HTTP/localhost@{realm.name}").token


@pytest.fixture
def skewed(realm):
    realm.token()  # the ticket is in the cache: only the authenticator is from another time
    return token_at("+10m", realm.ccache("alice"), f"HTTP/localhost@{realm.name}")


@pytest.fixture(scope="session")
def open_sites(realm):
    """Opens a site of a kind once, and keeps it for all tests to come."""
    opened = {}

    def open_site(kind):
        if kind not in opened:
            opened[kind] = sites.open_site(kind)
        return opened[kind]

    yield open_site
    for site in opened.values():
        site.close()


# Not of the session's scope: tests in random order would start the servers over and over.
@pytest.fixture(params=sites.KINDS)
def site(request, open_sites):
    """The application of table_app, in process and behind each server."""
    return open_sites(request.param)


def site_where(kind, variable, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        site = sites.open_site(kind)
        yield site
        site.close()


@pytest.fixture(params=sites.KINDS)
def site_without_keytab(request, realm):
    yield from site_where(
        request.param, "KRB5_KTNAME", str(realm.directory / "no-such-keytab")
    )


@pytest.fixture(params=sites.KINDS)
def site_without_replay_cache(request, realm):
    yield from site_where(
        request.param, "KRB5RCACHEDIR", str(realm.directory / "no-such-directory")
    )


@pytest.fixture(scope="session")
def large_ticket(tmp_path_factory):
    """A program that gets a large ticket: large_ticket CCACHE SPN BYTES."""
    program = tmp_path_factory.mktemp("c") / "large_ticket"
    source = sites.TESTS / "large_ticket.c"
    subprocess.run(["gcc", "-Wall", "-o", program, source, "-lkrb5"], check=True)
    return program


# Not of the session's scope: as long as it lasts, an event loop runs in this thread, where Flask's
# asynchronous views then fail.
@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def launch(playwright, tmp_path):
    """Opens Chromium with a profile of its own, and closes it after the test."""
    contexts = []

    def launch(write_profile=lambda profile: None, **options):
        profile = tmp_path / f"profile-{len(contexts)}"
        write_profile(profile)
        context = playwright.chromium.launch_persistent_context(
            profile, **CHROMIUM, chromium_sandbox=False, **options
        )
        contexts.append(context)
        return context.pages[0]

    yield launch
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """For localhost, signed by itself, in a file with its key."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:*.localhost",
         "-keyout", file, "-out", file.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


@pytest.fixture
def browse(realm, launch):
    """Opens a browser with a profile of its own, which has met Negotiate before unless it is new."""

    def open_browser(new=False, preferences=None, **options):
        def write(profile):
            (profile / "Default").mkdir(parents=True)
            settings = profile / "Default" / "Preferences"
            settings.write_text(json.dumps(preferences or {}))
            if not new:
                seen = {"net": {"received_http_auth_negotiate_headers": True}}
                (profile / "Local State").write_text(json.dumps(seen))

        return launch(write, args=FLAGS, **{"java_script_enabled": False, **options})

    return open_browser


@pytest.fixture
def anybodys_directory():
    """For tests as another user, who could not enter root's tmp_path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o777)
        yield Path(directory)
