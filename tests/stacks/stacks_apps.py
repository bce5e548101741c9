"""Applications and layers of others behind the middleware, each as its own manual has it."""

import os
from pathlib import Path

from negotiate_wsgi import NegotiateMiddleware, get_identity

HOME = Path(os.environ["STACK_HOME"])


def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = str(environ.get("REMOTE_USER")).encode()
    start_response(
        "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    )
    return [body]


def failing(environ, start_response):
    raise LookupError("the app's own")


application = NegotiateMiddleware(app)
optional = NegotiateMiddleware(app, required=False)


def dispatched():
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(app, {"/guarded": NegotiateMiddleware(app)})


def behind_proxy_fix():
    from werkzeug.middleware.proxy_fix import ProxyFix

    return ProxyFix(NegotiateMiddleware(app))


def flask_appbuilder():
    from flask import Flask, g
    from flask_appbuilder import AppBuilder
    from flask_appbuilder.const import AUTH_REMOTE_USER
    from flask_appbuilder.utils.legacy import get_sqla_class

    flask = Flask("fab")
    flask.config |= {
        "SECRET_KEY": "k" * 32,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{HOME}/fab.db",
        "AUTH_TYPE": AUTH_REMOTE_USER,
        "AUTH_USER_REGISTRATION": True,
        "AUTH_USER_REGISTRATION_ROLE": "Public",
    }
    database = get_sqla_class()()
    with flask.app_context():
        database.init_app(flask)
        AppBuilder(flask, database.session)

    @flask.get("/me")
    def me():
        return f"{g.user.username if g.user.is_authenticated else None}"

    flask.wsgi_app = NegotiateMiddleware(flask.wsgi_app)
    return flask


def radicale():
    from radicale import app as radicale_app
    from radicale import config

    configuration = config.load()
    configuration.update(
        {
            "auth": {"type": "remote_user"},
            "storage": {"filesystem_folder": str(HOME / "radicale")},
        },
        "stacks",
    )
    return NegotiateMiddleware(radicale_app.Application(configuration))


def wsgidav():
    from wsgidav.wsgidav_app import WsgiDAVApp

    (HOME / "dav").mkdir(exist_ok=True)
    (HOME / "dav" / "file").write_text("a file")
    return NegotiateMiddleware(
        WsgiDAVApp(
            {
                "provider_mapping": {"/": str(HOME / "dav")},
                "http_authenticator": {"trusted_auth_header": "REMOTE_USER"},
                "simple_dc": {"user_mapping": {"*": True}},
                "hotfixes": {"re_encode_path_info": True},
            }
        )
    )


def trac():
    from trac.admin.console import TracAdmin
    from trac.web.main import dispatch_request

    if not (HOME / "trac").exists():
        TracAdmin(str(HOME / "trac")).onecmd("initenv project sqlite:db/trac.db")
    os.environ["TRAC_ENV"] = str(HOME / "trac")
    return NegotiateMiddleware(dispatch_request)


def django_admin():
    import django
    from django.conf import settings
    from django.contrib import admin
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    contrib = "django.contrib"
    settings.configure(
        SECRET_KEY="k" * 50, ALLOWED_HOSTS=["localhost", "127.0.0.1"], ROOT_URLCONF="stacks_urls",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HOME / "django.db"}},
        INSTALLED_APPS=[f"{contrib}.{name}" for name in
                        ("admin", "auth", "contenttypes", "sessions", "messages")],
        MIDDLEWARE=[f"{contrib}.sessions.middleware.SessionMiddleware",
                    f"{contrib}.auth.middleware.AuthenticationMiddleware",
                    f"{contrib}.auth.middleware.RemoteUserMiddleware",
                    f"{contrib}.messages.middleware.MessageMiddleware"],
        AUTHENTICATION_BACKENDS=[f"{contrib}.auth.backends.RemoteUserBackend"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                    "OPTIONS": {"context_processors": [
                        "django.template.context_processors.request",
                        f"{contrib}.auth.context_processors.auth",
                        f"{contrib}.messages.context_processors.messages"]}}],
    )  # fmt: skip
    django.setup()
    import sys
    from types import ModuleType

    urls = sys.modules["stacks_urls"] = ModuleType("stacks_urls")
    urls.urlpatterns = [path("admin/", admin.site.urls)]
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User

    staff = {"is_staff": True, "is_superuser": True}
    User.objects.get_or_create(username="alice@EXAMPLE.TEST", defaults=staff)
    return NegotiateMiddleware(get_wsgi_application())


def opentelemetry(inside):
    """With every header recorded, and the spans written to a file."""
    os.environ["OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST"] = ".*"
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    spans = (HOME / "told").open("a", buffering=1)
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=spans)))
    if inside:
        return NegotiateMiddleware(
            OpenTelemetryMiddleware(app, tracer_provider=provider)
        )
    return OpenTelemetryMiddleware(NegotiateMiddleware(app), tracer_provider=provider)


def sentry(inside):
    """With everything that it may send, written to a file."""
    import json

    import sentry_sdk
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    def write(event, hint):
        with (HOME / "told").open("a") as told:
            told.write(json.dumps(event, default=repr))

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1", before_send=write, send_default_pii=True,
        include_local_variables=True, max_request_body_size="always",
    )  # fmt: skip
    if inside:
        return NegotiateMiddleware(SentryWsgiMiddleware(failing))
    return SentryWsgiMiddleware(NegotiateMiddleware(failing))


def flask_socketio():
    """The guard goes around SocketIO, which answers before Flask is asked."""
    from flask import Flask, request
    from flask_socketio import SocketIO

    flask = Flask("chat")
    socketio = SocketIO(flask, async_mode="threading")

    @socketio.on("connect")
    def connected():
        socketio.emit("hello", get_identity(request.environ).principal, to=request.sid)

    flask.wsgi_app = NegotiateMiddleware(flask.wsgi_app)
    return flask


def whitenoise(inside):
    from whitenoise import WhiteNoise

    (HOME / "static").mkdir(exist_ok=True)
    (HOME / "static" / "file").write_text("a file")
    if inside:
        return NegotiateMiddleware(
            WhiteNoise(app, root=HOME / "static", prefix="static")
        )
    return WhiteNoise(NegotiateMiddleware(app), root=HOME / "static", prefix="static")


def asgi():
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(application)
