"""What else does a ticket say of the initiator? Without a KDC: what the library may answer."""

import struct
from dataclasses import dataclass

import pytest
from helpers import app
from sites import WsgiSite

from negotiate_wsgi import (
    ConfigurationError,
    GssapiAcceptor,
    Identity,
    NegotiateMiddleware,
    Reason,
    Refused,
)
from negotiate_wsgi.acceptors.attributes import Attributes
from negotiate_wsgi.acceptors.pac import sids_of
from negotiate_wsgi.acceptors.target import Verdict
from negotiate_wsgi.request.session import audience_of
from negotiate_wsgi.wire.pactype import LOGON_INFO, UPN_DNS_INFO, Pac
from negotiate_wsgi.wire.sids import sid_from_text

SID = "S-1-5-21-1-2-3-1105"
GROUPS = {"staff": "S-1-5-21-1-2-3-1106"}
ALICE = "ALICE@AD.CORP.TEST"
SPN = "HTTP/localhost@AD.CORP.TEST"


def upn_dns_info(account="alice", sid=SID):
    """What a KDC tells of a user's names (MS-PAC section 2.10)."""
    value = sid_from_text(sid).value
    sid = bytes([1, (len(value) - 6) // 4]) + value
    name = account.encode("utf-16-le")
    names = (0, 24, 0, 24, 2, len(name), 24, len(sid), 24 + len(name))
    return struct.pack("<HHHHIHHHH", *names) + b"\0\0\0\0" + name + sid


@dataclass
class Ticket:
    """One that was accepted, with the *buffers* of a genuine PAC."""

    buffers: dict
    principal: str = ALICE
    spn: str = SPN

    def pac(self):
        return Pac(self.buffers)

    def indicators(self):
        return []


def test_the_pac_says_who_it_is():
    attributes = Attributes.of(True, None)
    identity = attributes.identity(Ticket({UPN_DNS_INFO: upn_dns_info()}))
    assert identity == Identity("alice@AD.CORP.TEST", SPN, account="alice", sid=SID)


def test_an_account_cannot_pass_for_another_principal():
    attributes = Attributes.of(True, None)
    evil = upn_dns_info("admin@AD.CORP.TEST")
    identity = attributes.identity(Ticket({UPN_DNS_INFO: evil}))
    assert identity.principal == r"admin\@AD.CORP.TEST@AD.CORP.TEST"
    assert identity.name == r"admin\@AD.CORP.TEST"


@pytest.mark.parametrize(
    "pac",
    [
        {},
        {UPN_DNS_INFO: b""},
        {UPN_DNS_INFO: upn_dns_info()[:-1]},
        {UPN_DNS_INFO: upn_dns_info("")},
        {LOGON_INFO: b"\1" * 200},
    ],
    ids=["none", "empty", "cut off", "nobody's", "damaged"],
)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["no groups", "groups"])
def test_without_a_good_pac_nobody_is_named_by_one(pac, groups):
    refused = Attributes.of(True, groups).identity(Ticket(pac))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.NO_PAC
    assert (refused.principal, refused.spn) == (ALICE, SPN)
    assert refused.detail
    in_no_group = Attributes.of(False, groups).identity(Ticket(pac))
    assert in_no_group == Identity(ALICE, SPN)
    assert sids_of(Pac(pac)) == sids_of(None) == ()


def test_anonymous_stays_anonymous():
    principal = "WELLKNOWN/ANONYMOUS@AD.CORP.TEST"
    identity = Attributes.of(True, GROUPS).identity(Ticket({}, principal))
    assert identity == Identity(principal, SPN)
    assert identity.is_anonymous


@pytest.mark.parametrize(
    "sid",
    ["staff", "S-1-5-21-1-2-3-1105 ", "s-1-5-21-1-2-3-1105", "", "1105", None, 1105, "S-2-5-32-544"],
    ids=repr,
)  # fmt: skip
def test_a_group_that_is_no_sid_says_where_sids_are_found(sid):
    with pytest.raises(
        ConfigurationError, match="for staff, which is not a SID"
    ) as said:
        GssapiAcceptor(groups={"admins": "S-1-5-32-544", "staff": sid})
    for tool in ("Get-ADGroup", "whoami /groups", "samba-tool group show", "wbinfo -n"):
        assert tool in str(said.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": ["S-1-5-32-544"]}, "mapping of names to SIDs"),
        ({"groups": {" ": "S-1-5-32-544"}}, "the name ' '"),
        ({"groups": {7: "S-1-5-32-544"}}, "the name 7"),
        ({"active_directory": "yes"}, "write True or False"),
        ({"active_directory": None}, "write True or False"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ConfigurationError, match=said):
        GssapiAcceptor(**options)


OTHERS = [
    {},
    {"active_directory": True},
    {"groups": GROUPS},
    {"active_directory": True, "groups": {"staff": SID}},
    {"active_directory": True, "groups": {**GROUPS, "all": "S-1-1-0"}},
    {"active_directory": True, "groups": GROUPS, "indicators": True},
    {"active_directory": True, "groups": GROUPS, "indicators": ["pkinit"]},
]


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_what_one_acceptor_found_says_nothing_to_one_that_names_users_otherwise(
    options,
):
    one = GssapiAcceptor(active_directory=True, groups=GROUPS)
    same = GssapiAcceptor(active_directory=True, groups=dict(GROUPS))
    other = GssapiAcceptor(**options)
    verdict = Verdict(None, one, Refused(Reason.EXPIRED))
    assert verdict.as_seen_by(same) is verdict.result
    assert verdict.as_seen_by(other) is None
    assert audience_of(one) == audience_of(same)
    assert audience_of(one) != audience_of(other)


def test_a_token_that_a_layer_with_another_acceptor_has_judged_says_so(realm, caplog):
    inner = NegotiateMiddleware(app, acceptor=GssapiAcceptor(groups=GROUPS))
    outer = NegotiateMiddleware(inner, acceptor=GssapiAcceptor())
    answer = WsgiSite(outer).request("/", realm.authorization())
    assert answer.status == 401
    assert "replayed" in answer.text
    assert "a layer of ours above, whose acceptor is another one" in caplog.text
