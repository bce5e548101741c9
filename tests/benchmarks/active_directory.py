"""What the PAC costs: a sign-on with ``active_directory`` and ``groups``, over one without them.

    tests/benchmarks/active_directory.py [--rounds N] [--requests N] [--write]

Samba's domain controller, a user in 9 groups and one in 1000, and 10 groups configured. In
process, CPU of one thread, the middleware and all that is under it. Subjects take turns round by
round; a figure is the median of the rounds' medians, a ratio the median of the rounds' ratios. What
the machine does besides comes on top: the last column is the ratio of the least that either took.
Every answer that does not name who they are and their groups ends the run. With --write, a table
for the manual goes to tests/benchmarks/results. Conditions:

first   nobody has seen this PAC before, as at a user's first sign-on of the day
again   the process has seen it, as where there are no sessions
bare    as first, and without a replay cache: no aim, as no server should be without one
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import sys
import time
from pathlib import Path
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domain import Domain

from negotiate_wsgi import GssapiAcceptor, NegotiateMiddleware, get_identity
from negotiate_wsgi.acceptors import pac

AIM = 1.4
WITHOUT = "without"
WHOLE = "active_directory, groups"
USERS = {"has-few": 9, "has-many": 1000}
CONDITIONS = ("first", "again", "bare")
WARM_UP = 5


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    identity = get_identity(environ)
    return [" ".join([identity.principal, *sorted(identity.groups)]).encode()]


def populate(domain):
    """Users in groups of their own; returns the SIDs to ask for, by the groups' names."""
    asked = {"admins": domain.sid_of("Domain Admins"), "all": "S-1-5-11"}
    domain.add_service_account("svc-benchmark", ["HTTP/benchmark.test"])
    domain.export_keytab(domain.keytab, "HTTP/benchmark.test")
    for user, count in USERS.items():
        domain.add_user(user)
        names = [f"of {user} {number:04}" for number in range(count)]
        sids = domain.add_groups(names, members=[user])
        asked |= {f"{user}-{place}": sids[place] for place in (0, 3, 5, count - 1)}
        domain.kinit(user)
    return asked


def subjects(asked):
    """Sign-ons, by what is asked of the PAC."""
    options = {
        WITHOUT: {},
        "active_directory": {"active_directory": True},
        "groups": {"groups": asked},
        WHOLE: {"active_directory": True, "groups": asked},
    }
    return {
        name: NegotiateMiddleware(app, acceptor=GssapiAcceptor(**each))
        for name, each in options.items()
    }


def expected(domain, name, user, asked):
    groups = [group for group in asked if group.startswith(user)]
    found = sorted(groups) if "groups" in name else []
    return " ".join([f"{user}@{domain.name}", *found])


def sign_on(middleware, authorization):
    """Microseconds of this thread's CPU, and what the application said."""
    environ = {"PATH_INFO": "/", "HTTP_AUTHORIZATION": authorization}
    setup_testing_defaults(environ)
    statuses = []
    began = time.thread_time()
    chunks = middleware(
        environ, lambda status, headers, exc_info=None: statuses.append(status)
    )
    body = b"".join(chunks)
    took = time.thread_time() - began
    assert statuses == ["200 OK"], statuses
    return took * 1e6, body.decode()


def forget():
    """What a process remembers of PACs."""
    pac._genuine_pac.cache_clear()
    pac._member.cache_clear()
    pac._named.cache_clear()


def cost(domain, name, middleware, user, condition, requests, asked):
    """What each of *requests* sign-ons took, in microseconds."""
    if condition == "bare":
        os.environ["KRB5RCACHENAME"] = "none:"
    took = []
    for _ in range(requests):
        authorization = domain.authorization("HTTP/benchmark.test", user)
        if condition != "again":
            forget()
        microseconds, said = sign_on(middleware, authorization)
        assert said == expected(domain, name, user, asked), said
        took.append(microseconds)
    os.environ.pop("KRB5RCACHENAME", None)
    return took


def measure(domain, asked, rounds, requests, names=None, conditions=CONDITIONS):
    """By condition, user and subject: what each sign-on took, a list for each round."""
    # Each condition has acceptors of its own: their credentials keep the replay cache.
    known = {condition: subjects(asked) for condition in conditions}
    kinds = [
        (condition, user, name)
        for condition in conditions
        for user in USERS
        for name in names or known[condition]
    ]
    found = {kind: [] for kind in kinds}
    for count in [WARM_UP, *[requests] * rounds]:
        for kind in random.sample(kinds, len(kinds)):
            condition, user, name = kind
            middleware = known[condition][name]
            found[kind].append(
                cost(domain, name, middleware, user, condition, count, asked)
            )
    return {kind: took[1:] for kind, took in found.items()}


def ratio(took, plain):
    """The median of the rounds' ratios."""
    medians = map(statistics.median, took)
    return statistics.median(
        one / statistics.median(other)
        for one, other in zip(medians, plain, strict=True)
    )


def least_ratio(took, plain):
    """The ratio of the least that each took: with least of what else the machine did."""
    return min(map(min, took)) / min(map(min, plain))


def live_in(domain):
    """Have this process be a server of *domain*."""
    logging.disable()
    os.environ |= domain.environ_of(next(iter(USERS)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with Domain() as domain:
        asked = populate(domain)
        live_in(domain)
        found = measure(domain, asked, options.rounds, options.requests)
    worst = [0.0, 0.0]
    lines = [
        "| PAC | groups | asked for | us of CPU | over a sign-on without |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (condition, user, name), took in found.items():
        plain = found[condition, user, WITHOUT]
        ratios = [ratio(took, plain), least_ratio(took, plain)]
        print(
            f"{condition:6} {USERS[user]:4} groups  {name:26}"
            f" {statistics.median(map(statistics.median, took)):5.0f} us"
            f"   x{ratios[0]:.2f}   x{ratios[1]:.2f}"
        )
        lines.append(
            f"| {condition} | {USERS[user]} | {name} |"
            f" {statistics.median(map(statistics.median, took)):.0f} | {ratios[0]:.2f} |"
        )
        if condition != "bare":
            worst = list(map(max, worst, ratios))
    if options.write:
        results = Path(__file__).resolve().parent / "results"
        (results / "active_directory.md").write_text("\n".join(lines) + "\n")
    print(f"\nat most x{worst[0]:.2f}   x{worst[1]:.2f}   aim {AIM:.2f}")


if __name__ == "__main__":
    main()
