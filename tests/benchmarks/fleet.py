"""What a second host brings: sign-ons by ticket per second of two hosts over those of one.

    tests/benchmarks/fleet.py [--rounds N] [--tokens N]

Each host is one worker on a core of its own, with a replay cache of its own; both share one store. Either
alone and both take turns round by round, loaded with tokens that were made before, and an answer that
is not alice ends the run. Figures are medians of the rounds, a ratio is the median of the rounds'
ratios of both over the mean of either.

measured    where there are cores left, they have what loads the hosts, and the store. Else each host
            shares its core with its load, and the first with the store, too, alone as well as in two
by CPU      what hosts with the whole of their cores would reach, by the least processor time that a
            sign-on took of them in any round: what is missing of 2 they lose by each other
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import in_process
from over_http import Subject, cpu_of
from valkeys import Server

from negotiate_wsgi.realm import Realm

AIM = 1.9
SERVERS = ("gunicorn-gthread", "uwsgi")


@dataclass
class Seen:
    """Of each round: sign-ons per second, and microseconds of CPU for each of them."""

    rate: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    of_store: list = field(default_factory=list)
    of_load: list = field(default_factory=list)


def cores():
    """For each of two hosts its own, and that of its load; and the store's."""
    last = os.cpu_count() - 1
    if last >= 3:
        return [(str(last), "1"), (str(last - 1), "1")], "0"
    return [(str(last), str(last)), (str(last - 1), str(last - 1))], str(last)


def load(hosts, store, tokens, seen):
    """One round of all *hosts* at a time, each with its share of *tokens*."""
    before = cpu_of(store.process.pid), cpu_of_load()
    share = len(tokens) // len(hosts)
    for number, host in enumerate(hosts):
        host.begin_load(tokens[number * share : (number + 1) * share])
    signed_on = [host.end_load() for host in hosts]
    after = cpu_of(store.process.pid), cpu_of_load()
    of_each = 1e6 / sum(signed_on)
    used = [host.cpus[-1] * count for host, count in zip(hosts, signed_on, strict=True)]
    seen.rate.append(sum(host.rates[-1] for host in hosts))
    seen.cpu.append(sum(used) / sum(signed_on))
    seen.of_store.append((after[0] - before[0]) * of_each)
    seen.of_load.append((after[1] - before[1]) * of_each)


def cpu_of_load():
    """Of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(server, realm, rounds, count, tell):
    """What was seen of the first alone, of the second alone, and of both."""
    places, of_store = cores()
    seen = [Seen(), Seen(), Seen()]
    with Server(prefix=["taskset", "--cpu-list", of_store]) as store:
        environ = in_process.conditions(realm)["Debian"] | {"STORE": store.url}
        pair = [Subject(server, "ours_fleet", *place) for place in places]
        for host in pair:
            host.start(environ)
        try:
            warm = in_process.as_base64(in_process.tokens(realm, 800))
            load(pair, store, warm, Seen())
            for number in range(rounds):
                tell(f"{server}: round {number + 1} of {rounds}")
                for hosts, own in zip((pair[:1], pair[1:], pair), seen, strict=True):
                    tokens = in_process.tokens(realm, count * len(hosts))
                    load(hosts, store, in_process.as_base64(tokens), own)
        finally:
            for host in pair:
                host.stop()
    return seen


def report(server, seen):
    for name, own in zip(("the first", "the second", "both"), seen, strict=True):
        rate, cpu, store, load = (
            statistics.median(figures)
            for figures in (own.rate, own.cpu, own.of_store, own.of_load)
        )
        print(
            f"{server:17}{name:11}{rate:6.0f} /s, of CPU for each {cpu:6.1f} us,"
            f" the store's {store:5.1f} us, the load's {load:5.1f} us"
        )
    first, second, both = seen
    alone = [sum(rates) / 2 for rates in zip(first.rate, second.rate, strict=True)]
    by_rate = in_process.ratio(both.rate, alone)
    by_cpu = 2 * min(first.cpu + second.cpu) / min(both.cpu)
    print(f"{server}: two over one, measured: {by_rate:.2f}   aim {AIM:.2f}")
    print(f"{server}: two over one, by CPU: {by_cpu:.2f}   aim {AIM:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=5000, help="of each host")
    options = parser.parse_args()
    one, five, fifteen = os.getloadavg()
    print(f"{os.cpu_count()} cores, load average {one:.2f} {five:.2f} {fifteen:.2f}")
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        for server in SERVERS:
            seen = measure(
                server,
                realm,
                options.rounds,
                options.tokens,
                lambda text: print(text, file=sys.stderr),
            )
            report(server, seen)


if __name__ == "__main__":
    main()
