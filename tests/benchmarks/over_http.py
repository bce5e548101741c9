"""What a sign-on costs over HTTP: requests per second, and processor time, of one worker.

    tests/benchmarks/over_http.py [--rounds N] [--tokens N]

One worker of each server, with four threads, runs on one core, wrk on the other, with as many
connections. The KDC has nothing to do meanwhile: each request has a token of its own, which was made
before. An answer that is not alice ends the run. All subjects take turns round by round, with Debian's
/etc/krb5.conf added, as on a real host.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import in_process
import sites
from machine import as_a_user

from negotiate_wsgi.realm import Realm

CORE = str(os.cpu_count() - 1)
THREADS = "4"  # of each server's one worker
# Who is compared stands side by side: the pace of a machine changes.
PYTHON = ("plain", "ours_session", "ours_gssapi", "wsgi_kerberos", "wsgi_kerberos_hostname",
          "ours_pykerberos", "flask_gssapi")  # fmt: skip
APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ErrorLog {directory}/log
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule session_module /usr/lib/apache2/modules/mod_session.so
LoadModule session_cookie_module /usr/lib/apache2/modules/mod_session_cookie.so
LoadModule auth_gssapi_module /usr/lib/apache2/modules/mod_auth_gssapi.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
StartServers 1
ServerLimit 1
ThreadsPerChild {threads}
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot {directory}/root
DirectoryIndex index.txt
<Directory {directory}>
    Require all granted
</Directory>
{more}
"""
GUARD = """
<Location />
    AuthType GSSAPI
    GssapiCredStore keytab:{keytab}
    GssapiAllowedMech krb5
    Require valid-user
    {sessions}
</Location>
Header set X-User "expr=%{{REMOTE_USER}}"
"""
SESSIONS = """GssapiUseSessions On
    Session On
    SessionCookieName session path=/"""
WSGI = """
WSGIDaemonProcess site processes=1 threads={threads} python-home={home} python-path={here}
WSGISocketPrefix {directory}/wsgi
WSGIProcessGroup site
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {directory}/root/app.wsgi
"""


@dataclass
class Subject:
    """A server with one of those who are measured in it, on a *core*, loaded from another one."""

    server: str
    name: str
    core: str = CORE
    core_of_load: str = "0"
    rates: list = field(default_factory=list)
    cpus: list = field(default_factory=list)
    seconds: float = 0.0

    def start(self, environ):
        self.port = sites.free_port()
        self.directory = Path(tempfile.mkdtemp(dir=environ["KRB5RCACHEDIR"]))
        own = {**environ, "KRB5RCACHEDIR": str(self.directory), "PYTHONPATH": str(HERE)}
        if self.server == "apache":
            command = self.of_apache(environ)
        elif self.server == "go":
            command = [in_process.LIMIT.parent / "gokrb5", str(self.port)]
        else:
            command = self.of_python()
        self.process = subprocess.Popen(
            ["taskset", "--cpu-list", self.core, *command], env=own, cwd=HERE,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        sites.wait_for(self.port, self.process)

    def of_python(self):
        command = sites.command(self.server, self.port, f"subjects:{self.name}()")
        if self.server == "uwsgi":
            at = command.index("--module")
            command[at : at + 2] = [
                "--wsgi-file",
                self.file(f"application = {self.name}()"),
            ]
        return command

    def file(self, last_line):
        path = self.directory / "app.wsgi"
        path.write_text(f"from subjects import *\n{last_line}\n")
        return str(path)

    def of_apache(self, environ):
        root = self.directory / "root"
        root.mkdir()
        (root / "index.txt").write_text("static")
        (root / "app.wsgi").write_text("from subjects import app as application\n")
        guard = GUARD.format(
            keytab=environ["KRB5_KTNAME"],
            sessions=SESSIONS if "sessions" in self.name else "",
        )
        wsgi = WSGI.format(
            home=sys.prefix, here=HERE, directory=self.directory, threads=THREADS
        )
        more = guard * ("mod_auth_gssapi" in self.name) + wsgi * (
            "mod_wsgi" in self.name
        )
        conf = self.directory / "apache.conf"
        conf.write_text(
            APACHE.format(
                port=self.port, directory=self.directory, more=more, threads=THREADS
            )
        )
        return [
            *as_a_user(),
            "apache2",
            "-d",
            self.directory,
            "-f",
            conf,
            "-DFOREGROUND",
        ]

    def stop(self):
        self.process.terminate()
        self.process.wait(120)
        shutil.rmtree(self.directory)

    def load(self, tokens):
        """One round: adds requests per second, and microseconds of processor time per request."""
        self.begin_load(tokens)
        self.end_load()

    def begin_load(self, tokens):
        path = self.directory / "tokens"
        lines = [f"Negotiate {token}" for token in tokens]
        environ = {**os.environ, "TOKENS": str(path), "HEADER": "Authorization"}
        if self.name == "plain":
            environ["ANYBODY"] = "1"
        if "session" in self.name:
            environ["HEADER"] = "Cookie"
            lines = [self.cookie(lines[0])] * len(lines)
        if self.name == "plain" or "session" in self.name:
            lines *= 4  # which are answered as much faster
        path.write_text("\n".join(lines))
        self._sent = len(lines)
        self._cpu_before = cpu_of(self.process.pid)
        self._wrk = subprocess.Popen(
            ["taskset", "--cpu-list", self.core_of_load, "wrk", "-t1", f"-c{THREADS}", "-d60",
             "-s", HERE / "sign_on.lua", f"http://127.0.0.1:{self.port}/"],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end_load(self):
        """Returns how many requests were answered."""
        self._wrk.stderr.readline()  # All tokens are used, or wrk could not begin.
        self._wrk.send_signal(signal.SIGINT)  # It would wait until its time is over.
        said, _ = self._wrk.communicate()
        right, wrong, seconds = re.search(
            r"right (\d+) wrong (\d+) seconds (\S+)", said
        ).groups()
        assert wrong == "0", f"{self.server} {self.name}: {said}"
        assert int(right) >= self._sent - 64, f"{self.server} {self.name}: {said}"
        self.seconds += float(seconds)
        self.rates.append(int(right) / float(seconds))
        used = cpu_of(self.process.pid) - self._cpu_before
        self.cpus.append(used / int(right) * 1e6)
        return int(right)

    def cookie(self, authorization):
        """What a browser would send after it has signed on."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", "/", headers={"Authorization": authorization})
        response = connection.getresponse()
        assert response.status == 200, response.status
        return response.headers["Set-Cookie"].split(";")[0]


def cpu_of(process):
    """Seconds of processor time of a process and all below it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used + sum(map(cpu_of, sites.children(process)))


def measure(rounds, count, tell=lambda text: None):
    """All subjects, with what was measured of each."""
    everybody = [
        Subject(server, name)
        for server in ("gunicorn-gthread", "uwsgi")
        for name in PYTHON
    ]
    everybody += [Subject("apache", name) for name in ("plain", "mod_auth_gssapi",
                  "mod_auth_gssapi, sessions", "mod_auth_gssapi, mod_wsgi")]  # fmt: skip
    everybody.append(Subject("go", "gokrb5"))
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        environ = in_process.conditions(realm)["Debian"]
        for number in range(rounds):
            for subject in everybody:
                tell(
                    f"over HTTP: round {number + 1} of {rounds}, {subject.server} {subject.name}"
                )
                tokens = in_process.as_base64(in_process.tokens(realm, count))
                subject.start(environ)
                try:
                    subject.load(tokens[:200])
                    del subject.rates[-1], subject.cpus[-1]  # the first ones warm up
                    subject.load(tokens[200:])
                finally:
                    subject.stop()
    return {(subject.server, subject.name): subject for subject in everybody}


def aims(seen):
    """Pairs of a sentence and the ratio that was found, with the aim."""

    def rate(server, ours, theirs):
        return in_process.ratio(seen[server, ours].rates, seen[server, theirs].rates)

    def extra(server, name):
        pairs = zip(seen[server, name].cpus, seen[server, "plain"].cpus, strict=True)
        return statistics.median(guarded - plain for guarded, plain in pairs)

    for server, without, with_host in (
        ("uwsgi", 1.8, 2.7),
        ("gunicorn-gthread", 1.5, 2.0),
    ):
        for theirs, aim in (
            ("wsgi_kerberos", without),
            ("wsgi_kerberos_hostname", with_host),
        ):
            yield (
                f"{server}: requests/s, gssapi over {theirs}",
                rate(server, "ours_gssapi", theirs),
                aim,
            )
    for server, aim in (("uwsgi", 0.93), ("gunicorn-gthread", 0.90)):
        yield (
            f"{server}: requests/s, a session over unprotected",
            rate(server, "ours_session", "plain"),
            aim,
        )
    of_ours, of_apache = (
        extra("uwsgi", "ours_gssapi"),
        extra("apache", "mod_auth_gssapi"),
    )
    yield (
        "extra CPU per sign-on, gssapi on uWSGI over mod_auth_gssapi",
        of_ours / of_apache,
        0.7,
    )


def report(seen):
    for (server, name), subject in seen.items():
        rate, cpu = statistics.median(subject.rates), statistics.median(subject.cpus)
        print(
            f"{server:17} {name:27} {rate:8.0f} /s {cpu:8.1f} us of CPU"
            f" {subject.seconds:6.1f} s"
        )
    for sentence, found, aim in aims(seen):
        print(f"{sentence}: {found:.2f}   aim {aim:.2f}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=4000)
    options = parser.parse_args()
    report(
        measure(
            options.rounds, options.tokens, lambda text: print(text, file=sys.stderr)
        )
    )


if __name__ == "__main__":
    main()
