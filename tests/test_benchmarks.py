"""The benchmark runs, and what it says is what it measured."""

import re
import subprocess
import sys
from pathlib import Path


def test_accept_compares_all_subjects_in_one_run():
    script = Path(__file__).parent / "benchmarks" / "accept.py"
    command = [sys.executable, str(script), "--rounds", "4", "--requests", "60"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(
        r"^(small|Debian) +(\S+) +([\d.]+) us(?: +ours/this +([\d.]+))?", said, re.MULTILINE
    )
    assert [(label, name) for label, name, _, _ in rows] == [
        (label, name)
        for label in ("small", "Debian")
        for name in ("bare", "negotiate-wsgi", "WSGI-Kerberos")
    ]
    ratios = {(label, name): float(ratio) for label, name, _, ratio in rows if ratio}
    # Rough bounds, for a short run on a busy machine; the aims are for a quiet one.
    assert ratios["small", "bare"] < 1.4
    assert ratios["Debian", "bare"] < 1.0
    assert ratios["small", "WSGI-Kerberos"] < 1.0
    assert ratios["Debian", "WSGI-Kerberos"] < 0.7
