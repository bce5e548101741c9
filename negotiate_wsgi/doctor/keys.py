"""Has the acceptor its keys, and nobody else? The keytab's file, and what is in it."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from negotiate_wsgi.acceptors.insight import name_of_keytab, read_keytab
from negotiate_wsgi.doctor.finding import Check, Finding, Setup, host_of
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.wire.keytab import Keytab

_AES = ("aes", "camellia")
_WEAK = ("des", "arcfour", "rc4")  # RFC 6649, RFC 8429


def check_keytab(setup: Setup) -> Iterator[Finding]:
    try:
        setup.keytab = Keytab(name_of_keytab(setup.name), ())
    except AcceptorError:
        return  # Not without krb5.conf, of which another check has told.
    path = Path(setup.keytab.path)
    try:
        setup.keytab = read_keytab(setup.name)
    except AcceptorError as fault:
        yield _why_not(setup, path) or Check.KEYTAB.problem(
            f"{path} is empty or damaged ({fault.detail}).",
            "Export it again (from Active Directory: with ktpass).",
            f"rm {shlex.quote(str(path))} && {_export_anew(setup)}",
        )
        return
    count = len(setup.keytab.keys)
    yield Check.KEYTAB.ok(f"{path}, {count} keys, read as uid {os.geteuid()}")


def _why_not(setup: Setup, path: Path) -> Finding | None:
    """What keeps us from the file, if anything does."""
    user = pwd.getpwuid(os.geteuid()).pw_name if _is_known(os.geteuid()) else str(os.geteuid())
    for above in reversed(path.absolute().parents):
        if above.is_dir() and not os.access(above, os.X_OK):
            found = f"{path} cannot be reached: uid {os.geteuid()} may not pass through {above}."
            return Check.KEYTAB.problem(
                found, "Let it pass.", f"chmod a+x {shlex.quote(str(above))}"
            )
    if not path.exists():
        return Check.KEYTAB.problem(
            f"There is no keytab {path}.",
            "Export it (from Active Directory: with ktpass), or name another: KRB5_KTNAME, or "
            "keytab=.",
            _export_anew(setup),
        )
    if not os.access(path, os.R_OK):
        return Check.KEYTAB.problem(
            f"{path} cannot be read by uid {os.geteuid()}.",
            "Give it to the server's user.",
            f"chown {user} {shlex.quote(str(path))} && chmod 600 {shlex.quote(str(path))}",
        )
    return None


def _is_known(uid: int) -> bool:
    return any(entry.pw_uid == uid for entry in pwd.getpwall())


def _export_anew(setup: Setup) -> str:
    hosts = setup.hosts or ("<the host in the URL>",)
    return setup.export(*(f"{setup.service}/{host}" for host in hosts))


def check_privacy(setup: Setup) -> Iterator[Finding]:
    path = Path(setup.keytab.path).absolute()
    if path.stat().st_mode & stat.S_IRWXO:
        yield Check.PRIVACY.warning(
            f"{path} is open to every user of this machine: whoever reads it can sign on here as "
            "anybody.",
            "Close it, and have the KDC make new keys if it was read.",
            f"chmod o-rwx {shlex.quote(str(path))}",
        )
        return
    for above in path.parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield Check.PRIVACY.warning(
                f"Every user of this machine can put another keytab in the place of {path}, by "
                f"way of {above}.",
                "Close that directory.",
                f"chmod o-w {shlex.quote(str(above))}",
            )
            return
    yield Check.PRIVACY.ok("nobody else can read or replace it")


def check_spns(setup: Setup) -> Iterator[Finding]:
    hosts = {host_of(spn) for spn in setup.spns}
    missing = [f"{setup.service}/{host}" for host in setup.hosts if host not in hosts]
    if not setup.hosts and not hosts:
        missing = [f"{setup.service}/<the host in the URL>"]
    if missing:
        yield Check.SPN.problem(
            f"The keytab has no key for {', '.join(missing)}{_alike(setup, missing)}.",
            "Add the SPN at the KDC if it has none, and its key to the keytab (from Active "
            "Directory: with ktpass). Clients ask for the host in the URL, in lower case.",
            setup.export(*missing, new=True),
        )
    else:
        yield Check.SPN.ok(", ".join(setup.spns))


def _alike(setup: Setup, missing: list[str]) -> str:
    alike = [spn for name in missing for spn in setup.keytab.alike(f"{name}@")]
    others = sorted({key.principal for key in setup.keytab.keys})
    return f", but for {', '.join(alike or others)[:400]}"


def check_aes(setup: Setup) -> Iterator[Finding]:
    weak = [
        spn for spn in setup.spns
        if not any(key.enctype.startswith(_AES) for key in setup.keytab.of(spn))
    ]  # fmt: skip
    if weak:
        enctypes = sorted({key.enctype for spn in weak for key in setup.keytab.of(spn)})
        yield Check.AES.problem(
            f"{', '.join(weak)}: no AES key, only {', '.join(enctypes)}.",
            "Export it again with AES (in Active Directory, first let the account use AES).",
            setup.export(*weak, instead=True),
        )
    else:
        yield Check.AES.ok("each SPN has an AES key")


def check_weak(setup: Setup) -> Iterator[Finding]:
    keys = setup.keytab.keys
    weak = [at for at, key in enumerate(keys, 1) if key.enctype.startswith(_WEAK)]
    if not weak:
        yield Check.WEAK.ok("none")
        return
    # Deleted from the end, because ktutil numbers the rest anew.
    lines = [f"rkt {setup.keytab.path}", *(f"delent {at}" for at in reversed(weak))]
    script = "\\n".join([*lines, f"wkt {setup.keytab.path}.new", ""])
    path = shlex.quote(setup.keytab.path)
    yield Check.WEAK.warning(
        f"Weak keys beside strong ones: {', '.join(str(keys[at - 1]) for at in weak)}.",
        "Take them out, and have the KDC issue none such.",
        f"printf {shlex.quote(script)} | ktutil && cat {path}.new >{path} && rm {path}.new",
    )


def check_kvno(setup: Setup) -> Iterator[Finding]:
    marks = {(key.principal, key.kvno, key.enctype, key.mark) for key in setup.keytab.keys}
    counted = Counter(mark[:3] for mark in marks)
    merged = sorted({principal for (principal, _, _), count in counted.items() if count > 1})
    if merged:
        yield Check.KVNO.warning(
            f"Different keys with the same kvno for {', '.join(merged)}: the keytab was merged "
            "from such of several KDCs or accounts, and only one of them is good.",
            "Take out those that are not the KDC's, or export it again.",
            setup.export(*merged, instead=True),
        )
        return
    lines = (line for spn in setup.spns for line in setup.keytab.in_words(spn))
    yield Check.KVNO.ok("; ".join(lines))
