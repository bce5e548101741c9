import pytest
from app import app

from flask_adapter import init_kerberos
from negotiate_wsgi import Reason


@pytest.fixture
def client(negotiate_pretend_realm):
    init_kerberos(app, acceptor=negotiate_pretend_realm)
    return negotiate_pretend_realm.client(app)


def test_strangers_are_asked(client):
    assert client.get("/").status_code == 200
    assert client.get("/me").status_code == 401


def test_alice_is_known(client):
    answer = client.get("/me", negotiate="alice@EXAMPLE.TEST")
    assert "Hello, alice@EXAMPLE.TEST" in answer.text


def test_what_users_see_when_a_ticket_has_expired(client):
    answer = client.get("/me", negotiate=Reason.EXPIRED)
    assert answer.status_code == 401
    assert "Your Kerberos ticket has expired." in answer.text
