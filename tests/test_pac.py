"""Who is it, and in which groups? PACs written by hand: right ones, and wrong ones in each place."""

import gc
import struct
import sys
import tracemalloc

import properties
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacs import (
    ASSERTED,
    AUTHTIME,
    DOMAIN,
    OTHER,
    POINTER,
    array,
    client_info,
    logon_info,
    ndr,
    packed_sid,
    pactype,
    sid,
    text,
    upn_dns_info,
)
from test_properties import EDITS, MANY, SOME

from negotiate_wsgi.wire import groups
from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.ndr import NdrError, array_at, sid_at
from negotiate_wsgi.wire.pac import MAX_BUFFER, LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.pactype import CLIENT_INFO, Pac
from negotiate_wsgi.wire.sids import name_of_sid, sid_from_bytes, sid_from_text

RESOURCE = "S-1-5-21-7-8-9"
WHOLE = logon_info(
    extra=[(ASSERTED, 7), (f"{OTHER}-1300", 7)],
    resource_domain=RESOURCE,
    resource=[(1400, 0x2000_0007)],
)
ALL = {
    "primary": f"{DOMAIN}-513",
    "own": f"{DOMAIN}-1200",
    "resource": f"{RESOURCE}-1400",
    "asserted": ASSERTED,
    "other": f"{OTHER}-1300",
}


def sids(blob):
    return [str(found) for found in LogonInfo.of(blob).sids()]


def which(blob, **groups):
    return set(LogonInfo.of(blob).which_of(Wanted(groups)))


def test_who_it_is():
    found = LogonInfo.of(WHOLE)
    assert found.account == "alice"
    assert str(found.sid) == f"{DOMAIN}-1105"
    assert sids(WHOLE) == list(ALL.values())


def test_which_groups_they_are_in():
    assert which(WHOLE, **ALL) == ALL.keys()
    assert which(WHOLE, staff=f"{DOMAIN}-1200", admins=f"{DOMAIN}-512") == {"staff"}
    assert which(WHOLE) == set()


def test_a_machine_of_another_byte_order_finds_the_same(monkeypatch):
    found = LogonInfo.of(WHOLE)
    monkeypatch.setattr(groups, "_IS_LITTLE_ENDIAN", False)
    monkeypatch.setattr(groups, "memoryview", None, raising=False)
    assert [str(sid) for sid in found.sids()] == list(ALL.values())
    assert found.which_of(Wanted(ALL)) == ALL.keys()


def test_two_names_of_one_group():
    both = {"staff": f"{DOMAIN}-1200", "everybody": f"{DOMAIN}-1200"}
    assert which(WHOLE, **both) == both.keys()


@pytest.mark.parametrize("domain", [OTHER, RESOURCE, "S-1-5-21-11-22", "S-1-5-32"])
def test_a_rid_alone_is_nobody(domain):
    assert which(WHOLE, own=f"{domain}-1200", primary=f"{domain}-513") == set()


@pytest.mark.parametrize("rid", ["1300", "1400"])
def test_a_rid_of_another_domain_is_not_ours(rid):
    assert which(WHOLE, staff=f"{DOMAIN}-{rid}") == set()


def test_sids_of_the_own_domain_count_in_all_lists():
    blob = logon_info(
        extra=[(f"{DOMAIN}-1300", 7)], resource_domain=DOMAIN, resource=[(1400, 7)]
    )
    expected = {"a": f"{DOMAIN}-1300", "b": f"{DOMAIN}-1400", "c": f"{DOMAIN}-1200"}
    assert which(blob, **expected) == expected.keys()


@pytest.mark.parametrize(
    ("attributes", "counts"),
    [
        (0x7, True),
        (0x4, True),
        (0xF, True),
        (0x2000_0007, True),
        (0xFFFF_FFEF, True),
        (0x0, False),
        (0x3, False),
        (0x10, False),
        (0x14, False),
        (0x17, False),
        (0xFFFF_FFFF, False),
    ],
)
def test_only_enabled_groups_count(attributes, counts):
    blob = logon_info(
        groups=[(1200, attributes), (1201, 7)],
        extra=[(ASSERTED, attributes), (f"{OTHER}-1300", 7)],
        resource_domain=RESOURCE,
        resource=[(1400, attributes), (1401, 7)],
    )
    in_question = {f"{DOMAIN}-1200", ASSERTED, f"{RESOURCE}-1400"}
    beside = {f"{DOMAIN}-1201", f"{OTHER}-1300", f"{RESOURCE}-1401"}
    expected = beside | in_question if counts else beside
    assert set(sids(blob)) == expected | {f"{DOMAIN}-513"}
    assert which(blob, **{one: one for one in beside | in_question}) == expected


def test_a_group_that_is_there_twice_counts_if_either_is_enabled():
    assert which(logon_info(groups=[(1200, 0), (1200, 7)]), own=ALL["own"]) == {"own"}


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (0x220, []),
        (0xFFFF_FFFF, []),
        (0x200, ["asserted"]),
        (0x20, ["resource"]),
        (0, ["asserted", "resource"]),
        (0xFFFF_FDDF, ["asserted", "resource"]),
    ],
    ids=str,
)
def test_what_user_flags_do_not_announce_does_not_count(flags, missing):
    blob = logon_info(resource_domain=RESOURCE, resource=[(1400, 7)], flags=flags)
    groups = {name: ALL[name] for name in ("primary", "own", "asserted", "resource")}
    assert which(blob, **groups) == groups.keys() - set(missing)
    assert set(sids(blob)) == {groups[name] for name in groups.keys() - set(missing)}


def test_flags_without_any_such_groups():
    """As Windows has sent them."""
    assert sids(logon_info(extra=[], flags=0x220)) == [ALL["primary"], ALL["own"]]


def test_a_user_with_no_rid_is_the_first_of_the_extra_sids():
    blob = logon_info(user=0, extra=[(f"{OTHER}-1105", 0), (ASSERTED, 7)])
    assert str(LogonInfo.of(blob).sid) == f"{OTHER}-1105"
    assert f"{OTHER}-1105" not in sids(blob)
    assert ASSERTED in sids(blob)


@pytest.mark.parametrize(
    "more", [{"extra": []}, {"flags": 0}], ids=["none there", "not announced"]
)
def test_a_user_without_a_sid_is_nobody(more):
    with pytest.raises(PacError, match="no SID of the user"):
        LogonInfo.of(logon_info(user=0, **more))


def test_no_primary_group():
    assert f"{DOMAIN}-0" not in sids(logon_info(primary=0))


def test_no_groups_at_all():
    blob = logon_info(primary=0, groups=[], extra=[])
    assert sids(blob) == []
    assert which(blob, **ALL) == set()


@pytest.mark.parametrize(
    "account", ["root$", "x", "Käthe", "漢字", "\U0001f600", "a@b", "\\", "ÀÖ" * 128]
)
def test_names(account):
    assert LogonInfo.of(logon_info(account)).account == account
    assert UpnDnsInfo.of(upn_dns_info(account=account)).account == account


@pytest.mark.parametrize(
    "account",
    ["", "root\0", "\0", "\ud800", "\udc00x", "x\ud83d", "\ude00\ud83d", "a" * 257],
    ids=ascii,
)
def test_names_of_nobody(account):
    with pytest.raises(PacError):
        LogonInfo.of(logon_info(account))
    with pytest.raises(PacError):
        UpnDnsInfo.of(upn_dns_info(account=account))


@pytest.mark.parametrize(
    "size_room_pointer", [(0, 0, POINTER), (0, 10, POINTER), (0, 0, 0)]
)
def test_an_empty_name_however_it_is_written(size_room_pointer):
    pointed = text("") if size_room_pointer[2] else b""
    lies = {"fields": {"EffectiveName": size_room_pointer}}
    with pytest.raises(PacError, match="without a name"):
        LogonInfo.of(logon_info(parts={"EffectiveName": pointed}, **lies))


def test_fillers_and_what_follows_are_ignored():
    blob = bytearray(WHOLE)
    blob[4:8] = b"abcd"
    blob[12:16] = b"efgh"
    assert LogonInfo.of(bytes(blob) + b"more") == LogonInfo.of(WHOLE)


@pytest.mark.parametrize(
    "headers",
    [
        {"version": 2},
        {"order": 0},
        {"header": 16},
        {"size": len(WHOLE) - 15},
        {"size": len(WHOLE) + 1},
        {"size": 2**32 - 1},
        {"size": 223},
        {"size": 0},
    ],
    ids=str,
)
def test_headers_that_are_none(headers):
    with pytest.raises(PacError):
        LogonInfo.of(logon_info(**headers))


#: Each is a lie in one place, which nothing else would find out.
LIES = {
    "no pointer to anything": {"fields": {"pointer": (0,)}},
    "no pointer to the domain": {"fields": {"LogonDomainId": (0,)}},
    "no domain": {"domain": None},
    "a domain of nothing": {"parts": {"LogonDomainId": sid("S-1-5")}},
    "a name without a pointer": {
        "fields": {"FullName": (14, 14, 0)},
        "parts": {"FullName": b""},
    },
    "a name that is shorter": {"fields": {"FullName": (16, 16, POINTER)}},
    "a name that is longer": {"fields": {"EffectiveName": (8, 10, POINTER)}},
    "a name of half characters": {"fields": {"EffectiveName": (9, 10, POINTER)}},
    "a name longer than its room": {"parts": {"EffectiveName": text("alice", room=4)}},
    "a name that begins later": {"parts": {"EffectiveName": text("alice", offset=1)}},
    "a name of 4 GiB": {"parts": {"EffectiveName": text("alice", length=2**32 - 1)}},
    "another name that is longer": {"fields": {"FullName": (0xFFFE, 14, POINTER)}},
    "groups without a pointer": {
        "fields": {"GroupIds": (0,)},
        "parts": {"GroupIds": b""},
    },
    "a pointer without groups": {"fields": {"GroupCount": (0,)}},
    "more groups than there are": {"fields": {"GroupCount": (3,)}},
    "groups of two counts": {
        "parts": {"GroupIds": array([(513, 7), (1200, 7)], count=3)}
    },
    "4 billion groups": {"fields": {"GroupCount": (2**32 - 1,)}},
    "4 billion groups, twice": {
        "fields": {"GroupCount": (2**32 - 1,)},
        "parts": {"GroupIds": array([(513, 7)], count=2**32 - 1)},
    },
    "2^29 groups, 0 bytes in 32 bits": {
        "fields": {"GroupCount": (2**29,)},
        "parts": {"GroupIds": array([(513, 7)], count=2**29)},
    },
    "extra SIDs without a pointer": {
        "fields": {"ExtraSids": (0,)},
        "parts": {"ExtraSids": b""},
    },
    "4 billion extra SIDs": {
        "fields": {"SidCount": (2**32 - 1,)},
        "parts": {"ExtraSids": array([(POINTER, 7)], count=2**32 - 1)},
    },
    "more extra SIDs than there are": {
        "fields": {"SidCount": (2,)},
        "parts": {"ExtraSids": array([(POINTER, 7)] * 2) + sid(ASSERTED)},
    },
    "an extra SID that is null": {
        "parts": {"ExtraSids": array([(0, 7)]) + sid(ASSERTED)}
    },
    "resource groups without a pointer": {"fields": {"ResourceGroupCount": (1,)}},
    "resource groups of no domain": {"resource": [(1400, 7)]},
    "4 billion resource groups": {
        "resource_domain": RESOURCE,
        "resource": [(1400, 7)],
        "fields": {"ResourceGroupCount": (2**32 - 1,)},
        "parts": {"ResourceGroupIds": array([(1400, 7)], count=2**32 - 1)},
    },
    "a resource domain that is cut off": {"fields": {"ResourceGroupDomainSid": (1,)}},
    "a SID of revision 2": {"parts": {"LogonDomainId": sid(DOMAIN, revision=2)}},
    "a SID of two lengths": {"parts": {"LogonDomainId": sid(DOMAIN, again=4, count=5)}},
    "a SID of 16 sub-authorities": {
        "parts": {"ExtraSids": array([(POINTER, 7)]) + sid("S-1-5" + "-1" * 16)}
    },
    "a SID of 255 sub-authorities": {
        "parts": {"ExtraSids": array([(POINTER, 7)]) + sid(ASSERTED, count=255)}
    },
    "no room for a RID": {"domain": "S-1-5" + "-1" * 15},
    "no room for a RID of the resource domain": {
        "resource_domain": "S-1-5" + "-1" * 15,
        "resource": [(1400, 7)],
    },
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_refused(lie):
    with pytest.raises(PacError):
        LogonInfo.of(logon_info(**lie))


def test_each_part_is_held_against_the_bytes_that_are_there():
    assert array_at(array([(513, 7)]), 0, 1, POINTER, 8) == (array([(513, 7)])[4:], 12)
    with pytest.raises(NdrError, match="cut off"):
        array_at(array([(513, 7)], count=2), 0, 2, POINTER, 8)
    assert sid_at(sid(ASSERTED), 0) == (packed_sid(ASSERTED)[2:], 16)
    with pytest.raises(NdrError, match="cut off"):
        sid_at(sid(ASSERTED)[:-1], 0)


def test_longest_sids_are_read():
    longest = "S-1-5" + "-4294967295" * 14
    blob = logon_info(domain=longest, extra=[(f"{longest}-7", 7)])
    assert sids(blob) == [f"{longest}-{rid}" for rid in (513, 1200, 7)]
    assert which(blob, a=f"{longest}-7", b=f"{longest}-513") == {"a", "b"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(11),
        bytes(MAX_BUFFER),
        bytes(MAX_BUFFER + 1),
        ndr(b""),
        ndr(bytes(224)),
    ],
    ids=len,
)
def test_nothing_and_too_much(content):
    with pytest.raises(PacError):
        LogonInfo.of(content)
    if 12 <= len(content) <= MAX_BUFFER:
        content = content[:11]
    with pytest.raises(PacError):
        UpnDnsInfo.of(content)


def test_a_buffer_of_the_largest_size_is_read_and_no_larger_one():
    room = (MAX_BUFFER - len(logon_info(groups=[(0, 7)]))) // 8
    groups = [(rid, 7) for rid in range(room + 1)]
    blob = logon_info(groups=groups)
    assert len(blob) == MAX_BUFFER
    assert which(blob, last=f"{DOMAIN}-{room}", next=f"{DOMAIN}-{room + 1}") == {"last"}
    with pytest.raises(PacError, match="more than 65536 bytes"):
        LogonInfo.of(blob + b"\0")


PACTYPE = pactype([(1, b"12345678"), (CLIENT_INFO, client_info("bob"))])


def client_of(*arguments, **options):
    return Pac.of(pactype([(CLIENT_INFO, client_info(*arguments, **options))]))


@pytest.mark.parametrize(
    ("name", "principal"),
    [
        ("alice", "alice@AD.CORP.TEST"),
        ("alice", "alice@ANOTHER.TEST"),
        ("alice@corp.test", r"alice\@corp.test@AD.CORP.TEST"),
        ("HTTP/www", "HTTP/www@AD.CORP.TEST"),
        ("a/b", r"a\/b@AD.CORP.TEST"),
        ("Zoë", "Zoë@AD.CORP.TEST"),
    ],
)
def test_whose_it_is(name, principal):
    assert client_of(name).is_of(principal, AUTHTIME)
    assert not client_of(name).is_of(f"x{principal}", AUTHTIME)
    for authtime in (AUTHTIME - 1, AUTHTIME + 1, 0):
        assert not client_of(name).is_of(principal, authtime)


def test_nobodys():
    for nobodys in (
        Pac.of(pactype([])),
        Pac.of(pactype([(CLIENT_INFO, client_info()[:9])])),
        client_of("Alice"),
        client_of("alice", size=8),
        client_of("alice", size=9),
        client_of(""),
    ):
        assert not nobodys.is_of("alice@AD.CORP.TEST", AUTHTIME)


def test_what_is_no_pac():
    two = [(1, b"12345678"), (2, b"87654321")]
    assert Pac.of(pactype(two)).buffers == dict(two)
    for fields in ({3: 17, 7: 8}, {6: 1}, {4: 1000}, {5: 1}, {0: 3}, {0: 0x7FFF_FFFF}):
        with pytest.raises(PacError):
            Pac.of(pactype(two, fields))
    with pytest.raises(PacError, match="more than 64"):
        Pac.of(pactype([(kind, b"") for kind in range(65)]))


READERS = pytest.mark.parametrize(
    ("read", "blob", "holds"),
    [
        (LogonInfo.of, WHOLE, properties.logon_info),
        (UpnDnsInfo.of, upn_dns_info(), properties.upn_dns_info),
        (Pac.of, PACTYPE, properties.pac),
    ],
    ids=["logon-info", "upn-dns-info", "pactype"],
)


@READERS
def test_every_beginning_is_refused(read, blob, holds):
    holds(blob)
    for size in range(len(blob)):
        with pytest.raises(PacError):
            read(blob[:size])


@READERS
def test_every_bit_may_be_another(read, blob, holds):
    outcomes = set()
    for at in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[at // 8] ^= 1 << at % 8
        holds(bytes(damaged))
        try:
            outcomes.add(read(bytes(damaged)) == read(blob))
        except PacError:
            outcomes.add("refused")
    assert outcomes >= {False, "refused"}


@READERS
@pytest.mark.parametrize("number", [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_every_number_may_be_another(read, blob, holds, number):
    for at in range(0, len(blob) - 3, 2):
        holds(blob[:at] + struct.pack("<I", number) + blob[at + 4 :])


@MANY
@given(EDITS)
def test_whatever_is_near_a_good_one(edits):
    properties.logon_info(properties.mutated(WHOLE, edits))
    properties.upn_dns_info(properties.mutated(upn_dns_info(), edits))
    properties.pac(properties.mutated(PACTYPE, edits))


@SOME
@given(st.binary(max_size=400))
def test_whatever_it_is(content):
    properties.logon_info(content)
    properties.logon_info(ndr(content))
    properties.upn_dns_info(content)
    properties.pac(content)


def peak_of(read, blob):
    """Bytes that reading takes at a time."""
    tracemalloc.start()
    try:
        read(blob)
    except PacError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_no_memory_is_taken_for_what_is_not_there(lie):
    blob = logon_info(**lie)
    peak_of(LogonInfo.of, blob)  # what is made once
    assert peak_of(LogonInfo.of, blob) < 16 * 1024


def calls_of(function):
    """Calls of Python and C functions: the same number each time."""
    count = 0

    def count_calls(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # hypothesis is called when it runs
    sys.setprofile(count_calls)
    try:
        function()
    except PacError:
        pass
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def test_more_groups_cost_no_more_calls():
    wanted = Wanted(ALL)
    few, many = (
        logon_info(groups=[(1200 + rid, 7) for rid in range(count)])
        for count in (9, 1000)  # the one that is asked for among them
    )
    for blob in (few, many):
        LogonInfo.of(blob).which_of(wanted)
    assert calls_of(lambda: LogonInfo.of(many).which_of(wanted)) == calls_of(
        lambda: LogonInfo.of(few).which_of(wanted)
    )


def test_the_worst_costs_less_than_its_bytes():
    most = (MAX_BUFFER - len(WHOLE)) // 24
    blob = logon_info(extra=[(ASSERTED, 7)] * most)
    assert len(LogonInfo.of(blob)._extra_sids) == most
    for worst in (blob, blob[:-8]):
        assert calls_of(lambda worst=worst: LogonInfo.of(worst)) < len(worst) / 2


@pytest.mark.parametrize(
    "written",
    [
        "S-1-5-21-1004336348-1177238915-682003330-512",
        "S-1-1-0",
        "S-1-0-4294967295",
        "S-1-5" + "-4294967295" * 15,
        "S-1-4294967295-1",
        "S-1-0x000100000000-1",
        "S-1-0xffffffffffff-1",
    ],
)
def test_sids(written):
    found = sid_from_text(written)
    assert str(found) == written
    assert found == sid_from_text(written)
    assert hash(found) == hash(sid_from_text(written))
    assert found.rid == int(written.rpartition("-")[2])
    assert found != sid_from_text(f"{written.rpartition('-')[0]}-5")
    if "0x" not in written:
        assert found.value == packed_sid(written)[2:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        packed_sid("S-1-5"),
        packed_sid(ASSERTED)[:-1],
        packed_sid(ASSERTED) + b"\0",
        packed_sid(ASSERTED) + bytes(4),
        packed_sid(ASSERTED, revision=2),
        packed_sid(ASSERTED, count=2),
        packed_sid("S-1-5" + "-1" * 16),
    ],
    ids=bytes.hex,
)
def test_bytes_that_are_no_sid(content):
    assert str(sid_from_bytes(packed_sid(ASSERTED))) == ASSERTED
    assert sid_from_bytes(content) is None


@pytest.mark.parametrize(
    "written",
    [
        "", "S", "S-1", "S-1-5", "S-1-5-", "S-1--5-1", "-1-5-32", "1-5-32-544",
        "S-2-5-32-544", "S-0-5-32-544", "S-01-5-32-544", "s-1-5-32-544",
        "S-1-5-032-544", "S-1-05-32-544", "S-1-5-32-00", "S-1-5-32--544", "S-1-5-32-+544",
        "S-1-5-32-544 ", " S-1-5-32-544", "S-1-5-32-544\n", "S-1-5-32-5\u0664\u0664", "S-1-5-32-1_0",
        "S-1-5-4294967296", "S-1-5-99999999999", "S-1-5" + "-1" * 16, "S-1-4294967296-1",
        "S-1-0xffffffff-1", "S-1-0x0-1", "S-1-0x000000000005-32-544", "S-1-0xFFFFFFFFFFFF-1",
        "S-1-0x1000000000000-1", "S-1-5-0x20-544", "S-1-5-" + "9" * 100_000,
        "CORP\\staff", "staff", "S-1-5-21-…-1105",
    ],
    ids=lambda written: ascii(written[:30]),
)  # fmt: skip
def test_what_is_no_sid(written):
    with pytest.raises(ValueError, match="is not a SID such as S-1-5-21-") as fault:
        sid_from_text(written)
    assert len(str(fault.value)) < 300
    with pytest.raises(ValueError, match="is not a SID"):
        Wanted({"staff": "S-1-1-0", "admins": written})


@SOME
@given(st.integers(0, 2**48 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_a_sid_has_one_text(authority, numbers):
    first = authority if authority < 2**32 else f"0x{authority:012x}"
    written = "-".join(["S-1", str(first), *map(str, numbers)])
    if len(numbers) > 15:
        with pytest.raises(ValueError, match="is not a SID"):
            sid_from_text(written)
    else:
        assert str(sid_from_text(written)) == written


@SOME
@given(st.text(st.sampled_from("S-0123456789x"), max_size=40))
def test_a_text_that_is_read_is_written_the_same(written):
    try:
        found = sid_from_text(written)
    except ValueError:
        return
    assert str(found) == written


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("S-1-1-0", "Everyone"),
        ("S-1-18-1", "Authentication authority asserted identity"),
        ("S-1-5-32-544", "BUILTIN\\Administrators"),
        ("S-1-5-11", "NT AUTHORITY\\Authenticated Users"),
        (f"{DOMAIN}-513", "Domain Users"),
        (f"{OTHER}-513", "Domain Users"),
        (f"{OTHER}-512", "Domain Admins"),
        ("S-1-5-21-0-0-0-497", "Claims valid"),
        (f"{DOMAIN}-1105", ""),
        ("S-1-5-21-1-2-513", ""),
        ("S-1-5-21-1-2-3-4-513", ""),
        ("S-1-5-32-513", ""),
        ("S-1-5-21-513", ""),
        ("S-1-5-210-1-2-3-513", ""),
        ("S-1-0xffffffffffff-513", ""),
    ],
)
def test_names_of_sids(written, name):
    assert name_of_sid(sid_from_text(written)) == name


def test_names_of_a_user():
    whole = UpnDnsInfo.of(upn_dns_info())
    assert whole.upn == "alice@corp.example"
    assert whole.dns_domain == "corp.example"
    assert whole.account == "alice"
    assert str(whole.sid) == f"{DOMAIN}-1105"
    short = UpnDnsInfo.of(upn_dns_info(flags=1))
    assert short == UpnDnsInfo("alice@corp.example", "corp.example", None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fields": {0: 0xFFFE}},
        {"fields": {0: 37}},
        {"fields": {1: 0xFFFF}},
        {"fields": {3: 0xFFFF}},
        {"fields": {6: 0xFFFF}},
        {"fields": {7: 27}},
        {"fields": {7: 29}},
        {"fields": {7: 0}},
        {"fields": {8: 20}},
        {"fields": {8: 0xFFFF}},
        {"upn": "alice\0"},
        {"upn": "\ud800"},
        {"dns_domain": "corp\0"},
        {"written_sid": "S-1-5" + "-1" * 16},
        {"written_sid": "S-1-5"},
    ],
    ids=ascii,
)
def test_names_of_a_user_that_are_none(wrong):
    with pytest.raises(PacError):
        UpnDnsInfo.of(upn_dns_info(**wrong))
