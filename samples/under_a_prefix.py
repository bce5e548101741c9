"""A protected application mounted beside a public one.

Shows   sign-on for everything under /wiki, and for nothing else.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py under_a_prefix:application
Expect  curl http://localhost:8000/
        Hello stranger
        curl --negotiate --user : http://localhost:8000/wiki/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from plain_app import app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from negotiate_wsgi import NegotiateMiddleware

application = DispatcherMiddleware(app, {"/wiki": NegotiateMiddleware(app)})
