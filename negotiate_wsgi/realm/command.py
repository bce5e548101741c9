"""Can I try it now? A command, or a shell, in a throwaway realm of its own."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from negotiate_wsgi.realm.process_group import (
    Signals,
    ask_to_end,
    end_group,
    terminal_lent,
)
from negotiate_wsgi.realm.programs import start_command
from negotiate_wsgi.realm.realm import Realm


def run_in_realm(
    command: Sequence[str], name: str, users: Sequence[str], hosts: Sequence[str]
) -> int:
    """Run *command* (or a shell) in a new realm; returns its exit code, as a shell
    would.

    SIGINT, SIGTERM and SIGHUP end the command with all of its process group, and then
    the realm. After a SIGKILL the realm's guardian does the same.
    """
    with Signals() as signals, Realm(name, users, hosts) as realm:
        _introduce(realm, users, hosts)
        if signals.received:
            return 128 + signals.received
        environ = {**os.environ, **realm.environ}
        if command:
            return run_as_group(command, environ, realm.adopt, signals)
        shell = [os.environ.get("SHELL", "/bin/sh")]
        return run_as_group(shell, environ, realm.adopt, signals, is_shell=True)


def _introduce(realm: Realm, users: Sequence[str], hosts: Sequence[str]) -> None:
    join = realm.directory / "join"
    exports = "".join(
        f"export {k}={shlex.quote(v)}\n" for k, v in realm.environ.items()
    )
    join.write_text(exports, encoding="utf-8")
    services = ", ".join(f"HTTP/{host}" for host in hosts)
    print(  # noqa: T201
        f"Realm {realm.name}: users {', '.join(users)}; keytab {realm.keytab} with {services}.\n"
        f"Another terminal joins it as {users[0]} with: . {join}"
        + (
            f"   (as {users[1]}: export KRB5CCNAME={realm.ccache(users[1])})"
            if users[1:]
            else ""
        ),
        file=sys.stderr,
        flush=True,
    )


def run_as_group(
    command: Sequence[str],
    environ: Mapping[str, str],
    adopt: Callable[[int], None],
    signals: Signals,
    *,
    is_shell: bool = False,
) -> int:
    """Run *command* as a process group, and end all of it with the command, or with us.

    *adopt* is told the group's number before the command starts. Returns the exit code.
    """
    with terminal_lent() as take_terminal:

        def before() -> None:
            adopt(os.getpid())
            take_terminal()

        try:
            process = start_command(command, environ, before)
        except OSError as problem:
            print(f"negotiate-wsgi: {command[0]}: {problem.strerror}", file=sys.stderr)  # noqa: T201
            return 127

        def end(number: int) -> None:
            ask_to_end(process.pid, _signal_to_hand_on(number, is_shell))

        signals.hand_on_to(end)
        code = process.wait()
    end_group(process.pid)
    return code if code >= 0 else 128 - code


def _signal_to_hand_on(number: int, is_shell: bool) -> int:
    if is_shell:
        return signal.SIGHUP  # an interactive shell ignores SIGTERM
    if number == signal.SIGHUP:
        return signal.SIGTERM  # to a server, SIGHUP would mean "reload"
    return number
