"""A Django site whose users are those of the realm.

Shows   Django's own RemoteUserMiddleware and RemoteUserBackend: who signs on for the first time
        becomes a User, with all that Django offers users.
Run     negotiate-wsgi realm -- env SECRET_KEY="$(openssl rand -hex 32)" gunicorn --config samples/gunicorn.conf.py django_app:application
Expect  curl --negotiate --user : http://localhost:8000/    (in the realm)
        Hello alice@EXAMPLE.TEST, user number 1
"""

import os

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from negotiate_wsgi import NegotiateMiddleware

settings.configure(
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["SECRET_KEY"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
    # In memory, so that the sample leaves nothing behind; shared by the threads of a worker.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:people?mode=memory&cache=shared",
            "OPTIONS": {"uri": True},
        }
    },
)
django.setup()
call_command("migrate", verbosity=0)


def hello(request: HttpRequest) -> HttpResponse:
    user = request.user
    return HttpResponse(f"Hello {user.get_username()}, user number {user.pk}\n")


urlpatterns = [path("", hello)]
application = NegotiateMiddleware(get_wsgi_application())
