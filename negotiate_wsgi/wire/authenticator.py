"""Which authenticator does a token bring? Read strictly, or not at all: it is by this that
machines know a token again.
"""

from __future__ import annotations

from typing import NamedTuple

from negotiate_wsgi.wire.der import (
    BEGINNING,
    BIT_STRING,
    GENERAL_STRING,
    INTEGER,
    OCTET_STRING,
    OID,
    REMEMBERED,
    SEQUENCE,
    DerError,
    Reader,
    application,
    context,
    memory_of_kinds,
)
from negotiate_wsgi.wire.negotiation import KRB5, MS_KRB5, SPNEGO
from negotiate_wsgi.wire.ticket import AP_REQ

_last_of = memory_of_kinds()


def authenticator_in(token: bytes) -> bytes:
    """The octets of the encrypted authenticator in an initial token of krb5, bare or in
    SPNEGO; empty where *token* is not strict DER with exactly what RFC 4120 section
    5.5.1 and RFC 4178 section 4.2.1 name.

    They begin with a random confounder and are protected by the session key: no two
    AP-REQs share them, and nobody else can change one bit. All around them can be
    changed by anybody, and libraries read more than one spelling of it. In another one
    ours might see another authenticator than they do: hence no guess.
    """
    last: list[_ClearText] = _last_of(len(token), token[:BEGINNING])
    for frame in last:
        if frame == _clear_text(token, frame.ticket, frame.authenticator):
            return token[frame.authenticator]
    try:
        ticket, authenticator = _read_ciphers(_strict_ap_req(token))
    except DerError:
        return b""
    if len(token) - _size(ticket) - _size(authenticator) <= REMEMBERED:
        last[:] = [_clear_text(token, ticket, authenticator)]
    return token[authenticator]


class _ClearText(NamedTuple):
    """All of a token that is not encrypted, and where the two ciphers stand in it.

    That alone decides how a token is read: where it is the same, so are the places.
    Tokens of one service differ in little else, and to read one anew takes as long as
    all that the library makes of it.
    """

    ticket: slice
    authenticator: slice
    before: bytes
    between: bytes
    behind: bytes


def _clear_text(token: bytes, ticket: slice, authenticator: slice) -> _ClearText:
    return _ClearText(
        ticket,
        authenticator,
        token[: ticket.start],
        token[ticket.stop : authenticator.start],
        token[authenticator.stop :],
    )


def _size(place: slice) -> int:
    return int(place.stop - place.start)


def _strict_ap_req(token: bytes) -> Reader:
    """The elements of the AP-REQ. Raises `DerError`."""
    frame = Reader(token).enter_only(application(0))
    mechanism = frame.content(OID)
    if mechanism == SPNEGO:
        frame = _strict_mech_token(frame)
        mechanism = frame.content(OID)
    if mechanism not in (KRB5, MS_KRB5):
        raise DerError("another mechanism than expected")
    frame.bare(AP_REQ)
    return frame.enter_only(application(14)).enter_only(SEQUENCE)


def _strict_mech_token(frame: Reader) -> Reader:
    """What the frame of SPNEGO's one mechToken holds. Raises `DerError`."""
    fields = frame.enter_only(context(0)).enter_only(SEQUENCE)
    # What we would skip unread, a library may read: MIT's 1.20 goes on behind the list of
    # mechTypes, and takes a mechToken that stands there, within their element.
    mech_types = fields.enter(context(0)).enter_only(SEQUENCE)
    while not mech_types.is_at_end:
        mech_types.skip(OID)
    if fields.next_is(context(1)):
        fields.enter(context(1)).content_of_only(BIT_STRING)  # reqFlags
    token = fields.enter(context(2)).enter_only(OCTET_STRING)
    if fields.next_is(context(3)):
        fields.enter(context(3)).content_of_only(OCTET_STRING)  # mechListMIC
    fields.finish()
    return token.enter_only(application(0))


def _read_ciphers(request: Reader) -> tuple[slice, slice]:
    """Where those of the ticket and of the authenticator stand. Raises `DerError`."""
    if request.enter(context(0)).content_of_only(INTEGER) != b"\5":  # pvno
        raise DerError("another version of Kerberos than expected")
    if request.enter(context(1)).content_of_only(INTEGER) != b"\x0e":  # msg-type
        raise DerError("another message than expected")
    request.enter(context(2)).content_of_only(BIT_STRING)  # ap-options
    ticket = _read_ticket(request.enter(context(3)).enter_only(application(1)))
    authenticator = request.enter(context(4)).enter_only(SEQUENCE)
    request.finish()
    return ticket, _read_cipher(authenticator)


def _read_ticket(outer: Reader) -> slice:
    ticket = outer.enter_only(SEQUENCE)
    ticket.enter(context(0)).content_of_only(INTEGER)  # tkt-vno
    ticket.enter(context(1)).content_of_only(GENERAL_STRING)  # realm
    name = ticket.enter(context(2)).enter_only(SEQUENCE)  # sname
    name.enter(context(0)).content_of_only(INTEGER)
    components = name.enter(context(1)).enter_only(SEQUENCE)
    while not components.is_at_end:
        components.skip(GENERAL_STRING)
    name.finish()
    cipher = _read_cipher(ticket.enter(context(3)).enter_only(SEQUENCE))
    ticket.finish()
    return cipher


def _read_cipher(sealed: Reader) -> slice:
    """Of an EncryptedData (RFC 4120 section 5.2.9)."""
    sealed.enter(context(0)).content_of_only(INTEGER)  # etype
    if sealed.next_is(context(1)):
        sealed.enter(context(1)).content_of_only(INTEGER)  # kvno
    cipher = sealed.enter(context(2)).enter_only(OCTET_STRING)
    sealed.finish()
    return cipher.place()
