"""The same application reached in process, and over HTTP through each kind of server."""

from __future__ import annotations

import http.client
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder

TESTS = Path(__file__).parent
KINDS = ("wsgi", "gunicorn-sync", "gunicorn-gthread", "uwsgi")
BIN = Path(sys.executable).parent
#: Bytes that the groups of an Active Directory user in 1000 of them take in a ticket.
LARGE = 12_600


@dataclass
class Answer:
    status: int
    headers: list
    body: bytes

    @property
    def challenges(self):
        return [
            value for name, value in self.headers if name.lower() == "www-authenticate"
        ]

    @property
    def text(self):
        return self.body.decode()

    def header(self, name):
        return {k.lower(): v for k, v in self.headers}.get(name.lower())


class _Handler(SimpleHandler):
    """wsgiref's server side, which lets the application's exceptions pass."""

    http_version = "1.1"
    os_environ = {}  # noqa: RUF012

    def handle_error(self):
        raise


class _Socket(io.BytesIO):
    def makefile(self, mode):
        return self


class WsgiSite:
    """Calls the application as PEP 3333 has it, under wsgiref.validate."""

    kind = "wsgi"

    def __init__(self, application):
        self.application = validator(application)

    def request(
        self,
        path,
        authorization=None,
        *,
        method="GET",
        headers=(),
        body=b"",
        base_url=None,
    ):
        path, _, query = path.partition("?")
        builder = EnvironBuilder(
            path=path, query_string=query, method=method, headers=list(headers),
            data=body or None, base_url=base_url,
        )  # fmt: skip
        if authorization is not None:
            builder.headers["Authorization"] = authorization
        environ = builder.get_environ()
        environ["REMOTE_ADDR"] = "192.0.2.1"
        environ["HTTPS"] = "on" if environ["wsgi.url_scheme"] == "https" else ""
        written = _Socket()
        handler = _Handler(environ.pop("wsgi.input"), written, io.StringIO(), environ)
        handler.run(self.application)
        written.seek(0)
        response = http.client.HTTPResponse(written, method=method)
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())

    def close(self):
        pass


class HttpSite:
    """An application behind a server of *kind*, started by *prefix*, with more *arguments*."""

    def __init__(
        self,
        kind,
        application="table_app:application",
        *,
        prefix=(),
        arguments=(),
        **environ,
    ):
        self.kind = kind
        self.port = free_port()
        self.process = subprocess.Popen(
            [*prefix, *command(kind, self.port, application), *arguments],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.port, self.process)

    @property
    def url(self):
        return f"http://localhost:{self.port}"

    def request(self, path, authorization=None, *, method="GET", headers=(), body=b""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        fields = dict(headers)
        if authorization is not None:
            fields["Authorization"] = authorization
        connection.request(method, path, body or None, fields)
        response = connection.getresponse()
        answer = Answer(response.status, response.getheaders(), response.read())
        connection.close()
        return answer

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def command(kind, port, application):
    if kind.startswith("uwsgi"):
        threads = [] if kind == "uwsgi-without-threads" else ["--threads", "4"]
        return [
            shutil.which("uwsgi"), "--plugin", "python3", "--home", sys.prefix, "--master",
            "--die-on-term", "--need-app", "--http-socket", f"127.0.0.1:{port}",
            "--module", application, "--buffer-size", "65535", *threads,
            # It closes the connection after each answer, and does not say so by itself.
            "--add-header", "Connection: close",
        ]  # fmt: skip
    if kind == "waitress":
        return [BIN / "waitress-serve", f"--listen=127.0.0.1:{port}", application]
    worker = kind.removeprefix("gunicorn-")
    return [
        BIN / "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", worker,
        "--threads", "4" if worker == "gthread" else "1", "--limit-request-field_size", "131072",
        "--no-control-socket", application,
    ]  # fmt: skip


def open_site(kind):
    if kind == "wsgi":
        import table_app

        # wsgiref.validate on both sides: as the server sees us, and as the application does.
        return WsgiSite(
            DispatcherMiddleware(
                table_app.app, table_app.guarded(validator(table_app.app))
            )
        )
    return HttpSite(kind)


def children(pid):
    """The pids of the processes that *pid* has started and that still run."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port, address="127.0.0.1"):
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def wait_for(port, process, seconds=120, address="127.0.0.1"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        if is_open(port, address):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")
