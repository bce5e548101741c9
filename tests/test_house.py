"""The house stays as it was drawn: who may import whom, and how large it may grow."""

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
DOCTOR = {f"doctor.{name}" for name in ("finding", "machine", "keys", "names", "kdc", "site")}
TOOLS = {
    "realm", "process_group", "testing", "initiator", "keytab", "ticket", "explain", "debug",
    "pytest_plugin", "__main__", "doctor", *DOCTOR,
}  # fmt: skip
#: Where a server's configuration comes in; no request passes through here.
MOUNTS = {"mount", "wsgi"}

#: Imports go down only: a module may import from lower floors.
FLOORS = [
    {"reasons"},
    {"exceptions"},
    {"identity", "keytab", "process_group"},
    {"header", "environ", "responses", "ticket"},
    {"acceptors"},
    {"origins", "exemptions", "policy", "session"},
    {"acceptors.status"},
    {"acceptors.pykerberos", "acceptors.gssapi", "decisions"},
    {"middleware"},
    {"mount"},
    {"", "wsgi"},
    {"realm", "testing", "initiator"},
    {"explain", "doctor.finding"},
    DOCTOR - {"doctor.finding"},
    {"doctor", "debug"},
    {"pytest_plugin", "__main__"},
]
OWNERS = {
    "kerberos": {"acceptors.pykerberos"},
    "gssapi": {"acceptors.gssapi"},
    "itsdangerous": {"session"},
    "ctypes": {"acceptors.pykerberos"},
    "spnego": {"initiator", "ticket"},
    "krb5": {"acceptors.gssapi", "keytab", "doctor.kdc", "doctor.machine"},
    "subprocess": {"realm"},
    "k5test": {"realm"},
    "flask": set(),
}


def modules():
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        name = ".".join(path.relative_to(CORE).with_suffix("").parts)
        found[name.removesuffix("__init__").removesuffix(".")] = path
    return found


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
                yield path, node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


def lines(paths):
    return sum(len(path.read_text().splitlines()) for path in paths)


def test_every_module_has_its_floor():
    assert set(modules()) == set().union(*FLOORS)


@pytest.mark.parametrize("module", modules())
def test_imports_go_down_only(module):
    [floor] = [number for number, names in enumerate(FLOORS) if module in names]
    below = set().union(*FLOORS[:floor])
    assert set(own_imports(modules()[module])) <= below


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


def test_size_is_a_promise():
    core = [path for name, path in modules().items() if name not in TOOLS | MOUNTS]
    assert lines(core) <= 2150
    assert lines(modules()[name] for name in TOOLS) <= 2250
    assert lines(modules()[name] for name in MOUNTS) <= 230
    assert lines(ADAPTER.rglob("*.py")) <= 150
    assert statistics.median(lines([path]) for path in core) < 150


def test_functions_are_short():
    lengths = [length for _, _, length in functions()]
    assert statistics.median(lengths) <= 10
    assert [(path.name, name) for path, name, length in functions() if length > 40] == []


@pytest.mark.parametrize("package", [negotiate_wsgi, flask_adapter], ids=lambda p: p.__name__)
def test_init_only_re_exports(package):
    tree = ast.parse(Path(package.__file__).read_text())
    assert {type(node) for node in tree.body} <= {ast.Expr, ast.ImportFrom, ast.Assign}
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    imported = {
        a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert imported == set(package.__all__)


def test_public_docstrings():
    for package in (negotiate_wsgi, flask_adapter):
        for name in package.__all__:
            if name != "Refused":  # an alias
                assert (getattr(package, name).__doc__ or "").strip(), name


def test_the_installed_package_is_what_is_tested():
    for name, path in modules().items():
        installed = importlib.util.find_spec(f"negotiate_wsgi.{name}".removesuffix(".")).origin
        assert "site-packages" in installed
        assert Path(installed).read_bytes() == path.read_bytes()
