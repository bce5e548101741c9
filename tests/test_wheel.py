"""What a user and a distributor get: what is in the wheel and in the sdist, and that they work where
nothing else of ours is.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from sites import BIN

import negotiate_wsgi

ROOT = Path(__file__).parent.parent
SOURCES = ["negotiate_wsgi", "flask_adapter"]
#: What is made in a work tree, by git and by tools.
MADE = {
    ".git",
    ".hypothesis",
    ".venv",
    ".nox",
    "build",
    "dist",
    "_build",
    "__pycache__",
}
EPOCH = "1700000000"


def files_of(directory):
    """The files of a work tree, as far as people wrote them."""
    found = set()
    for path in directory.rglob("*"):
        parts = path.relative_to(directory).parts
        is_made = any(
            part in MADE or part.endswith(("_cache", ".egg-info")) for part in parts
        )
        if path.is_file() and not is_made:
            found.add(str(path.relative_to(directory)))
    return found


def build(directory, out, *options):
    """Build from a copy of the work tree, so that nothing stale in it gets in."""
    for name in files_of(ROOT):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, directory / name)
        shutil.copymode(ROOT / name, directory / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", out, directory],
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, check=True, capture_output=True,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is built from it."""
    return build(tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(built):
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built):
    [found] = built.glob("*.tar.gz")
    return found


def test_content(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for source in SOURCES
        for path in (ROOT / source).rglob("*")
        if path.suffix in {".py", ".typed"}
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"negotiate_wsgi/py.typed", "flask_adapter/py.typed"} <= names
    assert any(name.endswith("LICENSE") for name in names)


def test_a_distributor_gets_all_files(sdist):
    """Tests, samples and the manual: the suite runs from there, as `tests/run` does here."""
    with tarfile.open(sdist) as archive:
        members = {name.partition("/")[2]: name for name in archive.getnames()}
        files = {
            name for name, full in members.items() if archive.getmember(full).isfile()
        }
        added = {name for name in files if name == "PKG-INFO" or ".egg-info/" in name}
        assert files - added == files_of(ROOT) - {"PKG-INFO"}
        assert archive.getmember(members["tests/run"]).mode & 0o100


def test_what_packaging_tools_say(built):
    command = [BIN / "twine", "check", "--strict", *built.iterdir()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_whoever_builds_gets_the_same_wheel(wheel, tmp_path):
    """With SOURCE_DATE_EPOCH, in another directory, and whenever the files were written."""
    (tmp_path / "source").mkdir()
    out = build(tmp_path / "source", tmp_path / "out", "--wheel")
    [again] = out.glob("*.whl")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(name).decode()
    required = {
        line.split(": ")[1]
        for line in text.splitlines()
        if line.startswith("Requires-Dist")
    }
    core = {line for line in required if "extra ==" not in line}
    assert core == {"itsdangerous>=2.1", "pykerberos>=1.2.4", "Werkzeug>=3.0"}
    for extra in ("docs", "doctor", "flask", "gssapi", "pytest", "realm", "test"):
        assert f"Provides-Extra: {extra}\n" in text
    assert "Requires-Python: >=3.11" in text
    assert "License-Expression: BSD-3-Clause\n" in text
    assert f"Version: {negotiate_wsgi.__version__}\n" in text
    for link in ("Documentation", "Changelog", "Issues", "Security"):
        assert f"Project-URL: {link}, https://" in text


def test_imports_from_the_wheel_alone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import negotiate_wsgi, flask_adapter;"
        "print(negotiate_wsgi.__file__, flask_adapter.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-Ic", script], capture_output=True, text=True
    )
    assert done.stdout.count(str(tmp_path)) == 2, done.stderr
