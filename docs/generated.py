"""What the reference says of the code is read from the code when the manual is built.

A page asks for it by a comment in a line of its own, ``<!-- generated: reasons -->``, with
the name of a function of this module, and gives its arguments after the name.
"""

from __future__ import annotations

import argparse
import inspect
import io
import logging
import re
import textwrap
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.pycode import ModuleAnalyzer

from negotiate_wsgi import NegotiateMiddleware, Reason, settings
from negotiate_wsgi.__main__ import build_parser
from negotiate_wsgi.doctor.run import gather
from negotiate_wsgi.request import environ as environ_keys_module
from negotiate_wsgi.testing import PretendRealm

_ASKED = re.compile(r"^<!-- generated: (.*?) -->$", re.MULTILINE)


def public_names(module: str) -> list[str]:
    """What others may rely on: ``__all__``, or where there is none, what is defined there
    and has no underscore.
    """
    found = import_module(module)
    if hasattr(found, "__all__"):
        return list(found.__all__)
    own = [
        name
        for name, value in vars(found).items()
        if getattr(value, "__module__", None) == module or is_fixture(value)
    ]
    return [name for name in own if not name.startswith("_")]


def is_fixture(value: Any) -> bool:
    """Whether *value* is a fixture of pytest."""
    return type(value).__name__ == "FixtureFunctionDefinition"


def api(module: str) -> str:
    """The public names of *module*, each by autodoc."""
    parts = []
    for name in public_names(module):
        value = getattr(import_module(module), name)
        if is_fixture(value):
            parts.append(_fixture(name, value))
        elif inspect.isclass(value) and issubclass(value, Exception):
            parts.append(f".. autoexception:: {module}.{name}\n   :members:\n")
        elif inspect.isclass(value):
            parts.append(f".. autoclass:: {module}.{name}\n   :members:\n{_LEFT_OUT}\n")
        else:
            parts.append(f".. autofunction:: {module}.{name}\n")
    return _rst("\n".join(parts))


#: What the package's own modules need of each other's objects.
_LEFT_OUT = (
    "   :exclude-members: signers, of, keytab, check_password, attempts_directory\n"
)


def _fixture(name: str, value: Any) -> str:
    function = inspect.unwrap(value._get_wrapped_function())
    scope = value._fixture_function_marker.scope
    text = textwrap.indent(inspect.cleandoc(function.__doc__), "   ")
    return f".. py:data:: {name}\n\n   Fixture, scope *{scope}*.\n\n{text}\n"


def options(name: str) -> str:
    """The parameters of a class or function, with type, default and paragraph."""
    target = resolve_name(name)
    paragraphs = parameters(target)
    parts = []
    for option, parameter in inspect.signature(target).parameters.items():
        parts.append(f"({anchor(name, option)})=\n### `{option}`\n")
        if parameter.annotation is not parameter.empty:
            parts.append(f"Type: `{parameter.annotation}`  ")
        if parameter.default is not parameter.empty:
            parts.append(f"Default: `{parameter.default!r}`  ")
        if target is NegotiateMiddleware and option in settings._READERS:
            parts.append(f"As a variable: {{envvar}}`{_variable(option)}`")
        parts.append(f"\n{paragraphs[option]}\n")
    return "\n".join(parts)


def anchor(name: str, option: str) -> str:
    """Where `options` puts a parameter: ``option-unless-paths``."""
    owner = name.rpartition(".")[2]
    return f"option-{owner}-{option}".replace("_", "-").lower()


def parameters(target: Any) -> dict[str, str]:
    """The paragraphs of a docstring's ``:param name:``."""
    text = inspect.getdoc(target) or ""
    fields = re.findall(r"^:param (\w+): (.*?)(?=^:|^\S|\Z)", text, re.M | re.S)
    return {name: _sentence(words) for name, words in fields}


def _sentence(words: str) -> str:
    text = " ".join(words.split())
    return text[:1].upper() + text[1:]


#: The values of a setting, by the function that reads it.
_KINDS = {
    "_text": "text",
    "_words": "words, with spaces or commas between them",
    "_words_or_none": "words, with spaces or commas between them, or nothing",
    "_flag": "`yes` or `no`",
    "_flag_or_words": "`yes` or `no`, or words, with spaces or commas between them",
    "_flag_or_object": "`yes` or `no`, or `package.module:name`",
    "_url_or_object": "the URL of a `ValkeyStore`, or `package.module:name`",
    "_object": "`package.module:name`",
    "_acceptor": "`pykerberos`, `gssapi`, or `package.module:name`",
    "_sids": "`name=SID`, with spaces or commas between them",
    "_number": "a number",
}


def setting_words() -> str:
    """Each setting as a variable, with what may be written."""
    parts = []
    for name, reader in settings._READERS.items():
        kind = _KINDS[reader.__name__]
        text = f"{kind[0].upper()}{kind[1:]}. {_meaning(name)}"
        parts.append(f"```{{envvar}} {_variable(name)}\n{text}\n```\n")
    return "\n".join(parts)


def _variable(name: str) -> str:
    return f"{settings._PREFIX}{name.upper()}"


#: Where the settings with a prefix belong.
_OWNERS = {
    "session_": "negotiate_wsgi.SessionCookie",
    "password_": "negotiate_wsgi.PasswordSignOn",
    "store_": "negotiate_wsgi.ValkeyStore",
    "exempt_": "negotiate_wsgi.unless",
}


def _meaning(name: str) -> str:
    if name in inspect.signature(NegotiateMiddleware).parameters:
        return f"See [{name}](#{anchor('NegotiateMiddleware', name)})."
    for prefix, owner in _OWNERS.items():
        if name.startswith(prefix):
            option = name.removeprefix(prefix)
            _need(option in parameters(resolve_name(owner)), f"what is {name}?")
            return f"See [{option}](#{anchor(owner, option)})."
    _need(f"``{name}``" in (settings.protect.__doc__ or ""), f"what is {name}?")
    return "See {py:func}`negotiate_wsgi.protect`."


def reasons() -> str:
    """Every member of `Reason`."""
    parts = []
    for reason in Reason:
        level = logging.getLevelName(reason.level)
        parts.append(
            f"(reason-{reason})=\n## `{reason}`\n\n"
            f"Status {reason.status}, logged as {level}.\n\n"
            f"What the browser shows\n: {reason.cause}\n\n"
            f"What to do\n: {_escaped(reason.remedy)}\n"
        )
    return "\n".join(parts)


def checks() -> str:
    """Every check of the doctor."""
    parts = []
    for check in sorted(gather(), key=lambda check: check.id):
        text = inspect.cleandoc(check.look.__doc__ or "")
        after = ", ".join(f"[{id}](#check-{id.lower()})" for id in sorted(check.after))
        parts.append(f"(check-{check.id.lower()})=\n## {check.id}: {check.subject}\n")
        parts.append(f"{_escaped(text)}\n")
        if after:
            parts.append(f"Looked at where these found no problem: {after}.\n")
    return "\n".join(parts)


def environ_keys() -> str:
    """The constants of `negotiate_wsgi.request.environ`, with their comments."""
    analyzer = ModuleAnalyzer.for_module(environ_keys_module.__name__)
    comments = {name: text for (_, name), text in analyzer.find_attr_docs().items()}
    parts = []
    for constant, value in vars(environ_keys_module).items():
        if isinstance(value, str) and re.fullmatch("[A-Z][A-Z_]+", constant):
            parts.append(f"`{value}`\n: {' '.join(comments[constant])}\n")
    return "\n".join(parts)


#: What stands in each field of a log record.
LOG_FIELDS = {
    "reason": "a code of [Reasons](reasons.md), or `accepted`.",
    "detail": "what exactly was found, often in the Kerberos library's own words.",
    "remedy": "what to do about it.",
    "client": "the client's address, `REMOTE_ADDR`.",
    "path": "the path that was asked for.",
    "principal": "the user, where the ticket could be opened.",
    "spn": "the SPN that the ticket was for, where that is known.",
    "source": "what named the user, or was to: `ticket`, `password` or `session`.",
    "typed": "the user name that came with a refused password, where the KDC knows it. What it does "
    "not know stands nowhere: people type passwords there, too.",
    "request_id": "the same as on the page that the browser shows.",
}


def log_fields() -> str:
    """The fields of a record, in the order of the record."""
    record, _ = _logged(Reason.EXPIRED)
    fields = [name for name in vars(record) if name in _own_fields(record)]
    _need(set(fields) == set(LOG_FIELDS), f"LOG_FIELDS does not have just {fields}")
    return "\n".join(f"`{name}`\n: {LOG_FIELDS[name]}\n" for name in fields)


def log_records() -> str:
    """What the log says of a request without a ticket, with a bad one and a good one."""
    requests = [None, Reason.EXPIRED, "alice@EXAMPLE.TEST"]
    lines = [_logged(negotiate)[1] for negotiate in requests]
    return "```text\n" + "".join(lines) + "```\n"


def _own_fields(record: logging.LogRecord) -> set[str]:
    plain = logging.makeLogRecord({})
    return vars(record).keys() - vars(plain).keys()


def _logged(negotiate: str | Reason | None) -> tuple[logging.LogRecord, str]:
    """A record of a real request, and how it is written."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("negotiate_wsgi")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        realm = PretendRealm()
        guarded = NegotiateMiddleware(_app, acceptor=realm)
        address = {"REMOTE_ADDR": "192.0.2.7"}
        realm.client(guarded).get("/", negotiate=negotiate, environ_base=address)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True
    [record] = records
    stream = io.StringIO()
    stream.write(f"{record.levelname} {record.getMessage()}\n")
    text = re.sub(r'(request_id=)"\w+"', r'\1"5f0c2a9e"', stream.getvalue())
    return record, text


def _app(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return []


def command_line() -> str:
    """The command and its tools, from the parser itself."""
    parser = build_parser()
    [tools] = [
        action
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    parts = ["## Synopsis\n", _synopsis(parser), _arguments(parser)]
    for tool in tools._choices_actions:
        parts.append(
            f"[`{tool.dest}`](#command-{tool.dest})\n: {_escaped(tool.help)}\n"
        )
    for name, tool in tools.choices.items():
        parts.append(f"(command-{name})=\n## negotiate-wsgi {name}\n")
        parts.append(f"{_escaped(tool.description)}\n")
        parts.append(_synopsis(tool))
        parts.append(_arguments(tool))
    return "\n".join(parts)


def _synopsis(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=72)
    prefix = "usage: "
    usage = parser.format_usage().removeprefix(prefix)
    return "```text\n" + usage.replace("\n" + " " * len(prefix), "\n") + "```\n"


def _arguments(parser: argparse.ArgumentParser) -> str:
    parts = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        metavar = action.metavar or action.dest.upper()
        names = action.option_strings or [metavar]
        if action.option_strings and action.nargs != 0:
            names = [f"{name} {metavar}" for name in names]
        term = ", ".join(f"`{name}`" for name in names)
        text = action.help or f"{action.default} by default"
        parts.append(f"{term}\n: {_escaped(text)}\n")
    return "\n".join(parts)


def _need(holds: bool, complaint: str) -> None:
    """The build fails where the code has something that no words are found for."""
    if not holds:
        raise ExtensionError(f"generated.py: {complaint}")


def _escaped(text: str) -> str:
    """As Markdown has it: ``<host in the URL>`` is no tag."""
    return text.replace("<", r"\<")


def _rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text}\n```\n"


def _generate(asked: re.Match[str]) -> str:
    function, *arguments = asked[1].split()
    return globals()[function](*arguments)


def _expand(app: Sphinx, docname: str, content: list[str]) -> None:
    content[0] = _ASKED.sub(_generate, content[0])


def _pages_with_code(
    app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """The code may have changed where the page has not."""
    texts = {name: Path(env.doc2path(name)).read_text() for name in env.found_docs}
    return [name for name, text in texts.items() if _ASKED.search(text)]


def _mark_examples(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Examples stand indented in our docstrings: say that they are code."""
    marked: list[str] = []
    for at, line in enumerate(lines):
        is_first = line.startswith("    ") and at > 0 and not lines[at - 1]
        if is_first and not _belongs_to_what_is_above(marked):
            marked += [".. code-block::", ""]
        marked.append(line)
    lines[:] = marked


def _belongs_to_what_is_above(marked: list[str]) -> bool:
    above = [line for line in marked if line]
    return not above or above[-1].startswith((" ", "..", ":", "- "))


def _name_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, *rest: Any
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """A name in single backticks: a link where it is public, else code."""
    literal = nodes.literal(text, text, classes=["xref", "py"])
    target = PUBLIC.get(text)
    if target is None:
        return [nodes.literal(text, text)], []
    reference = pending_xref(
        "", literal, refdomain="py", reftype="obj", reftarget=target, refexplicit=True,
        refwarn=True, refdoc=inliner.document.settings.env.docname,
    )  # fmt: skip
    return [reference], []


#: The modules whose names others may rely on.
MODULES = [
    "negotiate_wsgi",
    "flask_adapter",
    "negotiate_wsgi.testing",
    "negotiate_wsgi.realm",
    "negotiate_wsgi.debug",
]
PUBLIC = {
    name: f"{module}.{name}" for module in MODULES for name in public_names(module)
}


def _let_it_be_scrolled(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """With the keyboard, too: WCAG 2.2, criterion 2.1.1."""
    body = context.get("body", "")
    body = body.replace("<pre>", '<pre tabindex="0">')
    context["body"] = body.replace(
        '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """As an extension of Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_role("generated", _name_role)
    app.connect("source-read", _expand)
    app.connect("env-get-outdated", _pages_with_code)
    app.connect("autodoc-process-docstring", _mark_examples)
    app.connect("html-page-context", _let_it_be_scrolled)
    return {"parallel_read_safe": True}
