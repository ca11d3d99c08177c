"""Entities in words: who an experience is for, where, and what it shows; and who uses the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from convert_sdk._core.events import to_json
from convert_sdk._core.model import (
    Audience,
    CompiledProject,
    Experience,
    Feature,
    Goal,
    Location,
    RuleSet,
    Segment,
    Variation,
)
from convert_sdk.project import Project

from .entities import Kind, NamedEntity
from .words import rule_set_words, rules_words


class Line(NamedTuple):
    """One thing that is said of an entity: its name, and the words."""

    name: str
    words: str


class Description(NamedTuple):
    """An entity in words. `str()` is for people, `to_json()` for tools.

    >>> from convert_sdk.analysis import find
    >>> print(describe(project, find(project, "germans")))
    audience germans (51)
      who       country is "DE"
      used by   experience shipping-banner
    """

    kind: Kind
    key: str
    id: str
    name: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        title = f"{self.kind.value} {self.key} ({self.id})"
        named = f"{title}: {self.name}" if self.name.lower() not in ("", self.key) else title
        return "\n".join([named, *(f"  {line.name:<9} {line.words}" for line in self.lines)])

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "kind": self.kind.value, "lines": [line._asdict() for line in self.lines]}

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


def describe(project: Project, found: NamedEntity) -> Description:
    """Say in words what an entity is, asks and sets."""
    entity = found.entity
    lines = _experience(project, entity) if isinstance(entity, Experience) else _other(project, entity)
    return Description(found.kind, entity.key, entity.id, entity.name, tuple(lines))


def where_words(experience: Experience) -> str:
    """The places of an experience in words."""
    if experience.locations is not None:
        return _alternatives(experience.locations, " or ") or "nowhere, as no location is known"
    return "everywhere" if experience.site_area is None else rules_words(experience.site_area)


def who_words(experience: Experience) -> str:
    """The audiences of an experience in words."""
    if not experience.audiences:
        return "everybody"
    return _alternatives(experience.audiences, " and " if experience.match_all else " or ")


def _alternatives(entities: Iterable[RuleSet], joined_by: str) -> str:
    return joined_by.join(f"{each.key} ({rule_set_words(each)})" for each in entities)


def _experience(project: Project, experience: Experience) -> Iterator[Line]:
    yield Line("status", ", ".join(filter(None, [experience.status or "no status", experience.type])))
    if experience.archived:
        yield Line("archived", "nobody gets it")
    if experience.environment is not None:
        yield Line("runs in", experience.environment)
    yield Line("where", where_words(experience))
    yield Line("who", who_words(experience))
    if experience.segments:
        yield Line("segments", f"any of {', '.join(segment_names(project, experience.segments))}")
    for arm in experience.variations.values():
        yield Line("variation", _variation(experience, arm))
    shared = sum(max(0.0, each.end - each.start) for each in experience.split.ranges) / 100
    yield Line("traffic", f"{shared:g} %, {'anchored' if experience.anchored else 'packed'} ranges")


def segment_names(project: CompiledProject, ids: Iterable[str]) -> list[str]:
    """The keys of segments, with their ids."""
    known = {segment.id: segment.key for segment in project.segments}
    return [f"{known[each]} ({each})" if each in known else each for each in sorted(ids)]


def _variation(experience: Experience, arm: Variation) -> str:
    width = sum(
        max(0.0, each.end - each.start) for each in experience.split.ranges if each.variation_id == arm.id
    )
    sets = [
        f"{change.feature.key if change.feature else change.feature_id} {to_json(dict(change.variables))}"
        for change in arm.changes
    ]
    stopped = "" if arm.status in ("", "running") else f", {arm.status}"
    return f"{arm.key} ({arm.id}), {width / 100:g} %{stopped}{'; sets ' if sets else ''}{', '.join(sets)}"


def _other(project: Project, entity: Audience | Location | Segment | Feature | Goal) -> Iterator[Line]:
    if isinstance(entity, Feature):
        for variable in entity.variables:
            yield Line("variable", f"{variable.key}: {variable.type}")
    else:
        name = {"Location": "where", "Goal": "counts if"}.get(type(entity).__name__, "who")
        if not (isinstance(entity, Goal) and entity.rules is None):
            yield Line(name, rule_set_words(entity))
        if isinstance(entity, Audience) and entity.permanent:
            yield Line("asked", "until the visitor has a decision")
        if isinstance(entity, Goal) and entity.type:
            yield Line("type", entity.type)
    users = [f"experience {each.key}" for each in users_of(project, entity)]
    yield Line("used by", ", ".join(users) or "no experience")


def users_of(project: Project, entity: Audience | Location | Segment | Feature | Goal) -> list[Experience]:
    """The experiences that name an entity."""
    match entity:
        case Feature():
            return list(project.carriers(entity.id))
        case Goal():
            named = {
                model.key
                for model in project.config.experiences or ()
                if entity.id in {str(each) for each in getattr(model, "goals", None) or ()}
            }
            return [each for each in project.experiences if each.key in named]
        case Segment():
            return [each for each in project.experiences if entity.id in each.segments]
        case Location():
            return [each for each in project.experiences if entity in (each.locations or ())]
        case Audience():
            return [each for each in project.experiences if entity in each.audiences]
