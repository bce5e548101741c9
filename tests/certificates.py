"""Certificates of servers, with every kind of key and signature, and what clients make of them."""

import functools
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pkinit import openssl

#: How openssl is asked for each.
KINDS = {
    "rsa-sha256": ["-newkey", "rsa:2048", "-sha256"],
    "rsa-sha384": ["-newkey", "rsa:2048", "-sha384"],
    "rsa-sha512": ["-newkey", "rsa:2048", "-sha512"],
    "rsa-sha224": ["-newkey", "rsa:2048", "-sha224"],
    "rsa-sha1": ["-newkey", "rsa:2048", "-sha1"],
    "rsa-md5": ["-newkey", "rsa:2048", "-md5"],
    "pss-sha256": ["-newkey", "rsa:2048", "-sha256", "-sigopt", "rsa_padding_mode:pss"],
    "pss-sha512": ["-newkey", "rsa:2048", "-sha512", "-sigopt", "rsa_padding_mode:pss"],
    "pss-sha1": ["-newkey", "rsa:2048", "-sha1", "-sigopt", "rsa_padding_mode:pss"],
    "ecdsa-sha1": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1"],
    "ecdsa-sha224": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha224"],
    "ecdsa-sha256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256"],
    "ecdsa-sha384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
    "ecdsa-sha512": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"],
}
#: Of which RFC 5929 makes no binding.
UNDEFINED = {"ed25519": ["-newkey", "ed25519"], "ed448": ["-newkey", "ed448"]}


@functools.cache
def made(kind="rsa-sha256", number=0, days=30):
    """The PEM of a certificate for localhost, and of its key; another one for each *number*."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        openssl(
            directory, "req", "-x509", *(KINDS | UNDEFINED)[kind], "-nodes", "-days",
            str(days), "-subj", f"/CN=localhost {number}", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "crt.pem",
        )  # fmt: skip
        return (directory / "crt.pem").read_bytes(), (
            directory / "key.pem"
        ).read_bytes()


def of_addresses(directory, **addresses):
    """NAME.pem and NAME.key in *directory*, each for one address."""
    for name, address in addresses.items():
        openssl(
            directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=store", "-addext", f"subjectAltName=IP:{address}", "-keyout", f"{name}.key",
            "-out", f"{name}.pem",
        )  # fmt: skip
    return directory


def binding_of(pem):
    """What a client makes of the server's certificate, by way of another library than ours."""
    certificate = x509.load_pem_x509_certificate(pem)
    algorithm = certificate.signature_hash_algorithm
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return b"tls-server-end-point:" + certificate.fingerprint(algorithm)


def put(path, content):
    """As certbot and others do: at no time is there half of it."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)
    return path


def text_of(pem):
    """What openssl prints of a certificate, which some put in front of it."""
    return subprocess.run(
        ["openssl", "x509", "-text", "-noout"],
        input=pem,
        capture_output=True,
        check=True,
    ).stdout
