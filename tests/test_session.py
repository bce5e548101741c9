"""Must we ask again next time? The cookie, with an acceptor of our own: no KDC, in milliseconds."""

import dataclasses
import hashlib
import json
import string
import time
import traceback
from http.cookies import SimpleCookie

import itsdangerous
import pytest
from helpers import (
    ALICE,
    GOOD,
    KEY,
    OLD_KEY,
    NamedAcceptor,
    accepted,
    negotiate,
    set_cookies,
    site_of,
)
from sites import WsgiSite
from werkzeug.middleware.proxy_fix import ProxyFix

from negotiate_wsgi import (
    Accepted,
    ConfigurationError,
    Identity,
    NegotiateMiddleware,
    SessionCookie,
    forget,
    get_identity,
)
from negotiate_wsgi.acceptors.target import KeytabAcceptor, Target

NAME = "negotiate"


def site(session=None, inner=None, result=ALICE, **options):
    inner = inner or whoami
    return site_of(result, inner, session=session or SessionCookie(KEY), **options)


def whoami(environ, start_response):
    identity = get_identity(environ)
    headers = [("Content-Type", "text/plain")]
    headers += [
        tuple(line.split("=", 1)) for line in environ["QUERY_STRING"].split("&") if line
    ]
    if environ["PATH_INFO"] == "/forget":
        forget(environ)
    start_response("200 OK", headers)
    return [
        f"{identity and (identity.principal, identity.source, identity.spn)}".encode()
    ]


KNOWN = "('alice@EXAMPLE.TEST', 'session', None)"


def sign_on(guarded, **request):
    """The cookie's name and value, as a browser keeps them."""
    answer = guarded.request("/", negotiate(GOOD), **request)
    assert answer.status == 200
    [line] = set_cookies(answer)
    [morsel] = SimpleCookie(line).values()
    return morsel.key, morsel.value


def ask(guarded, cookie, path="/", authorization=None):
    return guarded.request(path, authorization, headers=[("Cookie", cookie)])


def is_let_in(guarded, cookie):
    answer = ask(guarded, cookie)
    assert answer.status in (200, 401, 403)
    return answer.status == 200


def test_the_second_request_needs_no_ticket():
    guarded = site()
    name, value = sign_on(guarded)
    assert ask(guarded, f"{name}={value}").text == KNOWN
    assert ask(guarded, f"a=b; {name}={value}; c=d").text == KNOWN
    assert guarded.acceptor.tokens == [GOOD]
    assert guarded.request("/").status == 401


def test_without_session_a_cookie_says_nothing():
    name, value = sign_on(site())
    plain = site_of(inner=whoami)
    assert ask(plain, f"{name}={value}").status == 401
    assert set_cookies(plain.request("/", negotiate(GOOD))) == []


def test_other_workers_with_the_same_key_know_the_session():
    name, value = sign_on(site(SessionCookie(KEY)))
    assert is_let_in(site(SessionCookie(KEY.encode())), f"{name}={value}")


def test_keys_are_rotated_without_anyone_noticing():
    old, both, new = (
        SessionCookie(OLD_KEY),
        SessionCookie(KEY, fallbacks=[OLD_KEY]),
        SessionCookie(KEY),
    )
    by_old, by_both = ("=".join(sign_on(site(session))) for session in (old, both))
    assert is_let_in(site(both), by_old)
    assert is_let_in(site(new), by_both)
    assert not is_let_in(site(new), by_old)
    assert not is_let_in(site(old), by_both)


def test_two_sign_ons_of_one_user_are_two_sessions(monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    guarded = site()
    values = {sign_on(guarded)[1] for _ in range(20)}
    assert len(values) == 20
    assert {len(value) for value in values} == {len(sign_on(guarded)[1])}
    assert max(map(len, values)) < 200


def test_a_cookie_of_the_format_before_is_none():
    begun = int(time.time())
    content = [begun, begun + 60, "Negotiate", "alice@EXAMPLE.TEST", [], None, None, []]
    before = itsdangerous.base64_encode(json.dumps(content)).decode()
    salt = f"negotiate_wsgi.session.3\0{NAME}\0{AUDIENCE}"
    assert ask(site(), signed(before, salt=salt)).status == 401
    assert ask(site(), signed(payload())).status == 200


def test_attributes():
    [line] = set_cookies(site().request("/", negotiate(GOOD)))
    attributes = {part.strip() for part in line.split(";")[1:]}
    assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=3600"} <= attributes
    assert "Secure" not in attributes


@pytest.mark.parametrize(
    ("options", "scheme", "name", "secure"),
    [
        ({}, "https", "__Host-negotiate", True),
        ({}, "http", "negotiate", False),
        ({"secure": True}, "http", "__Host-negotiate", True),
        ({"secure": False}, "https", "negotiate", False),
        ({"path": "/app"}, "https", "negotiate", True),
        ({"domain": "example.com"}, "https", "negotiate", True),
        ({"name": "who"}, "https", "who", True),
        ({"name": "__Host-who", "secure": True}, "https", "__Host-who", True),
        (
            {"name": "__Secure-who", "secure": True, "path": "/x"},
            "https",
            "__Secure-who",
            True,
        ),
    ],
)
def test_name_and_secure_follow_the_rules_of_the_prefix(options, scheme, name, secure):
    guarded = site(SessionCookie(KEY, **options))
    answer = guarded.request("/", negotiate(GOOD), base_url=f"{scheme}://localhost")
    [line] = set_cookies(answer)
    assert line.startswith(f"{name}=")
    assert ("Secure" in line) == secure
    assert ("Domain=example.com" in line) == ("domain" in options)
    back = guarded.request(
        "/", headers=[("Cookie", line.split(";")[0])], base_url=f"{scheme}://localhost"
    )
    assert back.text == KNOWN


TLS = "https://localhost"


def test_over_tls_a_cookie_without_the_prefix_does_not_count():
    """Whoever can write into plain HTTP can plant it."""
    guarded = site()
    _, value = sign_on(guarded)
    headers = [("Cookie", f"negotiate={value}")]
    assert guarded.request("/", headers=headers).status == 200
    assert guarded.request("/", headers=headers, base_url=TLS).status == 401


def test_the_prefix_counts_whatever_the_scheme_says():
    """Browsers send it over TLS alone, and a proxy may not have told the server of that."""
    guarded = site()
    name, value = sign_on(guarded, base_url=TLS)
    assert name == "__Host-negotiate"
    headers = [("Cookie", f"{name}={value}")]
    for base_url in (None, TLS):
        assert guarded.request("/", headers=headers, base_url=base_url).text == KNOWN


def test_a_cookie_is_good_under_its_own_name_alone():
    guarded = site()
    _, plain = sign_on(guarded)
    _, prefixed = sign_on(guarded, base_url=TLS)
    assert ask(guarded, f"negotiate={plain}").status == 200
    assert ask(guarded, f"__Host-negotiate={plain}").status == 401
    assert ask(guarded, f"negotiate={prefixed}").status == 401


def test_a_proxy_fix_below_us_decides_on_name_and_secure():
    """It has corrected the scheme by the time that the answer starts."""
    guarded = site(inner=ProxyFix(whoami, x_proto=1))
    through_tls = [("X-Forwarded-Proto", "https")]
    [line] = set_cookies(guarded.request("/", negotiate(GOOD), headers=through_tls))
    assert line.startswith("__Host-negotiate=")
    assert "; Secure" in line
    cookie = [("Cookie", line.partition(";")[0])]
    assert guarded.request("/", headers=[*through_tls, *cookie]).text == KNOWN
    [plain] = set_cookies(guarded.request("/", negotiate(GOOD)))
    assert plain.startswith("negotiate=")
    assert "Secure" not in plain


def test_a_session_ends_under_the_name_that_the_request_brought():
    """Who is refused never reaches the ProxyFix that would correct the scheme."""
    may = [True]
    guarded = site(inner=ProxyFix(whoami, x_proto=1), authorize=lambda identity: may[0])
    through_tls = [("X-Forwarded-Proto", "https")]
    [line] = set_cookies(guarded.request("/", negotiate(GOOD), headers=through_tls))
    cookie = [("Cookie", line.partition(";")[0])]
    may[0] = False
    answer = guarded.request("/", headers=[*through_tls, *cookie])
    assert answer.status == 403
    assert any(
        line.startswith("__Host-negotiate=;")
        and "Max-Age=0" in line
        and "Secure" in line
        for line in set_cookies(answer)
    )


def test_private_with_a_field_is_not_private():
    guarded = site()
    cookie = "=".join(sign_on(guarded))
    answer = ask(guarded, cookie, '/?Cache-Control=private="X-Foo"')
    assert cached(answer) == ['private="X-Foo"', "private", "Cookie"]


def keytab_site(**target):
    """A site whose acceptor has a service and hosts."""

    class Judge(KeytabAcceptor):
        def accept(self, token):
            return ALICE

    class OtherKind(Judge):
        pass

    kind = OtherKind if target.pop("other_kind", False) else Judge
    judge = kind(
        Target.of(target.get("service", "HTTP"), target.get("hostname")), "keys"
    )
    options = {"acceptor": judge, "session": SessionCookie(KEY)}
    return WsgiSite(NegotiateMiddleware(whoami, **options))


@pytest.mark.parametrize(
    ("other", "is_good"),
    [
        ({"hostname": ["a.test", "b.test"]}, True),
        ({"hostname": ["B.test", "A.test"]}, True),
        ({"hostname": "a.test"}, False),
        ({"hostname": None}, False),
        ({"hostname": ["a.test", "b.test"], "service": "http"}, False),
        ({"hostname": ["a.test", "b.test"], "other_kind": True}, False),
    ],
    ids=str,
)
def test_a_session_is_good_for_the_audience_that_it_was_made_for(other, is_good):
    cookie = "=".join(sign_on(keytab_site(hostname=["a.test", "b.test"])))
    assert (ask(keytab_site(**other), cookie).status == 200) == is_good


@pytest.mark.parametrize(("age", "let_in"), [(0, True), (98, True), (101, False)])
def test_the_verifiers_own_max_age_counts(age, let_in):
    now = int(time.time())
    cookie = signed(payload(issued=now - age, expires=now + 9999))
    assert is_let_in(site(SessionCookie(KEY, max_age=100)), cookie) == let_in


def test_all_but_the_spn_is_restored():
    everything = Identity(
        "alice@R", "HTTP/h@R", "ticket", frozenset({"staff", "admins"}), "Alice", "S-1-5-21-1",
        frozenset({"pkinit"}),
    )  # fmt: skip

    def tell(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        seen.append(get_identity(environ))
        return [b""]

    seen = []
    guarded = site(inner=tell, result=Accepted(everything))
    ask(guarded, "=".join(sign_on(guarded)))
    assert seen == [
        everything,
        dataclasses.replace(everything, spn=None, source="session"),
    ]


@pytest.mark.parametrize(
    "principal", ["\xfcs\u20acr@R", 'we ird;=,"@R', "a\\@b.c@R", "x" * 500 + "@R"]
)
def test_any_principal(principal):
    guarded = site(result=accepted(principal))
    cookie = "=".join(sign_on(guarded))
    answer = ask(guarded, cookie)
    assert answer.text == f"{(principal, 'session', None)}"


def test_a_principal_that_no_cookie_can_hold_gets_none(caplog):
    guarded = site(result=accepted("x" * 4096 + "@R"))
    for _ in range(2):
        answer = guarded.request("/", negotiate(GOOD))
        assert (answer.status, set_cookies(answer)) == (200, [])
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "cookie of more than 4096 bytes" in warning.getMessage()


@pytest.mark.parametrize(
    "authorization", ["Bearer x", "Digest x", "BasicX", "", "negotiatex"]
)
def test_a_cookie_counts_beside_what_is_neither_negotiate_nor_basic(authorization):
    guarded = site()
    cookie = "=".join(sign_on(guarded))
    assert ask(guarded, cookie, authorization=authorization).text == KNOWN


@pytest.mark.parametrize(
    "authorization",
    [negotiate(b"garbage"), "Negotiate", "Basic YTpi", "basic", "BASIC x"],
)
def test_authorization_wins(authorization):
    guarded = site()
    cookie = "=".join(sign_on(guarded))
    assert ask(guarded, cookie, authorization=authorization).status == 401
    guarded.acceptor.result = accepted("bob@EXAMPLE.TEST")
    answer = ask(guarded, cookie, authorization=negotiate(GOOD))
    assert "bob@EXAMPLE.TEST" in answer.text
    assert "ticket" in answer.text


# What a forger may try. Each is answered as if there were no cookie.


def test_tampered_with_in_every_byte():
    guarded = site()
    name, value = sign_on(guarded)
    others = string.ascii_letters + string.digits + '-_.=!"\\ \xe9\xff'
    for position, original in enumerate(value):
        for other in set(others) - {original}:
            forged = value[:position] + other + value[position + 1 :]
            assert not is_let_in(guarded, f"{name}={forged}"), (position, other)
        for forged in (
            value[:position] + value[position + 1 :],
            value[:position] + "A" + value[position:],
        ):
            assert forged == value or not is_let_in(guarded, f"{name}={forged}")
    assert is_let_in(guarded, f"{name}={value}")


def test_truncated_anywhere():
    guarded = site()
    name, value = sign_on(guarded)
    for length in range(len(value)):
        assert not is_let_in(guarded, f"{name}={value[:length]}")
        assert not is_let_in(guarded, f"{name}={value[length + 1 :]}")


@pytest.mark.parametrize(
    "appended", ["=", "A", ".", '"', " x", "\x00", "=" * 5000, "\xff"]
)
def test_with_something_appended(appended):
    guarded = site()
    name, value = sign_on(guarded)
    assert not is_let_in(guarded, f"{name}={value}{appended}")


AUDIENCE = "NamedAcceptor"


def signed(
    payload, key=KEY, digest="sha256", derivation="hmac",
    salt=f"negotiate_wsgi.session.4\0{NAME}\0{AUDIENCE}",
):  # fmt: skip
    """What somebody makes who knows how we sign, from whatever he has."""
    secret = key if isinstance(key, bytes) else key.encode()
    derived = itsdangerous.Signer(
        secret, salt, key_derivation=derivation, digest_method=getattr(hashlib, digest)
    ).derive_key()
    signer = itsdangerous.Signer(
        derived, key_derivation="none", digest_method=getattr(hashlib, digest)
    )
    return f"{NAME}={signer.sign(payload).decode()}"


def payload(expires=None, principal="alice@EXAMPLE.TEST", issued=None):
    now = int(time.time())
    end = now + 60 if expires is None else expires
    begun = now if issued is None else issued
    content = [begun, end, "Negotiate", "mark", principal, [], None, None, []]
    return itsdangerous.base64_encode(json.dumps(content)).decode()


def test_re_signed_with_something_else():
    guarded = site(SessionCookie(KEY, fallbacks=[OLD_KEY]))
    assert is_let_in(guarded, signed(payload()))  # else the rest would prove nothing
    assert is_let_in(guarded, signed(payload(), OLD_KEY))
    for other in (
        {"salt": "itsdangerous.Signer"},
        {"salt": "negotiate_wsgi.session.4"},
        {"salt": f"negotiate_wsgi.session.4\0{NAME}\0PretendRealm"},
        {"salt": f"negotiate_wsgi.session.4\0__Host-{NAME}\0{AUDIENCE}"},
        {"salt": f"negotiate_wsgi.session.3\0{NAME}\0{AUDIENCE}"},
        {"key": KEY + "x"},
        {"key": KEY[::-1]},
        {"digest": "sha1"},
        {"derivation": "django-concat"},
        {"derivation": "none"},
    ):
        assert not is_let_in(guarded, signed(payload(), **other)), other
    for by_others in (
        itsdangerous.TimestampSigner(KEY).sign("alice@EXAMPLE.TEST").decode(),
        itsdangerous.URLSafeTimedSerializer(KEY).dumps("alice@EXAMPLE.TEST"),
    ):
        assert not is_let_in(guarded, f"{NAME}={by_others}")


@pytest.mark.parametrize(("seconds", "let_in"), [(-1, False), (0, False), (2, True)])
def test_expired_by_a_second(monkeypatch, seconds, let_in):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    assert is_let_in(site(), signed(payload(int(time.time()) + seconds))) == let_in


def test_expiry_is_absolute(monkeypatch):
    guarded = site(SessionCookie(KEY, max_age=100))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    cookie = "=".join(sign_on(guarded))
    for later, status in ((98, 200), (101, 401)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        answer = ask(guarded, cookie)
        assert (answer.status, set_cookies(answer)) == (status, [])


@pytest.mark.parametrize(
    "cookie",
    ["", "=", ";", ";;", "negotiate", "negotiate=", "negotiate==", "negotiate=.", "negotiate=..",
     "negotiate=a.b.c", "negotiate=YQ.9999999999.", "negotiate=\xe9.\xe9.\xe9", "negotiate=" + "x" * 60_000,
     "xnegotiate=1", "; ".join(["negotiate=x.1.y"] * 200)],
)  # fmt: skip
def test_what_is_no_cookie(cookie):
    assert not is_let_in(site(), cookie)
    answer = ask(site(required=False), cookie)
    assert (answer.status, answer.text) == (200, "None")


def test_an_oversized_cookie_is_none_however_well_signed():
    assert not is_let_in(
        site(), signed(payload(principal="a" * 5000 + "@EXAMPLE.TEST"))
    )


def test_a_bad_one_does_not_hide_a_good_one():
    """A cookie of the same name may come from another path or domain."""
    guarded = site()
    name, value = sign_on(guarded)
    assert is_let_in(guarded, f"{name}=planted; {name}={value}")


def test_the_policy_is_asked_again():
    cookie = "=".join(sign_on(site()))
    for options in ({"realms": ["OTHER.TEST"]}, {"authorize": lambda identity: False}):
        for required in (True, False):
            answer = ask(site(required=required, **options), cookie)
            assert (answer.status, answer.challenges) == (403, [])
            [line] = set_cookies(answer)  # the next request is asked for a ticket again
            assert line.startswith("negotiate=; ")
    assert is_let_in(site(realms=["EXAMPLE.TEST"]), cookie)
    seen = []
    guarded = site(authorize=lambda identity: seen.append(identity.source) or True)
    assert is_let_in(guarded, cookie)
    assert seen == ["session"]


def test_authorize_that_fails_is_a_500_and_no_pass():
    cookie = "=".join(sign_on(site()))
    answer = ask(site(authorize=lambda identity: 1 / 0), cookie)
    assert (answer.status, set_cookies(answer)) == (500, [])


def test_who_is_kept_out_gets_no_cookie():
    answer = site(realms=["OTHER.TEST"]).request("/", negotiate(GOOD))
    assert (answer.status, set_cookies(answer)) == (403, [])


# Caches


def cached(answer):
    fields = [(name.lower(), value) for name, value in answer.headers]
    return [value for name, value in fields if name in ("cache-control", "vary")]


def test_identified_answers_are_private():
    guarded = site()
    cookie = "=".join(sign_on(guarded))
    assert cached(guarded.request("/", negotiate(GOOD))) == ["private", "Cookie"]
    assert cached(ask(guarded, cookie)) == ["private", "Cookie"]
    own = "/?Cache-Control=max-age%3D5&Vary=Accept"
    assert cached(ask(guarded, cookie, own.replace("%3D", "="))) == [
        "max-age=5",
        "Accept",
        "private",
        "Cookie",
    ]
    assert cached(ask(guarded, cookie, "/?Vary=Accept, Cookie")) == [
        "Accept, Cookie",
        "private",
    ]
    assert cached(ask(guarded, cookie, "/?Vary=X-Cookie")) == [
        "X-Cookie",
        "private",
        "Cookie",
    ]
    for said in ("public", "no-store", "private"):
        own = f"/?Cache-Control={said}"
        assert cached(ask(guarded, cookie, own)) == [said, "Cookie"]


def test_a_stranger_s_answer_varies_too():
    """Else a cache could show it to somebody who has a session."""
    assert cached(site(required=False).request("/")) == ["Cookie"]
    assert cached(site_of(inner=whoami, required=False).request("/")) == []


@pytest.mark.parametrize(
    ("cache_control", "gets_one"),
    [("public", False), ("public, max-age=9", False), ("must-revalidate", True),
     ("max-age=9, S-MaxAge=9", True), ("no-store, must-revalidate", True),
     ("private, must-revalidate", True), ("no-cache", True)],
)  # fmt: skip
def test_no_cookie_where_a_shared_cache_may_keep_it(cache_control, gets_one):
    answer = site().request(f"/?Cache-Control={cache_control}", negotiate(GOOD))
    assert answer.status == 200
    assert bool(set_cookies(answer)) == gets_one
    words = ", ".join(
        value for name, value in answer.headers if name == "Cache-Control"
    )
    assert gets_one == ("private" in words or "no-store" in words)


def test_the_key_is_changed_on_two_hosts_that_reload_one_after_the_other():
    """The three steps that SessionCookie's docstring has, and no session is lost in any."""
    new = "another example key of 32 bytes, or more"
    steps = [
        {"secret_key": OLD_KEY},
        {"secret_key": OLD_KEY, "fallbacks": [new]},
        {"secret_key": new, "fallbacks": [OLD_KEY]},
    ]
    hosts = [site(SessionCookie(**steps[0])) for _ in range(2)]
    cookies = []
    for step in steps[1:]:
        for number in range(2):
            hosts[number] = site(SessionCookie(**step))
            cookies += ["=".join(sign_on(host)) for host in hosts]
            assert all(is_let_in(host, cookie) for host in hosts for cookie in cookies)
    in_one_step = site(SessionCookie(**steps[2]))
    assert not is_let_in(
        site(SessionCookie(**steps[0])), "=".join(sign_on(in_one_step))
    )


# forget()


def test_forget_clears_the_cookie():
    guarded = site(required=False)
    cookie = "=".join(sign_on(guarded))
    for request in (
        {"cookie": cookie},
        {"cookie": cookie, "authorization": negotiate(GOOD)},
        {"cookie": "x=y"},
    ):
        [line] = set_cookies(ask(guarded, path="/forget", **request))
        assert line.startswith("negotiate=; ")
        assert "Max-Age=0" in line
        assert "Path=/" in line
    assert set_cookies(ask(guarded, cookie)) == []


def test_forget_without_a_session_does_nothing():
    environ = {"negotiate_wsgi.session": "forged"}
    forget(environ)
    forget({})
    assert environ == {"negotiate_wsgi.session": "forged"}
    assert set_cookies(site_of(inner=whoami).request("/forget", negotiate(GOOD))) == []


def test_layers_that_share_a_session_set_one_cookie_and_clear_it_once():
    session, acceptor = SessionCookie(KEY), NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(whoami, acceptor=acceptor, session=session)
    layers = WsgiSite(NegotiateMiddleware(inner, acceptor=acceptor, session=session))
    answer = layers.request("/", negotiate(GOOD))
    assert cached(answer) == ["private", "Cookie"]
    [line] = set_cookies(answer)
    assert ask(layers, line.split(";")[0]).text == KNOWN
    [cleared] = set_cookies(layers.request("/forget", negotiate(GOOD)))
    assert cleared.startswith("negotiate=; ")


def test_forget_reaches_each_layer_above():
    """One without sessions between them, and cookies that differ in their place alone."""
    acceptor = NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(
        whoami, acceptor=acceptor, session=SessionCookie(KEY, path="/app")
    )
    between = NegotiateMiddleware(inner, acceptor=acceptor)
    layers = WsgiSite(
        NegotiateMiddleware(between, acceptor=acceptor, session=SessionCookie(KEY))
    )
    lines = set_cookies(layers.request("/forget", negotiate(GOOD)))
    places = [line.partition("Path=")[2].partition(";")[0] for line in lines]
    assert places == ["/app", "/"]
    assert all(line.startswith("negotiate=; ") for line in lines)
    [one] = set_cookies(layers.request("/", negotiate(GOOD)))
    assert "Path=/app" in one  # no two sessions begin


def test_what_is_forgotten_in_one_request_is_so_in_that_alone():
    session, acceptor = SessionCookie(KEY), NamedAcceptor(ALICE)
    inner = NegotiateMiddleware(whoami, acceptor=acceptor)
    layers = WsgiSite(NegotiateMiddleware(inner, acceptor=acceptor, session=session))
    [cleared] = set_cookies(layers.request("/forget", negotiate(GOOD)))
    assert cleared.startswith("negotiate=; ")
    [begun] = set_cookies(layers.request("/", negotiate(GOOD)))
    assert not begun.startswith("negotiate=; ")


def test_the_apps_own_cookies_stay():
    answer = site().request("/?Set-Cookie=theme=dark", negotiate(GOOD))
    assert set_cookies(answer)[0] == "theme=dark"
    assert len(set_cookies(answer)) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"secret_key": "short"}, "32 bytes.*token_urlsafe"),
        ({"secret_key": b"x" * 31}, "32 bytes"),
        ({"secret_key": None}, "32 bytes"),
        ({"fallbacks": ["short"]}, "32 bytes"),
        ({"secret_key": "k" * 40}, "one repeated character.*token_urlsafe"),
        ({"fallbacks": [b"\0" * 32]}, "one repeated character"),
        ({"fallbacks": OLD_KEY}, "collection"),
        ({"max_age": 0}, "seconds"),
        ({"max_age": True}, "seconds"),
        ({"max_age": "3600"}, "seconds"),
        ({"samesite": "lax"}, "'Lax'"),
        ({"samesite": "None", "secure": False}, "secure=True"),
        ({"path": "app"}, "begins with /"),
        ({"domain": ""}, "None"),
        ({"domain": "a b"}, "None"),
        ({"name": "a=b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "__Host-x"}, "secure=True"),
        ({"name": "__Host-x", "secure": True, "path": "/x"}, "path='/'"),
        ({"name": "__host-x", "secure": True, "domain": "example.com"}, "no domain"),
        ({"name": "__Secure-x"}, "secure=True"),
    ],
)
def test_wrong_options_say_what_to_write_instead(options, says):
    with pytest.raises(ConfigurationError, match=says) as problem:
        SessionCookie(**{"secret_key": KEY} | options)
    assert "short" not in str(problem.value)


def test_fallbacks_may_come_by_and_by():
    by_old = "=".join(sign_on(site(SessionCookie(OLD_KEY))))
    assert is_let_in(site(SessionCookie(KEY, fallbacks=iter([OLD_KEY]))), by_old)


@pytest.mark.parametrize(
    "options",
    [{"secret_key": "a secret, too short"}, {"max_age": 0}, {"name": "a=b"}],
    ids=str,
)
def test_no_key_is_in_the_locals_of_what_a_wrong_option_raises(options):
    with pytest.raises(ConfigurationError) as problem:
        SessionCookie(**{"secret_key": KEY} | options)
    frames = [frame for frame, _ in traceback.walk_tb(problem.value.__traceback__)]
    for frame in frames[1:]:
        assert KEY not in repr(frame.f_locals)
        assert "a secret, too short" not in repr(frame.f_locals)


def test_the_key_is_in_no_repr():
    assert KEY not in repr(SessionCookie(KEY)) + repr(
        vars(
            NegotiateMiddleware(
                whoami, acceptor=NamedAcceptor(ALICE), session=SessionCookie(KEY)
            )
        )
    )
