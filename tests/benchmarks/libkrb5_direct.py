"""What libkrb5 called directly would spare: libkrb5_direct.py [REQUESTS]

An acceptor over krb5_rd_req and krb5_mk_rep by way of ctypes, with SPNEGO read and written by us,
beside ours. It is the smallest that can be: one thread, one SPN, and every refusal an error. What it
does not do would cost it more. Counted are the instructions of REQUESTS (60) calls, whose tokens
are made before.
Run it with the environment that tests/run has made.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import sys
from ctypes import byref, c_int32, c_uint, c_void_p, string_at
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import in_process
from callgrind import WARM_UP, count_calls, instructions

from negotiate_wsgi import Accepted, GssapiAcceptor
from negotiate_wsgi.acceptors.gssapi_library import library
from negotiate_wsgi.acceptors.target import Target
from negotiate_wsgi.identity import identity_of_ticket
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.wire import der
from negotiate_wsgi.wire.authenticator import authenticator_in
from negotiate_wsgi.wire.negotiation import KRB5, read_mech_token, read_negotiation
from negotiate_wsgi.wire.ticket import AP_REQ, Ticket

SPN = "HTTP/localhost@EXAMPLE.TEST"
AP_REP = b"\x02\x00"  # TOK_ID, RFC 4121 section 4.1
GSS_CHECKSUM = 0x8003  # RFC 4121 section 4.1.1
MUTUAL = 2
DO_TIME_AND_SEQUENCE = 1 | 4  # KRB5_AUTH_CONTEXT_* of krb5.h


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


# Those of krb5.h, as far as they are looked at.
Data = structure(
    "Data", ("magic", c_int32), ("length", c_uint), ("data", ctypes.c_char_p)
)
Out = structure("Out", ("magic", c_int32), ("length", c_uint), ("data", c_void_p))
Sealed = structure(
    "Sealed", ("magic", c_int32), ("type", c_int32), ("kvno", c_uint), ("cipher", Out)
)
OpenTicket = structure(
    "OpenTicket", ("magic", c_int32), ("server", c_void_p), ("sealed", Sealed),
    ("opened", c_void_p),
)  # fmt: skip
Transited = structure(
    "Transited", ("magic", c_int32), ("type", ctypes.c_ubyte), ("contents", Out)
)
Opened = structure(
    "Opened", ("magic", c_int32), ("flags", c_int32), ("session", c_void_p),
    ("client", c_void_p), ("transited", Transited), ("times", c_int32 * 4),
)  # fmt: skip
Authenticator = structure(
    "Authenticator", ("magic", c_int32), ("client", c_void_p), ("checksum", c_void_p)
)
Checksum = structure(
    "Checksum", ("magic", c_int32), ("type", c_int32), ("length", c_uint),
    ("contents", c_void_p),
)  # fmt: skip

# The first gives the GIL back while a call lasts, the second keeps it for the short ones.
SLOW = ctypes.CDLL("libkrb5.so.3")
QUICK = ctypes.PyDLL("libkrb5.so.3")


def check(code):
    if code:
        raise RuntimeError(f"libkrb5: {code}")


class Direct:
    """Accepts tokens for `SPN`, with one krb5_context for as long as it lives."""

    def __init__(self):
        self.path = os.environ["KRB5_KTNAME"].removeprefix("FILE:")
        self.version = self.stat()
        self.keys = library().read_keys(
            self.path, self.version, Target.of("HTTP", None)
        )
        self.context = c_void_p()
        self.keytab = c_void_p()
        self.begin()
        self.spn = c_void_p()
        check(SLOW.krb5_parse_name(self.context, SPN.encode(), byref(self.spn)))
        self.exchange = c_void_p()
        self.its_exchange = byref(self.exchange)
        self.options = c_int32()
        self.its_options = byref(self.options)
        self.ticket = c_void_p()
        self.its_ticket = byref(self.ticket)
        self.authenticator = c_void_p()
        self.its_authenticator = byref(self.authenticator)
        self.name = ctypes.c_char_p()
        self.its_name = byref(self.name)
        self.request = Data()
        self.its_request = byref(self.request)
        self.reply = Out()
        self.its_reply = byref(self.reply)

    def stat(self):
        status = os.stat(self.path)
        return status.st_mtime_ns, status.st_ino, status.st_size

    def begin(self):
        check(SLOW.krb5_init_context(byref(self.context)))
        memory = self.keys.of_spn[SPN]
        check(SLOW.krb5_kt_resolve(self.context, memory, byref(self.keytab)))

    def accept(self, token):
        assert self.stat() == self.version
        ticket = Ticket.of(token)
        request = token[place_of_ap_req(token) :]
        self.request.length = len(request)
        self.request.data = request
        check(QUICK.krb5_auth_con_init(self.context, self.its_exchange))
        try:
            principal, end, proof = self.judge()
        finally:
            QUICK.krb5_auth_con_free(self.context, self.exchange)
        fingerprint = functools.partial(authenticator_in, token)
        identity = identity_of_ticket(principal, ticket.spn)
        expiry = functools.partial(float, end)
        return Accepted(identity, proof, expiry, fingerprint=fingerprint)

    def judge(self):
        context = self.context
        exchange = self.exchange
        QUICK.krb5_auth_con_setflags(context, exchange, DO_TIME_AND_SEQUENCE)
        check(
            SLOW.krb5_rd_req(
                context, self.its_exchange, self.its_request, self.spn, self.keytab,
                self.its_options, self.its_ticket,
            )
        )  # fmt: skip
        try:
            principal, end = self.initiator()
        finally:
            QUICK.krb5_free_ticket(context, self.ticket)
        return principal, end, self.proof() if self.flags() & MUTUAL else None

    def initiator(self):
        ticket = OpenTicket.from_address(self.ticket.value)
        opened = Opened.from_address(ticket.opened)
        check(
            QUICK.krb5_unparse_name(
                self.context, c_void_p(opened.client), self.its_name
            )
        )
        principal = self.name.value.decode()
        QUICK.krb5_free_unparsed_name(self.context, self.name)
        return principal, opened.times[2]

    def flags(self):
        check(
            QUICK.krb5_auth_con_getauthenticator(
                self.context, self.exchange, self.its_authenticator
            )
        )
        try:
            authenticator = Authenticator.from_address(self.authenticator.value)
            checksum = Checksum.from_address(authenticator.checksum)
            assert checksum.type == GSS_CHECKSUM
            assert checksum.length >= 24
            return string_at(checksum.contents + 20, 1)[0]
        finally:
            QUICK.krb5_free_authenticator(self.context, self.authenticator)

    def proof(self):
        check(SLOW.krb5_mk_rep(self.context, self.exchange, self.its_reply))
        size = self.reply.length
        try:
            return before(size) + string_at(self.reply.data, size)
        finally:
            QUICK.krb5_free_data_contents(self.context, self.its_reply)


class Anew(Direct):
    """The same with a krb5_context for each token, which alone sees a changed krb5.conf."""

    def __init__(self):
        super().__init__()
        self.pinned = self.context
        self.context = c_void_p()

    def accept(self, token):
        self.begin()
        try:
            return super().accept(token)
        finally:
            QUICK.krb5_kt_close(self.context, self.keytab)
            QUICK.krb5_free_context(self.context)


@der.by_beginning
def place_of_ap_req(token):
    _, reader = read_mech_token(read_negotiation(token))
    reader.bare(AP_REQ)
    return reader.at, reader.at


@functools.cache
def before(size):
    """What stands before an AP-REP of *size* octets: RFC 4178 section 4.2.2, RFC 4121."""
    token = der.element(
        der.application(0), der.element(der.OID, KRB5), AP_REP, bytes(size)
    )
    state = der.element(der.context(0), der.element(der.ENUMERATED, b"\0"))
    mechanism = der.element(der.context(1), der.element(der.OID, KRB5))
    response = der.element(der.context(2), der.element(der.OCTET_STRING, token))
    fields = der.element(der.SEQUENCE, state, mechanism, response)
    return der.element(der.context(1), fields)[:-size]


SUBJECTS = {"gssapi": GssapiAcceptor, "direct": Direct, "anew": Anew}


def work(name):
    """Judges the tokens that standard input has in hex."""
    accept = SUBJECTS[name]().accept
    tokens = [bytes.fromhex(line) for line in sys.stdin]
    gc.disable()  # which comes when it comes, and is more than a request

    def judge(token):
        accepted = accept(token)
        assert accepted.identity.principal == "alice@EXAMPLE.TEST", accepted
        assert accepted.token

    count_calls(judge, tokens)


def main(requests=60):
    with Realm(users=["alice"]) as realm:
        realm.kinit("alice")
        os.environ |= realm.environ
        for name in SUBJECTS:
            command = [sys.executable, __file__, "--work", name]
            tokens = in_process.tokens(realm, WARM_UP + requests)
            counted = instructions(command, dict(os.environ), "\n".join(tokens))
            print(f"{name}: {counted / requests / 1000:.1f} thousand", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
