"""Two backends that share one SPN and one session key, behind a proxy that ends TLS."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sites
from forgery import FORGED, GENUINE, forged, is_told_all, told
from helpers import wait_until
from sample import ECHO, ROOT, copy_samples


class Site:
    """The sample as it is, on ports that are free; the texts of some files may be others."""

    def __init__(self, proxy, directory, **texts):
        self.proxy = proxy
        own = copy_samples(directory, **texts)
        self.ports = [own["8011"], own["8012"]]
        self.url = f"https://localhost:{own['8443']}"
        environ = {**os.environ, "TMPDIR": str(directory)}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        self._process = subprocess.Popen(
            ["bash", directory / "samples" / "behind", proxy],
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        sites.wait_for(int(own["8443"]), self._process)
        [key] = directory.glob("*/session-key")
        self.directory = key.parent

    def answered(self):
        """Path and status of the requests that each backend has answered, as its own log says."""
        logs = [(self.directory / f"{port}.log").read_text() for port in self.ports]
        return [re.findall(r'"GET (\S+) HTTP/1\.." (\d+)', log) for log in logs]

    def challenges(self):
        return [status for log in self.answered() for _, status in log].count("401")

    def rotate_key(self):
        key = self.directory / "session-key"
        key.write_text(
            "a new key of no less than 32 bytes".replace(" ", "-")
            + "\n"
            + key.read_text()
        )
        for port in self.ports:
            master = self._master(port)
            before = set(sites.children(master))
            os.kill(master, signal.SIGHUP)
            wait_until(
                lambda master=master, before=before: before.isdisjoint(
                    sites.children(master)
                )
            )

    def kill_a_backend(self):
        master = self._master(self.ports[0])
        for process in (master, *sites.children(master)):
            os.kill(process, signal.SIGKILL)

    def _master(self, port):
        return int((self.directory / f"{port}.pid").read_text())

    def close(self):
        self._process.terminate()
        self._process.wait(120)


@pytest.fixture
def serve(realm, tmp_path):
    """Starts the sample with a proxy."""
    started = []

    def start(proxy, **options):
        started.append(Site(proxy, tmp_path, **options))
        return started[-1]

    yield start
    for site in started:
        site.close()


@pytest.fixture(params=["nginx", "haproxy", "apache"])
def site(request, serve):
    return serve(request.param)


def visit(page, site, times):
    for _ in range(times):
        answer = page.goto(site.url)
        assert (answer.status, answer.text()) == (200, "Hello alice@EXAMPLE.TEST\n")


def test_one_browser_session_over_two_backends(site, browse):
    page = browse(ignore_https_errors=True)
    visit(page, site, 50)
    wait_until(lambda: sum(log.count(("/", "200")) for log in site.answered()) == 50)
    assert site.challenges() == 1
    one, two = site.answered()
    if (
        site.proxy == "nginx"
    ):  # HAProxy keeps a connection that has seen a 401 with its server
        assert (
            abs(len(one) - len(two)) < 14
        )  # Chromium's requests for a favicon.ico included
    cookies = page.context.cookies()
    assert {cookie["name"] for cookie in cookies} == {
        "__Host-negotiate",
        "negotiate-retry",
    }
    assert {cookie["secure"] for cookie in cookies} == {True}

    site.rotate_key()
    visit(page, site, 20)
    assert site.challenges() == 1

    killer = threading.Timer(0.2, site.kill_a_backend)
    killer.start()
    visit(page, site, 30)
    killer.join()
    visit(page, site, 30)
    one, two = site.answered()
    visit(page, site, 20)
    assert site.answered()[0] == one
    wait_until(
        lambda: site.answered()[1].count(("/", "200")) >= two.count(("/", "200")) + 20
    )
    assert site.challenges() == 1

    page.context.clear_cookies()  # the negative control
    visit(page, site, 1)
    wait_until(lambda: site.challenges() >= 2)


@pytest.mark.parametrize("proxy", ["nginx", "haproxy", "apache"])
def test_a_clients_word_for_who_and_where_it_is_goes_no_further(serve, proxy):
    gunicorn = (ROOT / "samples" / "gunicorn.conf.py").read_text()
    arriving = FORGED
    if proxy == "apache":
        # It passes names with an underscore on, which gunicorn drops unless it is told not to.
        arriving = [header for header in FORGED if "_" not in header]
    else:
        gunicorn += 'header_map = "dangerous"\n'
    site = serve(proxy, **{"plain_app.py": ECHO, "gunicorn.conf.py": gunicorn})
    environ = told(f"{site.url}/forged", FORGED + GENUINE)
    assert forged(environ) == set()
    assert is_told_all(environ, GENUINE)
    assert environ["HTTP_X_FORWARDED_PROTO"] == "https"
    environ = told(f"{site.url}/forged", ["SCRIPT_NAME: /forged"])
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/forged")

    # The negative control: without the proxy, all of it arrives.
    backend = f"http://localhost:{site.ports[0]}/forged"
    assert is_told_all(told(backend, arriving), arriving)
    environ = told(backend, ["SCRIPT_NAME: /forged"])
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/forged", "")


#: Of an application whose answer has the largest cookie that browsers take.
LARGE_COOKIE = """
def app(environ, start_response):
    cookie = "large=" + "x" * 4090
    start_response("200 OK", [("Set-Cookie", cookie), ("Content-Type", "text/plain")])
    return [b"taken"]
"""


@pytest.mark.parametrize("proxy", ["nginx", "haproxy", "apache"])
def test_a_large_cookie_comes_back_through_the_proxy(serve, proxy):
    site = serve(proxy, **{"plain_app.py": LARGE_COOKIE})
    command = ["curl", "--silent", "--insecure", "--negotiate", "--user", ":"]
    assert subprocess.check_output([*command, site.url], text=True) == "taken"


def test_private_keys_are_their_owners_alone(site):
    kept = [
        path for path in site.directory.iterdir()
        if path.is_file() and ("key" in path.name or b"PRIVATE KEY" in path.read_bytes())
    ]  # fmt: skip
    assert {path.name for path in kept} == {"tls.key", "tls.pem", "session-key"}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
