"""Asks the questions, in their order; calls the app; proves the server to the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from negotiate_wsgi.acceptors.protocol import Acceptor
from negotiate_wsgi.acceptors.target import KeytabAcceptor
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.request import environ as keys
from negotiate_wsgi.request.authentication import Authentication
from negotiate_wsgi.request.bodies import check_discard, discard_body
from negotiate_wsgi.request.decisions import Decisions, OnDecision
from negotiate_wsgi.request.delegated import lend, may_lend
from negotiate_wsgi.request.exemptions import (
    Required,
    as_question,
    without_body,
)
from negotiate_wsgi.request.offer import NO_OFFER, Offer
from negotiate_wsgi.request.origins import Origins, objection_to_a_form
from negotiate_wsgi.request.policy import Authorize, Policy, is_yes, refusal_of
from negotiate_wsgi.request.responses import answer
from negotiate_wsgi.request.session import SessionCookie, audience_of, delete_cookie
from negotiate_wsgi.request.tokens import verdict_on
from negotiate_wsgi.wire.authorization import is_basic
from negotiate_wsgi.wire.headers import offers_negotiate, without_negotiate

if TYPE_CHECKING:
    import os

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from negotiate_wsgi.request.fleet import Fleet
    from negotiate_wsgi.request.passwords import PasswordSignOn
    from negotiate_wsgi.stores.protocol import Store

    Headers = list[tuple[str, str]]


class NegotiateMiddleware:
    """Single sign-on for a WSGI application: HTTP Negotiate (RFC 4559) with Kerberos.

        application = NegotiateMiddleware(app, hostname="www.example.com")

    A request without credentials is answered with 401 and a ``Negotiate`` challenge. A
    valid ticket brings the app ``REMOTE_USER`` (the principal), ``AUTH_TYPE``
    (``"Negotiate"``) and ``negotiate_wsgi.identity`` (an `Identity`), and the client
    the token that proves the server. Whatever a server or a layer above put under these
    keys is deleted first: nobody but us speaks for the user. The logger
    ``negotiate_wsgi`` tells what became of each token, never the token.

    :param app: any WSGI application.
    :param service: first component of the SPN. Keys of other services are never
        accepted.
    :param hostname: None for every ``service/*`` key of the keytab, so that one server
        answers to its own name, the load balancer's and its aliases; a name or names
        for only these.
    :param keytab: path of the keytab; None for ``KRB5_KTNAME``, else krb5's default
        keytab.
    :param required: False calls the app without identity where there are no good
        credentials, and adds the challenge to an app's own 401. A callable decides for
        each environ.
    :param realms: None for every realm the KDC vouches for, else only these, compared
        exactly. A trust between realms lets foreign users in unless they are named
        here.
    :param users: principals that may come in, ``["alice@EXAMPLE.COM"]``, compared
        exactly. None and no *groups* is everybody. With Active Directory, use an
        acceptor with ``active_directory=True``: there, a name in a ticket is no
        identity.
    :param groups: names of groups whose members may come in, beside *users*. The
        acceptor knows the groups: ``GssapiAcceptor(groups={"staff": "S-1-5-…"})``.
    :param authorize: a callable that is given the `Identity` and answers whether it may
        come in, True or False. An exception it raises, or another answer, is a 500,
        never a pass.
    :param strip_realm: ``REMOTE_USER`` without ``@REALM``. Needs exactly one realm in
        *realms*, because ``admin`` of another realm would become ``admin`` otherwise.
    :param user_header: name of a request header that carries ``REMOTE_USER``, too, for
        an app that trusts one. What a client sends under it is deleted from every
        request. An app that trusts a header must not be reached without this option.
    :param session: a `SessionCookie`, so that a browser is not asked on every single
        request. None asks. A cookie counts where no Negotiate or Basic credential came.
    :param passwords: a `PasswordSignOn`, for clients without a ticket. None leaves
        Basic credentials to the app.
    :param store: a `Store`, such as `ValkeyStore`, where several machines serve this
        site: a token counts once on all of them, `revoke` and `forget` end sessions on
        all of them, and passwords are counted together. None leaves each host to
        itself.
    :param trusted_origins: origins, besides our own, whose pages may have a browser
        change something here, such as ``["https://portal.example.com"]``. Requests with
        unsafe methods and WebSocket handshakes of other pages are a 403, because the
        browser would sign them like any. None leaves that to the app.
    :param unauthorized: WSGI application for the body of the 401; a werkzeug
        ``Response`` is one.
    :param forbidden: the same for the 403.
    :param discard_body: how many bytes of a refused request's body are read and thrown
        away, so that clients that send everything before they look see the answer.
        Nothing is read of a body that is announced to be longer. 0 reads none.
    :param discard_seconds: how long that may take at the most.
    :param on_decision: a callable that is given a frozen `Decision` of each request that has one,
        for metrics. An exception it raises is logged, and changes
        nothing.
    :param acceptor: an `Acceptor` in place of pykerberos, which knows its own keys: it
        cannot be given together with *service*, *hostname* or *keytab*.
    :raises ConfigurationError: an option is wrong.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        service: str = "HTTP",
        hostname: str | Collection[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        required: bool | Required = True,
        realms: Collection[str] | None = None,
        users: Collection[str] | None = None,
        groups: Collection[str] | None = None,
        authorize: Authorize | None = None,
        strip_realm: bool = False,
        user_header: str | None = None,
        session: SessionCookie | None = None,
        passwords: PasswordSignOn | None = None,
        store: Store | None = None,
        trusted_origins: Collection[str] | None = (),
        unauthorized: WSGIApplication | None = None,
        forbidden: WSGIApplication | None = None,
        discard_body: int = 2**27,
        discard_seconds: float = 30,
        on_decision: OnDecision | None = None,
        acceptor: Acceptor | None = None,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"app={app!r}: write a WSGI application")
        if strip_realm and len(set(realms or ())) != 1:
            raise ConfigurationError(
                "strip_realm= needs exactly one realm in realms=, or two users would share a name"
            )
        check_discard(discard_body, discard_seconds)
        if not isinstance(strip_realm, bool):
            raise ConfigurationError(
                f"strip_realm={strip_realm!r}: write True or False"
            )
        _check_pages(unauthorized=unauthorized, forbidden=forbidden)
        _check_ways(session, passwords)
        self.app = app
        self._acceptor = _choose_acceptor(acceptor, service, hostname, keytab)
        self._is_required = as_question(required)
        self._policy = Policy.of(realms, users, groups, authorize)
        _check_groups(self._policy.groups, self._acceptor)
        self._strip_realm = strip_realm
        self._user_key = keys.key_of_header(user_header)
        self._fleet = None if store is None else _fleet_of(store)
        self._session = None
        if session:
            self._session = session.of(audience_of(self._acceptor))
        self._passwords = None
        self._form = None
        if passwords:
            self._passwords = passwords.of(self._acceptor, self._fleet)
            if session:
                self._form = passwords.form
        self._origins = None
        if trusted_origins is not None:
            self._origins = Origins.of(trusted_origins)
        self._pages = {401: unauthorized, 403: forbidden}
        self._discard_body = discard_body
        self._discard_seconds = discard_seconds
        self._decisions = Decisions.of(on_decision)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        authentication = Authentication(time.perf_counter())
        earlier = keys.cleanse(environ, self._user_key)
        if self._form:
            authentication.visit = self._form.visit(environ)
        if authentication.visit and authentication.visit.is_post:
            foreign = objection_to_a_form(environ)
        else:
            foreign = self._origins.objection(environ) if self._origins else None
        if foreign:
            self._drop_credential(environ)
            authentication.conclude(foreign)
        else:
            self._identify(authentication, environ, earlier)
            if authentication.identity:
                self._ask_the_policy(authentication, authentication.identity)
            elif not authentication.is_answered:
                self._ask_whether_required(authentication, environ)
        self._decisions.tell(authentication, environ)
        if authentication.is_final:
            return self._refuse(authentication, environ, start_response)
        return self._call(authentication, environ, start_response)

    def _drop_credential(self, environ: WSGIEnvironment) -> None:
        """Take out of the environ what nobody is going to look at."""
        keys.take_credential(environ, None)
        if self._passwords:
            keys.take_basic(environ)

    def _identify(
        self, authentication: Authentication, environ: WSGIEnvironment, earlier: object
    ) -> None:
        """Find out who is asking: by the credential that came, else by the session."""
        verdict = None
        if self._passwords:
            verdict = self._passwords.verdict_on(
                environ, authentication.visit, authentication.began
            )
        if verdict is None:
            credential = keys.take_credential(environ, earlier)
            if credential:
                verdict = verdict_on(credential, self._acceptor, earlier, self._fleet)
        if verdict:
            environ[keys.VERDICT] = verdict
            authentication.take(verdict)
        elif self._session and not is_basic(environ.get("HTTP_AUTHORIZATION")):
            session = self._session.read(environ)
            if session and self._fleet:
                authentication.refusal = self._fleet.objection(
                    session.identity.principal, session.issued, session.mark
                )
            if session and authentication.refusal is None:
                environ[keys.VERDICT] = session.identity
                authentication.identity = session.identity
                authentication.auth_type = session.auth_type
                authentication.is_news = earlier is None or session.identity != earlier

    def _ask_the_policy(
        self, authentication: Authentication, identity: Identity
    ) -> None:
        failure = None
        try:
            objection = self._policy.objection(identity)
        except Exception as exc:
            objection = refusal_of(identity, Reason.AUTHORIZE_FAILED)
            failure = exc
        if objection:
            authentication.is_news = True
            authentication.conclude(objection, failure)

    def _ask_whether_required(
        self, authentication: Authentication, environ: WSGIEnvironment
    ) -> None:
        try:
            is_required = authentication.visit is not None or is_yes(
                "required", self._is_required(environ)
            )
        except Exception as failure:
            authentication.is_news = True
            authentication.conclude(Refusal(Reason.REQUIRED_FAILED), failure)
            return
        if is_required:
            authentication.conclude(authentication.refusal or _NOBODY_KNOWN)

    def _refuse(
        self,
        authentication: Authentication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        refusal = authentication.refusal or _NOBODY_KNOWN
        if authentication.is_revoked:
            # Told in the log alone: whoever brings it is asked as without it.
            refusal = _NOBODY_KNOWN
        status = refusal.reason.status
        if refusal.reason is not Reason.NO_CREDENTIALS:
            environ[keys.REFUSAL] = refusal.for_the_app()
        is_of_no_use = authentication.is_from_session and status == 403
        if self._session and (is_of_no_use or authentication.is_revoked):
            # The next request is asked for a ticket, which may be another principal's
            # by now.
            start_response = self._session.keep(environ, None, start_response)
            delete_cookie(environ)
        discard_body(environ, self._discard_body, self._discard_seconds)
        page = self._pages.get(status)
        if authentication.visit:
            page = None  # Nobody could type a password into another one.
        offer = self._offer(authentication, environ)
        respond = answer(
            refusal.reason,
            page,
            authentication.challenges(offer.challenge),
            offer.form,
            refusal.retry_after,
        )
        return respond(environ, start_response)

    def _offer(self, authentication: Authentication, environ: WSGIEnvironment) -> Offer:
        """How a password would be taken from somebody whom nothing else has named."""
        is_asked = authentication.reason is None or authentication.reason.status == 401
        if self._passwords is None or authentication.identity or not is_asked:
            return NO_OFFER
        return self._passwords.offer(
            environ, authentication.visit, self._form is not None
        )

    def _call(
        self,
        authentication: Authentication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        identity = authentication.identity
        if identity:
            keys.publish(
                environ,
                identity,
                self._strip_realm,
                self._user_key,
                authentication.auth_type,
            )
        elif authentication.refusal and not authentication.is_revoked:
            environ[keys.REFUSAL] = authentication.refusal.for_the_app()
        if authentication.proof:
            start_response = _proving(start_response, authentication.proof)
        elif identity is None:
            offer = self._offer(authentication, environ)
            challenges = authentication.challenges(offer.challenge)
            if challenges:
                start_response = _offering(start_response, challenges)
        if self._session:
            start_response = self._session.keep(
                environ, identity, start_response, authentication.expiry, self._fleet
            )
            if authentication.refusal and authentication.is_revoked:
                delete_cookie(environ)
        if authentication.visit:
            return authentication.visit.answer(environ, start_response)
        if identity is None and keys.PREFLIGHT in environ:
            return without_body(self.app, environ, start_response)
        verdict = authentication.verdict
        delegated = verdict and verdict.delegated
        if verdict and delegated and may_lend(self._acceptor):
            return lend(delegated, verdict.is_news, self.app, environ, start_response)
        return self.app(environ, start_response)


_NOBODY_KNOWN = Refusal(Reason.NO_CREDENTIALS)


def _choose_acceptor(
    acceptor: Acceptor | None,
    service: str,
    hostname: str | Collection[str] | None,
    keytab: str | os.PathLike[str] | None,
) -> Acceptor:
    if acceptor is None:
        # Not at the top of the module: the package must import where no binding is
        # installed.
        from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor

        return PykerberosAcceptor(service, hostname, keytab)
    if service != "HTTP" or hostname is not None or keytab is not None:
        raise ConfigurationError(
            "acceptor= knows its keys: give service, hostname, keytab to it"
        )
    if not callable(getattr(acceptor, "accept", None)):
        raise ConfigurationError(f"acceptor={acceptor!r} has no method accept(token)")
    return acceptor


def _fleet_of(store: Store) -> Fleet:
    # Not at the top of the module: who has no store needs nothing of it.
    from negotiate_wsgi.request.fleet import Fleet

    return Fleet.of(store)


def _check_pages(**pages: WSGIApplication | None) -> None:
    for name, page in pages.items():
        if page is not None and not callable(page):
            raise ConfigurationError(f"{name}={page!r}: write a WSGI application")


def _check_ways(session: object, passwords: object) -> None:
    """To come in without a ticket."""
    if not isinstance(session, SessionCookie | None):
        raise ConfigurationError("session= takes a SessionCookie(secret_key)")
    if passwords is None:
        return
    # Not at the top of the module: who takes no passwords needs nothing of it.
    from negotiate_wsgi.request.passwords import PasswordSignOn

    if not isinstance(passwords, PasswordSignOn):
        raise ConfigurationError("passwords= takes a PasswordSignOn(realm)")


def _check_groups(groups: frozenset[str] | None, acceptor: Acceptor) -> None:
    """Whether *acceptor* can tell who is in *groups*. Raises `ConfigurationError`."""
    if not groups or not isinstance(acceptor, KeytabAcceptor):
        return
    unknown = sorted(groups - acceptor.attributes.groups.keys())
    if unknown:
        raise ConfigurationError(
            f"groups= has {', '.join(unknown)}, of which the acceptor has no SID: write "
            f"acceptor=GssapiAcceptor(groups={{{unknown[0]!r}: 'S-1-5-21-…'}}), or in "
            f"settings group_sids = {unknown[0]}=S-1-5-21-…"
        )


def _offering(start_response: StartResponse, challenges: list[str]) -> StartResponse:
    """Adds *challenges* to an app's own 401, unless it offers Negotiate itself."""

    def start(
        status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if status.startswith("401") and not offers_negotiate(headers):
            ours = [("WWW-Authenticate", challenge) for challenge in challenges]
            headers = [*headers, *ours]
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
