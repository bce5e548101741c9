"""Who guesses learns nothing: all bad passwords get one answer, of a real server with real KDCs."""

import time
from concurrent.futures import ThreadPoolExecutor
from unicodedata import normalize

import pytest
from password_accounts import PASSWORDS, TROUBLES, account_in
from passwords_site import PasswordsSite

SOONEST = 0.25  # seconds
#: Of one's own, for it is the KDC's answer that is to be looked at.
NO_LIMIT = {"attempts": 1000, "attempts_from_address": 1000, "workers": 8}
WAYS = {"basic": PasswordsSite.sign_on, "form": PasswordsSite.post}


def bad_of(home):
    """User and password, by what is not right with them."""
    right = home.password("alice")
    bad = {
        "wrong": ("alice", right + "x"),
        "empty": ("alice", ""),
        "unknown": ("nobody", right),
        "no user": ("", right),
        "of somebody else": ("alice", home.password("bob")),
        "non-ASCII, unknown": ("nöbödy", "Passw0rd"),
        "non-ASCII, wrong": ("pw-ünïcødé", PASSWORDS["pw-ünïcødé"].upper()),
        "non-ASCII, decomposed": ("pw-right", normalize("NFD", PASSWORDS["pw-right"])),
        "the longest": ("alice", "x" * 1024),
        "over-long": ("alice", right + "x" * 1024),
        "over-long user": ("alice" * 60, right),
        "a typed realm": (f"alice@{home.name}", right),
        "another realm": ("alice@EVIL.TEST", right),
        "a UPN": ("alice.smith@corp.example", right),
        "a domain": (r"CORP\alice", right),
        "an SPN": ("HTTP/localhost", right),
        "a NUL": ("alice", right + "\0"),
        "two lines": ("alice\n", right),
    }
    for trouble in TROUBLES:
        bad[trouble] = (account_in(trouble), "Passw0rd")
        bad[f"{trouble}, wrong"] = (account_in(trouble), "Wr0ng")
    return bad


def outcome(sign_on, site, user, password):
    """All of an answer that can be compared, and the seconds that it took."""
    began = time.perf_counter()
    answer = sign_on(site, user, password)
    seconds = time.perf_counter() - began
    headers = [line for line in answer.headers if line[0] != "Date"]
    return (answer.status, headers, answer.body), seconds


@pytest.fixture
def site(home, tmp_path):
    site = PasswordsSite(home, tmp_path, NO_LIMIT)
    yield site
    site.close()


@pytest.mark.parametrize("way", WAYS)
def test_all_bad_passwords_are_answered_alike(home, site, way):
    bad = bad_of(home)
    with ThreadPoolExecutor(6) as pool:
        pending = {
            case: pool.submit(outcome, WAYS[way], site, *typed)
            for case, typed in bad.items()
        }
        outcomes = {case: each.result() for case, each in pending.items()}
    expected, _ = outcomes["wrong"]
    assert expected[0] == 401
    assert [case for case, (answer, _) in outcomes.items() if answer != expected] == []
    assert [case for case, (_, took) in outcomes.items() if took < SOONEST] == []
    # The log, and nobody else, is told that they are not alike.
    log = site.log.read_text()
    assert log.count('reason="password-refused"') == len(bad)
    for told in ("not found in Kerberos", "has expired", "have been revoked"):
        assert told in log


@pytest.mark.parametrize("way", WAYS)
def test_the_right_ones_are_let_in(home, site, way):
    """The negative control."""
    for user, password in {"alice": home.password("alice"), **PASSWORDS}.items():
        answer = WAYS[way](site, user, password)
        assert answer.status == {"basic": 200, "form": 303}[way], user
        assert "__Host-negotiate=" in answer.header("Set-Cookie")
        assert not answer.challenges
