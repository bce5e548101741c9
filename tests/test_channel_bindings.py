"""Did the token come by our own TLS connection? Bindings to the server's certificate, in process."""

import itertools
import logging
import os
import threading

import pytest
from certificates import binding_of, made, put
from helpers import KEY, app
from sites import WsgiSite

from negotiate_wsgi import (
    Accepted,
    ConfigurationError,
    GssapiAcceptor,
    NegotiateMiddleware,
    Reason,
    SessionCookie,
)
from negotiate_wsgi.settings import from_environ
from negotiate_wsgi.wire.authorization import write_token

ALICE = "alice@EXAMPLE.TEST"
OURS, OLD, OTHER = (made(number=number)[0] for number in range(3))
DAY = 86_400


@pytest.fixture
def certificate(tmp_path):
    """The file with the server's certificate."""
    return put(tmp_path / "www.pem", OURS)


def strict(certificate, **options):
    return GssapiAcceptor(
        channel_binding="required", certificate=certificate, **options
    )


def lax(certificate, **options):
    return GssapiAcceptor(
        channel_binding="optional", certificate=certificate, **options
    )


def bound(realm, pem, **options):
    return realm.token(binding=binding_of(pem), **options)


def said(result):
    """``in``, or the reason why not."""
    return "in" if isinstance(result, Accepted) else str(result.reason)


@pytest.mark.parametrize(
    ("mode", "none", "ours", "other"),
    [
        ("off", "in", "in", "in"),
        ("optional", "in", "in", "channel-bindings-wrong"),
        ("required", "channel-bindings-missing", "in", "channel-bindings-wrong"),
    ],
)
def test_who_comes_in(realm, certificate, mode, none, ours, other):
    file = None if mode == "off" else certificate
    acceptor = GssapiAcceptor(channel_binding=mode, certificate=file)
    for _ in range(3):
        assert said(acceptor.accept(realm.token())) == none
        assert said(acceptor.accept(bound(realm, OURS))) == ours
        assert said(acceptor.accept(bound(realm, OTHER))) == other


@pytest.mark.parametrize("kind", ["pss-sha512", "ecdsa-sha384", "rsa-sha1"])
def test_each_signature_has_its_own_hash(realm, tmp_path, kind):
    pem, _ = made(kind)
    acceptor = strict(put(tmp_path / "www.pem", pem))
    assert said(acceptor.accept(bound(realm, pem))) == "in"


def test_the_server_proves_itself_all_the_same(realm, certificate):
    put(certificate, OLD)
    acceptor = strict(certificate)
    put(certificate, OURS)
    for pem in (OURS, OLD):
        initiator = realm.initiator(binding=binding_of(pem))
        accepted = acceptor.accept(initiator.token)
        assert initiator.trusts(write_token(accepted.token))
        assert accepted.identity.principal == ALICE
        assert accepted.expiry() > 0


def test_what_is_told_of_a_refusal(realm, certificate, caplog):
    site = WsgiSite(NegotiateMiddleware(app, acceptor=strict(certificate)))
    wrong = site.request("/", realm.authorization(binding=binding_of(OTHER)))
    missing = site.request("/", realm.authorization())
    assert [wrong.status, missing.status] == [401, 401]
    assert wrong.challenges == missing.challenges == ["Negotiate"]
    first, second = caplog.records
    assert first.reason == "channel-bindings-wrong"
    assert "doctor --url" in first.remedy
    assert (second.reason, second.principal) == ("channel-bindings-missing", ALICE)
    assert second.spn == "HTTP/localhost@EXAMPLE.TEST"


def test_a_client_that_knows_of_bindings_and_sends_none_did_not_come_by_tls(
    realm, certificate, monkeypatch, tmp_path
):
    """As Windows does, and MIT's library where krb5.conf says so: it says that it knows of them."""
    conf = tmp_path / "krb5.conf"
    text = (realm.directory / "krb5.conf").read_text()
    line = "[libdefaults]\nclient_aware_channel_bindings = true\n"
    conf.write_text(text.replace("[libdefaults]\n", line))
    with monkeypatch.context() as patch:
        patch.setenv("KRB5_CONFIG", str(conf))
        tokens = [realm.token() for _ in range(3)]
    for acceptor in (lax(certificate), strict(certificate)):
        assert said(acceptor.accept(tokens.pop())) == "channel-bindings-wrong"
    assert said(GssapiAcceptor().accept(tokens.pop())) == "in"


# Renewal


@pytest.fixture
def renewed(certificate):
    """An acceptor whose certificate was OLD, and is OURS; and how many seconds ago that was."""
    put(certificate, OLD)
    acceptor = strict(certificate)
    age = [0]
    acceptor.channel_bindings.clock = lambda: age[0]
    put(certificate, OURS)
    return acceptor, age


def test_the_one_before_is_good_for_a_day(realm, renewed):
    acceptor, age = renewed
    for seconds, old in [(0, "in"), (DAY - 1, "in"), (DAY, "channel-bindings-wrong")]:
        age[0] = seconds
        assert said(acceptor.accept(bound(realm, OURS))) == "in"
        assert said(acceptor.accept(bound(realm, OLD))) == old
        assert said(acceptor.accept(bound(realm, OTHER))) == "channel-bindings-wrong"
        assert said(acceptor.accept(realm.token())) == "channel-bindings-missing"


def test_a_day_begins_when_the_change_is_seen_and_the_one_before_that_is_forgotten(
    realm, renewed, certificate
):
    acceptor, age = renewed
    assert said(acceptor.accept(bound(realm, OLD))) == "in"
    age[0] = DAY // 2
    put(certificate, OTHER)
    assert said(acceptor.accept(bound(realm, OURS))) == "in"
    assert said(acceptor.accept(bound(realm, OLD))) == "channel-bindings-wrong"
    age[0] = DAY + 1
    assert said(acceptor.accept(bound(realm, OURS))) == "in"
    age[0] = DAY // 2 + DAY
    assert said(acceptor.accept(bound(realm, OURS))) == "channel-bindings-wrong"
    assert said(acceptor.accept(bound(realm, OTHER))) == "in"


def test_the_same_written_again_is_no_renewal(realm, renewed, certificate):
    acceptor, age = renewed
    assert said(acceptor.accept(bound(realm, OLD))) == "in"
    age[0] = DAY - 1
    put(certificate, OURS + OTHER)  # with a chain behind it
    assert said(acceptor.accept(bound(realm, OLD))) == "in"
    assert said(acceptor.accept(bound(realm, OTHER))) == "channel-bindings-wrong"
    age[0] = DAY
    assert said(acceptor.accept(bound(realm, OLD))) == "channel-bindings-wrong"


def test_no_token_comes_in_twice_by_either_certificate(realm, renewed):
    acceptor, _ = renewed
    for pem in (OURS, OLD, OTHER):
        token = bound(realm, pem)
        first = said(acceptor.accept(token))
        assert first == ("channel-bindings-wrong" if pem is OTHER else "in")
        assert said(acceptor.accept(token)) == "replayed"
        # Nor at another acceptor of this machine that has the same keytab.
        assert said(GssapiAcceptor().accept(token)) == "replayed"


def test_a_renewal_where_another_spn_of_the_account_opens_the_ticket(
    domain, tmp_path, certificate
):
    """The key that the ticket names is not there, and the ones that there are are tried."""
    keytab = str(tmp_path / "keytab")
    domain.export_keytab(keytab, "HTTP/localhost")
    put(certificate, OLD)
    acceptor = strict(certificate, keytab=keytab)
    put(certificate, OURS)
    for pem, expected in [
        (OURS, "in"), (OLD, "in"), (OTHER, "channel-bindings-wrong"),
    ]:  # fmt: skip
        token = domain.token("HTTP/alias.test", binding=binding_of(pem))
        assert said(acceptor.accept(token)) == expected


def test_threads_do_not_mix_users_or_certificates(realm, renewed, certificate):
    acceptor, _ = renewed
    users = ["alice", "bob"]
    work = [
        (user, pem, realm.token(user=user, binding=binding_of(pem)))
        for _, user, pem in itertools.product(range(25), users, [OURS, OLD, OTHER])
    ]
    wrong = []

    def judge(mine):
        for user, pem, token in mine:
            result = acceptor.accept(token)
            if pem is OTHER:
                expected = "channel-bindings-wrong"
            else:
                expected = f"{user}@EXAMPLE.TEST"
            name = said(result)
            if name == "in":
                name = result.identity.principal
            if name != expected:
                wrong.append((expected, name))

    threads = [threading.Thread(target=judge, args=[work[i::8]]) for i in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        put(certificate, OURS)  # seen as a new version, again and again
    for thread in threads:
        thread.join()
    assert wrong == []


BROKEN = {
    "missing": None,
    "a directory": "directory",
    "half of it": OURS[:400],
    "empty": b"",
    "Ed25519": made("ed25519")[0],
    "no certificate": made()[1],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_later_leaves_it_as_it_was(
    realm, certificate, caplog, broken
):
    acceptor = strict(certificate)
    certificate.unlink()
    if broken == "directory":
        certificate.mkdir()
    elif broken is not None:
        put(certificate, broken)
    for _ in range(3):
        assert said(acceptor.accept(bound(realm, OURS))) == "in"
        assert said(acceptor.accept(bound(realm, OTHER))) == "channel-bindings-wrong"
        assert said(acceptor.accept(realm.token())) == "channel-bindings-missing"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(certificate) in record.getMessage()
    assert "The one that was there stays good" in record.getMessage()
    assert "PRIVATE" not in caplog.text

    if broken == "directory":
        certificate.rmdir()
    put(certificate, OTHER)
    assert said(acceptor.accept(bound(realm, OTHER))) == "in"
    assert said(acceptor.accept(bound(realm, OURS))) == "in"


def test_new_rights_are_seen(realm, certificate):
    """Other rights alone change neither what is in the file nor when it was written."""
    acceptor = strict(certificate)
    before = acceptor.channel_bindings._known.version
    certificate.chmod(0o640)
    acceptor.accept(bound(realm, OURS))
    assert acceptor.channel_bindings._known.version != before


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_at_first_is_an_error(certificate, broken):
    certificate.unlink()
    if broken == "directory":
        certificate.mkdir()
    elif broken is not None:
        put(certificate, broken)
    with pytest.raises(ConfigurationError, match="cannot be used: ") as problem:
        strict(certificate)
    assert str(certificate) in str(problem.value)
    assert "PRIVATE" not in str(problem.value)
    assert problem.value.__cause__ is None


# What is shared


def site_of(acceptor, **options):
    return WsgiSite(
        NegotiateMiddleware(
            app, acceptor=acceptor, session=SessionCookie(KEY), **options
        )
    )


def test_a_session_is_good_where_the_same_is_demanded(realm, certificate):
    authorization = realm.authorization(binding=binding_of(OURS))
    answer = site_of(strict(certificate)).request("/", authorization)
    cookie = [("Cookie", answer.header("Set-Cookie").partition(";")[0])]
    moved = put(certificate.with_name("moved.pem"), OTHER)
    for acceptor in (strict(certificate), strict(moved)):
        assert site_of(acceptor).request("/", headers=cookie).status == 200
    for acceptor in (lax(certificate), GssapiAcceptor()):
        assert site_of(acceptor).request("/", headers=cookie).status == 401
    answer = site_of(lax(certificate)).request("/", realm.authorization())
    cookie = [("Cookie", answer.header("Set-Cookie").partition(";")[0])]
    assert site_of(lax(certificate)).request("/", headers=cookie).status == 200
    assert site_of(strict(certificate)).request("/", headers=cookie).status == 401


def test_a_layer_that_does_not_look_lets_nobody_into_one_that_does(realm, certificate):
    other = put(certificate.with_name("other.pem"), OTHER)
    for outer, status in [
        (strict(certificate), 200),
        (lax(certificate), 401),
        (strict(other), 401),
        (GssapiAcceptor(), 401),
    ]:
        inner = NegotiateMiddleware(app, acceptor=strict(certificate))
        site = WsgiSite(NegotiateMiddleware(inner, acceptor=outer, required=False))
        authorization = realm.authorization(binding=binding_of(OURS))
        assert site.request("/", authorization).status == status


# Options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channel_binding": "on"}, "write 'off', 'optional' or 'required'"),
        ({"channel_binding": True}, "write 'off', 'optional' or 'required'"),
        ({"channel_binding": None}, "write 'off', 'optional' or 'required'"),
        ({"certificate": "/etc/www.pem"}, "certificate= needs channel_binding="),
        ({"channel_binding": "required"}, "needs certificate=, the path of the file"),
        ({"channel_binding": "optional", "certificate": ""}, "needs certificate="),
        ({"channel_binding": "optional", "certificate": "a\0b"}, "is no path of a file"),
        ({"channel_binding": "optional", "certificate": "/no/such"}, "uid .* cannot read it: No such"),
    ],
)  # fmt: skip
def test_wrong_options(options, says):
    with pytest.raises(ConfigurationError, match=says):
        GssapiAcceptor(**options)


def test_as_text(realm, certificate):
    settings = {
        "NEGOTIATE_ACCEPTOR": "gssapi",
        "NEGOTIATE_CHANNEL_BINDING": "required",
        "NEGOTIATE_CERTIFICATE": str(certificate),
    }
    site = WsgiSite(from_environ(settings, app))
    authorization = realm.authorization(binding=binding_of(OURS))
    assert site.request("/", authorization).status == 200
    assert site.request("/", realm.authorization()).status == 401
    for name, value, says in [
        ("NEGOTIATE_ACCEPTOR", "pykerberos", "needs NEGOTIATE_ACCEPTOR=gssapi"),
        ("NEGOTIATE_CHANNEL_BINDING", "yes", "write 'off', 'optional' or 'required'"),
        ("NEGOTIATE_CERTIFICATE", " ", "NEGOTIATE_CERTIFICATE is empty"),
    ]:
        with pytest.raises(ConfigurationError, match=says):
            from_environ(settings | {name: value}, app)


def test_a_relative_path_and_one_as_an_object(realm, certificate, monkeypatch):
    monkeypatch.chdir(certificate.parent)
    assert said(strict("www.pem").accept(bound(realm, OURS))) == "in"
    assert strict(certificate).channel_bindings.path == os.fspath(certificate)


def test_the_reasons_ask_again():
    for reason in (Reason.CHANNEL_BINDINGS_WRONG, Reason.CHANNEL_BINDINGS_MISSING):
        assert reason.renews_challenge
