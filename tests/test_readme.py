"""Nothing shown is untested: the README's blocks run as they stand."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers import is_asked
from sites import WsgiSite

from negotiate_wsgi import NegotiateMiddleware

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for kind, text in BLOCKS if kind == language]


def test_it_is_short_and_every_block_is_run():
    assert len(README.splitlines()) <= 130
    assert {kind for kind, _ in BLOCKS} == {"python", "sh"}


@pytest.fixture
def www(realm):
    realm.kadmin("addprinc", "-randkey", "HTTP/www.example.com")
    realm.kadmin("ktadd", "-k", realm.keytab, "-norandkey", "HTTP/www.example.com")
    yield realm
    realm.kadmin("delprinc", "-force", "HTTP/www.example.com")


def run(block, monkeypatch):
    """The site that a block makes."""
    myapp = ModuleType("myapp")
    myapp.app = hello
    monkeypatch.setitem(sys.modules, "myapp", myapp)
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    return WsgiSite(names.get("application") or names["app"])


WITH_GROUPS = [block for block in blocks("python") if "groups" in block]


@pytest.mark.parametrize("block", [b for b in blocks("python") if b not in WITH_GROUPS])
def test_python_blocks(block, www, monkeypatch):
    site = run(block, monkeypatch)
    path = next(iter(re.findall(r'route\("(.*?)"', block)), "/")
    answer = site.request(path, www.authorization("HTTP/www.example.com"))
    assert answer.status == 200
    assert "alice" in answer.text
    assert is_asked(site.request(path))


def test_the_block_with_groups(domain, monkeypatch):
    [block] = WITH_GROUPS
    with_our_sid, count = re.subn(r"S-1-5-21-[\d-]+", domain.sid_of("staff"), block)
    assert count == 1
    site = run(with_our_sid, monkeypatch)
    assert site.request("/", domain.authorization(user="alice")).status == 200
    assert site.request("/", domain.authorization(user="bob")).status == 403
    assert is_asked(site.request("/"))


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {environ['REMOTE_USER']}".encode()]


def test_the_two_commands_are_on_the_first_screen_and_work():
    [block] = [block for block in blocks("sh") if "samples/demo" in block]
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    assert commands == ["samples/demo", "tests/run"]
    assert README.index(block) < README.index("\n".join(README.splitlines()[25:]))
    assert os.access(ROOT / "tests" / "run", os.X_OK)  # it is what runs us
    demo = subprocess.run(["samples/demo"], cwd=ROOT, capture_output=True, text=True)
    assert demo.returncode == 0, demo.stderr
    assert "alice@EXAMPLE.TEST" in demo.stdout


def test_what_is_installed_is_there():
    """pip is not run: the extra exists, and the packages are those that we install."""
    [install] = [block for block in blocks("sh") if "pip install" in block]
    [extra] = re.findall(r"negotiate-wsgi\[(\w+)\]", install)
    setup = configparser.ConfigParser()  # an sdist has it in another layout
    setup.read(ROOT / "setup.cfg")
    assert extra in setup["options.extras_require"]
    packages = re.search("apt-get install ([a-z0-9 -]*[a-z])", install)[1].split()
    assert set(packages) <= set(
        re.findall(r"[\w-]+", (ROOT / "samples" / "set-up").read_text())
    )


def test_links_work_wherever_the_readme_is_shown():
    """Those to the manual are followed where that is built."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert all(target.startswith("https://") for target in targets)
    files = re.findall(
        r"https://(?:github\.com|raw\.githubusercontent\.com)/negotiate-wsgi/negotiate-wsgi/"
        r"(?:(?:blob|tree)/)?main/([^)]+)\)",
        README,
    )
    assert files
    for file in files:
        assert (ROOT / file).exists(), file


def test_every_option_has_its_paragraph_in_the_class_docstring():
    import inspect

    documented = re.findall(r":param (\w+):", NegotiateMiddleware.__doc__)
    assert documented == list(inspect.signature(NegotiateMiddleware).parameters)
