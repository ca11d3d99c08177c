from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "convert_sdk"
RETIRED = {
    *(
        "outbox",
        "backlog",
        "books",
        "dead",
        "ledger",
        "trouble",
        "fate",
        "standing",
        "lapse",
        "terms",
        "target",
    ),
    *(
        "pace",
        "dice",
        "speak",
        "hear",
        "carry",
        "turn",
        "rest",
        "wake",
        "stir",
        "rouse",
        "ring",
        "revive",
        "hurry",
    ),
    *("line", "upkeep", "chores", "shelf", "scribe", "saving", "memory", "begin", "writable", "put", "adopt"),
    *("unsaved", "kept", "wish", "bell", "gate", "is_mine", "begin_anew_with", "heed", "mark", "start_anew"),
    *("farewell", "attend", "watch", "seen", "tell", "questions", "own", "arms", "loose", "effort"),
}
"""Private words for what the field has a name for; docs/architecture.md lists the names."""
COMMERCE = {"clue", "rung", "told", "departures", "effect", "shown", "entries", "worth"}
"""The same, in what is about orders."""
FOLDERS = {
    **dict.fromkeys(["_core", "_config", "_delivery", "_http", "_process", "_spool"], RETIRED),
    **dict.fromkeys(["cli", "commerce", "demo", "testing"], COMMERCE),
}
ALLOWED = {"Ledger", "MemoryLedger", "MemoryStore", "GateTrace", "WakeEvent"}
"""Names that applications use, the gates that an explanation shows, and the event that wakes somebody."""


SAME_IN_EACH = {"ConvertMiddleware"}
"""Classes that each integration has under one name, for its own framework."""


def names(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines: classes, functions, attributes and constants, no local variables."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for statement in node.body:
                match statement:
                    case ast.Assign(targets=targets):
                        yield from (
                            each.id
                            for target in targets
                            for each in ast.walk(target)
                            if isinstance(each, ast.Name)
                        )
                    case ast.AnnAssign(target=ast.Name(id=name)):
                        yield name


def words(name: str) -> set[str]:
    """The whole name in lower case, and of a class the words of its name."""
    bare = name.strip("_")
    parts = re.findall(r"[A-Z][a-z]*", bare) if bare[:1].isupper() and not bare.isupper() else []
    return {bare.lower(), *(part.lower() for part in parts)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_our_names_are_the_fields(folder: str) -> None:
    found = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in (PACKAGE / folder).rglob("*.py")
        for name in {
            *file.relative_to(PACKAGE).with_suffix("").parts,
            *names(ast.parse(file.read_text("utf-8"))),
        }
        if name not in ALLOWED and words(name) & FOLDERS[folder]
    }
    assert not found


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(set)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name.strip("_")].add(str(file.relative_to(PACKAGE)))
    for name in SAME_IN_EACH:
        assert all(place.startswith("integrations/") for place in places.pop(name))
    assert len(places) > 300
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


HALF_A_QUESTION = re.compile(r"(Who|What|Where|Whether|When|Why|How|Which)\b")


def test_a_docstring_begins_with_a_noun_or_an_imperative() -> None:
    """None is half a question."""
    found = {
        f"{file.relative_to(PACKAGE)}:{statement.lineno}: {text}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        for statement in node.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(text := statement.value.value, str) and HALF_A_QUESTION.match(text.strip())
    }
    assert not found
