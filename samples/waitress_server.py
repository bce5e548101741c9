"""Waitress in front of a protected application.

Shows   that waitress needs no setting: it takes tickets of any size as it is.
Run     negotiate-wsgi realm -- env PYTHONPATH=samples python samples/waitress_server.py
Expect  curl --negotiate --user : http://localhost:8004/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from waitress import serve
from wsgi_app import application

serve(application, listen="127.0.0.1:8004")
