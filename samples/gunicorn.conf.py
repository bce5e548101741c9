"""Settings of gunicorn for tickets of any size, and for an access log that names the user.

Shows   the header limit lifted: the ticket of a user in many groups is larger than gunicorn's
        default of 8190 bytes, and would be answered with 431. And the user in the access log,
        where one is asked for (`--access-logfile -`): gunicorn's own %(u)s knows only Basic's.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

import os

bind = "127.0.0.1:8000"
chdir = os.path.dirname(os.path.abspath(__file__))
wsgi_app = "wsgi_app:application"
workers = 2
threads = 4
limit_request_field_size = 131072  # bytes: 64 KiB in base64, and then some; 0 is 8190
control_socket_disable = True
access_log_format = (
    '%(h)s "%({REMOTE_USER}e)s" %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
)
