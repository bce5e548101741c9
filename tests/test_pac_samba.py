"""The same PACs, read by Samba and by us: thousands of them, which Samba has packed."""

import json
import subprocess
from pathlib import Path

import pytest

from negotiate_wsgi.wire.pac import LogonInfo, PacError, UpnDnsInfo, Wanted
from negotiate_wsgi.wire.sids import sid_from_text

PACS = 1500  # of each kind


@pytest.fixture(scope="module")
def packed():
    """Pairs of a buffer and of what Samba says of it, by the kind of buffer."""
    script = Path(__file__).with_name("samba_pacs.py")
    command = ["/usr/bin/python3", script, "4711", str(PACS)]
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
    groups += enabled(extra)
    groups += [f"{said['resource_domain']}-{rid}" for rid in enabled(resource)]
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
