"""What a user gets: the wheel's content, and that it works where nothing else of ours is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import negotiate_wsgi

ROOT = Path(__file__).parent.parent
SOURCES = ["negotiate_wsgi", "flask_adapter"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing stale in the work tree gets in."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for path in (path for source in SOURCES for path in (ROOT / source).rglob("*")):
        if path.suffix in {".py", ".typed"}:
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        out,
        copy,
    ]
    subprocess.run(command, check=True, capture_output=True)
    [built] = out.glob("*.whl")
    return built


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
