from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "convert_sdk"
FILES = sorted(file for folder in ("commerce", "testing") for file in (PACKAGE / folder).rglob("*.py"))
RETIRED = {
    *("clue", "clues", "rung", "told", "departure", "departures", "effect", "effects"),
    *("shown", "entries", "worth", "books", "fate", "fates"),
}
"""Words that the architecture page replaces, in this part of the package."""


def defined(file: Path) -> Iterator[tuple[str, str]]:
    """The kind and the name of everything that a file defines: classes, functions, attributes, arguments."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef(name=name):
                yield "class", name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield "function", name
            case ast.arg(arg=name):
                yield "argument", name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield "name", name


def words(kind: str, name: str) -> set[str]:
    """A class's name is read word by word, any other as a whole."""
    if kind == "class":
        return {each.lower() for each in re.findall(r"[A-Z][a-z]*|[a-z]+", name)}
    return {name.strip("_")}


def test_there_are_files() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_retired_word_names_anything(file: Path) -> None:
    found = {(file.stem, *each) for each in defined(file) if words(*each) & RETIRED}
    assert not found
    assert not words("module", file.stem) & RETIRED


def test_no_two_classes_have_one_name() -> None:
    classes = Counter(name for file in FILES for kind, name in defined(file) if kind == "class")
    assert [name for name, count in classes.items() if count > 1] == []
