"""The rules that a failed assertion of a test asked, explained: `assert False` alone says nothing of them."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType

from convert_sdk import explain_rules, matches
from convert_sdk._core.model import RuleSet

from .rules import RuleExpression

_PLAIN = (
    ast.Attribute, ast.Constant, ast.Dict, ast.List, ast.Name, ast.Set, ast.Subscript, ast.Tuple, ast.UnaryOp,
    ast.expr_context, ast.unaryop,
)  # fmt: skip
"""Expressions that may be evaluated a second time: names and displays, and the calls of `_NAMED`."""
_NAMED = frozenset({"audience", "goal", "location", "segment"})
"""Methods that look something up by its key."""


def explained_failure(traceback: TracebackType) -> str:
    """The explanations of what `matches` was asked in the assertion that raised; empty without any.

    >>> germans = attr("country") == "DE"
    >>> try:
    ...     assert germans.matches({"country": "FR"})
    ... except AssertionError as failure:
    ...     print(explained_failure(failure.__traceback__))
    NO  rule set
        NO  country equals "DE", the visitor has "FR"
    """
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame, line = traceback.tb_frame, traceback.tb_lineno
    try:
        found = _assertion(frame, line)
        asked = () if found is None else _explanations(found, frame.f_globals, frame.f_locals)
        return "\n".join(dict.fromkeys(asked))
    except Exception:  # noqa: BLE001  # it is about an odd test, whose own failure is shown all the same
        return ""


def _assertion(frame: FrameType, line: int) -> ast.Assert | None:
    """The innermost assertion around a line of the frame's file."""
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def _explanations(assertion: ast.AST, names: dict[str, object], own: dict[str, object]) -> Iterator[str]:
    def value(node: ast.expr) -> object:
        if not all(isinstance(part, _PLAIN) or _looks_up(part) for part in ast.walk(node)):
            return None
        code = compile(ast.Expression(node), "<assertion>", "eval")
        return eval(code, names, own)  # noqa: S307  # the test's own expression, once more

    for node in ast.walk(assertion):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="matches"), args=[facts], keywords=[]):
                asked = value(owner)
                given = value(facts)
                if isinstance(asked, (RuleSet, RuleExpression)) and isinstance(given, Mapping):
                    yield str(asked.explain(given))
            case ast.Call(func=ast.Name() as called, args=[rules, facts], keywords=[]):
                given = value(facts)
                if value(called) is matches and isinstance(given, Mapping):
                    yield str(explain_rules(value(rules), given))


def _looks_up(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _NAMED
