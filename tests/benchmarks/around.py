"""What stands around a sign-on: threads and processes, a dead resolver, memory, start-up.

    tests/benchmarks/around.py [--rounds N]

throughput   sign-ons per second with 1, 2 and 4 threads, and with 2 and 4 processes that share a
             replay cache, on all cores; and the same of arithmetic, which shares nothing
stall        with a name server that does not answer: the longest that another thread stood still
memory       of one of two gunicorn workers after 600 sign-ons: resident, and how much of that is its
             own and not shared with the other one; and the latter where the application was loaded
             before they were forked
start-up     of a process that has Werkzeug: milliseconds of processor time to import and construct
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import in_process
import sites
import subjects
from over_http import Subject

from negotiate_wsgi.realm import Realm

OWN = "of a worker's own, MiB"
START_UP = "import and construction, ms of CPU"
REMOTE = "www.example.test"  # which no hosts file knows
GUARDS = ("ours_gssapi", "ours_pykerberos", "wsgi_kerberos", "wsgi_kerberos_hostname")


def sign_on(call, lines):
    for token in in_process.as_base64(lines):
        answer = b"".join(call(in_process.environ_with(token), lambda *_: None))
        assert answer == b"alice@EXAMPLE.TEST", answer


def work(name, threads):
    """Reads tokens, says that it is ready, waits for a line, and prints the seconds they took."""
    call = getattr(subjects, name)()
    lines = sys.stdin.readline().split()
    sign_on(call, lines[:20])
    parts = [lines[20 + number :: threads] for number in range(threads)]
    workers = [threading.Thread(target=sign_on, args=(call, part)) for part in parts]
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(time.perf_counter() - began)


def stall(name):
    """Reads tokens, and prints for how many milliseconds at the most a thread beside stood still."""
    call = getattr(subjects, name)()
    lines, ticks = sys.stdin.readline().split(), []
    worker = threading.Thread(target=sign_on, args=(call, lines))
    worker.start()
    while worker.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    ticks.append(time.perf_counter())
    print(max(b - a for a, b in itertools.pairwise(ticks)) * 1e3)


def throughput(realm, environ, name, threads, processes, count=8000):
    command = [sys.executable, __file__, "--work", name, "--threads", str(threads)]
    running = []
    for _ in range(processes):
        process = subprocess.Popen(
            command,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        tokens = in_process.tokens(realm, 20 + count // processes)
        process.stdin.write(" ".join(tokens) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        running.append(process)
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    took = [float(process.communicate()[0]) for process in running]
    return count / max(took)


def longest_stall(realm, environ, name):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolv_conf:
        resolv_conf.write("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
        resolv_conf.flush()
        tokens = " ".join(in_process.tokens(realm, 3, REMOTE)) + "\n"
        return float(subprocess.run(
            ["unshare", "--map-root-user", "--net", "--mount", sys.executable,
             HERE.parent / "dead_network.py", str(realm.kdc_port), resolv_conf.name,
             sys.executable, __file__, "--stall", name],
            env=environ | {"SPN_HOSTNAME": REMOTE}, input=tokens, text=True, check=True,
            stdout=subprocess.PIPE,
        ).stdout)  # fmt: skip


def resident_and_own(process):
    """KiB of memory that a process occupies, and that no other one has, too."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    kib = {
        name: int(size)
        for name, size in re.findall(r"^(\w+): +(\d+) kB", rollup, re.MULTILINE)
    }
    return kib["Rss"], kib["Private_Clean"] + kib["Private_Dirty"]


def memory(environ, realm, name, arguments=""):
    """MiB that are resident, and MiB of a worker's own: what it takes to have one more of them."""
    subject = Subject("gunicorn-gthread", name)
    subject.start(environ | {"WEB_CONCURRENCY": "2", "GUNICORN_CMD_ARGS": arguments})
    try:
        subject.load(in_process.as_base64(in_process.tokens(realm, 600)))
        workers = sites.children(subject.process.pid)
        return tuple(
            max(parts) / 1024
            for parts in zip(*map(resident_and_own, workers), strict=True)
        )
    finally:
        subject.stop()


def start_up(environ, name):
    """Milliseconds of processor time."""
    script = (
        "import subjects, werkzeug.wrappers; from time import process_time;"
        f"began = process_time(); subjects.{name}();"
        "print((process_time() - began) * 1e3)"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", script], cwd=HERE, env=environ, text=True, check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )  # fmt: skip


def measure(rounds, tell=lambda text: None):
    """Figures of each round, by what is measured and who."""
    seen = {}
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        realm.add_service(f"HTTP/{REMOTE}")
        environ = in_process.conditions(realm)["small"]
        for number in range(rounds):
            tell(f"around: round {number + 1} of {rounds}")
            for name in (*GUARDS, "arithmetic"):
                for threads, processes in ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4)):
                    label = f"{threads} threads, {processes} processes"
                    rate = throughput(realm, environ, name, threads, processes)
                    seen.setdefault((label, name), []).append(rate)
            for name in GUARDS:
                slow = longest_stall(realm, environ, name)
                seen.setdefault(("stall, ms", name), []).append(slow)
            for name in ("plain", *GUARDS):
                resident, own = memory(environ, realm, name)
                seen.setdefault(("resident memory, MiB", name), []).append(resident)
                seen.setdefault((OWN, name), []).append(own)
                _, own = memory(environ, realm, name, "--preload")
                seen.setdefault((f"{OWN}, --preload", name), []).append(own)
                took = [start_up(environ, name) for _ in range(5)]
                seen.setdefault((START_UP, name), []).extend(took)
    return seen


def aims(seen):
    one = seen["1 threads, 1 processes", "ours_gssapi"]
    for label, aim in (
        ("1 threads, 2 processes", 1.8),
        ("2 threads, 1 processes", 1.4),
    ):
        found = in_process.ratio(seen[label, "ours_gssapi"], one)
        yield f"sign-ons/s, gssapi, {label} over one of each", found, aim
    for name, aim in (("ours_gssapi", 3.0), ("ours_pykerberos", 2.0)):
        over = [a - b for a, b in zip(seen[OWN, name], seen[OWN, "plain"], strict=True)]
        yield (
            f"memory of a gunicorn worker's own over the plain one's, MiB, {name}",
            statistics.median(over),
            aim,
        )
    yield (
        f"{START_UP}, gssapi",
        statistics.median(seen[START_UP, "ours_gssapi"]),
        60,
    )
    yield (
        "longest stall with dead DNS, ms, gssapi",
        max(seen["stall, ms", "ours_gssapi"]),
        50,
    )


def report(seen):
    for (label, name), figures in seen.items():
        print(f"{label:24} {name:24} {statistics.median(figures):9.1f}")
    for sentence, found, aim in aims(seen):
        print(f"{sentence}: {found:.2f}   aim {aim:.2f}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work")
    parser.add_argument("--stall")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.work:
        return work(options.work, options.threads)
    if options.stall:
        return stall(options.stall)
    report(measure(options.rounds, lambda text: print(text, file=sys.stderr)))
    return None


if __name__ == "__main__":
    main()
