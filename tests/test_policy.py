"""May they come in?"""

import functools

import pytest

from negotiate_wsgi import ConfigurationError, Identity, Reason, Refusal
from negotiate_wsgi.request.policy import Policy

ALICE = Identity("alice@EXAMPLE.TEST")


def test_everybody_may_unless_told_otherwise():
    assert Policy.of().objection(ALICE) is None


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
    policy = Policy.of(realms, authorize=lambda identity: True)
    assert policy.objection(Identity(principal)).reason is Reason.ANONYMOUS


@pytest.mark.parametrize(
    "realm",
    ["EXAMPLE.TEST.EVIL", "EVIL.EXAMPLE.TEST", "example.test", "EXAMPLE", "EXAMPLE.TEST ", "", "OTHER"],
)  # fmt: skip
def test_realms_are_compared_exactly(realm):
    policy = Policy.of(["EXAMPLE.TEST", "SECOND.TEST"])
    assert (
        policy.objection(Identity(f"alice@{realm}")).reason is Reason.REALM_NOT_ALLOWED
    )
    assert policy.objection(ALICE) is None
    assert policy.objection(Identity("alice@SECOND.TEST")) is None


def test_no_realms_is_nobody():
    assert Policy.of([], None).objection(ALICE).reason is Reason.REALM_NOT_ALLOWED


STAFF = Identity("alice@EXAMPLE.TEST", groups=frozenset({"staff", "all"}))


@pytest.mark.parametrize(
    "principal",
    ["ALICE@EXAMPLE.TEST", "alice@OTHER.TEST", "alice", "alice/admin@EXAMPLE.TEST", "bob@EXAMPLE.TEST"],
)  # fmt: skip
def test_users_are_compared_exactly(principal):
    policy = Policy.of(users=["carol@EXAMPLE.TEST", "alice@EXAMPLE.TEST"])
    assert policy.objection(ALICE) is None
    refusal = policy.objection(Identity(principal))
    assert refusal == Refusal(Reason.USER_NOT_ALLOWED, principal=principal)


@pytest.mark.parametrize("groups", [{"Staff"}, {"staf"}, {""}, set()], ids=repr)
def test_groups_are_compared_exactly(groups):
    policy = Policy.of(groups={"staff", "admins"})
    assert policy.objection(STAFF) is None
    refusal = policy.objection(Identity("bob@EXAMPLE.TEST", groups=frozenset(groups)))
    assert refusal.reason is Reason.GROUP_MISSING
    assert refusal.detail == "not in admins or staff"
    assert refusal.principal == "bob@EXAMPLE.TEST"


def test_a_user_or_a_group_is_enough():
    policy = Policy.of(users=["bob@EXAMPLE.TEST"], groups=["staff"])
    assert policy.objection(STAFF) is None
    assert policy.objection(Identity("bob@EXAMPLE.TEST")) is None
    refusal = policy.objection(Identity("carol@EXAMPLE.TEST"))
    assert refusal.reason is Reason.GROUP_MISSING


@pytest.mark.parametrize("nobody", [{"users": []}, {"groups": []}], ids=str)
def test_no_users_and_no_groups_is_nobody(nobody):
    assert Policy.of(**nobody).objection(STAFF) is not None


def test_what_can_be_read_only_once_is_read_once():
    policy = Policy.of(users=(user for user in ["alice@EXAMPLE.TEST"]))
    assert policy.objection(ALICE) is None


def test_realms_are_asked_before_users_and_authorize_after_them():
    asked = []
    policy = Policy.of(["OTHER"], users=["alice@EXAMPLE.TEST"])
    assert policy.objection(ALICE).reason is Reason.REALM_NOT_ALLOWED
    policy = Policy.of(users=["bob@EXAMPLE.TEST"], authorize=asked.append)
    assert policy.objection(ALICE).reason is Reason.USER_NOT_ALLOWED
    assert asked == []


def test_authorize_says_no():
    policy = Policy.of(authorize=lambda identity: False)
    assert policy.objection(ALICE).reason is Reason.NOT_AUTHORIZED


def test_authorize_says_yes():
    assert Policy.of(authorize=lambda identity: True).objection(ALICE) is None


@pytest.mark.parametrize(
    "answer", [None, 0, 1, "", "yes", [], (False, "no"), (True, "yes")], ids=repr
)
def test_what_is_neither_true_nor_false_is_no_answer(answer):
    with pytest.raises(TypeError, match="authorize returned a value of type"):
        Policy.of(authorize=lambda identity: answer).objection(ALICE)


def test_authorize_is_asked_after_realms():
    asked = []
    policy = Policy.of(["OTHER"], authorize=asked.append)
    assert policy.objection(ALICE).reason is Reason.REALM_NOT_ALLOWED
    assert asked == []


async def _is_admin(identity):
    return True


@pytest.mark.filterwarnings("ignore:coroutine")
def test_an_awaitable_is_not_a_yes():
    with pytest.raises(ConfigurationError, match="plain function"):
        Policy.of(authorize=_is_admin)
    hidden = Policy.of(
        authorize=lambda identity: functools.partial(_is_admin)(identity)
    )
    with pytest.raises(TypeError, match="coroutine"):
        hidden.objection(ALICE)


def test_wrong_options():
    with pytest.raises(ConfigurationError, match=r"\['EXAMPLE.TEST'\]"):
        Policy.of("EXAMPLE.TEST")
    with pytest.raises(ConfigurationError, match="with its realm, such as 'alice@"):
        Policy.of(users=["alice"])
    with pytest.raises(ConfigurationError, match=r"groups='staff'.*\['staff'\]"):
        Policy.of(groups="staff")
    with pytest.raises(ConfigurationError, match="users= has 7"):
        Policy.of(users=[7])
    with pytest.raises(ConfigurationError, match="callable"):
        Policy.of(authorize="admins")
