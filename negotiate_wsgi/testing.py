"""Can my tests have it, with no KDC? A realm that is only pretended, and clients that
sign on.
"""

from __future__ import annotations

import functools
import hmac
import json
import secrets
import shutil
import tempfile
import weakref
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.datastructures import Headers
from werkzeug.test import Client

from negotiate_wsgi.acceptors.protocol import Accepted, Refused
from negotiate_wsgi.exceptions import AcceptorError, DelegationError
from negotiate_wsgi.identity import Identity, fields_of, identity_of_fields
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.stores.memory import MemoryStore
from negotiate_wsgi.wire.authorization import Password, write_token
from negotiate_wsgi.wire.der import (
    ENUMERATED,
    OCTET_STRING,
    OID,
    SEQUENCE,
    application,
    context,
    element,
)
from negotiate_wsgi.wire.negotiation import KRB5, SPNEGO

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from werkzeug.test import TestResponse

__all__ = ["Initiator", "MemoryStore", "PretendRealm", "client_of"]
_TICKET = b"a pretended ticket: "
_SIGNATURE_SIZE = 32  # bytes, of SHA-256


class Initiator(Protocol):
    """The client's side of one negotiation (RFC 2743 section 2.2.1)."""

    token: bytes

    def trusts(self, proof: bytes) -> bool:
        """Whether the mutual token *proof* is the answer to this very ``token``."""
        ...


class PretendRealm:
    """An acceptor whose tokens name the user, for the tests of an application.

    .. code-block:: python

        realm = PretendRealm()
        client = realm.client(NegotiateMiddleware(app, acceptor=realm))
        assert client.get("/", negotiate="alice@EXAMPLE.TEST").status_code == 200
        assert client.get("/", negotiate=Reason.EXPIRED).status_code == 401
        staff = Identity("alice@EXAMPLE.TEST", groups=frozenset({"staff"}))
        assert client.get("/staff", negotiate=staff).status_code == 200
        client.get("/", negotiate="alice@EXAMPLE.TEST", delegated=credentials)

    All but the acceptor is the real thing: header, policy, pages, mutual token,
    session. Tokens are framed as a browser's are, are good for once, and are signed
    with a key that this object alone has: nobody signs on to a server that was left
    with a realm like this.

    With *passwords* it is the KDC of a `PasswordSignOn`, too. Their attempts are counted
    for this object alone, so that no test locks a user out of the next one:

    .. code-block:: python

        realm = PretendRealm(passwords={"alice": "secret"})
        sign_on = PasswordSignOn("EXAMPLE.TEST")
        app = NegotiateMiddleware(app, acceptor=realm, passwords=sign_on)
        client = realm.client(app)
        alice = ("alice", "secret")
        assert client.get("/", auth=alice, base_url="https://localhost").status_code == 200

    What a test gives as *delegated* is what `get_delegated` returns in that request: any
    object that the code under test takes for credentials.

    It knows every group: that the names of ``groups=`` are those of the site's acceptor
    is found out by that acceptor alone, when the site starts.

    :param spn: of the service that the tickets are for.
    :param passwords: of the users that can sign on by one, by user name.
    """

    def __init__(
        self,
        spn: str = "HTTP/localhost@EXAMPLE.TEST",
        *,
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        self._spn = spn
        self._passwords = dict(passwords or {})
        self._key = secrets.token_bytes()
        self._seen: set[bytes] = set()
        self._delegated: dict[str, object] = {}

    def token(
        self, negotiate: str | Identity | Reason, delegated: object = None
    ) -> bytes:
        """An initial token of the principal or the `Identity` *negotiate*, or one that
        is refused for that reason.

        Of an identity, the SPN and the source are those of a ticket. With the token
        goes what is *delegated*.
        """
        nonce = secrets.token_hex()
        self._delegated[nonce] = delegated
        named = {"nonce": nonce, **_named(negotiate)}
        ticket = _TICKET + json.dumps(named).encode()
        krb5 = element(OID, KRB5)
        framed = element(application(0), krb5, ticket, self._sign(b"ticket", ticket))
        offers = element(context(0), element(SEQUENCE, krb5))
        mech_token = element(context(2), element(OCTET_STRING, framed))
        init = element(context(0), element(SEQUENCE, offers, mech_token))
        return element(application(0), element(OID, SPNEGO), init)

    def accept(self, token: bytes) -> Accepted | Refused:
        """What the token names. Raises `AcceptorError` for a reason whose status is
        500.
        """
        content = token[max(token.find(_TICKET), 0) :]
        ticket, signature = content[:-_SIGNATURE_SIZE], content[-_SIGNATURE_SIZE:]
        if not hmac.compare_digest(signature, self._sign(b"ticket", ticket)):
            return Refused(Reason.WRONG_KEY, "the token is not of this pretended realm")
        if ticket in self._seen:
            return Refused(Reason.REPLAYED, "the token has been used before")
        self._seen.add(ticket)
        named = json.loads(ticket.removeprefix(_TICKET))
        delegated = self._delegated.pop(named["nonce"], None)
        if "identity" in named:
            identity = identity_of_fields(named["identity"], self._spn, "ticket")
            lent = None if delegated is None else _PretendDelegated(delegated)
            return Accepted(identity, self.proof(token), delegated=lent)
        reason = next(reason for reason in Reason if reason == named["reason"])
        if reason.status == 500:
            raise AcceptorError(reason, "as the test has asked for")
        return Refused(reason, "as the test has asked for")

    def check_password(self, user: str, password: Password) -> Accepted | Refused:
        """Whether it is the one of *user*; else the words that an MIT KDC has for it."""
        known = self._passwords.get(user)
        if known is None:
            detail = "Client not found in Kerberos database"
            return Refused(Reason.PASSWORD_REFUSED, detail)
        if not hmac.compare_digest(known.encode(), password.reveal().encode()):
            detail = "Preauthentication failed"
            return Refused(Reason.PASSWORD_REFUSED, detail, typed=user)
        realm = Identity(self._spn).realm
        return Accepted(Identity(f"{user}@{realm}", source="password"))

    @functools.cached_property
    def attempts_directory(self) -> str:
        """Where the attempts are counted, as long as this object lives."""
        directory = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        return directory

    def proof(self, token: bytes) -> bytes:
        """The mutual token that answers *token*: a NegTokenResp, accept-completed."""
        state = element(context(0), element(ENUMERATED, b"\0"))
        response = element(
            context(2), element(OCTET_STRING, self._sign(b"proof", token))
        )
        return element(context(1), element(SEQUENCE, state, response))

    def initiator(
        self, negotiate: str | Identity | Reason, delegated: object = None
    ) -> Initiator:
        """The client's side of one negotiation."""
        return _PretendInitiator(self, self.token(negotiate, delegated))

    def client(self, app: WSGIApplication) -> Any:
        """A werkzeug ``Client`` of *app*, or Flask's own if *app* is Flask's, that
        signs on.
        """
        return client_of(app, self.initiator)

    def _sign(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.new(self._key, purpose + content, "sha256").digest()


def _named(negotiate: str | Identity | Reason) -> dict[str, object]:
    """What a token says of whom it is to be."""
    if negotiate is Reason.NO_CREDENTIALS:
        raise ValueError("to send no credentials, leave negotiate= out")
    if isinstance(negotiate, Reason):
        return {"reason": negotiate}
    if isinstance(negotiate, str):
        negotiate = Identity(negotiate)
    if not negotiate.realm:
        raise ValueError(
            f"negotiate={negotiate.principal!r}: write a principal, 'alice@EXAMPLE.TEST'"
        )
    return {"identity": fields_of(negotiate)}


class _PretendDelegated:
    """An object for credentials, as long as the request lasts."""

    def __init__(self, credentials: object) -> None:
        self._credentials = credentials
        self._is_over = False

    def credentials(self) -> object:
        if self._is_over:
            raise DelegationError("the request has ended, and its credentials")
        return self._credentials

    def destroy(self) -> None:
        self._is_over = True


class _PretendInitiator:
    def __init__(self, realm: PretendRealm, token: bytes) -> None:
        self._realm, self.token = realm, token

    def trusts(self, proof: bytes) -> bool:
        return proof == self._realm.proof(self.token)


def client_of(app: Any, initiate: Callable[..., Initiator]) -> Any:
    """A test client of *app* with ``negotiate=`` for each request: what *initiate* is
    given, and ``delegated=``, if that is given, too.

    The token is sent at once, as curl does, and the server has to prove itself in
    return: an AssertionError says so where it does not.
    """
    is_flask = hasattr(app, "test_client")
    base: Any = type(app.test_client()) if is_flask else Client

    class NegotiateClient(base):  # type: ignore[misc]
        def open(self, *args: Any, negotiate: Any = None, **kwargs: Any) -> Any:
            if negotiate is None:
                return super().open(*args, **kwargs)
            if kwargs.get("follow_redirects"):
                raise ValueError(
                    "negotiate= signs one request: follow redirects one by one"
                )
            initiator = initiate(negotiate, kwargs.pop("delegated", None))
            headers = Headers(kwargs.pop("headers", None))
            headers["Authorization"] = write_token(initiator.token)
            response = super().open(*args, headers=headers, **kwargs)
            if not isinstance(negotiate, Reason):
                _check_proof(response, initiator)
            return response

    if not is_flask:
        return NegotiateClient(app)
    app.test_client_class = NegotiateClient
    return app.test_client()


def _check_proof(response: TestResponse, initiator: Initiator) -> None:
    challenges = response.headers.getlist("WWW-Authenticate")
    proofs = [b64decode(value.split()[1]) for value in challenges if " " in value]
    if response.status_code >= 400 and not proofs:
        return
    if len(proofs) != 1 or not initiator.trusts(proofs[0]):
        raise AssertionError(
            "the server has not proved itself: does anything guard this URL?"
        )
