"""How did they sign on at the KDC? Authentication indicators (RFC 8129) of MIT's KDC, for real."""

import os
import subprocess
from types import SimpleNamespace

import gssapi
import pytest
from helpers import KEY, app
from pkinit import make_pkinit_identity, make_pkinit_user
from sites import WsgiSite
from test_debug import read
from test_whoami import whoami
from tickets import Tickets

from negotiate_wsgi import (
    ConfigurationError,
    GssapiAcceptor,
    Identity,
    NegotiateMiddleware,
    Reason,
    Refused,
    SessionCookie,
    get_identity,
)
from negotiate_wsgi.acceptors.attributes import Attributes
from negotiate_wsgi.debug import debug_page
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.settings import from_environ
from negotiate_wsgi.testing import PretendRealm

ALICE = "alice@EXAMPLE.TEST"
SPN = "HTTP/localhost@EXAMPLE.TEST"
#: Of a ticket that was got with a certificate.
NA = ["na1", "na2", "na3"]


class _Realm(Tickets, Realm):
    pass


@pytest.fixture(scope="module")
def indicating_realm(tmp_path_factory):
    """Its KDC says of each ticket how it was got, and knows alice by a certificate, too."""
    directory = make_pkinit_identity(tmp_path_factory.mktemp("pkinit"))
    certificate = make_pkinit_user(directory, "alice")
    anchors = f"FILE:{directory / 'ca.pem'}"
    client = {"pkinit_anchors": anchors, "pkinit_kdc_hostname": "localhost"}
    kdc = {
        "pkinit_identity": f"FILE:{directory / 'kdc.pem'},{directory / 'kdc.key'}",
        "pkinit_anchors": anchors,
        "pkinit_indicator": NA,
        "spake_preauth_indicator": "spake",
        "encrypted_challenge_indicator": "armored",
    }
    group = {"libdefaults": {"spake_preauth_groups": "edwards25519"}}
    with _Realm(
        users=["alice", "bob"],
        krb5_conf=group | {"realms": {"$realm": client}},
        kdc_conf={"realms": {"$realm": kdc}},
    ) as realm:
        realm.certificate = certificate
        realm.kadmin("modprinc", "+requires_preauth", "alice")
        conf = (realm.directory / "krb5.conf").read_text()
        other = conf.replace("edwards25519", "P-521")  # which the KDC does not have
        (realm.directory / "without-spake.conf").write_text(other)
        realm.keep()
        yield realm


@pytest.fixture
def realm(indicating_realm, monkeypatch):
    for name, value in indicating_realm.environ.items():
        monkeypatch.setenv(name, value)
    return indicating_realm


def sign_on_at_the_kdc(realm, way):
    """Alice's ticket-granting ticket, got in that *way*: nothing of it says another one."""
    if way == "pkinit":
        options = ["-X", f"X509_user_identity={realm.certificate}"]
        command = ["kinit", *options, "-c", realm.ccache("alice"), "alice"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    elif way == "armored":
        realm.kinit("bob")
        conf = str(realm.directory / "without-spake.conf")
        command = [
            "kinit",
            "-T",
            realm.ccache("bob"),
            "-c",
            realm.ccache("alice"),
            "alice",
        ]
        subprocess.run(
            command,
            check=True,
            env=os.environ | {"KRB5_CONFIG": conf},
            input=realm.password("alice") + "\n",
            text=True,
            stdout=subprocess.DEVNULL,
        )
    else:
        realm.kinit("alice")


WAYS = {"spake": ["spake"], "pkinit": NA, "armored": ["armored"]}


@pytest.mark.parametrize("way", WAYS)
def test_identity_has_all_and_one_is_enough(realm, way):
    sign_on_at_the_kdc(realm, way)
    for indicators in (True, [WAYS[way][-1]], [*WAYS[way], "another"]):
        acceptor = GssapiAcceptor(indicators=indicators)
        accepted = acceptor.accept(realm.token())
        assert accepted.identity == Identity(
            ALICE, SPN, indicators=frozenset(WAYS[way])
        )
    unread = GssapiAcceptor().accept(realm.token())
    assert unread.identity == Identity(ALICE, SPN)


@pytest.mark.parametrize("way", WAYS)
def test_another_one_is_not_enough(realm, way):
    sign_on_at_the_kdc(realm, way)
    others = {name for names in WAYS.values() for name in names} - set(WAYS[way])
    for indicators in (others, [WAYS[way][0].upper()], [WAYS[way][0] + " "], ["na"]):
        refused = GssapiAcceptor(indicators=indicators).accept(realm.token())
        assert (refused.reason, refused.principal, refused.spn) == (
            Reason.INDICATOR_MISSING,
            ALICE,
            SPN,
        )
        assert ", ".join(sorted(WAYS[way])) in refused.detail


def test_a_ticket_without_any(realm):
    """Bob needs no preauthentication, so that his password is not even asked for."""
    realm.kinit("bob")
    accepted = GssapiAcceptor(indicators=True).accept(realm.token(user="bob"))
    assert accepted.identity.indicators == frozenset()
    refused = GssapiAcceptor(indicators=["spake", "na1"]).accept(
        realm.token(user="bob")
    )
    assert refused.reason is Reason.INDICATOR_MISSING
    assert refused.detail == "none of na1, spake is in the ticket, but nothing"


def test_active_directory_has_none(domain):
    for options in ({}, {"active_directory": True}):
        acceptor = GssapiAcceptor(indicators=["pkinit"], **options)
        refused = acceptor.accept(domain.token())
        assert refused.reason is Reason.INDICATOR_MISSING
        acceptor = GssapiAcceptor(indicators=True, **options)
        assert acceptor.accept(domain.token()).identity.indicators == frozenset()


def has_na(identity):
    return {"foo", "na2"} <= identity.indicators or "na3" in identity.indicators


@pytest.mark.parametrize(
    ("indicators", "authorize", "status"),
    [
        (["na1"], None, 200),
        ("na1", None, 200),
        (True, has_na, 200),
        (["foo"], None, 403),
        (True, lambda identity: "foo" in identity.indicators, 403),
    ],
    ids=["1", "2: as its bytes are written", "3: this and that, or another", "4", "4, too"],
)  # fmt: skip
def test_required_name_attr(realm, indicators, authorize, status):
    """The scenarios 1 to 4 that mod_auth_gssapi has of this name."""
    sign_on_at_the_kdc(realm, "pkinit")
    if isinstance(indicators, str):
        settings = {
            "NEGOTIATE_ACCEPTOR": "gssapi",
            "NEGOTIATE_INDICATORS": indicators,
        }
        guarded = from_environ(settings, app)
    else:
        guarded = NegotiateMiddleware(
            app, acceptor=GssapiAcceptor(indicators=indicators), authorize=authorize
        )
    assert WsgiSite(guarded).request("/", realm.authorization()).status == status


def test_the_kdc_can_insist_by_itself(realm):
    realm.add_service("HTTP/strict.test")
    realm.kadmin("setstr", "HTTP/strict.test", "require_auth", "na2")
    sign_on_at_the_kdc(realm, "spake")
    with pytest.raises(gssapi.exceptions.GSSError, match="KDC policy rejects request"):
        realm.token("HTTP/strict.test")
    sign_on_at_the_kdc(realm, "pkinit")
    assert GssapiAcceptor().accept(realm.token("HTTP/strict.test")).identity


def site_of(**options):
    acceptor = GssapiAcceptor(**options)
    return WsgiSite(
        NegotiateMiddleware(show, acceptor=acceptor, session=SessionCookie(KEY))
    )


def show(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    identity = get_identity(environ)
    return [f"{identity.source} {sorted(identity.indicators)}".encode()]


def test_the_answer_is_403_without_a_challenge_and_the_log_says_why(realm, caplog):
    sign_on_at_the_kdc(realm, "spake")
    answer = site_of(indicators=["na1"]).request(
        "/", realm.authorization(), headers=[("Accept", "text/html")]
    )
    assert (answer.status, answer.challenges) == (403, [])
    assert "smart card" in answer.text
    assert "spake" not in answer.text
    [record] = caplog.records
    assert record.reason == "indicator-missing"
    assert record.principal == ALICE
    assert record.detail == "none of na1 is in the ticket, but spake"


def test_where_sign_on_is_not_required_nobody_came(realm):
    sign_on_at_the_kdc(realm, "spake")
    acceptor = GssapiAcceptor(indicators=["na1"])
    site = WsgiSite(NegotiateMiddleware(app, required=False, acceptor=acceptor))
    answer = site.request("/", realm.authorization())
    assert (answer.status, answer.text) == (200, "None None indicator-missing")


def test_a_session_has_them_and_is_good_where_the_same_are_asked_for(realm):
    sign_on_at_the_kdc(realm, "spake")
    answer = site_of(indicators=["spake"]).request("/", realm.authorization())
    assert answer.text == "ticket ['spake']"
    cookie = [("Cookie", answer.header("Set-Cookie").partition(";")[0])]
    same = site_of(indicators=["spake"]).request("/", headers=cookie)
    assert (same.status, same.text) == (200, "session ['spake']")
    for others in (["na1"], ["na1", "spake"], True, False):
        assert site_of(indicators=others).request("/", headers=cookie).status == 401
    # And a cookie from where nobody looked at them opens no door that insists on one.
    answer = site_of().request("/", realm.authorization())
    cookie = [("Cookie", answer.header("Set-Cookie").partition(";")[0])]
    assert site_of().request("/", headers=cookie).status == 200
    assert site_of(indicators=["spake"]).request("/", headers=cookie).status == 401


def test_a_layer_that_does_not_insist_lets_nobody_into_one_that_does(realm):
    sign_on_at_the_kdc(realm, "spake")
    for inner, status in (([*NA], 401), (["spake"], 401), (False, 200)):
        guarded = NegotiateMiddleware(app, acceptor=GssapiAcceptor(indicators=inner))
        outer = NegotiateMiddleware(guarded, acceptor=GssapiAcceptor())
        answer = WsgiSite(outer).request("/", realm.authorization())
        assert answer.status == status
        assert ("replayed" in answer.text) == (status == 401)


def test_whoami_and_the_debug_page_show_them(realm):
    sign_on_at_the_kdc(realm, "pkinit")
    code, rows, _ = whoami(INDICATORS="yes")
    assert (code, rows["indicators"]) == (0, ["na1, na2, na3"])
    code, rows, _ = whoami()
    assert (code, "indicators" in rows) == (0, False)
    code, rows, _ = whoami(INDICATORS="spake, armored")
    assert code == 1
    assert rows["refused"][0].startswith("indicator-missing: ")
    assert rows["detail"] == [
        "none of armored, spake is in the ticket, but na1, na2, na3"
    ]
    acceptor = GssapiAcceptor(indicators=["na2"])
    page = WsgiSite(NegotiateMiddleware(debug_page, acceptor=acceptor))
    assert ("indicators", "na1, na2, na3") in read(
        page.request("/", realm.authorization())
    )[1]


@pytest.mark.parametrize(
    "indicators", [[], (), "pkinit", [""], [" "], [b"pkinit"], [1], None, 1, {}], ids=repr
)  # fmt: skip
def test_wrong_options(indicators):
    with pytest.raises(ConfigurationError, match="write a collection of texts such as"):
        GssapiAcceptor(indicators=indicators)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pkinit", {"pkinit"}),
        (" pkinit, spake ", {"pkinit", "spake"}),
        ("yes", True),
        ("Off", False),
        ("yes pkinit", {"yes", "pkinit"}),
    ],
)
def test_as_text(text, wanted):
    settings = {"NEGOTIATE_ACCEPTOR": "gssapi", "NEGOTIATE_INDICATORS": text}
    assert from_environ(settings, app)._acceptor.attributes.indicators == wanted


def test_settings_that_have_no_place():
    for acceptor, text, message in [
        ("pykerberos", "pkinit", "NEGOTIATE_INDICATORS needs NEGOTIATE_ACCEPTOR=gssapi"),
        ("gssapi", " ", "NEGOTIATE_INDICATORS is empty"),
    ]:  # fmt: skip
        settings = {"NEGOTIATE_ACCEPTOR": acceptor, "NEGOTIATE_INDICATORS": text}
        with pytest.raises(ConfigurationError, match=message):
            from_environ(settings, app)


def test_whatever_the_kdc_calls_them():
    attributes = Attributes.of(False, None, ["pkinit"])

    def ticket(values):
        return SimpleNamespace(principal=ALICE, spn=SPN, indicators=lambda: values)

    odd = ticket([b"\xff", "schlüssel".encode(), b"pkinit"])
    identity = attributes.identity(odd)
    assert identity.indicators == {"\N{REPLACEMENT CHARACTER}", "schlüssel", "pkinit"}
    for values in ([], [b""], [b"pkinit\0"], [b"pkin\xffit"]):
        assert isinstance(attributes.identity(ticket(values)), Refused)


def test_in_an_apps_tests():
    realm = PretendRealm()
    insists = NegotiateMiddleware(
        app,
        acceptor=realm,
        authorize=lambda identity: "pkinit" in identity.indicators,
    )
    client = realm.client(insists)
    card = Identity(ALICE, indicators=frozenset({"pkinit"}))
    assert client.get("/", negotiate=card).status_code == 200
    assert client.get("/", negotiate=ALICE).status_code == 403
    assert client.get("/", negotiate=Reason.INDICATOR_MISSING).status_code == 403
