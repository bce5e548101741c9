"""The doctor looks whether the certificate that clients see is the one that the acceptor knows."""

from __future__ import annotations

import json
import ssl

import pytest
from certificates import made, put
from machine import Machine, administered_realm
from test_doctor_hostile import challenge, serving
from test_tls import TlsSite

ACCEPTORS = """
import os
from negotiate_wsgi import GssapiAcceptor
bound = GssapiAcceptor(channel_binding="required", certificate=os.environ["CERTIFICATE"])
carded = GssapiAcceptor(indicators=["pkinit"])
"""


@pytest.fixture(scope="module")
def realm():
    with administered_realm() as realm:
        yield realm


@pytest.fixture
def machine(realm, tmp_path):
    machine = Machine(realm, tmp_path / "machine", "localhost")
    (machine.directory / "acceptors.py").write_text(ACCEPTORS)
    machine.environ["PYTHONPATH"] += f":{machine.directory}"
    machine.environ["NEGOTIATE_ACCEPTOR"] = "gssapi"
    return machine


@pytest.fixture
def site(machine, tmp_path, monkeypatch):
    """A TLS server that asks for bindings to its certificate."""
    monkeypatch.setenv("KRB5_KTNAME", str(machine.keytab))
    site = TlsSite(tmp_path / "site", "required")
    machine.environ["SSL_CERT_FILE"] = str(site.certificate)
    yield site
    site.close()


def findings(machine, *arguments):
    """What the doctor finds, whether it is well or not."""
    done = machine.run("negotiate-wsgi", "doctor", "--json", *arguments)
    return json.loads(done.stdout)


def of(machine, site, *arguments):
    """What the doctor says of the certificate, and what else is not well."""
    found = findings(machine, "--url", site.url, *arguments)
    [own] = [each for each in found if each["id"] == "NW030"]
    others = [
        each["id"] for each in found if each is not own and each["status"] != "ok"
    ]
    return own, others


def test_the_same(machine, site):
    own, others = of(machine, site, "--certificate", site.certificate)
    assert (own["status"], others) == ("ok", [])
    assert own["found"].endswith("is the certificate that clients see; days left: 29")
    machine.environ["NEGOTIATE_CERTIFICATE"] = str(site.certificate)
    assert of(machine, site)[0] == own


def test_another(machine, site, tmp_path):
    other = put(tmp_path / "other.pem", made(number=5)[0])
    own, others = of(machine, site, "--certificate", other)
    assert (own["status"], others) == ("problem", [])
    assert "shows another certificate (SHA-256 " in own["found"]
    assert "copy it there" in own["remedy"]
    put(other, site.certificate.read_bytes())
    assert of(machine, site, "--certificate", other)[0]["status"] == "ok"


def test_none_is_configured(machine, site):
    """The doctor binds its token, so that the sign-on succeeds all the same."""
    own, others = of(machine, site)
    assert (own["status"], others) == ("ok", [])
    assert "no certificate is configured" in own["found"]


def test_the_server_knows_another(machine, tmp_path, monkeypatch):
    """At a user's desk, where no configuration says so, the ticket is refused."""
    monkeypatch.setenv("KRB5_KTNAME", str(machine.keytab))
    other = put(tmp_path / "other.pem", made(number=5)[0])
    site = TlsSite(tmp_path / "site", "optional", known=other)
    machine.environ["SSL_CERT_FILE"] = str(site.certificate)
    try:
        own, others = of(machine, site)
        assert (own["status"], others) == ("ok", ["NW023"])
        [finding] = machine.doctor("--url", site.url)
        assert "401 to your ticket. channel-bindings-wrong" in finding["found"]
        put(other, site.certificate.read_bytes())
        assert of(machine, site) == (own, [])
    finally:
        site.close()


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"", "no certificate in PEM"), (made("ed25519")[0], "Ed25519")],
    ids=["missing", "empty", "Ed25519"],
)  # fmt: skip
def test_a_file_that_is_no_good(machine, site, tmp_path, content, says):
    path = tmp_path / "own.pem"
    if content is not None:
        put(path, content)
    own, _ = of(machine, site, "--certificate", path)
    assert own["status"] == "problem"
    assert says in own["found"]


def test_it_ends_soon(machine, tmp_path):
    pem, key = made(days=3)
    certificate = put(tmp_path / "www.pem", pem)
    machine.environ["SSL_CERT_FILE"] = str(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, put(tmp_path / "www.key", key))
    with serving(challenge, context) as server:
        url = f"https://localhost:{server.port}/"
        found = findings(machine, "--url", url, "--certificate", certificate)
    [own] = [each for each in found if each["id"] == "NW030"]
    assert own["status"] == "warning"
    assert own["found"].endswith("days left: 2.")


def test_a_url_without_tls(machine, tmp_path):
    certificate = put(tmp_path / "www.pem", made()[0])
    with serving(challenge) as server:
        url = f"http://localhost:{server.port}/"
        found = findings(machine, "--url", url, "--certificate", certificate)
    [own] = [each for each in found if each["id"] == "NW030"]
    assert own["status"] == "warning"
    assert "shows no certificate" in own["found"]


def test_pykerberos_knows_no_bindings(machine, site):
    machine.environ["NEGOTIATE_ACCEPTOR"] = "pykerberos"
    own, _ = of(machine, site, "--certificate", site.certificate)
    assert own["status"] == "problem"
    assert own["command"] == "export NEGOTIATE_ACCEPTOR=gssapi"


def test_an_acceptor_by_its_name(machine, site, tmp_path):
    """It says by itself which certificate it knows, and that it wants a bound token."""
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:bound"
    other = put(tmp_path / "other.pem", made(number=5)[0])
    for path, status in ((other, "problem"), (site.certificate, "ok")):
        machine.environ["CERTIFICATE"] = str(path)
        own, others = of(machine, site)
        assert (own["status"], others) == (status, [])
        assert str(path) in own["found"]
    found = {each["id"]: each for each in findings(machine)}
    assert found["NW016"]["status"] == "ok"
    assert "which --url tries" in found["NW016"]["found"]
    machine.environ["CERTIFICATE"] = "/no/such"
    [finding] = machine.doctor()
    assert finding["id"] == "NW001"
    assert "certificate='/no/such' cannot be used" in finding["found"]


def test_an_acceptor_that_wants_an_indicator(machine, site):
    machine.environ["NEGOTIATE_ACCEPTOR"] = "acceptors:carded"
    machine.environ["CERTIFICATE"] = str(site.certificate)
    found = {each["id"]: each for each in findings(machine)}
    assert found["NW016"]["status"] == "ok"
    assert "none of pkinit is in the ticket" in found["NW016"]["found"]
