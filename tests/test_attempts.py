"""How many passwords may be tried: for one user, from one address, by all processes of a host."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter as Tally

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_properties import SOME

from negotiate_wsgi import AcceptorError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.request import attempts as module
from negotiate_wsgi.request import attempts_file
from negotiate_wsgi.request.attempts import (
    Attempts,
    Denied,
    same_address,
    same_user,
)
from negotiate_wsgi.request.attempts_file import Counter, locked_table

PERIOD = 1800
#: With the installed package, wherever we are.
PYTHON = [sys.executable, "-P", "-c"]
HOME = "192.0.2.1"


class Clock:
    now = 1_800_000_000

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "_now", clock)
    return clock


@pytest.fixture
def path(tmp_path, monkeypatch, clock):
    """Where the file of attempts is going to be."""
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return tmp_path / f"negotiate_{os.geteuid()}.attempts"


@pytest.fixture
def attempts(path):
    return Attempts(3, 30, PERIOD)


def fail(attempts, user="alice", address=HOME, times=1):
    for _ in range(times):
        assert attempts.take(user, address) is None
        attempts.fail(user, address)


def unusable(attempts):
    with pytest.raises(AcceptorError) as error:
        attempts.take("alice", HOME)
    assert error.value.reason is Reason.ATTEMPTS_UNUSABLE
    return error.value.detail


def open_files():
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(found)


# The limits


def test_of_one_user_from_many_addresses(attempts):
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        fail(attempts, address=address)
    denied = attempts.take("alice", "192.0.2.4")
    assert denied == Denied(PERIOD + 1, True, "user", False)
    assert attempts.take("bob", "192.0.2.1") is None


def test_of_many_users_from_one_address(attempts):
    for number in range(30):
        fail(attempts, user=f"user{number}")
    denied = attempts.take("alice", HOME)
    assert denied == Denied(PERIOD + 1, True, "address", False)
    assert attempts.take("alice", "192.0.2.2") is None


def test_of_both(path):
    attempts = Attempts(1, 1, PERIOD)
    fail(attempts)
    assert attempts.take("alice", HOME).whose == "user and address"


def test_a_denied_attempt_counts_for_nobody(attempts):
    fail(attempts, times=3)
    for _ in range(100):
        assert attempts.take("alice", "192.0.2.2")
    fail(attempts, "bob", "192.0.2.2")
    with locked_table() as table:
        assert table.get("address 192.0.2.2").failed == 1
        assert table.get("user alice").in_all == 3


def test_only_the_first_denial_is_news_until_another_fails(attempts, clock):
    fail(attempts, times=3)
    assert [attempts.take("alice", HOME).is_first for _ in range(3)] == [
        True,
        False,
        False,
    ]
    assert not attempts.take("alice", "192.0.2.2").is_first
    clock.now += PERIOD + 1
    fail(attempts, times=3)
    assert attempts.take("alice", HOME).is_first


def test_a_right_password_clears_the_user_and_leaves_the_address(attempts):
    fail(attempts, times=2)
    attempts.take("alice", HOME)
    attempts.succeed("alice", HOME)
    fail(attempts, times=3)
    assert attempts.take("alice", HOME).whose == "user"
    with locked_table() as table:
        assert table.get(f"address {HOME}")[1:] == (5, 0, False)


def test_what_is_given_back_never_was(attempts):
    fail(attempts, times=2)
    with locked_table() as table:
        before = table.get("user alice"), table.get(f"address {HOME}")
    attempts.take("alice", HOME)
    attempts.give_back("alice", HOME)
    with locked_table() as table:
        assert (table.get("user alice"), table.get(f"address {HOME}")) == before
    attempts.give_back("bob", "192.0.2.2")
    with locked_table() as table:
        assert table.get("user bob") == Counter()


def test_what_is_being_checked_counts_and_is_said_to_be_no_failure(attempts):
    for _ in range(3):
        assert attempts.take("alice", HOME) is None
    assert attempts.take("alice", HOME) == Denied(1, False, "user", True)
    attempts.give_back("alice", HOME)
    assert attempts.take("alice", HOME) is None


def test_a_right_password_does_not_clear_guesses_on_their_way(attempts):
    for _ in range(3):
        attempts.take("alice", HOME)
    attempts.succeed("alice", HOME)
    attempts.take("alice", HOME)
    assert attempts.take("alice", HOME).is_busy
    for _ in range(3):
        attempts.fail("alice", HOME)
    assert not attempts.take("alice", HOME).is_busy


def test_a_failure_that_was_forgotten_while_it_was_checked_counts(attempts, path):
    attempts.take("alice", HOME)
    path.unlink()
    attempts.fail("alice", HOME)
    fail(attempts, times=2)
    assert attempts.take("alice", HOME)


def test_more_at_a_time_than_a_record_can_count(path):
    attempts = Attempts(10**9, 10**9, PERIOD)
    taken = [attempts.take("alice", HOME) for _ in range(256)]
    assert taken[:255] == [None] * 255
    assert taken[255].is_busy
    with locked_table() as table:
        table.put("user bob", Counter(module._now(), 0xFFFE))
    fail(attempts, "bob", "192.0.2.2")
    attempts.fail("bob", "192.0.2.2")
    assert not attempts.take("bob", "192.0.2.2").is_busy


def test_another_failure_is_news_where_another_application_lets_it_be_tried(attempts):
    """With more attempts, on the same host."""
    fail(attempts, times=3)
    assert attempts.take("alice", HOME).is_first
    fail(Attempts(5, 30, PERIOD))
    assert [attempts.take("alice", HOME).is_first for _ in range(2)] == [True, False]


# The time


def test_the_time_begins_with_each_failure_and_ends_after_it(attempts, clock):
    fail(attempts, times=2)
    clock.now += PERIOD
    fail(attempts)
    clock.now += PERIOD
    assert attempts.take("alice", HOME).retry_after == 1
    clock.now += 1
    fail(attempts, times=3)
    assert attempts.take("alice", HOME).retry_after == PERIOD + 1


def test_a_denied_attempt_does_not_prolong_it(attempts, clock):
    fail(attempts, times=3)
    for passed in range(0, PERIOD, 60):
        assert attempts.take("alice", HOME).retry_after == PERIOD + 1 - passed
        clock.now += 60
    clock.now += 1
    assert attempts.take("alice", HOME) is None


@pytest.mark.parametrize("end", ["succeed", "give_back"])
def test_what_did_not_fail_does_not_prolong_it(attempts, clock, end):
    """Else the failures of many users behind one address would never be forgotten."""
    for number in range(29):
        fail(attempts, user=f"user{number}")
    for _ in range(PERIOD // 60):
        clock.now += 60
        attempts.take("alice", HOME)
        getattr(attempts, end)("alice", HOME)
    clock.now += 1
    fail(attempts, "bob")
    assert attempts.take("alice", HOME) is None


def test_a_process_that_died_while_it_checked_costs_one_attempt_for_a_period(
    attempts, clock
):
    attempts.take("alice", HOME)
    fail(attempts, times=2)
    assert attempts.take("alice", HOME).is_busy
    clock.now += PERIOD + 1
    fail(attempts, times=3)


@pytest.mark.parametrize("back", [1, PERIOD, 10 * PERIOD, 50 * 365 * 86400])
def test_a_clock_that_is_put_back_lets_nobody_in_early_or_late(attempts, clock, back):
    fail(attempts, times=3)
    clock.now -= back
    assert attempts.take("alice", HOME).retry_after == PERIOD + 1
    clock.now += PERIOD
    assert attempts.take("alice", HOME).retry_after == 1
    clock.now += 1
    assert attempts.take("alice", HOME) is None


def test_a_clock_that_was_never_set(attempts, clock):
    """As on a machine without a battery, until it finds the time in the network."""
    clock.now = 5
    fail(attempts, times=2)
    clock.now += PERIOD
    fail(attempts)
    clock.now += PERIOD
    assert attempts.take("alice", HOME).retry_after == 1


def test_the_clock_is_that_of_the_wall():
    assert abs(module._now() - os.times().elapsed) > 10**8
    assert isinstance(module._now(), int)


# Who is the same?


@pytest.mark.parametrize(
    "typed",
    ["alice", "ALICE", "Alice ", "  alice", "\uff41l\uff49ce", "álicé", "a\u0301lic\u0308e", "Ⓐlice",
     "al\u200bi\u00adce", "al\u0131ce", "ALİCE"],
)  # fmt: skip
def test_spellings_of_alice(typed):
    assert same_user(typed) == "alice"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Bjørn", "BJORN"), ("Straße", "STRASSE"), ("straẞe", "strasse"), ("Łódź", "lodz"),
     ("Æsa", "aesa"), ("Œuvre", "oeuvre"), ("two words", "two \u00a0 words"), ("か", "カ"),
     ("が", "ｶ"), ("ΣΊΣΥΦΟΣ", "σισυφος"), ("ﬁn", "FIN"), ("Щит", "щИт")],
)  # fmt: skip
def test_other_spellings(one, other):
    assert same_user(one) == same_user(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("alice", "alice1"), ("a.smith", "asmith"), ("a-smith", "a_smith"), ("web2$", "web2"),
     ("two words", "twowords"), ("", "a"), ("щит", "щип"), ("å", "b"), ("中", "国")],
)  # fmt: skip
def test_users_that_differ(one, other):
    assert same_user(one) != same_user(other)


@given(st.text())
@SOME
def test_any_name_has_a_counter(typed):
    assert same_user(same_user(typed)) == same_user(typed)
    assert same_user(typed.upper()) == same_user(typed.upper().lower())


@pytest.mark.parametrize(
    ("remote", "same"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"),
     ("::FFFF:c000:201", "192.0.2.1"), ("2001:db8::1", "20010db800000000::/64"),
     ("2001:DB8:0:0:ffff::", "20010db800000000::/64"), ("2001:db8:0:1::1", "20010db800000001::/64"),
     ("fe80::1%eth0", "fe80000000000000::/64"), ("::1", "0::/64"), ("", "unknown"),
     ("unix:", "unknown"), ("192.0.2.01", "unknown"), ("192.0.2.1:443", "unknown"),
     ("[::1]", "unknown"), ("1", "unknown"), ("a" * 100_000, "unknown"), ("\ud800", "unknown")],
)  # fmt: skip
def test_addresses(remote, same):
    assert same_address(remote) == same


def test_a_user_named_like_an_address(attempts):
    fail(attempts, user=HOME, address="192.0.2.9", times=3)
    assert attempts.take("alice", HOME) is None


# Against a model


class Model:
    """The same, of unlimited memory, for one process."""

    def __init__(self, *limits):
        self.limits = limits
        self.counters = {}

    def counters_of(self, names, now):
        for name in names:
            counter = self.counters.setdefault(
                name, {"since": now, "failed": 0, "checked": 0}
            )
            counter["since"] = min(counter["since"], now)
            is_old = now - counter["since"] > PERIOD
            if is_old or counter["failed"] + counter["checked"] == 0:
                counter.update(since=now, failed=0, checked=0, told=False)
        return [self.counters[name] for name in names]

    def take(self, names, now):
        both = list(zip(self.counters_of(names, now), self.limits, strict=True))
        full = [c for c, limit in both if c["failed"] >= limit]
        if full:
            is_first = not all(c["told"] for c in full)
            for c in full:
                c["told"] = True
            return max(c["since"] for c in full) + PERIOD + 1 - now, is_first
        if any(c["failed"] + c["checked"] >= limit for c, limit in both):
            return "busy"
        for c, _ in both:
            c["checked"] += 1
        return None

    def end(self, how, names, now):
        both = [
            self.counters.setdefault(n, {"since": 0, "failed": 0, "checked": 0})
            for n in names
        ]
        if how == "fail":
            both = self.counters_of(names, now)
        for c in both:
            c["checked"] = max(c["checked"] - 1, 0)
            if how == "fail":
                c.update(since=now, failed=c["failed"] + 1, told=False)
        if how == "succeed":
            both[0].update(failed=0)


STEPS = st.lists(
    st.tuples(st.just("take"), st.sampled_from("ab"), st.sampled_from(["::1", "1:1::", HOME]))
    | st.tuples(
        st.sampled_from(["fail", "fail", "fail", "succeed", "give_back"]), st.integers(0, 5)
    )
    | st.tuples(
        st.just("wait"), st.sampled_from([0, 1, 900, PERIOD, PERIOD + 1, -1, -PERIOD, -10**6])
    ),
    max_size=40,
)  # fmt: skip


@pytest.fixture
def forget(path):
    return lambda: path.unlink(missing_ok=True)


def test_any_order_of_things(clock, forget):
    @SOME
    @given(STEPS)
    def in_this_order(steps):
        forget()
        attempts, model, on_their_way = Attempts(2, 3, PERIOD), Model(2, 3), []
        for what, *details in steps:
            if what == "take":
                denied = attempts.take(*details)
                expected = model.take([details[0], same_address(details[1])], clock.now)
                assert in_short(denied) == expected
                if denied is None:
                    on_their_way.append(details)
            elif what == "wait":
                clock.now += details[0]
            elif details[0] < len(on_their_way):
                user, address = on_their_way.pop(details[0])
                getattr(attempts, what)(user, address)
                model.end(what, [user, same_address(address)], clock.now)

    in_this_order()


def in_short(denied):
    if denied is None:
        return None
    if denied.is_busy:
        return "busy"
    return denied.retry_after, denied.is_first


def test_whatever_happened_who_is_denied_comes_in_when_it_was_said(clock, forget):
    seen = Tally()

    @SOME
    @given(STEPS)
    def after_this(steps):
        forget()
        attempts = Attempts(2, 3, PERIOD)
        for what, *details in steps:
            if what == "wait":
                clock.now += details[0]
            elif what == "take" and attempts.take(*details) is None:
                attempts.fail(*details)
        denied = attempts.take("a", HOME)
        seen[denied is None] += 1
        if denied:
            assert 1 <= denied.retry_after <= PERIOD + 1
            clock.now += denied.retry_after - 1
            assert attempts.take("a", HOME).retry_after == 1
            clock.now += 1
            assert attempts.take("a", HOME) is None

    after_this()
    assert min(seen[True], seen[False]) > 20


# The file


def test_nothing_is_opened_before_the_first_password(path):
    attempts = Attempts(3, 30, PERIOD)
    assert not path.exists()
    before = open_files()
    attempts.take("alice", HOME)
    assert open_files() == before
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == 128 + 4096 * 16
    assert b"alice" not in path.read_bytes()


def test_it_is_for_this_user_alone_whatever_the_umask(attempts, path):
    before = os.umask(0)
    try:
        attempts.take("alice", HOME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_beside_the_replay_cache_of_krb5(monkeypatch):
    name = f"negotiate_{os.geteuid()}.attempts"
    for variable in ("KRB5RCACHEDIR", "TMPDIR"):
        monkeypatch.delenv(variable, raising=False)
    assert attempts_file.path_of_attempts() == f"/var/tmp/{name}"
    monkeypatch.setenv("TMPDIR", "/of/tmpdir")
    assert attempts_file.path_of_attempts() == f"/of/tmpdir/{name}"
    monkeypatch.setenv("KRB5RCACHEDIR", "/of/krb5")
    assert attempts_file.path_of_attempts() == f"/of/krb5/{name}"


def names_of_one_bucket(number):
    with locked_table() as table:
        places = {}
        for name in (f"user {n}" for n in range(100 * 512)):
            place = attempts_file._place(table._mark(name))
            found = places.setdefault(place, [])
            found.append(name)
            if len(found) == number:
                return found
    raise AssertionError("no bucket has so many")


def test_the_ninth_of_a_bucket_replaces_the_oldest(path):
    names = names_of_one_bucket(9)
    with locked_table() as table:
        for when, name in enumerate(names[:8], 1):
            table.put(name, Counter(when, 3))
        table.put(names[0], Counter(9, 3))
        table.put(names[8], Counter(10, 3))
        times = [table.get(name).time for name in names]
    assert times == [9, 0, 3, 4, 5, 6, 7, 8, 10]


def test_an_empty_one_makes_room_in_its_bucket(path):
    names = names_of_one_bucket(9)
    with locked_table() as table:
        for name in names[:8]:
            table.put(name, Counter(1, 1))
        table.put(names[4], Counter())
        table.put(names[8], Counter(1, 1))
        left = [table.get(name).failed for name in names]
    assert left == [1, 1, 1, 1, 0, 1, 1, 1, 1]


def test_buckets_are_filled_evenly_and_lie_in_one_page(path):
    with locked_table() as table:
        places = Tally(
            attempts_file._place(table._mark(f"user {n}")) for n in range(51_200)
        )
    assert len(places) == 512
    assert min(places.values()) > 30
    assert max(places.values()) < 200
    assert all(place // 4096 == (place + 127) // 4096 for place in places)
    assert min(places) == 128
    assert max(places) == 128 + 4096 * 16 - 128


def test_each_file_has_its_own_key(attempts, path):
    attempts.take("alice", HOME)
    one = path.read_bytes()
    path.unlink()
    attempts.take("alice", HOME)
    assert path.read_bytes()[:128] != one[:128]


# What cannot be used


def symbolic_link(path):
    path.symlink_to(path.parent / "elsewhere")


def link_to_nothing_of_a_full_file(path):
    (path.parent / "elsewhere").write_bytes(b"precious")
    path.symlink_to(path.parent / "elsewhere")


def pipe(path):
    os.mkfifo(path)


def directory(path):
    path.mkdir()


def hard_link(path):
    (path.parent / "elsewhere").touch(0o600)
    path.hardlink_to(path.parent / "elsewhere")


def readable_by_others(path):
    path.touch(0o644)
    path.chmod(0o644)


def writable_by_the_group(path):
    path.touch(0o600)
    path.chmod(0o620)


def of_another(path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path.touch(0o600)
    os.chown(path, 4711, 4711)


def begun_by_another(path):
    of_another(path)
    path.parent.chmod(0o1777)


def cut(path):
    os.truncate(path, 4096)


def cut_in_the_header(path):
    os.truncate(path, 20)


def too_long(path):
    os.truncate(path, 10**6)


def of_zeros_and_too_long(path):
    path.write_bytes(bytes(10**5))


def foreign(path):
    path.write_bytes(os.urandom(128 + 4096 * 16))


def of_another_version(path):
    path.write_bytes(path.read_bytes().replace(b"attempts, 1", b"attempts, 2"))


NEVER_MADE = [
    (symbolic_link, "is not a regular file: delete it"),
    (link_to_nothing_of_a_full_file, "is not a regular file: delete it"),
    (pipe, "is not a regular file: delete it"),
    (directory, "is not a regular file: delete it"),
    (hard_link, "has another name, too (a hard link): delete it"),
    (readable_by_others, "is open to other users: delete it"),
    (writable_by_the_group, "is open to other users: delete it"),
    (of_another, "belongs to uid 4711, not 0: delete it"),
    (begun_by_another, "belongs to uid 4711, not 0: delete it"),
]
DAMAGED = [cut, cut_in_the_header, too_long, of_zeros_and_too_long, foreign, of_another_version]  # fmt: skip


def everything_in(directory):
    return {
        found: (found.lstat().st_size, found.read_bytes() if found.is_file() else None)
        for found in directory.iterdir()
        if not found.is_fifo()
    }


@pytest.mark.parametrize(("make", "said"), NEVER_MADE, ids=lambda p: getattr(p, "__name__", ""))  # fmt: skip
def test_what_is_no_file_of_ours_is_left_alone(attempts, path, make, said):
    make(path)
    before, files = everything_in(path.parent), open_files()
    assert unusable(attempts) == f"{path} {said}"
    assert everything_in(path.parent) == before
    assert open_files() == files
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert attempts.take("alice", HOME) is None


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_begins_nothing_anew(attempts, path, damage):
    fail(attempts, times=3)
    damage(path)
    before, files = path.read_bytes(), open_files()
    for end in (attempts.take, attempts.fail, attempts.succeed, attempts.give_back):
        with pytest.raises(AcceptorError, match="is damaged, or of another version"):
            end("alice", HOME)
    assert path.read_bytes() == before
    assert open_files() == files


@pytest.mark.parametrize("left", [b"", bytes(128), bytes(5000)])
def test_a_file_whose_maker_was_killed_is_begun_again(attempts, path, left):
    path.touch(0o600)
    path.write_bytes(left)
    fail(attempts, times=3)
    assert attempts.take("alice", HOME)


def test_records_of_random_bytes_deny_nobody_for_longer_than_the_period(
    attempts, path, clock
):
    attempts.take("alice", HOME)
    header = path.read_bytes()[:128]
    path.write_bytes(header + os.urandom(4096 * 16))
    assert attempts.take("bob", "192.0.2.2") is None
    with locked_table() as table:
        mark = table._mark("user carol")
        os.pwrite(table._file, mark + b"\xff" * 8, attempts_file._place(mark))
    assert attempts.take("carol", "192.0.2.2").retry_after == PERIOD + 1
    clock.now += PERIOD + 1
    assert attempts.take("carol", "192.0.2.2") is None


def test_no_directory(attempts, path, monkeypatch):
    monkeypatch.setenv("KRB5RCACHEDIR", "/no/such")
    name = f"/no/such/{path.name}"
    uid = os.geteuid()
    assert (
        unusable(attempts) == f"uid {uid} cannot use {name}: No such file or directory"
    )


def run(script):
    return subprocess.run(
        [*PYTHON, script],
        capture_output=True,
        text=True,
    )


TAKE = """
import os
from negotiate_wsgi import AcceptorError
from negotiate_wsgi.request.attempts import Attempts
attempts = Attempts(3, 30, 1800)
def take():
    try:
        print(attempts.take("alice", ""))
    except AcceptorError as exc:
        print(exc.detail)
"""


#: All is imported before: our own files may be where that user cannot go.
AS_ANOTHER = f"""{TAKE}
if os.geteuid() == 0:
    os.chdir(os.environ["KRB5RCACHEDIR"])
    os.environ["KRB5RCACHEDIR"] = "."
    os.setgroups([]), os.setgid(4711), os.setuid(4711)
take(), take(), take(), take()
"""


def test_a_directory_that_cannot_be_written_to(attempts, path):
    path.parent.chmod(0o555)
    done = run(AS_ANOTHER)
    assert "/negotiate_" in done.stdout, done.stderr
    assert done.stdout.count(".attempts: Permission denied\n") == 4
    path.parent.chmod(0o777)
    assert run(AS_ANOTHER).stdout.count("None\n") == 3


LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.readline()
"""


def test_a_file_on_lease_is_not_waited_for(attempts, path):
    """The kernel would have everybody wait 45 seconds who opens it."""
    attempts.take("alice", HOME)
    with subprocess.Popen(
        [*PYTHON, LEASE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:  # fmt: skip
        assert holder.stdout.readline() == "leased\n"
        assert unusable(attempts).endswith(f"{path}: {os.strerror(errno.EAGAIN)}")
        holder.communicate("\n")
    assert attempts.take("alice", HOME) is None


def test_a_full_disk_at_the_first_password_and_room_later(path):
    script = f"""{TAKE}
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
take()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
take(), take(), take(), take()
"""
    first, *others = run(script).stdout.splitlines()
    assert str(path) in first
    assert "disk is full" in first or os.strerror(errno.EFBIG) in first
    assert others[:3] == ["None"] * 3
    assert "is_busy=True" in others[3]


def test_two_users_have_a_file_each(path):
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    path.parent.chmod(0o1777)
    assert run(AS_ANOTHER).stdout.count("None\n") == 3
    assert Attempts(3, 30, PERIOD).take("alice", "") is None
    found = {found.name: found.stat().st_uid for found in path.parent.iterdir()}
    assert found == {"negotiate_0.attempts": 0, "negotiate_4711.attempts": 4711}


# Threads and processes


def test_threads_at_once(attempts):
    let_in, start = [], threading.Barrier(16)

    def take():
        start.wait()
        for number in range(8):
            if attempts.take("alice", f"192.0.2.{number}") is None:
                let_in.append(1)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 3


MANY = """
import os, sys, threading
from negotiate_wsgi.request.attempts import Attempts
attempts = Attempts(3, 30, 1800)
for directory in sys.stdin:
    os.environ["KRB5RCACHEDIR"] = directory.strip()
    let_in = []
    def take():
        for number in range(5):
            if attempts.take("alice", f"192.0.2.{number}") is None:
                let_in.append(1)
                attempts.fail("alice", f"192.0.2.{number}")
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(let_in), flush=True)
"""


def test_processes_and_threads_at_once_and_at_the_first_password(path):
    """Whose file none of them has made before, ten times."""
    workers = [
        subprocess.Popen([*PYTHON, MANY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]  # fmt: skip
    for number in range(10):
        directory = path.parent / str(number)
        directory.mkdir()
        for worker in workers:
            worker.stdin.write(f"{directory}\n")
            worker.stdin.flush()
        assert sum(int(worker.stdout.readline()) for worker in workers) == 3
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0


HOLD = """
import os, sys, time
from negotiate_wsgi.request.attempts_file import locked_table
with locked_table():
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(1000)
    print(os.getpid(), flush=True)
    sys.stdin.readline()
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(path):
    """A process that has locked the file; it is given the words behind its script."""
    started = []

    def hold(*words):
        process = subprocess.Popen(
            [*PYTHON, HOLD, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        process.stdout.readline()
        return process

    yield hold
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_process_that_is_stopped_with_the_lock(attempts, holder, path, monkeypatch):
    monkeypatch.setattr(attempts_file, "_PATIENCE", 0.05)
    process = holder()
    os.kill(process.pid, signal.SIGSTOP)
    said = unusable(attempts)
    assert said.startswith(f"{path} has been locked for 0.05 seconds: ")
    os.kill(process.pid, signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert attempts.take("alice", HOME) is None


def test_a_thread_that_is_stopped_with_the_lock(attempts, monkeypatch):
    monkeypatch.setattr(attempts_file, "_PATIENCE", 0.05)
    said = []
    with locked_table():
        waiting = threading.Thread(target=lambda: said.append(unusable(attempts)))
        waiting.start()
        waiting.join()
    assert "has been locked for 0.05 seconds" in said[0]
    assert attempts.take("alice", HOME) is None


def test_a_process_that_is_killed_with_the_lock(attempts, holder):
    fail(attempts, times=2)
    process = holder()
    process.kill()
    process.wait()
    fail(attempts)
    assert attempts.take("alice", HOME)


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(attempts, holder):
    process = holder("fork")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert attempts.take("alice", HOME) is None


FORK = f"""{TAKE}
import sys, threading
from negotiate_wsgi.request.attempts_file import locked_table
has_locked, may_end = threading.Event(), threading.Event()
def hold():
    with locked_table():
        has_locked.set()
        may_end.wait()
holder = threading.Thread(target=hold)
holder.start()
has_locked.wait()
child = os.fork()
if child == 0:
    take()
    sys.stdout.flush()
    os._exit(0)
may_end.set()
holder.join()
os.waitpid(child, 0)
take()
"""


def test_a_child_that_is_forked_while_another_thread_has_the_lock(path):
    """It has no such thread, and nobody in it would ever let go."""
    assert run(FORK).stdout == "None\nNone\n"


def test_a_file_that_is_deleted_while_others_wait_for_it(attempts, holder, path):
    """Who waited counts in the file that has the name, not in one that nobody finds again."""
    process = holder()
    waiting = threading.Thread(target=attempts.take, args=("alice", HOME))
    waiting.start()
    while str(path) not in open_files():
        time.sleep(0.001)
    path.unlink()
    process.kill()
    waiting.join()
    fail(attempts, times=2)
    assert attempts.take("alice", HOME).is_busy
