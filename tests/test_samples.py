"""Every sample starts with the command in its docstring, and answers as it says."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAMPLES = ["wsgi_app.py", "flask_app.py", "gunicorn.conf.py", "uwsgi.ini"]
BIN = Path(sys.executable).parent
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("KRB5")},
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "VIRTUAL_ENV": sys.prefix,
}


def documented(sample):
    """The sample's command, and pairs of a client's command and what it answers."""
    text = re.sub(r"^; ?", "", (ROOT / "samples" / sample).read_text(), flags=re.MULTILINE)
    command = re.search(r"^Run +(.*)$", text, re.MULTILINE)[1]
    expect = re.search(r"^Expect +((?:.*\n)+?)(?:\"|\n)", text, re.MULTILINE)[1]
    lines = [re.sub(r" {3,}\(in the realm.*", "", line.strip()) for line in expect.splitlines()]
    return command, list(zip(lines[::2], lines[1::2], strict=True))


def wait_for_port(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


def in_realm(join, command):
    return subprocess.run(
        ["bash", "-c", f". {join}; {command}"], env=ENVIRON, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample(sample):
    command, conversation = documented(sample)
    assert conversation
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=ROOT, env=ENVIRON, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        process.stderr.readline()
        join = re.search(r"with: \. (\S+)", process.stderr.readline())[1]
        wait_for_port(int(re.search(r"localhost:(\d+)", conversation[0][0])[1]), process)
        for client, answer in conversation:
            assert in_realm(join, client.replace("curl", "curl --silent")) == answer
            if "--negotiate" in client:
                url = client.split()[-1]
                assert in_realm(join, f"curl --silent {url}").endswith("(no-credentials)")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert not Path(join).exists()


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_stay_on_loopback_and_do_not_debug(sample):
    text = (ROOT / "samples" / sample).read_text()
    assert "127.0.0.1" in text
    assert "debug" not in text.lower()


def test_demo_shows_a_ticket_become_a_principal():
    done = subprocess.run(["samples/demo"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    refused, alice, bob, summary = done.stdout.split("\n== ")[-4:]
    assert "HTTP/1.1 401" in refused
    assert "WWW-Authenticate: Negotiate\n" in refused
    for answer, user in ((alice, "alice"), (bob, "bob")):
        assert "HTTP/1.1 200" in answer
        assert f"Hello {user}@EXAMPLE.TEST" in answer
        assert re.search(r"WWW-Authenticate: Negotiate \S{24}\.\.\.\n", answer)
    assert "alice@EXAMPLE.TEST" in summary.strip().splitlines()[-1]


def test_demo_fails_where_it_does_not_see_what_it_promises(tmp_path):
    copy = tmp_path / "copy"
    (copy / "samples").mkdir(parents=True)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "negotiate_wsgi", "flask_adapter"):
        (copy / name).symlink_to(ROOT / name)
    for source in (ROOT / "samples").iterdir():
        if source.is_file():
            (copy / "samples" / source.name).write_text(
                source.read_text().replace("Hello {user}", "Hello stranger")
            )
    (copy / "samples" / "demo").chmod(0o755)
    done = subprocess.run(["samples/demo"], cwd=copy, capture_output=True, text=True)
    assert "expected to see: alice@EXAMPLE.TEST" in done.stderr
    assert done.returncode == 1


def test_demo_serve_says_what_to_type():
    process = subprocess.Popen(
        ["samples/demo", "--serve"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    shown = ""
    while "Ctrl-C" not in shown:
        line = process.stdout.readline()
        assert line, shown
        shown += line
    join, client, browser = re.findall(r"^    (.+)$", shown, re.MULTILINE)
    assert browser.startswith("chromium ")
    seen = in_realm(join.removeprefix(". "), client.replace("curl", "curl --silent"))
    assert seen == "Hello alice@EXAMPLE.TEST"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT
    assert not Path(join.removeprefix(". ")).exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 8000)) != 0
