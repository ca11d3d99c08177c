"""The facts that a project's rules ask for: every key, with the operators and the values compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .copy_json import copy_json
from .events import to_json
from .model import CompiledProject, RuleSet
from .rules import Rules


class AskedCondition(NamedTuple):
    """One condition that asks for a key."""

    operator: str
    negated: bool
    comparand: object
    """The value compared with, as the document has it; None where the operator asks for none."""
    asked_by: str
    """The rule set, such as "audience germans"."""
    path: str
    """Its place in the document."""

    def __str__(self) -> str:
        """The condition without its key.

        >>> print(AskedCondition("equals", True, "DE", "audience foreigners", "$"))
        not equals "DE", asked by audience foreigners
        """
        negation = "not " if self.negated else ""
        compared = "" if self.comparand is None else f" {to_json(self.comparand)}"
        return f"{negation}{self.operator}{compared}, asked by {self.asked_by}"


Asked = Mapping[str, tuple[AskedCondition, ...]]
"""Keys in the order in which the document names them first, each with everything that asks for it."""


class Asks(NamedTuple):
    """The facts that a project's rules ask for, by what gives them.

    >>> asks = project.asks()
    >>> [*asks.attributes], [*asks.location], [*asks.goals]
    (['country', 'spent'], [], ['total'])
    >>> asks.attributes["country"][0].comparand
    'DE'
    """

    attributes: Asked
    """Asked of the visitor's attributes, by audiences and segments."""
    location: Asked
    """Asked of the visitor's location, by locations and site areas."""
    goals: Asked
    """Asked of the `rule_data` of a conversion, by goals."""


def asks(project: CompiledProject) -> Asks:
    """Everything that the rules of a project ask for.

    Every audience, location, segment and goal counts, whether an experience names it or not. An audience that is
    decided by another experience alone asks nothing else.
    """
    audiences = (audience for audience in project.audiences if audience.exclusion is None)
    areas = [("site area of", each.key, each.site_area) for each in project.experiences]
    return Asks(
        _asked([*_named(audiences), *_named(project.segments)]),
        _asked([*_named(project.locations), *areas]),
        _asked(_named(project.goals)),
    )


_Named = tuple[str, str, Rules | None]


def _named(rule_sets: Iterable[RuleSet]) -> Iterator[_Named]:
    for each in rule_sets:
        yield type(each).__name__.lower(), each.key, each.rules


def _asked(rule_sets: Iterable[_Named]) -> Asked:
    found: dict[str, list[AskedCondition]] = {}
    for kind, name, rules in rule_sets:
        for leaf in (leaf for all_of in rules or () for any_of in all_of for leaf in any_of):
            if not leaf.key:
                continue
            comparand = copy_json(leaf.comparand)
            asked = AskedCondition(leaf.match_type, leaf.negated, comparand, f"{kind} {name}", leaf.path)
            found.setdefault(leaf.key, []).append(asked)
    return MappingProxyType({key: tuple(conditions) for key, conditions in found.items()})
