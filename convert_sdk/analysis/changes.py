"""The changes from one document to another, in words, by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from convert_sdk._config.coerce import as_id, ids
from convert_sdk._core.events import to_json
from convert_sdk._core.model import Audience, Experience, Feature, Goal, RuleSet
from convert_sdk._core.problem import ignore
from convert_sdk.project import Project

from .document import document_view
from .entities import Entity, Kind, index_of
from .words import rule_set_words, rules_words

Profile = Mapping[str, str]
"""Everything that is said of an entity, by name."""


class EntityChange(NamedTuple):
    """One thing that is otherwise: None stands for what is not there.

    >>> print(EntityChange(Kind.EXPERIENCE, "checkout", "traffic of one-page", "50 %", "30 %"))
    experience checkout: traffic of one-page was 50 %, is 30 %
    """

    kind: Kind | None
    """None for the project itself."""
    key: str
    what: str
    """"" for the whole entity."""
    before: str | None
    after: str | None

    def __str__(self) -> str:
        name = "the project" if self.kind is None else f"{self.kind.value} {self.key}"
        if not self.what:
            return f"{name} {'is new' if self.before is None else 'is gone'}{self._told()}"
        if self.before is None:
            return f"{name}: {self.what} is new, {self.after}"
        if self.after is None:
            return f"{name}: {self.what} is gone, it was {self.before}"
        return f"{name}: {self.what} was {self.before}, is {self.after}"

    def _told(self) -> str:
        told = self.after if self.before is None else self.before
        return f", {told}" if told else ""

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "kind": None if self.kind is None else self.kind.value}


def document_changes(old: Project, new: Project) -> tuple[EntityChange, ...]:
    """Everything that is otherwise in the new document, entity by entity; the order of the lists is no change.

    >>> document_changes(project, project)
    ()
    """
    return tuple(_changes(old, new))


def _changes(old: Project, new: Project) -> Iterator[EntityChange]:
    yield from _compared(None, "", _project(old), _project(new))
    for kind in Kind:
        before, after = _profiles(old, kind), _profiles(new, kind)
        for key in dict.fromkeys([*before, *after]):
            if key not in after:
                yield EntityChange(kind, key, "", before[key].get("id", ""), None)
            elif key not in before:
                yield EntityChange(kind, key, "", None, after[key].get("id", ""))
            else:
                yield from _compared(kind, key, before[key], after[key])


def _compared(kind: Kind | None, key: str, before: Profile, after: Profile) -> Iterator[EntityChange]:
    for what in dict.fromkeys([*before, *after]):
        if before.get(what) != after.get(what):
            yield EntityChange(kind, key, what, before.get(what), after.get(what))


def _project(project: Project) -> Profile:
    raw = document_view(project).raw
    info = raw.get("project")
    environments = info.get("environments") if isinstance(info, Mapping) else None
    names = ", ".join(environments) if isinstance(environments, Mapping) else "none"
    return {
        "id": project.id,
        "account": project.account_id,
        "name": project.name,
        "default environment": project.default_environment or "none",
        "environments": names,
    }


def _profiles(project: Project, kind: Kind) -> dict[str, Profile]:
    goals = _goals(project) if kind is Kind.EXPERIENCE else {}
    found: dict[str, Profile] = {}
    for entity in cast("Iterator[Entity]", iter(index_of(project, kind))):
        profile = dict(_profile(project, entity))
        if isinstance(entity, Experience):
            profile["goals"] = ", ".join(goals.get(entity.key, ())) or "none"
        found.setdefault(entity.key, profile)
    return found


def _goals(project: Project) -> dict[str, list[str]]:
    """The goals of each experience, by key."""
    found: dict[str, list[str]] = {}
    for item in document_view(project).section("experiences"):
        listed = [project.goals.of_id(each) for each in ids(item.raw.get("goals"), "", ignore)]
        found.setdefault(as_id(item.raw.get("key")), [goal.key for goal in listed if goal is not None])
    return found


def _profile(project: Project, entity: Entity) -> Iterator[tuple[str, str]]:
    yield "id", entity.id
    yield "name", entity.name
    match entity:
        case Experience():
            yield from _experience(project, entity)
        case Feature():
            yield from ((f"variable {variable.key}", variable.type) for variable in entity.variables)
        case RuleSet():
            yield "rules", rule_set_words(entity)
            if isinstance(entity, Audience):
                yield "asked", "until there is a decision" if entity.permanent else "each time"
            if isinstance(entity, Goal):
                yield "type", entity.type or "none"


def _experience(project: Project, experience: Experience) -> Iterator[tuple[str, str]]:
    yield "status", experience.status or "none"
    yield "type", experience.type or "none"
    yield "archive", "archived" if experience.archived else "not archived"
    yield "environment", experience.environment or "any"
    joined = " and " if experience.match_all else " or "
    yield "audiences", joined.join(each.key for each in experience.audiences) or "everybody"
    segments = [each.key for each in project.segments.named(sorted(experience.segments))]
    yield "segments", " or ".join(segments) or "everybody"
    yield "place", _place(experience)
    yield "ranges", "anchored" if experience.anchored else "packed"
    widths: dict[str, float] = {}
    for each in experience.split.ranges:
        widths[each.variation_id] = widths.get(each.variation_id, 0.0) + max(0.0, each.end - each.start)
    for arm in experience.variations.values():
        yield f"traffic of {arm.key}", f"{widths.get(arm.id, 0.0) / 100:g} %"
        yield f"id of {arm.key}", arm.id
        for change in arm.changes:
            name = change.feature.key if change.feature is not None else change.feature_id
            yield f"{name} in {arm.key}", to_json(dict(change.variables))


def _place(experience: Experience) -> str:
    if experience.locations is not None:
        return " or ".join(each.key for each in experience.locations) or "nowhere"
    return "everywhere" if experience.site_area is None else rules_words(experience.site_area)
