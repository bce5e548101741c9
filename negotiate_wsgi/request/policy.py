"""May they come in? Asked on every request, after the ticket was found to be genuine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass

from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason, Refusal

Authorize = Callable[[Identity], bool]


@dataclass(frozen=True)
class Policy:
    """Who of those that are who they say may come in.

    :param realms: None for every realm that the KDC vouches for, else only these.
        Compared as a whole and with case: realms are case-sensitive (RFC 4120 section
        6.1).
    :param users: principals that may come in, compared in the same way.
    :param groups: names of groups whose members may come in, too. None for both lets
        everybody in.
    :param authorize: asked with the `Identity` after all else; None lets everybody in.
    """

    realms: frozenset[str] | None = None
    users: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    authorize: Authorize | None = None

    @classmethod
    def of(
        cls,
        realms: Collection[str] | None = None,
        users: Collection[str] | None = None,
        groups: Collection[str] | None = None,
        authorize: Authorize | None = None,
    ) -> Policy:
        """Validate the options. Raises `ConfigurationError`."""
        named = _names("users", users)
        for user in named or ():
            if not Identity(user).realm:
                raise ConfigurationError(
                    f"users= has {user!r}: write the principal with its realm, "
                    f"such as '{user}@EXAMPLE.COM'"
                )
        if authorize is not None and not callable(authorize):
            raise ConfigurationError("authorize= takes a callable(identity) -> bool")
        if inspect.iscoroutinefunction(authorize):
            raise ConfigurationError(
                "authorize= takes a plain function: WSGI awaits nothing"
            )
        return cls(
            _names("realms", realms),
            named,
            _names("groups", groups),
            authorize,
        )

    def objection(self, identity: Identity) -> Refusal | None:
        """Why *identity* may not come in, or None if it may.

        Raises what authorize raises, and TypeError where it answers neither True nor
        False.
        """
        if identity.is_anonymous:
            return refusal_of(identity, Reason.ANONYMOUS)
        if self.realms is not None and identity.realm not in self.realms:
            return refusal_of(identity, Reason.REALM_NOT_ALLOWED)
        if not self._is_named(identity):
            return self._not_named(identity)
        if self.authorize is None or is_yes("authorize", self.authorize(identity)):
            return None
        return refusal_of(identity, Reason.NOT_AUTHORIZED)

    def _is_named(self, identity: Identity) -> bool:
        """Whether the configuration names the user, or one of the user's groups."""
        if self.users is None and self.groups is None:
            return True
        if self.users is not None and identity.principal in self.users:
            return True
        return self.groups is not None and not self.groups.isdisjoint(identity.groups)

    def _not_named(self, identity: Identity) -> Refusal:
        if self.groups is None:
            return refusal_of(identity, Reason.USER_NOT_ALLOWED)
        groups = " or ".join(sorted(self.groups)) or "any group, for groups= is empty"
        return refusal_of(identity, Reason.GROUP_MISSING, f"not in {groups}")


def refusal_of(identity: Identity, reason: Reason, detail: str = "") -> Refusal:
    """*reason*, of somebody whom we know."""
    return Refusal(reason, detail, identity.principal, identity.spn)


def _names(option: str, names: Collection[str] | None) -> frozenset[str] | None:
    """The option's names, compared to the letter. Raises `ConfigurationError`."""
    if names is None:
        return None
    if isinstance(names, str):
        raise ConfigurationError(f"{option}={names!r}: write a collection, [{names!r}]")
    found = frozenset(names)
    for name in found:
        if not isinstance(name, str):
            raise ConfigurationError(f"{option}= has {name!r}: write texts alone")
    return found


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
