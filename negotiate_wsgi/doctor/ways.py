"""Who else can change or replace a file? Whoever can, anywhere on the way to it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class Place:
    """A directory, a symbolic link or a file on the way to a file."""

    path: Path
    status: os.stat_result

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_open_to_all(self) -> bool:
        return self._is_open(stat.S_IWOTH)

    @property
    def is_open_to_its_group(self) -> bool:
        return self._is_open(stat.S_IWGRP)

    def _is_open(self, bit: int) -> bool:
        if self.is_link:
            return False  # its mode says nothing
        is_sticky = self.is_directory and bool(self.status.st_mode & stat.S_ISVTX)
        return bool(self.status.st_mode & bit) and not is_sticky


def way_to(path: Path) -> Iterator[Place]:
    """Each place that the kernel passes on its way to *path*, as far as we can go."""
    left = list(path.absolute().parts[1:])
    here = Path("/")
    yield Place(here, here.lstat())
    links = 0
    while left and links < _LINKS:
        name = left.pop(0)
        if name == "..":
            here = here.parent
            continue
        try:
            place = Place(here / name, (here / name).lstat())
        except OSError:
            return
        yield place
        if not place.is_link:
            here = place.path
            continue
        links += 1
        target = place.path.readlink()
        if target.is_absolute():
            here = Path("/")
        left = [part for part in target.parts if part != "/"] + left


@dataclass(frozen=True)
class Trust:
    """The users who may well be able to change a file: root, the server's, and us."""

    uids: frozenset[int]
    has_unknown_owners: bool = field(default=False)

    @classmethod
    def for_file(cls, path: Path) -> Trust:
        uids = {0, os.geteuid()}
        if os.geteuid() == 0:
            # We do not know the server's user: it is the one who was given the file.
            uids.add(path.stat().st_uid)
        return cls(frozenset(uids), _is_in_a_namespace())

    def in_owner(self, place: Place) -> bool:
        return place.status.st_uid in self.uids or self._is_unknown(place.status.st_uid)

    def in_group(self, place: Place) -> bool:
        """Whether nobody else is in the group, as far as this machine can know."""
        gid = place.status.st_gid
        if gid == 0 or self._is_unknown(gid):
            return True
        try:
            group = grp.getgrgid(gid)
            members = {pwd.getpwnam(name).pw_uid for name in group.gr_mem}
        except KeyError:
            return False
        members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
        if not members <= self.uids:
            return False
        # A directory service need not list whose primary group it is.
        return gid < 1000 or group.gr_name == name_of_user(place.status.st_uid)

    def _is_unknown(self, number: int) -> bool:
        return self.has_unknown_owners and number == 65534


def _is_in_a_namespace() -> bool:
    """Whether this user namespace lacks some users, which are then shown as 65534."""
    try:
        words = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    return words != ["0", "0", "4294967295"]


def name_of_user(uid: int) -> str:
    """The user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def name_of_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
