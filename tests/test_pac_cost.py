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
    """The aim is 1.4. To make a SID of each of the 1000 groups would be 3.5."""
    asked = benchmark.populate(domain)
    names = [benchmark.WITHOUT, benchmark.WHOLE]
    found = benchmark.measure(domain, asked, 25, 6, names, ("first", "again"))
    ratios = {
        (condition, user): benchmark.least_ratio(
            found[condition, user, benchmark.WHOLE],
            found[condition, user, benchmark.WITHOUT],
        )
        for condition in ("first", "again")
        for user in benchmark.USERS
    }
    for user in benchmark.USERS:
        assert ratios["first", user] < 1.6, ratios
        assert ratios["again", user] < 1.3, ratios
