"""The imports between the modules of the package, read from their source: late ones and those for types too."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

PACKAGE = "convert_sdk"


def module_name(path: PurePath) -> str:
    """The dotted name of a source file, by its path from the project's folder.

    >>> module_name(PurePath("convert_sdk/_core/__init__.py")), module_name(PurePath("convert_sdk/client.py"))
    ('convert_sdk._core', 'convert_sdk.client')
    """
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(name: str, tree: ast.AST, *, is_package: bool) -> Iterator[tuple[str, str | None]]:
    """What a module imports, wherever in it: a dotted name, and what is taken from it, if anything."""
    parts = name.split(".")
    package = parts if is_package else parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((origin, alias.name) for alias in node.names)


def edges(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Each module of the package and those of its modules that it imports; `sources` are texts by path.

    >>> edges({"convert_sdk/__init__.py": "", "convert_sdk/a.py": "from . import b", "convert_sdk/b.py": "import os"})
    {'convert_sdk': set(), 'convert_sdk.a': {'convert_sdk.b'}, 'convert_sdk.b': set()}
    """
    paths = {module_name(path): path for path in map(PurePath, sources) if path.parts[0] == PACKAGE}
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        tree = ast.parse(sources[path.as_posix()])
        targets = {
            member if member in paths else origin
            for origin, taken in imported(name, tree, is_package=path.name == "__init__.py")
            for member in [f"{origin}.{taken}"]
        }
        found[name] = targets & paths.keys() - {name}
    return found


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of modules that import each other, the largest first: Tarjan's strongly connected components.

    >>> cycles({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []})
    [['a', 'b', 'c']]
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        path.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in path:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            start = path.index(name)
            group, path[start:] = path[start:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return sorted(found, key=lambda group: (-len(group), group))
