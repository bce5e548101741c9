"""A little of tests/siege, and that each part of it can fail."""

import os
import platform
import re
import subprocess
import sys

import pytest
import sites
import soak


def run(script, *arguments, **options):
    command = [sys.executable, sites.TESTS / "siege" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize("acceptor", ["gssapi", "pykerberos"])
def test_nobody_is_mixed_up(realm, acceptor):
    done = run("mix_up.py", acceptor, 8000)
    assert done.stdout == "8000 0\n", done.stderr


def test_the_soak_holds():
    done = run("soak.py", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good 200" in done.stdout


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, "bob@EXAMPLE.TEST"), "alice was taken for bob"),
        ((500, "a traceback"), "good: 500"),
        ((401, "(replayed)"), "good, and all is well: 401"),
    ],
)
def test_the_soak_can_fail(monkeypatch, realm, answer, says):
    world = object.__new__(soak.World)
    world.realm, world.fault, world.healed = realm, "", 0.0
    world.counts, world.broken = soak.collections.Counter(), []
    monkeypatch.setattr(soak.World, "token", lambda self, user: "Negotiate YIGq")
    monkeypatch.setattr(soak, "ask", lambda *arguments: answer)
    soak.good(world, "alice")
    assert any(what.startswith(says) for what in world.broken)
    world.broken.clear()
    monkeypatch.setattr(soak, "ask", lambda *arguments: (200, "alice@EXAMPLE.TEST"))
    soak.good(world, "alice")
    assert world.broken == []


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="atheris is built for x86-64 alone"
)
def test_fuzzing_finds_nothing_and_leaves_nothing(tmp_path):
    done = run("fuzz.py", 5, 1, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout[-2000:]
    assert "fuzzed: 1 inputs" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="atheris is built for x86-64 alone"
)
def test_fuzzing_can_find_something(tmp_path):
    """With a header that lets everything pass, an input that is no Kerberos token is soon found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import negotiate_wsgi.wire.authorization as header\nheader.screen = lambda token: None\n"
    )
    places = {"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = run("fuzz.py", 600, env={**os.environ, **places})
    assert done.returncode != 0
    assert "AssertionError" in done.stdout + done.stderr
    assert re.search("^broken by [0-9a-f]", done.stdout, re.M)
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"sitecustomize.py"}
