"""What the tests of mounting name as ``mounted:app`` and so on."""

from helpers import ALICE, NamedAcceptor, app

acceptor = NamedAcceptor(ALICE)


def create_app():
    return app


def nobody(identity):
    return False


def never(environ):
    return False
