"""The house rules that no linter knows: layers, third-party rooms, sync core, pure core, thin façades.

The rules are the tables below; docs/architecture.md says why.  All is read from the source with ast, nothing runs.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]

# Which of our packages each may import, itself aside.
LAYERS: Final[Mapping[str, frozenset[str]]] = {
    "keycodec": frozenset(),
    "model": frozenset(),
    "wal": frozenset(),
    "stores": frozenset({"keycodec", "model"}),
    "cortex": frozenset({"wal", "stores"}),
    "episteme": frozenset({"keycodec", "model", "wal", "stores", "cortex"}),
}

# Where a library may be imported: a module, or a package with all below it.  "": anywhere.
ROOMS: Final[Mapping[str, tuple[str, ...]]] = {
    "msgspec": ("",),
    "blake3": ("",),
    "nacl": ("model",),
    "google_crc32c": ("wal",),
    "lmdb": ("stores.engines",),
    "rocksdict": ("stores.engines",),
    "starlette": ("episteme.server",),
    "uvicorn": ("episteme.server",),
    "httptools": ("episteme.server",),
    "prometheus_client": ("episteme.server.metrics",),
    "typer": ("episteme.cli",),
    "rich": ("episteme.cli",),
    "httpx2": ("episteme.client",),
    "backports": ("episteme",),
    "compression": ("episteme",),
}

ASYNC_ROOMS: Final = ("episteme.server", "episteme.client")
ASYNC_LIBRARIES: Final = frozenset({"asyncio", "anyio", "trio", "uvloop"})

# The edges may read the wall clock, the environment and randomness; all else takes them as arguments.
EDGES: Final = (
    "episteme.server",
    "episteme.cli",
    "episteme.config",
    "episteme.client",
    "episteme.keys",
    "episteme.node",
)
IMPURE: Final = frozenset(
    {
        "time.time",
        "time.time_ns",
        "time.localtime",
        "time.gmtime",
        "time.ctime",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "os.environ",
        "os.environb",
        "os.getenv",
        "os.getenvb",
        "os.urandom",
        "os.getrandom",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
IMPURE_LIBRARIES: Final = frozenset({"random", "secrets"})

# A façade holds a docstring, imports and __all__; these also hold a small registry.
REGISTRIES: Final = frozenset({"episteme.lenses", "episteme.folds", "episteme.cli"})
REGISTRY_LINES_MAX: Final = 60

SOURCE_LINES_MAX: Final = 400


class Module(NamedTuple):
    """A source file."""

    name: str
    path: Path
    is_package: bool
    tree: ast.Module

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


class Import(NamedTuple):
    """What one import statement binds a name to, and where it stands."""

    target: str
    line: int


@cache
def modules() -> dict[str, Module]:
    """Every module of our packages by its dotted name."""
    found = {}
    for top in LAYERS:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found[name] = Module(name, path, is_package, ast.parse(path.read_text("utf-8"), str(path)))
    return found


def imports_of(module: Module) -> Iterator[Import]:
    """Every import, wherever in the file it stands: `from a import b` gives a.b."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(module, node)
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)


def base_of(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, node.module] if node.module else kept)


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(room in ("", name) or name.startswith(f"{room}.") for room in rooms)


def names_used(module: Module) -> Iterator[tuple[str, int]]:
    """Every imported thing that the module names, as a dotted path: `from time import time as now` gives time.time."""
    bound: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            base = base_of(module, node)
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{base}.{alias.name}"
                yield f"{base}.{alias.name}", node.lineno
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            path = dotted(node, bound)
            if path is not None:
                yield path, node.lineno


def dotted(node: ast.expr, bound: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return bound.get(node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, bound)
        return None if base is None else f"{base}.{node.attr}"
    return None


# What is there


def test_every_package_is_walked() -> None:
    tops = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "bench")}
    assert tops == set(LAYERS)
    assert {module.top for module in modules().values()} == set(LAYERS)


def test_pyproject_lists_exactly_the_packages_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for top in LAYERS for path in (ROOT / top).rglob("*.py")}
    assert len(listed) == len(set(listed))
    assert set(listed) == folders


def test_every_folder_with_source_is_a_package_with_an_init() -> None:
    for module in modules().values():
        assert (module.path.parent / "__init__.py").exists(), module


def test_no_source_file_is_longer_than_the_bound() -> None:
    long = {str(module): len(module.path.read_text("utf-8").splitlines()) for module in modules().values()}
    assert {name: lines for name, lines in long.items() if lines > SOURCE_LINES_MAX} == {}


# Imports


def test_the_layer_table_has_no_cycle() -> None:
    settled: set[str] = set()
    while len(settled) < len(LAYERS):
        free = {name for name, below in LAYERS.items() if below <= settled} - settled
        assert free, f"a cycle among {set(LAYERS) - settled}"
        settled |= free


def test_layers_import_only_what_lies_below_them() -> None:
    broken = [
        f"{module}:{line}: imports {target}"
        for module in modules().values()
        for target, line in imports_of(module)
        if (top := target.partition(".")[0]) in LAYERS and top != module.top and top not in LAYERS[module.top]
    ]
    assert broken == []


def test_nothing_of_the_tests_is_imported() -> None:
    broken = [
        f"{module}:{line}: imports {target}"
        for module in modules().values()
        for target, line in imports_of(module)
        if target.partition(".")[0] in ("tests", "bench")
    ]
    assert broken == []


def test_libraries_stay_in_their_rooms() -> None:
    broken = [
        f"{module}:{line}: imports {target}; its place is {ROOMS.get(top, 'nowhere')}"
        for module in modules().values()
        for target, line in imports_of(module)
        if (top := target.partition(".")[0]) not in sys.stdlib_module_names
        and top not in LAYERS
        and not is_in(module.name, ROOMS.get(top, ()))
    ]
    assert broken == []


def test_no_two_modules_import_each_other() -> None:
    graph = {name: sorted(edges_of(module)) for name, module in modules().items()}
    assert cycle_in(graph) is None


def edges_of(module: Module) -> set[str]:
    """The modules of ours that this one names; a package counts when something of its façade is imported."""
    edges = set()
    for target, _ in imports_of(module):
        parts = target.split(".")
        while parts and ".".join(parts) not in modules():
            parts.pop()
        if parts:
            edges.add(".".join(parts))
    return edges


def cycle_in(graph: Mapping[str, list[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for below in graph[name]:
            found = visit(below, [*path, name])
            if found is not None:
                return found
        done.add(name)
        return None

    return next((found for name in graph if (found := visit(name, [])) is not None), None)


def test_a_cycle_would_be_found() -> None:
    assert cycle_in({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert cycle_in({"a": ["a"]}) == ["a", "a"]
    assert cycle_in({"a": ["b", "c"], "b": ["c"], "c": []}) is None


# A synchronous, pure core


def test_only_the_edge_is_async() -> None:
    broken = []
    for module in modules().values():
        if is_in(module.name, ASYNC_ROOMS) or module.name.startswith("episteme.client"):
            continue
        broken += [
            f"{module}:{node.lineno}: {type(node).__name__}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        ]
        broken += [
            f"{module}:{line}: imports {target}"
            for target, line in imports_of(module)
            if target.partition(".")[0] in ASYNC_LIBRARIES
        ]
    assert broken == []


def test_only_the_edges_read_clock_environment_and_randomness() -> None:
    broken = [
        f"{module}:{line}: {name}"
        for module in modules().values()
        if not is_in(module.name, EDGES)
        for name, line in names_used(module)
        if name in IMPURE or name.partition(".")[0] in IMPURE_LIBRARIES
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time\ntime.time()", "time.time"),
        ("import time as t\nnow = t.time_ns", "time.time_ns"),
        ("from time import time as now\nnow()", "time.time"),
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as d\nd.utcnow()", "datetime.datetime.utcnow"),
        ("def f():\n    from os import environ\n    return environ['A']", "os.environ"),
        ("import os.path\nos.getenv('A')", "os.getenv"),
    ],
)
def test_an_impure_name_would_be_found_under_any_alias(source: str, name: str) -> None:
    module = Module("example", ROOT / "example.py", False, ast.parse(source))
    assert name in IMPURE
    assert name in {used for used, _ in names_used(module)}


# Façades


def test_facades_hold_no_logic() -> None:
    broken = []
    for module in modules().values():
        if module.is_package:
            registry = module.name in REGISTRIES
            broken += [
                f"{module}:{node.lineno}: {type(node).__name__}"
                for node in module.tree.body
                if not (is_plain(node) or (registry and is_registration(node)))
            ]
    assert broken == []


def test_registries_are_small() -> None:
    for name in sorted(REGISTRIES):
        module = modules()[name]
        assert len(module.path.read_text("utf-8").splitlines()) <= REGISTRY_LINES_MAX, module


def is_plain(node: ast.stmt) -> bool:
    """A docstring, an import, or __all__."""
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["__all__"]
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.Import | ast.ImportFrom)


def is_registration(node: ast.stmt) -> bool:
    """A constant, a call that registers, or a short function that looks something up or starts the program."""
    if isinstance(node, ast.FunctionDef):
        return len(node.body) <= 4 and not any(isinstance(inner, ast.For | ast.While) for inner in ast.walk(node))
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.Assign | ast.AnnAssign)
