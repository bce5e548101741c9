"""The same PACs, read by Samba and by us: thousands that Samba has packed, and genuine ones."""

import json
import subprocess
from pathlib import Path

import pytest
from gssapi import raw

from negotiate_wsgi.wire.groups import Wanted
from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo
from negotiate_wsgi.wire.sids import sid_from_text

PACS = 1500  # of each kind
SAMBA = ["/usr/bin/python3", Path(__file__).with_name("samba_pacs.py")]


@pytest.fixture(scope="module")
def packed():
    """Pairs of a buffer and of what Samba says of it, by the kind of buffer."""
    command = [*SAMBA, "4711", str(PACS)]
    found = {"logon_info": [], "upn_dns_info": []}
    for line in subprocess.check_output(command, text=True).splitlines():
        one = json.loads(line)
        said = one.pop("said")
        [(kind, content)] = one.items()
        found[kind].append((bytes.fromhex(content), said))
    return found


def enabled(pairs):
    return [which for which, attributes in pairs if attributes & 0x14 == 0x4]


def expected_of(said):
    """The user's SID and those of the groups, after what Samba has read."""
    extra = said["extra"] if said["flags"] & 0x20 else []
    resource = said["resource_groups"] if said["flags"] & 0x200 else []
    user = f"{said['domain']}-{said['user']}"
    if not said["user"]:
        user = extra[0][0] if extra else None
        extra = extra[1:]
    groups = [f"{said['domain']}-{rid}" for rid in enabled(said["groups"])]
    if said["primary"]:
        groups.insert(0, f"{said['domain']}-{said['primary']}")
    groups += [f"{said['resource_domain']}-{rid}" for rid in enabled(resource)]
    groups += enabled(extra)
    return user, list(dict.fromkeys(groups))


def test_samba_and_we_read_the_same_of_who_signed_on(packed):
    read = 0
    sizes = set()
    for blob, said in packed["logon_info"]:
        user, groups = expected_of(said)
        if user is None:
            with pytest.raises(PacError, match="no SID of the user"):
                LogonInfo.of(blob)
            continue
        found = LogonInfo.of(blob)
        assert found.account == said["account"]
        assert str(found.sid) == user
        assert [str(sid) for sid in found.sids()] == groups
        read += 1
        sizes.add(len(said["groups"]))
    assert read > PACS * 0.8
    assert 1000 in sizes


def test_the_groups_that_were_asked_for_are_those_that_samba_lists(packed):
    others = [expected_of(said)[1] for _, said in packed["logon_info"]]
    for (blob, said), other in zip(packed["logon_info"], reversed(others), strict=True):
        user, groups = expected_of(said)
        if user is None:
            continue
        wanted = {sid: sid for sid in [*groups[::3], *other[::3]]}
        found = LogonInfo.of(blob).which_of(Wanted(wanted))
        assert found == set(groups) & set(wanted)


def test_samba_and_we_read_the_same_of_names(packed):
    accounts = 0
    for blob, said in packed["upn_dns_info"]:
        found = UpnDnsInfo.of(blob)
        assert (found.upn, found.dns_domain) == (said["upn"], said["dns_domain"])
        assert found.account == said["account"]
        assert (found.sid and str(found.sid)) == said["sid"]
        accounts += found.account is not None
    assert 0 < accounts < PACS


def test_samba_and_we_write_sids_the_same_way(packed):
    for _, said in packed["upn_dns_info"]:
        if said["sid"]:
            assert str(sid_from_text(said["sid"])) == said["sid"]


def attribute(domain, user, urn):
    """Of a genuine ticket, as krb5 gives it out."""
    accepted = raw.accept_sec_context(domain.token(user=user))
    [value] = raw.get_name_attribute(accepted.initiator_name, urn).values
    return bytes(value)


def said_by_samba(logon_info):
    done = subprocess.run(
        SAMBA, input=logon_info.hex(), stdout=-1, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("user", ["alice", "bob", "many", "CLIENT1$"])
def test_samba_and_we_read_the_same_of_genuine_tickets(domain, sids_of_many, user):
    blob = attribute(domain, user, b"urn:mspac:logon-info")
    said = said_by_samba(blob)
    found = LogonInfo.of(blob)
    assert [str(sid) for sid in found.sids()] == expected_of(said)[1]
    assert found.account == said["account"] == user
    assert str(found.sid) == expected_of(said)[0] == domain.sid_of(user)
    # All of its groups are enabled, and announced.
    pairs = [*said["groups"], *said["extra"], *said["resource_groups"]]
    assert len(enabled(pairs)) == len(pairs)
    assert bool(said["flags"] & 0x20) == bool(said["extra"])
    assert bool(said["flags"] & 0x200) == bool(said["resource_groups"])


def test_which_groups_the_directory_says_that_they_are_in(domain, sids_of_many):
    names = ["staff", "everybody", "web-users", "admins", "news", "Domain Users"]
    wanted = Wanted(
        {name: domain.sid_of(name) for name in names}
        | dict(zip(map(str, range(1000)), sids_of_many, strict=True))
        | {"asserted": "S-1-18-1", "administrators": "S-1-5-32-544"}
    )
    by_user = {
        user: LogonInfo.of(attribute(domain, user, b"urn:mspac:logon-info"))
        for user in ("alice", "bob", "many")
    }
    found = {user: set(info.which_of(wanted)) for user, info in by_user.items()}
    every = {"Domain Users", "asserted"}
    assert found["alice"] == every | {"staff", "everybody", "web-users"}
    assert found["bob"] == every | {"admins", "everybody", "web-users"}
    assert found["many"] == every | set(map(str, range(1000)))


@pytest.mark.parametrize("user", ["alice", "carol", "CLIENT1$"])
def test_names_of_genuine_tickets(domain, user):
    found = UpnDnsInfo.of(attribute(domain, user, b"urn:mspac:upn-dns-info"))
    assert found.account == user
    assert str(found.sid) == domain.sid_of(user)
    assert found.dns_domain.upper() == domain.name
    upns = {"carol": "carol.smith@corp.example"}
    assert found.upn == upns.get(user, f"{user}@{domain.name.lower()}")
