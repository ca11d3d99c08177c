"""The form of a visitor: the facts that the rules ask for, each with values worth trying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from convert_sdk._core.asks import Asked, AskedCondition
from convert_sdk._core.values import MISSING
from convert_sdk.analysis.border_values import Border, border_values
from convert_sdk.server.revisions import ServedRevision

from .project_rows import environments

_MOST_CHOICES = 30


def facts_form(revision: ServedRevision) -> dict[str, object]:
    """Everything that a form for visitors of a document needs."""
    project = revision.project
    asked = project.asks()
    return {
        "revision": revision.name,
        "attributes": [*_facts(asked.attributes)],
        "location": [*_facts(asked.location)],
        "rule_data": [*_facts(asked.goals)],
        "environments": environments(revision),
        "default_environment": project.default_environment,
        "segments": [{"id": each.id, "key": each.key, "name": each.name} for each in project.segments],
        "experiences": [{"key": each.key, "name": each.name} for each in project.experiences],
    }


def _facts(asked: Asked) -> Iterator[dict[str, object]]:
    for key, conditions in asked.items():
        choices = _choices(conditions)
        yield {
            "key": key,
            "type": _type(choices),
            "choices": choices,
            "asked_by": [*dict.fromkeys(each.asked_by for each in conditions)],
            "conditions": [*map(str, conditions)],
        }


def _choices(conditions: Iterable[AskedCondition]) -> list[object]:
    borders = (Border(each.operator, each.comparand) for each in conditions)
    return [value for value in border_values(borders) if value is not MISSING][:_MOST_CHOICES]


def _type(choices: list[object]) -> str:
    """The type of a fact, as far as the values tell that it is compared with."""
    if not choices:
        return "text"
    if all(isinstance(value, bool) for value in choices):
        return "boolean"
    if all(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) for value in choices):
        return "number"
    return "json" if any(isinstance(value, (list, dict)) for value in choices) else "text"
