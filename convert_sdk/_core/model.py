"""A project as it is decided on: every id linked, every rule compiled, nothing left to look up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from convert_sdk._core.half_made import shown_half_made

from .bucketing import DEFAULT, Bucketing, Split, id_bytes, threshold
from .index import Index
from .js_regex.budget import one_call
from .mismatches import Mismatches
from .operators import Test
from .problem import Problem
from .rules import Rules, as_data, asks_memory, conjunction, matches, timed
from .trace import RuleTrace, trace_set
from .web_settings import NO_WEB_SETTINGS, WebSettings


class SectionState(StrEnum):
    """The state of one of a document's lists of entities."""

    READ = "read"
    """A list; of entries, if it has any, of which some can be read."""
    ABSENT = "absent"
    """Missing or null, which means the same."""
    UNREADABLE = "unreadable"
    """No list, or one of whose entries none can be read."""


SECTIONS = ("experiences", "audiences", "locations", "segments", "features", "goals")


@shown_half_made
class RuleSet:
    """A named set of rules, which may be tried against any facts."""

    __slots__ = ("asks_memory", "id", "key", "name", "problems", "rules", "timed")

    def __init__(
        self, id: str, key: str, name: str, rules: Rules | None, problems: tuple[Problem, ...] = ()
    ) -> None:
        self.id = id
        self.key = key
        self.name = name
        self.rules = rules
        self.problems = problems
        """The problems that are no single condition's own."""
        self.timed = timed(rules)
        """True if any condition searches for a pattern whose cost has no bound."""
        self.asks_memory = asks_memory(rules)
        """True if any condition asks for something that only the visitor's memory knows."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, key={self.key!r})"

    def matches(self, data: object) -> bool:
        """True if the rules hold for the facts; a set without rules never matches."""
        facts = as_data(data)
        if self.rules is None or facts is None:
            return False
        if not self.timed:
            return matches(self.rules, facts)
        with one_call():
            return matches(self.rules, facts)

    def explain(self, data: object) -> RuleTrace:
        """The verdict of `matches`, condition by condition, and why.

        >>> print(project.audience("germans").explain({"country": "FR"}))
        NO  audience germans
            NO  country equals "DE", the visitor has "FR"
        """
        kind = type(self).__name__.lower()
        return trace_set(kind, self.key, self.rules, data, self.problems, self._note())

    def _note(self) -> str:
        """Something that a trace says of the whole set."""
        return ""


class Location(RuleSet):
    """A place where experiences run."""

    __slots__ = ()


class Segment(RuleSet):
    """A reporting group."""

    __slots__ = ()


class Exclusion(NamedTuple):
    """A rule about another experience: holds for whom it has a decision, or for whom it has none."""

    experience_key: str
    experience_id: str | None
    negated: bool

    def holds(self, bucketing: Mapping[str, str]) -> bool:
        """The verdict for a visitor's decisions."""
        return (self.experience_id in bucketing) is not self.negated

    def __str__(self) -> str:
        wanted = "not bucketed" if self.negated else "bucketed"
        return f"{wanted} into experience {self.experience_key!r}"


class Audience(RuleSet):
    """The visitors that an experience is for. A permanent audience is asked only until the visitor has a decision."""

    __slots__ = ("exclusion", "permanent")

    def __init__(
        self,
        id: str,
        key: str,
        name: str,
        rules: Rules | None,
        *,
        permanent: bool,
        exclusion: Exclusion | None,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(id, key, name, rules, problems)
        self.permanent = permanent
        self.exclusion = exclusion
        """The first rule about another experience; it decides the whole audience."""

    def _note(self) -> str:
        return "" if self.exclusion is None else f"a visitor is decided by one rule alone, {self.exclusion}"


class Goal(RuleSet):
    """A goal, whose conversions are counted."""

    __slots__ = ("type",)

    def __init__(
        self,
        id: str,
        key: str,
        name: str,
        rules: Rules | None,
        *,
        type: str,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(id, key, name, rules, problems)
        self.type = type


class Variable(NamedTuple):
    """A declared variable of a feature: boolean, integer, float, string or json."""

    key: str
    type: str


class Feature(NamedTuple):
    """A declared feature."""

    id: str
    key: str
    name: str
    variables: tuple[Variable, ...]


class Change(NamedTuple):
    """The change of one feature by one variation; `variables` are cast, `raw` are as they came."""

    feature_id: str
    feature: Feature | None
    variables: Mapping[str, object]
    raw: Mapping[str, object] | None


@shown_half_made
class Variation:
    """One variation of an experience. `exposure` is the JSON of its exposure."""

    __slots__ = ("changes", "exposure", "id", "key", "name", "percent", "status", "sticky")

    def __init__(
        self,
        id: str,
        key: str,
        name: str,
        *,
        status: str,
        percent: float,
        changes: tuple[Change, ...],
        exposure: str,
    ) -> None:
        self.id = id
        self.key = key
        self.name = name
        self.status = status
        self.percent = percent
        self.changes = changes
        self.exposure = exposure
        self.sticky: Any = None
        """The `Decision` of everybody who has this variation already, once somebody had; `decide` sets it."""

    def __repr__(self) -> str:
        return f"Variation(id={self.id!r}, key={self.key!r})"


@shown_half_made
class Experience:
    """A test, with everything that deciding it needs."""

    __slots__ = (
        "anchored",
        "archived",
        "audiences",
        "bucketing",
        "conditions",
        "depends_on_state",
        "ends_in_half_character",
        "environment",
        "hashed",
        "id",
        "key",
        "lasting_conditions",
        "locations",
        "match_all",
        "mismatches",
        "name",
        "owners",
        "refused",
        "seed",
        "segments",
        "site_area",
        "split",
        "status",
        "thresholds",
        "timed",
        "transient",
        "type",
        "unrestricted",
        "variations",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        key: str,
        name: str,
        *,
        status: str,
        type: str,
        environment: str | None,
        archived: bool,
        locations: tuple[Location, ...] | None,
        site_area: Rules | None,
        audiences: tuple[Audience, ...],
        match_all: bool,
        segments: frozenset[str],
        variations: dict[str, Variation],
        anchored: bool,
        split: Split,
        bucketing: Bucketing,
        mismatches: Mismatches,
    ) -> None:
        self.id = id
        self.key = key
        self.name = name
        self.status = status
        self.type = type
        self.environment = environment
        self.archived = archived
        self.locations = locations
        """None where the experience names no location."""
        self.site_area = site_area
        self.unrestricted = locations is None and site_area is None
        self.audiences = audiences
        self.transient = tuple(audience for audience in audiences if not audience.permanent)
        self.timed = timed(site_area) or any(each.timed for each in (*audiences, *(locations or ())))
        """True if deciding it may search for a pattern whose cost has no bound."""
        self.depends_on_state = (
            bool(segments)
            or asks_memory(site_area)
            or any(each.exclusion is not None or each.asks_memory for each in audiences)
            or any(each.asks_memory for each in locations or ())
        )
        """True if it depends on what is remembered beside its own decision."""
        self.match_all = match_all
        self.segments = segments
        self.variations = MappingProxyType(variations)
        self.anchored = anchored
        self.split = split
        self.bucketing = bucketing
        self.mismatches = mismatches
        self.seed = bucketing.seed
        self.hashed = b"" if bucketing.exclude_experience_id else id_bytes(id)
        """The bytes that are hashed before the visitor id."""
        self.prepare()

    def prepare(self) -> None:
        """Lay out what a decision looks at."""
        traffic = self.bucketing.max_traffic
        self.ends_in_half_character = "\ud800" <= self.id[-1:] <= "\udbff"
        """True if the id ends in half a character, to which a visitor id may have the other half."""
        self.owners = tuple(
            self.variations.get(owner) if owner is not None else None for owner in self.split.owners
        )
        """The variations of `split.owners`."""
        self.thresholds = tuple(threshold(edge, traffic) for edge in self.split.edges)
        """The edges of `split.edges`, for hashes that are not scaled yet."""
        self.conditions = self._only_conditions()
        """The tests of the one audience, where nothing else refuses a visitor; None where more is to be asked."""
        self.lasting_conditions = self.conditions or () if self.transient else ()
        """The same of a visitor who was decided earlier."""
        self.refused: Any = None
        """The `Decision` of everybody whom its audiences refuse, once they refused somebody; `decide` sets it."""

    def __repr__(self) -> str:
        return f"Experience(id={self.id!r}, key={self.key!r})"

    def variation(self, key: str) -> Variation | None:
        """The first variation of this key, or None."""
        return next((each for each in self.variations.values() if each.key == key), None)

    def carries(self, feature_id: str) -> bool:
        """True if any variation changes a feature."""
        return any(
            change.feature_id == feature_id for arm in self.variations.values() for change in arm.changes
        )

    def _only_conditions(self) -> tuple[tuple[str, Test], ...] | None:
        if (
            self.archived
            or self.environment is not None
            or self.timed
            or self.segments
            or not self.variations
        ):
            return None
        if self.ends_in_half_character or not self.unrestricted or len(self.audiences) > 1:
            return None
        for audience in self.audiences:
            alone = audience.exclusion is None and not audience.asks_memory
            return conjunction(audience.rules) if alone and audience.rules else None
        return ()


NOBODY: Mapping[str, Iterable[str]] = MappingProxyType({})
"""The default of `carriers`: no experience carries a feature."""


@shown_half_made
class CompiledProject:
    """The compiled document: read it freely, nothing in it changes.

    `carriers` maps feature ids to the keys of the experiences that may carry them; `sections` has the state of each
    list of entities.
    """

    __slots__ = (
        "_candidates", "_carriers", "account_id", "audiences", "bucketing", "default_environment",
        "experiences", "features", "goals", "id", "is_debug", "locations", "mismatches", "name",
        "sections", "segments", "source", "web",
    )  # fmt: skip

    def __init__(
        self,
        account_id: str,
        id: str,
        name: str,
        *,
        experiences: Index[Experience],
        audiences: Index[Audience],
        locations: Index[Location],
        segments: Index[Segment],
        features: Index[Feature],
        goals: Index[Goal],
        default_environment: str | None = None,
        is_debug: bool = False,
        bucketing: Bucketing = DEFAULT,
        carriers: Mapping[str, Iterable[str]] = NOBODY,
        sections: Mapping[str, SectionState] = MappingProxyType({}),  # immutable
        mismatches: Mismatches | None = None,
        source: bytes = b"",
        web: WebSettings = NO_WEB_SETTINGS,
    ) -> None:
        self.account_id = account_id
        self.id = id
        self.name = name
        self.experiences = experiences
        self.audiences = audiences
        self.locations = locations
        self.segments = segments
        self.features = features
        self.goals = goals
        self.default_environment = default_environment
        self.is_debug = is_debug
        self.bucketing = bucketing
        self.mismatches = mismatches or Mismatches()
        self.web = web
        """The settings that web requests are judged by."""
        self.source = source
        """The bytes it was compiled from."""
        self.sections = sections
        self._candidates = carriers
        self._carriers: dict[str, tuple[Experience, ...]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account_id}/{self.id}, {len(self.experiences)} experiences)"

    def warm(self) -> None:
        """Compile now what is compiled when it is first wanted.

        >>> project.warm()
        """
        indexes: tuple[Iterable[object], ...] = (
            self.experiences, self.audiences, self.locations, self.segments, self.features, self.goals,
        )  # fmt: skip
        for index in indexes:
            for _ in index:
                pass

    def has(self, section: str) -> bool:
        """True if one of `SECTIONS` has entries that can be read.

        >>> project.has("audiences"), project.has("locations")
        (True, False)
        """
        index: Index[object] = getattr(self, section)
        return len(index) > 0 and self.sections.get(section) is SectionState.READ

    def carriers(self, feature_id: str) -> tuple[Experience, ...]:
        """The experiences of which any variation changes a feature, in the order of the document.

        >>> project.carriers("81")
        (Experience(id='100', key='checkout-layout'),)
        """
        known = self._carriers.get(feature_id)
        if known is None:
            candidates = (self.experiences.get(key) for key in self._candidates.get(feature_id, ()))
            known = tuple(each for each in candidates if each is not None and each.carries(feature_id))
            self._carriers[feature_id] = known
        return known
