"""Why doesn't it work here? A list of findings, each with what to do; nothing is changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

from negotiate_wsgi.doctor.finding import Check, Finding, Setup, Status
from negotiate_wsgi.doctor.kdc import check_kdc, check_key, check_sign_on
from negotiate_wsgi.doctor.keys import (
    check_aes,
    check_keytab,
    check_kvno,
    check_privacy,
    check_spns,
    check_weak,
)
from negotiate_wsgi.doctor.machine import (
    check_binding,
    check_krb5_conf,
    check_plugins,
    check_replay_cache,
)
from negotiate_wsgi.doctor.names import check_names
from negotiate_wsgi.doctor.site import check_site

_KEYS = {Check.KRB5_CONF, Check.KEYTAB, Check.SPN, Check.AES}
_KDC = _KEYS | {Check.KVNO, Check.NAMES, Check.KDC, Check.CLOCK}

#: Each check with those that have to be well before it can say anything of its own.
_CHECKS: list[tuple[Callable[[Setup], Iterator[Finding]], set[Check]]] = [
    (check_binding, set()),
    (check_plugins, set()),
    (check_krb5_conf, set()),
    (check_replay_cache, set()),
    (check_keytab, set()),
    (check_privacy, {Check.KEYTAB}),
    (check_spns, {Check.KEYTAB}),
    (check_aes, {Check.SPN}),
    (check_weak, {Check.AES}),
    (check_kvno, {Check.SPN}),
    (check_names, {Check.SPN}),
    (check_kdc, _KEYS),
    (check_key, _KDC),
    (check_sign_on, _KDC | {Check.BINDING, Check.REPLAY_CACHE, Check.KEY}),
]


def diagnose(setup: Setup, url: str | None = None) -> Iterator[Finding]:
    """Every check whose premises hold: what only follows from a fault is not told beside it."""
    well: set[Check] = set()
    for look, premises in _CHECKS:
        if premises <= well:
            found = list(look(setup))
            well |= {finding.check for finding in found}
            well -= {finding.check for finding in found if finding.status is not Status.OK}
            yield from found
    if url:
        yield from check_site(setup, url)


def run_doctor(
    service: str, hosts: list[str], keytab: str | None, url: str | None, as_json: bool
) -> int:
    """Print what was found. Returns 0, or 1 where there are warnings, 2 where there are problems."""
    setup = Setup(service, tuple(hosts), keytab, tell=_progress)
    found = []
    for finding in diagnose(setup, url):
        found.append(finding)
        _progress("")
        if not as_json:
            sys.stdout.write(_in_words(finding, sys.stdout.isatty()))
            sys.stdout.flush()
    _progress("")
    if as_json:
        sys.stdout.write(json.dumps([finding.as_data for finding in found], indent=2) + "\n")
    statuses = {finding.status for finding in found}
    return 2 if Status.PROBLEM in statuses else 1 if Status.WARNING in statuses else 0


_COLOURS = {Status.OK: 32, Status.WARNING: 33, Status.PROBLEM: 31}


def _in_words(finding: Finding, in_colour: bool) -> str:
    status = f"{finding.status:8}"
    if in_colour:
        status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
    lines = [f"{status} {finding.check}  {finding.check.subject}: {finding.found}"]
    lines += [f"{'':17}{line}" for line in (finding.remedy, finding.command) if line]
    return "\n".join(lines) + "\n"


def _progress(what: str) -> None:
    """What is under way, on a terminal; the next line takes its place."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what and f'... {what}'}")
        sys.stderr.flush()
