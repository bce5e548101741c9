"""What anybody on the way can make of a token, who has no key."""

from __future__ import annotations

from helpers import KRB5, MS_KRB5, SPNEGO, der, rewritten

from negotiate_wsgi.wire.der import Reader

AP_REQ = [0x60, 0x6E, 0x30]
TICKET = [*AP_REQ, 0xA3, 0x61, 0x30]


def in_spnego(krb5, *, offers=(KRB5,), within=b"", before=b"", behind=b""):
    mech_types = der(0xA0, der(0x30, *offers), within)
    fields = [mech_types, before, der(0xA2, der(0x04, krb5)), behind]
    return der(0x60, SPNEGO, der(0xA0, der(0x30, *fields)))


def bare(token):
    """The krb5 token within SPNEGO."""
    reader = Reader(token).enter(0x60)
    reader.skip(0x06)
    fields = reader.enter(0xA0).enter(0x30)
    fields.skip(0xA0)
    if fields.next_is(0xA1):
        fields.skip(0xA1)
    return fields.enter(0xA2).content(0x04)


def longer(content):
    """The same element with a length that is not in its shortest form."""
    assert content[1] < 0x80
    return content[:1] + b"\x81" + content[1:]


def changed(path, change):
    return lambda token: rewritten(token, path, change)


#: By the name of a change, how it is made to a bare token, and whether the fingerprint is to be the
#: same; else there is none.
KRB5_CHANGES = {
    "ap-options": (changed([*AP_REQ, 0xA2, 0x03], lambda it: it[:-1] + b"\1"), True),
    "realm": (changed([*TICKET, 0xA1, 0x1B], lambda it: it + b"X"), True),
    "kvno": (changed([*AP_REQ, 0xA4, 0x30], lambda it: it.replace(
        b"\xa2", b"\xa1\x03\x02\x01\x05\xa2", 1)), True),
    "etype": (changed([*AP_REQ, 0xA4, 0x30, 0xA0, 0x02], lambda it: b"\x17"), True),
    "an element behind": (changed(AP_REQ, lambda it: it + b"\xa5\2\5\0"), False),
    "a byte behind": (lambda token: token + b"\0", False),
    "a second authenticator": (changed(AP_REQ, lambda it: it + der(0xA4, b"")), False),
    "an element in EncryptedData": (changed([*AP_REQ, 0xA4, 0x30], lambda it: it + b"\xa3\0"), False),
    "a second string": (changed([*AP_REQ, 0xA4, 0x30, 0xA2], lambda it: it + it), False),
    "pvno in two bytes": (changed([*AP_REQ, 0xA0, 0x02], lambda it: b"\0" + it), False),
    "another type": (changed([*AP_REQ, 0xA1, 0x02], lambda it: b"\x0c"), False),
    "a long length": (changed([*AP_REQ, 0xA0], longer), False),
    "no options": (changed(AP_REQ, lambda it: it[:10] + it[it.index(b"\xa3"):]), False),
}  # fmt: skip
#: What can be relabelled in the clear text of a ticket (RFC 4120 section 5.3), of a genuine one.
TICKET_CHANGES = {
    "the ticket's sname": changed([*TICKET, 0xA2, 0x30, 0xA1, 0x30, 0x1B], lambda it: b"host"),
    "the ticket's kvno": changed([*TICKET, 0xA3, 0x30, 0xA1, 0x02], lambda it: b"\x09"),
    "the ticket's etype": changed([*TICKET, 0xA3, 0x30, 0xA0, 0x02], lambda it: b"\x11"),
}  # fmt: skip


def _same():
    """Changes of a token in SPNEGO that leave it the same token."""
    changes = {
        "as it is": lambda token: token,
        "bare": bare,
        "doubled offers": lambda token: in_spnego(bare(token), offers=(KRB5, KRB5)),
        "more offers": lambda token: in_spnego(bare(token), offers=(MS_KRB5, KRB5)),
    }
    relabelled = {
        name: make for name, (make, is_same) in KRB5_CHANGES.items() if is_same
    }
    for name, make in (relabelled | TICKET_CHANGES).items():
        changes[name] = lambda token, make=make: in_spnego(make(bare(token)))
        changes[f"{name}, bare"] = lambda token, make=make: make(bare(token))
    return changes


#: By their names. A library may refuse what is relabelled; what it takes has its fingerprint.
SAME = _same()
