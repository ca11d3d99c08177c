"""Experiences that ask for decisions of each other."""

from __future__ import annotations

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report
from convert_sdk._core.rules import EXCLUSION
from convert_sdk.analysis.document import DocumentView, Item


def check_exclusions(document: DocumentView, report: Report) -> None:
    """Report circles of exclusions, and conditions that an exclusion hides."""
    for tree in document.rule_trees():
        leaves = list(tree.leaves())
        asking = [leaf for leaf in leaves if leaf.raw.get("rule_type") == EXCLUSION]
        if tree.kind == "audience" and asking and len(leaves) > 1:
            what = f"this condition decides alone; {len(leaves) - 1} beside it are never asked"
            report(asking[0].path, what, Code.EXCLUSION_IGNORES_REST)
    _check_circles(document, report)


def _check_circles(document: DocumentView, report: Report) -> None:
    edges = {
        experience.key: [
            audience.exclusion.experience_key
            for audience in experience.audiences
            if audience.exclusion is not None
        ]
        for experience in document.project.experiences
    }
    known: set[frozenset[str]] = set()
    items: dict[str, Item] = {item.key: item for item in document.section("experiences")}
    for start in edges:
        circle = _circle(edges, start)
        if circle and frozenset(circle) not in known:
            known.add(frozenset(circle))
            what = f"asks in a circle: {' asks for '.join([*circle, start])}"
            report(f"{items[start].path}.audiences", what, Code.EXCLUSION_CYCLE)


def _circle(edges: dict[str, list[str]], start: str) -> list[str]:
    """The shortest way from an experience back to itself; empty where there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:  # grows while it is read
        for after in edges.get(way[-1], ()):
            if after == start:
                return way
            if after not in seen:
                seen.add(after)
                ways.append([*way, after])
    return []
