"""How does MIT write it? Principals and encryption types, as its tools and logs have
them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: RFC 3961 section 8 and IANA's registry "Kerberos Encryption Type Numbers", in the
#: spelling of MIT's klist.
_ENCTYPES = {
    1: "des-cbc-crc",
    2: "des-cbc-md4",
    3: "des-cbc-md5",
    4: "des-cbc-raw",
    6: "des3-cbc-raw",
    8: "des-hmac-sha1",
    16: "des3-cbc-sha1",
    17: "aes128-cts-hmac-sha1-96",
    18: "aes256-cts-hmac-sha1-96",
    19: "aes128-cts-hmac-sha256-128",
    20: "aes256-cts-hmac-sha384-192",
    23: "arcfour-hmac",
    24: "arcfour-hmac-exp",
    25: "camellia128-cts-cmac",
    26: "camellia256-cts-cmac",
}

_ESCAPED = re.compile(rb"[/@\\\n\t\b\0]")
_ESCAPES = {b"\n": rb"\n", b"\t": rb"\t", b"\b": rb"\b", b"\0": rb"\0"}


def principal_in_words(components: Sequence[bytes], realm: bytes) -> str:
    r"""``HTTP/www.example.com@EXAMPLE.COM``, escaped as krb5_unparse_name(3) does.

    What is not UTF-8 becomes ``\xff``, which no escape of krb5's is.
    """
    return f"{name_in_words(components)}@{name_in_words([realm])}"


def name_in_words(components: Sequence[bytes]) -> str:
    """The same without a realm: ``HTTP/www.example.com``."""
    return b"/".join(map(_escaped, components)).decode(errors="backslashreplace")


def _escaped(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0], b"\\" + found[0]), text)


def name_of_enctype(number: int) -> str:
    """``aes256-cts-hmac-sha1-96`` for 18; the number itself where it has no name."""
    return _ENCTYPES.get(number) or f"enctype {number}"
