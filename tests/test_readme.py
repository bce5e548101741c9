"""Nothing shown is untested: the README's blocks run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers import is_asked
from sites import WsgiSite

from negotiate_wsgi import NegotiateMiddleware, Reason

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for kind, text in BLOCKS if kind == language]


def test_every_block_is_of_a_kind_that_is_run_or_of_another_system():
    assert {kind for kind, _ in BLOCKS} == {"python", "sh", "text"}
    assert [text.split()[0] for text in blocks("text")] == ["ktpass"]


@pytest.fixture
def www(realm):
    if not realm.has_user("root/admin"):
        realm.kadmin("addprinc", "-randkey", "HTTP/www.example.com")
        realm.add_user("root/admin")
    realm.kadmin("ktadd", "-k", realm.keytab, "-norandkey", "HTTP/www.example.com")
    return realm


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks(block, www, monkeypatch):
    myapp = ModuleType("myapp")
    myapp.app = hello
    monkeypatch.setitem(sys.modules, "myapp", myapp)
    monkeypatch.setenv("SECRET_KEY", "a key of thirty-two bytes or more")
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    if "assert" in block:
        assert names["client"].get("/").status_code == 401
        return
    site = WsgiSite(names.get("application") or names["app"])
    path = next(iter(re.findall(r'route\("(.*?)"', block)), "/")
    user = "root/admin" if "/admin" in block else "alice"
    answer = site.request(path, www.authorization("HTTP/www.example.com", user=user))
    assert answer.status == 200
    assert user in answer.text
    if "required=False" in block:
        assert site.request(path).text == "Hello stranger"
    else:
        assert is_asked(site.request(path))


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {environ['REMOTE_USER']}".encode()]


@pytest.mark.parametrize("block", blocks("sh"))
def test_sh_blocks(block):
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    for command in commands:
        if command == "tests/run":
            assert os.access(ROOT / command, os.X_OK)  # it is what runs us
            continue
        environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        expected = (
            "NW016  sign-on to ourselves: HTTP/localhost@"
            if "doctor" in command
            else "alice@"
        )
        assert f"{expected}EXAMPLE.TEST" in done.stdout


def test_the_two_commands_are_on_the_first_screen():
    first_screen = README.splitlines()[:25]
    assert any(line.startswith("samples/demo") for line in first_screen)
    assert any(line.startswith("tests/run") for line in first_screen)


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_every_reason_is_in_the_table(reason):
    assert (
        f"| `{reason}` | {reason.status} | {reason.cause} | {reason.remedy} |" in README
    )


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_option_has_its_paragraph_in_the_class_docstring():
    import inspect

    documented = re.findall(r":param (\w+):", NegotiateMiddleware.__doc__)
    assert documented == list(inspect.signature(NegotiateMiddleware).parameters)
