"""Can strangers lock accounts by guessing here? The KDC's limit, and ours."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from negotiate_wsgi.doctor import krb5_conf
from negotiate_wsgi.doctor.commands import Instructions
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.lockout import Lockout
from negotiate_wsgi.doctor.setup import Setup


@check("NW035", "lock-out", after={"NW032"})
def lockout(setup: Setup) -> Iterator[Finding]:
    """With --passwords: we refuse a user's password before the KDC would lock the account."""
    user = setup.user
    if not user:
        yield ok("not looked at: --user names nobody")
        return
    setup.tell(f"reading when the account of {user} is locked")
    found = setup.lockouts.read(user)
    if found is None:
        yield ok(
            "not known: this machine cannot read the KDC's database",
            f"See to it that an account is locked after more than {setup.attempts} "
            "wrong passwords.",
            setup.lockouts.show(user),
        )
    elif not found.threshold:
        yield ok(
            f"{user} is never locked ({found.whose}): attempts={setup.attempts} is the "
            "only limit"
        )
    elif not found.is_counting:
        yield warning(
            f"The KDC counts no wrong passwords of {user}, though {found.whose} has a "
            f"limit of {found.threshold}: attempts={setup.attempts} is the only one.",
            "Let it require preauthentication.",
            found.count(),
        )
    else:
        yield _compared(setup, found)


def _compared(setup: Setup, found: Lockout) -> Finding:
    """Whether the limits of the KDC and of ours fit together."""
    limit = f"{found.whose} locks an account after {found.threshold} wrong passwords"
    if setup.attempts >= found.threshold:
        return _too_many(
            setup,
            found,
            problem,
            f"{_begun(limit)}, and attempts={setup.attempts} lets strangers try as many.",
            found.threshold - 1,
        )
    primary = _primary_elsewhere(setup.passwords or "")
    if primary and 2 * setup.attempts >= found.threshold:
        return _too_many(
            setup,
            found,
            warning,
            f"{_begun(limit)}, and attempts={setup.attempts} counts twice: krb5 asks the primary "
            f"KDC {primary} once more.",
            (found.threshold - 1) // 2,
        )
    if found.window > setup.period:
        kept = f"for {found.window:.0f} s" if found.window < math.inf else "for ever"
        return warning(
            f"{_begun(found.whose)} keeps wrong passwords {kept}, and we for {setup.period} s: "
            "attempts of several such periods add up.",
            "Let both be the same, here by period= of PasswordSignOn.",
            found.forget_after(setup.period),
        )
    return ok(f"{limit}, and we refuse after {setup.attempts}")


def _too_many(
    setup: Setup,
    lockout: Lockout,
    amiss: Callable[[str, str, Instructions], Finding],
    found: str,
    allowed: int,
) -> Finding:
    """
    :param allowed: attempts that would not be too many; 0 where each is.
    """
    at_the_kdc = lockout.lock_after(2 * setup.attempts + 1)
    if not allowed:
        return amiss(found, "Let the KDC lock later.", at_the_kdc)
    typed = ": ".join(filter(None, (at_the_kdc.place, at_the_kdc.command)))
    return amiss(
        found,
        f"Write attempts={allowed}, or let the KDC lock later.",
        Instructions(
            f"export NEGOTIATE_PASSWORD_ATTEMPTS={allowed}",
            beside=(*at_the_kdc.beside, typed),
        ),
    )


def _primary_elsewhere(realm: str) -> str | None:
    """The primary KDC that krb5.conf names, if it is not the one that is asked first.

    After a wrong password krb5 asks it once more, since it may know of a newer one
    (krb5_get_init_creds_password in gic_pwd.c). An admin_server is not asked.
    """
    asked = krb5_conf.of_realm(realm, "kdc")[:1]
    for primary in krb5_conf.of_realm(realm, "primary_kdc", "master_kdc"):
        if _without_port(primary) not in map(_without_port, asked):
            return primary
    return None


def _begun(text: str) -> str:
    """As the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _without_port(address: str) -> str:
    return re.sub(r":\d+$", "", address).lower()
