"""How often has it been tried? Failed passwords, by user and by address.

An attempt is counted before the KDC is asked, so that no number of requests at a time
gets more than the limit through. It stands as one that is being checked until it is
said how it ended: `Attempts.fail`, `Attempts.succeed` or `Attempts.give_back`. Only
failures begin the time anew: else the successes of many users behind one address would
keep its failures for ever.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from negotiate_wsgi.request.attempts_file import MOST, Counter, Table, locked_table

_NO_ADDRESS = "unknown"
_MOST_LETTERS = 300  # of a user name: 256 that were typed, and some marks
_BASE = re.compile(
    "(?:LATIN|HIRAGANA|KATAKANA)(?: SMALL)?(?: LETTER| LIGATURE)"
    "(?: SMALL)?(?: DOTLESS)? ([A-Z]+)(?: WITH .*)?"
)


@dataclass(frozen=True)
class Denied:
    """The KDC may not be asked.

    :param retry_after: seconds until it may, 1 or more.
    :param is_first: whether nobody was denied for these failures before: later ones are
        not news for the log.
    :param whose: ``"user"``, ``"address"`` or ``"user and address"``: whose limit it is.
    :param is_busy: failures alone do not reach the limit, but they would if all that
        are being checked failed. It may be otherwise in a moment. Never news.
    """

    retry_after: int
    is_first: bool
    whose: str
    is_busy: bool


class Attempts:
    """Failed passwords of one host, in a file that all its processes share.

    Nothing is opened before the first password, and nothing stays open after it. Each
    method raises `AcceptorError` where the file cannot be used.

    :param of_user: failures of one user until *period* seconds have passed without one.
        As seen from a KDC there may be one less than twice as many, where a user's
        right password comes while guesses are on their way.
    :param of_address: the same for one address.
    :param period: seconds, many more than a KDC takes to answer. The file has whole
        seconds, so that it may take one more.
    :param directory: where the file is; None for that of krb5's replay cache.
    """

    def __init__(
        self,
        of_user: int,
        of_address: int,
        period: int,
        *,
        directory: str | None = None,
    ) -> None:
        self._of_user = min(of_user, MOST)
        self._of_address = min(of_address, MOST)
        self.period = period
        self._directory = directory

    def take(self, user: str, address: str) -> Denied | None:
        """Count one for both before the KDC is asked; or deny, and count nothing.

        :param user: as typed.
        :param address: REMOTE_ADDR, or an empty string.
        """
        limits = self.limits(user, address)
        with locked_table(self._directory) as table:
            found = self._found(table, limits)
            denied = self._denied(table, limits, found)
            if denied:
                return denied
            busy = [name for name in limits if found[name].in_all >= limits[name]]
            if busy:
                return Denied(1, False, whose_are(busy), is_busy=True)
            for name, counter in found.items():
                table.put(name, counter.with_checked(+1))
        return None

    def charge(self, address: str) -> Denied | None:
        """Count a failure of *address* alone, where nothing has to be checked; or deny.

        It costs a request little, and the server a while in which it waits.
        """
        limits = self.limits_of_address(address)
        with locked_table(self._directory) as table:
            found = self._found(table, limits)
            denied = self._denied(table, limits, found)
            if denied is None:
                for name, counter in found.items():
                    _fail(table, name, counter)
        return denied

    def fail(self, user: str, address: str) -> None:
        """The KDC has refused the password."""
        with locked_table(self._directory) as table:
            for name, counter in self._found(table, self.limits(user, address)).items():
                _fail(table, name, counter.with_checked(-1))

    def succeed(self, user: str, address: str) -> None:
        """The password is right: the user's failures are forgotten, the address keeps
        those of others.
        """
        with locked_table(self._directory) as table:
            name = counter_of_user(user)
            counter = table.get(name).with_checked(-1)
            table.put(name, counter._replace(failed=0))
            _give_back(table, counter_of_address(address))

    def give_back(self, user: str, address: str) -> None:
        """The KDC did not say whether the password is right."""
        with locked_table(self._directory) as table:
            _give_back(table, counter_of_user(user))
            _give_back(table, counter_of_address(address))

    def limits(self, user: str, address: str) -> dict[str, int]:
        """How many failures each counter may have, by its name."""
        return {
            counter_of_user(user): self._of_user,
            counter_of_address(address): self._of_address,
        }

    def limits_of_address(self, address: str) -> dict[str, int]:
        """The same of an address alone."""
        return {counter_of_address(address): self._of_address}

    def _found(self, table: Table, names: Iterable[str]) -> dict[str, Counter]:
        now = _now()
        return {name: self._current(table, name, now) for name in names}

    def _current(self, table: Table, name: str, now: int) -> Counter:
        """What still counts of the counter *name*."""
        counter = table.get(name)
        if counter.time > now:
            # The clock was put back. Kept, else each look would begin the time anew.
            counter = counter._replace(time=now)
            table.put(name, counter)
        if now - counter.time > self.period:
            return Counter(time=now)
        return counter

    def _denied(
        self, table: Table, limits: dict[str, int], found: dict[str, Counter]
    ) -> Denied | None:
        full = {
            name: counter
            for name, counter in found.items()
            if counter.failed >= limits[name]
        }
        if not full:
            return None
        last = max(counter.time for counter in full.values())
        is_first = False
        for name, counter in full.items():
            if not counter.is_told:
                is_first = True
                table.put(name, counter._replace(is_told=True))
        retry_after = last + self.period + 1 - _now()
        return Denied(retry_after, is_first, whose_are(full), is_busy=False)


def _now() -> int:
    """Of the wall clock: it alone goes on when the machine starts again."""
    return int(time.time())


def _fail(table: Table, name: str, counter: Counter) -> None:
    failed = min(counter.failed + 1, MOST)
    table.put(name, counter._replace(time=_now(), failed=failed, is_told=False))


def _give_back(table: Table, name: str) -> None:
    table.put(name, table.get(name).with_checked(-1))


def counter_of_user(user: str) -> str:
    return f"user {same_user(user)}"


def counter_of_address(address: str) -> str:
    return f"address {same_address(address)}"


def whose_are(names: Iterable[str]) -> str:
    return " and ".join(name.partition(" ")[0] for name in names)


def same_user(typed: str) -> str:
    """One text for all that a KDC may take for the same user.

    Else there would be a counter for each spelling, and a KDC that locks the account
    would count them all. MIT's compares bytes, Samba's without case and with any number
    of spaces for one, Active Directory's ([MS-ADTS] section 6.5.1) also without
    diacritics, width and the difference of Hiragana and Katakana: ``Ålicé`` and
    ``alice`` are one account. Its sort weights are not in Python, so this is
    what comes nearest: compatibility decomposition without marks, then the letter that
    a character's name has before WITH. Where two users have one text, they
    share a counter, and the success of one forgets the failures of the other.
    """
    text = " ".join(typed.split())
    if text.isascii():
        return text.lower()
    for _ in range(2):  # as in definition D146 of the Unicode standard, section 3.13
        # Some characters become eighteen.
        text = unicodedata.normalize("NFKD", text)[:_MOST_LETTERS].casefold()
    text = "".join(map(_base, unicodedata.normalize("NFKD", text)))
    return " ".join(text.split())


def _base(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character)[0] in "MC":  # marks, and what is not seen
        return ""
    named = _BASE.fullmatch(unicodedata.name(character, ""))
    if named is None:
        return character
    return named[1].lower()


def same_address(remote: str) -> str:
    """One text for all addresses that one client can choose from.

    That is all of an IPv6 network of 64 bits (RFC 6177 section 2: no site gets less).
    What is not an address is one client: a Unix socket has none, and what a proxy lets
    through as one may be what a client likes.
    """
    try:
        address = ip_address(remote)
    except ValueError:
        return _NO_ADDRESS
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::/64"
