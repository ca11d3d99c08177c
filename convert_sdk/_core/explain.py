"""Explanations of decisions: the gates, rules and ranges walked a second time, with every verdict kept."""

from __future__ import annotations

from json import loads
from typing import NamedTuple

from mmh3 import mmh3_32_uintdigest

from .bucketing import Range, scale
from .decide import decide, hash_input, is_in_segments
from .decision import Decision
from .events import to_json
from .facts import ANYWHERE, Facts
from .js_regex.budget import one_call
from .model import Audience, CompiledProject, Experience, Variation
from .trace import VERDICTS, RuleTrace, as_json, rules_text, trace_set


class GateTrace(NamedTuple):
    """One gate; `passed` is None where an earlier gate had closed already."""

    name: str
    passed: bool | None
    detail: str = ""
    rules: tuple[RuleTrace, ...] = ()


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

    def __repr__(self) -> str:
        return f"Explanation({self.decision.key!r}, {self.decision.reason.value!r})"

    def __str__(self) -> str:
        return "\n".join(_text(self))

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        found: dict[str, object] = loads(self.to_json())
        return found

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json({name: as_json(getattr(self, name)) for name in self._fields})


def explain(project: CompiledProject, facts: Facts, key: str, forced: str | None = None) -> Explanation:
    """`decide`, and why. Nothing is stored and nothing is sent."""
    with one_call() as searches:
        decision = decide(project, facts, key, forced)
        experience = decision.experience
        if experience is None:
            unknown = GateTrace("known", False, "the document has no such experience")
            return Explanation(decision, facts.id, (unknown,))
        stored = facts._state.bucketing.get(experience.id)
        sticky = experience.variations.get(stored) if stored is not None else None
        gates = _until_closed(_gates(experience, facts, sticky))
        hashed = _hashed(project, experience, facts)
        return Explanation(decision, facts.id, gates, hashed, stored, forced, searches.given_up)


def _until_closed(gates: list[GateTrace]) -> tuple[GateTrace, ...]:
    for position, gate in enumerate(gates):
        if not gate.passed:
            return (*gates[: position + 1], *(GateTrace(later.name, None) for later in gates[position + 1 :]))
    return tuple(gates)


def _gates(experience: Experience, facts: Facts, sticky: Variation | None) -> list[GateTrace]:
    wanted = experience.environment
    here = f"{wanted!r} wanted, {facts.environment!r} given" if wanted is not None else "any"
    return [
        GateTrace(
            "known",
            True,
            f"experience {experience.id}, {experience.type or 'no type'}, {experience.status or 'no status'}",
        ),
        GateTrace("archived", not experience.archived, "archived" if experience.archived else "not archived"),
        GateTrace("environment", wanted is None or wanted == facts.environment, here),
        _location_gate(experience, facts),
        _audience_gate(experience, facts, sticky),
        _segment_gate(experience, facts),
        GateTrace("variations", bool(experience.variations), f"{len(experience.variations)} in the document"),
    ]


def _location_gate(experience: Experience, facts: Facts) -> GateTrace:
    place = facts.location
    if place is ANYWHERE:
        return GateTrace("location", True, "location rules are ignored")
    if place is None:
        return GateTrace("location", False, "the visitor's location is not known")
    if experience.locations is not None:
        traces = tuple(each.explain(place) for each in experience.locations)
        return GateTrace("location", any(trace.verdict for trace in traces), "any of the locations", traces)
    if experience.site_area is not None:
        trace = trace_set("site area", "", experience.site_area, place)
        return GateTrace("location", trace.verdict, "the site area", (trace,))
    return GateTrace("location", True, "everywhere")


def _audience_gate(experience: Experience, facts: Facts, sticky: Variation | None) -> GateTrace:
    if not experience.audiences:
        return GateTrace("audience", True, "everybody")
    audiences = experience.audiences if sticky is None else experience.transient
    if not audiences:
        return GateTrace("audience", True, "decided earlier: permanent audiences are not asked again")
    traces = tuple(_audience_trace(audience, facts) for audience in audiences)
    verdicts = [trace.verdict for trace in traces]
    passed = all(verdicts) if experience.match_all else any(verdicts)
    return GateTrace(
        "audience", passed, "all of the audiences" if experience.match_all else "any of the audiences", traces
    )


def _audience_trace(audience: Audience, facts: Facts) -> RuleTrace:
    exclusion = audience.exclusion
    if exclusion is None:
        return audience.explain(facts._data())
    return RuleTrace("audience", audience.key, exclusion.holds(facts._state.bucketing), note=str(exclusion))


def _segment_gate(experience: Experience, facts: Facts) -> GateTrace:
    if not experience.segments:
        return GateTrace("segment", True, "everybody")
    return GateTrace(
        "segment", is_in_segments(experience.segments, facts), f"any of {sorted(experience.segments)}"
    )


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
    lines = [f"{decision.key} for visitor {explanation.visitor_id!r}: {answer}"]
    for gate in explanation.gates:
        lines.append(f"  {VERDICTS[gate.passed]:<4}{gate.name:<12} {gate.detail}".rstrip())
        if gate.passed is not None:
            for rules in gate.rules:
                lines += rules_text(rules, " " * 8)
    if explanation.stored_variation_id is not None:
        lines.append(f"  stored     variation {explanation.stored_variation_id}")
    if explanation.forced_variation_id is not None:
        lines.append(f"  forced     variation {explanation.forced_variation_id}")
    if explanation.given_up:
        lines.append(f"  patterns   {explanation.given_up} searches took too long, or had no time left")
    if explanation.hashed is not None:
        lines += _hash_text(explanation.hashed, decision)
    return lines


def _hash_text(hashed: HashTrace, decision: Decision) -> list[str]:
    lines = [
        f"  hash       {hashed.input!r} with seed {hashed.seed} is {hashed.hash}, bucket value {hashed.bucket_value}",
        f"  ranges     {hashed.layout}",
    ]
    for item in hashed.ranges:
        here = "  <- here" if item.start <= hashed.bucket_value < item.end else ""
        variation = decision.experience.variations.get(item.variation_id) if decision.experience else None
        name = variation.key if variation is not None else ""
        lines.append(
            f"             {item.start:>10.2f} to {item.end:>10.2f}  {item.variation_id} {name}{here}".rstrip()
        )
    return lines
