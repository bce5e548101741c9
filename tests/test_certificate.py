"""What of a certificate is in a channel binding: as another library has it, and of what is damaged."""

import base64
import hashlib

import certificates
import pytest
from certificates import KINDS, UNDEFINED, binding_of, made, text_of
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from helpers import der
from hypothesis import given
from hypothesis import strategies as st

from negotiate_wsgi.wire.certificate import (
    MAX_CERTIFICATE,
    CertificateError,
    end_point,
    first_certificate,
)

PEM, KEY = made()
DER = x509.load_pem_x509_certificate(PEM).public_bytes(Encoding.DER)
RSA_SHA256 = der(0x30, der(6, bytes.fromhex("2a864886f70d01010b")), der(5))


@pytest.mark.parametrize("kind", KINDS)
def test_as_another_library_has_it(kind):
    pem, _ = made(kind)
    assert end_point(first_certificate(pem)) == binding_of(pem)


def test_md5_and_sha_1_are_sha_256():
    for kind in ("rsa-md5", "rsa-sha1", "pss-sha1", "ecdsa-sha1", "rsa-sha256"):
        certificate = first_certificate(made(kind)[0])
        digest = hashlib.sha256(certificate).digest()
        assert end_point(certificate) == b"tls-server-end-point:" + digest


@pytest.mark.parametrize("kind", UNDEFINED)
def test_where_the_rfc_knows_none(kind):
    with pytest.raises(CertificateError, match="RFC 5929 knows no channel binding"):
        end_point(first_certificate(made(kind)[0]))


OTHER = made("ecdsa-sha384", 1)[0]


@pytest.mark.parametrize(
    "content",
    [
        PEM,
        PEM + OTHER,
        KEY + PEM + OTHER,
        PEM + KEY,
        text_of(PEM) + PEM,
        PEM.replace(b"\n", b"\r\n"),
        PEM.strip(),
        b"\xff\xfe\n" + PEM,
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n" + PEM,
    ],
    ids=["alone", "chain", "key first", "key behind", "text", "Windows", "one line end", "no text", "request"],
)  # fmt: skip
def test_the_first_certificate_of_a_file(content):
    assert first_certificate(content) == DER


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no certificate in PEM"),
        (KEY, "no certificate in PEM"),
        (DER, "no certificate in PEM"),
        (PEM[:-30], "no certificate in PEM"),
        (PEM.replace(b"M", b"$", 1), "no certificate in PEM"),
        (PEM.replace(b"\n-----END", b"A\n-----END"), "is damaged"),
        (PEM + b" " * MAX_CERTIFICATE, "more than 1048576 bytes"),
    ],
    ids=["empty", "a key", "DER", "cut off", "another letter", "a letter more", "huge"],
)
def test_what_is_none(content, says):
    with pytest.raises(CertificateError, match=says) as problem:
        first_certificate(content)
    assert base64.b64encode(DER)[:40].decode() not in str(problem.value)


def test_every_cut_is_refused():
    for end in range(len(DER)):
        with pytest.raises(CertificateError):
            end_point(DER[:end])
    with pytest.raises(CertificateError):
        end_point(DER + b"\0")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30\x00",
        der(0x30, der(0x30), RSA_SHA256),
        der(0x30, der(0x30), RSA_SHA256, der(3), der(3)),
        der(0x30, der(0x30), der(0x30), der(3)),
        der(0x30, der(0x30), der(6, b"\1"), der(3)),
        der(0x31, der(0x30), RSA_SHA256, der(3)),
        der(0x30, der(0x30), der(0x30, der(6, b"")), der(3)),
        der(0x30, der(0x30), der(0x30, der(6, bytes.fromhex("2a864886f70d01010a"))), der(3)),
        der(0x30, der(0x30), der(0x30, der(6, bytes.fromhex("2a864886f70d01010a")),
            der(0x30, der(0xA0, der(0x30, der(6, b"\1"))))), der(3)),
    ],
)  # fmt: skip
def test_what_is_no_certificate(content):
    with pytest.raises(CertificateError):
        end_point(content)
    # The negative control: the shell of one is enough for us.
    assert end_point(der(0x30, der(0x30), RSA_SHA256, der(3)))


@given(st.binary(max_size=400))
def test_anything(content):
    for read in (first_certificate, end_point):
        try:
            read(content)
        except CertificateError:
            continue


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_near_a_good_one(at, value):
    """One that the other library reads, too, has the same binding in both."""
    near = DER[:at] + bytes([value]) + DER[at + 1 :]
    try:
        ours = end_point(near)
    except CertificateError:
        return
    assert ours.startswith(b"tls-server-end-point:")
    try:
        theirs = x509.load_der_x509_certificate(near)
        algorithm = theirs.signature_hash_algorithm
    except Exception:
        return
    if algorithm and algorithm.name in ("sha224", "sha256", "sha384", "sha512"):
        assert ours.endswith(theirs.fingerprint(algorithm))


def test_what_the_tests_make_differs():
    assert certificates.made(number=1)[0] != PEM
