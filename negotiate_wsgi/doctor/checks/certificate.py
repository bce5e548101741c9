"""Are tokens bound to the right TLS connection? The certificate that clients see is the
one that the acceptor knows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256

from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.wire.certificate import (
    MAX_CERTIFICATE,
    end_point,
    first_certificate,
)

_A_DAY = 86_400  # seconds
_SOON = 7  # days


@check("NW030", "channel bindings", after={"NW020"})
def certificate(setup: Setup) -> Iterator[Finding]:
    """Where tokens are bound to a certificate, it is the one that the URL shows."""
    path = setup.certificate
    if path is None:
        yield ok("no certificate is configured: a token need not be bound to one")
        return
    if setup.acceptor == "pykerberos":
        yield problem(
            "A certificate is configured, and pykerberos knows no channel bindings.",
            "Use GssapiAcceptor: NEGOTIATE_ACCEPTOR=gssapi.",
            "export NEGOTIATE_ACCEPTOR=gssapi",
        )
        return
    shown, end = setup.site.certificate()
    if shown is None:
        yield warning(
            f"{setup.url} shows no certificate to compare with that in {path}.",
            "Name the URL that clients use, which has to begin with https.",
        )
        return
    try:
        ours = _read(path)
    except (OSError, ValueError) as fault:
        yield problem(
            f"The certificate {path} cannot be used: {fault}.",
            "Let certificate= name the file that the server or the proxy shows, and let "
            "this user read it.",
        )
        return
    if ours == shown:
        yield _same(path, end)
    else:
        yield problem(
            f"{setup.url} shows another certificate ({_mark(shown)}) than {path} has "
            f"({_mark(ours)}): clients that bind their tokens to it are refused.",
            "Let certificate= name the file that the server or the proxy shows. If it "
            "was renewed, copy it there; no restart is needed.",
        )


def _read(path: str) -> bytes:
    """Raises OSError and `CertificateError`."""
    with open(path, "rb") as file:
        found = first_certificate(file.read(MAX_CERTIFICATE + 1))
    end_point(found)
    return found


def _same(path: str, end: float | None) -> Finding:
    if end is None:
        return ok(f"{path} is the certificate that clients see")
    days = int((end - time.time()) / _A_DAY)
    found = f"{path} is the certificate that clients see; days left: {days}"
    if days < _SOON:
        return warning(
            f"{found}.", "Renew it. The file may be replaced at any time, at once."
        )
    return ok(found)


def _mark(certificate: bytes) -> str:
    return f"SHA-256 {sha256(certificate).hexdigest()[:16]}…"
