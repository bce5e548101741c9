"""What does a realm start? Kerberos' programs, and a guardian that ends them whatever
happens to us.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from negotiate_wsgi.exceptions import ConfigurationError

# A shell at the other end of a pipe: its input ends when we end, be it by SIGKILL. It
# ends the group that it was told of last, its own group (the KDC), and deletes the
# directory. A "kill 0" reaches the shell as well, which is why it ignores what it
# sends.
_GUARDIAN = """
trap "" HUP INT QUIT TERM
group=
while read -r line; do
    if [ "$line" = end ]; then group=; break; fi
    group=$line
done
kill -s TERM -- 0 ${group:+"-$group"}
rm -rf -- "$1"
[ -n "$group" ] || exit 0
tries=50
while kill -s 0 -- "-$group" && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
kill -s KILL -- "-$group"
rm -rf -- "$1"
"""


class Guardian:
    """Ends the daemons and deletes *directory*: at `end`, or when this process is no
    more.

    ``group`` is the process group for what has to end with us. It is none of the
    terminal's foreground, so that a Ctrl-C does not reach it.
    """

    def __init__(self, directory: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _GUARDIAN, "negotiate-wsgi-realm", directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath},
            process_group=0,
            bufsize=0,
        )
        self.group = self._process.pid

    def watch(self, group: int) -> None:
        """End process group *group*, too, should this process be killed."""
        self._write(b"%d\n" % group)

    def end(self) -> None:
        """End what is left in ``group``, and delete the directory."""
        # Not the end of the pipe alone: a process that was forked from us may hold it
        # open.
        self._write(b"end\n")
        self._process.communicate()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # for mypy: it was asked for
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line)


def run_program(
    command: Sequence[str], environ: Mapping[str, str], typed: str | None
) -> str:
    """Run *command* with *typed* as its input, and return what it prints.

    A Ctrl-C does not reach it.

    :raises ConfigurationError: it failed; the message has what it printed.
    """
    done = subprocess.run(  # noqa: S603
        command, env=environ, input=typed or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", process_group=0, check=False,
    )  # fmt: skip
    if done.returncode:
        raise _failure(command, done.returncode, done.stdout)
    return done.stdout


def start_daemon(
    command: Sequence[str],
    environ: Mapping[str, str],
    sentinel: str,
    group: int,
    logs: Path,
) -> subprocess.Popen[str]:
    """Start *command*, and return when it has printed *sentinel*.

    :raises ConfigurationError: it ended before; the message has what it printed, and
        what it wrote to the files ``*.log`` in the directory *logs*.
    """
    daemon = subprocess.Popen(  # noqa: S603
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", process_group=group,
    )  # fmt: skip
    printed = ""
    for line in daemon.stdout or ():
        printed += line
        if sentinel in line:
            return daemon
    daemon.communicate()
    printed += "".join(
        log.read_text(errors="replace") for log in sorted(logs.glob("*.log"))
    )
    raise _failure(command, daemon.returncode, printed)


def _failure(command: Sequence[str], code: int, printed: str) -> ConfigurationError:
    shown = shlex.join([Path(command[0]).name, *command[1:]])
    said = printed.strip() or "nothing"
    return ConfigurationError(
        f"{shown} failed with exit code {code}. It printed: {said}"
    )


def start_command(
    command: Sequence[str], environ: Mapping[str, str], before: Callable[[], None]
) -> subprocess.Popen[bytes]:
    """Start *command* in a process group of its own, which calls *before* first.

    :raises OSError: there is no such program.
    """
    return subprocess.Popen(  # noqa: S603
        command, env=environ, process_group=0, preexec_fn=before
    )
