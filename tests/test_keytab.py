"""Which keys has the acceptor? MIT's file format, read as krb5 itself reads it; never the keys."""

import struct
import sys

import krb5
import pytest
from helpers import KEY_BYTES, keytab_entry
from hypothesis import given
from hypothesis import strategies as st

from negotiate_wsgi import AcceptorError
from negotiate_wsgi.acceptors.insight import name_of_keytab, read_keytab
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.keytab import MAX_KEYTAB, Key, Keytab, KeytabError, parse
from negotiate_wsgi.wire.names import name_of_enctype


def hole(size):
    return struct.pack(">i", -size) + bytes(size)


def by_krb5(path):
    """What krb5 reads in a keytab, without the marks."""
    context = krb5.init_context()
    return [
        (str(found.principal), found.kvno, found.key.enctype)
        for found in krb5.kt_resolve(context, f"FILE:{path}".encode())
    ]


def by_us(content):
    return [(key.principal, key.kvno, key.enctype) for key in parse(content)]


KEYTABS = {
    "one key": [keytab_entry()],
    "two": [keytab_entry(), keytab_entry("host/www.test", kvno=7, enctype=17)],
    "a hole first": [hole(40), keytab_entry()],
    "holes between": [
        keytab_entry(),
        hole(1),
        hole(200),
        keytab_entry(kvno=2),
        hole(9),
    ],
    "kvno of 32 bits": [keytab_entry(kvno=300, tail=struct.pack(">I", 300))],
    "kvno of 32 bits, zero": [keytab_entry(kvno=44, tail=bytes(4))],
    "more behind the kvno": [
        keytab_entry(kvno=44, tail=struct.pack(">I", 300) + b"flags")
    ],
    "filled up": [keytab_entry(kvno=44, tail=bytes(3))],
    "escapes": [keytab_entry([b"a/b", b"c@d", b"e\\f", b"\n\t\b\0"], b"R/@\\")],
    "one component": [keytab_entry("alice")],
    "an empty component": [keytab_entry(), keytab_entry(["HTTP", ""]), keytab_entry()],
    "an empty realm": [keytab_entry(), keytab_entry(realm=b""), keytab_entry()],
    "not ASCII": [keytab_entry("HTTP/b\xfccher.test")],
    "an empty key": [keytab_entry(), keytab_entry(key=b""), keytab_entry()],
    "an enctype below zero": [keytab_entry(enctype=-133)],
    "cut off in the second": [keytab_entry(), keytab_entry()[:-5]],
    "cut off in its size": [keytab_entry(), b"\0\0"],
    "an end before the end": [keytab_entry(), bytes(4), keytab_entry(kvno=2)],
    "no components": [keytab_entry(), struct.pack(">ih", 2, 0), keytab_entry()],
}


@pytest.mark.parametrize("parts", KEYTABS.values(), ids=KEYTABS)
def test_it_is_read_as_krb5_reads_it(parts, tmp_path):
    content = b"\5\2" + b"".join(parts)
    (tmp_path / "keytab").write_bytes(content)
    expected = by_krb5(tmp_path / "keytab")
    assert by_us(content) == [
        (who, kvno, name_of_enctype(enctype)) for who, kvno, enctype in expected
    ]
    assert expected


def test_a_keytab_of_version_1(tmp_path):
    content = (
        b"\5\1" + keytab_entry(order="=") + keytab_entry("host/a/b", kvno=3, order="=")
    )
    (tmp_path / "keytab").write_bytes(content)
    assert [(who, kvno) for who, kvno, _ in by_us(content)] == [
        ("HTTP/www.test@R", 1),
        ("host/a/b@R", 3),
    ]
    assert by_us(content) == [
        (w, k, name_of_enctype(e)) for w, k, e in by_krb5(tmp_path / "keytab")
    ]


def test_a_genuine_keytab(realm):
    found = read_keytab(realm.keytab)
    expected = by_krb5(realm.keytab)
    assert [(key.principal, key.kvno) for key in found.keys] == [
        key[:2] for key in expected
    ]
    assert [key.enctype for key in found.keys] == [
        krb5.enctype_to_name(key[2]) for key in expected
    ]
    assert len(expected) > 10


def test_enctypes_are_named_as_krb5_names_them():
    for number in range(-200, 200):
        try:
            expected = krb5.enctype_to_name(number)
        except ValueError:
            expected = f"enctype {number}"
        assert name_of_enctype(number) == expected


def test_equal_keys_have_equal_marks_and_no_others():
    content = (
        b"\5\2"
        + keytab_entry()
        + keytab_entry("HTTP/b")
        + keytab_entry("HTTP/c", key=KEY_BYTES[::-1])
    )
    one, same, other = (key.mark for key in parse(content))
    assert one == same != other


def test_a_key_is_kept_nowhere():
    [key] = parse(b"\5\2" + keytab_entry())
    assert key == Key("HTTP/www.test@R", 1, "aes256-cts-hmac-sha1-96", key.mark)
    assert KEY_BYTES not in repr(vars(key)).encode()
    for told in (repr(key), str(key), repr(Keytab("FILE:/k", (key,)))):
        assert str(key.mark) not in told
        assert f"{key.mark:x}" not in told


def test_a_mark_is_another_one_in_each_process(tmp_path):
    import subprocess

    (tmp_path / "keytab").write_bytes(b"\5\2" + keytab_entry())
    program = (
        "import sys; from negotiate_wsgi.acceptors.insight import read_keytab\n"
        "print(read_keytab(sys.argv[1]).keys[0].mark)"
    )
    command = [sys.executable, "-c", program, tmp_path / "keytab"]
    environ = {"PYTHONHASHSEED": "0"}
    marks = {subprocess.check_output(command, env=environ) for _ in range(2)}
    assert len(marks) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\5", b"\5\3", b"\4\2", b"not a keytab", b"\5\2" + bytes(MAX_KEYTAB)],
    ids=[
        "empty",
        "half a version",
        "version 3",
        "another program",
        "text",
        "too large",
    ],
)
def test_what_is_no_keytab(content):
    with pytest.raises(KeytabError):
        parse(content)
    assert parse(b"\5\2") == ()


@given(st.binary(max_size=200))
def test_whatever_follows_is_read_or_not(content):
    whole = b"\5\2" + keytab_entry() + content
    assert parse(whole)[0].principal == "HTTP/www.test@R"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        (b"", "not a keytab of version 1 or 2"),
        (b"\5\2", "no keys in it"),
    ],
    ids=["missing", "empty", "no keys"],
)
def test_a_keytab_that_cannot_be_used(tmp_path, content, told):
    path = tmp_path / "keytab"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AcceptorError) as fault:
        read_keytab(str(path))
    assert fault.value.reason is Reason.KEYTAB_UNUSABLE
    assert fault.value.detail == f"FILE:{path}: {told}"


def test_a_keytab_that_is_no_file():
    for name in ("MEMORY:x", "KEYRING:x"):
        with pytest.raises(AcceptorError, match="only a keytab in a file can be read"):
            read_keytab(name)
    with pytest.raises(AcceptorError, match="null"):
        read_keytab("/\0")


def test_names(realm, monkeypatch, tmp_path):
    assert name_of_keytab("/a") == "FILE:/a"
    assert name_of_keytab("WRFILE:/a") == "WRFILE:/a"
    assert name_of_keytab() == f"FILE:{realm.keytab}"
    assert read_keytab(f"WRFILE:{realm.keytab}").keys == read_keytab().keys
    assert read_keytab(f"WRFILE:{realm.keytab}").path == realm.keytab
    monkeypatch.setenv("KRB5_KTNAME", "WRFILE:/b")
    assert name_of_keytab() == "WRFILE:/b"
    monkeypatch.delenv("KRB5_KTNAME")
    assert name_of_keytab() == "FILE:/etc/krb5.keytab"
    conf = tmp_path / "krb5.conf"
    conf.write_text("[libdefaults]\n default_keytab_name = /c\n")
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    assert name_of_keytab() == "FILE:/c"
    conf.write_text("[realms\n")
    with pytest.raises(AcceptorError) as fault:
        name_of_keytab()
    assert fault.value.reason is Reason.KRB5_CONF_UNUSABLE


def test_without_the_library_the_default_is_mits(monkeypatch):
    monkeypatch.delenv("KRB5_KTNAME", raising=False)
    monkeypatch.setitem(sys.modules, "krb5", None)
    assert name_of_keytab() == "FILE:/etc/krb5.keytab"
