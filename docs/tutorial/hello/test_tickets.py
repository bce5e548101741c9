from app import app

from flask_adapter import init_kerberos


def test_a_real_ticket(negotiate_client):
    init_kerberos(app)
    client = negotiate_client(app)
    assert "Hello, bob@EXAMPLE.TEST" in client.get("/me", negotiate="bob").text
    assert client.get("/me").status_code == 401
