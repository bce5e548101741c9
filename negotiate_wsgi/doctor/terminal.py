"""Who sits at the terminal? A password is typed there, and nowhere else."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass

from negotiate_wsgi.reasons import Refusal
from negotiate_wsgi.wire.authorization import Password, checked_password
from negotiate_wsgi.wire.printable import printable


@dataclass(frozen=True)
class Terminal:
    """That of this process."""

    @classmethod
    def of_this_process(cls) -> Terminal | None:
        """None where nobody is there to type."""
        return cls() if sys.stdin.isatty() else None

    def ask_for_user(self, realm: str) -> str:
        """The name that somebody types, or an empty string."""
        # Not by input(), which writes to the standard output, where findings stand.
        sys.stderr.write(f"User name in {printable(realm)}: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip()

    def ask_for_password(
        self, user: str, realm: str
    ) -> tuple[str, Password] | Refusal | None:
        """What `checked_password` makes of *user* and of what is typed unseen.

        None where the terminal was closed.
        """
        asked = printable(
            f"Password for {user}@{realm} (tried once; a wrong one counts at the KDC): "
        )
        try:
            return checked_password(user, getpass.getpass(asked))
        except EOFError:
            return None
