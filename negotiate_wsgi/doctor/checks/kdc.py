"""Is there a KDC, of which kind, and do its clock and ours agree?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from negotiate_wsgi.acceptors.insight import read_keytab
from negotiate_wsgi.doctor.accounts import accounts, without_realm
from negotiate_wsgi.doctor.client import (
    ClientError,
    clock_ahead,
    default_realm,
    is_known,
)
from negotiate_wsgi.doctor.commands import Kind
from negotiate_wsgi.doctor.deadline import PATIENCE, within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem
from negotiate_wsgi.doctor.setup import Setup
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.wire.keytab import Key

_SKEW = 300  # seconds that krb5 tolerates, unless clockskew in krb5.conf says otherwise
_IPA = Path("/etc/ipa/default.conf")
_NAMES = {
    Kind.ACTIVE_DIRECTORY: "Active Directory",
    Kind.FREE_IPA: "FreeIPA",
    Kind.MIT: "MIT",
    Kind.UNKNOWN: "not known",
}


@check("NW019", "kind of KDC")
def kind(setup: Setup) -> Iterator[Finding]:
    """It is Active Directory, FreeIPA or MIT's, whose commands the doctor then names."""
    keys = _keys(setup)
    setup.realm = keys[0].principal.rpartition("@")[2] if keys else _default_realm()
    setup.kind, why = _told(setup) or _by_signs(setup, keys) or _asked(setup)
    yield ok(f"{_NAMES[setup.kind]}: {why}")


def _keys(setup: Setup) -> tuple[Key, ...]:
    """The keytab's, if it can be read: another check tells why not."""
    try:
        return read_keytab(setup.keytab_name).keys
    except AcceptorError:
        return ()


def _default_realm() -> str:
    try:
        return default_realm() or ""
    except ClientError:
        return ""


def _told(setup: Setup) -> tuple[Kind, str] | None:
    return (setup.kdc, "--kdc says so") if setup.kdc else None


def _by_signs(setup: Setup, keys: tuple[Key, ...]) -> tuple[Kind, str] | None:
    """What this machine alone shows, without asking anybody."""
    if "KRB5_KDC_PROFILE" in os.environ:
        return Kind.MIT, "KRB5_KDC_PROFILE says that it is on this machine"
    if setup.realm and setup.realm == _realm_of_ipa():
        return Kind.FREE_IPA, f"{_IPA} is of its realm {setup.realm}"
    for account in map(without_realm, accounts(keys)):
        if account.endswith("$"):
            return Kind.ACTIVE_DIRECTORY, f"the keytab has the computer {account}"
    return None


def _realm_of_ipa() -> str:
    try:
        text = _IPA.read_text(errors="replace")
    except OSError:
        return ""
    said = re.search(r"^\s*realm\s*=\s*(\S+)", text, re.MULTILINE)
    return said[1] if said else ""


def _asked(setup: Setup) -> tuple[Kind, str]:
    """What the KDC itself shows: each kind has an account that no other kind has.

    In Active Directory that is the KDC's own user krbtgt, in MIT's database K/M, the
    master key. Neither gets a ticket, and no password is sent.
    """
    if not setup.realm:
        return Kind.UNKNOWN, "neither the keytab nor krb5.conf names a realm"
    setup.tell(f"asking the KDC of {setup.realm} of which kind it is")
    try:
        has_krbtgt, has_master_key = within(PATIENCE, _peculiar, setup.realm)
    except (TimeoutError, ClientError) as silence:
        return Kind.UNKNOWN, f"the KDC of {setup.realm} does not answer ({silence})"
    if has_krbtgt and not has_master_key:
        return Kind.ACTIVE_DIRECTORY, f"it has an account krbtgt@{setup.realm}"
    if has_master_key and not has_krbtgt:
        return Kind.MIT, (
            f"it has a principal K/M@{setup.realm}, as FreeIPA has, too, for which "
            "there is --kdc ipa"
        )
    return Kind.UNKNOWN, f"the KDC of {setup.realm} has no account that tells"


def _peculiar(realm: str) -> tuple[bool, bool]:
    return is_known(f"krbtgt@{realm}"), is_known(f"K/M@{realm}")


@check("NW013", "KDC", after={"NW003", "NW008"})
def kdc(setup: Setup) -> Iterator[Finding]:
    """One answers."""
    realm = setup.spns[0].rpartition("@")[2]
    setup.tell(f"asking the KDC of {realm} for its clock")
    try:
        setup.clock_ahead = within(PATIENCE, clock_ahead, setup)
    except (TimeoutError, ClientError) as silence:
        yield problem(
            f"No KDC of {realm} answers: {silence}.",
            "Requests that bring a ticket do not need it, but clients do to get one. "
            "Start it, or correct kdc = in krb5.conf, or the SRV record "
            f"_kerberos._udp.{realm} of DNS.",
            setup.commands.start(realm),
        )
    else:
        yield ok(f"a KDC of {realm} answers")


@check("NW014", "clock", after={"NW013"})
def clock(setup: Setup) -> Iterator[Finding]:
    """It is less than 300 s from the KDC's."""
    ahead = setup.clock_ahead
    if ahead is None:
        yield ok("not known: the KDC gives no principal of the keytab a ticket")
    elif abs(ahead) < _SKEW:
        yield ok(f"{abs(ahead):.0f} s apart")
    else:
        where = "behind" if ahead > 0 else "ahead of"
        yield problem(
            f"This machine's clock is {abs(ahead):.0f} s {where} the KDC's, so no ticket is good.",
            "Synchronise it.",
            "timedatectl set-ntp true",
        )
