"""Does gssproxy hold the keys (gssproxy-mech(8))? Then the server need not read them."""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Iterator
from pathlib import Path

_CONFIGURATION = Path("/etc/gssproxy")
_PATIENCE = 2  # seconds


def plugin_files() -> list[Path]:
    """The files that say which plugins the GSSAPI library loads."""
    named = os.environ.get("GSS_MECH_CONFIG")
    return [Path(named)] if named else _usual_files()


def _usual_files() -> list[Path]:
    return [Path("/etc/gss/mech"), *sorted(Path("/etc/gss/mech.d").glob("*.conf"))]


def mechanisms_in(path: Path) -> tuple[bool, bool]:
    """Whether such a file loads gssproxy's plugin, and whether it loads any other."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return False, False
    lines = [
        line for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]
    ours = [line for line in lines if "<interposer>" in line]
    return bool(ours), len(lines) > len(ours)


def file_of_its_own() -> Path | None:
    """The file that loads its plugin and no other, None where there is none."""
    for path in _usual_files():
        if mechanisms_in(path) == (True, False):
            return path
    return None


def is_loaded() -> bool:
    """Whether the GSSAPI library of this process loads its plugin."""
    return any(mechanisms_in(path)[0] for path in plugin_files())


def socket_name() -> str:
    return os.environ.get("GSSPROXY_SOCKET") or "/var/lib/gssproxy/default.sock"


def knock() -> None:
    """Raises OSError where nobody listens at its socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE)
        probe.connect(socket_name())


def serves_us() -> bool:
    """Whether its configuration, as far as we may read it, names our user."""
    user = str(os.geteuid())
    try:
        names = {user, pwd.getpwuid(os.geteuid()).pw_name}
    except KeyError:
        names = {user}
    return not names.isdisjoint(_users())


def _users() -> Iterator[str]:
    for path in sorted(_CONFIGURATION.glob("*.conf")):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        yield from re.findall(r"^\s*euid\s*=\s*(\S+)", text, re.MULTILINE)
