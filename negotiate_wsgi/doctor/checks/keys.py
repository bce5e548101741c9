"""Are they the right keys? SPNs, encryption types, versions, and how many."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.doctor.acceptor import open_acceptor, tries_every_key
from negotiate_wsgi.doctor.finding import Finding, check, ok, problem, warning
from negotiate_wsgi.doctor.setup import SOME_HOST, Setup, host_of

_AES = ("aes", "camellia")
_WEAK = ("des", "arcfour", "rc4")  # RFC 6649, RFC 8429
_MANY = 32


@check("NW007", "SPNs in the keytab", after={"NW005"})
def spns(setup: Setup) -> Iterator[Finding]:
    """There is a key for the service on each host, in the same case."""
    if uses_gssproxy():
        return  # Nobody else can see the keys, which the checks after this one need.
    hosts = {host_of(spn) for spn in setup.spns}
    wanted = setup.hosts or tuple(hosts) or (SOME_HOST,)
    missing = [f"{setup.service}/{host}" for host in wanted if host not in hosts]
    if not missing:
        yield ok(", ".join(setup.spns))
        return
    yield problem(
        f"The keytab has no key for {', '.join(missing)}{_alike(setup, missing)}.",
        "Add the SPN at the KDC if it has none, and its key to the keytab (from Active "
        "Directory: with ktpass). Clients ask for the host in the URL, in lower case.",
        setup.commands.export(*missing, new=True),
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
        "Export it again with AES (in Active Directory, first let the account use AES).",
        setup.commands.export(*weak, instead=True),
    )


@check("NW009", "weak keys", after={"NW008"})
def weak(setup: Setup) -> Iterator[Finding]:
    """There are none beside the strong ones."""
    keys = setup.keytab.keys
    weak = [at for at, key in enumerate(keys, 1) if key.enctype.startswith(_WEAK)]
    if not weak:
        yield ok("none")
        return
    # Deleted from the end, because ktutil numbers the rest anew.
    lines = [f"rkt {setup.keytab.path}", *(f"delent {at}" for at in reversed(weak))]
    script = "\\n".join([*lines, f"wkt {setup.keytab.path}.new", ""])
    path = shlex.quote(setup.keytab.path)
    new = shlex.quote(f"{setup.keytab.path}.new")
    yield warning(
        f"Weak keys beside strong ones: {', '.join(str(keys[at - 1]) for at in weak)}.",
        "Take them out, and let the KDC issue no such keys.",
        f"printf {shlex.quote(script)} | ktutil && cat {new} >{path} && rm {new}",
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
