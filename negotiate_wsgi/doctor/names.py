"""By which names will clients ask for us? DNS, forward and back."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from negotiate_wsgi.doctor.finding import Check, Finding, Setup, host_of, within

_PATIENCE = 3  # seconds


def check_names(setup: Setup) -> Iterator[Finding]:
    hosts = list(dict.fromkeys(setup.hosts or map(host_of, setup.spns)))
    setup.tell(f"asking DNS for {', '.join(hosts)}")
    made = {}
    for host in hosts:
        try:
            made[host] = within(_PATIENCE, _canonical_names, host)
        except TimeoutError as late:
            yield Check.NAMES.problem(
                f"DNS does not answer for {host}: {late}.",
                "Mend the name servers in /etc/resolv.conf. Requests do not wait for DNS, but "
                "clients do.",
            )
            return
        except OSError as unknown:
            yield Check.NAMES.problem(
                f"{host} is not known here: {unknown.strerror}.",
                "Add it to DNS, or give the hosts that clients use by --hostname.",
            )
            return
    yield Check.NAMES.ok(", ".join(hosts))
    yield _compare(setup, made)


def _canonical_names(host: str) -> set[str]:
    """What a client may make of *host*: its canonical name, and that of its address."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    _, _, _, canonical, address = found[0]
    names = {canonical}
    with contextlib.suppress(OSError):  # No name: a client keeps the one that it has.
        names.add(socket.gethostbyaddr(str(address[0]))[0])
    return {name.lower().rstrip(".") for name in names if name}


def _compare(setup: Setup, made: dict[str, set[str]]) -> Finding:
    have = {host_of(spn).lower() for spn in setup.spns}
    have |= {host_of(key.principal).lower() for key in setup.keytab.keys
             if key.principal.startswith(f"{setup.service}/")}  # fmt: skip
    lacking = sorted(set().union(*made.values()) - have)
    if not lacking:
        return Check.CANONICAL.ok("the same")
    setup.is_renamed = True
    spns = [f"{setup.service}/{name}" for name in lacking]
    changed = [
        f"{host} becomes {', '.join(sorted(names))}" for host, names in made.items() if names - have
    ]
    return Check.CANONICAL.warning(
        f"Clients that canonicalise names by DNS, as MIT's do, ask for {', '.join(spns)}, which the "
        f"keytab has no key for ({'; '.join(changed)}).",
        "Add those keys, or mend the reverse look-up, or set dns_canonicalize_hostname = false in "
        "the clients' krb5.conf.",
        setup.export(*spns, new=True),
    )
