"""The manual's page on Active Directory, by its own words: domain, keytab, settings, gunicorn, nginx, Chromium.

The page's blocks are run as they stand. Other than there are the places of files, the addresses and
ports, the SID of the group, and what somebody types when a password is asked for.
"""

import dataclasses
import http.client
import json
import os
import re
import ssl
import subprocess

import pytest
import sites
from conftest import FLAGS
from domain import AES, NO_AUTH_DATA_REQUIRED, Domain
from helpers import screenshot, set_cookies
from initiator import Initiator
from manual import DOCS, Reader, blocks_of

from negotiate_wsgi import Accepted, GssapiAcceptor, Reason
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

PAGE = DOCS / "howto" / "active-directory.md"
REALM = "CORP.EXAMPLE.COM"
APP = """
import json, os
from negotiate_wsgi import get_identity

def app(environ, start_response):
    who = get_identity(environ)
    told = {name: getattr(who, name) for name in ("principal", "account", "sid", "source")}
    told |= {"groups": sorted(who.groups), "user": environ["REMOTE_USER"], "pid": os.getpid()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
"""
NGINX = """
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    include www.conf;
}
"""


def section(heading):
    """The blocks of the page under a heading, up to the next one."""
    lines = PAGE.read_text().splitlines()
    [begin] = [
        at
        for at, line in enumerate(lines)
        if re.fullmatch(rf"#+ {re.escape(heading)}", line)
    ]
    after = [at for at in range(begin + 1, len(lines)) if lines[at].startswith("#")]
    end = next(iter(after), len(lines))
    return [block for block in blocks_of(PAGE) if begin < block.line <= end]


def only(heading, words):
    """The block under *heading* that has *words* in it."""
    [block] = [block for block in section(heading) if words in block.text]
    return block


class Administrator(Reader):
    """Somebody who types what the page says, in a domain."""

    def __init__(self, domain, directory):
        super().__init__(domain, directory)
        self.domain = domain
        self.etc = directory / "etc"
        (self.etc / "ssl").mkdir(parents=True)
        smb_conf = str(domain.directory / "etc" / "smb.conf")
        self.environ |= {"SMB_CONF_PATH": smb_conf, "TDB_NO_FSYNC": "1"}
        names = ["www.example.com", "intranet.example.com", "localhost"]
        hosts = "".join(f"127.0.0.1 {name}\n" for name in names)
        (directory / ".hosts").write_text(hosts)

    def words(self, block):
        """A block's text, with this machine's places and user."""
        text = block.text
        here = {
            "/etc/": f"{self.etc}/",
            "/var/lib/samba/private/": f"{self.domain.directory}/private/",
            "www-data": str(os.getuid()),
        }
        for there, place in here.items():
            text = text.replace(there, place)
        return text

    def type(self, block, instead=None):
        """Run a block, with texts *instead* of some; returns what it prints."""
        text = self.words(block)
        for words, others in (instead or {}).items():
            assert words in text, f"{block.place} has no {words!r}"
            text = text.replace(words, others)
        self.read(dataclasses.replace(block, text=text, why_not_run=None))
        return (self.directory / ".out").read_text()

    def answer_ktutil(self, block, password, kvno):
        """Type a session with ktutil, and *password* where it asks for one."""
        text = re.sub(r" -k [0-9]+ ", f" -k {kvno} ", self.words(block))
        typed = []
        for line in text.splitlines():
            prompt, _, words = line.partition(":  ")
            typed.append(words if prompt == "ktutil" else password)
        done = subprocess.run(
            ["ktutil"], env=self.environ, input="\n".join(typed), text=True,
            capture_output=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""

    def make_keytab(self):
        """A new one, and new tickets, which every test begins with."""
        self.type(only("samba-tool", "exportkeytab"))
        self.type(only("The keytab", "chown"))
        for user in ("alice", "bob"):
            self.domain.kinit(user)
        self.domain.keep()

    @property
    def keytab(self):
        return self.etc / "www.keytab"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The page's domain, with an administrator in it who has done what is on the page up to the site."""
    directory = tmp_path_factory.mktemp("page")
    with Domain(REALM, "CORP") as domain:
        for user in ("alice", "bob"):
            domain.add_user(user)
        here = Administrator(domain, directory)
        (directory / "myapp.py").write_text(APP)
        here.type(only("An account for the site", "samba-tool"))
        said = here.type(only("Groups", "samba-tool"))
        assert domain.sid_of("staff") in said
        domain.add_spn("svc-www", "HTTP/localhost")
        domain.keytab = str(here.keytab)
        here.make_keytab()
        yield here
        here.close()


@pytest.fixture
def domain(here, monkeypatch):
    for name, value in here.domain.environ.items():
        monkeypatch.setenv(name, value)
    return here.domain


class Site:
    """Two gunicorns behind an nginx, each from its block of the page."""

    def __init__(self, here):
        self._here = here
        self._processes = []
        self.ports = [sites.free_port() for _ in range(2)]
        self.port = sites.free_port()
        here.type(only("The site", "openssl rand"))
        settings = here.words(only("The site", "NEGOTIATE_APP="))
        [example] = re.findall(r"S-1-5-21-[0-9-]+", settings)
        sid = here.domain.sid_of("staff")
        (here.etc / "www.env").write_text(settings.replace(example, sid))
        try:
            for number in range(2):
                self._start_gunicorn(number)
            self._start_nginx()
        except BaseException:
            self.close()
            raise

    def _start_gunicorn(self, number):
        text = self._here.words(only("The site", "gunicorn --bind"))
        port = self.ports[number]
        text = text.replace("10.0.0.11:8000", f"127.0.0.1:{port}")
        text = text.replace("10.0.0.10", "127.0.0.1")
        # Its control socket has one place for all of a user's gunicorns.
        text = text.replace("gunicorn ", "exec gunicorn --no-control-socket ")
        self._start(["bash", "-ec", text], f"machine{number}.log", port)

    def _start_nginx(self):
        here = self._here
        text = here.words(only("The site", "upstream www"))
        for number, address in enumerate(["10.0.0.11:8000", "10.0.0.12:8000"]):
            assert address in text
            text = text.replace(address, f"127.0.0.1:{self.ports[number]}")
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        (here.directory / "www.conf").write_text(text)
        (here.directory / "nginx.conf").write_text(NGINX)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
             "-subj", "/CN=www.example.com", "-keyout", here.etc / "ssl" / "www.key",
             "-out", here.etc / "ssl" / "www.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
        command = ["nginx", "-p", f"{here.directory}/", "-c", "nginx.conf"]
        self._start(command, "nginx.log", self.port)

    def _start(self, command, log, port):
        with (self._here.directory / log).open("w") as stderr:
            process = subprocess.Popen(
                command, cwd=self._here.directory, env=self._here.environ,
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
            )  # fmt: skip
        self._processes.append(process)
        sites.wait_for(port, process)

    @property
    def log(self):
        """What the gunicorns have logged of tokens."""
        logs = [self._here.directory / f"machine{number}.log" for number in range(2)]
        lines = [line for log in logs for line in log.read_text().splitlines()]
        return [line for line in lines if " negotiate_wsgi: " in line]

    def ask(self, path="/", *, host="www.example.com", **headers):
        """Through nginx."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=120, context=context
        )
        return _ask(connection, path, {"Host": host, **headers})

    def ask_machine(self, number, **headers):
        """As nginx asks one of the machines."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports[number], timeout=120
        )
        told = {"Host": "www.example.com", "X-Forwarded-Proto": "https"}
        return _ask(connection, "/", told | headers)

    def close(self):
        for process in reversed(self._processes):
            process.terminate()
            process.wait(120)


def _ask(connection, path, headers):
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    answer = sites.Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


@pytest.fixture(scope="module")
def site(here):
    site = Site(here)
    yield site
    site.close()


@pytest.fixture
def browse(site, domain, launch):
    """Opens a browser with somebody's tickets, which trusts what the page's policy names.

    A browser knows no other name of this machine than localhost, which is one more name of the
    account here.
    """
    [policy] = [
        json.loads(block.text)
        for block in section("Browsers by policy")
        if "AuthServerAllowlist" in block.text
    ]
    trusted = policy["AuthServerAllowlist"].replace("www.example.com", "localhost")
    flags = [flag for flag in FLAGS if "allowlist" not in flag]

    def open_browser(ccache):
        return launch(
            args=[*flags, f"--auth-server-allowlist={trusted}"],
            env={**os.environ, "KRB5CCNAME": str(ccache)},
            ignore_https_errors=True,
        )

    return open_browser


def test_staff_come_in_and_others_see_a_page(site, browse, domain, tmp_path):
    url = f"https://localhost:{site.port}/"
    page = browse(domain.ccache("alice"))
    page.goto(url)
    page.get_by_text(f"alice@{REALM}").wait_for()
    told = json.loads(page.locator("body").inner_text())
    assert (told["user"], told["groups"]) == (f"alice@{REALM}", ["staff"])
    assert (told["account"], told["sid"]) == ("alice", domain.sid_of("alice"))
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["__Host-negotiate"]["secure"]

    page = browse(domain.ccache("bob"))
    page.goto(url)
    page.get_by_role("heading", name="You may not come in here").wait_for()
    screenshot(page, "active-directory-403")
    reason, request_id = page.locator("code").all_inner_texts()
    assert reason == "group-missing"
    [record] = [line for line in site.log if f'request_id="{request_id}"' in line]
    assert " WARNING " in record
    assert 'reason="group-missing", detail="not in staff"' in record
    assert f'principal="bob@{REALM}"' in record

    page = browse(tmp_path / "no-tickets")
    page.goto(url)
    page.get_by_role("heading", name="Sign-on needed").wait_for()
    assert page.locator("code").all_inner_texts()[-2] == "no-credentials"


def sign_on(site, ccache, spn="HTTP/www.example.com", **headers):
    authorization = Initiator(ccache, f"{spn}@{REALM}").authorization
    return site.ask(Authorization=authorization, **headers)


@pytest.fixture(scope="module")
def many(here):
    """A user in a thousand groups, and in staff."""
    here.domain.add_user("many")
    names = [f"group {number:04}" for number in range(1000)]
    here.domain.add_groups(names, members=["many"])
    here.domain.add_members("staff", "many")
    return here.domain.kinit("many")


def test_a_session_of_a_user_in_a_thousand_groups(site, domain, many):
    """It is known to every worker of both machines, by a cookie alone that fits."""
    initiator = Initiator(many, f"HTTP/www.example.com@{REALM}")
    assert 11_000 < len(initiator.authorization) < 12_700  # the page says 12.6 KB
    answer = site.ask(Authorization=initiator.authorization)
    assert answer.status == 200
    first = json.loads(answer.text)
    assert (first["source"], first["groups"]) == ("ticket", ["staff"])
    [cookie] = set_cookies(answer)
    assert len(f"Set-Cookie: {cookie}") < 4096

    sessions = {}
    for number in range(2):
        while len(seen := sessions.setdefault(number, {})) < 2:
            answer = site.ask_machine(number, Cookie=cookie.partition(";")[0])
            assert answer.status == 200
            told = json.loads(answer.text)
            seen[told.pop("pid")] = told
    first.pop("pid")
    expected = first | {"source": "session"}
    assert expected["sid"] == domain.sid_of("many")
    for told in [told for seen in sessions.values() for told in seen.values()]:
        assert told == expected
    # The negative control: without the cookie, and with one that somebody has changed.
    assert site.ask_machine(0).status == 401
    name, _, value = cookie.partition(";")[0].partition("=")
    changed = value[:9] + ("A" if value[9] != "A" else "B") + value[10:]
    assert site.ask_machine(0, Cookie=f"{name}={changed}").status == 401


def test_a_change_of_groups_counts_from_the_next_sign_on(site, here, domain):
    assert sign_on(site, domain.ccache("bob")).status == 403
    here.type(
        only("Groups", "addmembers"),
        {"group add staff\n": "group list\n", "alice": "bob"},
    )
    try:
        assert sign_on(site, domain.ccache("bob")).status == 403
        assert sign_on(site, domain.kinit("bob")).status == 200
    finally:
        domain.remove_members("staff", "bob")


def test_a_ticket_without_a_pac(site, domain):
    flags = domain.attribute("svc-www", "userAccountControl")
    domain.add_flag("svc-www", NO_AUTH_DATA_REQUIRED)
    try:
        answer = sign_on(site, domain.kinit("alice"), Accept="application/json")
    finally:
        domain.modify("svc-www", userAccountControl=flags)
    assert answer.status == 401
    assert json.loads(answer.text)["reason"] == "no-pac"
    assert sign_on(site, domain.kinit("alice")).status == 200


# Names


def rows_of_names():
    lines = PAGE.read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if "| `kinit " in line]
    return [[cell.strip("`") for cell in row] for row in rows]


@pytest.fixture(scope="module")
def people(here):
    domain = here.domain
    domain.add_user("carol", upn="carol.smith@example.net")
    domain.add_user("mallory", upn=f"admin@{REALM.lower()}")
    for computer in ("CLIENT1$", "root$"):
        domain.add_computer(computer)


def test_the_page_has_twelve_names():
    assert len(rows_of_names()) == 12


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("account", "typed", "without", "with_it"), rows_of_names(), ids=lambda cell: cell
)
def test_what_a_name_is_worth(domain, tmp_path, account, typed, without, with_it):
    _, *options, name = typed.split()
    ccache = str(tmp_path / "ccache")
    domain.kinit(name, *options, account=account, ccache=ccache)

    def accepted(**options):
        token = Initiator(ccache, f"HTTP/www.example.com@{REALM}").token
        return GssapiAcceptor(keytab=domain.keytab, **options).accept(token).identity

    assert accepted().principal == f"{without}@{REALM}"
    identity = accepted(active_directory=True)
    assert identity.principal == f"{with_it}@{REALM}"
    assert identity.account == with_it == account
    assert identity.sid == domain.sid_of(account)


# Keys


@pytest.fixture(
    params=[PykerberosAcceptor, GssapiAcceptor], ids=lambda kind: kind.__name__
)
def accept(request, domain, monkeypatch, tmp_path):
    """Has a new ticket of alice's judged by an acceptor with the keytab at a path."""

    def accept(keytab, spn="HTTP/www.example.com", ccache=None):
        monkeypatch.setenv("KRB5_KTNAME", str(keytab))
        if ccache is None:
            ccache = domain.kinit("alice", ccache=str(tmp_path / "new-tickets"))
        return request.param().accept(Initiator(ccache, f"{spn}@{REALM}").token)

    return accept


def test_another_name_needs_no_other_keytab(here, accept):
    name = "HTTP/intranet.example.com"
    if name not in here.domain.attribute("svc-www", "servicePrincipalName"):
        here.type(only("Several names", "samba-tool"))
    assert accept(here.keytab, name).identity.principal == f"alice@{REALM}"


def test_the_keytab_opens_a_ticket(here):
    here.type(only("The keytab", "kvno"))


@pytest.fixture
def known_password(here):
    """Has somebody set the password of the account, who remembers it; the keytab is as if new."""
    password = "A-password-to-remember-1"
    here.domain.set_password("svc-www", password)
    here.keytab.unlink()
    yield password
    here.keytab.unlink(missing_ok=True)
    here.make_keytab()


def kvno_of(domain):
    [kvno] = domain.attribute("svc-www", "msDS-KeyVersionNumber")
    return int(kvno)


def test_ktutil(here, accept, known_password):
    typed = {"kinit svc-www": f"kinit svc-www <<<{known_password}"}
    said = here.type(only("ktutil", "KRB5_TRACE"), typed)
    [kvno] = re.findall(rf"HTTP/www.example.com@{REALM}: kvno = (\d+)", said)
    assert int(kvno) == kvno_of(here.domain)
    here.answer_ktutil(only("ktutil", "addent"), known_password, kvno)
    assert accept(here.keytab).identity.principal == f"alice@{REALM}"
    here.keytab.unlink()
    here.answer_ktutil(only("ktutil", "addent"), "Another-passw0rd", kvno)
    assert accept(here.keytab).reason is Reason.WRONG_KEY


def test_a_new_password_without_a_refusal(
    here, domain, accept, known_password, tmp_path
):
    heading = "A new password, without a minute of refusals"
    kvno = kvno_of(domain)
    here.answer_ktutil(only("ktutil", "addent"), known_password, kvno)
    old_keytab = tmp_path / "old"
    old_keytab.write_bytes(here.keytab.read_bytes())
    old = domain.kinit("alice", ccache=str(tmp_path / "old-tickets"))

    def is_in(keytab=here.keytab, **options):
        return isinstance(accept(keytab, **options), Accepted)

    assert is_in(ccache=old)  # the ticket is in the cache
    new_password = "Another-password-to-remember-2"
    here.answer_ktutil(only(heading, "ktutil:"), new_password, kvno + 1)
    assert is_in(ccache=old)
    assert is_in()
    setpassword = "samba-tool user setpassword svc-www"
    typed = {setpassword: f"{setpassword} --newpassword={new_password}"}
    here.type(only(heading, "samba-tool"), typed)
    assert kvno_of(domain) == kvno + 1
    assert is_in(ccache=old)
    assert is_in()
    # The negative controls: a keytab that was not prepared, and one whose old key went too early.
    assert accept(old_keytab).reason is Reason.STALE_KEYTAB
    here.keytab.unlink()
    here.answer_ktutil(only(heading, "ktutil:"), new_password, kvno + 1)
    assert is_in()
    assert accept(here.keytab, ccache=old).reason is Reason.STALE_TICKET


def test_without_the_aes_flag(here, domain, accept):
    domain.set_enctypes("svc-www", None)
    try:
        assert accept(here.keytab).reason is Reason.ENCTYPE_MISSING
    finally:
        domain.set_enctypes("svc-www", AES)
    assert accept(here.keytab).identity.principal == f"alice@{REALM}"


# Looking for faults


@pytest.mark.usefixtures("site")
def test_whoami_by_the_pages_words(here, domain):
    heading = "Why does that browser get a 401?"
    here.type(only(heading, "doctor"))  # has read the settings
    said = here.type(only(heading, "whoami"))
    assert f"REMOTE_USER  alice@{REALM}\n" in said
    assert f"{domain.sid_of('staff')} staff (configured)\n" in said


@pytest.mark.usefixtures("site")
def test_the_doctor_by_the_pages_words(here):
    said = here.type(only("Why does that browser get a 401?", "doctor"))
    assert not re.findall("^(?:problem|warning).*", said, re.MULTILINE)
    assert f"alice@{REALM} came in" in said
