"""Sign-on in front of an application that knows nothing of it, by configuration alone."""

from __future__ import annotations

import logging
import pkgutil
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from negotiate_wsgi.acceptors.gssapi import GssapiAcceptor
from negotiate_wsgi.exceptions import ConfigurationError, clear_locals
from negotiate_wsgi.request.exemptions import unless
from negotiate_wsgi.request.middleware import NegotiateMiddleware
from negotiate_wsgi.request.passwords import PasswordSignOn
from negotiate_wsgi.request.session import SessionCookie

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_PREFIX = "NEGOTIATE_"
_LOG_FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"
_KEYS = {"service", "hostname", "keytab"}
_OF_GSSAPI = {
    "active_directory",
    "group_sids",
    "indicators",
    "channel_binding",
    "certificate",
    "delegation",
    "delegation_account",
}
_FLAGS = dict.fromkeys(("yes", "true", "on", "1"), True)
_FLAGS |= dict.fromkeys(("no", "false", "off", "0"), False)
_ASK_WHO_MAY_COME_IN = {"groups", "users", "authorize"}
_logger = logging.getLogger("negotiate_wsgi")


def protect(app: WSGIApplication | str, **settings: Any) -> NegotiateMiddleware:
    """Put sign-on in front of *app*, in the words that a server's configuration has.

        gunicorn "negotiate_wsgi:protect('myapp:app', hostname='www.example.com')"

    *settings* are the options of `NegotiateMiddleware`, each of which may also be text:
    ``yes`` or ``no``, words with spaces or commas between them, a number, or
    ``package.module:name`` for an object. Beside them stand, for what would be an
    object in Python:

    - ``secret_key_file`` for ``session``: a file with a key of 32 bytes or more in its
      first line, and the keys of `SessionCookie`'s fallbacks, if any, in the following
      ones; or with one key that is no text, and nothing else. The cookie's other
      options are ``session_max_age``, ``session_name``, ``session_domain``,
      ``session_path``, ``session_secure`` and ``session_samesite``.
    - ``log_level``, such as ``WARNING``. Where neither the logger ``negotiate_wsgi``
      nor the root logger has a handler, that logger gets one, which writes to standard
      error, and the level INFO unless another is given here.
    - ``pykerberos`` or ``gssapi`` for ``acceptor``. A `GssapiAcceptor` is then given
      ``service``, ``hostname`` and ``keytab``, and what pykerberos cannot do:
      ``active_directory``, ``indicators`` (words, or ``yes`` to read them and need
      none), ``channel_binding``, ``certificate``, ``delegation``,
      ``delegation_account`` for its ``account``, and ``group_sids`` for its
      ``groups``, such as
      ``staff=S-1-5-21-1-2-3-1105, admins=S-1-5-21-1-2-3-1106``.
    - ``password_realm`` for ``passwords``, such as ``EXAMPLE.COM``, with
      ``password_form_path``, ``password_attempts`` and ``password_remember``: those
      arguments of `PasswordSignOn`.
    - the URL of a `ValkeyStore` for ``store``, with ``store_prefix``, ``store_refresh``
      and ``store_when_down``: those arguments of it.
    - ``exempt_paths``, ``exempt_prefixes`` and ``exempt_preflights`` for ``required``:
      the arguments of `unless`.

    :param app: the application, or ``package.module:name``, or
        ``package.module:factory()``.
    :raises ConfigurationError: *app* cannot be imported, or a setting is wrong or
        unknown.
    """
    return _protect(app, settings, str)


def from_environ(
    environ: Mapping[str, str], app: WSGIApplication | None = None
) -> NegotiateMiddleware:
    """The same by variables: ``NEGOTIATE_APP``, and ``NEGOTIATE_HOSTNAME`` and so on.

    :param app: in place of ``NEGOTIATE_APP``.
    :raises ConfigurationError: as `protect`, and where ``NEGOTIATE_APP`` is missing.
    """
    settings = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(_PREFIX)
    }
    del environ  # whoever traces exceptions stores the locals
    named = settings.pop("app", None)
    if app is None and named is None:
        raise ConfigurationError("NEGOTIATE_APP is missing: write 'package.module:app'")
    return _protect(app or str(named), settings, lambda name: _PREFIX + name.upper())


def paste_filter(
    app: WSGIApplication, global_conf: Mapping[str, str], **settings: str
) -> NegotiateMiddleware:
    """The same as a filter of PasteDeploy: ``use = egg:negotiate-wsgi``."""
    return protect(app, **settings)


def _protect(
    app: WSGIApplication | str, settings: dict[str, Any], spell: Callable[[str], str]
) -> NegotiateMiddleware:
    store = _take_store(settings, spell)
    unknown = sorted(settings.keys() - _READERS.keys())
    if unknown:
        known = ", ".join(map(spell, _READERS))
        raise ConfigurationError(
            f"no such setting: {', '.join(map(spell, unknown))} (of {known})"
        )
    options = {
        name: _read(name, spell(name), value)
        for name, value in settings.items()
        if name != "log_level"
    }
    _add_session(options, spell)
    _add_passwords(options, spell)
    if store is not None:
        options["store"] = store
    exempt = _taken("exempt_", options)
    if exempt:
        _need_free("required", "exempt_*", options, spell)
        options["required"] = unless(**exempt)
    if options.get("acceptor") is GssapiAcceptor:
        options["acceptor"] = _gssapi_acceptor(options)
    homeless = sorted(_OF_GSSAPI & options.keys())
    if homeless:
        raise ConfigurationError(
            f"{spell(homeless[0])} needs {spell('acceptor')}=gssapi"
        )
    guarded = NegotiateMiddleware(_import_app(spell("app"), app), **options)
    # After the app has been imported, which may configure the log, or switch ours off.
    _show_the_log(spell("log_level"), settings.get("log_level"))
    if "group_sids" in settings and not _ASK_WHO_MAY_COME_IN & settings.keys():
        _warn_that_everybody_may_come_in(spell)
    return guarded


def _add_session(options: dict[str, Any], spell: Callable[[str], str]) -> None:
    """Put one object in place of the options of its own."""
    own = _taken("session_", options)
    key_file = options.pop("secret_key_file", None)
    if key_file:
        _need_free("session", "secret_key_file", options, spell)
        options["session"] = _read_session(spell("secret_key_file"), key_file, own)
    elif own:
        raise ConfigurationError(
            f"{spell('session_*')} needs {spell('secret_key_file')}"
        )


def _add_passwords(options: dict[str, Any], spell: Callable[[str], str]) -> None:
    """Put one object in place of the options of its own."""
    own = _taken("password_", options)
    if not own:
        return
    _need_free("passwords", "password_*", options, spell)
    if "realm" not in own:
        raise ConfigurationError(
            f"{spell('password_*')} needs {spell('password_realm')}"
        )
    options["passwords"] = PasswordSignOn(**own)


def _take_store(settings: dict[str, Any], spell: Callable[[str], str]) -> Any:
    """Made of a URL and the options of its own, which are taken out of *settings* first:
    whoever traces exceptions stores the locals, and the URL has a password.
    """
    text = settings.pop("store", None)
    try:
        return _read_store(text, settings, spell)
    except ConfigurationError as problem:
        clear_locals(problem)
        raise
    finally:
        del text


def _read_store(
    text: Any, settings: dict[str, Any], spell: Callable[[str], str]
) -> Any:
    store = _read("store", spell("store"), text)
    options = {
        name: _read(name, spell(name), settings.pop(name))
        for name in settings.keys() & _READERS.keys()
        if name.startswith("store_")
    }
    options = _taken("store_", options)
    if isinstance(store, str):
        # Who has no store needs nothing of it.
        from negotiate_wsgi.stores.valkey import ValkeyStore

        return ValkeyStore(store, **options)
    if options:
        raise ConfigurationError(
            f"{spell('store_*')} needs {spell('store')}=valkeys://host:6379/0"
        )
    return store


def _warn_that_everybody_may_come_in(spell: Callable[[str], str]) -> None:
    _logger.warning(
        "%s names groups, and nothing says that only their members may come in: "
        "everybody may, unless the application asks. Write %s=...",
        spell("group_sids"),
        spell("groups"),
    )


def _gssapi_acceptor(options: dict[str, Any]) -> GssapiAcceptor:
    """Made with those of *options* that are its own, which are taken out of them."""
    own = _KEYS | _OF_GSSAPI
    taken = {name: options.pop(name) for name in own & options.keys()}
    if "group_sids" in taken:
        taken["groups"] = taken.pop("group_sids")
    if "delegation_account" in taken:
        taken["account"] = taken.pop("delegation_account")
    return GssapiAcceptor(**taken)


def _show_the_log(name: str, level: str | int | None) -> None:
    """Let an administrator see why a browser was refused without configuring anything."""
    levels = logging.getLevelNamesMapping()
    wanted = str(level or "INFO").strip().upper()
    if wanted not in levels:
        raise ConfigurationError(f"{name}={level!r}: write one of {', '.join(levels)}")
    _logger.disabled = False  # as logging.config leaves loggers that it does not know
    if level is None and _logger.hasHandlers():
        return
    _logger.setLevel(wanted)
    if not _logger.hasHandlers():
        handler = _Standby()
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        _logger.addHandler(handler)


class _Standby(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes as long as nobody else does.

    Some apps configure the root logger at the first request, as Radicale does. From
    then on, each line would be there twice.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


def _taken(prefix: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options whose name begins with *prefix*, taken out of *options*, without it."""
    names = [name for name in options if name.startswith(prefix)]
    return {name.removeprefix(prefix): options.pop(name) for name in names}


def _need_free(
    name: str, other: str, options: Mapping[str, Any], spell: Callable[[str], str]
) -> None:
    if name in options:
        raise ConfigurationError(f"{spell(name)} and {spell(other)} exclude each other")


def _read_session(name: str, path: str, options: dict[str, Any]) -> SessionCookie:
    try:
        mode = Path(path).stat().st_mode
        is_open = stat.S_ISREG(mode) and mode & (stat.S_IROTH | stat.S_IWOTH)
        content = b"" if is_open else Path(path).read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"{name}={path!r} cannot be read: {exc.strerror}"
        ) from exc
    if is_open:
        raise ConfigurationError(
            f"{name}={path!r} is open to every user of this machine: "
            f"run chmod o-rwx {path}"
        )
    keys = [content]
    if content.isascii():
        keys = [line.strip() for line in content.splitlines() if line.strip()] or [b""]
    try:
        return SessionCookie(keys[0], fallbacks=keys[1:], **options)
    finally:
        del content, keys  # whoever traces exceptions stores the locals


def _import_app(name: str, app: WSGIApplication | str) -> WSGIApplication:
    if not isinstance(app, str):
        return app
    found: Any = _object(name, app.removesuffix("()"))
    if app.endswith("()"):
        found = found()
    return found  # type: ignore[no-any-return]


def _object(name: str, text: str) -> Any:
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise ConfigurationError(f"{name}={text!r}: write 'package.module:name'")
    try:
        return pkgutil.resolve_name(text)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"{name}={text!r} cannot be imported: {exc}") from exc


def _read(name: str, spelling: str, value: Any) -> Any:
    """The value of the setting *name*: objects as they are, text as its reader has it."""
    if isinstance(value, str):
        return _READERS[name](spelling, value)
    return value


def _text(name: str, text: str) -> str:
    if not text.strip():
        raise ConfigurationError(f"{name} is empty: leave it out, or write a value")
    return text.strip()


def _words(name: str, text: str) -> list[str]:
    return re.split(r"[\s,]+", _text(name, text))


def _words_or_none(name: str, text: str) -> list[str]:
    return text.replace(",", " ").split()


def _flag(name: str, text: str) -> bool:
    flag = _FLAGS.get(text.strip().lower())
    if flag is None:
        raise ConfigurationError(f"{name}={text!r}: write yes or no")
    return flag


def _flag_or_words(name: str, text: str) -> bool | list[str]:
    words = _words(name, text)
    return _FLAGS.get(" ".join(words).lower(), words)


def _flag_or_object(name: str, text: str) -> Any:
    if ":" in text:
        return _object(name, text)
    return _flag(name, text)


def _acceptor(name: str, text: str) -> Any:
    word = text.strip().lower()
    if word == "gssapi":
        return GssapiAcceptor
    if word == "pykerberos":
        return None
    if ":" not in word:
        raise ConfigurationError(
            f"{name}={text!r}: write gssapi, pykerberos or package.module:name"
        )
    return _object(name, text)


def _url_or_object(name: str, text: str) -> Any:
    if "://" in text:
        return text.strip()
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        # Without the text, which may have a password.
        raise ConfigurationError(
            f"{name}: write a URL such as valkeys://host:6379/0, or package.module:name"
        )
    return _object(name, text)


def _sids(name: str, text: str) -> dict[str, str]:
    sids = {}
    for word in _words(name, text):
        group, _, sid = word.partition("=")
        if not sid:
            raise ConfigurationError(
                f"{name} has {word!r}: write name=SID, such as staff=S-1-5-21-1-2-3-1105"
            )
        if group in sids:
            raise ConfigurationError(f"{name} has {group} twice: write one SID for it")
        sids[group] = sid
    return sids


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]+\s*", text):
        raise ConfigurationError(f"{name}={text!r}: write a number")
    return int(text)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "service": _text,
    "hostname": _words,
    "keytab": _text,
    "required": _flag_or_object,
    "realms": _words,
    "users": _words,
    "groups": _words,
    "authorize": _object,
    "strip_realm": _flag,
    "user_header": _text,
    "session": _object,
    "passwords": _object,
    "store": _url_or_object,
    "trusted_origins": _words_or_none,
    "unauthorized": _object,
    "forbidden": _object,
    "discard_body": _number,
    "discard_seconds": _number,
    "on_decision": _object,
    "acceptor": _acceptor,
    "active_directory": _flag,
    "group_sids": _sids,
    "indicators": _flag_or_words,
    "channel_binding": _text,
    "certificate": _text,
    "delegation": _text,
    "delegation_account": _text,
    "log_level": _text,
    "secret_key_file": _text,
    "session_max_age": _number,
    "session_name": _text,
    "session_domain": _text,
    "session_path": _text,
    "session_secure": _flag,
    "session_samesite": _text,
    "password_realm": _text,
    "password_form_path": _text,
    "password_attempts": _number,
    "password_remember": _number,
    "store_prefix": _text,
    "store_refresh": _number,
    "store_when_down": _text,
    "exempt_paths": _words,
    "exempt_prefixes": _words,
    "exempt_preflights": _flag,
}
