"""What does a ticket say in clear text? Anybody on the way can rewrite it: it proves
nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from negotiate_wsgi.reasons import Reason, Refusal
from negotiate_wsgi.wire.der import (
    GENERAL_STRING,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    Reader,
    application,
    by_beginning,
    context,
)
from negotiate_wsgi.wire.keytab import Key, Keytab
from negotiate_wsgi.wire.names import name_of_enctype, principal_in_words
from negotiate_wsgi.wire.negotiation import (
    KRB5,
    MS_KRB5,
    read_mech_token,
    read_negotiation,
)

AP_REQ = b"\x01\x00"  # TOK_ID, RFC 4121 section 4.1
_COMPONENTS = 16  # Active Directory has SPNs of three
_NAME = 1024  # bytes of an SPN with its realm: DNS has names of 253


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an initial token of krb5 says of its ticket in clear text (RFC 4120 section
    5.3).

    :param spn: the SPN with its realm, in MIT's notation.
    :param enctype: the encryption type of the acceptor's key, in the notation of `Key`.
    :param kvno: the number of the acceptor's key, None where the KDC left it out.
    """

    spn: str
    enctype: str
    kvno: int | None

    @classmethod
    def of(cls, token: bytes) -> Ticket | None:
        """The ticket in an initial token, bare or in SPNEGO; None where none can be
        read.
        """
        return _ticket_in(token)

    def __str__(self) -> str:
        return f"{self.spn} kvno {self.kvno} {self.enctype}"

    def objection(self, keytab: Keytab, service: str) -> Refusal | None:
        """Why an acceptor of *service* with *keytab* refuses this ticket, as far as can
        be read.

        An acceptor asks for no more than the service's name, without case, and a key
        that opens the ticket. So an SPN in another spelling has the key that the keytab
        has, which is so in Active Directory.
        """
        if not self._is_for(service, keytab):
            return Refusal(Reason.WRONG_SERVICE, f"not a ticket for {service}/…")
        ours = [key for key in keytab.keys if key.principal.startswith(f"{service}/")]
        alike = [key for key in ours if key.principal.lower() == self.spn.lower()]
        keys = keytab.of(self.spn) or alike
        if keys:
            return self._misfit(keys)
        same = [key.principal for key in ours if self._names(key)]
        if not same:
            return self.misfit(keytab)
        return Refusal(
            Reason.SPN_NOT_IN_KEYTAB,
            f"but {same[0]} has a key of the same kvno and encryption type: if both are "
            "names of one account, this ticket is accepted, which only its key can tell",
        )

    def misfit(self, keytab: Keytab) -> Refusal | None:
        """Why no key that *keytab* has for this SPN, to the letter, is the ticket's."""
        keys = keytab.of(self.spn)
        if keys:
            return self._misfit(keys)
        alike = ", ".join(keytab.alike(self.spn))
        return Refusal(
            Reason.SPN_NOT_IN_KEYTAB, f"but there is {alike}" if alike else ""
        )

    def _is_for(self, service: str, keytab: Keytab) -> bool:
        own = self.spn.partition("/")[0]
        if own == service:
            return True
        if own.lower() != service.lower():
            return False
        if not keytab.of(self.spn):
            return True
        shared = keytab.shared_with(self.spn)
        return any(key.principal.startswith(f"{service}/") for key in shared)

    def _names(self, key: Key) -> bool:
        return self.enctype == key.enctype and self.kvno in (key.kvno, None)

    def _misfit(self, keys: Collection[Key]) -> Refusal | None:
        # Some KDCs leave it out, and then any of the keys may do.
        current = [key for key in keys if self.kvno in (key.kvno, None)]
        if not current:
            newest = max(key.kvno for key in keys)
            is_older = self.kvno is not None and self.kvno < newest
            reason = Reason.STALE_TICKET if is_older else Reason.STALE_KEYTAB
            detail = f"the ticket has kvno {self.kvno}, the keytab's newest is {newest}"
            return Refusal(reason, detail)
        if self.enctype not in {key.enctype for key in current}:
            return Refusal(
                Reason.ENCTYPE_MISSING, f"no key of {self.enctype} with this kvno"
            )
        return None


def ap_req_in(token: bytes) -> bytes:
    """The AP-REQ in an initial token; empty where there is none."""
    try:
        _, reader = read_mech_token(read_negotiation(token))
        reader.bare(AP_REQ)
    except DerError:
        return b""
    return reader.rest()


@by_beginning
def _ticket_in(token: bytes) -> tuple[Ticket | None, int]:
    try:
        mechanism, reader = read_mech_token(read_negotiation(token))
        if mechanism not in (KRB5, MS_KRB5):
            return None, 0
        reader.bare(AP_REQ)
        return _read_ap_req(reader)
    except DerError:
        return None, 0


def _read_ap_req(reader: Reader) -> tuple[Ticket, int]:
    """An AP-REQ's ticket (RFC 4120 section 5.5.1), and where its clear text ends."""
    outer = reader.enter(application(14))
    reader.finish()
    request = outer.enter(SEQUENCE)
    outer.finish()
    request.skip(context(0))  # pvno
    request.skip(context(1))  # msg-type
    request.skip(context(2))  # ap-options
    ticket = request.enter(context(3)).enter(application(1)).enter(SEQUENCE)
    ticket.skip(context(0))  # tkt-vno
    realm = ticket.enter(context(1)).content(GENERAL_STRING)
    components = _read_components(ticket.enter(context(2)).enter(SEQUENCE))
    if len(realm) + sum(map(len, components)) > _NAME:
        raise DerError("an SPN longer than expected")
    sealed = ticket.enter(context(3)).enter(SEQUENCE)
    enctype = sealed.enter(context(0)).integer()
    kvno = None
    if sealed.next_is(context(1)):
        kvno = sealed.enter(context(1)).integer()
    cipher = sealed.enter(context(2)).enter(OCTET_STRING)
    if cipher.is_at_end:
        raise DerError("nothing encrypted")
    spn = principal_in_words(components, realm)
    return Ticket(spn, name_of_enctype(enctype), kvno), cipher.at


def _read_components(name: Reader) -> list[bytes]:
    """Of a PrincipalName (RFC 4120 section 5.2.2)."""
    name.skip(context(0))  # name-type
    strings = name.enter(context(1)).enter(SEQUENCE)
    components = [strings.content(GENERAL_STRING)]
    while not strings.is_at_end:
        if len(components) == _COMPONENTS:
            raise DerError("more components than expected")
        components.append(strings.content(GENERAL_STRING))
    return components
