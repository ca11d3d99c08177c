"""A document compiled into the parts of a project: ids linked, rules compiled, problems named by their path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from convert_sdk._core.bucketing import DEFAULT, Bucketing
from convert_sdk._core.codes import Code
from convert_sdk._core.index import Entry, Index
from convert_sdk._core.javascript import truthy
from convert_sdk._core.mismatches import Mismatches
from convert_sdk._core.model import (
    SECTIONS,
    Audience,
    CompiledProject,
    Exclusion,
    Experience,
    Feature,
    Goal,
    Location,
    SectionState,
    Segment,
    Variable,
)
from convert_sdk._core.problem import Problem, Report, ignore
from convert_sdk._core.rules import Names, Rules, compile_rules, excludes, first_exclusion
from convert_sdk._core.trace import structural
from convert_sdk._core.web_settings import WebSettings
from convert_sdk.errors import DocumentError

from .coerce import Json, as_id, as_object, as_text, ids, kind, kind_of, objects
from .json import read_json
from .variations import changed_features, is_anchored, split, variations
from .web_settings import web_settings


class ProjectParts(TypedDict):
    """The arguments of a `CompiledProject`."""

    account_id: str
    id: str
    name: str
    experiences: Index[Experience]
    audiences: Index[Audience]
    locations: Index[Location]
    segments: Index[Segment]
    features: Index[Feature]
    goals: Index[Goal]
    default_environment: str | None
    is_debug: bool
    bucketing: Bucketing
    carriers: Mapping[str, Iterable[str]]
    sections: Mapping[str, SectionState]
    mismatches: Mismatches
    source: bytes
    web: WebSettings


def compile_document(source: bytes, bucketing: Bucketing = DEFAULT) -> ProjectParts:
    """The parts of a document's project; its entities are compiled when they are first wanted.

    Raises DocumentError where it is no JSON, or has no account, no project, or an error in place of them.
    """
    return _parts(source, bucketing, ignore)


def find_problems(source: bytes) -> tuple[Problem, ...]:
    """Everything that is wrong in a document that compiles."""
    problems: list[Problem] = []

    def report(path: str, message: str, code: Code) -> None:
        problems.append(Problem(path, message, code))

    CompiledProject(**_parts(source, DEFAULT, report)).warm()
    return tuple(problems)


def _parts(source: bytes, bucketing: Bucketing, report: Report) -> ProjectParts:
    raw = read_json(source, report)
    account_id, project_id = identity(raw)
    assert isinstance(raw, dict)  # noqa: S101 # identity() refuses anything else
    project = as_object(raw.get("project"), "$.project", report)
    entries = {name: _entries(raw, name, report) for name in SECTIONS}
    links = _Links(entries, _damaged(raw, entries), _archived(raw, report), bucketing, report)
    return ProjectParts(
        account_id=account_id,
        id=project_id,
        name=as_text(project.get("name")),
        experiences=Index(entries["experiences"], links.experience),
        audiences=links.audiences,
        locations=links.locations,
        segments=links.segments,
        features=links.features,
        goals=Index(entries["goals"], links.goal),
        default_environment=_default_environment(project, report),
        is_debug=raw.get("is_debug") is True,
        bucketing=bucketing,
        carriers=_carriers(entries["experiences"]),
        sections={name: _state(raw.get(name), entries[name]) for name in SECTIONS},
        mismatches=links.mismatches,
        source=source,
        web=web_settings(project, report),
    )


_ARTICLES = {"id": "an", "key": "a"}
_MISSING = {"id": Code.MISSING_ID, "key": Code.MISSING_KEY}
_TAKEN = {"id": Code.DUPLICATE_ID, "key": Code.DUPLICATE_KEY}


def _state(value: object, entries: list[Entry]) -> SectionState:
    if value is None:
        return SectionState.ABSENT
    if not isinstance(value, list) or (value and not any(entry.id for entry in entries)):
        return SectionState.UNREADABLE
    return SectionState.READ


def _damaged(raw: Json, entries: Mapping[str, list[Entry]]) -> frozenset[str]:
    """The sections in which an id that no entry has may be that of an entry which cannot be read."""
    return frozenset(
        name
        for name in SECTIONS
        if raw.get(name) is not None
        and (
            not isinstance(raw[name], list)
            or sum(bool(entry.id) for entry in entries[name]) < _length(raw[name])
        )
    )


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _entries(raw: Json, name: str, report: Report) -> list[Entry]:
    entries = [
        Entry(as_id(item.get("id")), as_id(item.get("key")), path, item)
        for path, item in objects(raw.get(name), f"$.{name}", report)
    ]
    if report is not ignore:
        _check_names(entries, report)
    return entries


def _check_names(entries: list[Entry], report: Report) -> None:
    keys: set[str] = set()
    seen: set[str] = set()
    for entry in entries:
        for name, value, known in (("key", entry.key, keys), ("id", entry.id, seen)):
            if not value:
                report(
                    f"{entry.path}.{name}",
                    f"expected {_ARTICLES[name]} {name}; nothing can name this entry by it",
                    _MISSING[name],
                )
            elif value in known:
                which = "last" if name == "id" and entry.path.startswith("$.features[") else "first"
                report(
                    f"{entry.path}.{name}",
                    f"{value!r} is taken; the {which} entry of this {name} counts",
                    _TAKEN[name],
                )
            known.add(value)


def _carriers(entries: list[Entry]) -> Mapping[str, list[str]]:
    """Feature ids to the keys of the experiences that name them in a change."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for feature_id in changed_features(entry.raw):
            found.setdefault(feature_id, {})[entry.key] = None
    return {feature_id: list(keys) for feature_id, keys in found.items()}


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
        raise DocumentError("$.account_id", "the account's id", kind_of(raw, "account_id"))
    project = raw.get("project")
    if not isinstance(project, Mapping):
        raise DocumentError("$.project", "an object with the project's id", kind_of(raw, "project"))
    project_id = as_id(project.get("id"))
    if not project_id:
        raise DocumentError("$.project.id", "the project's id", kind_of(project, "id"))
    return account_id, project_id


class _Links:
    """The entities of a document by id, each compiled by one of the methods."""

    __slots__ = (
        "archived", "audiences", "bucketing", "damaged", "features", "keyed", "locations",
        "mismatches", "names", "report", "segments",
    )  # fmt: skip

    def __init__(
        self,
        entries: Mapping[str, list[Entry]],
        damaged: frozenset[str],
        archived: frozenset[str],
        bucketing: Bucketing,
        report: Report,
    ) -> None:
        self.report = report
        self.damaged = damaged
        """The sections that have something which cannot be read."""
        self.archived = archived
        self.bucketing = bucketing
        self.mismatches = Mismatches()
        self.audiences = Index(entries["audiences"], self.audience)
        self.locations = Index(entries["locations"], self.location)
        self.segments = Index(entries["segments"], self.segment)
        self.features = Index(entries["features"], self.feature)
        self.keyed = {entry.key: entry.id for entry in reversed(entries["experiences"])}
        """Experience keys to ids; the first of a key wins."""
        self.names = Names({entry.id: entry.key for entry in reversed(entries["goals"])}, self.keyed)

    def experience(self, entry: Entry) -> Experience:
        item, path, report = entry.raw, entry.path, self.report
        settings = as_object(item.get("settings"), f"{path}.settings", report)
        options = as_object(settings.get("matching_options"), f"{path}.settings.matching_options", report)
        if options.get("locations") == "all":
            report(
                f"{path}.settings.matching_options.locations",
                '"all" has no effect: any location is enough',
                Code.NO_EFFECT,
            )
        listed = ids(item.get("audiences"), f"{path}.audiences", report)
        unread = self._unread(listed, path)
        closed = unread if "audiences" in self.damaged else []
        return Experience(
            entry.id,
            entry.key,
            as_text(item.get("name")),
            status=as_text(item.get("status")),
            type=as_text(item.get("type")),
            environment=_environment(item, path, report),
            archived=entry.id in self.archived,
            locations=_locations(item, path, self.locations, report),
            site_area=_site_area(item, path, report, self.names),
            audiences=(*self.audiences.named(listed), *(_closed_audience(name, path) for name in closed)),
            match_all=options.get("audiences") == "all",
            segments=frozenset(
                name for name in listed if name in self.segments.ids() or (name in unread and not closed)
            ),
            variations=variations(item, path, self.features, report),
            anchored=is_anchored(item),
            split=split(item, path, report),
            bucketing=self.bucketing,
            mismatches=self.mismatches,
        )

    def _unread(self, listed: list[str], path: str) -> list[str]:
        """The named audiences and segments that cannot be read: nobody is let in by them."""
        unread: list[str] = []
        for name in listed:
            if name in self.audiences.ids() or name in self.segments.ids():
                continue
            damaged = "audiences" if "audiences" in self.damaged else "segments"
            if damaged in self.damaged:
                unread.append(name)
                what = f"no entry of {damaged} that can be read has the id {name!r}; nobody is let in by it"
            else:
                what = f"no audience or segment has the id {name!r}; it restricts nobody"
            self.report(f"{path}.audiences", what, Code.UNKNOWN_AUDIENCE)
        return unread

    def audience(self, entry: Entry) -> Audience:
        rules, wrong = _rules(entry, self.names)
        exclusion = self._exclusion(entry) if rules and excludes(rules) else None
        for problem in wrong if exclusion is None else ():
            self.report(*problem)
        return Audience(
            entry.id,
            entry.key,
            _name(entry),
            rules,
            permanent=entry.raw.get("type") == "permanent",
            exclusion=exclusion,
            problems=structural(rules or (), wrong),
        )

    def _exclusion(self, entry: Entry) -> Exclusion | None:
        """The leaf that decides the whole audience; its other rules are never asked."""
        found = first_exclusion(entry.raw.get("rules"))
        if found is None:
            return None
        experience_id = self.keyed.get(found.experience_key)
        if experience_id is None:
            what = f"no experience has the key {found.experience_key!r}; nobody is bucketed there"
            self.report(f"{entry.path}.rules", what, Code.UNKNOWN_EXPERIENCE)
        return Exclusion(found.experience_key, experience_id, found.negated)

    def location(self, entry: Entry) -> Location:
        return Location(entry.id, entry.key, _name(entry), *self._reported_rules(entry))

    def segment(self, entry: Entry) -> Segment:
        return Segment(entry.id, entry.key, _name(entry), *self._reported_rules(entry))

    def goal(self, entry: Entry) -> Goal:
        rules, problems = self._reported_rules(entry)
        kind = as_text(entry.raw.get("type"))
        return Goal(entry.id, entry.key, _name(entry), rules, type=kind, problems=problems)

    def _reported_rules(self, entry: Entry) -> tuple[Rules | None, tuple[Problem, ...]]:
        """The rules of an entry, and what is wrong with them beside their conditions."""
        rules, wrong = _rules(entry, self.names)
        for problem in wrong:
            self.report(*problem)
        return rules, structural(rules or (), wrong)

    def feature(self, entry: Entry) -> Feature:
        declared = tuple(
            Variable(as_id(variable.get("key")), as_text(variable.get("type")))
            for _, variable in objects(entry.raw.get("variables"), f"{entry.path}.variables", self.report)
        )
        return Feature(entry.id, entry.key, _name(entry), declared)


def _closed_audience(name: str, path: str) -> Audience:
    problem = Problem(
        f"{path}.audiences", "cannot be read in the document, and takes nobody", Code.WRONG_TYPE
    )
    return Audience(name, name, "", None, permanent=False, exclusion=None, problems=(problem,))


def _name(entry: Entry) -> str:
    return as_text(entry.raw.get("name"))


def _rules(entry: Entry, names: Names) -> tuple[Rules | None, list[Problem]]:
    wrong: list[Problem] = []
    rules = entry.raw.get("rules")
    if not truthy(rules):
        return None, wrong
    compiled = compile_rules(
        rules, f"{entry.path}.rules", lambda *problem: wrong.append(Problem(*problem)), names
    )
    return compiled, wrong


def _locations(item: Json, path: str, index: Index[Location], report: Report) -> tuple[Location, ...] | None:
    listed = ids(item.get("locations"), f"{path}.locations", report)
    if not _names_locations(item):
        return None
    for name in listed:
        if name not in index.ids():
            report(
                f"{path}.locations",
                f"no location has the id {name!r}; nobody is there",
                Code.UNKNOWN_LOCATION,
            )
    return index.named(listed)


def _names_locations(item: Json) -> bool:
    """True if locations decide, known ones or not; then the site area does not."""
    locations = item.get("locations")
    return isinstance(locations, list) and bool(locations)


def _site_area(item: Json, path: str, report: Report, names: Names) -> Rules | None:
    area = item.get("site_area")
    if _names_locations(item) or not truthy(area):
        return None
    return compile_rules(area, f"{path}.site_area", report, names)


def _environment(item: Json, path: str, report: Report) -> str | None:
    environment = item.get("environment")
    several = item.get("environments")
    if not truthy(environment):
        return None
    if isinstance(several, list) and several and environment not in several:
        report(
            f"{path}.environment",
            "is not among `environments`; `environment` alone decides",
            Code.UNKNOWN_ENVIRONMENT,
        )
    if isinstance(environment, str):
        return environment
    report(
        f"{path}.environment",
        f"expected text, found {kind(environment)}; it runs in no environment",
        Code.WRONG_TYPE,
    )
    return f"({kind(environment)})"


def _archived(raw: Json, report: Report) -> frozenset[str]:
    return frozenset(ids(raw.get("archived_experiences"), "$.archived_experiences", report))


def _default_environment(project: Json, report: Report) -> str | None:
    environments = as_object(project.get("environments"), "$.project.environments", report)
    for name, environment in environments.items():
        if isinstance(environment, Mapping) and environment.get("is_default") is True:
            return name
    return None
