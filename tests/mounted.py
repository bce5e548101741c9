"""What the tests of mounting name as ``mounted:app`` and so on."""

from test_middleware import ALICE, NamedAcceptor
from test_middleware import app as app

acceptor = NamedAcceptor(ALICE)


def create_app():
    return app


def nobody(identity):
    return False


def never(environ):
    return False
