"""Every sample starts with the command in its docstring, and answers as it says."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import sites
from forgery import FORGED, GENUINE, forged, is_told_all, told
from helpers import wait_until
from machine import need_user_namespaces
from sample import BIN, ECHO, ENVIRON, ROOT, copy_samples, documented, running
from sites import LARGE

SAMPLES = [
    "wsgi_app.py", "flask_app.py", "django_app.py", "bottle_app.py", "pyramid_app.py",
    "plain_app.py", "under_a_prefix.py", "page.py", "metrics.py", "json_log.py", "debug_page.py", "gunicorn.conf.py", "uwsgi.ini", "uwsgi_http.ini",
    "waitress_server.py", "pyramid.ini", "apache.conf", "behind", "nginx.conf", "haproxy.cfg",
    "apache_proxy.conf", "with_passwords",
]  # fmt: skip
#: What is no server, or is tested by itself.
OTHERS = {
    "demo", "set-up", "page", "negotiate-wsgi.service", "test_wsgi_app.py", "Containerfile",
    "kubernetes.yaml", "password_page.py", "with_fleet",
}  # fmt: skip
#: Without network but loopback, and root is a user like any other.
ALONE = [
    "unshare",
    "--map-root-user",
    "--net",
    "bash",
    "-c",
    'ip link set lo up && exec "$@"',
    "-",
]


def test_every_sample_is_tested():
    found = {
        path.name for path in (ROOT / "samples").iterdir() if path.name != "__pycache__"
    }
    assert found == OTHERS | set(SAMPLES)


def in_realm(join, command):
    return subprocess.run(
        ["bash", "-c", f". {join}; {command}"],
        env=ENVIRON,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample(sample, large_ticket):
    with running(sample) as site:
        assert site.conversation
        for client, answer in site.conversation:
            assert site.client(client) == answer
            if client.startswith("curl --negotiate"):
                stranger = client.replace("--negotiate --user :", "")
                assert site.client(stranger).endswith("(no-credentials)")
                enlarge = (
                    f"{large_ticket} $KRB5CCNAME HTTP/localhost@EXAMPLE.TEST {LARGE}"
                )
                assert int(site.client(enlarge)) > LARGE
                assert site.client(client) == answer
        assert any("--negotiate" in client for client, _ in site.conversation)


def test_the_unit_is_one_and_its_service_answers(tmp_path, realm, large_ticket):
    """Without systemd as process 1: what it would hand to the service is put in its place here."""
    command, [(client, expected)] = documented(
        "negotiate-wsgi.service", ROOT / "samples"
    )
    port = copy_samples(tmp_path)["8000"]
    unit = (ROOT / "samples" / "negotiate-wsgi.service").read_text()
    assert f"\nExecStart={command}\n" in unit
    for path in ("/opt/myapp/bin", "/opt/myapp"):
        place = BIN if path.endswith("bin") else tmp_path / "samples"
        unit = unit.replace(f"{path}/", f"{place}/")
    (tmp_path / "negotiate-wsgi.service").write_text(unit)
    verify = ["systemd-analyze", "verify", tmp_path / "negotiate-wsgi.service"]
    verified = subprocess.run(
        verify, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (verified.returncode, verified.stderr) == (0, "")

    credentials, state = tmp_path / "credentials", tmp_path / "state"
    (state / re.search("^StateDirectory=(.*)$", unit, re.MULTILINE)[1]).mkdir(
        parents=True
    )
    credentials.mkdir()
    contents = {
        "keytab": Path(realm.keytab).read_bytes(),
        "session-key": b"a-key-of-thirty-two-bytes-or-more",
    }
    for name in re.findall(r"^LoadCredential=(.*?):", unit, re.MULTILINE):
        (credentials / name).write_bytes(contents[name])
        (credentials / name).chmod(0o400)  # as systemd does
    assigned = unit.replace("%d", str(credentials)).replace("%S", str(state))
    environ = dict(re.findall(r"^Environment=(\w+)=(.*)$", assigned, re.MULTILINE))
    command = re.search("^ExecStart=(.*)$", unit, re.MULTILINE)[1].split()
    environ |= {"KRB5_CONFIG": os.environ["KRB5_CONFIG"], "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        sites.wait_for(int(port), process, 120)
        enlarge = [
            large_ticket,
            realm.ccache("alice"),
            "HTTP/localhost@EXAMPLE.TEST",
            str(LARGE),
        ]
        sign_on = client.replace("curl", "curl --silent").replace("8000", port).split()
        for prepare in (["true"], enlarge):
            subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
            assert subprocess.check_output(sign_on, text=True).strip() == expected
        sign_on.remove("--negotiate")
        assert "(no-credentials)" in subprocess.check_output(sign_on, text=True)
    finally:
        process.terminate()
        process.wait(120)


def test_a_samples_own_suite_without_root_and_without_network():
    text = (ROOT / "samples" / "test_wsgi_app.py").read_text()
    command = re.search(r"^Run +(.*)$", text, re.MULTILINE)[1]
    expected = re.search(r"^Expect +(.*)$", text, re.MULTILINE)[1]
    need_user_namespaces()
    as_nobody_special = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    done = subprocess.run(
        [*ALONE, *as_nobody_special, "bash", "-c", f"{command} -p no:cacheprovider"], cwd=ROOT, env=ENVIRON,
        capture_output=True, text=True,
    )  # fmt: skip
    assert expected in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_stay_on_loopback_and_do_not_debug(sample):
    named = re.findall(r"samples/([\w.]+)", documented(sample, ROOT / "samples")[0])
    text = "".join((ROOT / "samples" / name).read_text() for name in {sample, *named})
    assert "127.0.0.1" in text
    assert "debug" not in text.lower().replace("debug_page", "").replace(
        "negotiate_wsgi.debug", ""
    )
    assert "0.0.0.0" not in text


#: What a stranger's shell has at least.
BARE = {
    "HOME": os.environ.get("HOME", "/"),
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
}
WITHOUT_IPV6 = [
    "unshare", "--map-root-user", "--net", "bash", "-c",
    'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up && exec "$@"', "-",
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (["samples/demo"], {}),
        (["sh", "samples/demo"], {}),
        (["samples/demo"], {"http_proxy": "http://127.0.0.1:9", "PIP_USER": "1"}),
        ([*WITHOUT_IPV6, "samples/demo"], {}),
    ],
    ids=["bare", "sh", "behind a proxy", "without IPv6 and network"],
)
def test_demo_shows_a_ticket_become_a_principal(command, environ):
    if "unshare" in command:
        need_user_namespaces()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**BARE, **environ},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused, alice, bob, summary = done.stdout.split("\n== ")[-4:]
    assert "HTTP/1.1 401" in refused
    assert "WWW-Authenticate: Negotiate\n" in refused
    for answer, user in ((alice, "alice"), (bob, "bob")):
        assert "HTTP/1.1 200" in answer
        assert f"Hello {user}@EXAMPLE.TEST" in answer
        assert re.search(r"WWW-Authenticate: Negotiate \S{24}\.\.\.\n", answer)
    assert "alice@EXAMPLE.TEST" in summary.strip().splitlines()[-1]


def copy_of_the_demo(tmp_path, old, new):
    """The demo in a place of its own, with *new* for *old* in its samples."""
    copy = tmp_path / "copy"
    (copy / "samples").mkdir(parents=True)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    for name in (
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "negotiate_wsgi",
        "flask_adapter",
    ):
        (copy / name).symlink_to(ROOT / name)
    for source in (ROOT / "samples").iterdir():
        if source.is_file():
            target = copy / "samples" / source.name
            target.write_text(source.read_text().replace(old, new))
            target.chmod(source.stat().st_mode)
    return copy


def test_a_fleet_takes_a_token_once_and_ends_sessions_everywhere():
    done = subprocess.run(
        ["samples/with_fleet"], cwd=ROOT, env=BARE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, signed_on, again, logs, session, revoked, anew = done.stdout.split("\n== ")
    assert "Hello alice@EXAMPLE.TEST" in signed_on
    assert again.count("HTTP/1.1 401") == again.count("(replayed)") == 2
    assert logs.count('detail="Request is a replay"') == 1
    assert logs.count('detail="found by the fleet') == 1
    for answers, expected in ((session, "Hello alice"), (revoked, "(no-credentials)")):
        assert answers.count(expected) == 2
        assert sorted(re.findall("x-host: (.*)", answers)) == ["one", "two"]
    assert "Hello alice@EXAMPLE.TEST" in anew


def test_without_a_store_they_are_no_fleet(tmp_path):
    store = "NEGOTIATE_STORE=valkey://127.0.0.1:$store_port/0 NEGOTIATE_STORE_REFRESH=1"
    copy = copy_of_the_demo(tmp_path, store, "NO_STORE=1")
    done = subprocess.run(
        ["samples/with_fleet"], cwd=copy, env=BARE, capture_output=True, text=True
    )
    assert done.returncode == 1
    again = done.stdout.split("\n== ")[-1]
    assert again.count("(replayed)") == again.count("Hello alice@EXAMPLE.TEST") == 1
    assert "expected to see: 401" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Hello {user}", "Hello stranger", "expected to see: alice@EXAMPLE.TEST"),
        ("app = Flask(", "app = Bottle(", "gunicorn did not start"),
    ],
)
def test_demo_fails_where_it_does_not_see_what_it_promises(tmp_path, old, new, said):
    copy = copy_of_the_demo(tmp_path, old, new)
    done = subprocess.run(["samples/demo"], cwd=copy, capture_output=True, text=True)
    assert said in done.stderr
    assert done.returncode == 1


@pytest.fixture
def _port_8000():
    """A demo takes it where it is free: one after the other, whoever else runs these tests."""
    path = Path(tempfile.gettempdir()) / f"negotiate-wsgi-demo-{os.getuid()}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class ServingDemo:
    """``samples/demo --serve``, and the three commands that it says."""

    def __init__(self, **environ):
        self.process = subprocess.Popen(
            ["samples/demo", "--serve"], cwd=ROOT, env={**BARE, **environ},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        shown = ""
        while "Ctrl-C" not in shown:
            line = self.process.stdout.readline()
            assert line, shown
            shown += line
        join, self.client, self.browser = re.findall(r"^    (.+)$", shown, re.MULTILINE)
        self.join = Path(join.removeprefix(". "))
        self.port = int(re.search(r"localhost:(\d+)/", self.client)[1])

    def answer(self):
        return in_realm(self.join, self.client.replace("curl", "curl --silent"))

    def end(self, number):
        self.process.send_signal(number)
        self.process.communicate(timeout=120)
        wait_until(lambda: not self.join.parent.exists())
        wait_until(lambda: not sites.is_open(self.port))
        return self.process.returncode


@pytest.mark.usefixtures("_port_8000")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGTERM),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_demo_serve_says_what_to_type_and_leaves_nothing(number, code):
    demo = ServingDemo()
    assert demo.browser.startswith("chromium ")
    assert demo.answer() == "Hello alice@EXAMPLE.TEST"
    assert demo.end(number) == code


@pytest.mark.usefixtures("_port_8000")
def test_demo_serve_takes_another_port_where_8000_is_taken_and_knows_of_proxies():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", 8000))
            other.listen()
        demo = ServingDemo(http_proxy="http://127.0.0.1:9")
        assert demo.port != 8000
        assert demo.client.startswith("curl --noproxy localhost ")
        assert demo.answer() == "Hello alice@EXAMPLE.TEST"
        demo.end(signal.SIGINT)


NTLM = "curl --header 'Authorization: Negotiate TlRMTVNTUAABAAAA' {url}"


def test_the_log_is_json():
    with running("json_log.py") as site:
        for client, _ in site.conversation:
            site.client(client)
        site.client(NTLM.format(url=f"'http://localhost:{site.port}/%22,%0a%7b'"))
    told = [json.loads(line) for line in site.stderr if line.startswith("{")]
    accepted, refused = told
    assert accepted["principal"] == "alice@EXAMPLE.TEST"
    assert (accepted["reason"], accepted["levelname"]) == ("accepted", "INFO")
    assert accepted["spn"] == "HTTP/localhost@EXAMPLE.TEST"
    assert (refused["reason"], refused["levelname"]) == ("ntlm", "WARNING")
    assert refused["client"] == "127.0.0.1"
    assert refused["path"].startswith("/")
    assert {"asctime", "name", "process", "message", "remedy"} <= refused.keys()


def test_gunicorns_access_log_names_the_user():
    with running("gunicorn.conf.py", "--access-logfile /dev/stderr") as site:
        for client, _ in site.conversation:
            site.client(client)
        site.client(NTLM.format(url=f"http://localhost:{site.port}/"))
    lines = [line for line in site.stderr if '"GET / HTTP/1.1"' in line]
    users = [
        re.search(r'^127\.0\.0\.1 "(.*?)" .* (\d+) \d+ "', line).groups()
        for line in lines
    ]
    assert users == [("alice@EXAMPLE.TEST", "200"), ("-", "401")]


def test_metrics_are_those_of_all_workers():
    with running("metrics.py") as site:
        (client, _), (ask, _) = site.conversation
        ask = ask.partition(" | ")[0]
        own = 'negotiate_decisions_total{outcome="accepted",reason="",source="ticket"} '
        signed_on = 0
        while len(list(site.directory.glob("*/counter_*.db"))) < 2 or signed_on < 10:
            site.client(client)
            signed_on += 1
        for _ in range(10):  # whichever worker answers
            assert f"{own}{signed_on}.0" in site.client(ask).splitlines()


def test_apache_keeps_a_clients_word_for_who_it_is_from_the_application():
    with running("apache.conf", **{"wsgi_app.py": ECHO}) as site:
        environ = told(f"http://localhost:{site.port}/forged", FORGED + GENUINE)
        assert forged(environ) == set()
        assert is_told_all(environ, GENUINE)
    # The negative control: without these lines, all of it arrives that has no underscore.
    conf = (
        (ROOT / "samples" / "apache.conf")
        .read_text()
        .replace("RequestHeader unset", "# ")
    )
    with running("apache.conf", **{"wsgi_app.py": ECHO, "apache.conf": conf}) as site:
        environ = told(f"http://localhost:{site.port}/forged", FORGED)
        assert is_told_all(environ, [header for header in FORGED if "_" not in header])
