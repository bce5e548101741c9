"""By which names will clients ask for us? DNS, forward and back."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from negotiate_wsgi.doctor.deadline import within
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import Setup, host_of

_PATIENCE = 3  # seconds


@check("NW011", "DNS", after={"NW007"})
def names(setup: Setup) -> Iterator[Finding]:
    """It answers, and knows the hosts."""
    hosts = list(dict.fromkeys(setup.hosts or map(host_of, setup.spns)))
    setup.tell(f"asking DNS for {', '.join(hosts)}")
    for host in hosts:
        try:
            setup.canonical[host] = within(_PATIENCE, _canonical_names, host)
        except TimeoutError as late:
            yield problem(
                f"DNS does not answer for {host}: {late}.",
                "Correct the name servers in /etc/resolv.conf. Requests do not wait "
                "for DNS, but clients do.",
            )
            return
        except (OSError, UnicodeError) as unknown:
            why = (
                unknown.strerror
                if isinstance(unknown, OSError)
                else "not a host's name"
            )
            yield problem(
                f"{host} is not known here: {why}.",
                "Add it to DNS, or name the hosts that clients use with --hostname.",
            )
            return
    yield ok(", ".join(hosts))


def _canonical_names(host: str) -> set[str]:
    """What a client may make of *host*: its canonical name, and that of its address."""
    found = socket.getaddrinfo(
        host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
    )
    _, _, _, canonical, address = found[0]
    names = {canonical}
    with contextlib.suppress(OSError):  # No name: a client keeps the one that it has.
        names.add(socket.gethostbyaddr(str(address[0]))[0])
    return {name.lower().rstrip(".") for name in names if name}


@check("NW012", "canonical names", after={"NW011"})
def canonical(setup: Setup) -> Iterator[Finding]:
    """What clients make of a host by DNS has a key, too."""
    have = {host_of(spn).lower() for spn in setup.spns}
    for key in setup.keytab.keys:
        if key.principal.startswith(f"{setup.service}/"):
            have.add(host_of(key.principal).lower())
    missing = sorted(set().union(*setup.canonical.values()) - have)
    if not missing:
        yield ok("the same")
        return
    setup.is_renamed = True
    spns = [f"{setup.service}/{name}" for name in missing]
    changed = [
        f"{host} becomes {', '.join(sorted(names))}"
        for host, names in setup.canonical.items()
        if names - have
    ]
    yield warning(
        "Clients that ask DNS for a host's canonical name, as MIT's do, want tickets "
        f"for {', '.join(spns)}, for which there is no key ({'; '.join(changed)}). "
        "Those on Windows do not ask: they take the host in the URL.",
        "Add those keys, or correct the reverse look-up, or set "
        "dns_canonicalize_hostname = false in the clients' krb5.conf.",
        setup.commands.register(*spns),
    )
