"""``negotiate_wsgi.wsgi:application``: what the variables ``NEGOTIATE_*`` say, for any
server.
"""

import os

from negotiate_wsgi.settings import from_environ

application = from_environ(os.environ)
