"""What do krb5.conf and the files that it includes say?"""

from __future__ import annotations

import os
import re
from pathlib import Path

_INCLUDES = 5  # deep


def find(name: str) -> tuple[Path, str] | None:
    """The file that sets *name*, and its value; None where none does."""
    for path in os.environ.get("KRB5_CONFIG", "/etc/krb5.conf").split(os.pathsep):
        if found := _find_in(Path(path), name, 0):
            return found
    return None


def _find_in(path: Path, name: str, depth: int) -> tuple[Path, str] | None:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        said = re.match(rf"\s*{name}\s*=\s*(\S.*)", line)
        if said:
            return path, said[1].strip()
        included = re.match(r"(include|includedir)\s+(/\S+)", line)
        if not included or depth == _INCLUDES:
            continue
        place = Path(included[2])
        files = sorted(place.glob("*")) if included[1] == "includedir" else [place]
        for file in files:
            if found := _find_in(file, name, depth + 1):
                return found
    return None
