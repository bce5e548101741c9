"""A page of the manual: its blocks, and what becomes of a reader who types them in order.

Blocks of ``python`` and ``sh`` are run, each in the context of those before it on the page. Others
are for reading, or are files. Before a block may stand a comment:

- ``<!-- not run: REASON -->``: it is not run.
- ``<!-- prints: TEXT -->``, once or more: it prints TEXT.
- ``<!-- exits: 2 -->``: it is a shell's, and does not end with 0.

A block whose ``{code-block}`` has a caption is the content of the file of that name. A comment that
begins with ``run python`` or ``run sh`` in its first line is a block that no reader sees.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import sites
from markdown_it import MarkdownIt
from sites import BIN, TESTS

ROOT = TESTS.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
RUN = {"python", "sh"}
#: In place of these, a page gets ports that are free.
PORTS = ("8000", "8001", "8080", "8443")
_SECONDS = 300
_COMMENT = re.compile(r"<!--\s*(not run|prints|exits):\s*(.*?)\s*-->", re.DOTALL)
_HIDDEN = re.compile(r"<!-- run (python|sh)\n(.*)\n-->", re.DOTALL)
_OPTION = re.compile(r":([\w-]+):[ ]?(.*)\n")


@dataclass
class Block:
    """A fenced block, or a hidden one."""

    page: Path
    line: int
    kind: str
    text: str
    caption: str | None = None
    is_hidden: bool = False
    why_not_run: str | None = None
    prints: list[str] = field(default_factory=list)
    exits: int = 0

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page):
    """The blocks of a page, in their order."""
    blocks = []
    said = []
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        if token.type == "html_block":
            hidden = _HIDDEN.match(token.content.strip())
            if hidden:
                blocks.append(
                    _block(page, token.map[0] + 2, *hidden.groups(), [], True)
                )
            else:
                said += _COMMENT.findall(token.content)
        elif token.type == "fence":
            kind, text, caption = _fence(token)
            if kind is not None:
                block = _block(page, token.map[0] + 2, kind, text, said)
                block.caption = caption
                blocks.append(block)
            said = []
        elif token.type != "list_item_open":
            assert not said, (
                f"{page}: a comment on a block stands right before it: {said}"
            )
    assert not said, f"{page}: a comment on a block stands right before it: {said}"
    return blocks


def _fence(token):
    """Kind, text and caption. The kind of a directive other than code-block is None."""
    directive = re.match(r"\{([\w-]+)\}\s*(\w*)", token.info)
    if directive is None:
        return token.info.strip(), token.content, None
    if directive[1] != "code-block":
        return None, "", None
    text = token.content
    options = {}
    while option := _OPTION.match(text):
        options[option[1]] = option[2]
        text = text[option.end() :]
    return directive[2], text.lstrip("\n"), options.get("caption")


def _block(page, line, kind, text, said, is_hidden=False):
    block = Block(page, line, kind, text, is_hidden=is_hidden)
    for word, value in said:
        assert value, f"{block.place}: nothing is said after {word}:"
        if word == "not run":
            block.why_not_run = value
        elif word == "prints":
            block.prints.append(value)
        else:
            block.exits = int(value)
    return block


def path_of(page):
    return str(page.relative_to(DOCS))


class Reader:
    """Somebody who has a realm, an empty directory, and a page of the manual to type from.

    In the directory are the repository's ``docs`` and ``samples``; ``from myapp import app`` is
    an app that says who came in. In a shell, www.example.com and localhost are this machine.
    """

    def __init__(self, realm, directory):
        self.directory = directory
        self.ports = {}
        while len(self.ports) < len(PORTS):
            port = str(sites.free_port())
            if port not in self.ports.values():
                self.ports[PORTS[len(self.ports)]] = port
        for name in ("docs", "samples"):
            (directory / name).symlink_to(ROOT / name)
        (directory / ".hosts").write_text("127.0.0.1 localhost www.example.com\n")
        self.environ = {
            **os.environ,
            **realm.environ,
            "HOME": str(directory),
            "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": f"{directory}:{TESTS / 'reader'}",
            "GSS_MECH_CONFIG": os.devnull,
            "LC_ALL": "C.UTF-8",
        }
        self._groups = []
        self._python = None

    def read(self, block):
        """Do what a block says. Fails where that does."""
        text = re.sub("|".join(PORTS), lambda port: self.ports[port[0]], block.text)
        if block.caption:
            target = self.directory / block.caption
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        if block.why_not_run or block.kind not in RUN:
            return
        run = self._run_python if block.kind == "python" else self._run_sh
        said = run(block, text)
        for words in block.prints:
            assert words in said, f"{block.place} does not print {words!r} but:\n{said}"

    def _run_python(self, block, text):
        """In one process for all of the page's blocks."""
        log = self.directory / ".python.log"
        if self._python is None:
            with log.open("w") as stderr:
                self._python = subprocess.Popen(
                    [sys.executable, "-X", "utf8", TESTS / "reader" / "driver.py"],
                    cwd=self.directory, env=self.environ, text=True, stderr=stderr,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
            self._groups.append(self._python)
        self._python.stdin.write(json.dumps([block.place, text]) + "\n")
        self._python.stdin.flush()
        answer = self._python.stdout.readline()
        assert answer, f"{block.place} has ended Python: {log.read_text()}"
        said, problem = json.loads(answer)
        assert problem is None, f"{block.place}: {problem}\n{said}{log.read_text()}"
        return said

    def _run_sh(self, block, text):
        """In a shell that goes on where the one before it stopped; jobs live as long as the page."""
        state = self.directory / ".state"
        out = self.directory / ".out"
        script = self.directory / ".sh"
        goes_on = f". {state}\n" if state.exists() else ""
        script.write_text(
            f"trap '{{ export -p; echo \"cd $PWD\"; }} >{state}' EXIT\n{goes_on}set -e -o pipefail\n{text}"
        )
        wrapped = {
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_HOSTS": str(self.directory / ".hosts"),
        }
        with out.open("w") as stdout:
            shell = subprocess.Popen(
                ["bash", script], cwd=self.directory, env=self.environ | wrapped,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stdout, start_new_session=True,
            )  # fmt: skip
        self._groups.append(shell)
        code = shell.wait(_SECONDS)
        said = out.read_text(errors="replace")
        assert code == block.exits, f"{block.place} exits with {code}:\n{said[-3000:]}"
        return said

    def close(self):
        """End what the page has started."""
        for process in self._groups:
            for end in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, end)
                    process.wait(10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
        if self._python:
            self._python.stdin.close()
            self._python.stdout.close()
