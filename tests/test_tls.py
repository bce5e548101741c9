"""Tokens over TLS: who comes in by its own connection, and who passes on another's."""

import http.server
import ssl
import subprocess
import threading

import pytest
import requests
import sites
from certificates import binding_of, made, put
from requests_gssapi import HTTPSPNEGOAuth
from sample import ROOT
from test_proxies import Site

HELLO = "alice@EXAMPLE.TEST alice None"
MODES = ["optional", "required"]


class TlsSite(sites.HttpSite):
    """A gunicorn that ends TLS, and an application that asks for bindings to its certificate, or
    to that in the file *known*.
    """

    def __init__(self, directory, mode, number=0, known=None):
        directory.mkdir()
        self.certificate = directory / "www.pem"
        self._key = directory / "www.key"
        self.renew(number)
        super().__init__(
            "gunicorn-gthread",
            "negotiate_wsgi.wsgi:application",
            arguments=["--certfile", self.certificate, "--keyfile", self._key, "--keep-alive", "75"],
            NEGOTIATE_APP="helpers:app",
            NEGOTIATE_ACCEPTOR="gssapi",
            NEGOTIATE_CHANNEL_BINDING=mode,
            NEGOTIATE_CERTIFICATE=str(known or self.certificate),
        )  # fmt: skip

    def renew(self, number):
        """gunicorn takes the new one for each connection from then on."""
        pem, key = made(number=number)
        put(self._key, key)
        put(self.certificate, pem)

    @property
    def url(self):
        return f"https://localhost:{self.port}/"

    def get(self, **options):
        return requests.get(self.url, verify=str(self.certificate), **options)


@pytest.fixture
def serve(realm, tmp_path):
    started = []

    def start(mode, number=0):
        directory = tmp_path / f"tls-{len(started)}"
        started.append(TlsSite(directory, mode, number))
        return started[-1]

    yield start
    for site in started:
        site.close()


def binding():
    return HTTPSPNEGOAuth(channel_bindings="tls-server-end-point")


def curl(realm, url):
    command = ["curl", "--silent", "--insecure", "--negotiate", "--user", ":", url]
    environ = {"PATH": "/usr/bin:/bin", **realm.environ_of("alice")}
    return subprocess.run(command, env=environ, capture_output=True, text=True).stdout


def may_curl_bind():
    """Since 8.10, where it was built with OpenSSL."""
    command = ["curl", "--version"]
    about = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[
        0
    ]
    numbers = about.split()[1].split(".")[:2]
    return [int(number) for number in numbers] >= [8, 10] and "OpenSSL/" in about


def test_optional_lets_in_who_binds_and_who_does_not(serve, realm, browse):
    site = serve("optional")
    assert site.get(auth=binding()).text == HELLO
    assert site.get(auth=HTTPSPNEGOAuth()).text == HELLO
    assert curl(realm, site.url) == HELLO
    page = browse(ignore_https_errors=True)
    answer = page.goto(site.url)
    assert (answer.status, answer.text()) == (200, HELLO)
    assert site.get().status_code == 401


def test_required_lets_in_who_binds_alone(serve, realm, browse):
    site = serve("required")
    assert site.get(auth=binding()).text == HELLO
    assert "channel-bindings-missing" in site.get(auth=HTTPSPNEGOAuth()).text
    by_curl = curl(realm, site.url)
    assert "channel-bindings-missing" in by_curl or (
        may_curl_bind() and by_curl == HELLO
    )
    answer = browse(ignore_https_errors=True).goto(site.url)
    assert answer.status == 401
    assert "channel-bindings-missing" in answer.text()


class Relay(http.server.ThreadingHTTPServer):
    """A TLS server with a certificate of its own, which passes on each token to *target*."""

    daemon_threads = True

    def __init__(self, directory, target):
        super().__init__(("127.0.0.1", 0), RelayHandler)
        pem, key = made(number=99)
        self.certificate = put(directory / "relay.pem", pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, put(directory / "relay.key", key))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.target = target
        self.answers = []

    @property
    def url(self):
        return f"https://localhost:{self.server_port}/"


class RelayHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        token = self.headers.get("Authorization")
        body = b""
        status = 401
        if token:
            relayed = self.server.target.get(headers={"Authorization": token})
            self.server.answers.append((relayed.status_code, relayed.text))
            status, body = relayed.status_code, relayed.content
        self.send_response(status)
        self.send_header("WWW-Authenticate", "Negotiate")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def relay(tmp_path):
    started = []

    def start(target):
        server = Relay(tmp_path, target)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("mode", MODES)
def test_a_token_captured_on_one_server_is_refused_by_another(serve, relay, mode):
    target = serve(mode)
    thief = relay(target)
    requests.get(thief.url, verify=str(thief.certificate), auth=binding())
    status, text = thief.answers[0]
    assert status == 401
    assert "channel-bindings-wrong" in text
    # The same user, by a connection of their own.
    assert target.get(auth=binding()).text == HELLO


@pytest.mark.parametrize(
    ("mode", "status", "says"),
    [("optional", 200, HELLO), ("required", 401, "channel-bindings-missing")],
)
def test_a_captured_token_that_is_not_bound(serve, relay, mode, status, says):
    """With "optional", nothing keeps it out: that is what "required" is for."""
    thief = relay(serve(mode))
    requests.get(thief.url, verify=str(thief.certificate), auth=HTTPSPNEGOAuth())
    assert thief.answers[0][0] == status
    assert says in thief.answers[0][1]


def test_renewal_while_connections_live_on(serve, realm):
    site = serve("required")
    old = site.certificate.read_bytes()
    with requests.Session() as before:
        trust = str(put(site.certificate.with_name("old.pem"), old))
        assert before.get(site.url, auth=binding(), verify=trust).text == HELLO
        site.renew(1)
        new = site.certificate.read_bytes()
        assert site.get(auth=binding()).text == HELLO
        # The same connection as before, whose certificate is the old one.
        assert before.get(site.url, auth=binding(), verify=trust).text == HELLO
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(site.url, verify=trust)
        # A server that has never seen the old one.
        fresh = serve("required", 1)
        for pem, status in ((new, 200), (old, 401)):
            token = realm.authorization(binding=binding_of(pem))
            answer = fresh.get(headers={"Authorization": token})
            assert answer.status_code == status


@pytest.fixture(params=["nginx", "haproxy", "apache"])
def proxied(request, realm, tmp_path):
    """Two backends behind a proxy that ends TLS, who know its certificate by its file."""
    script = (ROOT / "samples" / "behind").read_text()
    settings = (
        "export NEGOTIATE_ACCEPTOR=gssapi NEGOTIATE_CHANNEL_BINDING=required\n"
        "export NEGOTIATE_CERTIFICATE=$directory/tls.crt\n"
    )
    changed = script.replace("export NEGOTIATE_APP", settings + "export NEGOTIATE_APP")
    assert changed != script
    site = Site(request.param, tmp_path, behind=changed)
    yield site
    site.close()


def test_behind_a_proxy(proxied, realm):
    certificate = proxied.directory / "tls.crt"

    def get(**options):
        return requests.get(proxied.url, verify=str(certificate), **options)

    for _ in range(4):
        assert get(auth=binding()).text == "Hello alice@EXAMPLE.TEST\n"
    answer = get(auth=HTTPSPNEGOAuth())
    assert answer.status_code == 401
    assert "channel-bindings-missing" in answer.text
    ours, other = certificate.read_bytes(), made()[0]
    for pem, status in ((ours, 200), (other, 401)):
        token = realm.authorization(binding=binding_of(pem))
        answer = get(headers={"Authorization": token})
        assert answer.status_code == status
    assert "channel-bindings-wrong" in answer.text
    # The proxy's certificate is renewed: first the file, then the proxy takes it.
    put(certificate, other)
    for pem, status in ((ours, 200), (other, 200), (made(number=2)[0], 401)):
        token = realm.authorization(binding=binding_of(pem))
        answer = requests.get(
            proxied.url,
            verify=str(put(proxied.directory / "old.crt", ours)),
            headers={"Authorization": token},
        )
        assert answer.status_code == status
