"""``negotiate_wsgi.wsgi:application``: what the variables ``NEGOTIATE_*`` say, for any server."""

import os

from negotiate_wsgi.mount import from_environ

application = from_environ(os.environ)
