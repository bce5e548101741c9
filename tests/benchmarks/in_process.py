"""What one authenticated request costs, in process.

    tests/benchmarks/in_process.py [--rounds N] [--requests N] [--json]

Subjects take turns round by round, each time in a new process on a core of its own. A figure is
the median of the rounds' medians in microseconds per request; a ratio is the median of the ratios
of each round, since the machine's own pace changes from one minute to the next. Every answer that
is not alice ends the run. Conditions:

small    a krb5.conf of no more than a server needs
Debian   the same with Debian's /etc/krb5.conf added, as on a real host
realms   the small one with 60 realms in it
foreign  the small one, and 400 keys of other services before ours in the keytab

The C program does nothing but accept the token and ask for the initiator's name. "pinned" keeps a
krb5_context, so that krb5.conf is not parsed for each token; "best" also has the keytab in memory,
and a credential for one SPN and Kerberos alone.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import krb5
import subjects
from callgrind import WARM_UP

from negotiate_wsgi.realm import Realm

LIMIT = Path(sys.prefix) / "peers" / "limit"
SUBJECTS = {
    "C, best": [LIMIT, "--best"],
    "C, pinned": [LIMIT, "--pin"],
    "C": [LIMIT],
    "ours, gssapi": "ours_gssapi",
    "ours, gssapi, a record in a file": "ours_logged",
    "ours, pykerberos": "ours_pykerberos",
    "bare pykerberos, pinned": "bare_pinned",
    "bare pykerberos": "bare",
    "WSGI-Kerberos ''": "wsgi_kerberos",
    "WSGI-Kerberos hostname": "wsgi_kerberos_hostname",
    "Flask-GSSAPI": "flask_gssapi",
}
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
#: Ours over theirs, at the most: condition, ours, condition, theirs.
AIMS = {
    ("small", "ours, gssapi", "small", "C"): 1.15,
    ("Debian", "ours, gssapi", "Debian", "C"): 1.00,
    ("foreign", "ours, gssapi", "small", "ours, gssapi"): 1.30,
    ("realms", "ours, gssapi", "small", "ours, gssapi"): 1.15,
    ("small", "ours, pykerberos", "small", "bare pykerberos"): 1.05,
    ("small", "ours, pykerberos", "small", "bare pykerberos, pinned"): 1.15,
    ("Debian", "ours, pykerberos", "Debian", "bare pykerberos"): 0.75,
    ("small", "ours, pykerberos", "small", "WSGI-Kerberos hostname"): 0.70,
    ("Debian", "ours, pykerberos", "Debian", "WSGI-Kerberos hostname"): 0.40,
}


def work(name):
    """Reads tokens in hex from standard input, and prints how many microseconds each of them took."""
    import logging

    logging.disable()
    call = getattr(subjects, name)()
    for token in as_base64(sys.stdin.read().split()):
        environ = environ_with(token)
        began = time.perf_counter()
        answer = b"".join(call(environ, lambda *_: None))
        took = time.perf_counter() - began
        assert answer == b"alice@EXAMPLE.TEST", answer
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


def tokens(realm, count, host="localhost"):
    """Genuine ones of alice, in hex."""
    from initiator import Initiator

    ccache, spn = realm.ccache("alice"), f"HTTP/{host}@EXAMPLE.TEST"
    return [Initiator(ccache, spn).token.hex() for _ in range(count)]


def as_base64(tokens):
    return [base64.b64encode(bytes.fromhex(token)).decode() for token in tokens]


def small_conf(realm):
    """The path of a krb5.conf of no more than a server needs."""
    path = realm.directory / "small-krb5.conf"
    path.write_text(SMALL.format(realm=realm.name, port=realm.kdc_port))
    return path


def conditions(realm):
    """The environment of each."""
    small = small_conf(realm)
    realms = realm.directory / "realms-krb5.conf"
    many = "".join(
        f"    R{n}.EXAMPLE.TEST = {{\n        kdc = kdc1.r{n}.example.test\n"
        f"        kdc = kdc2.r{n}.example.test\n    }}\n" for n in range(60)
    )  # fmt: skip
    realms.write_text(small.read_text().replace("[realms]\n", f"[realms]\n{many}"))
    environ = {**os.environ, **realm.environ, "KRB5_CONFIG": str(small)}
    return {
        "small": environ,
        "Debian": environ | {"KRB5_CONFIG": f"{small}:/etc/krb5.conf"},
        "realms": environ | {"KRB5_CONFIG": str(realms)},
        "foreign": environ | {"KRB5_KTNAME": with_foreign_keys(realm)},
    }


def with_foreign_keys(realm):
    foreign = new_keys(realm, "host/h{}.example.test", 400)
    return write_keytab(realm.directory / "foreign", [*foreign, *own_keys(realm)])


def own_keys(realm):
    return list(krb5.kt_resolve(krb5.init_context(), realm.keytab.encode()))


def new_keys(realm, name, count):
    """Those of *count* services, which *name* makes of a number."""
    context = krb5.init_context()
    for number in range(count):
        text = f"{name.format(number)}@{realm.name}".encode()
        principal = krb5.parse_name_flags(context, text)
        key = krb5.init_keyblock(context, 18, os.urandom(32))  # aes256-cts-hmac-sha1-96
        yield SimpleNamespace(principal=principal, kvno=1, key=key)


def write_keytab(path, keys):
    context = krb5.init_context()
    keytab = krb5.kt_resolve(context, str(path).encode())
    for each in keys:
        krb5.kt_add_entry(context, keytab, each.principal, each.kvno, 0, each.key)
    return str(path)


def one_round(realm, environ, requests, command):
    core = str(os.cpu_count() - 1)
    if isinstance(command, str):
        command = [sys.executable, __file__, "--work", command]
    took = subprocess.run(
        ["taskset", "--cpu-list", core, *command], env=environ, text=True, check=True,
        input="".join(f"{token}\n" for token in tokens(realm, WARM_UP + requests)),
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    return statistics.median(map(float, took.split()[WARM_UP:]))


def measure(rounds, requests, tell=lambda text: None):
    """The median of each round, by condition and subject."""
    seen = {}
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        environs = conditions(realm)
        for number in range(rounds):
            tell(f"in process: round {number + 1} of {rounds}")
            for condition, environ in environs.items():
                for name, command in SUBJECTS.items():
                    took = one_round(realm, environ, requests, command)
                    seen.setdefault((condition, name), []).append(took)
    return seen


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def report(seen):
    for (condition, name), figures in seen.items():
        print(f"{condition:8} {name:32} {statistics.median(figures):8.1f} us")
    for (here, ours, there, theirs), aim in AIMS.items():
        found = ratio(seen[here, ours], seen[there, theirs])
        print(f"{ours} ({here}) / {theirs} ({there}): {found:.2f}   aim {aim:.2f}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work")
    options = parser.parse_args()
    if options.work:
        return work(options.work)
    seen = measure(
        options.rounds, options.requests, lambda text: print(text, file=sys.stderr)
    )
    if options.json:
        print(json.dumps([[*key, figures] for key, figures in seen.items()]))
    else:
        report(seen)
    return None


if __name__ == "__main__":
    main()
