"""The client's side: real tokens from real tickets, through python-gssapi.

Also a command, so that a token can be made under another clock: ``initiator.py CCACHE SPN`` prints
one in base64.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import gssapi

SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
FLAGS = gssapi.RequirementFlag
KRB5 = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")


class Initiator:
    """One negotiation for *spn*; ``token`` is its first and only leg.

    It is bound to the TLS connection with a server whose certificate makes *binding*.
    """

    def __init__(
        self, ccache, spn, mech=SPNEGO, mutual=True, delegate=False, binding=None
    ):
        flags = FLAGS.mutual_authentication if mutual else FLAGS.integrity
        if delegate:
            flags |= FLAGS.delegate_to_peer
        credentials = gssapi.Credentials(usage="initiate", store={"ccache": ccache})
        name = gssapi.Name(spn, gssapi.NameType.kerberos_principal)
        bindings = binding and gssapi.raw.ChannelBindings(application_data=binding)
        self.context = gssapi.SecurityContext(
            name=name, creds=credentials, mech=mech, flags=flags, usage="initiate",
            channel_bindings=bindings,
        )  # fmt: skip
        self.token = self.context.step()

    @property
    def authorization(self):
        return "Negotiate " + base64.b64encode(self.token).decode()

    def trusts(self, www_authenticate):
        """Whether a WWW-Authenticate value proves the acceptor: mutual authentication."""
        scheme, _, token = www_authenticate.partition(" ")
        assert scheme == "Negotiate"
        try:
            self.context.step(base64.b64decode(token))
            return self.context.complete
        except gssapi.exceptions.GSSError:
            return False


def token_at(offset, ccache, spn):
    """A token made by a client whose clock is *offset* (as faketime has it) from ours."""
    command = ["faketime", "-f", offset, sys.executable, __file__, ccache, spn]
    return base64.b64decode(subprocess.check_output(command, env=os.environ))


def prolong(ccache, seconds):
    """Make a client believe that the tickets in *ccache* end *seconds* later than they do."""
    data = bytearray(Path(ccache).read_bytes())
    for at in range(len(data) - 16):
        auth, start, end, _ = (
            int.from_bytes(data[at + i : at + i + 4], "big") for i in (0, 4, 8, 12)
        )
        # authtime, starttime, endtime and renew_till stand in a row in the file's format.
        if (
            auth > 1_700_000_000
            and 0 <= start - auth < 60
            and 0 < end - start <= 90_000
        ):
            data[at + 8 : at + 12] = (end + seconds).to_bytes(4, "big")
    Path(ccache).write_bytes(data)


if __name__ == "__main__":
    print(base64.b64encode(Initiator(*sys.argv[1:]).token).decode())
