"""Clients that send a whole upload before they look at the 401: none of it may be lost.

Each upload of each client meets a 401 first, and is sent again with a ticket.
"""

import json
import re
import shutil
import socket
import subprocess
import sys

import httpx
import httpx_gssapi
import pytest
import requests
import requests_gssapi
import sites
from conftest import FLAGS
from helpers import FIREFOX, wait_until
from java import with_tickets

SIZES = [1_500_000, 3_000_000, 8_000_000, 20_000_000]  # bytes
EXPECTED = [f"{size} bytes from alice@EXAMPLE.TEST" for size in SIZES]


def of_requests(site, directory, playwright):
    with requests.Session() as session:
        session.auth = requests_gssapi.HTTPSPNEGOAuth()
        return [
            session.post(f"{site.url}/wiki/", data=bytes(size)).text for size in SIZES
        ]


def of_httpx(site, directory, playwright):
    with httpx.Client(auth=httpx_gssapi.HTTPSPNEGOAuth(), timeout=300) as client:
        return [
            client.post(f"{site.url}/wiki/", content=bytes(size)).text for size in SIZES
        ]


def of_chromium(site, directory, playwright):
    profile = directory / "profile"
    profile.mkdir()
    seen = '{"net": {"received_http_auth_negotiate_headers": true}}'
    (profile / "Local State").write_text(seen)
    command = [*FLAGS, "--headless=new", "--no-sandbox", f"--user-data-dir={profile}"]
    chromium = shutil.which("chromium") or playwright.chromium.executable_path
    return of_a_browser(site, [chromium, *command])


def of_firefox(site, directory, playwright):
    profile = directory / "profile"
    profile.mkdir()
    prefs = [
        f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in FIREFOX.items()
    ]
    (profile / "user.js").write_text("\n".join(prefs))
    # Ubuntu has Firefox as a snap only, which cannot see the realm: there it is Playwright's.
    firefox = shutil.which("firefox-esr") or playwright.firefox.executable_path
    return of_a_browser(
        site, [firefox, "--headless", "--no-remote", "--profile", profile]
    )


def of_a_browser(site, command):
    page = f"{site.url}/?{','.join(map(str, SIZES))}"
    browser = subprocess.Popen(
        [*command, page], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: site.results.exists() or browser.poll() is not None, 300)
    finally:
        browser.terminate()
        browser.wait()
    return site.results.read_text().splitlines()


def of_java(site, directory, playwright):
    command = with_tickets(directory, "com.sun.security.jgss.krb5.initiate")
    command += [sites.TESTS / "Upload.java", f"{site.url}/wiki/", *map(str, SIZES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def sample_of_uwsgi(name, directory, port):
    """The settings of a sample of uWSGI, for our application at a free port."""
    text = (sites.TESTS.parent / "samples" / name).read_text()
    text = re.sub(r"127\.0\.0\.1:800[15]", f"127.0.0.1:{port}", text)
    text = text.replace("127.0.0.1:8006", f"127.0.0.1:{sites.free_port()}")
    text = text.replace(
        "NEGOTIATE_APP=plain_app:app", "NEGOTIATE_APP=uploads_app:upload"
    )
    text = text.replace("module = plain_app:app", "module = uploads_app:outside")
    text = text.replace("module = negotiate_wsgi.wsgi", "module = uploads_app")
    ini = directory / name
    ini.write_text(text)
    return [shutil.which("uwsgi"), "--ini", ini, "--home", sys.prefix]


SERVERS = [
    "gunicorn-sync",
    "gunicorn-gthread",
    "uwsgi.ini",
    "uwsgi_http.ini",
    "waitress",
]


@pytest.fixture(params=SERVERS)
def site(request, realm, tmp_path, monkeypatch):
    results = tmp_path / "results"
    if request.param.startswith("uwsgi"):
        monkeypatch.setattr(
            sites, "command",
            lambda kind, port, application: sample_of_uwsgi(kind, tmp_path, port),
        )  # fmt: skip
    site = sites.HttpSite(
        request.param, "uploads_app:application", RESULTS=str(results)
    )
    site.results = results
    yield site
    site.close()


@pytest.mark.parametrize(
    "client", [of_requests, of_httpx, of_chromium, of_firefox, of_java]
)
def test_no_upload_is_broken(site, client, tmp_path, playwright):
    assert client(site, tmp_path, playwright) == EXPECTED


@pytest.mark.parametrize("kind", ["gunicorn-sync", "gunicorn-gthread"])
def test_a_body_that_never_comes_is_not_waited_for(realm, kind):
    site = sites.HttpSite(kind, "uploads_app:application")
    try:
        head = "POST /impatient/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection(
            ("127.0.0.1", site.port), timeout=300
        ) as connection:
            connection.sendall(head.encode() + b"a few bytes of it")
            assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
        assert site.request("/impatient/", realm.authorization()).status == 200
    finally:
        site.close()
