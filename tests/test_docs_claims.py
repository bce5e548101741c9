"""What pages of the manual say of the tests, the reasons, the checks and other servers is so."""

import re

import pytest
from manual import DOCS
from sites import TESTS

from negotiate_wsgi import Reason
from negotiate_wsgi.doctor import servers
from negotiate_wsgi.doctor.run import gather

THREATS = (DOCS / "understanding" / "threat-model.md").read_text()
SYMPTOMS = (DOCS / "howto" / "troubleshooting.md").read_text()
LIMITS = (DOCS / "howto" / "header-limits.md").read_text()


def named_tests(page):
    """Pairs of a file and a test in it, in the order of the page."""
    named = []
    file = None
    for word in re.findall(r"`(test_\w+(?:\.py)?)`", page):
        if word.endswith(".py"):
            file = word
        else:
            named.append((file, word))
    return named


def is_there(file, test):
    source = (TESTS / file).read_text()
    return re.search(rf"^ *(?:async )?def {test}\(", source, re.MULTILINE) is not None


def test_each_defence_names_tests_that_there_are():
    named = named_tests(THREATS)
    assert len(named) > 50
    assert [each for each in named if not is_there(*each)] == []
    # The negative control.
    assert not is_there("test_policy.py", "test_realms_are_compared_by_prefix")


def test_each_defence_names_a_test():
    _, _, after = THREATS.partition("## Defences")
    defences, _, _ = after.partition("\n## ")
    paragraphs = re.findall(r"^(\S.*)\n: ((?:.+\n)+)", defences, re.MULTILINE)
    assert len(paragraphs) > 20
    assert [title for title, text in paragraphs if not named_tests(text)] == []


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_each_reason_belongs_to_a_symptom(reason):
    assert f"[{reason}](#reason-{reason})" in SYMPTOMS


@pytest.mark.parametrize("check", gather(), ids=lambda check: check.id)
def test_each_check_belongs_to_a_symptom(check):
    assert f"[{check.id}](#check-{check.id.lower()})" in SYMPTOMS


def test_header_limits_are_lifted_as_the_doctor_says():
    for server in (*servers._SPEAKING, servers.UWSGI):
        [row] = re.findall(rf"^\| {server.name} \|.*$", LIMITS, re.MULTILINE)
        assert f"`{server.limit}`" in row
