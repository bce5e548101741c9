"""Why was the client refused?"""

import logging

import pytest

from negotiate_wsgi import Reason


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_every_reason_says_what_and_why(reason):
    assert reason == reason.value == str(reason)
    assert reason.value == reason.name.lower().replace("_", "-")
    assert reason.status in (401, 403, 429, 500, 503)
    for sentence in (reason.cause, reason.remedy):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "  " not in sentence


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_levels(reason):
    if reason.status >= 500:
        assert reason.level == logging.ERROR
    elif reason in (Reason.NO_CREDENTIALS, Reason.SESSION_REVOKED):
        assert reason.level == logging.DEBUG
    else:
        assert reason.level == logging.WARNING


def test_the_challenge_is_renewed_for_every_401_but_what_makes_browsers_ask_for_a_password():
    silent = {reason for reason in Reason if not reason.renews_challenge}
    assert silent == {Reason.NTLM, Reason.NEGOEX} | {
        reason for reason in Reason if reason.status != 401
    }


def test_codes_that_logs_and_dashboards_rely_on():
    assert {str(reason) for reason in Reason} >= {
        "replayed", "expired", "clock-skew", "wrong-service", "stale-ticket", "stale-keytab",
        "wrong-key", "malformed", "ntlm", "needs-another-leg", "anonymous", "realm-not-allowed",
        "not-authorized", "unknown",
    }  # fmt: skip
