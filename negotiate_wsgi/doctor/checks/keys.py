"""Are they the right keys? SPNs, encryption types, versions, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.doctor.acceptor import open_acceptor, tries_every_key
from negotiate_wsgi.doctor.commands import take_out
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import SOME_HOST, Setup, host_of, is_weak

_AES = ("aes", "camellia")
_MANY = 32


@check("NW007", "SPNs in the keytab", after={"NW005"})
def spns(setup: Setup) -> Iterator[Finding]:
    """There is a key for the service on each host, in the same case."""
    if uses_gssproxy():
        return  # Nobody else can see the keys, which the checks after this one need.
    hosts = {setup.folded(host_of(spn)) for spn in setup.spns}
    wanted = setup.hosts or tuple(hosts) or (SOME_HOST,)
    missing = [
        f"{setup.service}/{host}" for host in wanted if setup.folded(host) not in hosts
    ]
    if not missing:
        yield ok(", ".join(setup.spns))
        return
    yield problem(
        f"The keytab has no key for {', '.join(missing)}{_alike(setup, missing)}.",
        "Add the SPN at the KDC if it has none, and its key to the keytab. Clients ask "
        "for the host in the URL, in lower case.",
        setup.commands.register(*missing),
    )


def _alike(setup: Setup, missing: list[str]) -> str:
    alike = [spn for name in missing for spn in setup.keytab.alike(f"{name}@")]
    others = sorted({key.principal for key in setup.keytab.keys})
    return f", but for {', '.join(alike or others)[:400]}"


@check("NW008", "AES keys", after={"NW007"})
def aes(setup: Setup) -> Iterator[Finding]:
    """Each SPN has one."""
    weak = []
    for spn in setup.spns:
        if not any(key.enctype.startswith(_AES) for key in setup.keytab.of(spn)):
            weak.append(spn)
    if not weak:
        yield ok("each SPN has an AES key")
        return
    enctypes = sorted({key.enctype for spn in weak for key in setup.keytab.of(spn)})
    yield problem(
        f"{', '.join(weak)}: no AES key, only {', '.join(enctypes)}.",
        "Let the KDC use AES for that account, and export it again.",
        setup.commands.strengthen(*weak),
    )


@check("NW009", "weak keys", after={"NW008", "NW027"})
def weak(setup: Setup) -> Iterator[Finding]:
    """There are none beside the strong ones."""
    keys = setup.keytab.keys
    weak = [place for place, key in enumerate(keys, 1) if is_weak(key.enctype)]
    if not weak:
        yield ok("none")
        return
    if any(is_weak(ticket.enctype) for ticket in setup.tickets.values()):
        yield ok("needed as long as the KDC issues weak tickets")
        return
    yield warning(
        f"Weak keys beside strong ones: {', '.join(str(keys[at - 1]) for at in weak)}.",
        "Take them out, and let the KDC issue no such keys.",
        replace(
            setup.commands.forbid_weak(*setup.spns),
            command=take_out(setup.keytab, weak),
        ),
    )


@check("NW010", "key versions", after={"NW007"})
def kvno(setup: Setup) -> Iterator[Finding]:
    """No kvno has two different keys."""
    if merged := setup.merged:
        yield warning(
            f"Different keys with the same kvno for {', '.join(merged)}: the keytab "
            "was merged from those of several KDCs or accounts, and only one of them "
            "is good.",
            "Take out those that are not the KDC's, or export it again.",
            setup.commands.export(*merged, instead=True),
        )
        return
    lines = (line for spn in setup.spns for line in setup.keytab.in_words(spn))
    yield ok("; ".join(lines))


@check("NW028", "other services' keys", after={"NW007"})
def shared(setup: Setup) -> Iterator[Finding]:
    """No other service has the same key."""
    found = {}
    for spn in setup.spns:
        others = {key.principal for key in setup.keytab.shared_with(spn)}
        foreign = [name for name in sorted(others) if _is_of_another(setup, name)]
        if foreign:
            found[spn] = ", ".join(foreign)
    if not found:
        yield ok("none has the same")
        return
    pairs = "; ".join(f"{spn} has that of {others}" for spn, others in found.items())
    yield warning(
        f"{pairs}. Who has a ticket for the one can pass it off as one for the other.",
        "Give the service an account of its own.",
        setup.commands.set_apart(*found),
    )


def _is_of_another(setup: Setup, principal: str) -> bool:
    """Whether it is the SPN of another service. An account's name is none."""
    service, slash, _ = principal.rpartition("@")[0].partition("/")
    return bool(slash) and service.lower() != setup.service.lower()


@check("NW018", "number of keys", after={"NW001", "NW005"})
def number(setup: Setup) -> Iterator[Finding]:
    """There are few, where each token is tried with every one of them."""
    if uses_gssproxy():
        return
    count = len(setup.keytab.keys)
    acceptor = open_acceptor(setup.acceptor, setup.service, None, None)
    if count < _MANY or not tries_every_key(acceptor):
        yield ok(f"{count}")
        return
    yield warning(
        f"There are {count} keys, and pykerberos tries every one of them with every "
        "token, also with those of strangers.",
        "Give this service a keytab of its own, or use GssapiAcceptor "
        "(NEGOTIATE_ACCEPTOR=gssapi), which tries the one key that the ticket names.",
        "pip install 'negotiate-wsgi[gssapi]'",
    )
