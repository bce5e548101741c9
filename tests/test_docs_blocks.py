"""What the manual shows works: its blocks run, page by page, in the order in which they stand."""

import ast
import configparser
import json
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from manual import PAGES, RUN, Reader, blocks_of, path_of
from sites import BIN

from negotiate_wsgi.realm import Realm

BLOCKS = {page: blocks_of(page) for page in PAGES}
#: What is for reading alone.
READ = {
    "apache", "dockerfile", "go", "haproxy", "html", "ini", "java", "javascript", "json", "nginx",
    "text", "toml", "yaml",
}  # fmt: skip
#: What has to say why it is not run.
OTHER_SHELLS = {"bat", "powershell"}


def test_every_block_is_run_or_says_why_not():
    for block in (block for blocks in BLOCKS.values() for block in blocks):
        assert block.kind in RUN | READ | OTHER_SHELLS, block.place
        if block.kind in OTHER_SHELLS:
            assert block.why_not_run, block.place
        if block.why_not_run:
            assert block.kind in RUN | OTHER_SHELLS, block.place


@pytest.mark.parametrize("page", PAGES, ids=path_of)
def test_what_a_page_shows_is_looked_at(page):
    """Code that only runs may do anything: some block of the page looks at what it did."""
    run = [block for block in BLOCKS[page] if is_run(block, "python")]
    if run:
        asserts = [block for block in run if has_assert(block)]
        assert asserts or any(block.prints for block in BLOCKS[page])


def is_run(block, *kinds):
    return block.kind in kinds and not block.why_not_run


def has_assert(block):
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(block.text)))


@pytest.fixture(scope="module")
def readers_realm():
    users = ["alice", "bob", "root/admin"]
    with Realm(users=users, hosts=["localhost", "www.example.com"]) as realm:
        for user in users:
            realm.kinit(user, "-f")
        yield realm


@pytest.fixture
def reader(readers_realm, tmp_path):
    keytab = Path(readers_realm.keytab)
    content = keytab.read_bytes()
    reader = Reader(readers_realm, tmp_path)
    yield reader
    reader.close()
    keytab.write_bytes(content)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(is_run(block, *RUN) for block in BLOCKS[page])],
    ids=path_of,
)
def test_blocks_run(page, reader):
    for block in BLOCKS[page]:
        reader.read(block)


def checked_by_its_kind(block, tmp_path):
    if block.kind == "json":
        json.loads(block.text)
    elif block.kind == "toml":
        tomllib.loads(block.text)
    elif block.kind == "ini":
        parser = configparser.ConfigParser(
            strict=False, interpolation=None, allow_no_value=True
        )
        parser.read_string(block.text)
    elif block.kind == "yaml":
        documents = list(yaml.safe_load_all(block.text))
        if any("apiVersion" in document for document in documents):
            lint(["kubernetes-validate", "--strict"], "manifest.yaml", block, tmp_path)
    elif block.kind == "dockerfile":
        lint(["hadolint"], "Containerfile", block, tmp_path)


def lint(command, name, block, tmp_path):
    file = tmp_path / name
    file.write_text(block.text)
    [program, *arguments] = command
    done = subprocess.run(
        [BIN / program, *arguments, file], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{block.place}: {done.stdout}{done.stderr}"


def test_files_are_well_formed(tmp_path):
    for block in (block for blocks in BLOCKS.values() for block in blocks):
        checked_by_its_kind(block, tmp_path)
