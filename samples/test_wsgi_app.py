"""The tests of wsgi_app.py, with no KDC and with a real one; without root, without network.

Shows   both kits: `PretendRealm` takes the acceptor's place, `negotiate_client` and
        `negotiate_server` sign requests with genuine tickets of a throwaway realm.
Run     env PYTHONPATH=samples pytest -q samples/test_wsgi_app.py
Expect  4 passed
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from wsgi_app import app, application

from negotiate_wsgi import NegotiateMiddleware, Reason
from negotiate_wsgi.testing import PretendRealm


def test_with_no_kdc() -> None:
    realm = PretendRealm()
    client = realm.client(NegotiateMiddleware(app, acceptor=realm))
    assert (
        client.get("/", negotiate="alice@EXAMPLE.TEST").text
        == "Hello alice@EXAMPLE.TEST\n"
    )
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("reason", [Reason.NTLM, Reason.EXPIRED])
def test_what_users_see_when_it_fails(reason: Reason) -> None:
    realm = PretendRealm()
    client = realm.client(NegotiateMiddleware(app, acceptor=realm))
    assert reason.cause in client.get("/", negotiate=reason).text


def test_with_real_tickets(
    negotiate_client: Callable[[Any], Any], negotiate_server: Callable[[Any], Any]
) -> None:
    for client in (negotiate_client(application), negotiate_server(application)):
        assert client.get("/", negotiate="bob").text == "Hello bob@EXAMPLE.TEST\n"
        assert client.get("/").status_code == 401
