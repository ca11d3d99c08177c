"""One comparison, one rule set, one cast."""

from __future__ import annotations

from convert_sdk import matches
from convert_sdk._core.casting import UNCASTABLE, cast
from convert_sdk._core.js_regex.pattern import UnusablePattern
from convert_sdk._core.operators import compile_test

from .differences import Json


def compared(case: Json, _: Json) -> Json:
    """The verdict of one match_type; a pattern that cannot be matched against makes the item false."""
    try:
        test = compile_test(case["match_type"], case["test_against"], case["negated"])
    except UnusablePattern:
        return {"result": False}
    return {"result": test is not None and test(case["value"])}


def ruled(case: Json, _: Json) -> Json:
    """The verdict of a rule set on plain data."""
    return {"result": matches(case["rule_set"], case["data"])}


def casted(case: Json, _: Json) -> Json:
    """The value in a type."""
    result = cast(case["value"], case["type"])
    return {"uncastable": True} if result is UNCASTABLE else {"result": result}
