"""Who is it?"""

import dataclasses

import pytest

from negotiate_wsgi import Identity

NAMES = [
    ("alice@EXAMPLE.TEST", "alice", "EXAMPLE.TEST"),
    ("alice/admin@EXAMPLE.TEST", "alice/admin", "EXAMPLE.TEST"),
    ("host/web.example.test@EXAMPLE.TEST", "host/web.example.test", "EXAMPLE.TEST"),
    ("we ird@R", "we ird", "R"),
    ("\xfcser@R", "\xfcser", "R"),
    (r"us\@er@REALM", r"us\@er", "REALM"),
    (r"alice\@ad.corp.test@AD.CORP.TEST", r"alice\@ad.corp.test", "AD.CORP.TEST"),
    (r"admin\@OTHER@REALM", r"admin\@OTHER", "REALM"),
    (r"back\\@REALM", r"back\\", "REALM"),
    (r"back\\\@still the name@REALM", r"back\\\@still the name", "REALM"),
    (r"a\/b@R", r"a\/b", "R"),
    (r"a\nb@R", r"a\nb", "R"),
    ("nobody", "nobody", ""),
    (r"no\@realm", r"no\@realm", ""),
    ("@R", "", "R"),
    ("", "", ""),
]


@pytest.mark.parametrize(("principal", "name", "realm"), NAMES)
def test_name_and_realm(principal, name, realm):
    identity = Identity(principal)
    assert (identity.name, identity.realm) == (name, realm)


def test_no_two_principals_of_a_realm_share_a_name():
    parts = ["a", "@", "/", "\\"]
    escaped = {"@": r"\@", "/": "/", "\\": r"\\", "a": "a"}
    principals = {
        f"{escaped[x]}{escaped[y]}{escaped[z]}@R"
        for x in parts
        for y in parts
        for z in parts
    } | {rf"a\/{escaped[x]}@R" for x in parts}
    assert len({Identity(principal).name for principal in principals}) == len(
        principals
    )


def test_is_frozen():
    identity = Identity("alice@R", spn="HTTP/x@R")
    assert identity.source == "ticket"
    with pytest.raises(dataclasses.FrozenInstanceError):
        identity.principal = "root@R"
