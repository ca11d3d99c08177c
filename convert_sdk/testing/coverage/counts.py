"""Counts of what was seen: of conditions and of variations, by names that every process gives them alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from convert_sdk._core.events import to_json
from convert_sdk._core.model import CompiledProject, Experience, RuleSet, Variation
from convert_sdk._core.operators import VALUELESS
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._core.values import MISSING

TRUE, FALSE, UNKNOWN = "true", "false", "unknown"
"""Outcomes of a condition: it held, it failed, or the visitor had no such fact."""


class NamedRules(NamedTuple):
    """The rules of an entity, or of the site area of an experience."""

    kind: str
    key: str
    rules: Rules
    note: str = ""

    @property
    def name(self) -> str:
        """Its name in reports and in the list of what is excluded."""
        return f"{self.kind}:{self.key}"


def rule_sets(project: CompiledProject) -> Iterator[NamedRules]:
    """All the rules of a project; an audience that another experience decides has none."""
    for index in (project.audiences, project.locations, project.segments, project.goals):
        listed: Iterable[RuleSet] = index
        for each in listed:
            exclusion = getattr(each, "exclusion", None)
            rules = () if exclusion is not None else each.rules or ()
            yield NamedRules(type(each).__name__.lower(), each.key, rules, str(exclusion or ""))
    for experience in project.experiences:
        if experience.site_area is not None:
            yield NamedRules("site-area", experience.key, experience.site_area)


def leaves(rules: Rules) -> Iterator[Condition]:
    """Every condition of some rules."""
    return (leaf for block in rules for group in block for leaf in group)


def leaf_name(rules: NamedRules, leaf: Condition) -> str:
    """The name of a condition: where it stands and what it asks, so that changed rules are others."""
    place = leaf.path.partition(".OR[")[2]
    return f"{rules.name} OR[{place} {leaf.key} {leaf.match_type} {leaf.negated} {to_json(leaf.comparand)}"


def variation_name(experience: Experience, variation: Variation) -> str:
    """The name of a variation."""
    return f"variation:{experience.key}/{variation.key}"


def outcome(leaf: Condition, value: object, *, verdict: bool) -> str:
    """The outcome of one look at a condition: one that asks whether there is a fact is never without."""
    if value is MISSING and leaf.match_type not in VALUELESS:
        return UNKNOWN
    return TRUE if verdict else FALSE


class CoverageCounts(Counter[tuple[str, str]]):
    """The times that each name was seen with each outcome; those of several processes are added.

    >>> counts = CoverageCounts({("variation:checkout/a", "seen"): 2})
    >>> CoverageCounts.from_json(counts.to_json()) == counts
    True
    """

    def to_json(self) -> str:
        """The counts as text, for another process."""
        return json.dumps([[*key, count] for key, count in self.items()])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The counts of another process."""
        return cls({(name, seen): count for name, seen, count in json.loads(text)})


SEEN = "seen"
"""The outcome of a variation."""
