"""The scenarios that matter, once more: they were tried with MIT's KDC, here are tickets of Active
Directory.

Each is written once, where its name comes from; `realm` is the domain in all of them.
"""

import pytest
import sites
from helpers import relabelled
from test_acceptors import (  # noqa: F401
    make,
    test_contract_an_spn_of_another_service_is_not_even_opened,
    test_contract_damaged_in_every_place,
    test_contract_mutual_token,
    test_contract_no_mutual_token_where_none_was_asked,
    test_contract_replay_cache_unusable,
    test_contract_replayed,
    test_contract_threads_do_not_mix_users,
)
from test_answer_table import (  # noqa: F401
    test_app_behaves_as_without_us,
    test_clients_fault,
    test_clients_fault_replayed,
    test_clients_fault_skewed,
    test_no_credentials_not_required,
    test_no_credentials_required,
    test_not_authorized,
    test_session_cookie_and_authorization,
    test_session_cookie_no_authorization,
    test_session_forgotten,
    test_session_of_somebody_the_policy_keeps_out,
    test_valid_token,
    test_valid_token_bare_krb5,
    test_valid_token_no_proof_on_an_apps_own_401,
    test_valid_token_not_required,
    test_valid_token_proof_of_another_negotiation_is_not_trusted,
    test_valid_token_proof_on_every_final_status,
    test_valid_token_without_mutual_authentication,
)
from test_flask_adapter import (  # noqa: F401
    flask_site,
    init,
    session_site,
    test_documented_example_of_flask_kerberos,
    test_forget_in_a_view,
    test_no_proof_on_a_views_own_401,
    test_principal_is_the_first_argument,
    test_proof_on_every_status_once,
    test_session,
    test_undecorated_views_stay_public,
)


@pytest.fixture
def realm(domain):
    return domain


@pytest.fixture(scope="module")
def server(domain_controller):
    """A gunicorn that lives in the domain."""
    server = sites.HttpSite("gunicorn-gthread", **domain_controller.environ)
    yield server
    server.close()


@pytest.fixture(params=["wsgi", "gunicorn-gthread"])
def site(request, realm):
    if request.param == "wsgi":
        return sites.open_site("wsgi")
    return request.getfixturevalue("server")


@pytest.fixture
def wrong_tokens(realm):
    return lambda: tokens_that_are_wrong(realm)


def tokens_that_are_wrong(realm):
    valid = realm.token()
    return {
        "malformed": [b"", b"garbage", valid[:-1], valid + b"\0"],
        "wrong-service": [
            realm.token("nfs/localhost"),
            realm.token("rest/localhost"),
            relabelled(realm.token("rest/localhost"), b"rest", b"HTTP"),
            relabelled(realm.token(), b"HTTP", b"host"),
        ],
        "spn-not-in-keytab": [realm.token("HTTP/other.test")],
        "stale-ticket": [realm.token("HTTP/rotated.test")],
        "stale-keytab": [realm.token("HTTP/stale-keytab.test")],
        "wrong-key": [realm.token("HTTP/wrong-key.test")],
        "enctype-missing": [realm.token("HTTP/no-enctype.test")],
        "needs-another-leg": [b"\xa1\x03\x30\x01\x00"],
    }
