"""What do krb5.conf and the files that it includes say?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_INCLUDES = 5  # deep


def find(name: str) -> tuple[Path, str] | None:
    """The file that sets *name*, and its value; None where none does."""
    for path, line in _lines():
        said = re.match(rf"\s*{name}\s*=\s*(\S.*)", line)
        if said:
            return path, said[1].strip()
    return None


def of_realm(realm: str, *names: str) -> list[str]:
    """The values that a block of *realm* in ``[realms]`` gives to any of *names*."""
    section = ""
    block = ""
    values = []
    for _, line in _lines():
        begun = re.match(r"\s*\[(\w+)\]", line)
        opened = re.match(r"\s*(\S+)\s*=\s*\{", line)
        said = re.match(r"\s*(\w+)\s*=\s*(\S+)", line)
        if begun:
            section = begun[1]
        elif opened:
            block = opened[1]
        elif line.strip().startswith("}"):
            block = ""
        elif said and (section, block) == ("realms", realm) and said[1] in names:
            values.append(said[2])
    return values


def _lines() -> Iterator[tuple[Path, str]]:
    """Each line, with the file that it stands in."""
    for path in os.environ.get("KRB5_CONFIG", "/etc/krb5.conf").split(os.pathsep):
        yield from _lines_in(Path(path), 0)


def _lines_in(path: Path, depth: int) -> Iterator[tuple[Path, str]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        yield path, line
        included = re.match(r"(include|includedir)\s+(/\S+)", line)
        if not included or depth == _INCLUDES:
            continue
        place = Path(included[2])
        files = sorted(place.glob("*")) if included[1] == "includedir" else [place]
        for file in files:
            yield from _lines_in(file, depth + 1)
