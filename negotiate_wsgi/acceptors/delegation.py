"""May we act for the user? What a client has delegated, for one request."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

from negotiate_wsgi.exceptions import ConfigurationError, DelegationError

if TYPE_CHECKING:
    from negotiate_wsgi.acceptors.ccaches import MemoryCache

_KINDS = (None, "forwarded", "constrained")


def check_delegation(delegation: object, account: object) -> None:
    """Validate the options. Raises `ConfigurationError`.

    Loads what delegation needs: a server may give up its rights before the first
    request.
    """
    if delegation not in _KINDS:
        raise ConfigurationError(
            f"delegation={delegation!r}: write 'forwarded' or 'constrained', or None to "
            "act for nobody"
        )
    if delegation != "constrained":
        if account is not None:
            raise ConfigurationError(
                f"account={account!r} is for delegation='constrained' alone: leave it out"
            )
    elif not isinstance(account, str) or not account.strip():
        raise ConfigurationError(
            f"delegation='constrained' has account={account!r}: write the name of the "
            "service's own account, whose key the keytab has, such as 'WEB2$' or 'svc-web'"
        )
    if delegation is not None:
        # Not at the top of the module: the binding need not be installed.
        import negotiate_wsgi.acceptors.account
        import negotiate_wsgi.acceptors.ccaches  # noqa: F401


class DelegatedCredentials:
    """What a client has delegated. It costs nothing until somebody asks for it.

    :param handle: GSSAPI's own, which is good for krb5 alone.
    """

    __slots__ = ("_cache", "_credentials", "_handle", "_is_over", "_lock")

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._cache: MemoryCache | None = None
        self._credentials: Any = None
        self._is_over = False
        self._lock = threading.Lock()

    def credentials(self) -> Any:
        """Those of the user, the same for each thread.

        Raises `DelegationError`, also once they are destroyed: None would be taken for
        the server's own.
        """
        from negotiate_wsgi.acceptors.ccaches import MemoryCache

        with self._lock:
            if self._is_over:
                raise DelegationError("the request has ended, and its credentials")
            if self._handle is not None:
                self._cache = MemoryCache(self._handle)
                self._credentials = self._cache.credentials()
                self._handle = None
            return self._credentials

    def destroy(self) -> None:
        """The end of the request."""
        with self._lock:
            cache = self._cache
            self._is_over = True
            self._handle = None
            self._credentials = None
            self._cache = None
        if cache:
            cache.destroy()


class NoCredentials:
    """In place of what could not be had: says why, where somebody asks."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def credentials(self) -> NoReturn:
        raise DelegationError(self._fault)

    def destroy(self) -> None:
        pass


def private_ccache(credentials: Any, *spns: str) -> AbstractContextManager[str]:
    """A file with *credentials*, for a program that takes them from nowhere else.

    .. code-block:: python

        with private_ccache(get_delegated(environ)) as path:
            subprocess.run(command, env={**os.environ, "KRB5CCNAME": path})

    It is the path of a credential cache that nobody but our own user can read, in a
    directory of its own, and both are removed at the end. Who reads it can act as the
    user until the ticket ends.

    :param credentials: what `get_delegated` has returned, and not None.
    :param spns: services that the program asks, such as ``"HTTP/db.example.com"``. The
        file then has tickets for these alone, and no ticket-granting ticket. With
        constrained delegation there must be one: the ticket-granting ticket is the
        service's own, and is never written to a file.
    :raises ValueError: *credentials* are None, or need *spns*.
    :raises DelegationError: the KDC gives no ticket for one of *spns*.
    """
    _need(credentials)
    from negotiate_wsgi.acceptors.ccaches import in_private_file

    return in_private_file(credentials, spns)


def thread_ccache(credentials: Any) -> AbstractContextManager[None]:
    """Make *credentials* this thread's default ones, for a library that takes no others.

    .. code-block:: python

        with thread_ccache(get_delegated(environ)):
            connection = psycopg.connect(host="db.example.com", user="alice")

    They are what GSSAPI finds in this thread, whatever ``KRB5CCNAME`` says, and no file
    is written. Other threads do not see them. Whatever else runs in this thread does:
    do not leave a coroutine or a greenlet while they are.

    :param credentials: what `get_delegated` has returned, and not None.
    :raises ValueError: *credentials* are None.
    """
    _need(credentials)
    from negotiate_wsgi.acceptors.ccaches import of_thread

    return of_thread(credentials)


def _need(credentials: object) -> None:
    """For GSSAPI, None is the server's own credentials."""
    if credentials is None:
        raise ValueError(
            "credentials=None: nothing was delegated. Look for that before, or the "
            "server would act as itself"
        )
