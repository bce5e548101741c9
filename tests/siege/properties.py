"""What must hold of anything that anybody sends. Each function raises AssertionError where it does not."""

from __future__ import annotations

import base64
import functools
import re

from cryptography import x509
from spnego.__main__ import parse_token
from spnego._spnego import InitialContextToken, NegTokenInit, unpack_token
from werkzeug.datastructures import Authorization

from negotiate_wsgi import Accepted, Identity, Refused
from negotiate_wsgi.doctor.explain import explain
from negotiate_wsgi.wire.authorization import (
    MAX_TOKEN,
    is_basic,
    is_negotiate,
    read_basic,
    read_token,
    screen,
    token_size,
    write_token,
)
from negotiate_wsgi.wire.certificate import (
    CertificateError,
    end_point,
    first_certificate,
)
from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.keytab import KeytabError, parse
from negotiate_wsgi.wire.names import principal_in_words
from negotiate_wsgi.wire.negotiation import message_in_words, offers_in_words
from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.pactype import Pac
from negotiate_wsgi.wire.sids import sid_from_text
from negotiate_wsgi.wire.ticket import Ticket

KERBEROS = {"1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2"}


def header(authorization):
    """It is another scheme's, a refusal, or a token that another parser, too, finds to be Kerberos'."""
    token_size(authorization)
    if not is_negotiate(authorization):
        assert authorization[:10].lower() not in ("negotiate", "negotiate ")
        return
    found = read_token(authorization)
    if isinstance(found, Refused):
        assert found.reason.status == 401
    else:
        assert 0 < len(found) <= MAX_TOKEN
        assert read_token(write_token(found)) == found
        assert first_mechanism(found) in {None, *KERBEROS}


def basic(authorization):
    """It is another scheme's, a refusal, or a name in our realm and a password, as werkzeug has both."""
    if not is_basic(authorization):
        assert authorization[:6].lower() not in ("basic", "basic ")
        return
    found = read_basic(authorization)
    if isinstance(found, Refused):
        assert found.reason.status == 401
        return
    user, password = found
    parsed = Authorization.from_header(authorization)
    assert (parsed.username, parsed.password) == (user, password.reveal())
    assert 0 < len(user) <= 256
    assert not set(user) & set("@/\\\0\n\r")
    assert user.encode().decode() == user
    assert 0 < len(password.reveal().encode()) <= 1024


def first_mechanism(token):
    """As pyspnego reads it, None where it cannot."""
    try:
        parsed = unpack_token(token)
        if isinstance(parsed, InitialContextToken):
            if parsed.this_mech != "1.3.6.1.5.5.2":
                return parsed.this_mech
            parsed = unpack_token(parsed.inner_context_token, mech=None, unwrap=True)
        return parsed.mech_types[0] if isinstance(parsed, NegTokenInit) else None
    except Exception:  # it was made for tokens, not for anything
        return None


def ticket(token):
    """What is read of a ticket is short, and stands in what no key protects."""
    found = Ticket.of(token)
    message_in_words(token)
    assert len(offers_in_words(token)) <= 16
    if found:
        assert len(found.spn) <= 5000
        assert Ticket.of(token[:-1] + bytes([token[-1] ^ 1])) == found
        if re.fullmatch(r"[\w/.@-]+", found.spn, re.ASCII):
            assert found.spn in spns_by_pyspnego(token, found.spn)


def spns_by_pyspnego(token, otherwise):
    """The SPNs in a token; *otherwise* where pyspnego cannot read it."""
    try:
        return list(sname_by_pyspnego(parse_token(token))) or [otherwise]
    except Exception:  # it was made for tokens, not for anything
        return [otherwise]


def sname_by_pyspnego(parsed):
    if not isinstance(parsed, dict):
        return
    if parsed.get("sname"):
        names = [name.encode() for name in parsed["sname"]["name-string"]]
        yield principal_in_words(names, parsed["realm"].encode())
    for value in parsed.values():
        yield from sname_by_pyspnego(value)


def keytab(content):
    """It is no keytab, or it is read: all of its names are texts, and less of it has fewer of them."""
    try:
        keys = parse(content)
    except KeytabError:
        return
    assert all(key.principal.encode() for key in keys)
    if keys:
        fewer = parse(content[:-1])
        assert fewer == keys[: len(fewer)]


def logon_info(content):
    """It is refused, or it names an account, and of all groups those that were asked for are found."""
    try:
        found = LogonInfo.of(content)
    except PacError:
        return
    assert found.account.encode()
    assert "\0" not in found.account
    assert sid_from_text(str(found.sid)) == found.sid
    groups = [str(sid) for sid in found.sids()]
    assert len(groups) == len(set(groups)) <= len(content) / 8
    asked = {sid: sid for sid in groups[::2]}
    beside = {f"beside {sid}": f"{sid}-1" for sid in groups[::2] if sid.count("-") < 17}
    assert found.which_of(Wanted(asked | beside)) == {
        name for name, sid in (asked | beside).items() if sid in groups
    }


def upn_dns_info(content):
    """It is refused, or it names somebody in texts, and with a SID or without an account."""
    try:
        found = UpnDnsInfo.of(content)
    except PacError:
        return
    names = [found.upn, found.dns_domain, found.account or ""]
    assert all("\0" not in name for name in names)
    assert len("".join(names).encode("utf-16-le")) <= 3 * len(content)
    assert found.account != ""
    assert (found.account is None) == (found.sid is None)
    assert found.sid is None or sid_from_text(str(found.sid)) == found.sid


def pac(content):
    """It is refused, or its buffers are parts of it, and it is somebody's or nobody's."""
    try:
        found = Pac.of(content)
    except PacError:
        return
    assert all(buffer in content for buffer in found.buffers.values())
    assert sum(map(len, found.buffers.values())) <= len(content)
    assert found.is_of("bob@A.TEST", 1_800_000_000) in (True, False)


def certificate(content):
    """It is refused, or has the binding that another library makes of it, where that reads it."""
    try:
        ours = end_point(content)
    except CertificateError:
        return
    prefix, digest = ours[:21], ours[21:]
    assert prefix == b"tls-server-end-point:"
    assert len(digest) in (28, 32, 48, 64)
    try:
        theirs = x509.load_der_x509_certificate(content)
        algorithm = theirs.signature_hash_algorithm
    except Exception:  # whatever that library makes of what is damaged
        return
    if algorithm is not None and algorithm.name not in ("md5", "sha1"):
        assert digest == theirs.fingerprint(algorithm)


def certificate_file(content):
    """The same for the first certificate in a file."""
    try:
        found = first_certificate(content)
    except CertificateError:
        return
    assert b"-----BEGIN CERTIFICATE-----" in content
    certificate(found)


def explanation(text):
    """Whatever it is, it is explained in printable words."""
    found = explain(text, "/no/such/keytab")
    for _, words in (*found.facts, *found.conclusion):
        assert words.isprintable()


def identity(principal, other):
    """Name and realm are what the principal says, and no two principals share both."""
    one, two = Identity(principal), Identity(other)
    for identity in (one, two):
        parts = re.findall(r"\\.|.|\\$", identity.principal, re.DOTALL)
        ends = [at for at, part in enumerate(parts) if part == "@"][-1:] or [len(parts)]
        name, realm = parts[: ends[0]], parts[ends[0] + 1 :]
        assert identity.name == "".join(name)
        assert identity.realm == "".join(realm)
    # krb5 writes no "@" in a name without its escape.
    if is_written_by_krb5(one) and is_written_by_krb5(two) and principal != other:
        assert (one.name, one.realm) != (two.name, two.realm)


def is_written_by_krb5(identity):
    bare = re.sub(r"\\.", "", identity.principal, flags=re.DOTALL)
    return bool(identity.realm) and bare.count("@") == 1


@functools.cache
def session():
    from negotiate_wsgi import SessionCookie

    return SessionCookie("a key of thirty-two bytes or more").of("the properties")


def sign(principal, seconds):
    """The value of a cookie of ours."""
    from negotiate_wsgi import Identity

    return session().sign("negotiate", Identity(principal), seconds)


def cookie(value, good):
    """None but the good one names anybody."""
    environ = {"wsgi.url_scheme": "http", "HTTP_COOKIE": f"negotiate={value}"}
    found = session().read(environ)
    pairs = (part.partition("=") for part in environ["HTTP_COOKIE"].split(";"))
    named = {value.strip() for name, _, value in pairs if name.strip() == "negotiate"}
    assert (found is not None) == (good in named), value
    assert found is None or found.identity.principal == "alice@EXAMPLE.TEST"


def acceptor(judge, token):
    """A token is nobody's but alice's, for our service, or it is the client's fault."""
    if screen(token):
        return
    result = judge.accept(token)
    if isinstance(result, Accepted):
        assert result.identity.principal == "alice@EXAMPLE.TEST"
        assert result.identity.spn == "HTTP/localhost@EXAMPLE.TEST"
    else:
        assert result.reason.status == 401, result


def mutated(token, edits):
    """*token* after edits: triples of a place, what is done there, and a byte."""
    token = bytearray(token)
    for place, deed, byte in edits:
        at = place % (len(token) + 1)
        if deed % 5 == 0:
            token[at : at + 1] = bytes([byte])
        elif deed % 5 == 1:
            del token[at : at + byte % 8]
        elif deed % 5 == 2:
            token[at:at] = bytes([byte])
        elif deed % 5 == 3:
            del token[at:]
        else:
            token[at:at] = token[at : at + byte]
    return bytes(token)


def encoded(content, scheme="Negotiate"):
    return f"{scheme} {base64.b64encode(content).decode()}"
