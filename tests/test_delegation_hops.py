"""Two hops over HTTP: a client, a site that acts for it, and the next service."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sites
from initiator import Initiator
from sites import HttpSite

USERS = ("alice", "bob", "carol")
NOWHERE = "FILE:/nowhere/at/all"


@pytest.fixture(scope="module")
def front(realm):
    """A site whose app asks the next one, and which has no credentials of its own."""
    own = {"KRB5CCNAME": NOWHERE}
    back = HttpSite("gunicorn-gthread", "delegation_app:back", **own)
    own |= {"BACK_HOST": "alias.test", "BACK_PORT": str(back.port)}
    front = HttpSite("gunicorn-gthread", "delegation_app:front", **own)
    yield front
    front.close()
    back.close()


def ask(site, ccache, path="/requests", delegate=True, host="localhost"):
    initiator = Initiator(ccache, f"HTTP/{host}@EXAMPLE.TEST", delegate=delegate)
    answer = site.request(path, initiator.authorization)
    assert initiator.trusts(answer.challenges[0])
    return answer.text


@pytest.mark.parametrize("path", ["/requests", "/httpx", "/curl"])
def test_the_next_service_sees_the_user(front, forwardable, path):
    for user in ("alice", "bob"):
        said = f"{user}@EXAMPLE.TEST {user}@EXAMPLE.TEST"
        assert ask(front, forwardable[user], path) == said
    said = ask(front, forwardable["alice"], path, delegate=False)
    assert said == "alice@EXAMPLE.TEST nothing"


@pytest.mark.parametrize(
    ("option", "said"), [("always", "alice@EXAMPLE.TEST"), ("none", "nothing")]
)
def test_curl_delegates_where_it_is_told_to(front, forwardable, option, said):
    """As mod_auth_gssapi's scenario `spnego` has it, whose delegated cache is looked at."""
    command = [
        "curl", "--silent", "--negotiate", "--user", ":", "--delegation", option,
        f"{front.url}/requests",
    ]  # fmt: skip
    environ = {**os.environ, "KRB5CCNAME": forwardable["alice"]}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.stdout == f"alice@EXAMPLE.TEST {said}"


@pytest.mark.parametrize("host", ["localhost", "alias.test"])
def test_by_each_of_the_sites_names(front, forwardable, host):
    """As mod_auth_gssapi's `hostname_acceptor` has it, whose client delegates."""
    said = ask(front, forwardable["alice"], host=host)
    assert said == "alice@EXAMPLE.TEST alice@EXAMPLE.TEST"


def test_nobody_is_taken_for_somebody_else(front, forwardable):
    """Eight clients at once, and nothing in the process names whose turn it is."""
    users = [USERS[number % 3] for number in range(120)]

    def one(user):
        return ask(front, forwardable[user])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, users))
    assert answers == [f"{user}@EXAMPLE.TEST {user}@EXAMPLE.TEST" for user in users]


def test_two_hops_in_eight_threads(realm, forwardable):
    script = sites.TESTS / "siege" / "delegate.py"
    command = [sys.executable, script, "2000", *forwardable.values()]
    environ = {**os.environ, "KRB5CCNAME": NOWHERE}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.stdout == "2000 0\n", done.stderr


def test_10_000_delegations_leave_memory_and_descriptors_where_they_were(
    realm, forwardable
):
    script = sites.TESTS / "siege" / "delegate.py"
    command = [sys.executable, script, "--one-token", "10000", forwardable["alice"]]
    environ = {**os.environ, "KRB5RCACHENAME": "none:", "KRB5CCNAME": NOWHERE}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    count, grown, descriptors = map(int, done.stdout.split())
    assert count == 10000, done.stderr
    assert grown < 2**20
    assert descriptors == 0
