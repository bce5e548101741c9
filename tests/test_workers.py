"""Who waits for the KDC? Threads and events; nothing here takes time but what is to be in vain."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref

import pytest

from negotiate_wsgi import AcceptorError, Reason
from negotiate_wsgi.request import workers as module
from negotiate_wsgi.request.workers import Workers

FOR_EVER = 300  # seconds that no test here waits
MOMENT = 0.01


class Kdc:
    """Functions that do not return before they may."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.answers = 0

    def __call__(self):
        assert self.may_answer.wait(FOR_EVER)
        self.answers += 1
        return self.answers


@pytest.fixture
def kdc():
    kdc = Kdc()
    yield kdc
    kdc.may_answer.set()


class Request(threading.Thread):
    """A request in a server's thread: a result, or the exception that it met."""

    def __init__(self, workers, function):
        super().__init__(daemon=True)
        self._call = lambda: workers.call(function)
        self.result = self.problem = None
        self.start()

    def run(self):
        try:
            self.result = self._call()
        except BaseException as problem:
            self.problem = problem

    def ended(self):
        self.join(FOR_EVER)
        assert not self.is_alive()
        return self


def until(true):
    deadline = time.monotonic() + FOR_EVER
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def pool_of(workers):
    return workers._pools[os.getpid()]


def counts(workers):
    """How many threads run, how many of these in vain, and how many calls wait."""
    pool = pool_of(workers)
    with pool._changed:
        return pool._running, pool._hung, len(pool._waiting)


def in_vain(workers, function):
    """Have a request wait a moment for *function*, and give up."""
    patient = workers._timeout
    workers._timeout = MOMENT
    try:
        workers.call(function)
    except AcceptorError as fault:
        return fault
    finally:
        workers._timeout = patient
    raise AssertionError("there was an answer")


def hang(workers, function):
    """The same until a thread has begun with it."""
    hung = counts(workers)[1]
    while True:
        fault = in_vain(workers, function)
        if counts(workers)[1] > hung:
            return fault


def test_a_result_comes_from_another_thread_which_ends_with_the_process():
    thread = Workers(2, FOR_EVER).call(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_an_exception_is_the_requests():
    def fail():
        raise AcceptorError(Reason.KDC_NOT_GENUINE, "wrong-key")

    with pytest.raises(AcceptorError, match="kdc-not-genuine: wrong-key"):
        Workers(1, FOR_EVER).call(fail)
    with pytest.raises(SystemExit):
        Workers(1, FOR_EVER).call(sys.exit)


def test_a_traceback_holds_nothing_of_what_was_called():
    def check(password):
        known = password + "!"
        raise RuntimeError(len(known))

    def call():
        return Workers(1, FOR_EVER).call(lambda: check("tOp-" + "SeCrEt"))

    with pytest.raises(RuntimeError) as problem:
        call()
    told = traceback.TracebackException.from_exception(
        problem.value, capture_locals=True
    )
    text = "".join(told.format())
    assert "in check" in text
    assert "in call" in text
    assert "tOp-SeCrEt" not in text


def test_no_more_threads_than_needed_and_never_more_than_allowed(kdc):
    workers = Workers(3, FOR_EVER)
    assert len({workers.call(threading.get_ident) for _ in range(20)}) == 1
    requests = [Request(workers, kdc) for _ in range(6)]
    until(lambda: counts(workers) == (3, 0, 3))
    assert pool_of(workers)._threads == 3
    kdc.may_answer.set()
    assert sorted(request.ended().result for request in requests) == [1, 2, 3, 4, 5, 6]
    assert pool_of(workers)._threads == 3


def test_as_many_requests_as_threads_may_wait_and_the_next_is_answered_at_once(kdc):
    workers = Workers(2, FOR_EVER)
    requests = [Request(workers, kdc) for _ in range(4)]
    until(lambda: counts(workers) == (2, 0, 2))
    with pytest.raises(AcceptorError, match="2 requests wait for a thread") as fault:
        workers.call(kdc)
    assert fault.value.reason is Reason.KDC_UNREACHABLE
    kdc.may_answer.set()
    assert all(request.ended().result for request in requests)
    assert workers.call(kdc) == 5


def test_who_has_waited_long_enough_gives_up_and_the_late_answer_is_thrown_away(kdc):
    class Answer:
        pass

    answers = []

    def answer():
        kdc()
        result = Answer()
        answers.append(weakref.ref(result))
        return result

    workers = Workers(3, FOR_EVER)
    workers.call(lambda: None)
    fault = hang(workers, answer)
    assert fault.reason is Reason.KDC_UNREACHABLE
    assert "has not answered within 0.01 s" in fault.detail
    assert counts(workers) == (1, 1, 0)
    assert workers.call(lambda: "another") == "another"
    kdc.may_answer.set()
    until(lambda: counts(workers) == (0, 0, 0))
    gc.collect()
    assert [answer() for answer in answers] == [None]


def test_the_wait_for_a_thread_counts(kdc):
    """Who waits in the queue gives up there, and its function is never called."""
    workers = Workers(1, FOR_EVER)
    first = Request(workers, kdc)
    until(lambda: counts(workers) == (1, 0, 0))
    called = []
    assert "has not answered" in in_vain(workers, lambda: called.append(1)).detail
    assert counts(workers) == (1, 0, 0)
    kdc.may_answer.set()
    assert first.ended().result == 1
    workers.call(lambda: None)
    assert called == []


@pytest.mark.parametrize(("count", "enough"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_threads_hung_is_enough_to_ask_no_more(kdc, count, enough):
    workers = Workers(count, FOR_EVER)
    for hung in range(enough):
        assert workers.call(lambda: "well") == "well", f"{hung} hung"
        hang(workers, kdc)
    with pytest.raises(AcceptorError, match=f"{enough} requests have waited") as fault:
        workers.call(kdc)
    assert fault.value.reason is Reason.KDC_UNREACHABLE
    kdc.may_answer.set()
    until(lambda: counts(workers) == (0, 0, 0))
    assert workers.call(lambda: "well") == "well"


def test_twenty_at_once_are_answered_within_the_time_of_one(kdc):
    """No wait follows upon another: four hang, four wait, and the others are told at once."""
    workers = Workers(4, 0.2)
    requests = [Request(workers, kdc) for _ in range(20)]
    problems = [request.ended().problem for request in requests]
    assert {problem.reason for problem in problems} == {Reason.KDC_UNREACHABLE}
    waited = [problem for problem in problems if "has not answered" in problem.detail]
    assert 0 < len(waited) <= 8
    assert kdc.answers == 0
    running, hung, waiting = counts(workers)
    assert 0 < hung == running <= 4
    assert waiting == 0


def test_an_answer_just_in_time_counts(monkeypatch):
    """It came after the request had waited long enough, and before it could give up."""
    monkeypatch.setattr(module.threading, "Event", HastyEvent)
    assert Workers(1, FOR_EVER).call(lambda: 42) == 42


class HastyEvent(threading.Event):
    def wait(self, timeout=None):
        super().wait(timeout)
        return False


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_has_threads_of_its_own(kdc):
    """Even where it was made while threads of its parent were at work, and held locks."""
    workers = Workers(2, FOR_EVER)
    requests = [Request(workers, kdc) for _ in range(3)]
    until(lambda: counts(workers) == (2, 0, 1))
    pool = pool_of(workers)
    with pool._changed:
        child = os.fork()
    if not child:
        signal.alarm(FOR_EVER)
        is_well = workers.call(lambda: 42) == 42 and pool not in workers._pools.values()
        os._exit(0 if is_well else 1)
    assert os.waitpid(child, 0)[1] == 0
    kdc.may_answer.set()
    assert all(request.ended().result for request in requests)


def test_threads_without_work_end_and_others_begin(monkeypatch):
    monkeypatch.setattr(module, "_IDLE", 0)
    workers = Workers(1, FOR_EVER)
    first = workers.call(threading.current_thread)
    first.join(FOR_EVER)
    assert pool_of(workers)._threads == 0
    assert workers.call(threading.current_thread) is not first


def test_where_no_thread_can_be_made_it_is_our_fault(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    workers = Workers(1, FOR_EVER)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(AcceptorError, match="can't start new thread") as fault:
            workers.call(lambda: 42)
    assert fault.value.reason is Reason.PASSWORDS_UNUSABLE
    assert workers.call(lambda: 42) == 42


@pytest.mark.parametrize("is_patched", [True, False])
def test_where_threads_are_patched_the_process_would_stop(monkeypatch, is_patched):
    """As gevent and eventlet do it: a function of their own under the interpreter's name."""

    def start_new_thread(function, args=(), kwargs=None):
        raise AssertionError("not to be called")

    start_new_thread.__module__ = "gevent.thread"
    if is_patched:
        monkeypatch.setattr(module._thread, "start_new_thread", start_new_thread)
        with pytest.raises(AcceptorError, match=r"gevent\.thread .*gthread") as fault:
            Workers(1, FOR_EVER).call(lambda: 42)
        assert fault.value.reason is Reason.PASSWORDS_UNUSABLE
    else:
        assert Workers(1, FOR_EVER).call(lambda: 42) == 42


def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_process():
    program = (
        "import threading\n"
        "from negotiate_wsgi.request.workers import Workers\n"
        "workers = Workers(2, 0.01)\n"
        "try: workers.call(threading.Event().wait)\n"
        "except Exception as fault: print(fault.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=FOR_EVER,
    )
    assert (done.stdout, done.stderr) == ("kdc-unreachable\n", "")
