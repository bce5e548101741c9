"""What others expect of a package and its repository: each file as its reader has it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sites import BIN

import negotiate_wsgi

ROOT = Path(__file__).parent.parent
#: Beside the packages, the tests and the samples: what a repository has.
TOP = {
    ".ci", ".github", ".gitignore", ".pre-commit-config.yaml", ".readthedocs.yaml", "CHANGELOG.md",
    "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "docs",
    "flask_adapter", "negotiate_wsgi", "noxfile.py", "pyproject.toml", "samples", "setup.cfg",
    "tests",
}  # fmt: skip
SCHEMAS = {
    ".github/workflows/ci.yml": "github-workflows",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ".github/ISSUE_TEMPLATE/sign-on.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/other.yml": "github-issue-forms",
    ".readthedocs.yaml": "readthedocs",
}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    return done.returncode, done.stdout + done.stderr


def tracked():
    """The files of the repository; of an sdist, which has none, there is nothing to say."""
    code, files = run("git", "-C", ROOT, "ls-files")
    if code != 0:
        pytest.skip("no repository")
    return files.splitlines()


def test_nothing_else_is_at_the_top():
    assert {Path(file).parts[0] for file in tracked()} == TOP


@pytest.mark.parametrize(("file", "schema"), SCHEMAS.items())
def test_files_are_as_their_readers_have_them(file, schema):
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}"]
    assert run(*command, ROOT / file)[0] == 0


def test_a_file_that_is_not_is_seen(tmp_path):
    """The negative control."""
    file = tmp_path / "ci.yml"
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    file.write_text(text.replace("runs-on", "runs-at"))
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    assert run(*command, file)[0] == 1


def test_ci_runs_what_we_run():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {"run": ".ci/run"} in steps
    assert (ROOT / ".ci/run").stat().st_mode & 0o100


def test_an_issue_asks_for_what_the_doctor_says():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/sign-on.yml").read_text())
    [doctor] = [part for part in form["body"] if part.get("id") == "doctor"]
    assert "negotiate-wsgi doctor --json" in doctor["attributes"]["description"]
    assert doctor["validations"]["required"]


def test_hooks_before_a_commit_are_the_tools_of_the_tests():
    file = ROOT / ".pre-commit-config.yaml"
    assert run(BIN / "pre-commit", "validate-config", file) == (0, "")
    config = yaml.safe_load(file.read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program = Path(hook["entry"].split()[0])
        assert program.parts[:3] == (".venv", "tests", "bin")
        assert (BIN / program.name).exists()


def test_sessions_of_nox():
    code, said = run(BIN / "nox", "--list", "--noxfile", ROOT / "noxfile.py")
    assert code == 0, said
    classifiers = re.findall(r"Python :: (3\.\d+)$", setup_cfg(), re.MULTILINE)
    for session in [
        *(f"tests-{version}" for version in classifiers),
        "package",
        "sbom",
    ]:
        assert f" {session} " in said


def setup_cfg():
    return (ROOT / "setup.cfg").read_text()


def test_the_version_is_said_once():
    code, said = run(BIN / "negotiate-wsgi", "--version")
    assert (code, said) == (0, f"negotiate-wsgi {negotiate_wsgi.__version__}\n")
    assert negotiate_wsgi.__version__ not in setup_cfg()


def test_the_changelog_keeps_its_form():
    """keepachangelog.com, 1.1.0: the newest first, with a date, and a link for each version."""
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## \[(.+?)\](.*)$", text, re.MULTILINE)
    versions = [version for version, _ in releases if version != "Unreleased"]
    assert versions[0] == negotiate_wsgi.__version__
    for version, date in releases:
        if version != "Unreleased":
            assert re.fullmatch(r" - (\d{4}-\d\d-\d\d|unreleased)", date)
            assert f"\n[{version}]: https://" in text
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_the_bill_of_materials_names_what_we_are_and_what_we_need(tmp_path):
    """Made by a tool, and without the network. The session of nox makes it of what is released."""
    bill = tmp_path / "bill.json"
    command = [BIN / "cyclonedx-py", "environment", "--no-validate", "-o", bill]
    code, said = run(*command, sys.executable)
    assert code == 0, said
    found = json.loads(bill.read_text())
    names = {part["name"]: part for part in found["components"]}
    assert names["negotiate-wsgi"]["version"] == negotiate_wsgi.__version__
    [licence] = names["negotiate-wsgi"]["licenses"]
    assert licence["license"]["id"] == "BSD-3-Clause"
    assert {"Werkzeug", "itsdangerous", "pykerberos"} <= names.keys()


def test_no_file_names_a_machine_of_ours():
    """Packages come from wherever the reader's pip gets them."""
    for file in tracked():
        content = (ROOT / file).read_bytes()
        assert not re.search(
            rb"(?i)extra-index-url|index-url|trusted-host", content
        ) or (file == "tests/test_package.py"), file
