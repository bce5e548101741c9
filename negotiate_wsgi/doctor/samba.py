"""What does one type at a Samba domain controller where samba-tool has no word for it?

Its database is edited in place, as ldbedit(1) does: a command that edits a file is given
the accounts as LDIF.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from negotiate_wsgi.doctor.accounts import without_realm

# msDS-SupportedEncryptionTypes (MS-KILE section 2.2.7): AES128 and AES256.
AES = 24
# Of userAccountControl (MS-ADTS section 2.2.16): no PAC in tickets for the account.
NO_AUTH_DATA_REQUIRED = 0x2000000
_DATABASE = (
    '"$(samba-tool testparm --suppress-prompt --section-name=global '
    "--parameter-name='private dir' 2>/dev/null)/sam.ldb\""
)


def let_use_aes(spns: Iterable[str]) -> str:
    """The command that has the KDC issue tickets with AES keys."""
    attribute = "msDS-SupportedEncryptionTypes"
    add = f"-e 's/^dn: .*/&\\n{attribute}: {AES}/'"
    return _edit(spns, attribute, f"sed -i -e /^{attribute}/d {add}")


def let_have_a_pac(spns: Iterable[str]) -> str:
    """The command that has the KDC put a PAC into tickets."""
    attribute = "userAccountControl"
    clear = f"s/^({attribute}: )(\\d+)/$1.($2 & ~{NO_AUTH_DATA_REQUIRED})/e"
    return _edit(spns, attribute, f"perl -pi -e '{clear}'")


def account_with(spn: str) -> str:
    """A word for the shell: the name of the account that has *spn*."""
    asked = f"ldbsearch -H {_DATABASE} {_holders([spn])} sAMAccountName"
    return f"\"$({asked} | sed -n 's/^sAMAccountName: //p')\""


def _edit(spns: Iterable[str], attribute: str, editor: str) -> str:
    """Have *editor* change *attribute* of the accounts of *spns*."""
    edit = f"ldbedit -H {_DATABASE} -e {shlex.quote(editor)}"
    return f"{edit} {_holders(spns)} {attribute}"


def _holders(spns: Iterable[str]) -> str:
    """A filter of LDAP (RFC 4515) for the accounts of *spns*, as a word."""
    tests = [f"(servicePrincipalName={_escaped(without_realm(spn))})" for spn in spns]
    found = tests[0] if len(tests) == 1 else f"(|{''.join(tests)})"
    return shlex.quote(found)


def _escaped(value: str) -> str:
    return re.sub(r"[\\*()\0]", lambda found: f"\\{ord(found[0]):02x}", value)
