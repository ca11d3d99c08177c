"""Entities by key or id, whatever they are; and what their names lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from convert_sdk._core.index import Index
from convert_sdk._core.model import Audience, Experience, Feature, Goal, Location, Segment
from convert_sdk.errors import UnknownNameError
from convert_sdk.project import Project

from .vocabulary import near_names

Entity = Experience | Audience | Location | Segment | Feature | Goal


class Kind(StrEnum):
    """The kind of an entity.

    >>> Kind("experience").section
    'experiences'
    """

    EXPERIENCE = "experience"
    AUDIENCE = "audience"
    LOCATION = "location"
    SEGMENT = "segment"
    FEATURE = "feature"
    GOAL = "goal"

    @property
    def section(self) -> str:
        """Its list in the document."""
        return f"{self.value}s"


class NamedEntity(NamedTuple):
    """An entity, and what it is."""

    kind: Kind
    entity: Entity


def index_of(
    project: Project, kind: Kind
) -> Index[Experience] | Index[Audience] | Index[Location] | Index[Segment] | Index[Feature] | Index[Goal]:
    """The entities of a kind."""
    match kind:
        case Kind.EXPERIENCE:
            return project.experiences
        case Kind.AUDIENCE:
            return project.audiences
        case Kind.LOCATION:
            return project.locations
        case Kind.SEGMENT:
            return project.segments
        case Kind.FEATURE:
            return project.features
        case Kind.GOAL:
            return project.goals


def find(project: Project, name: str, kinds: Iterable[Kind] = Kind) -> NamedEntity:
    """The entity of a key or an id.

    Args:
        project: Where to look.
        name: The key, or the id.
        kinds: What it may be; of several that have the name as a key, the first of these counts.

    Raises:
        UnknownNameError: There is none; the error has the names that look alike.

    >>> find(project, "germans").kind.value, find(project, "51").entity.key
    ('audience', 'germans')
    """
    listed = list(kinds)
    for kind in listed:
        entity = index_of(project, kind).get(name)
        if entity is not None:
            return NamedEntity(kind, entity)
    for kind in listed:
        entity = index_of(project, kind).of_id(name)
        if entity is not None:
            return NamedEntity(kind, entity)
    what = "entity" if len(listed) == len(Kind) else " or ".join(listed)
    raise UnknownNameError(name, what, near_names(name, _names(project, listed)))


def kinds_of(project: Project, name: str) -> list[Kind]:
    """Every kind that has this key."""
    return [kind for kind in Kind if index_of(project, kind).get(name) is not None]


def _names(project: Project, kinds: Iterable[Kind]) -> Iterator[str]:
    return (entity.key for kind in kinds for entity in index_of(project, kind) if entity.key)
