"""What of a TLS certificate is in a channel binding (RFC 5929 section 4)? As much of
PEM and X.509 as that takes: the first certificate, and the hash of its signature.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error as Base64Error

from negotiate_wsgi.wire.der import OID, SEQUENCE, DerError, Reader, context

#: Bytes of the largest file that is read: a chain has a few KB.
MAX_CERTIFICATE = 1024 * 1024

_BIT_STRING = 0x03
# RFC 7468 section 5: a file may have the chain behind it, and text or a key around it.
_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----"
)
# RFC 8017 appendix C and RFC 5758 section 3.2: the beginnings of these OIDs in DER.
_RSA = bytes.fromhex("2a864886f70d0101")
_ECDSA = bytes.fromhex("2a8648ce3d04")
_SHA = bytes.fromhex("6086480165030402")
_SHA1 = bytes.fromhex("2b0e03021a")
_PSS = _RSA + b"\x0a"
# RFC 5929 section 4.1: "if the certificate's signatureAlgorithm uses a single hash
# function, and that hash function is either MD5 or SHA-1, then use SHA-256".
_HASHES = {
    _RSA + b"\x04": "sha256",  # MD5
    _RSA + b"\x05": "sha256",  # SHA-1
    _RSA + b"\x0e": "sha224",
    _RSA + b"\x0b": "sha256",
    _RSA + b"\x0c": "sha384",
    _RSA + b"\x0d": "sha512",
    _ECDSA + b"\x01": "sha256",  # SHA-1
    _ECDSA + b"\x03\x01": "sha224",
    _ECDSA + b"\x03\x02": "sha256",
    _ECDSA + b"\x03\x03": "sha384",
    _ECDSA + b"\x03\x04": "sha512",
}
_HASHES_OF_PSS = {
    _SHA1: "sha256",
    _SHA + b"\x04": "sha224",
    _SHA + b"\x01": "sha256",
    _SHA + b"\x02": "sha384",
    _SHA + b"\x03": "sha512",
}


class CertificateError(ValueError):
    """There is no certificate, or none that makes a channel binding."""


def first_certificate(content: bytes) -> bytes:
    """The DER of the first certificate in a PEM file, which is the server's own.

    Raises `CertificateError`.
    """
    if len(content) > MAX_CERTIFICATE:
        raise CertificateError(f"it has more than {MAX_CERTIFICATE} bytes")
    found = _PEM.search(content)
    if not found:
        raise CertificateError("no certificate in PEM is in it")
    try:
        return b64decode(b"".join(found[1].split()), validate=True)
    except Base64Error:
        raise CertificateError("its first certificate is damaged") from None


def end_point(certificate: bytes) -> bytes:
    """The ``tls-server-end-point`` of a certificate in DER: a binding's application
    data, as RFC 5056 section 2.1 and RFC 5929 section 4 have it.

    Raises `CertificateError` where its signature's algorithm has no hash of its own:
    RFC 5929 leaves the binding undefined then.
    """
    try:
        name = _hash_of_signature(certificate)
    except DerError as error:
        raise CertificateError(f"its first certificate is damaged: {error}") from None
    if name is None:
        raise CertificateError(
            "its first certificate is signed with an algorithm, such as Ed25519, for "
            "which RFC 5929 knows no channel binding: take one of RSA or ECDSA"
        )
    return b"tls-server-end-point:" + hashlib.new(name, certificate).digest()


def _hash_of_signature(certificate: bytes) -> str | None:
    """RFC 5280 section 4.1: the contents, the signature's algorithm, and its value."""
    outermost = Reader(certificate)
    fields = outermost.enter(SEQUENCE)
    outermost.finish()
    fields.skip(SEQUENCE)
    algorithm = fields.enter(SEQUENCE)
    fields.skip(_BIT_STRING)
    fields.finish()
    name = algorithm.content(OID)
    if name == _PSS:
        return _hash_of_pss(algorithm)
    return _HASHES.get(name)


def _hash_of_pss(algorithm: Reader) -> str | None:
    """RFC 4055 section 3.1: the hash is a parameter, and SHA-1 where it is left out.

    The mask has a hash of its own, which is to be the same; clients look at this one.
    """
    parameters = algorithm.enter(SEQUENCE)
    name = _SHA1
    if parameters.next_is(context(0)):
        name = parameters.enter(context(0)).enter(SEQUENCE).content(OID)
    return _HASHES_OF_PSS.get(name)
