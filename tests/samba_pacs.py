"""PACs as Samba writes them, and what Samba reads in them: one JSON object a line.

    /usr/bin/python3 tests/samba_pacs.py SEED COUNT     packs as many of each kind
    /usr/bin/python3 tests/samba_pacs.py                reads logon-info, in hex, a line each

python3-samba is a system package: it is not in the environment of the tests.
"""

import json
import random
import struct
import sys

from samba.dcerpc import krb5pac, netlogon, samr, security
from samba.ndr import ndr_pack, ndr_unpack

MANY_GROUPS = 1000
LETTERS = "abcXYZ019.-_$ äßéŻ漢字 Кириллица אב\U0001f600\U00010348"
ATTRIBUTES = [0, 3, 4, 7, 7, 7, 7, 0xF, 0x10, 0x14, 0x17, 0x2000_0007]


def text(chosen, longest=20):
    return "".join(chosen.choices(LETTERS, k=chosen.randint(1, longest)))


def lsa_string(like, value):
    string = type(like)()  # lsa.String, or lsa.StringLarge
    string.string = value
    return string


def sid(chosen, most=15):
    # Samba and Windows write larger authorities differently; there are none.
    authority = chosen.choice([5, 5, 5, 18, 1, 2**32 - 2])
    count = chosen.choice([1, 2, 5, 5, 5, most])
    numbers = [chosen.getrandbits(32) for _ in range(count)]
    return "-".join(["S-1", str(authority), *map(str, numbers)])


def domain(chosen):
    if chosen.random() < 0.2:
        return sid(chosen, most=14)
    numbers = [chosen.getrandbits(32) for _ in range(3)]
    return "-".join(["S-1-5-21", *map(str, numbers)])


def attributes(chosen, are_usual):
    return 7 if are_usual else chosen.choice(ATTRIBUTES)


def memberships(chosen, count):
    are_usual = chosen.random() < 0.5
    found = samr.RidWithAttributeArray()
    rids = []
    for _ in range(count):
        rid = samr.RidWithAttribute()
        rid.rid = chosen.choice([512, 513, 1105, chosen.getrandbits(32)])
        rid.attributes = attributes(chosen, are_usual)
        rids.append(rid)
    found.count = count
    found.rids = rids
    return found


def extra_sids(chosen, count):
    are_usual = chosen.random() < 0.5
    found = []
    for _ in range(count):
        extra = netlogon.netr_SidAttr()
        extra.sid = security.dom_sid(sid(chosen))
        extra.attributes = attributes(chosen, are_usual)
        found.append(extra)
    return found


def logon_info(chosen):
    info = krb5pac.PAC_LOGON_INFO()
    base = info.info3.base
    base.account_name = lsa_string(base.account_name, text(chosen))
    for name in ("full_name", "logon_script", "profile_path", "home_directory",
                 "home_drive", "logon_server", "logon_domain"):  # fmt: skip
        value = chosen.choice([None, "", text(chosen, 200)])
        setattr(base, name, lsa_string(getattr(base, name), value))
    base.rid = chosen.choice([0, 500, 1105, chosen.getrandbits(32)])
    base.primary_gid = chosen.choice([0, 513, 513, chosen.getrandbits(32)])
    base.user_flags = chosen.choice([0, 0x20, 0x200, 0x220, 0x220, 0x220, 0xFFFFFFFF])
    base.domain_sid = security.dom_sid(domain(chosen))
    count = chosen.choice([0, 1, 9, chosen.randint(0, 50)])
    if chosen.random() < 0.01:
        count = MANY_GROUPS
    if count or chosen.random() < 0.5:
        base.groups = memberships(chosen, count)
    count = chosen.choice([0, 1, 2, chosen.randint(0, 30)])
    if count or chosen.random() < 0.5:
        info.info3.sidcount = count
        info.info3.sids = extra_sids(chosen, count)
    if chosen.random() < 0.5:
        info.resource_groups.domain_sid = security.dom_sid(domain(chosen))
        count = chosen.choice([0, 1, chosen.randint(0, 20)])
        info.resource_groups.groups = memberships(chosen, count)
    return info


def upn_dns_info(chosen):
    info = krb5pac.PAC_UPN_DNS_INFO()
    info.upn_name = text(chosen)
    info.dns_domain_name = text(chosen)
    if chosen.random() < 0.7:
        info.flags = krb5pac.PAC_UPN_DNS_FLAG_HAS_SAM_NAME_AND_SID
        extended = krb5pac.PAC_UPN_DNS_INFO_SAM_NAME_AND_SID()
        extended.samaccountname = text(chosen)
        extended.objectsid = security.dom_sid(sid(chosen))
        info.ex = extended
    return info


def packed(kind, value):
    """A PAC of one buffer, and that buffer as krb5 gives it out."""
    buffer = krb5pac.PAC_BUFFER()
    buffer.type = kind
    buffer.info = value
    pac = krb5pac.PAC_DATA()
    pac.version = 0
    pac.num_buffers = 1
    pac.buffers = [buffer]
    whole = ndr_pack(pac)
    raw = ndr_unpack(krb5pac.PAC_DATA_RAW, whole).buffers[0]
    return whole, bytes(raw.info.remaining)


def read_again(whole):
    return ndr_unpack(krb5pac.PAC_DATA, whole).buffers[0].info


def said_of_memberships(groups):
    return [(group.rid, group.attributes) for group in groups.rids or []]


def said_of_logon_info(info):
    base = info.info3.base
    resource = info.resource_groups
    return {
        "account": base.account_name.string,
        "domain": str(base.domain_sid),
        "user": base.rid,
        "primary": base.primary_gid,
        "flags": base.user_flags,
        "groups": said_of_memberships(base.groups),
        "extra": [(str(one.sid), one.attributes) for one in info.info3.sids or []],
        "resource_domain": resource.domain_sid and str(resource.domain_sid),
        "resource_groups": said_of_memberships(resource.groups),
    }


def said_of_upn_dns_info(info):
    has_more = info.flags & krb5pac.PAC_UPN_DNS_FLAG_HAS_SAM_NAME_AND_SID
    return {
        "upn": info.upn_name,
        "dns_domain": info.dns_domain_name,
        "account": info.ex.samaccountname if has_more else None,
        "sid": str(info.ex.objectsid) if has_more else None,
    }


def around(blob):
    """A PAC of this one buffer (MS-PAC sections 2.3 and 2.4)."""
    start = 24
    kind = krb5pac.PAC_TYPE_LOGON_INFO
    return struct.pack("<IIIIQ", 1, 0, kind, len(blob), start) + blob


def read():
    for line in sys.stdin:
        whole = around(bytes.fromhex(line))
        print(json.dumps(said_of_logon_info(read_again(whole).info)))


def pack(seed, count):
    chosen = random.Random(seed)
    for _ in range(count):
        container = krb5pac.PAC_LOGON_INFO_CTR()
        container.info = logon_info(chosen)
        whole, blob = packed(krb5pac.PAC_TYPE_LOGON_INFO, container)
        said = said_of_logon_info(read_again(whole).info)
        print(json.dumps({"logon_info": blob.hex(), "said": said}))
        whole, blob = packed(krb5pac.PAC_TYPE_UPN_DNS_INFO, upn_dns_info(chosen))
        said = said_of_upn_dns_info(read_again(whole))
        print(json.dumps({"upn_dns_info": blob.hex(), "said": said}))


if __name__ == "__main__":
    pack(*map(int, sys.argv[1:])) if sys.argv[1:] else read()
