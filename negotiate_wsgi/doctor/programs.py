"""What do an administrator's programs print here? They are asked what is so, and change
nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_PATIENCE = 60  # seconds: samba-tool alone takes one or two to begin


def printed_by(*command: str) -> str | None:
    """What a program prints. None where it is missing, fails, or does not come to an
    end.

    No shell reads the words, and there is no terminal at which it could ask for a
    password.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    program = shutil.which(command[0], path=path)
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603
            [program, *command[1:]], env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True,
            text=True, errors="replace", timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout
