"""Each row of the answer table, with real tickets: in process, and through each kind of server."""

import http.client

import pytest
from helpers import HTML, is_asked, is_let_in, negotiate
from initiator import KRB5, Initiator

NTLM_BARE = b"NTLMSSP\0" + bytes(24)
NTLM_FIRST = bytes.fromhex(
    "601c06062b0601050502a0123010a00e300c060a2b06010401823702020a"
)


# --- no credentials ---


def test_no_credentials_required(site):
    answer = site.request("/required/")
    assert is_asked(answer)
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert answer.text.count("\n") == 1


def test_no_credentials_required_html(site):
    answer = site.request("/required/", headers=HTML)
    assert is_asked(answer)
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert "Try again" in answer.text


def test_no_credentials_not_required(site):
    assert is_let_in(site.request("/optional/"), user=None)
    assert is_asked(site.request("/optional/?do=401"))


def test_no_credentials_not_required_app_has_its_own_challenges(site):
    basic = site.request("/optional/?do=401-basic")
    assert basic.challenges == ['Basic realm="x"', "Negotiate"]
    both = site.request("/optional/?do=401-negotiate")
    assert both.challenges == ['Basic realm="x", Negotiate']
    assert site.request("/optional/?do=404").challenges == []


def test_required_decided_by_path(site):
    assert is_let_in(site.request("/by-path/open"), user=None)
    assert is_asked(site.request("/by-path/else"))


@pytest.mark.parametrize(
    "credentials", ["Basic YTpi", "Bearer YTpi", "NTLM TlRMTVNTUAAB", "Nego x"]
)
def test_another_scheme(site, credentials):
    assert is_asked(site.request("/required/", credentials))
    answer = site.request("/optional/", credentials)
    assert is_let_in(answer, user=None)
    assert f"authorization={credentials[:5]}" in answer.text
    assert "refusal=None" in answer.text


# --- a valid token ---


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_valid_token(site, realm, user):
    initiator = realm.initiator(user=user)
    answer = site.request("/required/", initiator.authorization)
    assert is_let_in(answer, realm.principal(user))
    assert "type=Negotiate" in answer.text
    assert f"spn='HTTP/localhost@{realm.name}', source='ticket'" in answer.text
    [proof] = answer.challenges
    assert initiator.trusts(proof)


def test_valid_token_proof_of_another_negotiation_is_not_trusted(site, realm):
    [proof] = site.request("/required/", realm.authorization()).challenges
    assert not realm.initiator().trusts(proof)


@pytest.mark.parametrize("scheme", ["Negotiate", "negotiate", "NEGOTIATE"])
def test_valid_token_scheme_without_case(site, realm, scheme):
    authorization = realm.authorization().replace("Negotiate", scheme)
    assert is_let_in(site.request("/required/", authorization))


def test_valid_token_not_required(site, realm):
    answer = site.request("/optional/", realm.authorization())
    assert is_let_in(answer, realm.principal())
    assert len(answer.challenges) == 1


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ("redirect", 302),
        ("204", 204),
        ("304", 304),
        ("404", 404),
        ("500", 500),
        ("stream", 200),
    ],
)
def test_valid_token_proof_on_every_final_status(site, realm, behaviour, status):
    initiator = realm.initiator()
    answer = site.request(f"/required/?do={behaviour}", initiator.authorization)
    assert answer.status == status
    [proof] = answer.challenges
    assert initiator.trusts(proof)
    assert site.request(f"/plain/?do={behaviour}").challenges == []


def test_valid_token_replaces_a_proof_of_the_apps_own(site, realm):
    initiator = realm.initiator()
    [proof] = site.request(
        "/required/?do=proof-of-its-own", initiator.authorization
    ).challenges
    assert initiator.trusts(proof)


def test_valid_token_no_proof_on_an_apps_own_401(site, realm):
    assert site.request("/required/?do=401", realm.authorization()).challenges == []
    basic = site.request("/optional/?do=401-basic", realm.authorization())
    assert basic.challenges == ['Basic realm="x"']


def test_valid_token_without_mutual_authentication(site, realm):
    bare = realm.initiator(mutual=False, mech=KRB5)
    answer = site.request("/required/", bare.authorization)
    assert is_let_in(answer, realm.principal())
    assert answer.challenges == []


def test_valid_token_bare_krb5(site, realm):
    initiator = realm.initiator(mech=KRB5)
    answer = site.request("/required/", initiator.authorization)
    assert is_let_in(answer, realm.principal())
    assert initiator.trusts(answer.challenges[0])


def test_valid_token_for_an_alias_and_for_given_hosts(site, realm):
    assert is_let_in(site.request("/required/", realm.authorization("HTTP/alias.test")))
    assert is_asked(
        site.request("/localhost-only/", realm.authorization("HTTP/alias.test"))
    )
    assert is_let_in(site.request("/localhost-only/", realm.authorization()))


def test_valid_token_is_judged_once_for_all_layers(site, realm):
    initiator = realm.initiator()
    answer = site.request("/twice/", initiator.authorization)
    assert is_let_in(answer, realm.principal())
    [proof] = answer.challenges
    assert initiator.trusts(proof)
    # The inner layer has its own idea of hosts, and keeps it.
    assert is_asked(site.request("/twice/", realm.authorization("HTTP/alias.test")))


# --- the client's fault ---


@pytest.fixture
def wrong_tokens(realm):
    """Makes tokens for each reason."""
    return lambda: tokens_that_are_wrong(realm)


def tokens_that_are_wrong(realm):
    valid = realm.token()
    relabelled = realm.token("host/localhost").replace(b"\x04host", b"\x04HTTP", 1)
    return {
        "malformed": [
            b"",
            b"garbage",
            valid[:-1],
            valid[: len(valid) // 2],
            valid + b"\0",
        ],
        "wrong-service": [
            realm.token("host/localhost"),
            realm.token("nfs/localhost"),
            realm.token("http/localhost"),
            relabelled,
        ],
        "spn-not-in-keytab": [realm.token("HTTP/no-key.test")],
        "stale-ticket": [realm.token("HTTP/rotated.test")],
        "stale-keytab": [realm.token("HTTP/stale-keytab.test")],
        "wrong-key": [realm.token("HTTP/wrong-key.test")],
        "enctype-missing": [realm.token("HTTP/no-enctype.test")],
        "needs-another-leg": [b"\xa1\x03\x30\x01\x00"],
    }


@pytest.mark.parametrize(
    "reason",
    [
        "malformed", "wrong-service", "spn-not-in-keytab", "stale-ticket", "stale-keytab",
        "wrong-key", "enctype-missing", "needs-another-leg",
    ],
)  # fmt: skip
def test_clients_fault(site, realm, wrong_tokens, reason):
    for token in wrong_tokens()[reason]:
        refused = site.request("/required/", negotiate(token))
        assert is_asked(refused)
        assert f"({reason})" in refused.text
    for token in wrong_tokens()[reason]:
        passed_on = site.request("/optional/", negotiate(token))
        assert is_let_in(passed_on, user=None)
        assert f"refusal={reason}\n" in passed_on.text
        assert passed_on.challenges == []
    assert is_let_in(
        site.request("/required/", realm.authorization()), realm.principal()
    )


def test_clients_fault_expired(site, realm, expired):
    answer = site.request("/required/", negotiate(expired))
    assert is_asked(answer)
    assert "(expired)" in answer.text


def test_clients_fault_skewed(site, realm, skewed):
    answer = site.request("/required/", negotiate(skewed))
    assert is_asked(answer)
    assert "(clock-skew)" in answer.text


def test_clients_fault_replayed(site, realm):
    authorization = realm.authorization()
    assert is_let_in(site.request("/required/", authorization), realm.principal())
    replayed = site.request("/required/", authorization)
    assert is_asked(replayed)
    assert "(replayed)" in replayed.text
    assert is_let_in(site.request("/optional/", authorization), user=None)


def test_clients_fault_not_required_app_asks(site, realm):
    assert is_asked(site.request("/optional/?do=401", negotiate(b"garbage")))


@pytest.mark.parametrize(
    "text", ["a b", "YQ", "!!!!", "YQ==YQ==", "YQ==,Negotiate YQ==", "caf\xe9"]
)
def test_clients_fault_not_one_token68(site, text):
    answer = site.request("/required/", f"Negotiate {text}")
    assert is_asked(answer)
    assert "(malformed)" in answer.text


@pytest.mark.parametrize("token", [NTLM_BARE, NTLM_FIRST], ids=["bare", "first"])
def test_ntlm(site, token):
    answer = site.request("/required/", negotiate(token), headers=HTML)
    assert answer.status == 401
    assert answer.challenges == []
    assert "NTLM" in answer.text
    passed_on = site.request("/optional/", negotiate(token))
    assert is_let_in(passed_on, user=None)
    assert "refusal=ntlm\n" in passed_on.text
    assert site.request("/optional/?do=401", negotiate(token)).challenges == []


def test_negoex(site):
    token = NTLM_FIRST[:-1] + b"\x1e"
    answer = site.request("/required/", negotiate(token))
    assert (answer.status, answer.challenges) == (401, [])
    assert "(negoex)" in answer.text
    passed_on = site.request("/optional/?do=401", negotiate(token))
    assert (passed_on.status, passed_on.challenges) == (401, [])


# --- valid, but ---


def test_anonymous(site, realm, anonymous_ccache):
    def anonymous():
        return Initiator(anonymous_ccache, "HTTP/localhost@EXAMPLE.TEST").authorization

    for path in ("/required/", "/optional/", "/alice-only/", "/own-realm-only/"):
        answer = site.request(path, anonymous())
        assert answer.status == 403
        assert "(anonymous)" in answer.text
    assert is_let_in(site.request("/required/", realm.authorization()))


def test_realm_not_allowed(site, realm):
    initiator = realm.initiator()
    answer = site.request("/other-realm-only/", initiator.authorization)
    assert answer.status == 403
    assert "(realm-not-allowed)" in answer.text
    assert initiator.trusts(answer.challenges[0])
    assert is_let_in(site.request("/own-realm-only/", realm.authorization()))
    assert is_let_in(site.request("/stripped/", realm.authorization()), user="alice")


def test_not_authorized(site, realm):
    initiator = realm.initiator(user="bob")
    answer = site.request("/alice-only/", initiator.authorization, headers=HTML)
    assert answer.status == 403
    assert "not-authorized" in answer.text
    assert answer.header("Cache-Control") == "no-store"
    assert initiator.trusts(answer.challenges[0])
    assert is_let_in(
        site.request("/alice-only/", realm.authorization()), realm.principal()
    )


def test_authorize_raises(site, realm):
    answer = site.request("/authorize-fails/", realm.authorization())
    assert answer.status == 500
    assert "directory is down" not in answer.text
    assert is_asked(site.request("/authorize-fails/"))


# --- a request refused before the app could read its body ---


@pytest.mark.parametrize("size", [1, 1_000_000, 2**20])
def test_body_of_a_refused_request(site, size):
    assert is_asked(site.request("/required/", method="POST", body=b"x" * size))


def test_body_of_an_accepted_request(site, realm):
    answer = site.request(
        "/required/", realm.authorization(), method="POST", body=b"x" * 1000
    )
    assert is_let_in(answer)
    assert "body=1000" in answer.text


# --- as without us ---


@pytest.mark.parametrize(
    "behaviour",
    ["stream", "closable", "write", "exc_info", "file_wrapper", "404", "redirect"],
)
def test_app_behaves_as_without_us(site, realm, behaviour):
    with_us = site.request(f"/required/?do={behaviour}", realm.authorization())
    without = site.request(f"/plain/?do={behaviour}")
    assert (with_us.status, with_us.body) == (without.status, without.body)
    # gunicorn keeps the headers of the first start_response beside those of the second.
    starts = [name for name, _ in without.headers].count("Content-Type")
    assert len(with_us.challenges) == starts
    assert len(set(with_us.challenges)) == 1


def test_app_raises(site, realm):
    def outcome(path, authorization=None):
        try:
            return site.request(path, authorization).status
        except (LookupError, http.client.RemoteDisconnected) as failure:
            return str(failure)

    with_us = outcome("/required/?do=raise", realm.authorization())
    assert with_us == outcome("/plain/?do=raise")
    assert with_us != 200


# --- before anything else ---


@pytest.mark.parametrize("configuration", ["optional", "spoofed"])
def test_nobody_else_speaks_for_the_user(site, realm, configuration):
    forged = site.request(f"/{configuration}/")
    assert "root" not in forged.text
    refused = site.request(f"/{configuration}/", negotiate(b"garbage"))
    assert "root" not in refused.text
    assert is_let_in(site.request(f"/{configuration}/", realm.authorization()))
    unguarded = site.request("/plain/", headers=[("Remote-User", "root")])
    assert "user=None" in unguarded.text


def test_the_apps_header_list_is_never_touched(site, realm):
    for user in ("alice", "bob", "alice"):
        answer = site.request("/required/?do=constant", realm.authorization(user=user))
        assert len(answer.challenges) == 1
    assert site.request("/plain/?do=constant").challenges == []


# --- a session ---


def sign_on(site, realm, path="/session/", user="alice"):
    answer = site.request(path, realm.authorization(user=user))
    assert is_let_in(answer, realm.principal(user))
    return answer.header("Set-Cookie").split(";")[0]


def with_cookie(site, path, cookie, authorization=None):
    return site.request(path, authorization, headers=[("Cookie", cookie)])


def test_session_cookie_no_authorization(site, realm):
    cookie = sign_on(site, realm)
    for path in ("/session/", "/session-optional/", "/session-alice-only/"):
        answer = with_cookie(site, path, cookie)
        assert is_let_in(answer, realm.principal())
        assert "type=Negotiate" in answer.text
        assert "spn=None, source='session'" in answer.text
        assert answer.challenges == []
        assert (answer.header("Cache-Control"), answer.header("Vary")) == (
            "private",
            "Cookie",
        )
        assert answer.header("Set-Cookie") is None
    assert is_asked(site.request("/session/"))
    assert is_asked(with_cookie(site, "/required/", cookie))


def test_session_cookie_that_is_none(site, realm):
    cookie = sign_on(site, realm)[:-1]
    assert is_asked(with_cookie(site, "/session/", cookie))
    assert is_let_in(with_cookie(site, "/session-optional/", cookie), user=None)


def test_session_cookie_and_authorization(site, realm):
    cookie = sign_on(site, realm)
    answer = with_cookie(site, "/session/", cookie, realm.authorization(user="bob"))
    assert is_let_in(answer, realm.principal("bob"))
    assert is_asked(with_cookie(site, "/session/", cookie, negotiate(b"garbage")))
    assert is_asked(with_cookie(site, "/session/", cookie, "Basic YTpi"))


def test_session_of_somebody_the_policy_keeps_out(site, realm):
    cookie = sign_on(site, realm, user="bob")
    answer = with_cookie(site, "/session-alice-only/", cookie)
    assert (answer.status, answer.challenges) == (403, [])
    assert answer.header("Set-Cookie").startswith("negotiate=; ")


def test_session_forgotten(site, realm):
    cookie = sign_on(site, realm)
    for authorization in (None, realm.authorization()):
        answer = with_cookie(site, "/session/?do=forget", cookie, authorization)
        assert answer.text == "forgotten"
        assert answer.header("Set-Cookie").startswith("negotiate=; ")


# --- another site's page ---


def test_another_sites_page(site, realm):
    def post(origin):
        return site.request(
            "/own-pages-only/",
            realm.authorization(),
            method="POST",
            headers=[("Origin", origin)],
        )

    answer = post("https://evil.test")
    assert (answer.status, answer.challenges) == (403, [])
    assert is_let_in(post("https://portal.test"))
