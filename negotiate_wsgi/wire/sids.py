"""Security identifiers: what Active Directory calls a user or a group by, whatever its
name is (MS-DTYP section 2.4.2).

A SID is an authority of 48 bits and up to 15 sub-authorities of 32 bits. The last of
them is the RID, which counts the accounts of a domain; what stands before it is the
domain. RIDs such as 513 are in every domain: only whole SIDs say who somebody is.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

#: Sub-authorities of the longest SID (MS-DTYP section 2.4.2.2).
MAX_SUB_AUTHORITIES = 15

_AUTHORITY = 6  # bytes
_NUMBER = r"(?:0|[1-9][0-9]{0,9})"
_TEXT = re.compile(rf"S-1-({_NUMBER}|0x[0-9a-f]{{12}})((?:-{_NUMBER}){{1,15}})")
_LONGEST_SHOWN = 100  # characters


@dataclass(frozen=True, slots=True)
class Sid:
    """A security identifier; ``str()`` gives its text, ``S-1-5-21-…-1105``.

    :param value: the authority and the sub-authorities, as they stand in every SID on
        the wire: 6 bytes, the highest first, then 4 bytes each, the lowest first.
    """

    value: bytes

    @property
    def domain(self) -> bytes:
        """The value without the RID: two SIDs of one domain have the same."""
        return self.value[:-4]

    @property
    def rid(self) -> int:
        """The last sub-authority."""
        return int.from_bytes(self.value[-4:], "little")

    def __str__(self) -> str:
        authority = int.from_bytes(self.value[:_AUTHORITY], "big")
        first = str(authority) if authority < 2**32 else f"0x{authority:012x}"
        return "-".join(["S-1", first, *map(str, _sub_authorities(self.value))])


def sid_of(domain: bytes, rid: int) -> Sid:
    """The SID of an account in *domain*."""
    return Sid(domain + struct.pack("<I", rid))


def sid_from_text(text: str) -> Sid:
    """The SID that is written as *text*, such as ``S-1-5-21-…-1105``.

    Raises ValueError where that is no SID, or where ``str()`` of the SID differs: one
    SID has one text.
    """
    match = _TEXT.fullmatch(text)
    if match:
        authority = int(match[1], 0)
        numbers = [int(number) for number in match[2].split("-")[1:]]
        if authority < 2**48 and max(numbers) < 2**32:
            value = struct.pack(f"<{len(numbers)}I", *numbers)
            sid = Sid(authority.to_bytes(_AUTHORITY, "big") + value)
            if str(sid) == text:
                return sid
    shown = text[:_LONGEST_SHOWN]
    raise ValueError(f"{shown!r} is not a SID such as S-1-5-21-11-22-33-1105")


def sid_from_bytes(content: bytes) -> Sid | None:
    """The SID in *content*, where nothing else is (MS-DTYP section 2.4.2.2)."""
    count = (len(content) - 8) // 4
    if not 1 <= count <= MAX_SUB_AUTHORITIES or len(content) != 8 + 4 * count:
        return None
    if content[0] != 1 or content[1] != count:
        return None
    return Sid(content[2:])


def _sub_authorities(value: bytes) -> tuple[int, ...]:
    count = (len(value) - _AUTHORITY) // 4
    return struct.unpack(f"<{count}I", value[_AUTHORITY:])


def name_of_sid(sid: Sid) -> str:
    """What Windows calls a SID that is the same everywhere (MS-DTYP section 2.4.2.4),
    or a RID that is the same in every domain; empty where nobody can know.
    """
    text = str(sid)
    if text in _NAMES:
        return _NAMES[text]
    is_in_a_domain = text.startswith("S-1-5-21-") and text.count("-") == 7
    return _NAMES_IN_A_DOMAIN.get(sid.rid, "") if is_in_a_domain else ""


_NAMES = {
    "S-1-1-0": "Everyone",
    "S-1-5-2": "NT AUTHORITY\\NETWORK",
    "S-1-5-7": "NT AUTHORITY\\ANONYMOUS LOGON",
    "S-1-5-9": "NT AUTHORITY\\ENTERPRISE DOMAIN CONTROLLERS",
    "S-1-5-11": "NT AUTHORITY\\Authenticated Users",
    "S-1-5-15": "NT AUTHORITY\\This Organization",
    "S-1-5-18": "NT AUTHORITY\\SYSTEM",
    "S-1-5-21-0-0-0-496": "Compounded authentication",
    "S-1-5-21-0-0-0-497": "Claims valid",
    "S-1-5-32-544": "BUILTIN\\Administrators",
    "S-1-5-32-545": "BUILTIN\\Users",
    "S-1-5-32-546": "BUILTIN\\Guests",
    "S-1-5-32-548": "BUILTIN\\Account Operators",
    "S-1-5-32-549": "BUILTIN\\Server Operators",
    "S-1-5-32-550": "BUILTIN\\Print Operators",
    "S-1-5-32-551": "BUILTIN\\Backup Operators",
    "S-1-5-32-554": "BUILTIN\\Pre-Windows 2000 Compatible Access",
    "S-1-5-32-555": "BUILTIN\\Remote Desktop Users",
    "S-1-5-32-580": "BUILTIN\\Remote Management Users",
    "S-1-5-65-1": "This Organization Certificate",
    "S-1-5-1000": "NT AUTHORITY\\Other Organization",
    "S-1-18-1": "Authentication authority asserted identity",
    "S-1-18-2": "Service asserted identity",
    "S-1-18-3": "Fresh public key identity",
    "S-1-18-4": "Key trust identity",
    "S-1-18-5": "Key property MFA",
    "S-1-18-6": "Key property attestation",
}
_NAMES_IN_A_DOMAIN = {
    498: "Enterprise Read-only Domain Controllers",
    500: "Administrator",
    501: "Guest",
    502: "krbtgt",
    512: "Domain Admins",
    513: "Domain Users",
    514: "Domain Guests",
    515: "Domain Computers",
    516: "Domain Controllers",
    517: "Cert Publishers",
    518: "Schema Admins",
    519: "Enterprise Admins",
    520: "Group Policy Creator Owners",
    521: "Read-only Domain Controllers",
    522: "Cloneable Domain Controllers",
    525: "Protected Users",
    526: "Key Admins",
    527: "Enterprise Key Admins",
    553: "RAS and IAS Servers",
    571: "Allowed RODC Password Replication Group",
    572: "Denied RODC Password Replication Group",
}
