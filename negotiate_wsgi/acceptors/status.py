"""What does the library's status mean? Major codes and krb5's texts, as reasons."""

from __future__ import annotations

import functools
import os
import re

from negotiate_wsgi.acceptors.protocol import Refused
from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason
from negotiate_wsgi.wire.ticket import Ticket

# RFC 2744 section 3.9.1: routine errors stand in bits 16 to 23, calling errors above
# them.
BAD_BINDINGS = 4 << 16
_NO_CREDENTIAL = 7 << 16
_FAILURE = 13 << 16
# With _FAILURE where krb5.conf is damaged.
_NO_MECHANISM = "SPNEGO cannot find mechanisms to negotiate"
_BY_MAJOR = {
    1 << 16: Reason.UNSUPPORTED_MECHANISM,  # GSS_S_BAD_MECH
    BAD_BINDINGS: Reason.CHANNEL_BINDINGS_WRONG,
    9 << 16: Reason.MALFORMED,  # GSS_S_DEFECTIVE_TOKEN
    # GSS_S_CALL_INACCESSIBLE_READ | GSS_S_BAD_NAME: the binding asked for a name too
    # early, because the negotiation was not complete (GSS_S_CONTINUE_NEEDED).
    (1 << 24) | (2 << 16): Reason.NEEDS_ANOTHER_LEG,
}

# Minor codes differ from process to process, so the text decides. An SPN in it is the
# client's choice: every pattern is matched as a whole, with the library's own words
# around the SPN. fmt: off
_TEXTS = [
    (r"Request is a replay", Reason.REPLAYED),
    (r"Ticket expired", Reason.EXPIRED),
    (r"Clock skew too great|Ticket not yet valid", Reason.CLOCK_SKEW),
    (
        r"Request ticket server SPN kvno \d+ not found in keytab; ticket is likely out of date",
        Reason.STALE_TICKET,
    ),
    (
        r"Request ticket server SPN kvno \d+ not found in keytab; keytab is likely out of date",
        Reason.STALE_KEYTAB,
    ),
    (
        r"Request ticket server SPN (kvno \d+ )?found in keytab but not with enctype \S+",
        Reason.ENCTYPE_MISSING,
    ),
    (
        r"Request ticket server SPN kvno \d+ enctype \S+ found in keytab but cannot decrypt ticket",
        Reason.WRONG_KEY,
    ),
    (
        r"Request ticket server SPN not found in keytab( \(ticket kvno \d+\))?",
        Reason.SPN_NOT_IN_KEYTAB,
    ),
    (
        r"Decrypt integrity check failed|Cannot decrypt ticket for SPN",
        Reason.WRONG_KEY,
    ),
    (
        r"Encryption type \S+ not permitted|KDC has no support for encryption type",
        Reason.ENCTYPE_MISSING,
    ),
    # "Success" is what the library says of ASN.1 inside the token that it cannot read.
    (r"Token header is malformed or corrupt|Success|ASN\.1 .*", Reason.MALFORMED),
]
_REPLAY_CACHE = r"(?i)(?!Request ticket)(?:[^(]* \(filename: (?P<path>.*)\)|.*replay (?:cache|information)\b.*)"
# fmt: on


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """Made for the first refusal, and kept: a server that starts need not wait."""
    return re.compile(text.replace("SPN", "(?P<spn>.*?)"), re.DOTALL)


def is_for_want_of_a_credential(major: int, minor_text: str) -> bool:
    """Whether it says that the acceptor has no key to accept with."""
    return major == _NO_CREDENTIAL or (
        major == _FAILURE and minor_text == _NO_MECHANISM
    )


def classify(
    major: int, major_text: str, minor_text: str, ticket: Ticket | None
) -> Refused:
    """The refusal for a status of ``gss_accept_sec_context``.

    :param major: the major code, RFC 2744 section 3.9.1.
    :param major_text: what the library says of it.
    :param minor_text: what krb5 says of the minor code, whose number is not stable.
    :param ticket: what the token says in clear text: the client's own words.

    Raises `AcceptorError` where the replay cache is at fault.
    """
    if major in _BY_MAJOR:
        return Refused(_BY_MAJOR[major], major_text)
    if major != _FAILURE:
        return Refused(Reason.UNKNOWN, f"{major_text}: {minor_text}")
    # A text with the client's own words in it proves no fault of ours.
    is_the_librarys = ticket is not None and ticket.spn not in minor_text
    cache = _pattern(_REPLAY_CACHE).fullmatch(minor_text)
    if cache and is_the_librarys:
        where = (
            f"the directory {os.path.dirname(cache['path'])}" if cache["path"] else "it"
        )
        fault = f"uid {os.geteuid()} cannot use {where}: {minor_text}"
        raise AcceptorError(Reason.REPLAY_CACHE_UNUSABLE, fault)
    for text, reason in _TEXTS:
        match = _pattern(text).fullmatch(minor_text)
        if match:
            return Refused(reason, minor_text, spn=match.groupdict().get("spn"))
    return Refused(Reason.UNKNOWN, minor_text)


def uses_gssproxy() -> bool:
    """Whether gssproxy accepts for this process, with keys that it alone can read."""
    return os.environ.get("GSS_USE_PROXY", "").lower() in ("1", "on", "true", "yes")


def krb5_conf_fault() -> AcceptorError:
    """The fault where the library cannot even begin, because of its configuration."""
    path = os.environ.get("KRB5_CONFIG", "/etc/krb5.conf")
    fault = f"uid {os.geteuid()} cannot read {path}, or it is damaged"
    return AcceptorError(Reason.KRB5_CONF_UNUSABLE, fault)


def gssproxy_fault() -> AcceptorError:
    """The fault where neither a keytab nor gssproxy has a key for this process."""
    fault = (
        f"gssproxy gives uid {os.geteuid()} no key to accept with, "
        "and there is no keytab that it can read itself"
    )
    return AcceptorError(Reason.KEYTAB_UNUSABLE, fault)


def path_of_keytab(name: str) -> str:
    """The path of a keytab's file, whose name may begin with the kind that krb5 has for
    files.
    """
    return name.removeprefix("FILE:").removeprefix("WRFILE:")


def keytab_fault(name: str) -> AcceptorError:
    """The fault of the keytab *name*, of which no key can be used."""
    path = path_of_keytab(name)
    try:
        with open(path, "rb") as keytab:
            keytab.read(1)
    except FileNotFoundError:
        fault = f"the keytab {path} does not exist"
    except OSError as exc:
        fault = (
            f"the keytab {path} cannot be read by uid {os.geteuid()}: {exc.strerror}"
        )
    else:
        fault = f"the keytab {path} is empty, damaged or without a usable key"
    return AcceptorError(Reason.KEYTAB_UNUSABLE, fault)
