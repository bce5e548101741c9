"""Keys that the server's user cannot read: gssproxy accepts for it (FreeIPA, RHEL)."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from certificates import binding_of, made, put
from initiator import Initiator

from negotiate_wsgi import GssapiAcceptor

PROGRAM = """
import base64, os, sys
from negotiate_wsgi import Accepted, AcceptorError, GssapiAcceptor
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
certificate = os.environ.get("CERTIFICATE")
options = {"channel_binding": "required", "certificate": certificate} if certificate else {}
kind = {"gssapi": GssapiAcceptor, "pykerberos": PykerberosAcceptor}[sys.argv[1]]
acceptor = kind(**options)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for line in sys.stdin:
    try:
        result = acceptor.accept(base64.b64decode(line))
    except AcceptorError as fault:
        print(fault.reason, "-", fault.detail, sep="|", flush=True)
        continue
    if isinstance(result, Accepted):
        who = result.identity
        assert result.expiry is None or result.expiry() > 0  # asked for by a session
        print("accepted", who.principal, who.spn, sep="|", flush=True)
    else:
        print(result.reason, result.spn, result.detail, sep="|", flush=True)
"""


class GssProxy:
    """A gssproxy of this realm alone, and what a server needs in its environment to use it."""

    def __init__(self, realm, directory):
        self.realm = realm
        self.uid = 65534 if os.geteuid() == 0 else os.geteuid()
        self.directory = directory
        directory.chmod(0o755)
        self.replays = directory / "replays"
        self.replays.mkdir()
        self.replays.chmod(0o777)
        shutil.copy(os.environ["KRB5_CONFIG"], directory / "krb5.conf")
        self.socket = self.directory / "http.sock"
        self.keytab = self.directory / "http.keytab"
        shutil.copy(realm.keytab, self.keytab)
        self.keytab.chmod(0o600)
        self.start()

    def start(self):
        conf = self.directory / "gssproxy.conf"
        conf.write_text(
            f"[service/http]\n mechs = krb5\n socket = {self.socket}\n euid = {self.uid}\n"
            f" cred_store = keytab:{self.keytab}\n cred_store = ccache:MEMORY:http\n"
        )
        program = shutil.which("gssproxy", path="/usr/sbin:/usr/bin")
        command = [program, "-i", "-c", conf, "-s", self.directory / "default.sock"]
        with open(self.directory / "log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 20
        while not self.socket.exists():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    @property
    def environ(self):
        return {
            "GSS_USE_PROXY": "yes",
            "GSSPROXY_SOCKET": str(self.socket),
            "GSS_MECH_CONFIG": "/etc/gss/mech.d/proxymech.conf",
            "KRB5_KTNAME": str(self.keytab) if os.geteuid() == 0 else "/no/such/keytab",
            "KRB5_CONFIG": str(self.directory / "krb5.conf"),
            "KRB5CCNAME": str(self.replays / "ccache"),
            "KRB5RCACHEDIR": str(self.replays),
        }


class Server:
    """A process of a user who cannot read the keytab, with one acceptor."""

    def __init__(self, kind, **environ):
        command = [sys.executable, "-c", PROGRAM, kind]
        self.process = subprocess.Popen(
            command,
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def accept(self, token):
        self.process.stdin.write(base64.b64encode(token).decode() + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n").split("|")

    def end(self):
        self.process.communicate()


@pytest.fixture
def proxy(realm):
    with tempfile.TemporaryDirectory() as directory:
        proxy = GssProxy(realm, Path(directory))
        yield proxy
        proxy.stop()


@pytest.fixture
def start(proxy):
    started = []

    def start(kind, **environ):
        started.append(Server(kind, **proxy.environ | environ))
        return started[-1]

    yield start
    for server in started:
        server.end()


@pytest.mark.parametrize("kind", ["gssapi", "pykerberos"])
def test_a_user_who_cannot_read_the_keytab_accepts(realm, proxy, start, kind):
    server = start(kind)
    token = realm.token()
    assert server.accept(token) == [
        "accepted", "alice@EXAMPLE.TEST", "HTTP/localhost@EXAMPLE.TEST",
    ]  # fmt: skip
    assert server.accept(realm.token("HTTP/alias.test", user="bob"))[0] == "accepted"
    assert server.accept(token) == ["replayed", "None", "Request is a replay"]
    # gssproxy takes any of its keys: the target's name is what we judge by.
    relabelled = realm.token("host/localhost").replace(
        b"\x1b\x04host", b"\x1b\x04HTTP", 1
    )
    for other in (relabelled, realm.token("host/localhost")):
        reason, spn, detail = server.accept(other)
        assert (reason, spn) == ("wrong-service", "host/localhost@EXAMPLE.TEST")
        assert detail.endswith("; the keys are gssproxy's")
    assert server.accept(realm.token("HTTP/no-key.test"))[0] == "spn-not-in-keytab"
    # It may be restarted under us.
    proxy.stop()
    reason, _, detail = server.accept(realm.token())
    assert reason == "keytab-unusable"
    assert detail.startswith(f"gssproxy gives uid {proxy.uid} no key")
    proxy.start()
    assert server.accept(realm.token())[0] == "accepted"


@pytest.mark.parametrize("kind", ["gssapi", "pykerberos"])
def test_without_gssproxy_the_same_user_has_no_key(realm, start, kind):
    server = start(kind, GSS_USE_PROXY="no")
    reason, _, detail = server.accept(realm.token())
    assert reason == "keytab-unusable"
    assert "cannot be read by uid" in detail or "does not exist" in detail


PASSWORDS = """
import os, sys
from negotiate_wsgi import AcceptorError, GssapiAcceptor
from negotiate_wsgi.acceptors.passwords import KerberosPasswords
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.authorization import Password
kind, hostname, *passwords = sys.argv[1:]
acceptor = {"gssapi": GssapiAcceptor, "pykerberos": PykerberosAcceptor}[kind]
checker = KerberosPasswords("EXAMPLE.TEST", acceptor(hostname=hostname or None))
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for password in passwords:
    try:
        result = checker.check_password("alice", Password(password))
        print(getattr(result, "reason", None) or result.identity.principal)
    except AcceptorError as fault:
        print(fault)
"""


@pytest.mark.parametrize("kind", ["gssapi", "pykerberos"])
def test_a_password_needs_the_name_of_an_spn_that_gssproxy_has(realm, proxy, kind):
    def said(hostname):
        typed = [realm.password("alice"), "wrong"]
        command = [sys.executable, "-c", PASSWORDS, kind, hostname, *typed]
        return subprocess.run(
            command, env=os.environ | proxy.environ, capture_output=True, text=True,
        ).stdout.splitlines()  # fmt: skip

    assert said("localhost") == ["alice@EXAMPLE.TEST", "password-refused"]
    unnamed = said("")
    assert len(unnamed) == 2
    assert all("write hostname=" in line for line in unnamed)


def test_bound_to_a_tls_connection(realm, proxy, start):
    """gssproxy compares the bindings; but a second look, at the certificate before, is a replay."""
    old, new, other = (made(number=number)[0] for number in range(3))
    certificate = put(proxy.directory / "www.pem", old)
    certificate.chmod(0o644)
    server = start("gssapi", CERTIFICATE=str(certificate))

    def judged(pem):
        binding = binding_of(pem) if pem else None
        return server.accept(realm.token(binding=binding))[0]

    assert judged(old) == "accepted"
    assert judged(other) == "channel-bindings-wrong"
    assert judged(None) == "channel-bindings-missing"
    put(certificate, new).chmod(0o644)
    assert judged(new) == "accepted"
    assert judged(old) == "channel-bindings-wrong"


DELEGATION = """
import base64, os, sys, gssapi
from negotiate_wsgi import DelegationError, GssapiAcceptor, private_ccache
acceptors = {
    "forwarded": GssapiAcceptor(delegation="forwarded"),
    "constrained": GssapiAcceptor(delegation="constrained", account="svc-web"),
}
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for line in sys.stdin:
    kind, token = line.split()
    accepted = acceptors[kind].accept(base64.b64decode(token))
    try:
        credentials = accepted.delegated.credentials()
    except DelegationError as fault:
        print(fault, flush=True)
        continue
    name = gssapi.Name("HTTP/alias.test", gssapi.NameType.kerberos_principal)
    context = gssapi.SecurityContext(name=name, creds=credentials, usage="initiate")
    print(base64.b64encode(context.step()).decode(), flush=True)
"""


def test_who_forwards_a_ticket_to_a_server_with_gssproxy_is_acted_for(
    realm, proxy, forwardable
):
    environ = os.environ | proxy.environ
    command = [sys.executable, "-c", DELEGATION]
    spn = f"HTTP/localhost@{realm.name}"
    tokens = [
        Initiator(forwardable["alice"], spn, delegate=True).token for _ in range(2)
    ]
    kinds = ("forwarded", "constrained")
    lines = [
        f"{kind} {base64.b64encode(token).decode()}\n"
        for kind, token in zip(kinds, tokens, strict=True)
    ]
    lines.append(f"constrained {realm.authorization().split()[1]}\n")
    done = subprocess.run(
        command, env=environ, input="".join(lines), capture_output=True, text=True
    )
    *asked, refused = done.stdout.splitlines()
    for token in asked:
        seen = GssapiAcceptor().accept(base64.b64decode(token)).identity
        assert seen.principal == "alice@EXAMPLE.TEST"
        assert seen.spn == "HTTP/alias.test@EXAMPLE.TEST"
    assert len(asked) == 2, done.stderr
    assert "needs a keytab that this server can read" in refused
