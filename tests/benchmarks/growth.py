"""How what a sign-on costs grows, with what: growth.py [--requests N] [--write]

Each row is one process that accepts N tokens (40). Valgrind (--tool=callgrind) counts its
instructions, which repeat where times do not, whatever else the machine does. What the kernel does
is not in it. Beside each row stands what the library itself takes for such a token, in C, with the context pinned, the keytab
in memory and the credential named (limit.c --best).

With --write, a table and pictures for the manual go to tests/benchmarks/results.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import certificates
import in_process
import pygal
import session
import subjects
import valkeys
from callgrind import WARM_UP, count_calls, instructions
from initiator import Initiator

from negotiate_wsgi.realm import Realm

SPN = "HTTP/localhost@EXAMPLE.TEST"
HOSTS = (1, 10, 100, 1000)
#: Bytes of authorization data, which make tokens of 2, 13 and 60 KB.
SIZES = (1000, 12_000, 58_000)
ENCTYPES = (
    "aes128-cts-hmac-sha1-96",
    "aes256-cts-hmac-sha1-96",
    "aes128-cts-hmac-sha256-128",
    "aes256-cts-hmac-sha384-192",
)


PICTURES = {
    "hosts": "own hosts",
    "tokens": "bytes of the token",
    "layers": "middlewares around each other",
}


@dataclass
class Row:
    """One thing that is varied, and one value of it.

    :param against: what is varied.
    :param value: of it.
    :param subject: a function of subjects.py.
    :param options: how the tokens are made, as `Initiator` takes it.
    :param environ: what the process finds in its environment.
    """

    against: str
    value: str
    subject: str = "ours_gssapi"
    ccache: str = ""
    options: dict = field(default_factory=dict)
    environ: dict = field(default_factory=dict)

    def tokens(self, count):
        return [Initiator(self.ccache, SPN, **self.options).token for _ in range(count)]


def work(subject):
    """Accepts the tokens that standard input has in hex; the first ones warm up."""
    gc.disable()  # which comes when it comes, and is more than a token
    call = getattr(subjects, subject)()
    tokens = in_process.as_base64(sys.stdin.read().split())
    environs = list(map(in_process.environ_with, tokens))
    count_calls(functools.partial(sign_on, call), environs)


def sign_on(call, environ):
    answer = call(environ, lambda status, headers, exc_info=None: None)
    assert b"".join(answer) == b"alice@EXAMPLE.TEST"
    if hasattr(answer, "close"):
        answer.close()


def work_in_sessions(count, is_one):
    """Answers *count* requests: of one session, or each of another that it has not seen."""
    gc.disable()
    guarded = session.guarded()
    cookies = [session.cookie(guarded) for _ in range(WARM_UP + count)]
    if is_one:
        cookies = cookies[:1] * len(cookies)
    environs = [in_process.environ_with("") | {"HTTP_COOKIE": each} for each in cookies]
    for environ in environs:
        del environ["HTTP_AUTHORIZATION"]
    count_calls(functools.partial(answer_to, guarded), environs)


def answer_to(guarded, environ):
    statuses = []
    guarded(environ, lambda status, headers, exc_info=None: statuses.append(status))
    assert statuses == ["200 OK"]


def for_each_token(command, row, count):
    """Thousands of instructions that *command* takes for a token of *row*."""
    tokens = row.tokens(WARM_UP + count)
    text = "".join(f"{token.hex()}\n" for token in tokens)
    return instructions(command, {**os.environ, **row.environ}, text) / count / 1000


def rows(realm, directory, store):
    alice = realm.ccache("alice")
    yield Row("middlewares around each other", "1", ccache=alice)
    yield Row("middlewares around each other", "2", "ours_twice", alice)
    yield Row("middlewares around each other", "3", "ours_three_times", alice)
    yield Row("a record at INFO, in a file", "", "ours_logged", alice)
    yield Row("python-gssapi alone, and base64", "", "library_alone", alice)
    yield Row("pykerberos", "", "ours_pykerberos", alice)
    for count in HOSTS:
        environ = {"KRB5_KTNAME": with_hosts(realm, directory, count)}
        yield Row("own hosts", str(count), ccache=alice, environ=environ)
    for size in SIZES:
        ccache = with_large_ticket(realm, directory, size)
        token = Initiator(ccache, SPN).token
        yield Row("bytes of the token", str(len(token)), ccache=ccache)
    certificate, binding = with_certificate(directory)
    environ = {"CERTIFICATE": certificate}
    yield Row(
        "channel bindings",
        "",
        "ours_with_bindings",
        alice,
        {"binding": binding},
        environ,
    )
    yield Row("a store", "", "ours_with_store", alice, environ={"STORE": store.url})
    realm.kinit("alice", "-f")
    forwards = {"delegate": True}
    yield Row("a forwarded ticket", "", "ours_forwarded", alice, forwards)
    asked = "ours_forwarded_and_asked"
    yield Row("a forwarded ticket", "and used", asked, alice, forwards)
    # The last ones: they give the service another key.
    for enctype in ENCTYPES:
        ccache, keytab = with_key_of(realm, directory, enctype)
        environ = {"KRB5_KTNAME": keytab}
        yield Row("service's key", enctype, ccache=ccache, environ=environ)


def with_hosts(realm, directory, count):
    """A keytab with ours, and with keys of other hosts of ours."""
    others = in_process.new_keys(realm, "HTTP/host{}.example.test", count - 1)
    keys = [*in_process.own_keys(realm), *others]
    return in_process.write_keytab(directory / f"hosts-{count}", keys)


def with_large_ticket(realm, directory, size):
    program = directory / "large_ticket"
    if not program.exists():
        source = HERE.parent / "large_ticket.c"
        subprocess.run(["gcc", "-Wall", "-o", program, source, "-lkrb5"], check=True)
    ccache = str(directory / f"large-{size}")
    realm.kinit("alice")  # who has no ticket for us yet
    subprocess.run(["cp", realm.ccache("alice"), ccache], check=True)
    subprocess.run([program, ccache, SPN, str(size)], check=True)
    return ccache


def with_key_of(realm, directory, enctype):
    """A ticket and a keytab of a service that has one key, of *enctype*."""
    keytab = str(directory / enctype)
    ccache = str(directory / f"{enctype}.ccache")
    realm.kadmin("cpw", "-randkey", "-e", f"{enctype}:normal", "HTTP/localhost")
    realm.kadmin("ktadd", "-norandkey", "-k", keytab, "HTTP/localhost")
    realm.kinit("alice")
    subprocess.run(["cp", realm.ccache("alice"), ccache], check=True)
    Initiator(ccache, SPN)
    return ccache, keytab


def with_certificate(directory):
    """A certificate, and what a client binds a token to."""
    pem, _ = certificates.made()
    path = directory / "certificate.pem"
    path.write_bytes(pem)
    return str(path), certificates.binding_of(pem)


def measure(count, tell=lambda text: None):
    """What is varied, its value, thousands of instructions of ours and of C's."""
    store = valkeys.Server()
    found = []
    try:
        with Realm(users=["alice"]) as realm, tempfile.TemporaryDirectory() as name:
            small = in_process.small_conf(realm)
            os.environ |= realm.environ | {"KRB5_CONFIG": str(small)}
            for how in ("", "--pin", "--best"):
                row = Row("", "", ccache=realm.ccache("alice"))
                command = [in_process.LIMIT, *how.split()]
                taken = for_each_token(command, row, count)
                tell(line("the library alone, in C", how, taken, None))
                found.append(("the library alone, in C", how, taken, None))
            for row in rows(realm, Path(name), store):
                ours = [sys.executable, __file__, "--work", row.subject]
                of_ours = for_each_token(ours, row, count)
                of_c = for_each_token([in_process.LIMIT, "--best"], row, count)
                tell(line(row.against, row.value, of_ours, of_c))
                found.append((row.against, row.value, of_ours, of_c))
            for value in ("one", "each another"):
                sessions = [sys.executable, __file__, "--sessions", value]
                command = [*sessions, "--requests", str(count)]
                taken = instructions(command, dict(os.environ), "") / count / 1000
                tell(line("sessions", value, taken, None))
                found.append(("sessions", value, taken, None))
    finally:
        store.close()
    return found


def line(against, value, ours, theirs):
    beside = f"{theirs:8.1f}" if theirs else ""
    return f"{against:30} {value:28} {ours:8.1f} {beside}".rstrip()


def write(found):
    """A table and pictures, which the manual shows."""
    results = HERE / "results"
    headings = ["what varies", "", "ours", "the library, in C", "ours beyond it"]
    lines = [headings, ["---"] * len(headings)]
    for against, value, ours, theirs in found:
        cells = (
            ["", ""] if theirs is None else [f"{theirs:.0f}", f"{ours - theirs:.0f}"]
        )
        lines.append([against, value, f"{ours:.0f}", *cells])
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    (results / "growth.md").write_text(f"# Grown\n\n{text}")
    for name, against in PICTURES.items():
        rows = [row for row in found if row[0] == against]
        (results / f"growth-{name}.svg").write_bytes(picture(against, rows))


def picture(against, rows):
    chart = pygal.Line(
        title=f"Thousands of instructions for a sign-on, by {against}", width=700, height=320,
        legend_at_bottom=True, js=[], range=(0, None), print_values=True,
        value_formatter=lambda value: f"{value:.0f}",
    )  # fmt: skip
    chart.x_labels = [value for _, value, _, _ in rows]
    chart.add("negotiate-wsgi", [ours for _, _, ours, _ in rows])
    chart.add("the library alone, in C", [theirs for *_, theirs in rows])
    return chart.render()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--work")
    parser.add_argument("--sessions")
    options = parser.parse_args()
    if options.work:
        return work(options.work)
    if options.sessions:
        return work_in_sessions(options.requests, options.sessions == "one")
    found = measure(options.requests, lambda text: print(text, flush=True))
    if options.write:
        write(found)
    return None


if __name__ == "__main__":
    main()
