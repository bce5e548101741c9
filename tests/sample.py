"""A sample as its first lines describe it: the command that runs it, and what it answers to whom."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import sites
from machine import as_a_user

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
ENVIRON = {
    **{
        name: value for name, value in os.environ.items() if not name.startswith("KRB5")
    },
    "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin",
    "VIRTUAL_ENV": sys.prefix,
}
#: Of an application that says what it was told.
ECHO = """
import json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {name: str(value) for name, value in environ.items() if "wsgi" not in name}
    return [json.dumps(told).encode()]

application = app
"""


PORTS = ["8000", "8001", "8002", "8003", "8004", "8005", "8006", "8011", "8012", "8443"]


def copy_samples(directory, **texts):
    """Copy the samples to *directory*/samples, with ports that are free in place of theirs.

    *texts* are of files that are to be others. Returns the port for each of the samples' own.
    """
    free = set()
    while len(free) < len(PORTS):
        free.add(str(sites.free_port()))
    ports = dict(zip(PORTS, free, strict=True))
    samples = Path(directory) / "samples"
    shutil.copytree(
        ROOT / "samples", samples, ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in samples.iterdir():
        if path.is_file():
            text = texts.get(path.name, path.read_text())
            path.write_text(re.sub("|".join(PORTS), lambda port: ports[port[0]], text))
    return ports


def documented(sample, samples):
    """The sample's command, and pairs of a client's command and what it answers."""
    text = re.sub(r"^[;#] ?", "", (samples / sample).read_text(), flags=re.MULTILINE)
    command = re.search(r"^Run +(.*)$", text, re.MULTILINE)[1]
    expect = re.search(r"^Expect +((?:.*\n)+?)(?:\"|\n)", text, re.MULTILINE)[1]
    command = re.sub(r" {3,}\(.*", "", command)
    lines = [
        re.sub(r" {3,}\(in the realm.*", "", line.strip())
        for line in expect.splitlines()
    ]
    return command, list(zip(lines[::2], lines[1::2], strict=True))


class RunningSample:
    """A copy of a sample, while it runs as its first lines say.

    :ivar directory: where the copy is, and what it makes.
    :ivar conversation: pairs of a client's command and what is to be answered.
    :ivar stderr: the lines that it has printed there so far.
    """

    def __init__(self, sample, directory, texts, options):
        self.directory = Path(directory)
        copy_samples(directory, **texts)
        command, self.conversation = documented(sample, self.directory / "samples")
        prefix = (
            as_a_user() if "apache2" in command else []
        )  # Apache refuses to be root
        self._process = subprocess.Popen(
            [*prefix, "bash", "-c", f"exec {command} {options}"], cwd=directory,
            env={**ENVIRON, "TMPDIR": str(directory)},
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._process.stderr.readline()
        self.join = re.search(r"with: \. (\S+)", self._process.stderr.readline())[1]
        self.stderr = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(re.search(r"localhost:(\d+)", self.conversation[0][0])[1])
        sites.wait_for(self.port, self._process, 120)

    def _read(self):
        self.stderr.extend(self._process.stderr)

    def client(self, command):
        """What a client's command prints, in the sample's realm."""
        command = command.replace("curl", "curl --silent")
        done = subprocess.run(
            ["bash", "-c", f". {self.join}; {command}"],
            env=ENVIRON,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def close(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)
        self._reader.join()
        self._process.stderr.close()
        assert not Path(self.join).exists()


@contextmanager
def running(sample, options="", **texts):
    """A `RunningSample` with more *options* of its command; *texts* are of files that are others."""
    # Not pytest's tmp_path: another user, as which Apache runs, could not enter it.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        site = RunningSample(sample, directory, texts, options)
        try:
            yield site
        finally:
            site.close()
