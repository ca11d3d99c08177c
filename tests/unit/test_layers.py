"""What imports what: levels, cycles, and which modules may know a framework or load something heavy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.imports import cycles, edges, imported, module_name
from tests.processes import finished

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "convert_sdk"
PAGE = ROOT / "docs" / "architecture.md"

NOT_THERE_YET: set[str] = set()
"""Names that the page's table gives in advance; one that exists must leave this list."""


class Place(NamedTuple):
    """A level of the page's table, and the number of arrows before a name on it."""

    level: int
    order: int


def places(page: str) -> dict[str, Place]:
    """The table of levels: each name that it gives, and where it stands."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    return {
        name: Place(int(level), order)
        for level, cell in rows
        for order, group in enumerate(cell.split("→"))
        for name in re.findall(r"`([\w.]+)`", group)
    }


PLACES = places(PAGE.read_text(encoding="utf-8"))
GRAPH = {
    short: {target.removeprefix("convert_sdk.") for target in targets}
    for name, targets in edges({
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }).items()
    for short in [name.removeprefix("convert_sdk.")]
}  # fmt: skip


def place(module: str) -> Place | None:
    """Where a module stands: by its own name, else by its folder's, where the table names nothing in that folder."""
    name = module
    while name not in PLACES and "." in name:
        name = name.rpartition(".")[0]
    is_listed = any(other.startswith(f"{name}.") for other in PLACES)
    return None if is_listed and name != module else PLACES.get(name)


def upward(graph: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """The imports of what stands higher."""
    standing = {name: found for name in graph if (found := place(name)) is not None}
    return {
        (name, target)
        for name, targets in graph.items()
        for target in targets
        if name in standing and target in standing and standing[name] < standing[target]
    }


def test_every_module_has_a_place() -> None:
    assert [name for name in GRAPH if place(name) is None] == []


def test_the_table_names_what_is_there() -> None:
    assert {name for name in PLACES if name not in GRAPH} == NOT_THERE_YET


def test_the_table_has_its_seven_levels() -> None:
    """So that a page which is written in another way does not pass for one that is kept to."""
    assert {found.level for found in PLACES.values()} == {*range(7)}
    assert place("_core.decide") == (1, 0)
    assert (place("_delivery.engine") or (0, 0)) < (place("_delivery.runtime") or (0, 0)) < (5, 0)


def test_nothing_imports_what_stands_higher() -> None:
    assert upward(GRAPH) == set()


def test_nothing_imports_itself_by_a_detour() -> None:
    assert cycles(GRAPH) == []


def test_a_late_import_of_what_stands_higher_is_found() -> None:
    source = "def late():\n    from convert_sdk.client import Client"
    found = edges({"convert_sdk/_core/decide.py": source, "convert_sdk/client.py": ""})
    graph = {
        name.removeprefix("convert_sdk."): {target.removeprefix("convert_sdk.") for target in targets}
        for name, targets in found.items()
    }
    assert upward(graph) == {("_core.decide", "client")}


CORE = sorted((PACKAGE / "_core").rglob("*.py"))
PURE = {
    *("__future__", "abc", "bisect", "collections", "collections.abc", "contextvars", "decimal", "enum"),
    *("functools", "heapq", "hmac", "itertools"),
    *("json", "json.encoder", "math", "numbers", "operator", "re", "types", "typing", "weakref"),
    *("mmh3", "regex"),
}
"""What the core may import: nothing with a clock, a socket, a thread, chance or the process in it."""
BOUNDED = {"pattern.py": {"time"}}
"""A search is given up by the time that its own thread spent on it; nothing else reads a clock."""
FRAMEWORKS = {
    "celery",
    "django",
    "dramatiq",
    "duckdb",
    "fastapi",
    "flask",
    "litestar",
    "gunicorn",
    "openfeature",
    "narwhals",
    "numpy",
    "opentelemetry",
    "pandas",
    "polars",
    "pyarrow",
    "pyspark",
    "quart",
    "rq",
    "starlette",
    "ua_parser",
    "uvicorn",
}
EXTRAS = {"integrations", "server", "cli", "testing", "demo", "tables"}
"""Folders that need an extra, and may import its framework."""


def imports(file: Path) -> Iterator[str]:
    """The modules a file imports, wherever in it; its own package's by their full names."""
    name = module_name(file.relative_to(ROOT))
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (origin for origin, _ in imported(name, tree, is_package=file.name == "__init__.py"))


def test_there_is_a_core() -> None:
    assert len(CORE) > 15


@pytest.mark.parametrize("file", CORE, ids=lambda file: file.stem)
def test_the_core_imports_what_is_pure(file: Path) -> None:
    outside = {name for name in imports(file) if not name.startswith("convert_sdk._core")}
    assert outside - PURE == BOUNDED.get(file.name, set())


@pytest.mark.parametrize("file", CORE, ids=lambda file: file.stem)
def test_the_core_logs_and_prints_nothing(file: Path) -> None:
    names = {
        node.id
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name)
    }
    assert names & {"print", "open", "eval", "exec", "__import__"} == set()


def test_only_the_integrations_know_a_framework() -> None:
    found = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] not in EXTRAS
        for name in imports(file)
        if name.partition(".")[0] in FRAMEWORKS
    }
    assert found == set()


HEAVY = {
    *("asyncio", "dataclasses", "httpx", "inspect", "logging", "pydantic", "pydantic_core"),
    *("ipaddress", "pathlib", "regex", "sqlite3", "ssl", "urllib.parse"),
}


def heavy(code: str) -> set[str]:
    """The heavy modules that some code loads in an interpreter of its own."""
    script = f"import sys\n{code}\nprint(*{HEAVY!r}.intersection(sys.modules))"
    status, out, err = finished(script)
    assert (status, err) == (0, "")
    return set(out.split())


def test_importing_loads_nothing_heavy() -> None:
    already = heavy("pass")  # what the environment itself loads
    assert heavy("import convert_sdk") - already == set()


def test_a_client_that_nobody_uses_loads_no_network() -> None:
    loaded = heavy("import convert_sdk; convert_sdk.Client('10035569/10034190')")
    assert loaded & {"httpx", "pydantic", "asyncio", "ssl"} == set()
