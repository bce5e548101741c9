"""Can my tests have it? Fixtures for pytest: a pretended realm with no KDC, and a real
one, with clients that have real tickets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from negotiate_wsgi.realm import Realm
    from negotiate_wsgi.testing import Initiator, PretendRealm

_USE_A_PRETENDED_REALM = (
    "Use the fixture negotiate_pretend_realm: give it to the middleware as acceptor=, "
    "and ask with its client(app)"
)

# What a fixture needs is imported where it is used: pytest loads this module in every
# project.


@pytest.fixture
def negotiate_passwords() -> Mapping[str, str]:
    """Passwords that ``negotiate_pretend_realm`` knows, by user name. To be overridden."""
    return {}


@pytest.fixture
def negotiate_pretend_realm(negotiate_passwords: Mapping[str, str]) -> PretendRealm:
    """A fresh `PretendRealm` for one test. No KDC is needed, and no other extra.

    Give it to the middleware as ``acceptor=``. Its ``client(app)`` then takes
    ``negotiate=`` a principal, an `Identity` with groups, or a `Reason`.
    """
    from negotiate_wsgi.testing import PretendRealm

    return PretendRealm(passwords=negotiate_passwords)


@pytest.fixture(scope="session")
def negotiate_users() -> Sequence[str]:
    """Who has a ticket from the start. Others get theirs with the first request. To be
    overridden.
    """
    return ("alice", "bob")


@pytest.fixture(scope="session")
def negotiate_hosts() -> Sequence[str]:
    """Hosts with a key in the keytab; the clients ask the first one. To be overridden."""
    return ("localhost",)


@pytest.fixture(scope="session")
def negotiate_realm(
    negotiate_users: Sequence[str], negotiate_hosts: Sequence[str]
) -> Iterator[Realm]:
    """One throwaway `Realm` for the whole run. The process lives in it: ``KRB5_KTNAME``
    and so on.
    """
    from negotiate_wsgi.realm import Realm

    realm = Realm(users=negotiate_users, hosts=negotiate_hosts)
    with realm, pytest.MonkeyPatch.context() as patch:
        for name, value in realm.environ.items():
            patch.setenv(name, value)
        yield realm


@pytest.fixture
def negotiate_client(
    negotiate_realm: Realm, negotiate_hosts: Sequence[str]
) -> Callable[[Any], Any]:
    """``negotiate_client(app).get("/", negotiate="alice")``: in process, with alice's
    ticket.

    *app* is any WSGI application; of a Flask application it is Flask's own test client.
    Who is in which group, and why a ticket is refused, only a pretended realm can say:
    ``negotiate_pretend_realm``.
    """
    from negotiate_wsgi.testing import client_of

    return lambda app: client_of(app, _initiate(negotiate_realm, negotiate_hosts[0]))


@pytest.fixture
def negotiate_server(
    negotiate_realm: Realm, negotiate_hosts: Sequence[str]
) -> Iterator[Callable[[Any], Any]]:
    """``negotiate_server(app)``: the same client, over HTTP, of a real server for as
    long as the test.

    It has the server's ``url``, for clients of your own.
    """
    from threading import Thread

    from werkzeug.middleware.http_proxy import ProxyMiddleware
    from werkzeug.serving import make_server

    from negotiate_wsgi.testing import client_of

    servers = []

    def serve(app: Any) -> Any:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        target = {"target": f"http://127.0.0.1:{server.port}", "host": None}
        proxy = ProxyMiddleware(app, {"": target})
        [options] = (
            proxy.targets.values()
        )  # it completes them; as a prefix it takes no "/"

        def over_http(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            return proxy.proxy_to(options, environ["PATH_INFO"], "")(
                environ, start_response
            )

        client = client_of(over_http, _initiate(negotiate_realm, negotiate_hosts[0]))
        client.url = f"http://{negotiate_hosts[0]}:{server.port}"
        return client

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def _initiate(realm: Realm, host: str) -> Callable[..., Initiator]:
    try:
        from negotiate_wsgi.doctor.initiator import TicketInitiator
    except ImportError as exc:
        raise ConfigurationError(
            "pyspnego is missing: pip install 'negotiate-wsgi[pytest]'"
        ) from exc

    def initiate(negotiate: str | Identity, delegated: object) -> Initiator:
        if delegated is not None:
            raise ValueError(
                "delegated= is for a test of an application, whose clients need no real "
                "credentials. " + _USE_A_PRETENDED_REALM
            )
        name = _principal_of(negotiate).removesuffix(f"@{realm.name}")
        if not realm.has_user(name):
            realm.add_user(name)
        return TicketInitiator(realm.ccache(name), host)

    return initiate


def _principal_of(negotiate: str | Identity) -> str:
    """Whom a real KDC can give the ticket that *negotiate* asks for.

    Raises ValueError where it asks for what only a pretended realm can do.
    """
    if isinstance(negotiate, Reason):
        raise ValueError(
            f"negotiate=Reason.{negotiate.name}: the tickets of a real realm are good. "
            f"{_USE_A_PRETENDED_REALM}"
        )
    if not isinstance(negotiate, Identity):
        return negotiate
    if negotiate != Identity(negotiate.principal, negotiate.spn, negotiate.source):
        raise ValueError(
            "negotiate= is an Identity with groups, an account, a SID or indicators: "
            "this realm's KDC puts none of them into a ticket. "
            + _USE_A_PRETENDED_REALM
        )
    return negotiate.principal
