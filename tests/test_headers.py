"""What does an application answer? Its own challenges stay, and its list is never touched."""

import pytest

from negotiate_wsgi.wire.headers import offers_negotiate, without_negotiate

OFFERS = [
    "Negotiate",
    "negotiate",
    "Negotiate YQ==",
    'Basic realm="x", Negotiate',
    "NEGOTIATE, Basic",
]
OTHERS = ["Basic", 'Basic realm="negotiate"', "NegotiateX", "Digest qop=auth"]


@pytest.mark.parametrize("value", OFFERS)
def test_offers_negotiate(value):
    assert offers_negotiate([("X", "y"), ("www-Authenticate", value)])
    assert not offers_negotiate([("X-Other", value)])


@pytest.mark.parametrize("value", OTHERS)
def test_does_not_offer_negotiate(value):
    assert not offers_negotiate([("WWW-Authenticate", value)])


def test_without_negotiate_makes_a_new_list():
    kept = [("A", "Negotiate"), ("WWW-Authenticate", 'Basic realm="x"')]
    given = [
        *kept,
        ("WWW-Authenticate", "Negotiate"),
        ("www-authenticate", "negotiate YQ=="),
    ]
    before = list(given)
    assert without_negotiate(given) == kept
    assert given == before
