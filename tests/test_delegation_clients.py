"""Libraries that an app acts for its users with, and the real servers that they ask."""

import contextlib
import os
import struct
import threading
import warnings

import gssapi
import psycopg
import pytest
from domain import Domain
from initiator import Initiator
from postgres import Postgres

from negotiate_wsgi import GssapiAcceptor, thread_ccache

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of pyasn1's names
    import ldap3

NOWHERE = "FILE:/nowhere/at/all"
WHO = (
    "SELECT current_user, principal, encrypted FROM pg_stat_gssapi"
    " WHERE pid = pg_backend_pid()"
)


@pytest.fixture(autouse=True)
def _no_default_credentials(monkeypatch):
    """Whoever takes the process's own finds none."""
    monkeypatch.setenv("KRB5CCNAME", NOWHERE)


@pytest.fixture(scope="session")
def keytab_of_postgres(realm):
    keytab = realm.directory / "postgres.keytab"
    realm.add_service("postgres/localhost", keytab)
    return keytab


@pytest.fixture(scope="module")
def postgres(keytab_of_postgres):
    with Postgres(keytab_of_postgres) as postgres:
        yield postgres


@pytest.fixture
def lent(realm, forwardable):
    """Gives the credentials of users who have forwarded their tickets."""
    acceptor = GssapiAcceptor(delegation="forwarded")
    kept = []

    def of(user):
        spn = f"HTTP/localhost@{realm.name}"
        token = Initiator(forwardable[user], spn, delegate=True).token
        kept.append(acceptor.accept(token).delegated)
        return kept[-1].credentials()

    return of


def connect(port, user):
    where = {"host": "localhost", "hostaddr": "127.0.0.1", "dbname": "postgres"}
    # Newer versions of libpq's wrapper warn where this is left to a default.
    return psycopg.connect(port=port, user=user, gssencmode="require", **where)


def who(port, user):
    """Whom PostgreSQL takes us for, and whether the connection is encrypted by GSSAPI."""
    with connect(port, user) as connection:
        return connection.execute(WHO).fetchone()


def test_postgresql_sees_the_user(postgres, lent):
    for user in ("alice", "bob"):
        with thread_ccache(lent(user)):
            said = who(postgres.port, user)
        assert said == (user, f"{user}@EXAMPLE.TEST", True)
    with pytest.raises(psycopg.OperationalError):
        connect(postgres.port, "alice")
    with thread_ccache(lent("alice")), pytest.raises(psycopg.OperationalError):
        connect(postgres.port, "bob")


def test_postgresql_in_eight_threads(postgres, lent):
    users = [("alice", "bob", "carol")[number % 3] for number in range(8)]
    credentials = [lent(user) for user in users]
    barrier = threading.Barrier(8)
    wrong, done = [], []

    def work(user, lent_to_us):
        barrier.wait(120)
        for _ in range(4):
            with thread_ccache(lent_to_us):
                said = who(postgres.port, user)
            if said[:2] != (user, f"{user}@EXAMPLE.TEST"):
                wrong.append(said)
            done.append(said)

    pairs = zip(users, credentials, strict=True)
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), wrong) == (32, [])


def may_open_port_389():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as first:
        return os.geteuid() == 0 or int(first.read()) <= 389


@pytest.fixture(scope="module")
def directory():
    """A domain whose LDAP can be asked, and which lets svc-front ask it for its users."""
    if not may_open_port_389():
        pytest.skip("Samba's LDAP needs port 389, which only root may open here")
    with Domain(has_ldap=True) as domain:
        domain.add_user("alice")
        domain.add_user("bob")
        domain.add_spn("DC1$", f"ldap/dc1.{domain.name.lower()}")
        domain.add_service_account("svc-front", ["HTTP/front.test"])
        spn = f"ldap/dc1.{domain.name.lower()}"
        domain.samba_tool("delegation", "add-service", "svc-front", spn)
        domain.export_keytab(domain.keytab, "HTTP/front.test", "svc-front")
        yield domain


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "account", [None, "svc-front"], ids=["forwarded", "constrained"]
)
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_active_directorys_ldap_sees_the_user(directory, monkeypatch, account, user):
    for name in ("KRB5_CONFIG", "KRB5RCACHEDIR"):
        monkeypatch.setenv(name, directory.environ[name])
    kind = "constrained" if account else "forwarded"
    acceptor = GssapiAcceptor(keytab=directory.keytab, delegation=kind, account=account)
    token = directory.token("HTTP/front.test", user, delegate=account is None)
    lent = acceptor.accept(token).delegated
    with ldap(directory) as connection, pytest.raises(gssapi.exceptions.GSSError):
        connection.bind()
    with ldap(directory) as connection:
        with thread_ccache(lent.credentials()):
            assert connection.bind()
        assert directory.sid_of(user) in own_sids(connection)


@contextlib.contextmanager
def ldap(directory):
    connection = ldap3.Connection(
        ldap3.Server(directory.address, get_info=None),
        authentication=ldap3.SASL,
        sasl_mechanism=ldap3.KERBEROS,
        sasl_credentials=(f"dc1.{directory.name.lower()}",),
    )
    try:
        yield connection
    finally:
        connection.unbind()


def own_sids(connection):
    """Of the user that the directory takes us for."""
    connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["tokenGroups"])
    [entry] = connection.response
    return list(map(sid_in_words, entry["raw_attributes"]["tokenGroups"]))


def sid_in_words(content):
    """[MS-DTYP] section 2.4.2.2."""
    numbers = struct.unpack(f"<{content[1]}L", content[8:])
    return "-".join(map(str, ["S", content[0], content[7], *numbers]))
