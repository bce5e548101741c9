"""Sign-ons in the log as JSON, one object a line.

Shows   python-json-logger: the records of the logger `negotiate_wsgi` have their fields beside the
        message (reason, remedy, client, path, principal, spn and so on), and the formatter writes
        each of them. Refused tokens are warnings, who came in is told at INFO.
Run     negotiate-wsgi realm -- gunicorn --config samples/gunicorn.conf.py json_log:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST
"""

from logging.config import dictConfig

from plain_app import app

from negotiate_wsgi import NegotiateMiddleware

dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,  # gunicorn's own
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "{asctime} {levelname} {name} {process} {message}",
                "style": "{",
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {"negotiate_wsgi": {"level": "INFO", "handlers": ["stderr"]}},
    }
)
application = NegotiateMiddleware(app)
