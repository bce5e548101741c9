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


#: Lines that are for others, too, or for another scheme alone.
KEPT = [
    "Basic",
    'Basic realm="negotiate"',
    'Negotiate, Basic realm="x"',
    'Negotiate YQ==, Basic realm="x"',
    'Basic realm="x", Negotiate',
    "NegotiateX",
    "Negotiate-X YQ==",
    "Negotiations go on",
]
DELETED = [
    "Negotiate",
    " negotiate ",
    "NEGOTIATE YQ==",
    "negotiate\tYQ==",
    "Negotiate  YQ==",
]


def test_without_negotiate_makes_a_new_list():
    kept = [("A", "Negotiate"), *(("WWW-Authenticate", value) for value in KEPT)]
    given = [*kept, *(("www-Authenticate", value) for value in DELETED)]
    before = list(given)
    assert without_negotiate(given) == kept
    assert given == before
