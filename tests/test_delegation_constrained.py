"""Acting for the user with the service's own account: S4U2Proxy, in a domain of Samba's."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import gssapi
import pytest
import sites
from certificates import binding_of, put
from certificates import made as certificate
from initiator import KRB5, SPNEGO, Initiator
from sites import HttpSite, WsgiSite
from werkzeug.wrappers import Response

from negotiate_wsgi import (
    Accepted,
    ConfigurationError,
    DelegationError,
    GssapiAcceptor,
    NegotiateMiddleware,
    get_delegated,
    private_ccache,
    thread_ccache,
)
from negotiate_wsgi.acceptors.account import _spns_by_key
from negotiate_wsgi.acceptors.target import Target
from negotiate_wsgi.wire.keytab import Key

REALM = "AD.CORP.TEST"
FRONT = "HTTP/front.test"
BACK = "HTTP/back.test"
NOWHERE = "FILE:/nowhere/at/all"
#: A bit of userAccountControl ([MS-ADTS] section 2.2.16): nobody may act for this account.
NOT_DELEGATED = 0x100000


@pytest.fixture(scope="session")
def keytabs(domain_controller, tmp_path_factory):
    """Those of two sites that may ask the next service for their users, and of that one."""
    domain = domain_controller
    directory = tmp_path_factory.mktemp("keytabs")
    domain.add_service_account("svc-front", [FRONT, "HTTP/front"])
    domain.add_computer("FRONT2$", ["host/front2", "HTTP/front2"])
    domain.add_service_account("svc-back", [BACK])
    domain.add_user("sensitive")
    domain.add_flag("sensitive", NOT_DELEGATED)
    for account in ("svc-front", "FRONT2$"):
        domain.samba_tool("delegation", "add-service", account, BACK)
    for user in ("carol", "sensitive"):
        domain.kinit(user)

    def export(name, *principals):
        return domain.export_keytab(directory / name, *principals)

    return {
        "svc-front": export("front", FRONT, "HTTP/front", "svc-front"),
        "FRONT2$": export("front2", "host/front2", "HTTP/front2", "FRONT2$"),
        "back": export("back", BACK),
    }


@pytest.fixture(autouse=True)
def _no_default_credentials(monkeypatch, domain):
    """Whoever takes the process's own finds none."""
    monkeypatch.setenv("KRB5CCNAME", NOWHERE)
    yield
    _lent.clear()


@pytest.fixture
def acceptor(keytabs):
    """Of the site whose account is svc-front."""
    return made(keytabs)


def made(keytabs, account="svc-front", **options):
    named = {"keytab": keytabs[account], "account": account, **options}
    return GssapiAcceptor(delegation="constrained", **named)


def lent_to(acceptor, token):
    """The credentials of the user, as long as the test."""
    lent = acceptor.accept(token).delegated
    _lent.append(lent)
    return lent.credentials()


_lent = []


def judged(acceptor, domain, spn=FRONT, user="alice"):
    accepted = acceptor.accept(domain.token(spn, user))
    assert isinstance(accepted, Accepted), accepted
    assert accepted.identity.principal == f"{user}@{REALM}"
    return accepted


def ask_back(credentials, keytabs, mech=SPNEGO, spn=BACK):
    """Whom the next service takes us for."""
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"{spn}@{REALM}", gssapi.NameType.kerberos_principal),
        creds=credentials,
        mech=mech,
        usage="initiate",
    )
    result = GssapiAcceptor(keytab=keytabs["back"]).accept(context.step())
    assert isinstance(result, Accepted), result
    return result.identity.principal


# --- what the app gets ---


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
@pytest.mark.parametrize("mech", [SPNEGO, KRB5], ids=["SPNEGO", "krb5"])
def test_the_next_service_sees_the_user(acceptor, domain, keytabs, user, mech):
    def front(environ, start_response):
        said = ask_back(get_delegated(environ), keytabs, mech)
        return Response(said)(environ, start_response)

    site = WsgiSite(NegotiateMiddleware(front, acceptor=acceptor))
    answer = site.request("/", domain.authorization(FRONT, user))
    assert answer.text == f"{user}@{REALM}"


@pytest.mark.parametrize(
    ("account", "spelled", "spn"),
    [
        ("svc-front", "SVC-Front", "HTTP/front"),
        ("svc-front", f"svc-front@{REALM}", FRONT),
        ("FRONT2$", "FRONT2$", "HTTP/front2"),
        ("FRONT2$", " front2$ ", "HTTP/front2"),
    ],
)
def test_however_the_account_is_spelled(domain, keytabs, account, spelled, spn):
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytabs[account], account=spelled
    )
    accepted = judged(acceptor, domain, spn)
    assert accepted.identity.spn == f"{spn}@{REALM}"
    assert ask_back(accepted.delegated.credentials(), keytabs) == f"alice@{REALM}"


def test_with_the_pacs_account_and_groups(domain, keytabs):
    groups = {"staff": domain.sid_of("staff"), "admins": domain.sid_of("admins")}
    acceptor = made(keytabs, active_directory=True, groups=groups)
    accepted = judged(acceptor, domain)
    assert accepted.identity.account == "alice"
    assert accepted.identity.groups == {"staff"}
    assert accepted.expiry() > time.time()


TICKETS = [FRONT, "HTTP/front", "HTTP/FRONT.test", "svc-front", "HTTP/localhost", BACK]


@pytest.mark.parametrize("account", ["svc-front", "FRONT2$"])
@pytest.mark.parametrize("spn", [*TICKETS, "host/front2", "HTTP/front2", "FRONT2$"])
@pytest.mark.parametrize("hostname", [None, "front.test", "front2"])
def test_who_comes_in_is_the_same_as_without(domain, keytabs, account, spn, hostname):
    """GSSAPI says of each that it is for the account."""
    plain = GssapiAcceptor(keytab=keytabs[account], hostname=hostname)
    acting = made(keytabs, account, hostname=hostname)

    def said(acceptor):
        try:
            result = acceptor.accept(domain.token(spn))
        except Exception as fault:
            return str(fault)
        return getattr(result, "identity", None) or (result.reason, result.spn)

    assert said(acting) == said(plain)


def test_by_a_connection_with_the_certificate_before(domain, keytabs, tmp_path):
    """It comes in as the others do: to act for the user, too, and once."""
    old, new, other = (certificate(number=number)[0] for number in range(3))
    path = put(tmp_path / "www.pem", old)
    bound = {"channel_binding": "required", "certificate": path}
    acceptor = made(keytabs, active_directory=True, **bound)
    put(path, new)
    for pem in (new, old):
        token = domain.token(FRONT, binding=binding_of(pem))
        accepted = acceptor.accept(token)
        assert accepted.identity.account == "alice"
        assert ask_back(accepted.delegated.credentials(), keytabs) == f"alice@{REALM}"
        assert acceptor.accept(token).reason == "replayed"
    refused = [
        acceptor.accept(domain.token(FRONT, binding=binding_of(other))),
        acceptor.accept(domain.token(FRONT)),
    ]
    assert [refusal.reason for refusal in refused] == [
        "channel-bindings-wrong",
        "channel-bindings-missing",
    ]


def test_a_ticket_that_the_client_forwards_is_taken_before(acceptor, domain, keytabs):
    spn = f"{FRONT}@{REALM}"
    token = Initiator(domain.ccache("alice"), spn, delegate=True).token
    credentials = lent_to(acceptor, token)
    assert ask_back(credentials, keytabs) == f"alice@{REALM}"
    with private_ccache(credentials) as path:  # the user's own, and so no refusal
        assert f"krbtgt/{REALM}" in listed(path)


# --- what the directory does not permit ---


def refusal(credentials, keytabs, spn=BACK):
    with pytest.raises(gssapi.exceptions.GSSError) as error:
        ask_back(credentials, keytabs, spn=spn)
    return str(error.value)


def test_a_service_that_the_account_may_not_ask(acceptor, domain, keytabs):
    credentials = lent_to(acceptor, domain.token(FRONT))
    assert "can't fulfill" in refusal(credentials, keytabs, "HTTP/other.test")
    assert "not found" in refusal(credentials, keytabs, "HTTP/no-such.test")
    assert ask_back(credentials, keytabs) == f"alice@{REALM}"


def test_a_user_for_whom_nobody_may_act(acceptor, domain, keytabs):
    """They come in all the same."""
    lent = judged(acceptor, domain, user="sensitive").delegated
    assert "can't fulfill" in refusal(lent.credentials(), keytabs)


def test_an_account_that_may_ask_nobody(domain, keytabs, tmp_path):
    keytab = domain.export_keytab(tmp_path / "www", "HTTP/localhost", "svc-web")
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytab, account="svc-web"
    )
    lent = judged(acceptor, domain, "HTTP/localhost").delegated
    assert "can't fulfill" in refusal(lent.credentials(), keytabs)


# --- the service's own ticket-granting ticket ---


def listed(path):
    listed = subprocess.run(["klist", "-c", path], capture_output=True, text=True)
    return listed.stdout


def test_it_gets_into_no_file(acceptor, domain, keytabs):
    credentials = lent_to(acceptor, domain.token(FRONT))
    with (
        pytest.raises(ValueError, match="name the services"),
        private_ccache(credentials),
    ):
        pytest.fail("it is in a file")
    with private_ccache(credentials, BACK) as path:
        words = listed(path)
        assert f"{BACK}@{REALM}" in words
        assert "krbtgt" not in words
        assert "svc-front" not in words
        one = gssapi.Credentials(usage="initiate", store={"ccache": path})
        assert ask_back(one, keytabs) == f"alice@{REALM}"
    no_ticket = pytest.raises(DelegationError, match="can't fulfill")
    with no_ticket, private_ccache(credentials, "HTTP/other.test"):
        pytest.fail("there is no ticket")


def test_default_credentials_of_one_thread(acceptor, domain, keytabs):
    credentials = lent_to(acceptor, domain.token(FRONT))
    with thread_ccache(credentials):
        assert ask_back(None, keytabs) == f"alice@{REALM}"
    with pytest.raises(gssapi.exceptions.GSSError):
        ask_back(None, keytabs)


def test_without_a_key_of_the_account_people_still_come_in(domain, tmp_path):
    keytab = domain.export_keytab(tmp_path / "www", FRONT)
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytab, account="svc-front"
    )
    lent = judged(acceptor, domain).delegated
    with pytest.raises(
        DelegationError, match="no key for the account svc-front: export"
    ):
        lent.credentials()
    domain.export_keytab(keytab, "svc-front")
    lent_to(acceptor, domain.token(FRONT))


def test_a_ticket_of_another_account(domain, keytabs, tmp_path):
    keytab = domain.export_keytab(
        tmp_path / "www", FRONT, "svc-front", "HTTP/localhost"
    )
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytab, account="svc-front"
    )
    lent = judged(acceptor, domain, "HTTP/localhost").delegated
    with pytest.raises(DelegationError, match="not with a key of svc-front@"):
        lent.credentials()


def test_a_new_password_of_the_account(domain, keytabs, tmp_path):
    """Who comes with a ticket from before comes in, but the KDC no longer reads that."""
    domain.add_service_account("svc-turns", ["HTTP/turns.test"])
    domain.samba_tool("delegation", "add-service", "svc-turns", BACK)
    names = ["HTTP/turns.test", "svc-turns"]
    keytab = domain.export_keytab(tmp_path / "www", *names)
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytab, account="svc-turns"
    )
    judged(acceptor, domain, "HTTP/turns.test")
    domain.set_password("svc-turns", "Another-passw0rd")
    domain.export_keytab(keytab, *names)
    old = judged(acceptor, domain, "HTTP/turns.test").delegated
    assert "Decrypt integrity check failed" in refusal(old.credentials(), keytabs)
    new = judged(acceptor, domain, "HTTP/turns.test", "bob").delegated
    assert ask_back(new.credentials(), keytabs) == f"bob@{REALM}"
    domain.delete("svc-turns")


def test_an_account_with_two_keys_of_one_kvno_opens_nothing():
    """As in a keytab that was merged from two: nobody knows which one opened a ticket."""
    target = Target.of("HTTP", None)
    one, other = (Key("svc@R", 2, "aes256-cts", mark) for mark in (1, 2))
    ours = Key("HTTP/www@R", 2, "aes256-cts", 1)
    assert _spns_by_key([one], (one, ours), target) == {
        (2, "aes256-cts"): {"http/www@r": "HTTP/www@R"}
    }
    assert _spns_by_key([one, other], (one, other, ours), target) == {}
    assert _spns_by_key([other], (other, ours), target) == {}


# --- its renewal ---


@pytest.fixture
def krb5_conf(domain, tmp_path, monkeypatch):
    """Writes a krb5.conf for the server alone."""
    conf = tmp_path / "krb5.conf"

    def write(**changes):
        text = (domain.directory / "krb5.conf").read_text()
        text = text.replace(
            "[libdefaults]", "[libdefaults]\n" + changes.get("more", "")
        )
        if "port" in changes:
            text = text.replace(f":{domain.kdc_port}", f":{changes['port']}")
        conf.write_text(text)
        monkeypatch.setenv("KRB5_CONFIG", str(conf))

    return write


@pytest.fixture
def tokens(domain):
    """Made before the server's krb5.conf is another one."""
    return [domain.token(FRONT) for _ in range(12)]


def renewed(acceptor):
    acceptor._constrained._renewal.join(120)


def test_at_half_of_its_life_somebody_else_fetches_the_next_one(
    acceptor, domain, keytabs, krb5_conf, tokens
):
    krb5_conf(more="ticket_lifetime = 600s")
    began = time.time()
    acceptor.accept(tokens.pop())
    first = acceptor._constrained._ticket
    assert 600 - 61 <= first.end - began <= 600
    assert first.due == pytest.approx((began + first.end) / 2, abs=10)
    acceptor.accept(tokens.pop())
    assert acceptor._constrained._ticket is first
    first.due = 0
    krb5_conf()
    acceptor.accept(tokens.pop())
    renewed(acceptor)
    second = acceptor._constrained._ticket
    assert second is not first
    assert second.end > first.end + 3600
    credentials = lent_to(acceptor, tokens.pop())
    assert ask_back(credentials, keytabs) == f"alice@{REALM}"


def test_no_request_waits_for_a_kdc_that_is_silent(
    acceptor, krb5_conf, tokens, caplog, monkeypatch
):
    krb5_conf(more="ticket_lifetime = 600s")
    acceptor.accept(tokens.pop())
    monkeypatch.setattr(acceptor._constrained._ticket, "due", 0)
    with silent_kdc() as port:
        krb5_conf(port=port)
        for _ in range(4):
            lent = acceptor.accept(tokens.pop()).delegated
            assert lent.credentials() is not None
            assert acceptor._constrained._renewal.is_alive()
    renewed(acceptor)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "The old one lasts" in record.getMessage()


class silent_kdc:
    """A port that takes what it is sent, and says nothing."""

    def __enter__(self):
        self._sockets = [
            socket.socket(socket.AF_INET, kind)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ]
        self._sockets[0].bind(("127.0.0.1", 0))
        self._sockets[0].listen(64)
        port = self._sockets[0].getsockname()[1]
        self._sockets[1].bind(("127.0.0.1", port))
        return port

    def __exit__(self, *exc_info):
        for each in self._sockets:
            each.close()


def test_without_a_kdc_people_still_come_in(
    acceptor, domain, keytabs, krb5_conf, tokens, caplog, monkeypatch
):
    krb5_conf(port=sites.free_port())
    for _ in range(3):
        lent = acceptor.accept(tokens.pop()).delegated
        with pytest.raises(DelegationError, match="gets no ticket with its key"):
            lent.credentials()
    [record] = caplog.records  # and it is not asked each time
    assert record.levelname == "ERROR"
    assert "svc-front@" in record.getMessage()
    krb5_conf()
    monkeypatch.setattr(acceptor._constrained, "_ask_after", 0)
    acceptor.accept(tokens.pop())
    renewed(acceptor)
    credentials = lent_to(acceptor, tokens.pop())
    assert ask_back(credentials, keytabs) == f"alice@{REALM}"


def test_after_so_long_a_silence_that_it_has_ended(
    acceptor, keytabs, krb5_conf, tokens
):
    krb5_conf(more="ticket_lifetime = 600s")
    acceptor.accept(tokens.pop())
    acceptor._constrained._ticket.due = acceptor._constrained._ticket.end = 0
    krb5_conf()
    credentials = lent_to(acceptor, tokens.pop())
    assert ask_back(credentials, keytabs) == f"alice@{REALM}"


def test_a_ticket_that_is_about_to_end_is_not_asked_for_again_and_again(
    acceptor, domain, keytabs, krb5_conf, tokens, caplog
):
    krb5_conf(more="ticket_lifetime = 50s")
    accepted = acceptor.accept(tokens.pop())
    with pytest.raises(DelegationError, match="less than 60 seconds"):
        accepted.delegated.credentials()
    first = acceptor._constrained._renewal
    assert isinstance(acceptor.accept(tokens.pop()), Accepted)
    assert acceptor._constrained._renewal is first
    assert len(caplog.records) == 1


def test_a_wrong_key_of_the_account(domain, keytabs, tmp_path):
    """As after ktpass for another account, or a password that was typed wrong."""
    domain.add_service_account("svc-wrong-key", ["HTTP/wrong-key2.test"])
    keytab = domain.export_keytab(tmp_path / "www", "svc-wrong-key")
    domain.set_password("svc-wrong-key", "Another-passw0rd")
    domain.export_keytab(keytab, FRONT)
    acceptor = GssapiAcceptor(
        delegation="constrained", keytab=keytab, account="svc-wrong-key"
    )
    lent = judged(acceptor, domain).delegated
    with pytest.raises(DelegationError, match="not with a key of"):
        lent.credentials()
    domain.delete("svc-wrong-key")


def test_in_a_process_that_was_forked(acceptor, domain, keytabs, krb5_conf, tokens):
    """As by gunicorn's preload: the thread that renews is the parent's."""
    krb5_conf(more="ticket_lifetime = 600s")
    acceptor.accept(tokens.pop())
    acceptor._constrained._ticket.due = 0
    krb5_conf()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            before = acceptor._constrained._ticket
            acceptor.accept(tokens.pop())
            renewed(acceptor)
            lent = acceptor.accept(tokens.pop()).delegated
            named = ask_back(lent.credentials(), keytabs)
            is_new = acceptor._constrained._ticket is not before
            code = 0 if named == f"alice@{REALM}" and is_new else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- many at once ---


@pytest.fixture(scope="module")
def front(domain_controller, keytabs):
    """A site whose app asks the next one over HTTP."""
    own = {**domain_controller.environ, "KRB5CCNAME": NOWHERE}
    own["KRB5_KTNAME"] = keytabs["back"]
    back = HttpSite("gunicorn-gthread", "delegation_app:back", **own)
    own |= {"BACK_HOST": "back.test", "BACK_PORT": str(back.port)}
    own |= {"ACCOUNT": "svc-front", "KRB5_KTNAME": keytabs["svc-front"]}
    front = HttpSite("gunicorn-gthread", "delegation_app:front", **own)
    yield front
    front.close()
    back.close()


@pytest.mark.parametrize("path", ["/requests", "/httpx", "/curl"])
def test_over_http(front, domain, path):
    for user in ("alice", "bob"):
        answer = front.request(path, domain.authorization(FRONT, user))
        assert answer.text == f"{user}@{REALM} {user}@{REALM}"


def test_nobody_is_taken_for_somebody_else(front, domain):
    users = [("alice", "bob", "carol")[number % 3] for number in range(60)]

    def one(user):
        return front.request("/requests", domain.authorization(FRONT, user)).text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, users))
    assert answers == [f"{user}@{REALM} {user}@{REALM}" for user in users]


def siege(domain, keytabs, tmp_path, *arguments, **environ):
    keytab = tmp_path / "both"
    domain.export_keytab(keytab, FRONT, "svc-front", BACK)
    environ |= {
        "FRONT": f"{FRONT}@{REALM}",
        "BACK": f"{BACK}@{REALM}",
        "ACCOUNT": "svc-front",
        "KRB5_KTNAME": str(keytab),
    }
    command = [sys.executable, sites.TESTS / "siege" / "delegate.py", *arguments]
    return subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True
    )


def test_two_hops_in_eight_threads(domain, keytabs, tmp_path):
    caches = [domain.ccache(user) for user in ("alice", "bob", "carol")]
    done = siege(domain, keytabs, tmp_path, "2000", *caches)
    assert done.stdout == "2000 0\n", done.stderr


def test_10_000_delegations_leave_memory_and_descriptors_where_they_were(
    domain, keytabs, tmp_path
):
    arguments = ["--one-token", "10000", domain.ccache("alice")]
    done = siege(domain, keytabs, tmp_path, *arguments, KRB5RCACHENAME="none:")
    count, grown, descriptors = map(int, done.stdout.split())
    assert count == 10000, done.stderr
    assert grown < 2**20
    assert descriptors == 0


# --- options ---


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"delegation": "constrained"}, "account=None: write the name of"),
        ({"delegation": "constrained", "account": ""}, "account='': write"),
        ({"delegation": "constrained", "account": 1}, "account=1: write"),
        ({"delegation": "forwarded", "account": "WEB2$"}, "leave it out"),
        ({"account": "WEB2$"}, "account='WEB2\\$' is for delegation='constrained'"),
    ],
)
def test_what_is_wrong_is_a_clear_error(options, says):
    with pytest.raises(ConfigurationError, match=says):
        GssapiAcceptor(**options)
