"""Writes the buffers of a PAC by hand, right ones and wrong ones (MS-PAC sections 2.5 and 2.10)."""

import struct

DOMAIN = "S-1-5-21-11-22-33"
OTHER = "S-1-5-21-11-22-34"
ASSERTED = "S-1-18-1"

#: KERB_VALIDATION_INFO: the fields of fixed size, behind the pointer to it.
LAYOUT = {
    "pointer": "I", "times": "48s",
    "EffectiveName": "HHI", "FullName": "HHI", "LogonScript": "HHI", "ProfilePath": "HHI",
    "HomeDirectory": "HHI", "HomeDirectoryDrive": "HHI",
    "LogonCount": "H", "BadPasswordCount": "H", "UserId": "I", "PrimaryGroupId": "I",
    "GroupCount": "I", "GroupIds": "I", "UserFlags": "I", "UserSessionKey": "16s",
    "LogonServer": "HHI", "LogonDomainName": "HHI", "LogonDomainId": "I",
    "Reserved1": "8s", "UserAccountControl": "I", "SubAuthStatus": "I", "LogonTimes": "16s",
    "FailedILogonCount": "I", "Reserved3": "I",
    "SidCount": "I", "ExtraSids": "I", "ResourceGroupDomainSid": "I",
    "ResourceGroupCount": "I", "ResourceGroupIds": "I",
}  # fmt: skip
NAMES = [name for name, layout in LAYOUT.items() if layout == "HHI"]
POINTER = 0x2000C


def padded(content, to=4):
    return content + bytes(-len(content) % to)


def ndr(content, version=1, order=0x10, header=8, size=None):
    """MS-RPCE section 2.2.6: two headers, and the object."""
    content = padded(content, 8)
    size = len(content) if size is None else size
    return struct.pack("<BBHIII", version, order, header, 0xCCCCCCCC, size, 0) + content


def text(content, room=None, offset=0, length=None):
    content = content.encode("utf-16-le", "surrogatepass")
    half = len(content) // 2
    room = half if room is None else room
    length = half if length is None else length
    return padded(struct.pack("<III", room, offset, length) + content)


def packed_sid(written, revision=1, count=None):
    """MS-DTYP section 2.4.2.2."""
    authority, *numbers = map(int, written.split("-")[2:])
    count = len(numbers) if count is None else count
    start = struct.pack("<BB", revision, count) + authority.to_bytes(6, "big")
    return start + struct.pack(f"<{len(numbers)}I", *numbers)


def sid(written, again=None, **lies):
    """MS-DTYP section 2.4.2.3."""
    packed = packed_sid(written, **lies)
    return struct.pack("<I", packed[1] if again is None else again) + packed


def array(elements, count=None):
    count = len(elements) if count is None else count
    return struct.pack("<I", count) + b"".join(struct.pack("<II", *e) for e in elements)


def sids_and_attributes(extra):
    """An array of pointers, and what they point to."""
    pointers = array([(POINTER, attributes) for _, attributes in extra])
    return pointers + b"".join(sid(written) for written, _ in extra)


def logon_info(
    account="alice",
    user=1105,
    primary=513,
    groups=((513, 7), (1200, 7)),
    extra=((ASSERTED, 7),),
    resource_domain=None,
    resource=(),
    flags=0x220,
    domain=DOMAIN,
    fields=(),
    parts=(),
    **headers,
):
    """*fields* and *parts* replace those of the same name: what is lied about."""
    names = dict.fromkeys(NAMES, "") | {"EffectiveName": account, "FullName": "Alice A"}
    pointed = {name: text(content) for name, content in names.items() if content}
    if groups:
        pointed["GroupIds"] = array(groups)
    if domain:
        pointed["LogonDomainId"] = sid(domain)
    if extra:
        pointed["ExtraSids"] = sids_and_attributes(extra)
    if resource_domain:
        pointed["ResourceGroupDomainSid"] = sid(resource_domain)
    if resource:
        pointed["ResourceGroupIds"] = array(resource)
    values = {
        name: (bytes(struct.calcsize(layout)),) if layout.endswith("s") else (0,)
        for name, layout in LAYOUT.items()
    }
    for name, content in names.items():
        size = len(content.encode("utf-16-le", "surrogatepass"))
        values[name] = (size, size, POINTER if content else 0)
    for name in pointed.keys() - names.keys():
        values[name] = (POINTER,)
    values |= {
        "pointer": (POINTER,), "UserId": (user,), "PrimaryGroupId": (primary,),
        "GroupCount": (len(groups),), "UserFlags": (flags,), "SidCount": (len(extra),),
        "ResourceGroupCount": (len(resource),),
        **dict(fields),
    }  # fmt: skip
    pointed |= dict(parts)
    fixed = b"".join(struct.pack(f"<{LAYOUT[name]}", *values[name]) for name in LAYOUT)
    return ndr(
        fixed + b"".join(pointed[name] for name in LAYOUT if name in pointed), **headers
    )


def upn_dns_info(
    upn="alice@corp.example",
    dns_domain="corp.example",
    account="alice",
    written_sid=f"{DOMAIN}-1105",
    flags=2,
    fields=(),
):
    """*fields* replaces numbers of the header, by their place."""
    parts = [upn, dns_domain, account, written_sid]
    contents = [content.encode("utf-16-le", "surrogatepass") for content in parts[:3]]
    contents.append(packed_sid(written_sid))
    if not flags & 2:
        contents = contents[:2]
    numbers = []
    at = 12 + 8 * (len(contents) == 4)
    for content in contents:
        numbers += [len(content), at]
        at += len(content)
    numbers[4:4] = [flags]
    for place, number in dict(fields).items():
        numbers[place] = number
    return struct.pack(f"<4HI{len(numbers) - 5}H", *numbers) + b"".join(contents)


#: When they signed on, in seconds since the epoch.
AUTHTIME = 1_800_000_000


def client_info(name="alice", authtime=AUTHTIME, size=None):
    """MS-PAC section 2.7."""
    content = name.encode("utf-16-le")
    ticks = (authtime + 11_644_473_600) * 10_000_000
    size = len(content) if size is None else size
    return struct.pack("<QH", ticks, size) + content


def pactype(buffers, fields=()):
    """MS-PAC section 2.3, of pairs of a type and a buffer; *fields* as in upn_dns_info."""
    at = 8 + 16 * len(buffers)
    numbers = [len(buffers), 0]
    content = b""
    for kind, buffer in buffers:
        numbers += [kind, len(buffer), at + len(content), 0]
        content += padded(buffer, 8)
    for place, number in dict(fields).items():
        numbers[place] = number
    return struct.pack(f"<{len(numbers)}I", *numbers) + content
