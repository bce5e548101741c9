"""May they come in?"""

import functools

import pytest

from negotiate_wsgi import ConfigurationError, Identity, Reason
from negotiate_wsgi.request.policy import Policy

ALICE = Identity("alice@EXAMPLE.TEST")


def test_everybody_may_unless_told_otherwise():
    assert Policy.of(None, None).objection(ALICE) is None


@pytest.mark.parametrize(
    "principal",
    [
        "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS",
        "WELLKNOWN/ANONYMOUS@EXAMPLE.TEST",
        "x@WELLKNOWN:ANONYMOUS",
    ],
)
def test_nobody_may_be_anonymous(principal):
    realms = ["WELLKNOWN:ANONYMOUS", "EXAMPLE.TEST"]
    policy = Policy.of(realms, lambda identity: True)
    assert policy.objection(Identity(principal)) is Reason.ANONYMOUS


@pytest.mark.parametrize(
    "realm",
    ["EXAMPLE.TEST.EVIL", "EVIL.EXAMPLE.TEST", "example.test", "EXAMPLE", "EXAMPLE.TEST ", "", "OTHER"],
)  # fmt: skip
def test_realms_are_compared_exactly(realm):
    policy = Policy.of(["EXAMPLE.TEST", "SECOND.TEST"], None)
    assert policy.objection(Identity(f"alice@{realm}")) is Reason.REALM_NOT_ALLOWED
    assert policy.objection(ALICE) is None
    assert policy.objection(Identity("alice@SECOND.TEST")) is None


def test_no_realms_is_nobody():
    assert Policy.of([], None).objection(ALICE) is Reason.REALM_NOT_ALLOWED


def test_authorize_says_no():
    assert (
        Policy.of(None, lambda identity: False).objection(ALICE)
        is Reason.NOT_AUTHORIZED
    )


def test_authorize_says_yes():
    assert Policy.of(None, lambda identity: True).objection(ALICE) is None


@pytest.mark.parametrize(
    "answer", [None, 0, 1, "", "yes", [], (False, "no"), (True, "yes")], ids=repr
)
def test_what_is_neither_true_nor_false_is_no_answer(answer):
    with pytest.raises(TypeError, match="authorize returned a value of type"):
        Policy.of(None, lambda identity: answer).objection(ALICE)


def test_authorize_is_asked_after_realms():
    asked = []
    policy = Policy.of(["OTHER"], asked.append)
    assert policy.objection(ALICE) is Reason.REALM_NOT_ALLOWED
    assert asked == []


async def _is_admin(identity):
    return True


@pytest.mark.filterwarnings("ignore:coroutine")
def test_an_awaitable_is_not_a_yes():
    with pytest.raises(ConfigurationError, match="plain function"):
        Policy.of(None, _is_admin)
    hidden = Policy.of(None, lambda identity: functools.partial(_is_admin)(identity))
    with pytest.raises(TypeError, match="coroutine"):
        hidden.objection(ALICE)


def test_wrong_options():
    with pytest.raises(ConfigurationError, match=r"\['EXAMPLE.TEST'\]"):
        Policy.of("EXAMPLE.TEST", None)
    with pytest.raises(ConfigurationError, match="callable"):
        Policy.of(None, "admins")
