"""Document → Project: every id linked, every rule compiled, everything wrong named by its path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from convert_sdk._core.bucketing import DEFAULT, Bucketing, id_bytes
from convert_sdk._core.javascript import truthy
from convert_sdk._core.model import (
    Audience,
    Exclusion,
    Experience,
    Feature,
    Goal,
    Index,
    Location,
    RuleSet,
    Segment,
    Variable,
)
from convert_sdk._core.problem import Problem, Report
from convert_sdk._core.rules import Rules, compile_rules, excludes, first_exclusion
from convert_sdk.errors import DocumentError
from convert_sdk.project import Project

from .arms import is_anchored, split, variations
from .loose import Json, as_id, as_object, as_text, ids, kind, objects
from .read import read_json

Set = TypeVar("Set", bound=RuleSet)


def compile_document(source: bytes, bucketing: Bucketing = DEFAULT) -> Project:
    """The project of a document.

    Raises DocumentError where it is no JSON, or has no account, no project, or an error in place of them.
    """
    problems: list[Problem] = []

    def report(path: str, message: str) -> None:
        problems.append(Problem(path, message))

    raw = read_json(source, report)
    account_id, project_id = identity(raw)
    assert isinstance(raw, Mapping)  # noqa: S101 # identity() refuses anything else
    project = as_object(raw.get("project"), "$.project", report)
    goals = Index(_goals(raw, report))
    features = Index(_features(raw, report))
    locations = Index(_rule_sets(raw, "locations", Location, report))
    segments = Index(_rule_sets(raw, "segments", Segment, report))
    experience_ids = _experience_ids(raw)
    audiences = Index(_audiences(raw, experience_ids, report))
    links = _Links(audiences, locations, segments, features, _archived(raw, report), bucketing)
    experiences = Index(_experiences(raw, links, report))
    _check_names(experiences.listed, "$.experiences", report)
    _check_names(audiences.listed, "$.audiences", report)
    _check_names(locations.listed, "$.locations", report)
    _check_names(segments.listed, "$.segments", report)
    _check_names(features.listed, "$.features", report)
    _check_names(goals.listed, "$.goals", report)
    return Project(
        account_id,
        project_id,
        as_text(project.get("name")),
        experiences=experiences,
        audiences=audiences,
        locations=locations,
        segments=segments,
        features=features,
        goals=goals,
        default_environment=_default_environment(project, report),
        is_debug=raw.get("is_debug") is True,
        bucketing=bucketing,
        problems=tuple(problems),
        source=source,
    )


def identity(raw: object) -> tuple[str, str]:
    """Account id and project id of a document.

    Raises DocumentError where the document names none, or is an error of the API.
    """
    if not isinstance(raw, Mapping):
        raise DocumentError("$", "an object with account_id and project", kind(raw))
    if truthy(raw.get("error")):
        raise DocumentError("$.error", "a project's configuration", "an error in its place")
    account_id = as_id(raw.get("account_id"))
    if not account_id:
        raise DocumentError("$.account_id", "the account's id", kind(raw.get("account_id")))
    project = raw.get("project")
    if not isinstance(project, Mapping):
        raise DocumentError("$.project", "an object with the project's id", kind(project))
    project_id = as_id(project.get("id"))
    if not project_id:
        raise DocumentError("$.project.id", "the project's id", kind(project.get("id")))
    return account_id, project_id


class _Links:
    """What an experience's ids point to."""

    __slots__ = ("archived", "audiences", "bucketing", "features", "locations", "segments")

    def __init__(
        self,
        audiences: Index[Audience],
        locations: Index[Location],
        segments: Index[Segment],
        features: Index[Feature],
        archived: frozenset[str],
        bucketing: Bucketing,
    ) -> None:
        self.audiences = audiences
        self.locations = locations
        self.segments = segments
        self.features = features
        self.archived = archived
        self.bucketing = bucketing


def _experiences(raw: Json, links: _Links, report: Report) -> Iterable[Experience]:
    for path, item in objects(raw.get("experiences"), "$.experiences", report):
        yield _experience(item, path, links, report)


def _experience(item: Json, path: str, links: _Links, report: Report) -> Experience:
    experience_id = as_id(item.get("id"))
    settings = as_object(item.get("settings"), f"{path}.settings", report)
    options = as_object(settings.get("matching_options"), f"{path}.settings.matching_options", report)
    if options.get("locations") == "all":
        report(f"{path}.settings.matching_options.locations", '"all" has no effect: any location is enough')
    listed = ids(item.get("audiences"), f"{path}.audiences", report)
    for name in listed:
        if name not in links.audiences.by_id and name not in links.segments.by_id:
            report(f"{path}.audiences", f"no audience or segment has the id {name!r}; it restricts nobody")
    return Experience(
        experience_id,
        as_id(item.get("key")),
        as_text(item.get("name")),
        status=as_text(item.get("status")),
        type=as_text(item.get("type")),
        environment=_environment(item, path, report),
        archived=experience_id in links.archived,
        locations=_locations(item, path, links, report),
        site_area=_site_area(item, path, report),
        audiences=links.audiences.named(listed),
        match_all=options.get("audiences") == "all",
        segments=frozenset(name for name in listed if name in links.segments.by_id),
        variations=variations(item, path, links.features, report),
        anchored=is_anchored(item),
        split=split(item, path, report),
        hashed=b"" if links.bucketing.exclude_experience_id else id_bytes(experience_id),
    )


def _locations(item: Json, path: str, links: _Links, report: Report) -> tuple[Location, ...] | None:
    listed = ids(item.get("locations"), f"{path}.locations", report)
    if not _names_locations(item):
        return None
    for name in listed:
        if name not in links.locations.by_id:
            report(f"{path}.locations", f"no location has the id {name!r}; nobody is there")
    return links.locations.named(listed)


def _names_locations(item: Json) -> bool:
    """Whether locations decide, known ones or not; then the site area does not."""
    locations = item.get("locations")
    return isinstance(locations, list) and bool(locations)


def _site_area(item: Json, path: str, report: Report) -> Rules | None:
    area = item.get("site_area")
    if _names_locations(item) or not truthy(area):
        return None
    return compile_rules(area, f"{path}.site_area", report)


def _environment(item: Json, path: str, report: Report) -> str | None:
    environment = item.get("environment")
    several = item.get("environments")
    if not truthy(environment):
        return None
    if isinstance(several, list) and several and environment not in several:
        report(f"{path}.environment", "is not among `environments`; `environment` alone decides")
    if isinstance(environment, str):
        return environment
    report(f"{path}.environment", f"expected text, found {kind(environment)}; it runs in no environment")
    return f"({kind(environment)})"


def _audiences(raw: Json, experience_ids: Mapping[str, str], report: Report) -> Iterable[Audience]:
    for path, item in objects(raw.get("audiences"), "$.audiences", report):
        wrong: list[tuple[str, str]] = []
        rules = _rules(item, path, lambda *problem, found=wrong: found.append(problem))
        exclusion = _exclusion(item, path, experience_ids, report) if rules and excludes(rules) else None
        for problem in wrong if exclusion is None else ():
            report(*problem)
        yield Audience(
            as_id(item.get("id")),
            as_id(item.get("key")),
            as_text(item.get("name")),
            rules,
            permanent=item.get("type") == "permanent",
            exclusion=exclusion,
        )


def _exclusion(item: Json, path: str, experience_ids: Mapping[str, str], report: Report) -> Exclusion | None:
    """The leaf that decides the whole audience; its other rules are never asked."""
    found = first_exclusion(item.get("rules"))
    if found is None:
        return None
    experience_id = experience_ids.get(found.experience_key)
    if experience_id is None:
        report(
            f"{path}.rules", f"no experience has the key {found.experience_key!r}; nobody is bucketed there"
        )
    return Exclusion(found.experience_key, experience_id, found.negated)


def _silent(path: str, message: str) -> None:
    """Rules that are never asked raise no problems."""


def _rule_sets(
    raw: Json, name: str, make: Callable[[str, str, str, Rules | None], Set], report: Report
) -> Iterable[Set]:
    for path, item in objects(raw.get(name), f"$.{name}", report):
        yield make(
            as_id(item.get("id")),
            as_id(item.get("key")),
            as_text(item.get("name")),
            _rules(item, path, report),
        )


def _goals(raw: Json, report: Report) -> Iterable[Goal]:
    for path, item in objects(raw.get("goals"), "$.goals", report):
        yield Goal(
            as_id(item.get("id")),
            as_id(item.get("key")),
            as_text(item.get("name")),
            _rules(item, path, report),
            type=as_text(item.get("type")),
        )


def _rules(item: Json, path: str, report: Report) -> Rules | None:
    rules = item.get("rules")
    return compile_rules(rules, f"{path}.rules", report) if truthy(rules) else None


def _features(raw: Json, report: Report) -> Iterable[Feature]:
    for path, item in objects(raw.get("features"), "$.features", report):
        declared = tuple(
            Variable(as_id(variable.get("key")), as_text(variable.get("type")))
            for _, variable in objects(item.get("variables"), f"{path}.variables", report)
        )
        yield Feature(as_id(item.get("id")), as_id(item.get("key")), as_text(item.get("name")), declared)


def _experience_ids(raw: Json) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for _, item in objects(raw.get("experiences"), "$.experiences", _silent):
        found.setdefault(as_id(item.get("key")), as_id(item.get("id")))
    return found


def _archived(raw: Json, report: Report) -> frozenset[str]:
    return frozenset(ids(raw.get("archived_experiences"), "$.archived_experiences", report))


def _default_environment(project: Json, report: Report) -> str | None:
    environments = as_object(project.get("environments"), "$.project.environments", report)
    for name, environment in environments.items():
        if isinstance(environment, Mapping) and environment.get("is_default") is True:
            return name
    return None


def _check_names(listed: Sequence[Experience | RuleSet | Feature], path: str, report: Report) -> None:
    keys: set[str] = set()
    seen: set[str] = set()
    for position, entity in enumerate(listed):
        for name, value, known in (("key", entity.key, keys), ("id", entity.id, seen)):
            if not value:
                report(f"{path}[{position}].{name}", f"expected a {name}; nothing can name this entry by it")
            elif value in known:
                report(
                    f"{path}[{position}].{name}", f"{value!r} is taken; the first entry of this {name} counts"
                )
            known.add(value)
