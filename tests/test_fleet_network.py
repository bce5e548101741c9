"""Hosts on machines of their own, and faults of the store in the middle of the load.

``SIGN_ONS`` is how many tokens are judged; with 10 000, a fault lasts for more than a minute, too.
Each goes to both hosts in several spellings, all at a time; who is asked when is chosen at random.
"""

import os
import random
import statistics
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from fleet_site import HOSTS, USERS, FleetSite
from helpers import negotiate, wait_until
from sites import BIN
from spellings import SAME

from negotiate_wsgi import ValkeyStore

SIGN_ONS = int(os.environ.get("SIGN_ONS", "200"))
AT_A_TIME = 8
#: Milliseconds: the second for which a request waits for the store at most, and one for a busy machine.
LONGEST = 2000
#: Seconds: a try that has just failed, and the pause after it, in which nobody asks the store.
PAUSE = 2


@dataclass
class Token:
    """What became of a user's token, by host and spelling."""

    user: str
    calls: list = field(default_factory=list)

    def answers(self):
        """Pairs of a spelling and what was heard. Raises what the client met."""
        return [(name, call.result()) for name, call in self.calls]

    def is_answered(self):
        return all(call.done() for _, call in self.calls)


class Load:
    """Tokens without end, as fast as they are answered."""

    def __init__(self, users, site):
        self._users = users
        self._site = site
        self._seed = random.randrange(2**32)
        self._chance = random.Random(self._seed)
        self._room = threading.Semaphore(6 * AT_A_TIME)
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._is_over = threading.Event()
        self.tokens = []
        self._feeder = threading.Thread(target=self._feed)

    def __enter__(self):
        print(f"seed {self._seed}")
        self._feeder.start()
        return self

    def __exit__(self, *exc):
        self._is_over.set()
        self._feeder.join()
        self._pool.shutdown()

    def _feed(self):
        while not self._is_over.is_set():
            user = self._chance.choice(USERS)
            content = self._users.token(user=user)
            spellings = ["as it is", *self._chance.sample(list(SAME), 2)]
            sent = [(host, name) for host in HOSTS for name in spellings]
            self._chance.shuffle(sent)
            token = Token(user)
            for host, name in sent:
                self._room.acquire()
                authorization = negotiate(SAME[name](content))
                call = self._pool.submit(self._site.ask, host, authorization)
                call.add_done_callback(lambda call: self._room.release())
                token.calls.append((name, call))
            self.tokens.append(token)

    def epoch(self, count):
        """Returns the next *count* tokens, when they are answered, after those under way are."""
        under_way = self.tokens[-6 * AT_A_TIME :]
        wait_until(lambda: all(token.is_answered() for token in under_way))
        start = len(self.tokens) + 2  # one may be half on its way
        while len(self.tokens) < start + count:
            assert self._feeder.is_alive()
            time.sleep(0.05)
        found = self.tokens[start : start + count]
        wait_until(lambda: all(token.is_answered() for token in found))
        return found


def outcome(token):
    """How often each host took it, and how often it answered 503."""
    seen = {host: Counter() for host in HOSTS}
    for name, heard in token.answers():
        seen[heard.host][heard.status] += 1
        assert heard.status in (200, 401, 503), heard
        if heard.status == 200:
            assert heard.user == f"{token.user}@EXAMPLE.TEST"
        if heard.status == 503:
            assert heard.reason == "store-unusable"
        if heard.status == 401 and name == "as it is":
            assert heard.reason == "replayed"
    return [(seen[host][200], seen[host][503]) for host in HOSTS]


ONCE = [[(1, 0), (0, 0)], [(0, 0), (1, 0)]]
#: What may become of a token, at host one and at host two, how often taken and how often 503; by
#: what is the matter and ``when_down``.
TABLE = {
    ("nothing", "refuse"): ONCE,
    ("nothing", "local"): ONCE,
    ("all", "refuse"): [[(0, 1), (0, 1)]],
    ("all", "local"): [[(1, 0), (1, 0)]],
    ("one", "refuse"): [[(0, 1), (1, 0)]],
    ("one", "local"): [[(1, 0), (1, 0)]],
}
#: Whom it meets, what happens, and what ends it. The store keeps nothing when it is killed.
FAULTS = {
    "killed": ("all", lambda site: site.store.kill(), lambda site: site.store.start()),
    "frozen": ("all", lambda site: site.store.freeze(), lambda site: site.store.thaw()),
    "cut off": (
        "one",
        lambda site: site.network.pull("one", "store"),
        lambda site: site.network.plug("one", "store"),
    ),
    "cut off, unseen": (
        "one",
        lambda site: site.network.pull("store", "one"),
        lambda site: site.network.plug("store", "one"),
    ),
}


def judge(name, tokens, allowed):
    outcomes = Counter(str(outcome(token)) for token in tokens)
    heard = [heard for token in tokens for _, heard in token.answers()]
    took = [1000 * (one.ended - one.began) for one in heard]
    print(f"{name}: {len(tokens)} tokens, {len(heard)} requests, {dict(outcomes)},")
    print(f"    median {statistics.median(took):.1f} ms, longest {max(took):.0f} ms")
    assert set(outcomes) <= {str(one) for one in allowed}, name
    if name != "sound":
        assert max(took) < LONGEST


def look_beside(users, site, cookies):
    """What no fault of the store changes."""
    for host in HOSTS:
        for user, cookie in cookies.items():
            heard = site.ask(host, cookie=cookie)
            assert (heard.status, heard.user) == (200, users.principal(user))
        assert site.ask(host).reason == "no-credentials"
        assert site.ask(host, negotiate(b"garbage")).status == 401


def look_after_a_minute(site, cookie, when_down):
    """In which host one could not ask what sessions were revoked."""
    seen = {
        host: {site.ask(host, cookie=cookie).status for _ in range(40)}
        for host in HOSTS
    }
    print(f"after a minute, sessions: {seen}")
    assert seen == {"one": {503 if when_down == "refuse" else 200}, "two": {200}}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("when_down", ["refuse", "local"])
def test_each_token_counts_once_whatever_happens_in_the_middle(users, when_down):
    share = max(1, SIGN_ONS // (2 * len(FAULTS) + 1))
    sound = TABLE["nothing", when_down]
    with FleetSite(users.keytab, STORE_WHEN_DOWN=when_down) as site:
        cookies = {
            user: site.ask(None, users.authorization(user=user)).cookie
            for user in USERS
        }
        site.show_to_all_workers(cookies["alice"], users.principal("alice"))
        with Load(users, site) as load:
            for name, (whom, break_it, repair) in FAULTS.items():
                judge("sound", load.epoch(share), sound)
                began = time.monotonic()
                break_it(site)
                # A claim that was on its way when the store froze waits for its time-out.
                time.sleep(1)
                look_beside(users, site, cookies)
                judge(name, load.epoch(share), TABLE[whom, when_down])
                if name == "cut off, unseen" and SIGN_ONS >= 10_000:
                    time.sleep(max(0, began + 61 - time.monotonic()))
                    look_after_a_minute(site, cookies["alice"], when_down)
                repair(site)
                time.sleep(PAUSE)
                assert_is_back(users, site)
            # Whatever is left of the whole is of a sound store.
            rest = max(1, SIGN_ONS - share * 2 * len(FAULTS))
            judge("sound", load.epoch(rest), sound)
        assert_never_twice(load.tokens, when_down)
        look_beside(users, site, cookies)
        for host in HOSTS:
            log = site.log(host).read_text()
            assert "the store is back after" in log
            assert "is lost" in log


def assert_is_back(users, site):
    for host in HOSTS:
        statuses = [site.ask(host, users.authorization()).status for _ in range(16)]
        assert statuses == [200] * 16


def assert_never_twice(tokens, when_down):
    """Of all of them, those that met a fault or its end on their way as well: by one host, and by
    both where each is to go on alone.
    """
    heard = [heard for token in tokens for _, heard in token.answers()]
    refused = [one.ended - one.began for one in heard if one.status == 503]
    assert 1000 * max(refused, default=0) < LONGEST
    counts = Counter()
    for token in tokens:
        taken = [at_host[0] for at_host in outcome(token)]
        assert max(taken) <= 1
        counts[sum(taken)] += 1
    print(f"all {len(tokens)} tokens, by how often they were taken: {dict(counts)}")
    first = Counter(
        name
        for token in tokens
        for name, heard in token.answers()
        if heard.status == 200
    )
    print(f"taken as {dict(first)}")
    assert {"as it is", "bare", "kvno", "realm, bare"} <= set(first)
    if when_down == "refuse":
        assert set(counts) <= {0, 1}


def test_what_a_store_without_persistence_loses(users):
    """A token that one host took before counts at another one after: the manual says so."""
    with FleetSite(users.keytab) as site:
        before, after = users.authorization(), users.authorization()
        for authorization in (before, after):
            assert site.ask("one", authorization).status == 200
        assert site.ask("two", before).reason == "replayed"
        site.store.restart()
        time.sleep(PAUSE)
        assert site.ask("two", before).reason == "replayed"
        assert site.ask("one", after).reason == "replayed"
        assert site.ask("two", after).status == 200


class Visits:
    """Somebody's requests in a session, one after the other without end, from a thread."""

    def __init__(self, site, cookie):
        self._site = site
        self._cookie = cookie
        self._is_over = False
        self.heard = []
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self):
        while not self._is_over:
            self.heard.append(self._site.ask(cookie=self._cookie))

    def statuses(self, since):
        return Counter(heard.status for heard in self.heard if heard.began > since)

    def end(self):
        self._is_over = True
        self._thread.join()


def test_a_revoked_users_sessions_end_under_load_and_nobody_elses(users):
    refresh = 1
    with FleetSite(users.keytab, workers=4, STORE_REFRESH=str(refresh)) as site:

        def cookie(user):
            heard = site.ask(None, users.authorization(user=user))
            assert heard.status == 200, heard
            return heard.cookie

        visits = {
            user: [Visits(site, cookie(user)) for _ in range(2)] for user in USERS
        }
        everybody = [visit for visits in visits.values() for visit in visits]
        try:
            alice = users.principal("alice")
            wait_until(lambda: len(site.workers("/session", alice)) == 8)
            store_url = f"unix://{site.store.socket}"
            tool = [BIN / "negotiate-wsgi", "revoke", users.principal("alice")]
            subprocess.run([*tool, "--store", store_url], check=True)
            over = time.monotonic() + refresh + 1
            time.sleep(refresh + 3)
            assert site.ask(None, users.authorization(user="alice")).status == 200
            time.sleep(2)  # of the 5 in which a new session is one of before
            site.store.restart()
            time.sleep(PAUSE)
            back = Visits(site, cookie("alice"))
            everybody.append(back)
            time.sleep(refresh + 2)
        finally:
            for visit in everybody:
                visit.end()
        for visit in visits["alice"]:
            assert set(visit.statuses(0)) == {200, 401}
            assert set(visit.statuses(over)) == {401}
        for visit in (back, *visits["bob"], *visits["fleet-1"], *visits["fleet-2"]):
            assert set(visit.statuses(0)) == {200}
        for user, those in visits.items():
            print(user, [dict(visit.statuses(0)) for visit in those])
        print("alice, again", dict(back.statuses(0)))
        late = [
            heard.ended - over
            for visit in visits["alice"]
            for heard in visit.heard
            if heard.status == 200
        ]
        print(f"the last one {-max(late):.2f} s before it had to be")
        known = ValkeyStore(store_url).revocations(-1)
        assert list(known.principals) == [users.principal("alice")]
