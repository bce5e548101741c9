"""The house stays as it was drawn: who may import whom, and what wants a reason."""

import ast
import importlib.util
import statistics
from pathlib import Path

import pytest

import flask_adapter
import negotiate_wsgi

ROOT = Path(__file__).parent.parent
CORE = ROOT / "negotiate_wsgi"
ADAPTER = ROOT / "flask_adapter"

#: From the ground up: a room may import from the rooms before it, and from itself without a circle.
LADDER = [
    "reasons",
    "exceptions",
    "identity",
    "wire",
    "acceptors",
    "stores",
    "request",
    "settings",
]
#: Beside the ladder, and at its top: the rooms that each may import from.
BESIDE = {
    "": {*LADDER},
    "wsgi": {"settings"},
    "realm": {"exceptions"},
    # Of request, see below.
    "doctor": {
        "reasons",
        "exceptions",
        "identity",
        "wire",
        "acceptors",
        "stores",
        "request",
    },
    "testing": {"reasons", "exceptions", "identity", "wire", "acceptors", "stores"},
    "whoami": {*LADDER, "doctor"},
    "debug": {*LADDER, "doctor", "whoami"},
    "pytest_plugin": {
        "reasons",
        "exceptions",
        "identity",
        "realm",
        "testing",
        "doctor",
    },
    "__main__": {"", "exceptions", "realm", "doctor", "stores", "whoami"},
}
OWNERS = {
    "kerberos": {"acceptors.pykerberos"},
    # The acceptor's side of a negotiation, that of a user who types a password, and caches.
    "gssapi": {
        "acceptors.account",
        "acceptors.ccaches",
        "acceptors.gssapi_initiator",
        "acceptors.gssapi_library",
    },
    "itsdangerous": {"request.session"},
    "ctypes": {"acceptors.libkrb5"},
    "spnego": {"doctor.initiator"},
    "krb5": {
        "acceptors.account",
        "acceptors.ccaches",
        "acceptors.gssapi_library",
        "acceptors.insight",
        "doctor.client",
    },
    # What starts a realm, and what asks an administrator's programs.
    "subprocess": {"realm.programs", "doctor.programs"},
    "k5test": {"realm.realm"},
    "valkey": {"stores.connection"},
    "flask": set(),
}
LONGEST_FUNCTION = 40
LONGEST_MODULE = 250
#: What is longer, and why it is not cut.
REASONS_FOR_LENGTH = {
    "request/middleware.py": "the walk and the class docstring, which is the manual",
    "acceptors/gssapi.py": "which key is tried when, and the options' docstring",
    "acceptors/gssapi_library.py": "one library, one owner",
    "acceptors/pykerberos.py": "one binding, one owner, and what it has no way to say",
    "testing.py": "the class docstring, which is the manual, and all that stands in for a KDC",
    "settings.py": "one reader for each kind of text, and the settings' names",
    "request/session.py": "one concept: what a cookie has to be, and what a session is worth",
}


def modules():
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        name = ".".join(path.relative_to(CORE).with_suffix("").parts)
        found[name.removesuffix("__init__").removesuffix(".")] = path
    return found


def room_of(module):
    return module.partition(".")[0]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path):
    """The modules of this package that a file imports from."""
    known = modules()
    for name in imports(path):
        if name.split(".")[0] == "negotiate_wsgi":
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in known:
                parts.pop()
            yield ".".join(parts)


def functions():
    for path in [*CORE.rglob("*.py"), *ADAPTER.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[ast.get_docstring(node) is not None :]
                yield (
                    path,
                    node.name,
                    body[-1].end_lineno - body[0].lineno + 1 if body else 0,
                )


def rooms_below(room):
    if room in BESIDE:
        return BESIDE[room]
    if room == "stores":  # on the ground, beside identity
        return {"exceptions"}
    if room in {"wire", "acceptors"}:
        return set(LADDER[: LADDER.index(room)]) - {"stores"}
    return set(LADDER[: LADDER.index(room)])


def test_every_module_is_in_a_room_that_was_drawn():
    assert {room_of(module) for module in modules()} == {*LADDER, *BESIDE}


@pytest.mark.parametrize("module", modules())
def test_imports_go_down_only(module):
    room = room_of(module)
    used = {room_of(imported) for imported in own_imports(modules()[module])}
    assert used <= rooms_below(room) | {room}


def test_the_doctor_looks_at_one_file_as_a_request_does():
    """At nothing else of a request's, which it sees from outside, as a client does."""
    of_request = {
        imported
        for module, path in modules().items()
        if room_of(module) == "doctor"
        for imported in own_imports(path)
        if room_of(imported) == "request"
    }
    assert of_request == {"request.attempts_file"}


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: set(own_imports(path)) - {name} for name, path in modules().items()}
    while graph:
        leaves = {name for name, used in graph.items() if not used & graph.keys()}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {name: used for name, used in graph.items() if name not in leaves}


@pytest.mark.parametrize(("dangerous", "owners"), OWNERS.items())
def test_one_dangerous_import_one_owner(dangerous, owners):
    found = {
        name for name, path in modules().items()
        if dangerous in {imported.split(".")[0] for imported in imports(path)}
    }  # fmt: skip
    assert found == owners


def test_the_adapter_uses_the_public_api_only():
    used = {name for path in ADAPTER.rglob("*.py") for name in imports(path)}
    public = {f"negotiate_wsgi.{name}" for name in negotiate_wsgi.__all__}
    assert {name for name in used if name.startswith("negotiate_wsgi")} <= public
    assert {name.split(".")[0] for name in used} & set(OWNERS) == {"flask"}


def test_os_environ_is_written_in_one_function():
    writers = [
        (path.name, node.name)
        for path in [*CORE.rglob("*.py"), *ADAPTER.rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if (isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store)
            and "os.environ" in ast.unparse(inner))
        or (isinstance(inner, ast.Call)
            and ast.unparse(inner.func) in {"os.putenv", "os.unsetenv", "os.environ.update",
                                            "os.environ.setdefault", "os.environ.pop"})
    ]  # fmt: skip
    assert writers == [("pykerberos.py", "_use_keytab")]


def test_what_is_long_has_a_reason():
    long_functions = {
        f"{path.relative_to(CORE.parent)}:{name}"
        for path, name, length in functions()
        if length > LONGEST_FUNCTION
    }
    long_modules = {
        str(path.relative_to(CORE))
        for path in modules().values()
        if len(path.read_text().splitlines()) > LONGEST_MODULE
    }
    assert long_functions | long_modules == REASONS_FOR_LENGTH.keys()
    assert statistics.median(length for _, _, length in functions()) < 12


def calls(method):
    """Where in request/ something's *method* is called: file and enclosing function."""
    return [
        (path.name, function.name)
        for path in sorted((CORE / "request").glob("*.py"))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == method
    ]


def test_a_request_is_told_refused_and_handed_on_in_one_place_each():
    assert calls("self._decisions.tell") == [("middleware.py", "__call__")]
    assert calls("self._refuse") == [("middleware.py", "__call__")]
    assert calls("self._call") == [("middleware.py", "__call__")]
    assert calls("self._acceptor.accept") == []
    assert calls("acceptor.accept") == [("tokens.py", "_judge")]


def core_files():
    return [path for module, path in modules().items() if room_of(module) in LADDER]


def core_nodes():
    for path in core_files():
        yield from ast.walk(ast.parse(path.read_text()))


def core_lines():
    return [line for path in core_files() for line in path.read_text().splitlines()]


def is_packed(node):
    """Unrelated things in one assignment: ``a, b = 1, 2``."""
    if not isinstance(node, ast.Assign):
        return False
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def test_one_idea_a_line():
    """In the core, for each 1000 lines."""
    nodes = list(core_nodes())
    thousands = len(core_lines()) / 1000
    assert sum(isinstance(node, ast.IfExp) for node in nodes) <= 8 * thousands
    assert sum(isinstance(node, ast.NamedExpr) for node in nodes) <= 1 * thousands
    assert [ast.unparse(node) for node in nodes if is_packed(node)] == []
    wide = [line for line in core_lines() if len(line) > 88]
    assert len(wide) <= 0.03 * len(core_lines())


@pytest.mark.parametrize(
    "package", [negotiate_wsgi, flask_adapter], ids=lambda p: p.__name__
)
def test_init_only_re_exports(package):
    body = ast.parse(Path(package.__file__).read_text()).body
    kinds = [type(node) for node in body]
    conditions = [ast.unparse(node.test) for node in body if isinstance(node, ast.If)]
    assert conditions in ([], ["TYPE_CHECKING", "not TYPE_CHECKING"])
    assert set(kinds) <= {ast.Expr, ast.ImportFrom, ast.Assign, ast.If}
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    later = [
        node
        for condition in body
        if isinstance(condition, ast.If)
        for node in condition.body
    ]
    imported = {
        a.asname or a.name
        for n in [*body, *later]
        if isinstance(n, ast.ImportFrom)
        and (n.module or "").startswith(("negotiate_wsgi", "flask_adapter"))
        for a in n.names
    }
    assert imported == set(package.__all__)


def test_public_docstrings():
    for package in (negotiate_wsgi, flask_adapter):
        for name in package.__all__:
            if name != "Refused":  # an alias
                assert (getattr(package, name).__doc__ or "").strip(), name


def test_the_installed_package_is_what_is_tested():
    for name, path in modules().items():
        installed = importlib.util.find_spec(
            f"negotiate_wsgi.{name}".removesuffix(".")
        ).origin
        assert "site-packages" in installed
        assert Path(installed).read_bytes() == path.read_bytes()
