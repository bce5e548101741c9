"""Which keys has the acceptor? MIT's file format, read as krb5 itself reads it; never the keys."""

import struct
import sys

import krb5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiate_wsgi import AcceptorError
from negotiate_wsgi.acceptors.insight import name_of_keytab, read_keytab
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.keytab import MAX_KEYTAB, Key, Keytab, KeytabError, parse
from negotiate_wsgi.wire.names import name_of_enctype

SECRET = b"a key of 32 bytes, to be kept..."


def entry(name="HTTP/www.test", realm=b"R", kvno=1, enctype=18, key=SECRET, tail=b"", order=">"):
    """An entry of version 2; of version 1 with the byte order of this machine."""
    components = [part.encode() if isinstance(part, str) else part for part in
                  (name.split("/") if isinstance(name, str) else name)]  # fmt: skip
    is_old = order == "="
    content = struct.pack(f"{order}h", len(components) + is_old)
    for text in (realm, *components):
        content += struct.pack(f"{order}H", len(text)) + text
    if not is_old:
        content += struct.pack(f"{order}I", 1)
    content += struct.pack(f"{order}IB", 0, kvno & 0xFF)
    content += struct.pack(f"{order}hH", enctype, len(key)) + key + tail
    return struct.pack(f"{order}i", len(content)) + content


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
    "one key": [entry()],
    "two": [entry(), entry("host/www.test", kvno=7, enctype=17)],
    "a hole first": [hole(40), entry()],
    "holes between": [entry(), hole(1), hole(200), entry(kvno=2), hole(9)],
    "kvno of 32 bits": [entry(kvno=300, tail=struct.pack(">I", 300))],
    "kvno of 32 bits, zero": [entry(kvno=44, tail=bytes(4))],
    "more behind the kvno": [entry(kvno=44, tail=struct.pack(">I", 300) + b"flags")],
    "filled up": [entry(kvno=44, tail=bytes(3))],
    "escapes": [entry([b"a/b", b"c@d", b"e\\f", b"\n\t\b\0"], b"R/@\\")],
    "one component": [entry("alice")],
    "an empty component": [entry(), entry(["HTTP", ""]), entry()],
    "an empty realm": [entry(), entry(realm=b""), entry()],
    "not ASCII": [entry("HTTP/b\xfccher.test")],
    "an empty key": [entry(), entry(key=b""), entry()],
    "an enctype below zero": [entry(enctype=-133)],
    "cut off in the second": [entry(), entry()[:-5]],
    "cut off in its size": [entry(), b"\0\0"],
    "an end before the end": [entry(), bytes(4), entry(kvno=2)],
    "no components": [entry(), struct.pack(">ih", 2, 0), entry()],
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
    content = b"\5\1" + entry(order="=") + entry("host/a/b", kvno=3, order="=")
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
    assert [(key.principal, key.kvno) for key in found.keys] == [key[:2] for key in expected]
    assert [key.enctype for key in found.keys] == [krb5.enctype_to_name(key[2]) for key in expected]
    assert len(expected) > 10


def test_enctypes_are_named_as_krb5_names_them():
    for number in range(-200, 200):
        try:
            expected = krb5.enctype_to_name(number)
        except ValueError:
            expected = f"enctype {number}"
        assert name_of_enctype(number) == expected


def test_equal_keys_have_equal_marks_and_no_others():
    content = b"\5\2" + entry() + entry("HTTP/b") + entry("HTTP/c", key=SECRET[::-1])
    one, same, other = (key.mark for key in parse(content))
    assert one == same != other


def test_a_key_is_kept_nowhere():
    [key] = parse(b"\5\2" + entry())
    assert key == Key("HTTP/www.test@R", 1, "aes256-cts-hmac-sha1-96", key.mark)
    assert SECRET not in repr(vars(key)).encode()
    for told in (repr(key), str(key), repr(Keytab("FILE:/k", (key,)))):
        assert str(key.mark) not in told
        assert f"{key.mark:x}" not in told


def test_a_mark_is_another_one_in_each_process(tmp_path):
    import subprocess

    (tmp_path / "keytab").write_bytes(b"\5\2" + entry())
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
    ids=["empty", "half a version", "version 3", "another program", "text", "too large"],
)
def test_what_is_no_keytab(content):
    with pytest.raises(KeytabError):
        parse(content)
    assert parse(b"\5\2") == ()


@given(st.binary(max_size=200))
def test_whatever_follows_is_read_or_not(content):
    whole = b"\5\2" + entry() + content
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
