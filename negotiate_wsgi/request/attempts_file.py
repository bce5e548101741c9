"""Where do a host's processes count together? In a file beside krb5's replay cache.

The file has a header with a random key, and after it 512 buckets of 8 records. The key
decides which bucket a name belongs to, so that nobody can find names on purpose that
push another's record out of its bucket: that takes some 4000 other names and addresses
within the period. Each use opens the file, locks it and closes it: nothing can go wrong
when a process forks or changes its user, or when somebody deletes the file.

What is found at the path and is not such a file of this user's is left as it is, and
`AcceptorError` is raised: to begin anew would be a way to get more attempts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import stat
import struct
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from negotiate_wsgi.exceptions import AcceptorError
from negotiate_wsgi.reasons import Reason

MOST = 0xFFFF  #: that a record can count

_MAGIC = b"negotiate_wsgi: attempts, 1\n"
_HEADER = 128  # bytes. As long as a bucket, so that none lies in two pages.
_RECORD = struct.Struct("<8sIHB?")  # hash, time, failed, checked, is_told
_IN_BUCKET = 8
_BUCKET = _IN_BUCKET * _RECORD.size
_BUCKETS = 512
_SIZE = _HEADER + _BUCKETS * _BUCKET
_MOST_CHECKED = 0xFF

# O_NONBLOCK is for what another user may have put there: a pipe, or a file on lease.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_PATIENCE = 2.0  # seconds. The lock is held for microseconds, if nobody is stopped.
_PAUSE = 0.0005  # seconds
_LOCKS: dict[int, threading.Lock] = {}  # by process: a child is not to wait for ours


class Counter(NamedTuple):
    """One user's or one address's attempts.

    :param time: of the last failure; of the first attempt where none has failed. In
        seconds since 1970.
    :param failed: attempts that failed.
    :param checked: attempts that are being checked, or whose process has died.
    :param is_told: whether somebody has been denied since the last failure.
    """

    time: int = 0
    failed: int = 0
    checked: int = 0
    is_told: bool = False

    @property
    def in_all(self) -> int:
        if self.checked == _MOST_CHECKED:  # one more would not fit in the record
            return MOST
        return self.failed + self.checked

    @property
    def is_empty(self) -> bool:
        return self.failed == self.checked == 0

    def with_checked(self, change: int) -> Counter:
        """One more that is being checked, or one less."""
        return self._replace(checked=max(self.checked + change, 0))


class Table:
    """The counters in a file that is open and locked.

    All of it is read at once: with each call of the system Python lets other threads
    run, while the lock is held.
    """

    def __init__(self, file: int, content: bytearray) -> None:
        self._file = file
        self._content = content
        self._key = bytes(content[len(_MAGIC) : _HEADER])

    def get(self, name: str) -> Counter:
        """The counter of *name*, an empty one where there is none."""
        mark = self._mark(name)
        for record in self._bucket(mark):
            if record[0] == mark:
                return Counter(*record[1:])
        return Counter()

    def put(self, name: str, counter: Counter) -> None:
        """Keep *counter*, before all others of its bucket. The last falls out."""
        mark = self._mark(name)
        records = [record for record in self._bucket(mark) if record[0] != mark]
        if counter.is_empty:
            records.append((b"", *counter))
        else:
            records.insert(0, (mark, *counter))
        packed = b"".join(_RECORD.pack(*record) for record in records[:_IN_BUCKET])
        place = _place(mark)
        self._content[place : place + _BUCKET] = packed
        _write(self._file, packed, place)

    def _mark(self, name: str) -> bytes:
        text = name.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256")[:8]

    def _bucket(self, mark: bytes) -> Iterator[tuple[bytes, int, int, int, bool]]:
        place = _place(mark)
        return _RECORD.iter_unpack(self._content[place : place + _BUCKET])


def _place(mark: bytes) -> int:
    """Where the bucket is in the file."""
    return _HEADER + int.from_bytes(mark[:2]) % _BUCKETS * _BUCKET


@contextlib.contextmanager
def locked_table(directory: str | None = None) -> Iterator[Table]:
    """The counters of this host and user, with nobody else looking at them.

    Whoever can write to the directory can delete the file, if the directory has no
    sticky bit, and processes that see another directory by this name (``PrivateTmp=`` of
    systemd, containers) count for themselves.
    """
    path = path_of_attempts(directory)
    end = time.monotonic() + _PATIENCE
    # Threads wait here, in their turn; for the file only one of each process.
    in_this_process = _LOCKS.setdefault(os.getpid(), threading.Lock())
    if not in_this_process.acquire(timeout=_PATIENCE):
        raise _locked_for_long(path)
    try:
        file = _open_locked(path, end)
        try:
            yield Table(file, _content_of(file, path))
        finally:
            # Before it is closed: a child that was forked now has the same lock.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)
    except OSError as exc:
        with contextlib.suppress(OSError):
            _check(os.lstat(path), path)
        fault = f"uid {os.geteuid()} cannot use {path}: {exc.strerror}"
        raise _unusable(fault) from exc
    finally:
        in_this_process.release()


def path_of_attempts(directory: str | None = None) -> str:
    """Beside krb5's replay cache (open_default_rcache in rc_dfl.c of libkrb5), or in
    *directory*.
    """
    if directory is None:
        directory = "/var/tmp"  # noqa: S108
        for variable in ("TMPDIR", "KRB5RCACHEDIR"):
            directory = os.environ.get(variable, directory)
    return f"{directory}/negotiate_{os.geteuid()}.attempts"


def look_at_attempts(path: str) -> None:
    """Raises `AcceptorError` where what is at *path* cannot be one. Opens nothing."""
    found = os.lstat(path)
    _check(found, path)
    if found.st_size not in (0, _SIZE):
        raise _damaged(path)


def _open_locked(path: str, end: float) -> int:
    while True:
        file = os.open(path, _FLAGS, 0o600)
        try:
            _check(os.fstat(file), path)
            _lock(file, path, end)
            if os.fstat(file).st_nlink:
                return file
            # Deleted meanwhile: others count in the one that now has the name.
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _check(found: os.stat_result, path: str) -> None:
    """That no other user has made the file, can read its key, or change it."""
    uid = os.geteuid()
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(f"{path} is not a regular file: delete it")
    if found.st_uid != uid:
        raise _unusable(f"{path} belongs to uid {found.st_uid}, not {uid}: delete it")
    if found.st_mode & 0o077:
        raise _unusable(f"{path} is open to other users: delete it")
    if found.st_nlink > 1:
        raise _unusable(f"{path} has another name, too (a hard link): delete it")


def _lock(file: int, path: str, end: float) -> None:
    """Wait for it, but not for a process that is stopped."""
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_PAUSE)
    raise _locked_for_long(path)


def _content_of(file: int, path: str) -> bytearray:
    content = bytearray(os.pread(file, _SIZE + 1, 0))
    if len(content) <= _SIZE and not any(content[:_HEADER]):
        return _begin(file)  # new, or whoever began it has not come to the end
    if len(content) != _SIZE or not content.startswith(_MAGIC):
        raise _damaged(path)
    return content


def _begin(file: int) -> bytearray:
    """Make it a file of attempts, the header last: without one it is begun again."""
    header = _MAGIC + os.urandom(_HEADER - len(_MAGIC))
    records = bytes(_SIZE - _HEADER)
    _write(file, records, _HEADER)
    os.fsync(file)
    _write(file, header, 0)
    return bytearray(header + records)


def _write(file: int, content: bytes, place: int) -> None:
    written = os.pwrite(file, content, place)
    if written != len(content):
        raise OSError(0, "the disk is full")


def _damaged(path: str) -> AcceptorError:
    return _unusable(f"{path} is damaged, or of another version: delete it")


def _locked_for_long(path: str) -> AcceptorError:
    return _unusable(
        f"{path} has been locked for {_PATIENCE:g} seconds: find the process with "
        "lslocks, and continue or end it"
    )


def _unusable(fault: str) -> AcceptorError:
    return AcceptorError(Reason.ATTEMPTS_UNUSABLE, fault)
