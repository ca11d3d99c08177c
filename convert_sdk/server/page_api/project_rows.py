"""A project as lists, rows and details: entities in words, with their problems beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from convert_sdk._config.coerce import as_id, ids
from convert_sdk._core.model import Audience, Experience, Feature, Goal, Location, RuleSet, Segment, Variation
from convert_sdk._core.problem import ignore
from convert_sdk._core.rules import Condition, Rules
from convert_sdk.analysis import Kind, NamedEntity, Severity, describe, find, rule_set_words
from convert_sdk.analysis.description import users_of, where_words, who_words
from convert_sdk.analysis.entities import Entity, index_of
from convert_sdk.analysis.simulation import owned_shares
from convert_sdk.analysis.words import condition_words, rules_words
from convert_sdk.project import Project
from convert_sdk.server.revisions import ServedRevision

SECTIONS: Mapping[str, Kind] = {kind.section: kind for kind in Kind}


class Wanted(NamedTuple):
    """The part of a list that is asked for."""

    offset: int
    limit: int
    search: str = ""
    status: str = ""


def summary(revision: ServedRevision) -> dict[str, object]:
    """The figures of a document."""
    project = revision.project
    return {
        "name": revision.read.project.name if revision.read.project else None,
        "revision": revision.name,
        "etag": revision.etag,
        "client_revision": client_revision(revision.etag),
        "size": len(revision.source),
        "served_at": revision.at,
        "environments": environments(revision),
        "default_environment": project.default_environment,
        "counts": {kind.section: len(index_of(project, kind)) for kind in Kind},
        "statuses": dict(Counter(str(each.status or "") for each in revision.read.experiences or ())),
    }


def client_revision(etag: str) -> str:
    """The revision of a client's project that has fetched a document under this entity tag.

    Drafts and paused experiences are left out of what a client fetches, so that it is another document.
    """
    return etag.strip('"')[:12]


def environments(revision: ServedRevision) -> list[str]:
    """The environments that the document names."""
    info = revision.raw.get("project")
    named = info.get("environments") if isinstance(info, Mapping) else None
    return [*map(str, named)] if isinstance(named, Mapping) else []


def section_rows(revision: ServedRevision, kind: Kind, wanted: Wanted) -> dict[str, object]:
    """The rows of a section that were asked for, and how many there are."""
    entities = _listed(revision.project, kind)
    search = wanted.search.strip().casefold()
    places = [
        place
        for place, entity in enumerate(entities)
        if (not search or search in _searched(entity))
        and (not wanted.status or (isinstance(entity, Experience) and entity.status == wanted.status))
    ]
    shown = places[wanted.offset : wanted.offset + wanted.limit]
    problems = _problem_counts(revision)
    users = _user_counts(revision.project, kind, [entities[place] for place in shown])
    return {
        "revision": revision.name,
        "total": len(entities),
        "matched": len(places),
        "offset": wanted.offset,
        "items": [
            {**_row(kind, entities[place], place, problems), **users.get(entities[place].id, {})}
            for place in shown
        ],
    }


def detail(revision: ServedRevision, kind: Kind, name: str) -> dict[str, object]:
    """Everything about one entity; raises UnknownNameError where there is none."""
    project = revision.project
    found = find(project, name, [kind])
    entity = found.entity
    entities = _listed(project, kind)
    place = next((at for at, each in enumerate(entities) if each is entity), 0)
    document_place, raw = _raw(revision, kind, entity)
    findings = revision.report.of(f"{kind.section}/{entity.key or entity.id}")
    more = _experience_detail(entity, raw) if isinstance(entity, Experience) else _other_detail(entity)
    return {
        **_row(kind, entity, place, _problem_counts(revision)),
        **more,
        "revision": revision.name,
        "lines": [line._asdict() for line in describe(project, found).lines],
        "raw": raw,
        "path": f"$.{kind.section}[{document_place}]",
        "findings": [finding.to_dict() for finding in findings],
        "used_by": []
        if isinstance(entity, Experience)
        else [_reference(Kind.EXPERIENCE, each) for each in users_of(project, entity)],
        "uses": [*_uses(project, found, raw)],
    }


def problems(revision: ServedRevision, subject: str, severity: str, wanted: Wanted) -> dict[str, object]:
    """The findings of a check that were asked for."""
    found = [
        finding
        for finding in revision.report.findings
        if (not subject or finding.subject == subject)
        and (not severity or finding.severity.value == severity)
    ]
    return {
        "revision": revision.name,
        "counts": {each.value: count for each, count in revision.report.counts().items()},
        "matched": len(found),
        "items": [finding.to_dict() for finding in found[wanted.offset : wanted.offset + wanted.limit]],
    }


def rules_tree(entity: RuleSet, kind: str) -> dict[str, object]:
    """The rules of an entity as a tree, each condition in words too."""
    return {
        "kind": kind,
        "key": entity.key,
        "name": entity.name,
        "words": rule_set_words(entity),
        "permanent": isinstance(entity, Audience) and entity.permanent,
        "note": str(entity.exclusion)
        if isinstance(entity, Audience) and entity.exclusion is not None
        else "; ".join(f"{problem.path}: {problem.message}" for problem in entity.problems),
        "any_of": tree(entity.rules),
    }


def tree(rules: Rules | None) -> list[object] | None:
    """Rules as an OR of ANDs of ORs; None for no rules."""
    if rules is None:
        return None
    return [
        {"all_of": [{"any_of": [_condition(leaf) for leaf in any_of]} for any_of in all_of]}
        for all_of in rules
    ]


def _condition(leaf: Condition) -> dict[str, object]:
    return {
        "key": leaf.key or leaf.rule_type,
        "operator": leaf.match_type,
        "negated": leaf.negated,
        "comparand": leaf.comparand,
        "words": condition_words(leaf),
        "problem": leaf.problem,
    }


def _listed(project: Project, kind: Kind) -> list[Entity]:
    return [*index_of(project, kind)]


def _searched(entity: Entity) -> str:
    """The text that a search looks into."""
    parts = [entity.key, entity.name, entity.id]
    if isinstance(entity, Experience):
        for each in (*entity.audiences, *(entity.locations or ())):
            parts += [each.key, each.name]
        for arm in entity.variations.values():
            parts += [arm.key, arm.name]
            parts += [change.feature.key for change in arm.changes if change.feature is not None]
    return "\n".join(parts).casefold()


def _problem_counts(revision: ServedRevision) -> Mapping[str, Counter[Severity]] | None:
    """The number of problems of each entity; None while nobody knows."""
    if not revision.is_checked:
        return None
    found: dict[str, Counter[Severity]] = {}
    for finding in revision.report.findings:
        found.setdefault(finding.subject, Counter())[finding.severity] += 1
    return found


def _row(
    kind: Kind, entity: Entity, place: int, problems: Mapping[str, Counter[Severity]] | None
) -> dict[str, object]:
    counted = None
    if problems is not None:
        own = problems.get(f"{kind.section}/{entity.key or entity.id}", Counter())
        counted = {severity.value: own[severity] for severity in Severity}
    row: dict[str, object] = {
        "kind": kind.value,
        "key": entity.key,
        "id": entity.id,
        "name": entity.name,
        "index": place,
    }
    match entity:
        case Experience():
            row |= _experience_row(entity)
        case Feature():
            row["variables"] = [each._asdict() for each in entity.variables]
        case _:
            row["words"] = rule_set_words(entity)
            row["type"] = _type(entity)
    return {**row, "problems": counted}


def _type(entity: Audience | Location | Segment | Goal) -> str | None:
    if isinstance(entity, Goal):
        return entity.type or None
    return "permanent" if isinstance(entity, Audience) and entity.permanent else None


def _experience_row(experience: Experience) -> dict[str, object]:
    owned = owned_shares(experience)
    return {
        "status": experience.status,
        "type": experience.type,
        "archived": experience.archived,
        "environment": experience.environment,
        "layout": "anchored" if experience.anchored else "packed",
        "traffic": round(sum(owned.values()) * 100, 6),
        "variations": [_arm(arm, owned) for arm in experience.variations.values()],
        "where": where_words(experience),
        "who": who_words(experience),
    }


def _arm(arm: Variation, owned: Mapping[str, float]) -> dict[str, object]:
    return {
        "id": arm.id,
        "key": arm.key,
        "name": arm.name,
        "status": arm.status,
        "percent": round(owned.get(arm.id, 0.0) * 100, 6),
    }


def _user_counts(project: Project, kind: Kind, shown: list[Entity]) -> dict[str, dict[str, object]]:
    """The number of experiences that use each of some entities."""
    if kind is Kind.EXPERIENCE or not shown:
        return {}
    counted: Counter[str] = Counter()
    match kind:
        case Kind.GOAL:
            for model in project.config.experiences or ():
                counted.update({str(each) for each in getattr(model, "goals", None) or ()})
        case Kind.FEATURE:
            for each in project.experiences:
                counted.update(
                    {change.feature_id for arm in each.variations.values() for change in arm.changes}
                )
        case Kind.AUDIENCE:
            for each in project.experiences:
                counted.update({audience.id for audience in each.audiences})
        case Kind.LOCATION:
            for each in project.experiences:
                counted.update({place.id for place in each.locations or ()})
        case Kind.SEGMENT:
            for each in project.experiences:
                counted.update(each.segments)
    return {entity.id: {"used_by": counted[entity.id]} for entity in shown}


class _RawEntity(NamedTuple):
    """An entity as the document has it."""

    place: int
    raw: Mapping[str, object]


def _raw(revision: ServedRevision, kind: Kind, entity: Entity) -> _RawEntity:
    listed = revision.raw.get(kind.section)
    for place, item in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(item, Mapping) or as_id(item.get("id")) != entity.id:
            continue
        if not entity.key or as_id(item.get("key")) == entity.key:
            return _RawEntity(place, item)
    return _RawEntity(0, {})


def _experience_detail(experience: Experience, raw: Mapping[str, object]) -> dict[str, object]:
    if experience.locations is not None:
        rules = [rules_tree(each, "location") for each in experience.locations]
    elif experience.site_area is not None:
        area = experience.site_area
        rules = [
            {
                "kind": "site area",
                "key": "",
                "name": "",
                "words": rules_words(area),
                "permanent": False,
                "note": "",
                "any_of": tree(area),
            }
        ]
    else:
        rules = []
    owned = owned_shares(experience)
    allocations = _allocations(raw)
    return {
        "rules": [*rules, *(rules_tree(each, "audience") for each in experience.audiences)],
        "match": "all" if experience.match_all else "any",
        "max_traffic": experience.bucketing.max_traffic,
        "ranges": [
            {
                "variation_id": each.variation_id,
                "variation_key": _arm_key(experience, each.variation_id),
                "start": each.start,
                "end": each.end,
            }
            for each in experience.split.ranges
        ],
        "variations": [
            {
                **_arm(arm, owned),
                "allocation": allocations.get(arm.id),
                "changes": [
                    {
                        "feature": change.feature.key if change.feature is not None else change.feature_id,
                        "variables": dict(change.variables),
                    }
                    for change in arm.changes
                ],
            }
            for arm in experience.variations.values()
        ],
    }


def _arm_key(experience: Experience, variation_id: str) -> str:
    arm = experience.variations.get(variation_id)
    return variation_id if arm is None else arm.key


def _allocations(raw: Mapping[str, object]) -> dict[str, object]:
    listed = raw.get("variations")
    return {
        str(each.get("id")): each.get("traffic_allocation")
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping)
    }


def _other_detail(entity: Audience | Location | Segment | Goal | Feature) -> dict[str, object]:
    if isinstance(entity, Feature):
        return {"rules": [], "match": "any"}
    if isinstance(entity, Goal) and entity.rules is None:
        return {"rules": [], "match": "any"}
    return {"rules": [rules_tree(entity, type(entity).__name__.lower())], "match": "any"}


def _uses(project: Project, found: NamedEntity, raw: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """References to the entities that an experience names."""
    experience = found.entity
    if not isinstance(experience, Experience):
        return
    yield from (_reference(Kind.LOCATION, each) for each in experience.locations or ())
    yield from (_reference(Kind.AUDIENCE, each) for each in experience.audiences)
    yield from (
        _reference(Kind.SEGMENT, each) for each in project.segments.named(sorted(experience.segments))
    )
    features = {
        change.feature.key: change.feature
        for arm in experience.variations.values()
        for change in arm.changes
        if change.feature is not None
    }
    yield from (_reference(Kind.FEATURE, each) for each in features.values())
    goals = project.goals.named(ids(raw.get("goals"), "", ignore))
    yield from (_reference(Kind.GOAL, each) for each in goals)


def _reference(kind: Kind, entity: Entity) -> dict[str, object]:
    return {"kind": kind.value, "key": entity.key, "name": entity.name}
