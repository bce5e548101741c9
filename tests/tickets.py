"""What realms of MIT's and of Active Directory have in common: users with tickets, and a keytab."""

from __future__ import annotations

from pathlib import Path

from initiator import Initiator


class Tickets:
    """For whoever has a realm's ``name``, a ``keytab``, and the ``ccache`` of each of its users.

    All tests of a process share it. What one of them does to the keytab or to a user's tickets is
    undone before the next one, so that any order of tests is as good as any other.
    """

    def keep(self):
        """From here on, `put_back` restores the keytab and the tickets as they are now."""
        files = [self.keytab, self.ccache("alice"), self.ccache("bob")]
        self._kept = {Path(file): Path(file).read_bytes() for file in files}

    def put_back(self):
        for file, content in self._kept.items():
            if not file.exists() or file.read_bytes() != content:
                new = file.with_suffix(".new")
                new.touch(0o600)  # Heimdal does not use tickets that others can read
                new.write_bytes(content)
                new.rename(file)

    def principal(self, user="alice"):
        return f"{user}@{self.name}"

    def initiator(self, spn="HTTP/localhost", user="alice", **options):
        return Initiator(self.ccache(user), f"{spn}@{self.name}", **options)

    def authorization(self, spn="HTTP/localhost", user="alice", **options):
        return self.initiator(spn, user, **options).authorization

    def token(self, spn="HTTP/localhost", user="alice", **options):
        return self.initiator(spn, user, **options).token
