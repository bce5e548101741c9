"""What a test does to the realm that all tests share is undone before the next one."""

from pathlib import Path

from negotiate_wsgi import Accepted, GssapiAcceptor, Reason


def test_the_keytab_and_the_tickets_are_put_back(realm):
    spn = "HTTP/rotated.test"
    assert GssapiAcceptor().accept(realm.token(spn)).reason is Reason.STALE_TICKET
    realm.kinit("alice")  # and the stale ticket is gone
    assert isinstance(GssapiAcceptor().accept(realm.token(spn)), Accepted)
    Path(realm.keytab).unlink()
    realm.put_back()
    assert GssapiAcceptor().accept(realm.token(spn)).reason is Reason.STALE_TICKET
    assert isinstance(GssapiAcceptor().accept(realm.token()), Accepted)


def test_a_test_that_breaks_the_realm(realm):
    break_it(realm)


def test_another_test_that_breaks_the_realm(realm):
    """Whichever of the two comes first, the other finds the realm as it was."""
    break_it(realm)


def break_it(realm):
    assert (
        GssapiAcceptor().accept(realm.token("HTTP/rotated.test")).reason
        is Reason.STALE_TICKET
    )
    for user in ("alice", "bob"):
        realm.kinit(user)
    Path(realm.keytab).write_bytes(b"\5\2")
