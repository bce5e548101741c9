#!/usr/bin/env python3
"""Does the library ever go by another authenticator than we read? As long as you like.

    tests/siege/authenticators.py SECONDS [SEED]      (in the environment that tests/run has made)

Genuine tokens of MIT's, Java's and Heimdal's clients are changed at random, byte by byte, and
element by element with lengths that are right again: doubled, left out, in other spellings, and
with elements of another genuine token beside their own. Each goes to both acceptors. Of what is
taken, the library's own replay cache says by which authenticator: ours must be that one, or none.
"""

import base64
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

import heimdal
from helpers import KRB5 as KRB5_OID
from helpers import der
from initiator import KRB5, SPNEGO, Initiator
from java import with_tickets

from negotiate_wsgi import Accepted, GssapiAcceptor
from negotiate_wsgi.acceptors.pykerberos import PykerberosAcceptor
from negotiate_wsgi.realm import Realm
from negotiate_wsgi.wire.authenticator import authenticator_in
from negotiate_wsgi.wire.der import Reader

ACCEPTORS = (GssapiAcceptor, PykerberosAcceptor)
#: MIT's file of replays begins with a seed. A record is the end of the authenticator's cipher,
#: which is its checksum, and a time (src/lib/krb5/rcache/rc_file2.c); all the rest is zeros.
#: Checksums of the encryption types with AES and SHA-1 have 12 bytes.
_SEED, _CHECKSUM, _TIME = 16, 12, 4
_GOOD_FOR = 100  # seconds, until tokens are made anew: after 300 all are refused


def tokens_of_mit(ccache, spn, count=2):
    return [
        Initiator(ccache, spn, mech=mech).token
        for mech in (SPNEGO, KRB5)
        for _ in range(count)
    ]


def tokens_of_java(directory, count=2):
    """Half of them in SPNEGO, half of them bare, by the tickets of the environment."""
    command = with_tickets(directory, "com.sun.security.jgss.initiate")
    return _printed([*command, TESTS / "Tokens.java", "HTTP@localhost", str(count)])


def tokens_of_heimdal(count=2):
    """As those of Java."""
    return _printed(
        [sys.executable, TESTS / "heimdal.py", "HTTP@localhost", str(count)]
    )


def _printed(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [base64.b64decode(line) for line in done.stdout.split()]


class Replays:
    """The replay cache of this process."""

    def __init__(self, directory):
        self.path = Path(directory) / "replays"
        self.name = f"file2:{self.path}"

    def clear(self):
        self.path.unlink(missing_ok=True)

    def has_only(self, authenticator):
        """Whether the library has seen that one since they were cleared, and no other."""
        content = self.path.read_bytes()[_SEED:]
        before, found, behind = content.partition(authenticator[-_CHECKSUM:])
        return bool(found) and not any(before) and not any(behind[_TIME:])


def elements(content):
    """The tags and contents of the elements in *content*; None where it is not a row of them."""
    reader = Reader(content)
    found = []
    while not reader.is_at_end:
        tag = content[reader.at]
        try:
            found.append((tag, reader.content(tag)))
        except ValueError:
            return None
    return found


def split(tag, content):
    """What stands before the elements in an element, and those; None where it has none."""
    start = 0
    if tag == 0x60 and content.startswith(KRB5_OID):
        start = len(KRB5_OID) + 2  # and TOK_ID, which is no element
    elif not tag & 0x20 and not (tag == 0x04 and content[:1] == b"\x60"):
        return None
    inner = elements(content[start:])
    return inner and (content[:start], inner)


def collect(content, pool):
    """All elements of a token, by their tags: the decoys."""
    for tag, inner in elements(content) or ():
        pool.setdefault(tag, []).append(der(tag, inner))
        parts = split(tag, inner)
        if parts:
            collect(b"".join(der(*part) for part in parts[1]), pool)


def _other_length(tag, content, chance):
    """The same element with a length, or a tag, that is not in its shortest form."""
    kind = chance.randrange(4)
    if kind == 0:
        return bytes([tag, 0x80]) + content + b"\0\0"
    if kind == 1:
        head = bytes([tag | 0x1F, tag & 0x1F])
        return head + der(0, content)[1:]
    size = chance.choice([1, 2, 3, 4, 8])
    length = len(content).to_bytes(8, "big")
    if any(length[: 8 - size]):
        size = 4
    return bytes([tag, 0x80 | size]) + length[8 - size :] + content


def _other_content(tag, content, chance):
    kind = chance.randrange(3)
    if kind == 0 and len(content) < 8:
        return der(tag, b"\0" + content)
    if kind == 1:
        return der(tag | 0x20, der(tag & ~0x20, content))
    half = len(content) // 2
    return der(tag | 0x20, der(4, content[:half]), der(4, content[half:]))


def _fate(part, tag, content, pool, chance):
    """What becomes of an element, and what stands beside it."""
    decoy = chance.choice(pool.get(tag, [part]))
    kind = chance.randrange(9)
    if kind == 0:
        return part + part
    if kind == 1:
        return part + decoy
    if kind == 2:
        return decoy + part
    if kind == 3:
        return decoy
    if kind == 4:
        return b""
    if kind == 5:
        return part + chance.choice(
            [b"\xa5\2\5\0", b"\0\0", b"\5\0", b"\xa3\0", b"\xa5" + part[1:]]
        )
    if kind == 6:
        other = chance.choice(pool[chance.choice(list(pool))])
        return chance.choice([part + other, other + part])
    if kind == 7:
        return _other_length(tag, content, chance)
    return _other_content(tag, content, chance)


def respelled(token, pool, chance, rate=0.03):
    """*token* with changes to its elements, whose lengths are made right again."""
    found = elements(token)
    if not found:
        return token
    parts = []
    for tag, content in found:
        within = split(tag, content)
        inner = content
        if within:
            row = b"".join(der(*each) for each in within[1])
            inner = within[0] + respelled(row, pool, chance, rate)
        part = der(tag, inner)
        if chance.random() < rate:
            part = _fate(part, tag, inner, pool, chance)
        parts.append(part)
    if chance.random() < rate / 4:
        chance.shuffle(parts)
    return b"".join(parts)


def mutated(token, others, chance):
    """*token* after a few changes of its bytes."""
    changed = bytearray(token)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(min(len(changed), 1500))
        if chance.random() < 0.5:
            at = chance.randrange(min(len(changed), 90))
        kind = chance.randrange(6)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del changed[at : at + chance.randint(1, 4)]
        elif kind == 3:
            changed[at:at] = chance.randbytes(chance.randint(1, 4))
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            changed[at:at] = other[start : start + chance.randint(1, 400)]
        else:
            changed[at:at] = changed[at : at + chance.randint(2, 60)]
    return bytes(changed)


def changes(genuine, chance):
    """Changed tokens without end."""
    pool = {}
    for token in genuine:
        collect(token, pool)
    while True:
        token = chance.choice(genuine)
        if chance.random() < 0.7:
            changed = respelled(token, pool, chance, chance.choice([0.01, 0.03, 0.1]))
        else:
            changed = mutated(token, genuine, chance)
        if changed and changed not in genuine:
            yield changed


def by_fingerprint(token, accepted):
    assert authenticator_in(token) == accepted.fingerprint()
    return accepted.fingerprint()


def attack(acceptors, genuine, replays, seed, is_over, read=by_fingerprint):
    """How many tokens were tried, taken, and of these malformed to us, until ``is_over()``.

    Raises `AssertionError` where *read* sees another authenticator than the library.
    """
    known = {authenticator_in(token) for token in genuine}
    assert len(known) == len(genuine)
    counts = Counter()
    for changed in changes(genuine, random.Random(seed)):
        if is_over():
            return counts
        counts["tried"] += 1
        for acceptor in acceptors:
            replays.clear()
            accepted = acceptor.accept(changed)
            if not isinstance(accepted, Accepted):
                continue
            counts["taken"] += 1
            fingerprint = read(changed, accepted)
            counts["malformed"] += not fingerprint
            is_right = fingerprint in known and replays.has_only(fingerprint)
            assert not fingerprint or is_right, f"seed {seed}: {changed.hex()}"
    raise AssertionError("unreachable")


def all_tokens(realm):
    genuine = tokens_of_mit(realm.ccache("alice"), f"HTTP/localhost@{realm.name}", 4)
    genuine += tokens_of_java(realm.directory, 4)
    if heimdal.is_there():
        genuine += tokens_of_heimdal(4)
    return genuine


def main(seconds, seed=None):
    seed = random.randrange(2**32) if seed is None else int(seed)
    end = time.monotonic() + float(seconds)
    counts = Counter()
    with Realm(users=["alice"]) as realm:
        os.environ |= realm.environ
        replays = Replays(realm.directory)
        os.environ["KRB5RCACHENAME"] = replays.name
        acceptors = [make() for make in ACCEPTORS]
        while time.monotonic() < end:
            genuine = all_tokens(realm)
            counts["genuine"] += len(genuine)
            until = min(end, time.monotonic() + _GOOD_FOR)
            counts += attack(
                acceptors,
                genuine,
                replays,
                seed,
                lambda end=until: time.monotonic() >= end,
            )
            seed += 1
    print(f"{seconds} s: {dict(counts)}")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        tempfile.tempdir = directory
        sys.exit(main(*sys.argv[1:]))
