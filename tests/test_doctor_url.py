"""The same for what a server in front does wrong: samples without one of their lines, or an option."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest
import sites
from helpers import wait_until
from machine import Machine, administered_realm, as_a_user
from sites import LARGE

from negotiate_wsgi.doctor.run import gather

SAMPLES = sites.TESTS.parent / "samples"
PORTS = ("8000", "8001", "8003", "8011", "8012", "8443")
GUNICORN = "gunicorn --config samples/gunicorn.conf.py wsgi_app:application"
UWSGI = f"uwsgi --ini samples/uwsgi.ini --home {sys.prefix}"
APACHE = 'env RUN_AS="$(id -un)" apache2 -d "$PWD/samples" -f apache.conf -DFOREGROUND'


@pytest.fixture(scope="module")
def realm():
    with administered_realm() as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path):
    # There is one localhost only, and a test may have changed its key: it gets a new one each time.
    realm.kadmin("delprinc", "-force", "HTTP/localhost")
    os.unlink(realm.keytab)
    realm.add_service("HTTP/localhost")
    realm.kinit("alice")
    return Machine(realm, tmp_path / "machine", "localhost")


class Deployment:
    """A sample on ports that are free, started anew after each change of a file."""

    def __init__(self, machine, command, port, path="/"):
        self.command, self.process = command, None
        self._ports = {p: str(sites.free_port()) for p in PORTS}
        self.port = int(self._ports[port])
        scheme = "https" if port == "8443" else "http"
        self.url = f"{scheme}://localhost:{self.port}{path}"
        self.directory = machine.directory
        own = {"TMPDIR": str(machine.directory), "VIRTUAL_ENV": sys.prefix,
               "PYTHONPATH": str(machine.directory / "samples")}  # fmt: skip
        self.environ = {
            k: v for k, v in machine.environ.items() if k != "LD_PRELOAD"
        } | own
        (machine.directory / "samples").mkdir()
        for source in SAMPLES.iterdir():
            if source.is_file():
                self.write(source.name, source.read_text())

    def write(self, name, text):
        ported = re.sub("|".join(PORTS), lambda port: self._ports[port[0]], text)
        (self.directory / "samples" / name).write_text(ported)

    def start(self):
        self.stop()
        # In a process group of its own, so that it can be killed whole: tests/run's end misses it.
        prefix = ["setpriv", "--pdeathsig", "TERM"]
        if "apache2" in self.command:
            prefix = [*as_a_user(), *prefix]
        with (self.directory / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, "bash", "-c", f"exec {self.command}"], cwd=self.directory,
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                process_group=0,
            )  # fmt: skip
        try:
            sites.wait_for(self.port, self.process)
        except AssertionError:
            raise AssertionError((self.directory / "log").read_text()) from None

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except (
                subprocess.TimeoutExpired
            ):  # uWSGI now and then does not end when it is told to
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            wait_until(lambda: not sites.is_open(self.port))


@pytest.fixture
def deploy(machine):
    deployed = []

    def start(*arguments):
        deployed.append(Deployment(machine, *arguments))
        return deployed[-1]

    yield start
    for deployment in deployed:
        deployment.stop()


@dataclass
class Lacking:
    """A sample that lacks one line, which is just what the doctor says to write."""

    command: str
    port: str
    file: str
    line: str
    check: str
    says: str
    path: str = "/"


TLS_PROXY = "bash samples/behind "
LACKING = [
    Lacking(GUNICORN, "8000", "gunicorn.conf.py", "limit_request_field_size = 131072",
            "NW025", "Less than 8 KB; larger is answered with 4.*gunicorn"),
    Lacking(UWSGI, "8001", "uwsgi.ini", "buffer-size = 65535",
            "NW025", "Less than 8 KB; larger is answered with a closed .*uWSGI", "/wiki"),
    Lacking(APACHE, "8003", "apache.conf", "LimitRequestFieldSize 131072",
            "NW025", "Less than 8 KB; larger is answered with 400.*Apache"),
    Lacking(APACHE, "8003", "apache.conf", "WSGIPassAuthorization On",
            "NW023", "asks again, as if no ticket had been sent"),
    Lacking(f"{TLS_PROXY} nginx", "8443", "nginx.conf", "large_client_header_buffers 4 128k;",
            "NW025", "Less than 8 KB; larger is answered with 400.*nginx"),
    Lacking(f"{TLS_PROXY} nginx", "8443", "nginx.conf",
            "proxy_set_header X-Forwarded-Proto $scheme;", "NW024", "without Secure over TLS"),
    Lacking(f"{TLS_PROXY} haproxy", "8443", "haproxy.cfg", "tune.bufsize 131072",
            "NW025", "8 KB; larger is answered with (400|431).*HAProxy"),
    # They pass on what gunicorn says, and nginx signs it.
    Lacking(f"{TLS_PROXY} nginx", "8443", "gunicorn.conf.py", "limit_request_field_size = 131072",
            "NW025", "Less than 8 KB; larger is answered with 431.*gunicorn"),
    Lacking(f"{TLS_PROXY} haproxy", "8443", "gunicorn.conf.py", "limit_request_field_size = 131072",
            "NW025", "Less than 8 KB; larger is answered with 431.*gunicorn"),
    Lacking(UWSGI, "8001", "uwsgi.ini", "add-header = Connection: close",
            "NW026", "closes the connection after the 401 without saying so", "/wiki"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", LACKING, ids=lambda case: f"{case.file} {case.line.split()[0]}"
)
def test_a_sample_that_lacks_a_line(machine, deploy, large_ticket, case):
    deployment = deploy(case.command, case.port, case.path)
    sample = (SAMPLES / case.file).read_text()
    lacking = re.sub(rf"(?m)^( *){re.escape(case.line)}", r"\1# here", sample)
    assert lacking != sample
    deployment.write(case.file, lacking)
    deployment.start()
    trust(machine, deployment)
    [finding] = machine.doctor("--url", deployment.url)
    assert finding["id"] == case.check
    assert re.search(case.says, f"{finding['found']} {finding['remedy']}"), finding
    if case.check == "NW025":
        assert (
            status_of_a_user_in_1000_groups(machine, deployment, large_ticket) != "200"
        )
    deployment.write(case.file, lacking.replace("# here", finding["command"]))
    deployment.start()
    trust(machine, deployment)
    assert machine.doctor("--url", deployment.url) == []
    assert status_of_a_user_in_1000_groups(machine, deployment, large_ticket) == "200"


PASSWORDS = ["--passwords", "EXAMPLE.TEST"]
IN_SAMPLES = {
    "nginx.conf": "proxy_set_header X-Forwarded-Proto $scheme;",
    "haproxy.cfg": "http-request set-header X-Forwarded-Proto https",
}


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_a_server_that_does_not_know_of_tls_takes_no_password(machine, deploy, proxy):
    deployment = deploy(f"{TLS_PROXY} {proxy}", "8443")
    deployment.environ["NEGOTIATE_PASSWORD_REALM"] = "EXAMPLE.TEST"
    [(file, sample)] = [
        (name, (SAMPLES / name).read_text()) for name in IN_SAMPLES if proxy in name
    ]
    lacking = sample.replace(IN_SAMPLES[file], "# here")
    assert lacking != sample
    deployment.write(file, lacking)
    deployment.start()
    trust(machine, deployment)
    found = machine.doctor("--url", deployment.url, *PASSWORDS)
    # The cookie lacks Secure for the same reason.
    assert [finding["id"] for finding in found] == ["NW024", "NW033"]
    assert "does not know that there is TLS in front" in found[1]["found"]
    assert found[1]["command"] == IN_SAMPLES["nginx.conf"]
    deployment.write(file, sample)
    deployment.start()
    trust(machine, deployment)
    assert machine.doctor("--url", deployment.url, *PASSWORDS) == []


def test_passwords_of_another_realm_and_none_at_all(machine, deploy):
    deployment = deploy(f"{TLS_PROXY} nginx", "8443")
    for realm, says in [
        (
            "OTHER.TEST",
            "Passwords of OTHER.TEST are asked for, and not of EXAMPLE.TEST",
        ),
        ("", "401, which does not ask for a password"),
        ("EXAMPLE.TEST", ""),
    ]:
        deployment.environ.pop("NEGOTIATE_PASSWORD_REALM", None)
        if realm:
            deployment.environ["NEGOTIATE_PASSWORD_REALM"] = realm
        deployment.start()
        trust(machine, deployment)
        found = machine.doctor("--url", deployment.url, *PASSWORDS)
        assert [finding["id"] for finding in found] == ["NW033"] * bool(says)
        assert not says or says in found[0]["found"]


def test_over_http_no_password_is_taken(machine, deploy):
    deployment = deploy(GUNICORN, "8000")
    deployment.start()
    [finding] = machine.doctor("--url", deployment.url, *PASSWORDS)
    assert (finding["id"], finding["status"]) == ("NW033", "problem")
    assert "The URL is one of http" in finding["found"]
    dead = f"http://localhost:{sites.free_port()}/"
    [finding] = machine.doctor("--url", dead, *PASSWORDS)
    assert finding["id"] == "NW020"


def status_of_a_user_in_1000_groups(machine, deployment, large_ticket):
    cache = machine.directory / "large"
    shutil.copy(machine.realm.ccache("alice"), cache)
    enlarge = [large_ticket, cache, f"{machine.spn}@{machine.realm.name}", str(LARGE)]
    subprocess.run(enlarge, env=machine.environ, check=True, stdout=subprocess.DEVNULL)
    curl = ["curl", "--silent", "--insecure", "--negotiate", "--user", ":", "--output",
            "/dev/null", "--write-out", "%{http_code}", deployment.url]  # fmt: skip
    environ = {**deployment.environ, "KRB5CCNAME": str(cache)}
    return subprocess.run(curl, env=environ, capture_output=True, text=True).stdout


def trust(machine, deployment):
    """Behind TLS the sample makes a certificate of its own."""
    if deployment.url.startswith("https"):
        certificates = sorted(
            machine.directory.glob("tmp.*/tls.crt"), key=os.path.getmtime
        )
        machine.environ["SSL_CERT_FILE"] = str(certificates[-1])


@pytest.mark.parametrize("is_kept", [False, True])
def test_uwsgi_s_own_router(machine, deploy, is_kept):
    """It closes, too, unless it is told for how long to keep a connection."""
    deployment = deploy(UWSGI, "8001", "/wiki")
    sample = (SAMPLES / "uwsgi.ini").read_text()
    plain = sample.replace("add-header = Connection: close", "").replace(
        "http-socket =", "http ="
    )
    plain = plain.replace("plugin = python3", "plugin = http\nplugin = python3")
    deployment.write("uwsgi.ini", plain + "http-keepalive = 5\n" * is_kept)
    deployment.start()
    found = machine.doctor("--url", deployment.url)
    if is_kept:
        assert found == []
    else:
        assert [finding["id"] for finding in found] == ["NW026"]
        assert "http-keepalive = 5" in found[0]["remedy"]


NGINX_BEFORE_UWSGI = """
daemon off; pid {directory}/nginx.pid; error_log stderr; events {{}}
http {{
    access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
    fastcgi_temp_path {directory}/c; scgi_temp_path {directory}/d; uwsgi_temp_path {directory}/e;
    large_client_header_buffers 4 128k;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $http_host; }}
    }}
}}
"""


@pytest.mark.parametrize("size", ["4096", "65535"])
def test_nginx_before_a_uwsgi_that_closes(machine, deploy, size):
    """What nginx says of it is 502."""
    deployment = deploy(UWSGI, "8001", "/wiki")
    sample = (SAMPLES / "uwsgi.ini").read_text()
    deployment.write(
        "uwsgi.ini", sample.replace("buffer-size = 65535", f"buffer-size = {size}")
    )
    deployment.start()
    port = sites.free_port()
    configuration = machine.directory / "nginx.conf"
    configuration.write_text(NGINX_BEFORE_UWSGI.format(
        directory=machine.directory, port=port, behind=deployment.port
    ))  # fmt: skip
    nginx = subprocess.Popen(
        ["/usr/sbin/nginx", "-c", configuration],
        env=deployment.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        sites.wait_for(port, nginx)
        found = machine.doctor("--url", f"http://localhost:{port}/wiki")
    finally:
        nginx.terminate()
        nginx.wait()
    if size == "65535":
        assert found == []
    else:
        [finding] = found
        assert finding["command"] == "buffer-size = 65535"
        assert "larger is answered with 502" in finding["found"]


def test_an_untrusted_certificate(machine, deploy):
    deployment = deploy(f"{TLS_PROXY} nginx", "8443")
    deployment.start()
    [finding] = machine.doctor("--url", deployment.url)
    assert (finding["id"], finding["status"]) == ("NW021", "problem")
    assert "self-signed certificate" in finding["found"]


def test_a_server_that_is_not_there(machine):
    [finding] = machine.doctor("--url", f"http://localhost:{sites.free_port()}/")
    assert finding["id"] == "NW020"
    assert "Connection refused" in finding["found"]


@pytest.mark.parametrize(
    "url", ["localhost:8000/", "http:///", "ftp://localhost/", "", " ", "http://localhost:x/",
            "http://a..b/", "http://[::1/"],
)  # fmt: skip
def test_what_is_no_url(machine, url):
    found = machine.doctor("--url", url)
    assert [finding["id"] for finding in found] == ["NW020"]
    assert found[0]["remedy"].startswith("Write the whole URL")


APPS = """
import logging
from negotiate_wsgi import NegotiateMiddleware
from werkzeug.wrappers import Response

logging.basicConfig(filename="records", level="INFO")
hello = Response("Hello")
good = NegotiateMiddleware(hello)
unguarded = hello
not_you = NegotiateMiddleware(hello, authorize=lambda identity: False)
other_host = NegotiateMiddleware(hello, hostname="www.example.test")
no_such_host = NegotiateMiddleware(hello, hostname="no-such.example.test")

def twice(environ, start_response):
    start_response("401 No", [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Negotiate")])
    return []

def basic(environ, start_response):
    start_response("401 No", [("WWW-Authenticate", "Basic realm=x")])
    return []

def impostor(environ, start_response):
    if "HTTP_AUTHORIZATION" in environ:
        return hello(environ, start_response)
    return good(environ, start_response)
"""


@pytest.fixture
def app(machine, deploy):
    def start(name):
        deployment = deploy(
            f"gunicorn --config samples/gunicorn.conf.py apps:{name}", "8000"
        )
        deployment.write("apps.py", APPS)
        deployment.start()
        return deployment

    return start


@pytest.mark.parametrize(
    ("name", "check", "says"),
    [
        ("unguarded", "NW022", "200 and not 401: no sign-on is asked for here"),
        ("twice", "NW022", "2 challenges of Negotiate"),
        ("basic", "NW022", "401, with Basic realm=x"),
        ("not_you", "NW023", "403 to your ticket. not-authorized"),
        ("other_host", "NW023", "401 to your ticket. wrong-service"),
        ("no_such_host", "NW023", "500 to your ticket. keytab-unusable"),
        ("impostor", "NW023", "200, but the server has not proved itself"),
    ],
)
def test_an_application(machine, app, name, check, says):
    other = "HTTP/www.example.test"
    if other not in machine.realm.kadmin("listprincs"):
        machine.realm.kadmin("addprinc", "-randkey", other)
    machine.realm.kadmin("ktadd", "-k", str(machine.keytab), "-norandkey", other)
    [finding] = machine.doctor("--hostname", "localhost", "--url", app(name).url)
    assert finding["id"] == check
    assert re.search(says, finding["found"]), finding["found"]
    assert finding["remedy"]


def test_a_good_one(machine, app):
    deployment = app("good")
    assert machine.doctor("--url", deployment.url) == []
    said = machine.run("negotiate-wsgi", "doctor", "--url", deployment.url).stdout
    for check in gather():
        if check.id >= "NW032":
            continue  # only with --passwords or --store
        assert f"ok       {check.id}  {check.subject}: " in said
    assert "64 KB" in said
    by_address = machine.doctor(
        "--url", deployment.url.replace("localhost", "127.0.0.1")
    )
    assert [finding["id"] for finding in by_address] == ["NW023"]
    assert "is an address" in by_address[0]["found"]


def test_a_server_without_its_keytab(machine, app):
    deployment = app("good")
    shutil.move(machine.keytab, machine.directory / "elsewhere")
    arguments = ["--keytab", machine.directory / "elsewhere", "--url", deployment.url]
    [finding] = machine.doctor(*arguments)
    assert finding["id"] == "NW023"
    assert "500 to your ticket. keytab-unusable" in finding["found"]


def test_without_a_ticket(machine, app):
    deployment = app("good")
    (machine.directory / "ccache").unlink()
    [finding] = machine.doctor("--url", deployment.url)
    assert (finding["id"], finding["status"]) == ("NW023", "warning")
    assert finding["command"] == "kinit"


def test_a_ticket_that_is_older_than_the_key(machine, app, realm):
    """And the server's log says so; kinit, as the doctor says, repairs it."""
    deployment = app("good")
    subprocess.run(
        ["kvno", machine.spn],
        env=machine.environ,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    machine.keytab.unlink()
    realm.kadmin("ktadd", "-k", str(machine.keytab), machine.spn)
    [finding] = machine.doctor("--url", deployment.url)
    assert finding["id"] == "NW023"
    assert "401 to your ticket. stale-ticket" in finding["found"]
    records = (machine.directory / "samples" / "records").read_text()
    assert 'reason="stale-ticket"' in records
    assert f"{machine.spn}@EXAMPLE.TEST kvno 1 aes256" in records
    assert f"has: {machine.spn}@EXAMPLE.TEST kvno 2 aes256" in records
    machine.environ["USER"] = "alice"
    machine.type(f"{finding['command']} alice")
    assert machine.doctor("--url", deployment.url) == []
