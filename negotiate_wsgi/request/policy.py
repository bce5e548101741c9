"""May they come in? Asked on every request, after the ticket was found to be genuine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason

Authorize = Callable[[Identity], bool]

# RFC 8062 section 3: the anonymous principal's name, in a realm or in the anonymous
# realm.
_ANONYMOUS_NAME = "WELLKNOWN/ANONYMOUS@"
_ANONYMOUS_REALM = "@WELLKNOWN:ANONYMOUS"


@dataclass(frozen=True)
class Policy:
    """Who of those that are who they say may come in.

    :param realms: None for every realm that the KDC vouches for, else only these.
        Compared as a whole and with case: realms are case-sensitive (RFC 4120 section
        6.1).
    :param authorize: asked with the `Identity` after the realms; None lets everybody
        in.
    """

    realms: frozenset[str] | None
    authorize: Authorize | None

    @classmethod
    def of(cls, realms: Collection[str] | None, authorize: Authorize | None) -> Policy:
        """Validate the options. Raises `ConfigurationError`."""
        if isinstance(realms, str):
            raise ConfigurationError(
                f"realms={realms!r}: write a collection, [{realms!r}]"
            )
        if authorize is not None and not callable(authorize):
            raise ConfigurationError("authorize= takes a callable(identity) -> bool")
        if inspect.iscoroutinefunction(authorize):
            raise ConfigurationError(
                "authorize= takes a plain function: WSGI awaits nothing"
            )
        if realms is not None:
            realms = frozenset(realms)
        return cls(realms, authorize)

    def objection(self, identity: Identity) -> Reason | None:
        """Why *identity* may not come in, or None if it may.

        Raises what authorize raises, and TypeError where it answers neither True nor
        False.
        """
        principal = identity.principal
        if principal.startswith(_ANONYMOUS_NAME) or principal.endswith(
            _ANONYMOUS_REALM
        ):
            return Reason.ANONYMOUS
        if self.realms is not None and identity.realm not in self.realms:
            return Reason.REALM_NOT_ALLOWED
        if self.authorize is None or is_yes("authorize", self.authorize(identity)):
            return None
        return Reason.NOT_AUTHORIZED


def is_yes(name: str, answer: object) -> bool:
    """*answer* of the callable *name*; raises TypeError if it is neither True nor
    False.

    A tuple, an awaitable or a text is true for Python: whoever returns ``(False,
    "no")`` or forgets to await would let everybody in.
    """
    if answer is True or answer is False:
        return answer
    raise TypeError(
        f"{name} returned a value of type {type(answer).__name__}, not True or False"
    )
