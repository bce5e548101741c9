"""What is peculiar to pykerberos: its texts, its leak, its one keytab, its buffers."""

import gc
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

import kerberos
import pytest

from negotiate_wsgi import (
    AcceptorError,
    ConfigurationError,
    GssapiAcceptor,
    NegotiateMiddleware,
    Reason,
)
from negotiate_wsgi.acceptors import pykerberos
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.ticket import Ticket

FAILURE = 851968
TICKET = Ticket("HTTP/localhost@R", "aes256-cts-hmac-sha1-96", 1)
TEXTS = {
    "Request is a replay": Reason.REPLAYED,
    "Ticket expired": Reason.EXPIRED,
    "Clock skew too great": Reason.CLOCK_SKEW,
    "Ticket not yet valid": Reason.CLOCK_SKEW,
    "Request ticket server HTTP/h@R kvno 1 not found in keytab; ticket is likely out of date": Reason.STALE_TICKET,
    "Request ticket server HTTP/h@R kvno 2 not found in keytab; keytab is likely out of date": Reason.STALE_KEYTAB,
    "Request ticket server HTTP/h@R not found in keytab (ticket kvno 2)": Reason.SPN_NOT_IN_KEYTAB,
    "Request ticket server HTTP/h@R kvno 1 enctype aes256-cts found in keytab but cannot decrypt ticket": Reason.WRONG_KEY,
    "Decrypt integrity check failed": Reason.WRONG_KEY,
    "Request ticket server HTTP/h@R kvno 2 found in keytab but not with enctype rc4-hmac": Reason.ENCTYPE_MISSING,
    "Token header is malformed or corrupt": Reason.MALFORMED,
    "Success": Reason.MALFORMED,
    "Something new in the next release": Reason.UNKNOWN,
    # An SPN is the client's choice, and must not choose the reason.
    "Request ticket server Request is a replay@R not found in keytab (ticket kvno 2)": Reason.SPN_NOT_IN_KEYTAB,
    "Request ticket server a (filename: /x/rcache2)@R not found in keytab (ticket kvno 2)": Reason.SPN_NOT_IN_KEYTAB,
    "Request ticket server replay cache@R said something new": Reason.UNKNOWN,
    "Request ticket server a\nTicket expired@R not found in keytab (ticket kvno 2)": Reason.SPN_NOT_IN_KEYTAB,
    "Cannot find key for HTTP/replay cache@R kvno 1 in keytab": Reason.UNKNOWN,
    "HTTP/replay cache@R (filename: /etc/passwd)": Reason.UNKNOWN,
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.items())
def test_texts(text, reason):
    spn = "HTTP/replay cache@R" if "HTTP/replay cache@R" in text else TICKET.spn
    ticket = replace(TICKET, spn=spn)
    refused = pykerberos._classify(
        (("Unspecified GSS failure", FAILURE), (text, 100001)), ticket
    )
    assert refused.reason is reason
    assert refused.detail == text


def test_a_text_proves_no_fault_of_ours_where_the_clients_words_cannot_be_told():
    text = "No such file or directory (filename: /srv/none/krb5_0.rcache2)"
    refused = pykerberos._classify((("", FAILURE), (text, 1)), None)
    assert (refused.reason, refused.detail) == (Reason.UNKNOWN, text)


@pytest.mark.parametrize(
    ("major", "reason"),
    [
        (65536, Reason.UNSUPPORTED_MECHANISM),
        (589824, Reason.MALFORMED),
        (16908288, Reason.NEEDS_ANOTHER_LEG),
        (655360, Reason.UNKNOWN),
    ],
)
@pytest.mark.usefixtures("realm")  # whose keytab exists
def test_majors(major, reason):
    refused = pykerberos._classify((("major text", major), ("minor text", 0)), TICKET)
    assert refused.reason is reason
    assert "major text" in refused.detail


@pytest.mark.parametrize(
    "args", [(), ("text",), (("a", 1),), (1, 2), (("a", 1, 2), ("b", 2))]
)
def test_arguments_of_no_known_shape(args):
    assert pykerberos._classify(args, TICKET).reason is Reason.UNKNOWN


def test_replay_cache_text_names_the_directory():
    text = "No such file or directory (filename: /srv/none/krb5_0.rcache2)"
    with pytest.raises(
        AcceptorError, match=rf"uid {os.geteuid()} .*directory /srv/none: "
    ):
        pykerberos._classify((("", FAILURE), (text, 1)), TICKET)


@pytest.mark.parametrize(
    "text",
    [
        "Replay cache file /var/tmp/krb5_33.rcache2 is not owned by uid 33",
        "Replay cache I/O operation failed",
        "Permission denied in replay cache code",
        "Insufficient system space to store replay information",
    ],
)
def test_other_faults_of_the_replay_cache_do_not_blame_the_client(text):
    with pytest.raises(AcceptorError, match=re.escape(text)) as error:
        pykerberos._classify((("", FAILURE), (text, 1)), TICKET)
    assert error.value.reason is Reason.REPLAY_CACHE_UNUSABLE


def test_text_beyond_the_bindings_buffer_is_cut():
    refused = pykerberos._classify(
        (("", FAILURE), ("x" * 511 + "what stood on the stack", 1)), TICKET
    )
    assert refused.detail == "x" * 511


@pytest.mark.parametrize("length", [300, 500, 600, 1000])
def test_an_spn_longer_than_the_bindings_buffer(realm, length):
    """The binding then reads past its buffer; what it finds there must not get into the log."""
    spn = f"HTTP/{'a' * length}"
    realm.kadmin("addprinc", "-randkey", spn)
    acceptor = PykerberosAcceptor()
    for _ in range(50):
        refused = acceptor.accept(realm.token(spn))
        assert refused.reason in (Reason.SPN_NOT_IN_KEYTAB, Reason.UNKNOWN)
        said = f"Request ticket server {spn}@EXAMPLE.TEST not found in keytab (ticket kvno 1)"
        assert refused.detail.split("; ticket: ")[0] in (
            said[:511],
            "the library's text is not UTF-8",
        )
    assert sys.getrefcount(()) > 1000  # the empty tuple was not released once too often


def test_a_relabelled_ticket_is_known_by_its_key(realm):
    token = realm.token("host/localhost").replace(b"\x04host", b"\x04HTTP", 1)
    refused = PykerberosAcceptor().accept(token)
    assert (refused.reason, refused.principal, refused.spn) == (
        Reason.WRONG_SERVICE, "alice@EXAMPLE.TEST", "host/localhost@EXAMPLE.TEST",
    )  # fmt: skip


def test_leak_probe_tells_the_truth_about_this_build(realm):
    """5000 refused tokens, with what the probe's answer says must be done and without."""

    def leaked(release):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(5000):
            _, state = kerberos.authGSSServerInit("")
            try:
                kerberos.authGSSServerStep(state, "YIGq")
            except kerberos.GSSError as error:
                if release:
                    pykerberos._release_leaked_arguments(error)
        return sys.getallocatedblocks() - before

    assert (leaked(release=False) > 4000) == pykerberos._leaks_error_arguments()
    assert leaked(release=True) < 1000


def test_a_mended_build_is_left_alone(monkeypatch):
    monkeypatch.setattr(pykerberos, "_leaks_error_arguments", lambda: False)
    error = pykerberos.kerberos.GSSError(("a", 1), ("b", 2))
    before = sys.getrefcount(error.args)
    pykerberos._release_leaked_arguments(error)
    after = sys.getrefcount(error.args)
    assert after == before


@pytest.fixture
def alone(monkeypatch):
    """No acceptor of another test is in use."""
    monkeypatch.setattr(pykerberos, "of_the_environment", WeakSet())


def test_keytab_option_becomes_the_processes_keytab(
    realm, alone, monkeypatch, tmp_path
):
    monkeypatch.setenv("KRB5_KTNAME", "/no/such/keytab")
    acceptor = PykerberosAcceptor(keytab=tmp_path / "late")
    with pytest.raises(AcceptorError, match="late does not exist"):
        acceptor.accept(realm.token())
    (tmp_path / "late").write_bytes(Path(realm.keytab).read_bytes())
    assert acceptor.accept(realm.token()).identity.principal == "alice@EXAMPLE.TEST"


def app(environ, start_response):
    raise NotImplementedError


def test_two_keytabs_in_one_process_are_a_configuration_error(alone, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", "/as/it/was")
    first = NegotiateMiddleware(app, keytab="/a")
    with pytest.raises(ConfigurationError, match="'/a' is in use"):
        NegotiateMiddleware(app, keytab="/b")
    assert os.environ["KRB5_KTNAME"] == "/a"
    NegotiateMiddleware(app, keytab="/a")
    NegotiateMiddleware(app, keytab="FILE:/a")
    del first
    NegotiateMiddleware(app, keytab="/b")
    assert os.environ["KRB5_KTNAME"] == "/b"


@pytest.mark.parametrize("sibling", [PykerberosAcceptor, GssapiAcceptor])
def test_a_siblings_keytab_is_not_taken_over(sibling, monkeypatch):
    """In a process of its own, as acceptors of other tests are siblings, too."""
    program = (
        "import os\n"
        "from negotiate_wsgi import *\n"
        f"from {sibling.__module__} import {sibling.__name__}\n"
        "def app(environ, start_response): ...\n"
        f"sibling = NegotiateMiddleware(app, acceptor={sibling.__name__}())\n"
        "for keytab in ('/of/another', 'WRFILE:/as/it/was', '/of/another'):\n"
        "    try: guarded = NegotiateMiddleware(app, keytab=keytab)\n"
        "    except ConfigurationError as error: print(error)\n"
        "    print(os.environ['KRB5_KTNAME'])\n"
        "    guarded = None\n"
        "del sibling\n"
        "guarded = NegotiateMiddleware(app, keytab='/of/another')\n"
        "print(os.environ['KRB5_KTNAME'])\n"
    )
    environ = os.environ | {"KRB5_KTNAME": "/as/it/was"}
    command = [sys.executable, "-c", program]
    said = subprocess.check_output(command, env=environ, text=True).splitlines()
    assert said[0].startswith("keytab='/of/another', but '/as/it/was' is in use: ")
    assert said[1:3] == ["/as/it/was", "WRFILE:/as/it/was"]
    assert said[3].startswith(
        "keytab='/of/another', but 'WRFILE:/as/it/was' is in use: "
    )
    assert said[4:] == ["WRFILE:/as/it/was", "/of/another"]


def test_keytab_that_this_uid_cannot_read(realm, tmp_path):
    """As another user: root reads everything."""
    keytab = tmp_path / "keytab"
    keytab.write_bytes(b"\x05\x02")
    keytab.chmod(0)
    script = (
        "import os, sys\n"
        "from negotiate_wsgi.acceptors.pykerberos import _libkrb5, PykerberosAcceptor\n"
        "PykerberosAcceptor()\n"
        "os.environ |= {'KRB5_KTNAME': sys.argv[1], 'KRB5_CONFIG': '/dev/null'}\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "print(_libkrb5().credential_fault().detail)\n"
    )
    said = subprocess.check_output([sys.executable, "-c", script, keytab], text=True)
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    assert (
        said == f"the keytab {keytab} cannot be read by uid {uid}: Permission denied\n"
    )


def test_default_keytab_is_the_one_that_krb5_would_take(realm, monkeypatch):
    monkeypatch.delenv("KRB5_KTNAME")
    PykerberosAcceptor()
    assert pykerberos._libkrb5().default_keytab().endswith("/etc/krb5.keytab")
    monkeypatch.setenv("KRB5_KTNAME", "FILE:/some/keytab")
    assert pykerberos._libkrb5().default_keytab() == "FILE:/some/keytab"


def test_a_changed_krb5_conf_is_seen_though_it_is_pinned(realm, monkeypatch, tmp_path):
    conf = tmp_path / "krb5.conf"
    sound = Path(os.environ["KRB5_CONFIG"]).read_text()
    conf.write_text(sound)
    tokens = [realm.token() for _ in range(3)]
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    acceptor = PykerberosAcceptor()
    assert acceptor.accept(tokens[0]).identity.principal == "alice@EXAMPLE.TEST"
    conf.write_text(
        sound.replace(
            "[libdefaults]", "[libdefaults]\n permitted_enctypes = camellia256-cts"
        )
    )
    os.utime(conf, (0, 0))
    assert acceptor.accept(tokens[1]).reason.status == 401
    conf.write_text(sound)
    assert acceptor.accept(tokens[2]).identity.principal == "alice@EXAMPLE.TEST"
