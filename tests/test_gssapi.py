"""What is peculiar to the gssapi acceptor: keytabs of its own, the ticket's end, no binding."""

import base64
import gc
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import app
from initiator import prolong
from sites import WsgiSite

from negotiate_wsgi import (
    Accepted,
    AcceptorError,
    ConfigurationError,
    GssapiAcceptor,
    NegotiateMiddleware,
    Reason,
    SessionCookie,
)

KEY = "a secret key of thirty-two bytes"


def test_two_middlewares_with_two_keytabs_do_not_see_each_others_keys(realm, tmp_path):
    spns = ["HTTP/first.test", "HTTP/second.test"]
    sites = []
    for spn in spns:
        keytab = tmp_path / spn.rpartition("/")[2]
        realm.add_service(spn, keytab)
        sites.append(
            WsgiSite(NegotiateMiddleware(app, acceptor=GssapiAcceptor(keytab=keytab)))
        )
    before = os.environ["KRB5_KTNAME"]
    for number, site in enumerate(sites):
        assert site.request("/", realm.authorization(spns[number])).status == 200
        other = site.request("/", realm.authorization(spns[1 - number]))
        assert (other.status, "spn-not-in-keytab" in other.text) == (401, True)
    assert os.environ["KRB5_KTNAME"] == before


def test_new_principals_are_seen_by_the_next_token(realm, tmp_path):
    keytab = tmp_path / "keytab"
    realm.add_service("HTTP/early.test", keytab)
    acceptor = GssapiAcceptor(keytab=keytab)
    assert isinstance(acceptor.accept(realm.token("HTTP/early.test")), Accepted)
    realm.add_service("HTTP/late.test", keytab)
    assert (
        acceptor.accept(realm.token("HTTP/late.test")).identity.spn
        == "HTTP/late.test@EXAMPLE.TEST"
    )
    keytab.unlink()
    with pytest.raises(AcceptorError, match="does not exist"):
        acceptor.accept(realm.token("HTTP/early.test"))


def test_a_keytab_without_a_key_of_ours_is_our_fault(realm, tmp_path):
    keytab = tmp_path / "keytab"
    realm.add_service("host/without-http.test", keytab)
    with pytest.raises(
        AcceptorError, match="has no key for HTTP/ and any host"
    ) as error:
        GssapiAcceptor(keytab=keytab).accept(realm.token())
    assert error.value.reason is Reason.KEYTAB_UNUSABLE


def test_a_ticket_for_one_of_our_names_and_the_key_of_another_is_known_by_the_key(
    realm,
):
    """As the acceptor of every key has it; the clear-text SPN only says which key to try first."""
    relabelled = realm.token("HTTP/alias.test").replace(
        b"\x0aalias.test", b"\x0aalias.tesT", 1
    )
    accepted = GssapiAcceptor().accept(relabelled)
    assert accepted.identity.spn == "HTTP/alias.test@EXAMPLE.TEST"
    only = GssapiAcceptor(hostname="localhost")
    assert only.accept(realm.token("HTTP/alias.test")).reason is Reason.WRONG_SERVICE


def test_keytab_by_either_spelling(realm):
    for name in (realm.keytab, f"FILE:{realm.keytab}", Path(realm.keytab)):
        assert isinstance(GssapiAcceptor(keytab=name).accept(realm.token()), Accepted)
    with pytest.raises(ConfigurationError, match="write its path"):
        GssapiAcceptor(keytab="")


def test_it_does_not_accept_ntlm_though_a_plugin_would(realm):
    program = (
        "import base64, sys\n"
        "from negotiate_wsgi import GssapiAcceptor\n"
        "acceptor = GssapiAcceptor()\n"
        "for token in sys.argv[1:]:\n"
        "    result = acceptor.accept(base64.b64decode(token))\n"
        "    print(getattr(result, 'reason', None) or result.identity.principal)\n"
    )
    ntlm = "TlRMTVNTUAABAAAAl4II4gAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw=="
    environ = {**os.environ, "GSS_MECH_CONFIG": "/etc/gss/mech.d/mech.ntlmssp.conf"}
    command = [sys.executable, "-c", program, ntlm, realm.authorization().split()[1]]
    said = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["unsupported-mechanism", "alice@EXAMPLE.TEST"]


def test_a_damaged_krb5_conf_is_our_fault(realm, tmp_path, monkeypatch):
    acceptor, token = GssapiAcceptor(), realm.token()
    gc.collect()  # Credentials of other tests cannot be released without krb5.conf.
    damaged = tmp_path / "krb5.conf"
    damaged.write_text("[realms\n")
    monkeypatch.setenv("KRB5_CONFIG", str(damaged))
    for each in (acceptor, GssapiAcceptor()):
        with pytest.raises(
            AcceptorError, match=f"cannot read {damaged}, or it is damaged"
        ):
            each.accept(token)
    monkeypatch.undo()
    assert isinstance(acceptor.accept(token), Accepted)


def test_a_krb5_conf_that_is_damaged_at_the_start_is_our_fault_until_it_is_repaired(
    realm, tmp_path
):
    conf = tmp_path / "krb5.conf"
    conf.write_text("[realms\n")
    program = (
        "import base64, os, shutil, sys\n"
        "from negotiate_wsgi import AcceptorError, GssapiAcceptor\n"
        "acceptor, token = GssapiAcceptor(), base64.b64decode(sys.argv[1])\n"
        "try: acceptor.accept(token)\n"
        "except AcceptorError as fault: print(fault.reason)\n"
        "shutil.copy(sys.argv[2], os.environ['KRB5_CONFIG'])\n"
        "print(acceptor.accept(token).identity.principal)\n"
    )
    token = base64.b64encode(realm.token()).decode()
    said = subprocess.run(
        [sys.executable, "-c", program, token, os.environ["KRB5_CONFIG"]],
        env={**os.environ, "KRB5_CONFIG": str(conf)}, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout.split() == ["krb5-conf-unusable", "alice@EXAMPLE.TEST"], (
        said.stderr
    )


def test_without_the_binding_it_says_what_to_install():
    program = (
        "import sys; sys.modules['gssapi'] = None\n"
        "from negotiate_wsgi import ConfigurationError, GssapiAcceptor\n"
        "try: GssapiAcceptor()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "pip install 'negotiate-wsgi[gssapi]'" in said


def test_with_heimdals_library_it_names_mits():
    """Where python-gssapi was built with Heimdal's, it lacks what only MIT's has."""
    program = (
        "import gssapi.raw; del gssapi.raw.acquire_cred_from\n"
        "from negotiate_wsgi import ConfigurationError, GssapiAcceptor\n"
        "try: GssapiAcceptor()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "such as Heimdal's: MIT krb5 is needed" in said


@pytest.fixture
def short_ticket(realm):
    """The header of a ticket of Alice's, and when it ends: in seconds, ten minutes from now."""
    realm.kinit("alice", "-l", "10m")
    before = time.time()
    return realm.authorization(), before + 600


@pytest.fixture
def ended_ticket(realm):
    """The header of a ticket that has ended a second ago, and its client does not know."""
    # For the service itself, so that nothing else has to be fetched before the second is over.
    realm.kinit("alice", "-l", "1s", "-S", "HTTP/localhost")
    prolong(realm.ccache("alice"), 3600)
    authorization = realm.authorization()
    time.sleep(2)
    return authorization


def max_age(answer):
    return int(re.search(r"Max-Age=(\d+)", answer.header("Set-Cookie"))[1])


def test_no_session_outlives_its_ticket(realm, short_ticket, monkeypatch):
    authorization, end = short_ticket
    session = SessionCookie(KEY, max_age=3600)
    site = WsgiSite(
        NegotiateMiddleware(app, acceptor=GssapiAcceptor(), session=session)
    )
    answer = site.request("/", authorization)
    assert 1 <= max_age(answer) <= 600
    cookie = [("Cookie", answer.header("Set-Cookie").split(";")[0])]
    monkeypatch.setattr(time, "time", lambda: end - 600)
    assert site.request("/", headers=cookie).status == 200
    monkeypatch.setattr(time, "time", lambda: end + 2)
    assert site.request("/", headers=cookie).status == 401


def test_a_ticket_that_has_just_ended_begins_no_session(realm, ended_ticket):
    """krb5 still accepts it, for as long as clocks may differ."""
    session = SessionCookie(KEY)
    site = WsgiSite(
        NegotiateMiddleware(app, acceptor=GssapiAcceptor(), session=session)
    )
    answer = site.request("/", ended_ticket)
    assert (answer.status, answer.header("Set-Cookie")) == (200, None)


def test_a_long_ticket_does_not_prolong_a_session(realm):
    session = SessionCookie(KEY, max_age=60)
    inner = NegotiateMiddleware(app, acceptor=GssapiAcceptor(), session=session)
    site = WsgiSite(
        NegotiateMiddleware(inner, acceptor=inner._acceptor, session=session)
    )
    assert max_age(site.request("/", realm.authorization())) == 60


def test_threads_have_credentials_of_their_own_and_see_a_new_keytab(realm, tmp_path):
    keytab = tmp_path / "keytab"
    realm.add_service("HTTP/threads.test", keytab)
    acceptor = GssapiAcceptor(keytab=keytab)
    go, ready, results = threading.Event(), threading.Barrier(5), []
    tokens = [realm.token("HTTP/threads.test") for _ in range(4)]

    def run(first):
        acceptor.accept(first)
        ready.wait(120)
        go.wait(120)
        token = realm.token("HTTP/threads.test", user="bob")
        results.append(acceptor.accept(token))

    threads = [threading.Thread(target=run, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    ready.wait(120)
    keytab.unlink()
    realm.kadmin("ktadd", "-k", str(keytab), "HTTP/threads.test")
    go.set()
    for thread in threads:
        thread.join()
    assert [result.identity.principal for result in results] == ["bob@EXAMPLE.TEST"] * 4
