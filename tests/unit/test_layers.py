from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import finished

PACKAGE = Path(__file__).parents[2] / "convert_sdk"
CORE = sorted((PACKAGE / "_core").rglob("*.py"))
PURE = {
    *("__future__", "bisect", "collections", "collections.abc", "decimal", "enum", "functools", "itertools"),
    *("json", "json.encoder", "math", "operator", "re", "types", "typing"),
    *("mmh3", "regex"),
}
"""What the core may import: nothing with a clock, a socket, a thread, chance or the process in it."""
BOUNDED = {"pattern.py": {"time"}}
"""A search is given up by the time that its own thread spent on it; nothing else reads a clock."""
FRAMEWORKS = {
    "django",
    "fastapi",
    "flask",
    "gunicorn",
    "openfeature",
    "opentelemetry",
    "starlette",
    "uvicorn",
}
EXTRAS = {"integrations", "server", "cli", "testing", "demo"}
"""Folders that need an extra, and may import its framework."""


def imports(file: Path) -> Iterator[str]:
    """The modules a file imports, wherever in it; its own package's by their full names."""
    package = ["convert_sdk", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])])


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
    *("regex", "sqlite3", "ssl"),
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
