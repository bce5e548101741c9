"""Credential caches of what users delegate: in memory, of one thread, in a private file.

Whoever has such a cache can act as the user. None of them is named by a variable of the
process, which all of its threads would share.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import gssapi
import krb5
from gssapi import raw

from negotiate_wsgi.acceptors.status import uses_gssproxy
from negotiate_wsgi.exceptions import DelegationError

_KRB5 = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")  # RFC 4121 section 1
# MIT's GSS_KRB5_GET_CRED_IMPERSONATOR: whose ticket-granting ticket a credential for
# constrained delegation has.
_IMPERSONATOR = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2.5.14")
_PREFIX = "negotiate-wsgi-"
_numbers = itertools.count()


class MemoryCache:
    """A copy of *credentials* in memory, until it is destroyed or nobody has it.

    Under gssproxy it is a file, because gssproxy does not reach our memory; what is in
    it, gssproxy alone can read.

    :param credentials: python-gssapi's, with Kerberos among their mechanisms.
    :raises DelegationError: the library cannot copy them.
    """

    def __init__(self, credentials: raw.Creds) -> None:
        # Where a request is never closed, `_end` is called all the same.
        if uses_gssproxy():
            directory = tempfile.mkdtemp(prefix=_PREFIX)
            self.name = _name_of_file(directory)
            self._end: Any = weakref.finalize(self, shutil.rmtree, directory, True)
        else:
            self.name = b"MEMORY:negotiate-wsgi-user-%d" % next(_numbers)
            self._end = weakref.finalize(self, destroy, self.name)
        _store(credentials, self.name)

    def credentials(self) -> gssapi.Credentials:
        """For krb5 and, unlike those that the library hands out, for SPNEGO, too."""
        try:
            return gssapi.Credentials(usage="initiate", store={"ccache": self.name})
        except raw.GSSError as error:
            raise DelegationError(text_of(error)) from None

    def destroy(self) -> None:
        """Whoever still has `credentials` finds nothing in them from here on."""
        self._end()


@contextlib.contextmanager
def in_private_file(credentials: raw.Creds, spns: tuple[str, ...]) -> Iterator[str]:
    """The path of a file with *credentials*, or with tickets for *spns* alone."""
    if not spns and _impersonator(credentials):
        raise ValueError(
            "these credentials have the service's own ticket-granting ticket, which "
            "must not get into a file: name the services that the program asks, as in "
            "private_ccache(credentials, 'HTTP/db.example.com')"
        )
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory:
        name = _name_of_file(directory)
        if spns:
            _store_tickets(credentials, spns, name)
        else:
            _store(credentials, name)
        yield os.fsdecode(name).removeprefix("FILE:")


def _name_of_file(directory: str) -> bytes:
    return b"FILE:" + os.fsencode(os.path.join(directory, "ccache"))


@contextlib.contextmanager
def of_thread(credentials: raw.Creds) -> Iterator[None]:
    """Has *credentials* be this thread's default ones."""
    cache = MemoryCache(credentials)
    default = krb5.cc_default_name(krb5.init_context())
    # MIT keeps this name for each thread, and where there is none, tells the default.
    before = raw.krb5_ccache_name(cache.name)
    try:
        yield
    finally:
        raw.krb5_ccache_name(None if before == default else before)
        cache.destroy()


def _impersonator(credentials: raw.Creds) -> bool:
    return bool(raw.inquire_cred_by_oid(credentials, _IMPERSONATOR))


def _store(credentials: raw.Creds, name: bytes) -> None:
    try:
        raw.store_cred_into(
            {b"ccache": name}, credentials, mech=_KRB5, usage="initiate", overwrite=True
        )
    except raw.GSSError as error:
        raise DelegationError(text_of(error)) from None


def _store_tickets(credentials: raw.Creds, spns: tuple[str, ...], name: bytes) -> None:
    """Get tickets for *spns*, and put nothing but them into the cache *name*."""
    cache = MemoryCache(credentials)
    try:
        for spn in spns:
            ask_for_ticket(cache.credentials(), spn)
        context = krb5.init_context()
        source = krb5.cc_resolve(context, cache.name)
        target = krb5.cc_resolve(context, name)
        krb5.cc_initialize(context, target, krb5.cc_get_principal(context, source))
        for ticket in source:
            spn = str(ticket.server)
            if spn in spns or spn.rpartition("@")[0] in spns:
                krb5.cc_store_cred(context, target, ticket)
    finally:
        cache.destroy()


def ask_for_ticket(credentials: gssapi.Credentials, spn: str) -> None:
    """Have the KDC give *credentials* a ticket for *spn*, which then is in their cache.

    Raises `DelegationError` where it does not.
    """
    name = gssapi.Name(spn, gssapi.NameType.kerberos_principal)
    context = gssapi.SecurityContext(
        name=name, creds=credentials, mech=_KRB5, usage="initiate"
    )
    try:
        context.step()
    except raw.GSSError as error:
        raise DelegationError(f"no ticket for {spn}: {text_of(error)}") from None


def destroy(name: bytes) -> None:
    """Destroy the cache *name*, if it is there."""
    # No context but one's own: no two threads may use one at a time.
    with contextlib.suppress(krb5.Krb5Error):
        context = krb5.init_context()
        krb5.cc_destroy(context, krb5.cc_resolve(context, name))


def text_of(error: Any) -> str:
    """What krb5 says of an error; of some, GSSAPI alone says more than "Success"."""
    if not isinstance(error, raw.GSSError):
        return str(error)
    text = str(error.get_all_statuses(error.min_code, False)[0]).rstrip("\0")
    if text == "Success":
        text = ", ".join(error.get_all_statuses(error.maj_code, True))
    return text
