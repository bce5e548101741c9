"""Property-based: what must hold of anything that anybody sends, beginning with genuine tokens."""

from pathlib import Path

import properties
import pytest
from certificates import KINDS, UNDEFINED, made
from helpers import GOOD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from initiator import KRB5

from negotiate_wsgi import Accepted, GssapiAcceptor
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.wire.certificate import first_certificate
from negotiate_wsgi.wire.ticket import Ticket

EDITS = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(0, 4), st.integers(0, 255)), max_size=6
)
# The same examples in each run: what is new is looked for by tests/siege.
MANY = settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
SOME = settings(MANY, max_examples=250)
PRINCIPALS = st.text(st.sampled_from("aé/@\\ :.\n"), max_size=12)


@MANY
@given(st.text() | st.text().map(lambda text: f"Negotiate {text}"))
def test_any_header(text):
    properties.header(text)


@MANY
@given(EDITS)
def test_a_header_near_a_good_one(edits):
    properties.header(properties.encoded(properties.mutated(GOOD, edits)))


@MANY
@given(EDITS, st.binary(max_size=64))
def test_any_bytes_behind_a_good_beginning(edits, tail):
    token = properties.mutated(GOOD[:40], edits) + tail
    properties.header(properties.encoded(token))


@MANY
@given(st.text() | st.text().map(lambda text: f"Basic {text}"))
def test_any_header_of_basic(text):
    properties.basic(text)


@MANY
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_user_name_and_password(user, password):
    content = f"{user}:{password}".encode(errors="surrogatepass")
    properties.basic(properties.encoded(content, "Basic"))


@MANY
@given(EDITS, st.binary(max_size=64))
def test_basic_credentials_near_good_ones(edits, tail):
    content = properties.mutated("älice:pass wörd".encode(), edits) + tail
    properties.basic(properties.encoded(content, "Basic"))


@SOME
@given(EDITS)
def test_whatever_is_explained(edits):
    properties.explanation(properties.encoded(properties.mutated(GOOD, edits)))


@SOME
@given(st.text())
def test_any_text_is_explained(text):
    properties.explanation(text)


@MANY
@given(PRINCIPALS, PRINCIPALS)
def test_identities(one, two):
    properties.identity(one, two)


def good_cookie():

    return properties.sign("alice@EXAMPLE.TEST", 3600)


GOOD_COOKIE = good_cookie()


@MANY
@given(EDITS)
def test_a_cookie_near_a_good_one(edits):
    value = properties.mutated(GOOD_COOKIE.encode(), edits).decode("latin-1")
    properties.cookie(value, GOOD_COOKIE)


@MANY
@given(st.text(st.characters(max_codepoint=255)))
def test_any_cookie(value):
    properties.cookie(value, GOOD_COOKIE)


def test_a_ticket_near_a_genuine_one(realm):
    genuine = [realm.token(), realm.token(mech=KRB5), realm.token("host/localhost")]

    @MANY
    @given(st.sampled_from(genuine), EDITS)
    def near(token, edits):
        properties.ticket(properties.mutated(token, edits))

    near()
    for token in genuine:
        properties.ticket(token)
        assert Ticket.of(token)


def test_a_keytab_near_a_genuine_one(realm):
    genuine = Path(realm.keytab).read_bytes()[:600]

    @MANY
    @given(EDITS)
    def near(edits):
        properties.keytab(properties.mutated(genuine, edits))

    near()


@MANY
@given(st.binary(max_size=200))
def test_any_bytes_as_a_keytab(content):
    properties.keytab(b"\5\2" + content)


@MANY
@given(EDITS, st.sampled_from([*KINDS, *UNDEFINED]))
def test_a_certificate_near_a_good_one(edits, kind):
    pem, _ = made(kind)
    der = first_certificate(pem)
    properties.certificate(properties.mutated(der, edits))
    properties.certificate_file(properties.mutated(pem, edits))


@SOME
@given(st.binary())
def test_any_bytes_as_a_certificate(content):
    properties.certificate(content)
    properties.certificate_file(content)


@pytest.mark.parametrize("make", [PykerberosAcceptor, GssapiAcceptor])
def test_a_token_near_a_genuine_one(realm, make):
    judge, genuine = make(), [realm.token() for _ in range(50)]
    relabelled = realm.token("host/localhost").replace(b"\x04host", b"\x04HTTP", 1)

    @settings(MANY, max_examples=750)
    @given(st.integers(0, 50), EDITS)
    def near(which, edits):
        token = (relabelled, *genuine)[which]
        properties.acceptor(judge, properties.mutated(token, edits))

    near()
    assert isinstance(judge.accept(realm.token()), Accepted)
