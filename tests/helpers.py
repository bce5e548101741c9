"""What the tests share: tokens, a judge that answers what it is told to, sites, and who came in."""

from __future__ import annotations

import base64
import os
import struct
import time
from pathlib import Path
from wsgiref.validate import validator

import sites

import negotiate_wsgi
from negotiate_wsgi import (
    Accepted,
    Identity,
    NegotiateMiddleware,
    get_identity,
    get_refusal,
)
from negotiate_wsgi.wire.der import OID, Reader

# OIDs in DER: RFC 4178 section 3, RFC 4121 section 1, [MS-SPNG] section 1.9.
SPNEGO = bytes.fromhex("06062b0601050502")
KRB5 = bytes.fromhex("06092a864886f712010202")
MS_KRB5 = bytes.fromhex("06092a864882f712010202")
NTLM = bytes.fromhex("060a2b06010401823702020a")
NEGOEX = bytes.fromhex("060a2b06010401823702021e")
IAKERB = bytes.fromhex("06062b0601050205")

KEY = "an example key of 32 bytes, or more"
OLD_KEY = b"\xff older, and not text, but long enough"
#: What a browser asks for.
HTML = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]

#: The preferences of a Firefox that signs on to localhost, and calls nobody else.
FIREFOX = {
    "network.negotiate-auth.trusted-uris": "localhost",
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://localhost:1",
    "toolkit.telemetry.enabled": False,
}


def locals_of_ours(problem):
    """The local variables in our frames of an exception's traceback, and of those before it."""
    ours = str(Path(negotiate_wsgi.__file__).parent)
    shown = []
    while problem:
        trace = problem.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename.startswith(ours):
                shown.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        problem = problem.__context__
    assert shown
    return "\n".join(shown)


def der(tag, *parts):
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def spnego(*mechanisms, ticket=b"ticket"):
    """A NegTokenInit as RFC 4178 section 4.2.1 has it, with a token of krb5."""
    offers = der(0xA0, der(0x30, *mechanisms))
    mech_token = der(0xA2, der(0x04, der(0x60, KRB5, ticket)))
    return der(0x60, SPNEGO, der(0xA0, der(0x30, offers, mech_token)))


KEY_BYTES = b"a key of 32 bytes, to be kept..."


def keytab_entry(
    name="HTTP/www.test",
    realm=b"R",
    kvno=1,
    enctype=18,
    key=KEY_BYTES,
    tail=b"",
    order=">",
):
    """An entry of a keytab of version 2; of version 1 with the byte order of this machine, ``=``."""
    components = [part.encode() if isinstance(part, str) else part for part in
                  (name.split("/") if isinstance(name, str) else name)]  # fmt: skip
    is_old = order == "="
    content = struct.pack(f"{order}h", len(components) + is_old)
    for text in (realm, *components):
        content += struct.pack(f"{order}H", len(text)) + text
    if not is_old:
        content += struct.pack(f"{order}I", 1)
    content += struct.pack(f"{order}IB", 0, kvno & 0xFF)
    content += struct.pack(f"{order}hH", enctype, len(key)) + key + tail
    return struct.pack(f"{order}i", len(content)) + content


def ap_req_token(
    components=(b"HTTP", b"www.test"),
    realm=b"R",
    kvno=3,
    enctype=18,
    mech=KRB5,
    size=99,
):
    """A token of krb5 with a ticket as RFC 4120 sections 5.3 and 5.5.1 have it."""
    names = [der(0x1B, component) for component in components]
    name = der(0x30, der(0xA0, der(2, b"\2")), der(0xA1, der(0x30, *names)))
    numbered = [] if kvno is None else [der(0xA1, der(2, kvno.to_bytes(5, "big")))]

    def sealed(size):
        cipher = der(0xA2, der(4, bytes(size)))
        return der(0x30, der(0xA0, der(2, bytes([enctype]))), *numbered, cipher)

    parts = [
        der(0xA0, der(2, b"\5")),
        der(0xA1, der(0x1B, realm)),
        der(0xA2, name),
        der(0xA3, sealed(size)),
    ]
    ticket = der(0xA3, der(0x61, der(0x30, *parts)))
    numbers = [
        der(0xA0, der(2, b"\5")),
        der(0xA1, der(2, b"\x0e")),
        der(0xA2, der(3, bytes(5))),
    ]
    request = der(0x6E, der(0x30, *numbers, ticket, der(0xA4, sealed(99))))
    return der(0x60, mech, b"\1\0", request)


def relabelled(token, before, after):
    """*token* with another component of the same length in its ticket's SPN."""
    length = bytes([len(before)])
    changed = token.replace(b"\x1b" + length + before, b"\x1b" + length + after, 1)
    assert changed != token
    return changed


def rewritten(content, path, change):
    """*content* with *change* made to what the element at the end of *path* holds."""
    if not path:
        return change(content)
    reader, start = Reader(content), 0
    if content[:2] == KRB5[:2]:
        reader.skip(OID)
        reader.bare(b"\1\0")
        start = reader.at
    while not reader.next_is(path[0]):
        reader.skip(content[reader.at])
        start = reader.at
    held = rewritten(reader.content(path[0]), path[1:], change)
    return content[:start] + der(path[0], held) + content[reader.at :]


def negotiate(token):
    return "Negotiate " + base64.b64encode(token).decode()


#: A token that passes the screening, for a `NamedAcceptor`.
GOOD = spnego(KRB5)


class NamedAcceptor:
    """The second implementation of the protocol: answers what it was told to."""

    def __init__(self, result):
        self.result = result
        self.tokens = []

    def accept(self, token):
        self.tokens.append(token)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def accepted(principal, spn=None, token=None):
    return Accepted(Identity(principal, spn), token)


ALICE = accepted("alice@EXAMPLE.TEST", "HTTP/localhost@EXAMPLE.TEST", b"proof")


def app(environ, start_response):
    """Says who came in, and what was refused."""
    identity, refusal = get_identity(environ), get_refusal(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    name = identity and identity.name
    return [
        f"{environ.get('REMOTE_USER')} {name} {refusal and refusal.reason}".encode()
    ]


def site_of(result=ALICE, inner=app, **options):
    """*inner* behind the middleware, with a `NamedAcceptor` that answers *result*."""
    acceptor = NamedAcceptor(result)
    site = sites.WsgiSite(
        NegotiateMiddleware(validator(inner), acceptor=acceptor, **options)
    )
    site.acceptor = acceptor
    return site


def set_cookies(answer):
    return [value for name, value in answer.headers if name.lower() == "set-cookie"]


def is_let_in(answer, user="alice@EXAMPLE.TEST"):
    """Whether table_app says that *user* came in."""
    return answer.status == 200 and f"user={user}\n" in answer.text


def is_asked(answer):
    return answer.status == 401 and answer.challenges == ["Negotiate"]


def processes_with(directory):
    """The processes that know of *directory*, from their command or their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "environ").read_bytes() + (
                process / "cmdline"
            ).read_bytes()
        except OSError:
            continue
        if str(directory).encode() in known:
            found.append(process.name)
    return found


def wait_until(true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class BrowserServer(sites.HttpSite):
    """A gunicorn with an application of browser_apps, and the log of its requests."""

    def __init__(self, application, log, host="localhost", certificate=None, **environ):
        self._log = log
        self._clock = log.with_suffix(".clock")
        self._host = host
        self.move_clock(0)
        own = {
            "PYTHONPATH": os.pathsep.join(
                [str(sites.TESTS), str(sites.TESTS.parent / "samples")]
            ),
            "SECRET_KEY": "a key of thirty-two bytes or more",
            "CLOCK": str(self._clock),
        }
        arguments = ["--access-logfile", log, "--access-logformat", "%(s)s %(r)s"]
        self._scheme = "http"
        if certificate:  # a file with the key, too
            arguments += ["--certfile", certificate, "--keyfile", certificate]
            self._scheme = "https"
        super().__init__(
            "gunicorn-gthread",
            f"browser_apps:{application}",
            arguments=arguments,
            **own | environ,
        )

    def move_clock(self, seconds):
        """Have sessions believe that it is *seconds* later than it is."""
        self._clock.write_text(str(seconds))

    @property
    def url(self):
        return f"{self._scheme}://{self._host}:{self.port}"

    @property
    def requests(self):
        """Status, method, path and protocol of each, once the server has ended."""
        self.close()  # It logs a request after it has answered it.
        return [line.split() for line in self._log.read_text().splitlines()]

    def statuses(self, path):
        return [
            int(status)
            for status, _, requested, _ in self.requests
            if requested == path
        ]


def screenshot(page, name):
    """For a person to look at, where SCREENSHOTS names a directory."""
    if directory := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{directory}/{name}.png", full_page=True)
