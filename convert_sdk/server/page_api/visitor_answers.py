"""The decisions for a visitor, the reasons, and the change that would let them take part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from convert_sdk._core.decision import Decision
from convert_sdk._core.explain import Explanation, GateTrace, HashTrace
from convert_sdk._core.model import Experience
from convert_sdk._core.trace import LeafTrace, RuleTrace, as_json
from convert_sdk.analysis import Counterfactual, Kind, VisitorRow, counterfactual, find, unknown_facts
from convert_sdk.analysis.words import comparison_words
from convert_sdk.server.activity import Activity
from convert_sdk.server.registry import ServedProject
from convert_sdk.visitor import Visitor

from .recorded import Comparison, recorded, recorded_keys, recorded_row
from .visitor_question import InsteadHow, VisitorQuestion, asked_visitor


def decisions(served: ServedProject, asked: VisitorQuestion) -> dict[str, object]:
    """Every decision for a visitor, and every feature."""
    revision = served.current
    project, seen = revision.project, recorded_keys(served, asked.visitor_id)
    with asked_visitor(project, asked) as visitor:
        forced = {key for key in (each.experience for each in asked.instead) if key is not None}
        found = [
            decision if decision.key not in forced else decision_of(visitor, asked, decision.key)
            for decision in visitor.peek_all()
        ]
        previewed = {each.key for each in found}
        found += [
            decision_of(visitor, asked, key)
            for key in sorted(forced - previewed)
            if key in {each.key for each in project.experiences}
        ]
        order = {each.key: place for place, each in enumerate(project.experiences)}
        found.sort(key=lambda each: order.get(each.key, len(order)))
        features = [visitor.peek_feature(each.key) for each in project.features]
    row = VisitorRow(asked.visitor_id, asked.attributes, asked.location)
    return {
        "revision": revision.name,
        "decisions": [
            {
                **decision.to_dict(),
                "name": decision.experience.name if decision.experience is not None else "",
                "features": [feature.key or feature.id for feature in decision.features],
                "recorded": seen.get(decision.key),
            }
            for decision in found
        ],
        "features": [
            {
                "key": each.key,
                "name": each.name,
                "enabled": each.enabled,
                "variables": each.variables,
                "experience": None if each.decision is None else each.decision.key,
            }
            for each in features
        ],
        "unknown_facts": unknown_facts(project, [row]),
    }


def decision_of(visitor: Visitor, asked: VisitorQuestion, key: str) -> Decision:
    """The decision on one experience, with what stands in its place."""
    instead = asked.of(key)
    if instead is not None and instead.how is InsteadHow.FORCE and instead.variation is not None:
        return visitor.force(key, instead.variation)
    return visitor.peek(key)


def explanation(
    served: ServedProject, activity: Activity, asked: VisitorQuestion, key: str
) -> dict[str, object]:
    """A decision and everything that led to it, beside what was recorded.

    Raises:
        UnknownNameError: The document lacks what is asked about.
    """
    revision = served.current
    project = revision.project
    experience = find(project, key, [Kind.EXPERIENCE]).entity
    if not isinstance(experience, Experience):  # pragma: no cover # of this kind there is nothing else
        raise TypeError(key)
    with asked_visitor(project, asked) as visitor:
        explained, needed = explained_visitor(visitor, asked, experience.key)
    seen = recorded(served, activity, asked.visitor_id, experience.id)
    return {
        "revision": revision.name,
        **_explained(explained, experience),
        "recorded": None
        if seen is None
        else recorded_row(Comparison(seen, served, asked, experience, explained)),
        "counterfactual": None if needed is None else _needed(needed, asked),
    }


class ExplainedVisitor(NamedTuple):
    """A decision with everything that led to it, and what would change it."""

    explanation: Explanation
    needed: Counterfactual | None
    """None where the visitor takes part, or something stands in place of the decision."""


def explained_visitor(visitor: Visitor, asked: VisitorQuestion, key: str) -> ExplainedVisitor:
    """The explanation of one experience, with what stands in its place."""
    instead = asked.of(key)
    if instead is not None and instead.how is InsteadHow.FORCE and instead.variation is not None:
        explained = visitor.explain(key, instead.variation)
    else:
        explained = visitor.explain(key)
    needed = None if explained.decision or instead else counterfactual(visitor, key)
    return ExplainedVisitor(explained, needed)


def _explained(explained: Explanation, experience: Experience) -> dict[str, object]:
    return {
        "decision": explained.decision.to_dict(),
        "text": str(explained),
        "gates": [_gate(gate) for gate in explained.gates],
        "hashed": None if explained.hashed is None else _hashed(explained.hashed, experience),
        "stored_variation_id": explained.stored_variation_id,
        "forced_variation_id": explained.forced_variation_id,
        "given_up": explained.given_up,
        "bucketing_id": explained.bucketing_id,
        "variations": [
            {"id": arm.id, "key": arm.key, "name": arm.name} for arm in experience.variations.values()
        ],
    }


def _gate(gate: GateTrace) -> dict[str, object]:
    return {
        "name": gate.name,
        "passed": gate.passed,
        "detail": gate.detail,
        "rules": [_rules(trace) for trace in gate.rules] if gate.passed is not None else [],
    }


def _rules(trace: RuleTrace) -> dict[str, object]:
    return {
        "kind": trace.kind,
        "key": trace.key,
        "verdict": trace.verdict,
        "note": trace.note,
        "leaves": [[[_leaf(leaf) for leaf in either] for either in every] for every in trace.leaves],
    }


def _leaf(leaf: LeafTrace) -> dict[str, object]:
    shown = as_json(leaf)
    words = comparison_words(leaf.key, leaf.operator, leaf.negated, leaf.comparand)
    return {**(shown if isinstance(shown, dict) else {}), "words": words}


def _hashed(hashed: HashTrace, experience: Experience) -> dict[str, object]:
    arms = experience.variations
    value = hashed.bucket_value
    owner = experience.split.pick(value)
    return {
        "input": hashed.input,
        "seed": hashed.seed,
        "hash": hashed.hash,
        "bucket_value": value,
        "max_traffic": experience.bucketing.max_traffic,
        "layout": hashed.layout,
        "ranges": [
            {
                "variation_id": each.variation_id,
                "variation_key": arms[each.variation_id].key
                if each.variation_id in arms
                else each.variation_id,
                "start": each.start,
                "end": each.end,
                "here": each.variation_id == owner and each.start <= value < each.end,
            }
            for each in hashed.ranges
        ],
    }


def _needed(needed: Counterfactual, asked: VisitorQuestion) -> dict[str, object]:
    changed: dict[str, dict[str, object]] = {
        "attributes": dict(asked.attributes),
        "location": dict(asked.location) if isinstance(asked.location, Mapping) else {},
    }
    for change in needed.changes:
        facts = changed[change.where]
        if change.removed:
            facts.pop(change.key, None)
        else:
            facts[change.key] = change.after
    return {
        **needed.to_dict(),
        "changes": [{**change.to_dict(), "words": str(change)} for change in needed.changes],
        "text": str(needed),
        "applied": {
            "attributes": changed["attributes"],
            "location": changed["location"]
            if isinstance(asked.location, Mapping) or any(each.where == "location" for each in needed.changes)
            else _written_place(asked),
        },
    }


def _written_place(asked: VisitorQuestion) -> object:
    return None if asked.location is None else "anywhere"
