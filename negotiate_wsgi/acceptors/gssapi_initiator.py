"""What is asked of python-gssapi on a user's behalf: a ticket for a password, and a token.

Nobody but the owner of the process sees either. The ticket lies in a credential cache
in memory that has no name, which krb5 makes for a credential that comes from a
password: ``KRB5CCNAME`` is neither read nor written.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from negotiate_wsgi.acceptors.gssapi_library import Library
from negotiate_wsgi.wire.authorization import Password


@dataclass(frozen=True, slots=True)
class SignedOn:
    """A user's ticket-granting ticket.

    :param credential: GSSAPI's, which has it.
    :param end: when it ends, in seconds since the epoch.
    """

    credential: Any = field(repr=False)
    end: float


class Initiator:
    """The initiator's half of python-gssapi, where `Library` is the acceptor's.

    Its methods raise ``library.GSSError``, which has nothing of the password in it.
    """

    def __init__(self, library: Library) -> None:
        from gssapi import NameType, RequirementFlag, raw

        self._raw = raw
        self._mechanism = library.mechanism
        # A name as it is, of the type NT-PRINCIPAL: nothing is looked up in DNS, and no
        # realm is guessed.
        self._principal = NameType.kerberos_principal
        # Not mutual authentication: we are both sides.
        self._flags = [RequirementFlag.integrity]

    def sign_on(self, principal: str, password: Password) -> SignedOn:
        """Ask the KDC (RFC 4120 section 3.1). Blocks, for half a minute if need be.

        The credential has to be given to `forget`.
        """
        acquired = self._raw.acquire_cred_with_password(
            self._name(principal),
            # Not a local variable, which a traceback would show; nor an error of the
            # codec's, which would hold the text.
            password.reveal().encode(errors="surrogatepass"),
            mechs=[self._mechanism],
            usage="initiate",
        )
        lifetime = math.inf if acquired.lifetime is None else acquired.lifetime
        return SignedOn(acquired.creds, time.time() + lifetime)

    def token(
        self, signed_on: SignedOn, spn: str, binding: bytes | None = None
    ) -> bytes:
        """An initial token for *spn* (RFC 4120 sections 3.2 and 3.3), with this channel
        binding.
        """
        bindings = None
        if binding is not None:
            bindings = self._raw.ChannelBindings(application_data=binding)
        started = self._raw.init_sec_context(
            self._name(spn),
            signed_on.credential,
            mech=self._mechanism,
            flags=self._flags,
            channel_bindings=bindings,
        )
        return bytes(started.token or b"")

    def forget(self, signed_on: SignedOn) -> None:
        """Have the library destroy the ticket, and its own copy of the password."""
        self._raw.release_cred(signed_on.credential)

    def _name(self, principal: str) -> Any:
        return self._raw.import_name(principal.encode(), self._principal)
