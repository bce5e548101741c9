"""What the hidden blocks of a page use to see whether its visible ones work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from werkzeug.test import Client

sys.path.append(str(Path(__file__).parent.parent))
from initiator import Initiator


def ask(app, path="/", **options):
    """A stranger's request, in process: werkzeug's response."""
    return Client(app).get(path, **options)


def sign_on(app, path="/", user="alice", spn="HTTP/www.example.com", **options):
    """The same with the genuine ticket of alice, bob or root/admin."""
    headers = {**options.pop("headers", {}), "Authorization": authorization(user, spn)}
    return Client(app).get(path, headers=headers, **options)


def authorization(user="alice", spn="HTTP/www.example.com"):
    """The Authorization header of a client that is set up right."""
    ccache = Path(os.environ["KRB5CCNAME"]).with_name(
        f"{user.replace('/', '_')}.ccache"
    )
    return Initiator(str(ccache), f"{spn}@EXAMPLE.TEST").authorization
