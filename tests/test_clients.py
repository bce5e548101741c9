"""Real clients against real servers: curl, requests-gssapi, large tickets and large uploads."""

import base64
import subprocess

import pytest
import requests
from requests_gssapi import DISABLED, REQUIRED, HTTPSPNEGOAuth

SERVERS = ["gunicorn-sync", "gunicorn-gthread", "uwsgi", "waitress"]


@pytest.fixture(params=SERVERS)
def server(request, open_sites):
    return open_sites(request.param)


def curl(realm, user, *arguments):
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--include",
        "--max-time",
        "120",
        *arguments,
    ]
    environ = {"PATH": "/usr/bin:/bin", **realm.environ_of(user)}
    return subprocess.run(command, env=environ, capture_output=True, text=True).stdout


def test_curl(server, realm):
    url = f"{server.url}/required/"
    refused = curl(realm, "alice", url)
    assert refused.startswith("HTTP/1.1 401")
    assert "www-authenticate: negotiate\n" in refused.lower().replace("\r", "")
    for user in ("alice", "bob"):
        answer = curl(realm, user, "--negotiate", "--user", ":", url)
        assert " 200 " in answer.splitlines()[0]
        assert f"user={user}@EXAMPLE.TEST" in answer
        assert "www-authenticate: negotiate " in answer.lower()
    assert curl(realm, "nobody", "--negotiate", "--user", ":", url).startswith(
        "HTTP/1.1 401"
    )


def test_curl_by_an_alias(server, realm):
    to = f"alias.test:{server.port}:127.0.0.1:{server.port}"
    arguments = ["--connect-to", to, "--negotiate", "--user", ":"]
    seen = curl(
        realm, "alice", *arguments, f"http://alias.test:{server.port}/required/"
    )
    assert "spn='HTTP/alias.test@EXAMPLE.TEST'" in seen
    only = curl(
        realm, "alice", *arguments, f"http://alias.test:{server.port}/localhost-only/"
    )
    assert "(wrong-service)" in only


def test_curl_upload_with_expect_100_continue(server, realm, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 3_000_000)
    arguments = [
        "--negotiate",
        "--user",
        ":",
        "--data-binary",
        f"@{upload}",
        "--header",
        "Expect: 100-continue",
    ]
    for _ in range(3):
        assert "user=alice@EXAMPLE.TEST" in curl(
            realm, "alice", *arguments, f"{server.url}/required/"
        )


@pytest.mark.parametrize("path", ["404", "500", "redirect", "report"])
def test_requests_gssapi_verifies_the_server_on_every_status(server, realm, path):
    """REQUIRED raises where the mutual token is missing or wrong."""
    auth = HTTPSPNEGOAuth(mutual_authentication=REQUIRED)
    url = f"{server.url}/required/?do={path}"
    answer = requests.get(url, auth=auth, allow_redirects=False, timeout=120)
    expected = {"report": 200, "redirect": 302}.get(path) or int(path)
    assert answer.status_code == expected


def test_requests_gssapi_refused(server, realm):
    auth = HTTPSPNEGOAuth(mutual_authentication=DISABLED)
    answer = requests.get(f"{server.url}/other-realm-only/", auth=auth, timeout=120)
    assert answer.status_code == 403


@pytest.mark.parametrize("size", [1_000_000, 2**20])
def test_twenty_uploads_of_a_megabyte(server, realm, size):
    """requests sends the whole body before it looks at the 401."""
    with requests.Session() as session:
        session.auth = HTTPSPNEGOAuth(mutual_authentication=REQUIRED)
        url = f"{server.url}/required/?do=upload"
        answers = [session.post(url, data=bytes(size), timeout=120) for _ in range(20)]
    assert {answer.text for answer in answers} == {
        f"{size} bytes from alice@EXAMPLE.TEST"
    }
    assert [len(answer.history) for answer in answers] == [1] * 20


def test_a_token_as_large_as_allowed_and_one_byte_larger(server, realm):
    """An Active Directory user in 1000 groups sends 12.6 KB. Padding in a field of its own counts."""
    for size in (13_000, 40_000):
        padding = base64.b64encode(bytes(size * 3 // 4)).decode()
        answer = server.request(
            "/required/", realm.authorization(), headers=[("X-Padding", padding[:size])]
        )
        assert answer.status == 200
    garbage = base64.b64encode(bytes(40_000)).decode()
    assert server.request("/required/", f"Negotiate {garbage}").status == 401
