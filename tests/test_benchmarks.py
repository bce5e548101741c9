"""The benchmark runs, and what it says is what it measured."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def ratios_of(said):
    """By the two that are compared, each with its condition."""
    rows = re.findall(
        r"^(.+?) \((\w+)\) / (.+?) \((\w+)\): ([\d.]+)   aim", said, re.MULTILINE
    )
    return {
        (here, ours, there, theirs): float(ratio)
        for ours, here, theirs, there, ratio in rows
    }


#: Twice as much as is true, for one round on a busy machine; the aims are for a quiet one.
BOUNDS = {
    ("small", "ours, pykerberos", "small", "bare pykerberos"): 2,
    ("Debian", "ours, pykerberos", "Debian", "WSGI-Kerberos hostname"): 1,
    ("small", "ours, gssapi", "small", "C"): 4,
    ("Debian", "ours, gssapi", "Debian", "C"): 3,
    ("foreign", "ours, gssapi", "small", "ours, gssapi"): 3,
    ("realms", "ours, gssapi", "small", "ours, gssapi"): 3,
}


def test_in_process_compares_all_subjects_in_one_run():
    script = BENCHMARKS / "in_process.py"
    command = [sys.executable, str(script), "--rounds", "1", "--requests", "60"]
    too_much = dict(BOUNDS)
    # A virtual machine's pace doubles and halves within seconds, in processor time as well: what
    # is true is seen in one of three runs.
    for _ in range(3):
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        rows = re.findall(
            r"^(small|Debian|realms|foreign) +(\S.*?) +[\d.]+ us$",
            said.stdout,
            re.MULTILINE,
        )
        assert len(rows) == len(set(rows)) == 4 * 11
        ratios = ratios_of(said.stdout)
        assert len(ratios) == 9
        too_much = {
            each: ratios[each] for each in too_much if ratios[each] >= BOUNDS[each]
        }
        if not too_much:
            break
    assert too_much == {}


def test_an_answer_that_is_not_alice_ends_the_run(realm):
    command = [
        sys.executable,
        str(BENCHMARKS / "in_process.py"),
        "--work",
        "ours_gssapi",
    ]
    bob = realm.token(user="bob").hex()
    done = subprocess.run(command, input=bob, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "AssertionError: b'bob@EXAMPLE.TEST'" in done.stderr


def test_session_compares_with_the_unprotected_application():
    script = Path(__file__).parent / "benchmarks" / "session.py"
    command = [sys.executable, str(script), "--rounds", "1", "--seconds", "1"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.search(r"^in process +\+ *[\d.]+ us", said, re.MULTILINE)
    assert re.search(r"^with a store +\+ *-?[\d.]+ us", said, re.MULTILINE)
    ratios = dict(re.findall(r"^(\S+) .* ratio ([\d.]+) ", said, re.MULTILINE))
    assert set(ratios) == {"gunicorn-gthread", "uwsgi"}
    # How large the ratio is says nothing here, where other tests share the cores. A cookie
    # that does not count ends the script, which takes nothing but a 200.
    assert all(float(ratio) > 0 for ratio in ratios.values())


@pytest.mark.parametrize("subject", ["gssapi", "direct", "anew"])
def test_libkrb5_called_directly_accepts_each_token_once(realm, subject):
    command = [sys.executable, str(BENCHMARKS / "libkrb5_direct.py"), "--work", subject]
    tokens = [realm.token().hex() for _ in range(3)]

    def work(*lines):
        text = "\n".join(lines)
        said = subprocess.run(command, input=text, capture_output=True, text=True)
        return said.returncode

    assert work(*tokens) == 0
    assert work(tokens[0]) == 1
    assert work(realm.token(user="bob").hex()) == 1


def test_fleet_compares_two_hosts_with_one():
    script = BENCHMARKS / "fleet.py"
    command = [sys.executable, str(script), "--rounds", "1", "--tokens", "300"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ratios = re.findall(
        r"^(\S+): two over one, (\w+).*: ([\d.]+) +aim", said, re.MULTILINE
    )
    assert len(ratios) == 4
    # What it is says nothing here, but a host that takes another's token again ends the script.
    assert all(float(ratio) > 0 for *_, ratio in ratios)


@pytest.mark.parametrize(
    "subject",
    ["library_alone", "bare_pinned", "ours_logged", "ours_twice", "ours_forwarded"],
)
def test_what_is_counted_has_signed_on(realm, subject):
    """By valgrind, which need not be here to see that."""
    command = [sys.executable, str(BENCHMARKS / "growth.py"), "--work", subject]
    good = [realm.token().hex() for _ in range(22)]

    def work(tokens):
        text = "\n".join(tokens)
        return subprocess.run(command, input=text, text=True, capture_output=True)

    assert work(good).returncode == 0
    done = work(
        [realm.token().hex() for _ in range(21)] + [realm.token(user="bob").hex()]
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("sessions", ["one", "each another"])
def test_what_is_counted_of_sessions(sessions):
    script = [sys.executable, str(BENCHMARKS / "growth.py"), "--sessions", sessions]
    assert subprocess.run([*script, "--requests", "3"]).returncode == 0


def test_the_manual_shows_what_was_measured():
    pages = BENCHMARKS.parents[1] / "docs" / "understanding"
    shown = set()
    for page in pages.glob("*.md"):
        found = re.findall(r"{(?:include|image)} (\S+/results/\S+)", page.read_text())
        shown |= {(page.parent / path).resolve() for path in found}
    assert shown == set((BENCHMARKS / "results").iterdir())
    assert (BENCHMARKS / "results" / "table.md").read_text().count("\n| ") > 15
