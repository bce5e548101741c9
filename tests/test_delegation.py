"""Acting for the user with the ticket-granting ticket that a client has forwarded."""

import contextlib
import gc
import os
import stat
import subprocess
import threading
import time
from pathlib import Path
from wsgiref.util import FileWrapper

import gssapi
import pytest
from flask import Flask
from initiator import KRB5, SPNEGO, Initiator
from sites import WsgiSite
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

import flask_adapter
from negotiate_wsgi import (
    Accepted,
    ConfigurationError,
    DelegationError,
    GssapiAcceptor,
    NegotiateMiddleware,
    SessionCookie,
    get_delegated,
    private_ccache,
    thread_ccache,
)
from negotiate_wsgi.acceptors.ccaches import MemoryCache
from negotiate_wsgi.acceptors.passwords import KerberosPasswords
from negotiate_wsgi.wire.authorization import Password

KEY = "a secret key of thirty-two bytes"
BACK = "HTTP/alias.test"
USERS = ("alice", "bob", "carol")
NOWHERE = "FILE:/nowhere/at/all"


@pytest.fixture(autouse=True)
def _no_default_credentials(monkeypatch):
    """Whoever takes the process's own finds none."""
    monkeypatch.setenv("KRB5CCNAME", NOWHERE)


@pytest.fixture
def sign_on(realm, forwardable):
    """The header of a user who delegates, or not."""

    def authorization(user="alice", delegate=True, spn="HTTP/localhost"):
        flags = {"delegate": delegate}
        return Initiator(
            forwardable[user], f"{spn}@{realm.name}", **flags
        ).authorization

    return authorization


def memory_caches():
    """The names of those of ours, of which krb5 itself keeps no list."""
    objects = [each for each in gc.get_objects() if type(each) is MemoryCache]
    return {each.name for each in objects if each._end.alive}


def ask_back(credentials, mech=SPNEGO, spn=BACK):
    """Whom the next service takes us for."""
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"{spn}@EXAMPLE.TEST", gssapi.NameType.kerberos_principal),
        creds=credentials,
        mech=mech,
        usage="initiate",
    )
    result = GssapiAcceptor().accept(context.step())
    assert isinstance(result, Accepted), result
    assert result.identity.spn == f"{spn}@EXAMPLE.TEST"
    return result.identity.principal


def front(environ, start_response):
    """An app that asks the next service, and says whom that took it for."""
    credentials = get_delegated(environ)
    said = "nothing" if credentials is None else ask_back(credentials)
    return Response(f"{environ['REMOTE_USER']} {said}")(environ, start_response)


def site(inner=front, **options):
    acceptor = GssapiAcceptor(delegation="forwarded")
    return WsgiSite(NegotiateMiddleware(inner, acceptor=acceptor, **options))


# --- what the app gets ---


@pytest.mark.parametrize("user", USERS)
def test_the_next_service_sees_the_user(sign_on, user):
    answer = site().request("/", sign_on(user))
    assert answer.text == f"{user}@EXAMPLE.TEST {user}@EXAMPLE.TEST"


@pytest.mark.parametrize("mech", [SPNEGO, KRB5, None], ids=["SPNEGO", "krb5", "any"])
def test_with_either_mechanism(sign_on, mech):
    def inner(environ, start_response):
        said = ask_back(get_delegated(environ), mech)
        return Response(said)(environ, start_response)

    assert site(inner).request("/", sign_on()).text == "alice@EXAMPLE.TEST"


def test_a_client_that_does_not_delegate(sign_on):
    answer = site().request("/", sign_on(delegate=False))
    assert answer.text == "alice@EXAMPLE.TEST nothing"


def test_a_ticket_that_may_not_be_forwarded(realm):
    token = Initiator(
        realm.ccache("bob"), f"HTTP/localhost@{realm.name}", delegate=True
    )
    answer = site().request("/", token.authorization)
    assert answer.text == "bob@EXAMPLE.TEST nothing"


def test_off_by_default(sign_on):
    guarded = WsgiSite(NegotiateMiddleware(front, acceptor=GssapiAcceptor()))
    assert guarded.request("/", sign_on()).text == "alice@EXAMPLE.TEST nothing"
    default = WsgiSite(NegotiateMiddleware(front))
    assert default.request("/", sign_on()).text == "alice@EXAMPLE.TEST nothing"
    assert get_delegated({}) is None
    assert get_delegated({"negotiate_wsgi.delegated": "x"}) is None


def test_a_session_has_none(sign_on):
    guarded = site(session=SessionCookie(KEY))
    first = guarded.request("/", sign_on())
    assert first.text == "alice@EXAMPLE.TEST alice@EXAMPLE.TEST"
    cookie = [("Cookie", first.header("Set-Cookie").split(";")[0])]
    assert guarded.request("/", headers=cookie).text == "alice@EXAMPLE.TEST nothing"


def test_who_may_not_come_in_lends_nothing(sign_on):
    before = memory_caches()
    assert site(realms=["OTHER.TEST"]).request("/", sign_on()).status == 403
    assert memory_caches() == before


@pytest.mark.parametrize("delegation", ["yes", "FORWARDED", True, ["forwarded"], ""])
def test_what_is_no_kind_of_delegation(delegation):
    with pytest.raises(ConfigurationError, match="write 'forwarded'"):
        GssapiAcceptor(delegation=delegation)


# --- as long as the request ---


def call(application, authorization):
    """What *application* answers, for the caller to close."""
    environ = EnvironBuilder(headers={"Authorization": authorization}).get_environ()
    return application(environ, lambda status, headers, exc_info=None: print)


class Kept:
    """An app that keeps what it is given, and answers with *answer*."""

    def __init__(self, answer=lambda environ: [b"body"]):
        self.answer = answer
        self.caches = set()

    def __call__(self, environ, start_response):
        before = memory_caches()
        self.credentials = get_delegated(environ)
        self.again = get_delegated(environ)
        self.caches = memory_caches() - before
        self.environ = environ
        start_response("200 OK", [])
        return self.answer(environ)

    def is_there(self):
        return self.caches <= memory_caches()

    def is_gone(self):
        assert self.caches
        with pytest.raises(gssapi.exceptions.GSSError):
            ask_back(self.credentials)
        if self.environ:  # Not None: whoever handed it on would act as the server.
            with pytest.raises(DelegationError, match="has ended"):
                get_delegated(self.environ)
        return not self.caches & memory_caches()


def guard(inner):
    return NegotiateMiddleware(inner, acceptor=GssapiAcceptor(delegation="forwarded"))


def test_nothing_is_made_before_it_is_asked_for(sign_on):
    before = memory_caches()
    seen = []

    def inner(environ, start_response):
        seen.append(memory_caches())
        start_response("200 OK", [])
        return []

    call(guard(inner), sign_on()).close()
    assert seen == [before]


def test_they_are_the_same_until_the_answer_is_closed(sign_on):
    kept = Kept()
    answer = call(guard(kept), sign_on())
    assert kept.again is kept.credentials
    assert b"".join(answer) == b"body"
    assert kept.is_there()
    assert ask_back(kept.credentials) == "alice@EXAMPLE.TEST"
    answer.close()
    assert kept.is_gone()


def test_a_generator_may_use_them_to_its_end(sign_on):
    def answer(environ):
        yield b"first "
        yield ask_back(get_delegated(environ)).encode()

    answered = call(guard(Kept(answer)), sign_on())
    assert b"".join(answered) == b"first alice@EXAMPLE.TEST"
    answered.close()


def test_the_apps_own_close_may_use_them_and_may_fail(sign_on):
    class Answer(list):
        def close(self):
            self.said = ask_back(kept.credentials)
            raise KeyError("close")

    own = Answer([b"body"])
    kept = Kept(lambda environ: own)
    answer = call(guard(kept), sign_on())
    with pytest.raises(KeyError):
        answer.close()
    assert own.said == "alice@EXAMPLE.TEST"
    assert kept.is_gone()


def test_an_app_that_raises(sign_on):
    def answer(environ):
        raise KeyError("the app")

    kept = Kept(answer)
    with pytest.raises(KeyError):
        call(guard(kept), sign_on())
    assert kept.is_gone()


def test_a_server_still_sends_files_by_itself(sign_on, tmp_path):
    """It looks whether the answer is of its own class."""
    file = tmp_path / "file"
    file.write_text("content")

    class Sendfile(FileWrapper):
        pass

    kept = Kept(lambda environ: Sendfile(file.open("rb")))
    headers = {"Authorization": sign_on()}
    environ = EnvironBuilder(headers=headers).get_environ()
    environ["wsgi.file_wrapper"] = Sendfile
    answer = guard(kept)(environ, lambda status, headers, exc_info=None: print)
    assert type(answer) is Sendfile
    assert kept.is_gone()
    answer.close()


def test_an_answer_that_nobody_closes(sign_on):
    kept = Kept()
    answer = call(guard(kept), sign_on())
    assert kept.is_there()
    kept.environ.clear()
    del answer
    kept.environ = {}
    assert kept.is_gone()


def test_layers_share_them(sign_on):
    """The one that has judged the token ends them."""
    kept = Kept()
    acceptor = GssapiAcceptor(delegation="forwarded")
    inner = NegotiateMiddleware(kept, acceptor=acceptor)

    def between(environ, start_response):
        answer = inner(environ, start_response)
        getattr(answer, "close", lambda: None)()
        assert kept.is_there()
        assert get_delegated(environ) is kept.credentials
        return answer

    outer = NegotiateMiddleware(between, acceptor=acceptor, required=False)
    answer = call(outer, sign_on())
    assert kept.is_there()
    answer.close()
    assert kept.is_gone()


def test_nothing_is_put_around_an_answer_without_delegation(sign_on):
    body = [b"body"]

    def inner(environ, start_response):
        start_response("200 OK", [])
        return body

    assert call(guard(inner), sign_on(delegate=False)) is body
    assert call(guard(inner), sign_on()) is not body


def test_threads_of_one_request_share_them(sign_on):
    def inner(environ, start_response):
        barrier = threading.Barrier(4)
        found, said = [], []

        def work():
            barrier.wait(120)
            found.append(get_delegated(environ))
            said.append(ask_back(found[-1]))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(each) for each in found}) == 1
        return Response(" ".join(said))(environ, start_response)

    answer = site(inner).request("/", sign_on())
    assert answer.text == " ".join(["alice@EXAMPLE.TEST"] * 4)


def test_a_forwarded_ticket_that_has_ended(realm, tmp_path):
    """Its client's clock may be behind ours, and krb5 tolerates five minutes."""
    ccache = str(tmp_path / "ccache")
    realm._k5.kinit("alice", realm.password("alice"), ["-f", "-l", "2s", "-c", ccache])
    token = Initiator(ccache, f"HTTP/localhost@{realm.name}", delegate=True).token
    result = GssapiAcceptor(delegation="forwarded").accept(token)
    time.sleep(3)
    with pytest.raises(DelegationError, match="expired"):
        result.delegated.credentials()


# --- for programs and libraries that take no credentials ---


@pytest.fixture
def credentials(sign_on):
    kept = Kept()
    answer = call(guard(kept), sign_on())
    yield kept.credentials
    answer.close()


def kvno(path, spn=BACK, **more):
    environ = {**os.environ, "KRB5CCNAME": path, **more}
    command = ["kvno", spn]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


def klist(path):
    command = ["klist", "-c", path]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in listed.splitlines() if "@" in line]


def test_a_program_is_the_user(credentials):
    assert kvno(NOWHERE).returncode != 0
    with private_ccache(credentials) as path:
        assert kvno(path).returncode == 0
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(Path(path).parent).st_mode) == 0o700
        principals = klist(path)
    assert principals[0] == "alice@EXAMPLE.TEST"
    assert f"{BACK}@EXAMPLE.TEST" in principals
    assert not Path(path).parent.exists()
    assert os.environ["KRB5CCNAME"] == NOWHERE


def test_the_file_is_removed_whatever_happens(credentials):
    with pytest.raises(KeyError), private_ccache(credentials) as path:
        raise KeyError("within")
    assert not Path(path).parent.exists()
    with private_ccache(credentials) as path:
        os.unlink(path)
    assert not Path(path).parent.exists()
    no_ticket = pytest.raises(DelegationError, match="no-such")
    with no_ticket, private_ccache(credentials, "HTTP/no-such.test"):
        pytest.fail("there is no ticket")


@pytest.mark.parametrize("spn", [BACK, f"{BACK}@EXAMPLE.TEST"])
def test_a_file_for_one_service_alone(credentials, spn):
    with private_ccache(credentials, spn) as path:
        assert klist(path) == ["alice@EXAMPLE.TEST", f"{BACK}@EXAMPLE.TEST"]
        assert kvno(path).returncode == 0
        assert kvno(path, "HTTP/localhost").returncode != 0
        one = gssapi.Credentials(usage="initiate", store={"ccache": path})
        assert ask_back(one) == "alice@EXAMPLE.TEST"


def test_a_file_for_two_services(credentials):
    with private_ccache(credentials, BACK, "rest/localhost") as path:
        assert set(klist(path)) == {
            "alice@EXAMPLE.TEST",
            f"{BACK}@EXAMPLE.TEST",
            "rest/localhost@EXAMPLE.TEST",
        }


@pytest.mark.parametrize("borrow", [private_ccache, thread_ccache])
def test_none_would_be_the_servers_own(borrow, realm, monkeypatch):
    monkeypatch.setenv("KRB5CCNAME", realm.ccache("bob"))
    with pytest.raises(ValueError, match="nothing was delegated"):
        borrow(None)


def own_name():
    """Of whom GSSAPI finds where it is given nobody."""
    with contextlib.suppress(gssapi.exceptions.GSSError):
        return str(gssapi.Credentials(usage="initiate").name)


def test_default_credentials_of_one_thread(
    credentials, realm, forwardable, monkeypatch
):
    monkeypatch.setenv("KRB5CCNAME", realm.ccache("bob"))
    seen = []
    with thread_ccache(credentials):
        other = threading.Thread(target=lambda: seen.append(own_name()))
        other.start()
        other.join()
        assert own_name() == "alice@EXAMPLE.TEST"
        assert ask_back(None) == "alice@EXAMPLE.TEST"
    assert own_name() == "bob@EXAMPLE.TEST"
    with pytest.raises(KeyError), thread_ccache(credentials):
        raise KeyError
    assert own_name() == "bob@EXAMPLE.TEST"
    assert seen == ["bob@EXAMPLE.TEST"]
    with thread_ccache(credentials):
        with thread_ccache(credentials):
            assert own_name() == "alice@EXAMPLE.TEST"
        assert own_name() == "alice@EXAMPLE.TEST"
    # Nothing of it stays with the thread: the process's own may be others by now.
    monkeypatch.setenv("KRB5CCNAME", forwardable["carol"])
    assert own_name() == "carol@EXAMPLE.TEST"
    before = memory_caches()
    with thread_ccache(credentials):
        assert len(memory_caches() - before) == 1
    assert memory_caches() == before


# --- Flask ---


def flask_app(**init):
    flask = Flask("front")
    acceptor = GssapiAcceptor(delegation="forwarded")
    flask.config["NEGOTIATE_ACCEPTOR"] = acceptor
    if init:
        flask_adapter.init_kerberos(flask, required=False)

    @flask.route("/")
    @flask_adapter.requires_authentication
    def view(user):
        credentials = flask_adapter.delegated()
        flask.kept = credentials
        said = credentials and ask_back(credentials)
        return f"{user} {said}"

    @flask.route("/fails")
    @flask_adapter.requires_authentication
    def fails(user):
        flask.kept = flask_adapter.delegated()
        raise KeyError("view")

    @flask.route("/public")
    def public():
        return str(flask_adapter.delegated() and ask_back(flask_adapter.delegated()))

    return flask


@pytest.mark.parametrize("init", [{"init": True}, {}], ids=["whole app", "decorator"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_flask(sign_on, init, method):
    flask = flask_app(**init)
    flask_site = WsgiSite(flask.wsgi_app)
    answer = flask_site.request("/", sign_on(), method=method)
    if method == "GET":
        assert answer.text == "alice@EXAMPLE.TEST alice@EXAMPLE.TEST"
    assert flask.kept is not None
    with pytest.raises(gssapi.exceptions.GSSError):
        ask_back(flask.kept)
    answer = flask_site.request("/", sign_on(delegate=False))
    assert answer.text == "alice@EXAMPLE.TEST None"
    assert flask_site.request("/fails", sign_on()).status == 500
    with pytest.raises(gssapi.exceptions.GSSError):
        ask_back(flask.kept)


def test_flask_where_views_are_public(sign_on):
    flask = WsgiSite(flask_app(init=True).wsgi_app)
    assert flask.request("/public", sign_on()).text == "alice@EXAMPLE.TEST"
    assert flask.request("/public").text == "None"


def test_a_password_has_none(realm):
    checker = KerberosPasswords(realm.name, GssapiAcceptor(delegation="forwarded"))
    typed = Password(realm.password("alice"))
    accepted = checker.check_password("alice", typed)
    assert accepted.identity.source == "password"
    assert accepted.delegated is None


def test_the_app_of_a_guard_that_takes_nothing_is_given_nothing(sign_on):
    """A guard around it that shares its keys may have taken what a client forwards."""
    seen = []

    def inner(environ, start_response):
        seen.append(get_delegated(environ))
        start_response("200 OK", [])
        return []

    takes_none = NegotiateMiddleware(inner, acceptor=GssapiAcceptor())
    takes_some = NegotiateMiddleware(
        inner, acceptor=GssapiAcceptor(delegation="forwarded")
    )
    for layer in (takes_none, takes_some):
        call(guard(layer), sign_on()).close()
    assert seen[0] is None
    assert seen[1] is not None


def test_an_answer_of_one_part_still_has_a_length(sign_on):
    answer = call(guard(Kept()), sign_on())
    assert len(answer) == 1
    answer.close()
