"""What one authenticated request costs, in process.

    tests/benchmarks/accept.py [--rounds N] [--requests N]

Subjects take turns round by round, each time in a new process on a core of its own. The figures
are medians in microseconds per request; a ratio is the median of the ratios of each round, since
the machine's own pace changes from one minute to the next:

bare            authGSSServerInit(''), step and two getters, with krb5.conf not pinned
negotiate-wsgi  the middleware, around an application that does nothing
WSGI-Kerberos   the same with hostname='localhost'

once with a small krb5.conf, and once with Debian's /etc/krb5.conf added, as on a real host.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from negotiate_wsgi import NegotiateMiddleware
from negotiate_wsgi.realm import Realm

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(Path(sys.prefix) / "peers")]
WARM_UP = 20
SUBJECTS = ("bare", "negotiate-wsgi", "WSGI-Kerberos")
AIMS = {
    ("small", "bare"): 1.05,
    ("Debian", "bare"): 0.75,
    ("small", "WSGI-Kerberos"): 0.70,
    ("Debian", "WSGI-Kerberos"): 0.40,
}
# No more than a server needs; how names are canonicalised is left as krb5 has it.
SMALL = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
        admin_server = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
"""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode()]


def bare(environ, start_response):
    import kerberos

    _, state = kerberos.authGSSServerInit("")
    kerberos.authGSSServerStep(state, environ["HTTP_AUTHORIZATION"][10:])
    kerberos.authGSSServerResponse(state)
    return [kerberos.authGSSServerUserName(state).encode()]


def subject(name):
    if name == "bare":
        return bare
    if name == "negotiate-wsgi":
        return NegotiateMiddleware(app)
    from wsgi_kerberos import KerberosAuthMiddleware

    return KerberosAuthMiddleware(app, hostname="localhost")


def work(name):
    """Reads tokens from standard input, and prints how many microseconds each of them took."""
    import logging

    logging.disable()
    os.sched_setaffinity(0, {os.cpu_count() - 1})
    call = subject(name)
    for token in sys.stdin.read().split():
        environ = environ_with(token)
        began = time.perf_counter()
        answer = call(environ, lambda *_: None)
        took = time.perf_counter() - began
        assert answer == [b"alice@EXAMPLE.TEST"], answer
        print(f"{took * 1e6:.1f}")


def environ_with(token):
    """As large as a server's: what grows with it should be seen."""
    return {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "HTTP_USER_AGENT": "benchmark",
        "HTTP_ACCEPT": "*/*", "HTTP_ACCEPT_ENCODING": "gzip", "HTTP_CONNECTION": "keep-alive",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.multithread": True,
        "wsgi.multiprocess": True, "wsgi.run_once": False, "wsgi.input": None,
        "wsgi.errors": None, "HTTP_AUTHORIZATION": f"Negotiate {token}",
    }  # fmt: skip


def measure(krb5_config, realm, rounds, requests):
    """By subject, the median of each round in microseconds."""
    from initiator import Initiator

    environ = {**os.environ, **realm.environ, "KRB5_CONFIG": krb5_config}
    seen = {name: [] for name in SUBJECTS}
    for _ in range(rounds):
        for name in SUBJECTS:
            tokens = [
                base64.b64encode(
                    Initiator(realm.ccache("alice"), "HTTP/localhost@EXAMPLE.TEST").token
                )
                for _ in range(WARM_UP + requests)
            ]
            took = subprocess.run(
                [sys.executable, __file__, "--work", name], env=environ, text=True, check=True,
                input=b" ".join(tokens).decode(), stdout=subprocess.PIPE,
            ).stdout  # fmt: skip
            seen[name].append(statistics.median(map(float, took.split()[WARM_UP:])))
    return seen


def report(label, seen):
    for name, figures in seen.items():
        aim = AIMS.get((label, name))
        pairs = zip(seen["negotiate-wsgi"], figures, strict=True)
        ratio = statistics.median(ours / this for ours, this in pairs)
        shown = f"   ours/this {ratio:5.2f}   aim {aim:.2f}" if aim else ""
        print(f"{label:8} {name:16} {statistics.median(figures):8.1f} us{shown}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--work", choices=SUBJECTS)
    options = parser.parse_args()
    if options.work:
        return work(options.work)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        small = str(realm.directory / "small-krb5.conf")
        Path(small).write_text(SMALL.format(realm=realm.name, port=realm.kdc_port))
        for label, conf in (("small", small), ("Debian", f"{small}:/etc/krb5.conf")):
            report(label, measure(conf, realm, options.rounds, options.requests))
    return None


if __name__ == "__main__":
    main()
