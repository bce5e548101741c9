"""What is to be looked at, and what has been learnt of it so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from negotiate_wsgi.doctor.commands import Commands, Kadmin
from negotiate_wsgi.doctor.site import Answer, Site
from negotiate_wsgi.wire.keytab import Keytab

#: Stands for a host that nobody has named, in what is to be typed.
SOME_HOST = "<host-in-the-URL>"


@dataclass
class Setup:
    """What the checks look at; each leaves here what those after it need.

    :param service: first component of the SPNs.
    :param hosts: their hosts; empty for all in the keytab.
    :param keytab_name: as for `read_keytab`.
    :param acceptor: ``pykerberos``, ``gssapi`` or ``package.module:name``.
    :param url: of a page to ask, or None.
    :param tell: is told of what may take its time.
    """

    service: str = "HTTP"
    hosts: tuple[str, ...] = ()
    keytab_name: str | None = None
    acceptor: str = "pykerberos"
    url: str | None = None
    tell: Callable[[str], object] = lambda what: None

    # Learnt on the way:
    keytab: Keytab = field(default=Keytab("", ()), init=False)
    #: What clients may make of each host by DNS.
    canonical: dict[str, set[str]] = field(default_factory=dict, init=False)
    #: Whether a client here makes another name of a host before it asks the KDC.
    is_renamed: bool = field(default=False, init=False)
    #: Seconds that the KDC's clock is ahead of ours, None if it does not say.
    clock_ahead: float | None = field(default=None, init=False)
    site: Site = field(init=False)
    #: What the URL answers to a stranger.
    stranger: Answer = field(init=False)
    #: And to your ticket, None if that was not sent.
    signed_on: Answer | None = field(default=None, init=False)

    @property
    def spns(self) -> list[str]:
        """The keytab's principals of the service, and of the hosts, if any are given."""
        own = dict.fromkeys(key.principal for key in self.keytab.keys)
        prefixes = tuple(f"{self.service}/{host}@" for host in self.hosts)
        return [spn for spn in own if spn.startswith(prefixes or f"{self.service}/")]

    @property
    def merged(self) -> list[str]:
        """Principals with two different keys of the same kvno and encryption type."""
        keys = {
            (key.principal, key.kvno, key.enctype, key.mark) for key in self.keytab.keys
        }
        counted = Counter(key[:3] for key in keys)
        return sorted(
            {principal for (principal, _, _), count in counted.items() if count > 1}
        )

    @property
    def commands(self) -> Commands:
        """What to type at the KDC. Here stands the choice among the kinds of KDC."""
        return Kadmin(self.keytab.path)


def host_of(spn: str) -> str:
    """``www.example.com`` of ``HTTP/www.example.com@EXAMPLE.COM``."""
    return spn.partition("/")[2].rpartition("@")[0]
