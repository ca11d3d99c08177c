"""Entities to be built: what builders give, and what is put into a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, TypeVar

from convert_sdk._checks import Unchanged

from .rules import RuleExpression, Wire

T = TypeVar("T")
Given: TypeAlias = T | Unchanged
"""An argument that a change of an export leaves as it is, where it is not given."""
Sets = Mapping[str, Mapping[str, object]]
"""Features by key, each with its variables."""


class RulesSpec(NamedTuple):
    """An audience, location, segment or goal to be built."""

    section: str
    key: str
    id: str | None
    rules: Given[RuleExpression | None]
    fields: Wire


class VariationSpec(NamedTuple):
    """A variation to be built."""

    key: str
    id: str | None
    traffic: Given[float]
    sets: Sets
    fields: Wire


class FeatureSpec(NamedTuple):
    """A feature to be built, with the types of its variables."""

    key: str
    id: str | None
    variables: Mapping[str, str]
    fields: Wire


Named = RuleExpression | RulesSpec | str
"""Rules alone, an entity with a key of its own, or the key of one that the project has."""


class ExperienceSpec(NamedTuple):
    """An experience to be built."""

    key: str
    id: str | None
    variations: Given[tuple[VariationSpec, ...]]
    audiences: Given[tuple[Named, ...]]
    locations: Given[tuple[Named, ...]]
    segments: Given[tuple[Named, ...]]
    goals: Given[tuple[Named, ...]]
    site_area: Given[RuleExpression | None]
    match_all: Given[bool]
    sets: Mapping[str, Sets]
    archived: Given[bool]
    fields: Wire


Entity = ExperienceSpec | RulesSpec | FeatureSpec
