"""Asks the questions, in their order; calls the app; proves the server to the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.protocol import Accepted, Acceptor, Verdict
from negotiate_wsgi.exceptions import AcceptorError, ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request import environ as keys
from negotiate_wsgi.request.decisions import Decisions, OnDecision
from negotiate_wsgi.request.origins import Origins
from negotiate_wsgi.request.policy import Authorize, Policy
from negotiate_wsgi.request.responses import answer, discard_body
from negotiate_wsgi.request.session import SessionCookie, forget
from negotiate_wsgi.wire.authorization import (
    CHALLENGE,
    offers_negotiate,
    read_token,
    without_negotiate,
    write_token,
)

if TYPE_CHECKING:
    import os

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Headers = list[tuple[str, str]]


class NegotiateMiddleware:
    """Single sign-on for a WSGI application: HTTP Negotiate (RFC 4559) with Kerberos.

        application = NegotiateMiddleware(app, hostname="www.example.com")

    A request without credentials is answered with 401 and a ``Negotiate`` challenge. A valid
    ticket brings the app ``REMOTE_USER`` (the principal), ``AUTH_TYPE`` (``"Negotiate"``) and
    ``negotiate_wsgi.identity`` (an `Identity`), and the client the token that proves the server.
    Whatever a server or a layer above put under these keys is deleted first: nobody but us speaks
    for the user. The logger ``negotiate_wsgi`` tells what became of each token, never the token.

    :param app: any WSGI application.
    :param service: first component of the SPN. Keys of other services are never accepted.
    :param hostname: None for every ``service/*`` key of the keytab, so that one server answers to
        its own name, the load balancer's and its aliases; a name or names for only these.
    :param keytab: path of the keytab; None for ``KRB5_KTNAME``, else krb5's default keytab.
    :param required: False calls the app without identity where there are no good credentials,
        and adds the challenge to an app's own 401. A callable decides for each environ.
    :param realms: None for every realm the KDC vouches for, else only these, compared exactly.
        A trust between realms lets foreign users in unless they are named here.
    :param strip_realm: ``REMOTE_USER`` without ``@REALM``. Needs *realms*, because ``admin`` of a
        foreign realm would become ``admin`` otherwise.
    :param authorize: a callable that is given the `Identity` and answers whether it may come in.
        An exception it raises is a 500, never a pass.
    :param session: a `SessionCookie`, so that a browser is not asked on every single request.
        None asks. A cookie never stands in for an ``Authorization`` header, whatever that says.
    :param trusted_origins: origins whose pages may have a browser change something here, such as
        ``["https://portal.example.com"]``; ``[]`` for our own pages alone. Requests with unsafe
        methods that other pages send are a 403, because the browser would sign them like any.
        None leaves that to the app.
    :param unauthorized: WSGI application for the body of the 401; a werkzeug ``Response`` is one.
    :param forbidden: the same for the 403.
    :param discard_body: how many bytes of a refused request's body are read and thrown away, so
        that clients that send everything before they look see the answer. 0 reads none.
    :param on_decision: a callable that is given a frozen `Decision` whenever the log gets a
        record, for metrics. An exception it raises is logged, and changes nothing.
    :param acceptor: an `Acceptor` in place of pykerberos, which knows its own keys: it cannot be
        given together with *service*, *hostname* or *keytab*.
    :raises ConfigurationError: an option is wrong.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        required: bool | Callable[[WSGIEnvironment], bool] = True,
        realms: Collection[str] | None = None,
        strip_realm: bool = False,
        authorize: Authorize | None = None,
        session: SessionCookie | None = None,
        trusted_origins: Collection[str] | None = None,
        unauthorized: WSGIApplication | None = None,
        forbidden: WSGIApplication | None = None,
        discard_body: int = 2**20,
        on_decision: OnDecision | None = None,
        acceptor: Acceptor | None = None,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"app={app!r}: write a WSGI application")
        if strip_realm and not realms:
            raise ConfigurationError("strip_realm= needs realms=: whose users are meant?")
        if not isinstance(discard_body, int) or discard_body < 0:
            raise ConfigurationError("discard_body= takes a number of bytes, 0 or more")
        if not isinstance(session, SessionCookie | None):
            raise ConfigurationError("session= takes a SessionCookie(secret_key)")
        self.app = app
        self._acceptor = _choose_acceptor(acceptor, service, hostname, keytab)
        self._is_required = _as_question(required)
        self._policy = Policy.of(realms, authorize)
        self._strip_realm = strip_realm
        self._session = session
        self._origins = None if trusted_origins is None else Origins.of(trusted_origins)
        self._pages = {401: unauthorized, 403: forbidden}
        self._discard_body = discard_body
        self._decisions = Decisions.of(on_decision)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        earlier = keys.cleanse(environ)
        environ[keys.BEGAN] = time.perf_counter()
        if self._origins and (foreign := self._origins.objection(environ)):
            self._decisions.tell(environ, foreign)
            return self._refuse(foreign.reason, None, environ, start_response)
        authorization = environ.get("HTTP_AUTHORIZATION")
        session = self._session
        if session and authorization is None and (known := session.read(environ)):
            if earlier != known:  # else a layer above has told of it
                self._decisions.tell(environ, known, source="session")
            environ[keys.VERDICT] = known
            return self._admit(known, None, environ, start_response)
        offered = read_token(authorization)
        if offered is None:
            return self._ask(environ, start_response)
        if isinstance(offered, Refusal):
            self._decisions.tell(environ, offered)
            return self._turn_away(offered, environ, start_response)
        judged = self._judge(offered, environ, earlier)
        if isinstance(judged, Refusal):
            return self._turn_away(judged, environ, start_response)
        return self._admit(judged.identity, judged, environ, start_response)

    def _admit(
        self,
        identity: Identity,
        accepted: Accepted | None,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Who is asking is known, by a ticket that was *accepted* or by a session."""
        proof = write_token(accepted.token) if accepted and accepted.token else None
        if objection := self._objection(identity, environ):
            if self._session and identity.source == "session" and objection.status == 403:
                # The next request is asked for a ticket: it may be another principal's by now.
                start_response = self._session.keep(environ, None, start_response)
                forget(environ)
            return self._refuse(objection, proof, environ, start_response)
        keys.publish(environ, identity, self._strip_realm)
        if proof:
            start_response = _proving(start_response, proof)
        return self._call(environ, start_response, identity, accepted)

    def _call(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        identity: Identity | None = None,
        accepted: Accepted | None = None,
    ) -> Iterable[bytes]:
        if self._session:
            expiry = accepted.expiry if accepted else None
            start_response = self._session.keep(environ, identity, start_response, expiry)
        return self.app(environ, start_response)

    def _ask(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """No credentials: ask for some where they are required."""
        if not self._is_required(environ):
            return self._call(environ, _offering(start_response))
        self._decisions.tell(environ, Refusal(Reason.NO_CREDENTIALS))
        return self._refuse(Reason.NO_CREDENTIALS, CHALLENGE, environ, start_response)

    def _judge(self, token: bytes, environ: WSGIEnvironment, earlier: object) -> Accepted | Refusal:
        """What the acceptor says of *token*, or has said of it to a layer above."""
        judged = None
        if isinstance(earlier, Verdict) and earlier.token == token:
            judged = earlier.as_seen_by(self._acceptor)
        if judged is None:
            try:
                judged = self._acceptor.accept(token)
            except AcceptorError as fault:
                judged = Refusal(fault.reason, fault.detail)
            self._decisions.tell(environ, judged)
        environ[keys.VERDICT] = Verdict(token, self._acceptor, judged)
        return judged

    def _objection(self, identity: Identity, environ: WSGIEnvironment) -> Reason | None:
        """Why the policy keeps *identity* out; an authorize that fails keeps everybody out."""
        failure = None
        try:
            objection = self._policy.objection(identity)
        except Exception as exc:
            objection, failure = Reason.AUTHORIZE_FAILED, exc
        if objection:
            refusal = Refusal(objection, "", identity.principal, identity.spn)
            self._decisions.tell(environ, refusal, failure, identity.source)
        return objection

    def _turn_away(
        self, refusal: Refusal, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """A token was refused, or could not be judged: no identity comes of it."""
        environ[keys.REFUSAL] = refusal
        renewed = CHALLENGE if refusal.reason.renews_challenge else None
        if self._is_required(environ):
            return self._refuse(refusal.reason, renewed, environ, start_response)
        return self._call(environ, _offering(start_response) if renewed else start_response)

    def _refuse(
        self,
        reason: Reason,
        www_authenticate: str | None,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        discard_body(environ, self._discard_body)
        page = self._pages.get(reason.status)
        return answer(reason, page, www_authenticate)(environ, start_response)


def _choose_acceptor(
    acceptor: Acceptor | None,
    service: str,
    hostname: str | Collection[str] | None,
    keytab: str | os.PathLike[str] | None,
) -> Acceptor:
    if acceptor is None:
        # Not at the top of the module: the package must import where no binding is installed.
        from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

        return PykerberosAcceptor(service, hostname, keytab)
    if service != "HTTP" or hostname is not None or keytab is not None:
        raise ConfigurationError("acceptor= knows its keys: give service, hostname, keytab to it")
    if not callable(getattr(acceptor, "accept", None)):
        raise ConfigurationError(f"acceptor={acceptor!r} has no method accept(token)")
    return acceptor


def _as_question(
    required: bool | Callable[[WSGIEnvironment], bool],
) -> Callable[[WSGIEnvironment], bool]:
    if callable(required):
        return required
    if not isinstance(required, bool):
        raise ConfigurationError(f"required={required!r}: write True, False or a callable(environ)")
    return lambda environ: required


def _offering(start_response: StartResponse) -> StartResponse:
    """Adds a Negotiate challenge to an app's own 401, unless it has one."""

    def start(
        status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if status.startswith("401") and not offers_negotiate(headers):
            headers = [*headers, ("WWW-Authenticate", CHALLENGE)]
        return start_response(status, headers, exc_info)

    return start


def _proving(start_response: StartResponse, proof: str) -> StartResponse:
    """Adds the mutual token to every status but an app's own 401.

    RFC 4559 section 5: a token with a 401 means that the negotiation goes on.
    """

    def start(
        status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if not status.startswith("401"):
            headers = without_negotiate(headers)
            headers.append(("WWW-Authenticate", proof))
        return start_response(status, headers, exc_info)

    return start
