"""Explanations of decisions: the gates, rules and ranges walked a second time, with every verdict kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mmh3 import mmh3_32_uintdigest

from .bucketing import Range, scale
from .decide import decide, hash_input, is_in_segments
from .decision import Decision
from .events import to_json
from .facts import ANYWHERE, Facts
from .model import Audience, CompiledProject, Experience, RuleSet, Variation
from .rules import Rules
from .values import MISSING


class LeafTrace(NamedTuple):
    """One condition: what was asked, of which value, and the verdict."""

    key: str
    operator: str
    negated: bool
    comparand: object
    value: object
    """The visitor's value; None where the visitor has none, which `known` tells apart."""
    known: bool
    verdict: bool

    def __repr__(self) -> str:
        return f"LeafTrace({self.key!r}, {self.operator!r}, {self.verdict})"


class RuleTrace(NamedTuple):
    """One rule set: its conditions as OR of AND of OR, and the verdict."""

    kind: str
    key: str
    verdict: bool
    leaves: tuple[tuple[tuple[LeafTrace, ...], ...], ...] = ()
    note: str = ""


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

    def __repr__(self) -> str:
        return f"Explanation({self.decision.key!r}, {self.decision.reason.value!r})"

    def __str__(self) -> str:
        return "\n".join(_text(self))

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(_plain(self))


def explain(project: CompiledProject, facts: Facts, key: str, forced: str | None = None) -> Explanation:
    """`decide`, and why. Nothing is stored and nothing is sent."""
    decision = decide(project, facts, key, forced)
    experience = decision.experience
    if experience is None:
        return Explanation(
            decision, facts.id, (GateTrace("known", False, "the document has no such experience"),)
        )
    stored = facts.state.bucketing.get(experience.id)
    sticky = experience.variations.get(stored) if stored is not None else None
    gates = _until_closed(_gates(experience, facts, sticky))
    return Explanation(decision, facts.id, gates, _hashed(project, experience, facts), stored, forced)


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
        traces = tuple(_set_trace("location", each, place) for each in experience.locations)
        return GateTrace("location", any(trace.verdict for trace in traces), "any of the locations", traces)
    if experience.site_area is not None:
        trace = _rules_trace("site area", "", experience.site_area, place)
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
        return _set_trace("audience", audience, facts.data())
    wanted = "not bucketed" if exclusion.negated else "bucketed"
    note = f"{wanted} into experience {exclusion.experience_key!r}"
    return RuleTrace("audience", audience.key, exclusion.holds(facts.state.bucketing), note=note)


def _segment_gate(experience: Experience, facts: Facts) -> GateTrace:
    if not experience.segments:
        return GateTrace("segment", True, "everybody")
    return GateTrace(
        "segment", is_in_segments(experience.segments, facts), f"any of {sorted(experience.segments)}"
    )


def _set_trace(kind: str, rule_set: RuleSet, data: Mapping[str, object]) -> RuleTrace:
    if rule_set.rules is None:
        return RuleTrace(kind, rule_set.key, False, note="has no rules and takes nobody")
    return _rules_trace(kind, rule_set.key, rule_set.rules, data)


def _rules_trace(kind: str, key: str, rules: Rules, data: Mapping[str, object]) -> RuleTrace:
    leaves = tuple(
        tuple(
            tuple(
                LeafTrace(
                    leaf.key,
                    leaf.match_type,
                    leaf.negated,
                    leaf.comparand,
                    data.get(leaf.key),
                    leaf.key in data,
                    leaf.test(data.get(leaf.key, MISSING)),
                )
                for leaf in either
            )
            for either in every
        )
        for every in rules
    )
    verdict = any(every and all(any(leaf.verdict for leaf in either) for either in every) for every in leaves)
    return RuleTrace(kind, key, verdict, leaves)


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


_VERDICT = {True: "yes", False: "NO", None: "-"}


def _text(explanation: Explanation) -> list[str]:
    decision = explanation.decision
    answer = f"{decision.reason.value}: {decision.variation_key}" if decision else decision.reason.value
    lines = [f"{decision.key} for visitor {explanation.visitor_id!r}: {answer}"]
    for gate in explanation.gates:
        lines.append(f"  {_VERDICT[gate.passed]:<4}{gate.name:<12} {gate.detail}".rstrip())
        if gate.passed is not None:
            for rules in gate.rules:
                lines += _rules_text(rules)
    if explanation.stored_variation_id is not None:
        lines.append(f"  stored     variation {explanation.stored_variation_id}")
    if explanation.forced_variation_id is not None:
        lines.append(f"  forced     variation {explanation.forced_variation_id}")
    if explanation.hashed is not None:
        lines += _hash_text(explanation.hashed, decision)
    return lines


def _rules_text(rules: RuleTrace) -> list[str]:
    lines = [f"        {_VERDICT[rules.verdict]:<4}{rules.kind} {rules.key} {rules.note}".rstrip()]
    for number, every in enumerate(rules.leaves):
        lines += ["            or"] if number else []
        for either in every:
            for position, leaf in enumerate(either):
                joint = "or " if position else ""
                operator = f"not {leaf.operator}" if leaf.negated else leaf.operator
                value = to_json(leaf.value) if leaf.known else "nothing"
                asked = f"{joint}{leaf.key} {operator} {to_json(leaf.comparand)}"
                lines.append(f"            {_VERDICT[leaf.verdict]:<4}{asked}, the visitor has {value}")
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


def _plain(value: object) -> object:
    """Records as objects, everything else as it is."""
    if isinstance(value, Decision):
        return {
            "key": value.key,
            "reason": value.reason.value,
            "experience_id": value.experience.id if value.experience is not None else None,
            "variation_id": value.variation_id,
            "variation_key": value.variation_key,
            "bucket_value": value.bucket_value,
        }
    fields: tuple[str, ...] | None = getattr(value, "_fields", None)
    if fields is not None:
        return {name: _plain(getattr(value, name)) for name in fields}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
