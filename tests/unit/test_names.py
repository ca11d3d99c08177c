"""Names of our modules that stand in texts: a script for another process, a list of imports, a page, a command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from convert_sdk._process.fork import import_all

ROOT = Path(__file__).parents[2]
FOLDERS = ("convert_sdk", "tests", "benchmarks")
PAGES = (
    "*.md",
    "docs/**/*.md",
    "benchmarks/*.md",
    "Makefile",
    "*.toml",
    ".ci/run",
    ".pre-commit-config.yaml",
)
DOTTED = re.compile(r"\bconvert_sdk(?:\.[A-Za-z_]\w*)+")
TAKEN = re.compile(r"\bfrom (convert_sdk[\w.]*) import (\(.*?\)|[^\n]+)", re.DOTALL)
RUN = re.compile(r"-m[ \"',]+((?:convert_sdk|tests|benchmarks)[\w.]*)")
MADE_UP = re.compile(r"convert_sdk\.[ab](\.|$)")
"""Modules of the little projects that tests of the imports write."""


def texts() -> Iterator[tuple[str, str]]:
    """Every string in our code, and every page and command, with the place where it stands."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def names_in(text: str) -> set[str]:
    """The dotted names in a text, and those that it imports from our modules.

    >>> text = "from convert_sdk.stores import (Changes,  # one, two" + chr(10) + "MemoryStore)"
    >>> "convert_sdk.stores.MemoryStore" in names_in(text)
    True
    >>> sorted(names_in("from convert_sdk.stores import Changes as C, MemoryStore  # see convert_sdk.errors"))
    ['convert_sdk.errors', 'convert_sdk.stores', 'convert_sdk.stores.Changes', 'convert_sdk.stores.MemoryStore']
    """
    names = set(DOTTED.findall(text))
    for module, taken in TAKEN.findall(text):
        parts = re.sub("#.*", "", taken.strip("()")).split(",")
        words = (part.split()[0] for part in parts if part.split())
        names |= {f"{module}.{word}" for word in words if word.isidentifier()}
    return {name for name in names if not MADE_UP.match(name)}


def resolves(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one."""
    module, _, member = name.rpartition(".")
    if not module:
        return bool(find_spec(name))
    try:
        if find_spec(name) is not None:
            return True
    except ModuleNotFoundError:  # its parent is no package
        pass
    return resolves(module) and hasattr(_imported(module), member)


def _imported(name: str) -> object:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(_imported(module), member)


def test_every_name_in_a_text_leads_somewhere() -> None:
    found = {(name, where) for where, text in texts() for name in names_in(text)}
    assert len(found) > 100
    known = {name: resolves(name) for name in sorted({name for name, _ in found})}
    assert sorted(f"{where}: {name}" for name, where in found if not known[name]) == []


def test_every_module_that_is_run_is_there() -> None:
    found = {(name.rstrip("."), where) for where, text in texts() for name in RUN.findall(text)}
    assert {"tests.vectors", "benchmarks"} <= {name for name, _ in found}
    assert sorted(f"{where}: -m {name}" for name, where in found if find_spec(name) is None) == []


@pytest.mark.parametrize(
    ("name", "leads"),
    [
        ("convert_sdk", True),
        ("convert_sdk.stores.sqlite", True),
        ("convert_sdk.stores.sqlite.SqliteStore.save", True),
        ("convert_sdk.Client", True),
        ("convert_sdk" + ".stores.sqlite3", False),
        ("convert_sdk" + ".stores.sqlite.SqlitStore", False),
        ("convert_sdk" + ".Client.visito", False),
    ],
)
def test_a_name_that_leads_nowhere_is_found(name: str, leads: bool) -> None:
    assert resolves(name) is leads


def test_a_stale_name_of_ours_does_not_pass_in_silence() -> None:
    import_all(["json", "no_such_module_of_others", "convert_sdk.errors"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_ours"):
        import_all(["convert_sdk" + ".no_such_module_of_ours"])
