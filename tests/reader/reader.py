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


def sign_on(
    app, path="/", user="alice", spn="HTTP/www.example.com", delegate=False, **options
):
    """The same with the genuine ticket of alice, bob or root/admin, who may delegate."""
    signed = authorization(user, spn, delegate)
    headers = {**options.pop("headers", {}), "Authorization": signed}
    return Client(app).get(path, headers=headers, **options)


_CCACHE = Path(os.environ["KRB5CCNAME"])


def authorization(user="alice", spn="HTTP/www.example.com", delegate=False):
    """The Authorization header of a client that is set up right."""
    ccache = str(_CCACHE.with_name(f"{user.replace('/', '_')}.ccache"))
    return Initiator(ccache, f"{spn}@EXAMPLE.TEST", delegate=delegate).authorization
