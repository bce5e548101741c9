"""Certificates with which a KDC, and its users, can do without passwords (RFC 4556)."""

import subprocess

_NAME = """
subjectAltName=otherName:1.3.6.1.5.2.2;SEQUENCE:principal
[principal]
realm=EXP:0,GeneralString:EXAMPLE.TEST
principal_name=EXP:1,SEQUENCE:name
[name]
name_type=EXP:0,INTEGER:1
name_string=EXP:1,SEQUENCE:names
[names]
"""


def make_pkinit_identity(directory):
    """A certificate authority, and a KDC's certificate as section 3.2.4 wants it."""
    openssl(
        directory, "req", "-x509", *_new_key("ca"), "-out", "ca.pem", "-subj", "/CN=CA"
    )
    _issue(
        directory, "kdc",
        "keyUsage=nonRepudiation,digitalSignature,keyEncipherment,keyAgreement\n"
        "extendedKeyUsage=1.3.6.1.5.2.3.5",
        "a=GeneralString:krbtgt\nb=GeneralString:EXAMPLE.TEST\n",
    )  # fmt: skip
    return directory


def make_pkinit_user(directory, user):
    """Beside it, a certificate of *user* as section 3.2.2 wants it; as kinit names it."""
    _issue(
        directory, user,
        "keyUsage=digitalSignature,keyEncipherment,keyAgreement\n"
        "extendedKeyUsage=1.3.6.1.5.2.3.4",
        f"a=GeneralString:{user}\n",
    )  # fmt: skip
    return f"FILE:{directory / user}.pem,{directory / user}.key"


def _issue(directory, name, usage, names):
    (directory / f"{name}.ext").write_text(f"[it]\n{usage}{_NAME}{names}")
    openssl(
        directory, "req", *_new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}"
    )
    openssl(
        directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-out", f"{name}.pem", "-CAcreateserial", "-extfile", f"{name}.ext", "-extensions", "it",
    )  # fmt: skip


def _new_key(name):
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key"]


def openssl(directory, *arguments):
    subprocess.run(
        ["openssl", *arguments], cwd=directory, check=True, capture_output=True
    )
