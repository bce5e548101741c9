"""What a server, a KDC or a keytab says is shown, but drives no terminal; and nobody gets a ticket
whose certificate is not trusted."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from base64 import b64decode
from contextlib import contextmanager
from threading import Thread

import pytest
from helpers import der
from machine import Machine, administered_realm

from negotiate_wsgi.doctor.finding import problem
from negotiate_wsgi.wire.printable import printable
from negotiate_wsgi.wire.ticket import Ticket

#: Sets the title, clears the screen, and asks for an answer; in 8 bits; turns the text around.
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[6n \x9b2J\u202eevil"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x1b[6n \x9b2J\u202eevil"


@pytest.fixture(scope="module")
def realm():
    with administered_realm() as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path):
    return Machine(realm, tmp_path / "machine", "localhost")


def drives(text):
    """Whether *text*, with what a terminal adds for itself, has anything of EVIL unescaped."""
    return any(
        part in text
        for part in ("\x1b]", "\x1b[2J", "\x1b[6n", "\x07", "\x9b", "\u202e")
    )


def all_that_is_said(machine, *arguments):
    """In words, as JSON and as decoded from it, and on a terminal."""
    done = machine.run("negotiate-wsgi", "doctor", *arguments)
    assert done.stderr == ""
    words = done.stdout
    data = machine.run("negotiate-wsgi", "doctor", "--json", *arguments).stdout
    decoded = "".join(
        text
        for finding in json.loads(data)
        for value in finding.values()
        for text in value
    )
    line = " ".join(["negotiate-wsgi doctor", *map(str, arguments)])
    return words, data, decoded, machine.type(f"{line}; true")


class Server:
    """Answers whatever it is told to, and keeps what it was sent."""

    def __init__(self, answer, context=None):
        self._answer, self._context = answer, context
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._context:
                    connection = self._context.wrap_socket(connection, server_side=True)
                request = b""
                while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
                    request += more
                if request:
                    self.requests.append(request.decode("latin-1"))
                    connection.sendall(self._answer(self.requests[-1]))
            except OSError:
                pass  # the client does not like our certificate
            finally:
                connection.close()

    def close(self):
        self._listener.close()

    @property
    def tickets(self):
        """The tickets that it was sent."""
        values = [
            line.split()[-1]
            for request in self.requests
            for line in request.splitlines()
            if line.lower().startswith("authorization:")
        ]
        return [ticket for ticket in map(Ticket.of, map(b64decode, values)) if ticket]


@contextmanager
def serving(answer, context=None):
    server = Server(answer, context)
    try:
        yield server
    finally:
        server.close()


def challenge(request):
    return (
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nConnection: close\r\n\r\n"
    )


def evil(status, *headers, body=EVIL):
    lines = [
        f"HTTP/1.1 {status}",
        f"Server: {EVIL}",
        "Connection: close",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode("latin-1", errors="replace")


def challenge_at_first(request):
    """Then whatever is evil: no proof, cookies, refusals of large headers."""
    if "Authorization" not in request:
        return evil("401 No", "WWW-Authenticate: Negotiate")
    if len(request) > 10_000:
        return evil(f"431 {EVIL}")
    return evil(
        "200 OK",
        f"Set-Cookie: negotiate=x; HttpOnly; {EVIL}",
        "WWW-Authenticate: Negotiate oQcwBaADCgEA",
    )


HOSTILE = {
    "its name": challenge_at_first,
    "its challenge": lambda request: evil(
        "401 No", f"WWW-Authenticate: Basic realm={EVIL}"
    ),
    "two lines": lambda request: evil(
        "401 No", "WWW-Authenticate: Basic\r\n \x1b[2J realm=x"
    ),
    "its status": lambda request: evil(f"299 {EVIL}"),
    "its page": lambda request: evil("500 No", body=f"{EVIL} (keytab-unusable)"),
    "JSON": lambda request: evil("500 No", body=json.dumps({"reason": EVIL})),
    "JSON of another form": lambda request: evil(
        "500 No", body='[{"reason": ["keytab-unusable"]}]'
    ),
    "no HTTP": lambda request: EVIL.encode(),
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server(machine, answer):
    with serving(answer) as server:
        for said in all_that_is_said(
            machine, "--url", f"http://localhost:{server.port}/"
        ):
            assert not drives(said)
            assert "Traceback" not in said
        assert server.requests


@pytest.mark.parametrize(
    "proof", ["", "!", "AAAA", "YIIC/w==", "oQcwBaADCgEAAAAA", "TlRMTVNTUAACAAAA"]
)
def test_a_proof_that_is_none(machine, proof):
    def answer(request):
        if "Authorization" not in request:
            return challenge(request)
        return challenge(request).replace(b"401 No", b"200 OK").replace(
            b"Negotiate", f"Negotiate {proof}".encode()
        )  # fmt: skip

    with serving(answer) as server:
        [finding] = machine.doctor("--url", f"http://localhost:{server.port}/")
    assert finding["id"] == "NW023"
    assert "has not proved itself" in finding["found"]


def test_its_name_is_shown_all_the_same(machine):
    with serving(challenge_at_first) as server:
        words, *_ = all_that_is_said(
            machine, "--url", f"http://localhost:{server.port}/"
        )
    assert r"401 from \x1b]0;owned\x07\x1b[2J" in words
    with serving(challenge) as server:
        assert drives(EVIL)  # the measure measures


def keytab_of(principal, realm):
    """One entry of MIT's format, version 2, with a key of AES256."""

    def counted(text):
        return len(text.encode()).to_bytes(2, "big") + text.encode()

    service, host = principal.split("/", 1)
    entry = b"\0\2" + counted(realm) + counted(service) + counted(host)
    entry += b"\0\0\0\1" + bytes(4) + b"\1" + b"\0\x12" + b"\0\x20" + bytes(range(32))
    return b"\5\2" + len(entry).to_bytes(4, "big") + entry


@pytest.mark.parametrize(
    "principal", [f"HTTP/{EVIL}", f"other/{EVIL}", "HTTP/a\n$(touch x)"]
)
def test_a_hostile_keytab(machine, principal):
    machine.keytab.write_bytes(keytab_of(principal, machine.realm.name))
    for said in all_that_is_said(machine):
        assert not drives(said)
        assert "Traceback" not in said
    for finding in json.loads(machine.run("negotiate-wsgi", "doctor", "--json").stdout):
        assert finding["command"].isprintable()


def test_its_spn_is_shown_all_the_same(machine):
    machine.keytab.write_bytes(keytab_of(f"HTTP/{EVIL}", machine.realm.name))
    words, *_ = all_that_is_said(machine)
    assert "SPNs in the keytab: HTTP/" in words
    assert r"\x1b]0;owned\x07" in words


def error_of_a_kdc(text):
    """A KRB-ERROR, RFC 4120 section 5.9.1, with *text* of its own."""

    def field(number, content):
        return der(0xA0 + number, content)

    def string(text):
        return der(0x1B, text.encode())

    name = der(0x30, field(0, der(0x02, b"\2")), field(1, der(0x30, string("krbtgt"))))
    fields = [
        field(0, der(0x02, b"\5")),
        field(1, der(0x02, b"\x1e")),
        field(4, der(0x18, b"20260101000000Z")),
        field(5, der(0x02, b"\0")),
        field(6, der(0x02, b"\x3c")),  # KRB_ERR_GENERIC
        field(9, string("EXAMPLE.TEST")),
        field(10, name),
        field(11, string(text)),
    ]
    return der(0x7E, der(0x30, *fields))


def test_a_hostile_kdc(machine):
    kdc = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kdc.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                _, client = kdc.recvfrom(65536)
                kdc.sendto(error_of_a_kdc(f"I am {EVIL}"), client)
            except OSError:
                return

    Thread(target=serve, daemon=True).start()
    text = machine.krb5_conf.read_text()
    port = kdc.getsockname()[1]
    machine.krb5_conf.write_text(
        text.replace(f"127.0.0.1:{machine.realm.kdc_port}", f"127.0.0.1:{port}")
    )
    said = all_that_is_said(machine)
    kdc.close()
    assert "I am" in said[0]
    for text in said:
        assert not drives(text)


def test_what_can_be_printed_stays_as_it_is():
    for text in ("", "alice@EXAMPLE.TEST", "Grüße, 世界 / C:\\x", "“quoted”…"):
        assert printable(text) == text
    assert printable(EVIL) == SHOWN
    assert printable("a\r\nb\tc\0") == r"a\r\nb\tc\x00"
    assert len(printable("x" * 100_000)) < 2100


def test_a_command_that_cannot_be_printed_is_not_given():
    assert problem("a", "b", "rm 'x\x1b[2J'").command == ""
    assert problem("a", "b", "rm 'x y'").command == "rm 'x y'"


@pytest.fixture
def certificate(tmp_path):
    paths = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", paths[1], "-out", paths[0]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths


def test_no_ticket_for_a_server_whose_certificate_is_not_trusted(machine, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(challenge, context) as server:
        url = f"https://localhost:{server.port}/"
        [finding] = machine.doctor("--url", url)
        assert (finding["id"], finding["status"]) == ("NW021", "problem")
        assert "No ticket is sent" in finding["found"]
        assert len(server.requests) > 1
        assert server.tickets == []
        machine.environ["SSL_CERT_FILE"] = str(certificate[0])
        [finding] = machine.doctor("--url", url)
        assert finding["id"] == "NW023"
        assert [ticket.spn for ticket in server.tickets] == [
            "HTTP/localhost@EXAMPLE.TEST"
        ]


def test_no_ticket_for_a_server_whose_certificate_changes(
    machine, certificate, tmp_path
):
    """It was trusted when a stranger asked, and is not when the ticket would be sent."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", other / "tls.key", "-out", other / "tls.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def challenge_once(request):
        context.load_cert_chain(other / "tls.crt", other / "tls.key")
        return challenge(request)

    machine.environ["SSL_CERT_FILE"] = str(certificate[0])
    with serving(challenge_once, context) as server:
        found = machine.doctor("--url", f"https://localhost:{server.port}/")
        assert "NW023" in {finding["id"] for finding in found}
        assert server.tickets == []
        assert len(server.requests) == 1
