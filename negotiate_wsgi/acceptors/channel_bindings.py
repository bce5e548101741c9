"""Did the token come by our own TLS connection? Channel bindings (RFC 5056), by the
server's certificate (tls-server-end-point, RFC 5929 section 4).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import ConfigurationError
from negotiate_wsgi.identity import Identity
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.certificate import (
    MAX_CERTIFICATE,
    CertificateError,
    end_point,
    first_certificate,
)

_A_DAY = 86_400.0  # seconds

_logger = logging.getLogger("negotiate_wsgi")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the certificate's file: never changed, so that threads may meet.

    :param version: of the file; None if it is not there.
    :param bindings: of its certificate, and of the one before.
    :param end: of the one before, on the clock.
    """

    version: tuple[int, ...] | None
    bindings: tuple[bytes, ...]
    end: float


@dataclass
class ChannelBindings:
    """What a client's token has to be bound to, where it is bound at all.

    The certificate is read again when its file has changed, and the one before stays
    good for a day: connections that were opened with it live on. A file that cannot be
    read then leaves the certificate as it was, which lets nobody in who could not come
    in before.

    :param is_required: whether a token that is not bound is refused.
    :param path: of the certificate's file, in PEM.
    :param clock: gives seconds.
    """

    is_required: bool
    path: str
    clock: Callable[[], float] = field(
        default=time.monotonic, repr=False, compare=False
    )

    @classmethod
    def of(cls, mode: str, certificate: str | os.PathLike[str] | None) -> Self | None:
        """Validate the options; None for ``"off"``. Raises `ConfigurationError`."""
        if mode not in ("off", "optional", "required"):
            raise ConfigurationError(
                f"channel_binding={mode!r}: write 'off', 'optional' or 'required'"
            )
        if mode == "off":
            if certificate is not None:
                raise ConfigurationError(
                    "certificate= needs channel_binding='optional' or 'required'"
                )
            return None
        if not certificate:
            raise ConfigurationError(
                f"channel_binding={mode!r} needs certificate=, the path of the file with "
                "the certificate that the clients see, in PEM"
            )
        return cls(mode == "required", os.path.abspath(certificate))

    def __post_init__(self) -> None:
        version = self._version()
        try:
            binding = self._read()
        except (OSError, ValueError) as problem:
            raise ConfigurationError(
                f"certificate={self.path!r} cannot be used: {_in_words(problem)}"
            ) from None
        self._known = _Known(version, (binding,), 0)

    def __str__(self) -> str:
        return f"channel_binding={'required' if self.is_required else 'optional'}"

    def objection_to_unbound(self, identity: Identity) -> Refused | None:
        """Why *identity*'s ticket is refused, whose token is bound to nothing."""
        if not self.is_required:
            return None
        detail = "the client sent no channel bindings"
        reason = Reason.CHANNEL_BINDINGS_MISSING
        return Refused(reason, detail, identity.principal, identity.spn)

    def accepted(self) -> tuple[bytes, ...]:
        """The application data of each binding that is good now, today's first."""
        known = self._known
        version = self._version()
        if version != known.version:
            known = self._learnt(version, known)
            self._known = known
        if len(known.bindings) > 1 and self.clock() >= known.end:
            return known.bindings[:1]
        return known.bindings

    def _learnt(self, version: tuple[int, ...] | None, known: _Known) -> _Known:
        """What is known of another *version* of the file than *known* is of."""
        try:
            binding = self._read()
        except (OSError, ValueError) as problem:
            _logger.error(
                "certificate=%r cannot be used: %s. The one that was there stays good",
                self.path,
                _in_words(problem),
            )
            return _Known(version, known.bindings, known.end)
        before = known.bindings[0]
        if binding == before:
            return _Known(version, known.bindings, known.end)
        return _Known(version, (binding, before), self.clock() + _A_DAY)

    def _version(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self.path)
        except (OSError, ValueError):
            return None
        # The time of change tells of new rights, too, and of a file that was moved here.
        return status.st_ctime_ns, status.st_ino, status.st_size

    def _read(self) -> bytes:
        with open(self.path, "rb") as file:
            # A key may stand beside it: nothing but the certificate is kept.
            return end_point(first_certificate(file.read(MAX_CERTIFICATE + 1)))


def _in_words(problem: OSError | ValueError) -> str:
    if isinstance(problem, OSError):
        return f"uid {os.geteuid()} cannot read it: {problem.strerror}"
    if isinstance(problem, CertificateError):
        return str(problem)
    return "this is no path of a file"
