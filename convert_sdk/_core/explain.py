"""Explanations of decisions: the gates, rules and ranges walked a second time, with every verdict kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from json import loads
from typing import Final, NamedTuple

from mmh3 import mmh3_32_uintdigest

from .bucketing import Range, scale
from .decide import decide, hash_input, is_in_segments
from .decision import Decision
from .events import to_json
from .facts import ANYWHERE, Facts
from .js_regex.budget import one_call
from .model import Audience, CompiledProject, Experience, Variation
from .trace import VERDICTS, RuleTrace, as_json, rules_text, trace_set
from .visitor_facts import with_visitor


class GateTrace(NamedTuple):
    """One gate; `passed` is None where an earlier gate had closed already."""

    name: str
    passed: bool | None
    detail: str = ""
    rules: tuple[RuleTrace, ...] = ()


_new_gate: Callable[[tuple[str, bool | None, str, tuple[RuleTrace, ...]]], GateTrace] = partial(
    tuple.__new__, GateTrace
)  # a third of the time
_UNASKED: Final = tuple(
    GateTrace(name, None)
    for name in ("known", "archived", "environment", "location", "audience", "segment", "variations")
)
"""Every gate in its order, as it is once an earlier one has closed."""
_ARCHIVED: Final = GateTrace("archived", False, "archived")
_NOT_ARCHIVED: Final = GateTrace("archived", True, "not archived")
_ANY_ENVIRONMENT: Final = GateTrace("environment", True, "any")
_IGNORED_LOCATION: Final = GateTrace("location", True, "location rules are ignored")
_UNKNOWN_LOCATION: Final = GateTrace("location", False, "the visitor's location is not known")
_EVERYWHERE: Final = GateTrace("location", True, "everywhere")
_EVERYBODY: Final = GateTrace("audience", True, "everybody")
_NOT_ASKED_AGAIN: Final = GateTrace(
    "audience", True, "decided earlier: permanent audiences are not asked again"
)
_ANY_SEGMENT: Final = GateTrace("segment", True, "everybody")


class HashTrace(NamedTuple):
    """The hash of the visitor in this experience, and the ranges."""

    input: str
    seed: int
    hash: int
    bucket_value: int
    layout: str
    ranges: tuple[Range, ...]

    def __repr__(self) -> str:
        return f"HashTrace({self.layout!r}, bucket_value={self.bucket_value})"


class Explanation(NamedTuple):
    """A decision and everything that led to it. `str()` is for people, `to_json()` for tools.

    It holds the visitor's id and attributes: show it, do not log it.

    >>> explanation = visitor.explain("shipping-banner")
    >>> [gate.name for gate in explanation.gates if gate.passed is False]
    ['audience']
    """

    decision: Decision
    visitor_id: str
    gates: tuple[GateTrace, ...] = ()
    hashed: HashTrace | None = None
    stored_variation_id: str | None = None
    forced_variation_id: str | None = None
    given_up: int = 0
    """The number of searches for regular expressions that had no time, or took too long."""
    bucketing_id: str | None = None
    """The id that was hashed, where it is not the visitor's."""

    def __repr__(self) -> str:
        return f"Explanation({self.decision.key!r}, {self.decision.reason.value!r})"

    def __str__(self) -> str:
        return "\n".join(_text(self))

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON.

        >>> [gate["name"] for gate in visitor.explain("shipping-banner").to_dict()["gates"]]
        ['known', 'archived', 'environment', 'location', 'audience', 'segment', 'variations']
        """
        found: dict[str, object] = loads(self.to_json())
        return found

    def to_json(self) -> str:
        """The same as JSON text.

        >>> visitor.explain("shipping-banner").to_json()[:40]
        '{"decision":{"key":"shipping-banner","re'
        """
        return to_json({name: as_json(getattr(self, name)) for name in self._fields})


def explain(
    project: CompiledProject,
    facts: Facts,
    key: str,
    forced: str | None = None,
    decision: Decision | None = None,
) -> Explanation:
    """`decide`, and why. Nothing is stored and nothing is sent; `decision` is one that was just made of the same."""
    with one_call() as searches:
        decision = decide(project, facts, key, forced) if decision is None else decision
        experience = decision.experience
        if experience is None:
            unknown = GateTrace("known", False, "the document has no such experience")
            return Explanation(decision, facts.id, (unknown,))
        stored = facts._state.bucketing.get(experience.id)
        gates = traced_gates(experience, facts, project)
        hashed = _hashed(project, experience, facts)
        other = facts.bucketing_id if facts.bucketing_id != facts.id else None
        return Explanation(decision, facts.id, gates, hashed, stored, forced, searches.given_up, other)


def traced_gates(
    experience: Experience, facts: Facts, project: CompiledProject | None = None
) -> tuple[GateTrace, ...]:
    """The gates of an experience in their order, up to the first one that is closed."""
    stored = facts._state.bucketing.get(experience.id)
    sticky = experience.variations.get(stored) if stored is not None else None
    asked: list[GateTrace] = []
    for gate in _gates(experience, facts, sticky, project):
        asked.append(gate)
        if not gate.passed:
            break
    return (*asked, *_UNASKED[len(asked) :])


def _gates(
    experience: Experience, facts: Facts, sticky: Variation | None, project: CompiledProject | None
) -> Iterator[GateTrace]:
    """The gates in their order, each one asked when it is wanted."""
    wanted = experience.environment
    what = f"experience {experience.id}, {experience.type or 'no type'}, {experience.status or 'no status'}"
    yield _new_gate(("known", True, what, ()))
    yield _ARCHIVED if experience.archived else _NOT_ARCHIVED
    if wanted is None:
        yield _ANY_ENVIRONMENT
    else:
        here = f"{wanted!r} wanted, {facts.environment!r} given"
        yield _new_gate(("environment", wanted == facts.environment, here, ()))
    yield _location_gate(experience, facts)
    yield _audience_gate(experience, facts, sticky)
    yield _segment_gate(experience, facts, project)
    count = len(experience.variations)
    yield _new_gate(("variations", count > 0, f"{count} in the document", ()))


def _location_gate(experience: Experience, facts: Facts) -> GateTrace:
    place = facts.location
    if place is ANYWHERE:
        return _IGNORED_LOCATION
    if place is None:
        return _UNKNOWN_LOCATION
    place = with_visitor(place, facts)
    if experience.locations is not None:
        traces = tuple(each.explain(place) for each in experience.locations)
        return GateTrace("location", any(trace.verdict for trace in traces), "any of the locations", traces)
    if experience.site_area is not None:
        trace = trace_set("site area", "", experience.site_area, place)
        return GateTrace("location", trace.verdict, "the site area", (trace,))
    return _EVERYWHERE


def _audience_gate(experience: Experience, facts: Facts, sticky: Variation | None) -> GateTrace:
    if not experience.audiences:
        return _EVERYBODY
    audiences = experience.audiences if sticky is None else experience.transient
    if not audiences:
        return _NOT_ASKED_AGAIN
    traces = tuple(_audience_trace(audience, facts) for audience in audiences)
    verdicts = [trace.verdict for trace in traces]
    passed = all(verdicts) if experience.match_all else any(verdicts)
    return GateTrace(
        "audience", passed, "all of the audiences" if experience.match_all else "any of the audiences", traces
    )


def _audience_trace(audience: Audience, facts: Facts) -> RuleTrace:
    exclusion = audience.exclusion
    if exclusion is None:
        return audience.explain(with_visitor(facts._data(), facts))
    return RuleTrace("audience", audience.key, exclusion.holds(facts._state.bucketing), note=str(exclusion))


def _segment_gate(experience: Experience, facts: Facts, project: CompiledProject | None) -> GateTrace:
    if not experience.segments:
        return _ANY_SEGMENT
    known = {} if project is None else {each.id: f" ({each.key})" for each in project.segments}
    names = ", ".join(f"{each}{known.get(each, '')}" for each in sorted(experience.segments))
    return GateTrace("segment", is_in_segments(experience.segments, facts), f"any of {names}")


def _hashed(project: CompiledProject, experience: Experience, facts: Facts) -> HashTrace:
    bucketing = project.bucketing
    text = hash_input(experience, facts)
    hashed = mmh3_32_uintdigest(text, bucketing.seed)
    return HashTrace(
        text.decode(),
        bucketing.seed,
        hashed,
        scale(hashed, bucketing.max_traffic),
        "anchored" if experience.anchored else "packed",
        experience.split.ranges,
    )


def _text(explanation: Explanation) -> list[str]:
    decision = explanation.decision
    answer = f"{decision.reason.value}: {decision.variation_key}" if decision else decision.reason.value
    hashed_as = f", bucketed as {explanation.bucketing_id!r}" if explanation.bucketing_id is not None else ""
    lines = [f"{decision.key} for visitor {explanation.visitor_id!r}{hashed_as}: {answer}"]
    for gate in explanation.gates:
        lines.append(f"  {VERDICTS[gate.passed]:<4}{gate.name:<12} {gate.detail}".rstrip())
        if gate.passed is not None:
            for rules in gate.rules:
                lines += rules_text(rules, " " * 8)
    if explanation.stored_variation_id is not None:
        lines.append(f"  stored     variation {_named(decision, explanation.stored_variation_id)}")
    if explanation.forced_variation_id is not None:
        lines.append(f"  forced     variation {_named(decision, explanation.forced_variation_id)}")
    if explanation.given_up:
        lines.append(f"  patterns   {explanation.given_up} searches took too long, or had no time left")
    if explanation.hashed is not None:
        lines += _hash_text(explanation.hashed, decision)
    return lines


def _named(decision: Decision, variation_id: str) -> str:
    """The id of a variation, and its key where the experience has it."""
    known = decision.experience.variations if decision.experience is not None else {}
    return f"{variation_id} {known[variation_id].key if variation_id in known else ''}".rstrip()


def _hash_text(hashed: HashTrace, decision: Decision) -> list[str]:
    lines = [
        f"  hash       {hashed.input!r} with seed {hashed.seed} is {hashed.hash}, bucket value {hashed.bucket_value}",
        f"  ranges     {hashed.layout}",
    ]
    for item in hashed.ranges:
        here = "  <- here" if item.start <= hashed.bucket_value < item.end else ""
        lines.append(
            f"             {item.start:>10.2f} to {item.end:>10.2f}  {_named(decision, item.variation_id)}{here}"
        )
    return lines
