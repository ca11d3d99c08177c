"""Rules in words: what a person reads in place of a tree of conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from convert_sdk._core.events import to_json
from convert_sdk._core.javascript import js_string, numeric
from convert_sdk._core.model import Audience, RuleSet
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._core.values import LISTS

_PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "equals": ("is", "is not"),
    "equalsNumber": ("is", "is not"),
    "matches": ("is", "is not"),
    "less": ("is less than", "is at least"),
    "lessEqual": ("is at most", "is more than"),
    "contains": ("contains", "does not contain"),
    "isIn": ("is one of", "is none of"),
    "startsWith": ("begins with", "does not begin with"),
    "endsWith": ("ends with", "does not end with"),
    "regexMatches": ("matches", "does not match"),
    "exists": ("is known", "is not known"),
    "doesNotExist": ("is not known", "is known"),
    "not_exists": ("is empty", "is known and not empty"),
}
_VALUELESS: Final = frozenset({"exists", "doesNotExist", "not_exists"})


def condition_words(condition: Condition) -> str:
    """One condition in words.

    >>> print(rules_words(project.audience("germans").rules))
    country is "DE"
    """
    if condition.problem:
        return f"{condition.key or 'a condition'}, which never holds ({condition.problem})"
    return comparison_words(condition.key, condition.match_type, condition.negated, condition.comparand)


def comparison_words(key: str, operator: str, negated: bool, comparand: object) -> str:
    """A comparison in words; one of an unknown operator as it is written.

    >>> comparison_words("age", "less", True, 18)
    'age is at least 18'
    """
    phrases = _PHRASES.get(operator)
    if phrases is None:
        return f"{key} {'not ' * negated}{operator} {to_json(comparand)}"
    phrase = phrases[negated]
    return (
        f"{key} {phrase}" if operator in _VALUELESS else f"{key} {phrase} {_comparand(operator, comparand)}"
    )


def _comparand(operator: str, comparand: object) -> str:
    if operator == "isIn":
        items = comparand if isinstance(comparand, LISTS) else js_string(comparand).split("|")
        return ", ".join(to_json(item) for item in items)
    if operator == "regexMatches":
        return f"/{js_string(comparand)}/"
    number = numeric(comparand) if operator in ("less", "lessEqual") else None
    return to_json(comparand) if number is None else f"{number:g}"


def rules_words(rules: Rules | None) -> str:
    """A rule set in one line: alternatives with "or", what must hold together with "and"."""
    if not rules:
        return "nobody, as there are no rules"
    blocks = [_block(all_of, alone=len(rules) == 1) for all_of in rules]
    return " or ".join(blocks)


def _block(all_of: Sequence[Sequence[Condition]], *, alone: bool) -> str:
    groups = [_group(any_of, alone=alone and len(all_of) == 1) for any_of in all_of]
    joined = " and ".join(groups)
    return joined if alone or len(groups) == 1 else f"({joined})"


def _group(any_of: Sequence[Condition], *, alone: bool) -> str:
    joined = " or ".join(map(condition_words, any_of))
    return joined if alone or len(any_of) == 1 else f"({joined})"


def rule_set_words(entity: RuleSet) -> str:
    """The rules of an audience, location, segment or goal in words."""
    if isinstance(entity, Audience) and entity.exclusion is not None:
        return str(entity.exclusion)
    return rules_words(entity.rules)
