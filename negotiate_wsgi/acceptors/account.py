"""The service's own account: its keys, and the ticket with which it acts for users.

Constrained delegation is S4U2Proxy ([MS-SFU]): the service shows the KDC the user's
ticket for itself, and a ticket-granting ticket of its own.
"""

from __future__ import annotations

import itertools
import time
import weakref
from typing import Any

import gssapi
import krb5
from gssapi import raw

from negotiate_wsgi.acceptors.ccaches import destroy, text_of
from negotiate_wsgi.acceptors.gssapi_library import KEYS_OF_GSSPROXY, Keys, library
from negotiate_wsgi.acceptors.target import Target
from negotiate_wsgi.exceptions import AcceptorError, DelegationError
from negotiate_wsgi.wire.keytab import Key
from negotiate_wsgi.wire.ticket import Ticket

_SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")  # RFC 4178 section 3
# Seconds. In the last 30 s of a ticket, libkrb5 asks the KDC for another one by itself,
# in the request that uses it.
_MARGIN = 60
_numbers = itertools.count()


class AccountKeys:
    """What one version of a keytab has for the account that the service runs as.

    :param keys: the keytab.
    :param account: the account's name, with or without its realm, in any case.
    :raises DelegationError: there is no key of it.
    """

    def __init__(self, keys: Keys, account: str, target: Target) -> None:
        if keys is KEYS_OF_GSSPROXY:
            raise DelegationError(
                "gssproxy has the keys, and delegation='constrained' needs a keytab that "
                "this server can read"
            )
        own = [key for key in keys.keytab.keys if _is_of(account, key)]
        if not own:
            raise DelegationError(
                f"{keys.keytab.name} has no key for the account {account}: export one, "
                f"beside those for {target.service}/"
            )
        self.version = keys.version
        self.principal = own[0].principal
        self.name = raw.import_name(
            self.principal.encode(), gssapi.NameType.kerberos_principal
        )
        self.memory = b"MEMORY:negotiate-wsgi-account-%d" % next(_numbers)
        self._handle = self._put_in_memory(keys.keytab.name)
        self._spns = _spns_by_key(own, keys.keytab.keys, target)
        self._named = {key.principal.lower() for key in keys.keytab.keys}

    def spn_of(self, ticket: Ticket) -> str | None:
        """The SPN of ours that a ticket is for, if it has the account's key; else None.

        What the ticket names in clear text, where the keytab has that key for it; it
        proves no more than any other SPN of the account would. Where the keytab has no
        key for it at all, the ticket may be for another name of the account.
        """
        spns = self._spns.get((ticket.kvno, ticket.enctype), {})
        named = ticket.spn.lower()
        if named in self._named:
            return spns.get(named)
        return next(iter(spns.values()), None)

    def _put_in_memory(self, keytab: str) -> Any:
        context = library().context()
        memory = krb5.kt_resolve(context, self.memory)
        for entry in krb5.kt_resolve(context, keytab.encode()):
            if str(entry.principal) == self.principal:
                krb5.kt_add_entry(
                    context,
                    memory,
                    entry.principal,
                    entry.kvno,
                    entry.timestamp,
                    entry.key,
                )
        return memory


def _is_of(account: str, key: Key) -> bool:
    """In Active Directory, case does not matter."""
    principal = key.principal.lower()
    return account.lower() in (principal, principal.rpartition("@")[0])


def _spns_by_key(
    own: list[Key], all_keys: tuple[Key, ...], target: Target
) -> dict[tuple[int | None, str], dict[str, str]]:
    """The SPNs of ours that have each of the account's keys, by what a ticket says."""
    marks: dict[tuple[int, str], set[int]] = {}
    for key in own:
        marks.setdefault((key.kvno, key.enctype), set()).add(key.mark)
    found: dict[tuple[int | None, str], dict[str, str]] = {}
    for key in all_keys:
        of_ticket = (key.kvno, key.enctype)
        # Of several keys with one kvno, nobody knows which one opens the ticket.
        if marks.get(of_ticket) == {key.mark} and target.admits(key.principal):
            found.setdefault(of_ticket, {})[key.principal.lower()] = key.principal
    return found


class OwnTicket:
    """A ticket-granting ticket of the account, in a cache in memory.

    To get it takes one exchange with the KDC, which may take as long as that likes.

    :raises DelegationError: the KDC gives none.
    """

    def __init__(self, account: AccountKeys) -> None:
        self.account = account
        self._name = b"MEMORY:negotiate-wsgi-own-%d" % next(_numbers)
        try:
            began = time.time()
            self.end = self._sign_on() - _MARGIN
        except (krb5.Krb5Error, AcceptorError) as error:
            raise DelegationError(
                f"the account {account.principal} gets no ticket with its key in the "
                f"keytab: {error}"
            ) from None
        # No sooner: threads that still use it have credentials that refer to it.
        weakref.finalize(self, destroy, self._name)
        if self.end <= began:
            raise DelegationError(
                f"the KDC gives the account {account.principal} a ticket for less than "
                f"{_MARGIN} seconds, such as before the account itself ends"
            )
        # Then it is time for another one.
        self.due = began + (self.end - began) / 2

    def credential(self, account: AccountKeys, is_for_a_replay: bool = False) -> Any:
        """To accept tickets for the account with, and to act for their users.

        :param account: the keys, which may be newer ones.
        :param is_for_a_replay: whether the replay cache is left alone.
        """
        mechanism = library().mechanism
        store: dict[bytes | str, bytes | str] = {
            b"keytab": account.memory,
            b"ccache": self._name,
        }
        if is_for_a_replay:
            store[b"rcache"] = b"none:"
        try:
            acquired = raw.acquire_cred_from(
                store, account.name, mechs=[mechanism, _SPNEGO], usage="both"
            )
        except raw.GSSError as error:
            raise DelegationError(text_of(error)) from None
        raw.set_neg_mechs(acquired.creds, [mechanism])
        return acquired.creds

    def _sign_on(self) -> float:
        """Ask the KDC. Returns when the ticket ends, in seconds since the epoch."""
        context = library().context()
        principal = krb5.parse_name_flags(context, self.account.principal.encode())
        keytab = krb5.kt_resolve(context, self.account.memory)
        options = krb5.get_init_creds_opt_alloc(context)
        ticket = krb5.get_init_creds_keytab(context, principal, options, keytab=keytab)
        # Not by GSSAPI and a client keytab: it would put a note beside the ticket, to
        # fetch the next one in some request.
        cache = krb5.cc_resolve(context, self._name)
        krb5.cc_initialize(context, cache, principal)
        krb5.cc_store_cred(context, cache, ticket)
        return float(ticket.times.endtime)
