"""The manual: it builds without a warning, and says of the code what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="session")
def manual(tmp_path_factory):
    """The directory of the built pages."""
    out = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    built = subprocess.run(
        [*command, "-d", out / "doctrees", DOCS, out / "html"],
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return out / "html"


def test_it_builds_without_a_warning(manual):
    for page in DOCS.rglob("*.md"):
        assert (manual / page.relative_to(DOCS).with_suffix(".html")).is_file()
