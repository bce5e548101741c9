"""What the PAC costs: a sign-on that asks who it is and for groups, by ratio to one that does not."""

import logging
import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    """The benchmark's module; what the log costs is not what is measured."""
    monkeypatch.setattr(logging.getLogger("negotiate_wsgi"), "disabled", True)
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    import active_directory

    yield active_directory
    del sys.modules["active_directory"]


def test_asking_for_groups_costs_little_beside_a_sign_on(domain, benchmark):
    """The aim is 1.4. To make a SID of each of the 1000 groups would be 3.5.

    A PAC that is seen for the first time takes 1.7 to 1.95: its signature is verified by libkrb5 and
    once more by us, as libkrb5 1.21 does not say what came of it.
    """
    asked = benchmark.populate(domain)
    names = [benchmark.WITHOUT, benchmark.WHOLE]
    seen = []
    for _ in range(3):  # What else the machine does can cost one more than the other.
        found = benchmark.measure(domain, asked, 25, 6, names, ("first", "again"))
        ratios = {
            (condition, user): benchmark.least_ratio(
                found[condition, user, benchmark.WHOLE],
                found[condition, user, benchmark.WITHOUT],
            )
            for condition in ("first", "again")
            for user in benchmark.USERS
        }
        seen.append(ratios)
        most = {"first": 2.2, "again": 1.3}
        if all(ratio < most[kind] for (kind, _), ratio in ratios.items()):
            return
    raise AssertionError(seen)
