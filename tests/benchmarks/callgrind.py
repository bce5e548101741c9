"""How many instructions does it take? They repeat where times do not, whatever else the machine does."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

WARM_UP = 20  # calls that are not counted, as in limit.c


def count_calls(call, arguments):
    """Calls with each of *arguments*, so that `instructions` counts all but the first calls."""
    for argument in arguments[:WARM_UP]:
        call(argument)
    os.getppid()
    for argument in arguments[WARM_UP:]:
        call(argument)
    os.getppid()


def instructions(command, environ, text):
    """What *command*, which reads *text*, takes between its two calls of getppid."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        valgrind = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--dump-before=getppid",
        ]  # fmt: skip
        done = subprocess.run(
            [*valgrind, *command], input=text, env=environ | {"PYTHONHASHSEED": "0"},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        counted = Path(f"{out}.2").read_text()
    return int(re.search(r"^(?:totals|summary): (\d+)", counted, re.MULTILINE)[1])
