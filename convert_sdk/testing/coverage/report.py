"""The report of rule coverage: for people, for tools, and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from convert_sdk._core.events import to_json
from convert_sdk._core.rules import Condition
from convert_sdk.project import Project

from .counts import (
    FALSE,
    SEEN,
    TRUE,
    UNKNOWN,
    CoverageCounts,
    NamedRules,
    leaf_name,
    rule_sets,
    variation_name,
)


class LeafCoverage(NamedTuple):
    """One condition, and the times that it held, failed, and was asked of a visitor without the fact."""

    text: str
    path: str
    true: int
    false: int
    unknown: int

    @property
    def hits(self) -> int:
        """The outcomes that were seen, of two."""
        return bool(self.true) + bool(self.false)

    @property
    def gap(self) -> str:
        """The outcome that was not seen; empty where both were."""
        if not (self.true or self.false):
            return "asked only without the fact" if self.unknown else "never reached"
        return "" if self.hits == 2 else "never false" if self.true else "never true"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "gap": self.gap}


class RulesCoverage(NamedTuple):
    """The conditions of one rule set, as OR of AND of OR."""

    kind: str
    key: str
    blocks: tuple[tuple[tuple[LeafCoverage, ...], ...], ...]
    note: str = ""

    @property
    def leaves(self) -> tuple[LeafCoverage, ...]:
        """All conditions."""
        return tuple(leaf for block in self.blocks for group in block for leaf in group)

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        blocks = [[[leaf.to_dict() for leaf in group] for group in block] for block in self.blocks]
        return {"kind": self.kind, "key": self.key, "note": self.note, "blocks": blocks}


class ExperienceCoverage(NamedTuple):
    """The variations of one experience, and the times that each was decided."""

    key: str
    variations: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {"key": self.key, "variations": dict(self.variations)}


class Coverage(NamedTuple):
    """The share of one project that tests have seen, in detail."""

    project: str
    experiences: tuple[ExperienceCoverage, ...]
    rules: tuple[RulesCoverage, ...]
    excluded: tuple[str, ...] = ()

    @property
    def hits(self) -> int:
        """The variations and the outcomes of conditions that were seen."""
        arms = sum(bool(count) for each in self.experiences for _, count in each.variations)
        return arms + sum(leaf.hits for rules in self.rules for leaf in rules.leaves)

    @property
    def total(self) -> int:
        """All variations, and two outcomes of each condition."""
        arms = sum(len(each.variations) for each in self.experiences)
        return arms + sum(2 * len(rules.leaves) for rules in self.rules)

    @property
    def percent(self) -> float:
        """The share that was seen; 100 where there is nothing to see."""
        return 100 * self.hits / self.total if self.total else 100.0

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "project": self.project,
            "percent": round(self.percent, 2),
            "hits": self.hits,
            "total": self.total,
            "experiences": [each.to_dict() for each in self.experiences],
            "rules": [each.to_dict() for each in self.rules],
            "excluded": [*self.excluded],
        }


def measure(project: Project, counts: CoverageCounts, exclude: Sequence[str] = ()) -> Coverage:
    """The coverage of a project by some counts.

    Args:
        project: The project, whose every variation and condition is listed.
        counts: What was seen.
        exclude: Patterns of what does not count: keys (`old-checkout`), or with their kind (`audience:staff*`,
            `experience:*`).

    Returns:
        The coverage.
    """
    excluded: list[str] = []
    experiences = []
    for each in project.experiences:
        if is_excluded("experience", each.key, exclude):
            excluded.append(f"experience:{each.key}")
            continue
        arms = tuple((arm.key, counts[variation_name(each, arm), SEEN]) for arm in each.variations.values())
        experiences.append(ExperienceCoverage(each.key, arms))
    rules = []
    for named in rule_sets(project):
        if is_excluded(named.kind, named.key, exclude):
            excluded.append(named.name)
        elif named.rules or named.note:
            rules.append(_rules(named, counts))
    name = f"{project.name or project.id} ({project.account_id}/{project.id})"
    return Coverage(name, tuple(experiences), tuple(rules), tuple(excluded))


def is_excluded(kind: str, key: str, patterns: Iterable[str]) -> bool:
    """True if one of the patterns names the key, alone or after its kind and a colon."""
    return any(fnmatchcase(key, each) or fnmatchcase(f"{kind}:{key}", each) for each in patterns)


def unused(project: Project, patterns: Iterable[str]) -> list[str]:
    """The patterns that name nothing, a slip perhaps."""
    names = [("experience", each.key) for each in project.experiences]
    names += [(each.kind, each.key) for each in rule_sets(project)]
    return [each for each in patterns if not any(is_excluded(kind, key, [each]) for kind, key in names)]


def _rules(named: NamedRules, counts: CoverageCounts) -> RulesCoverage:
    blocks = tuple(
        tuple(tuple(_leaf(named, leaf, counts) for leaf in group) for group in block) for block in named.rules
    )
    return RulesCoverage(named.kind, named.key, blocks, named.note)


def _leaf(named: NamedRules, leaf: Condition, counts: CoverageCounts) -> LeafCoverage:
    name = leaf_name(named, leaf)
    operator = f"not {leaf.match_type}" if leaf.negated else leaf.match_type
    text = f"{leaf.key} {operator} {to_json(leaf.comparand)}"
    return LeafCoverage(text, leaf.path, *(counts[name, seen] for seen in (TRUE, FALSE, UNKNOWN)))


def text_report(coverage: Coverage) -> Iterator[str]:
    """The lines of a report: everything that was not seen, and the share of what was."""
    yield f"{coverage.project}"
    for each in coverage.experiences:
        missed = [key for key, count in each.variations if not count]
        if missed:
            yield f"  experience {each.key}: never {', '.join(missed)}"
    for rules in coverage.rules:
        for leaf in rules.leaves:
            if leaf.gap:
                yield f"  {rules.kind} {rules.key}: {leaf.text}: {leaf.gap}"
    if coverage.excluded:
        yield f"  excluded: {', '.join(coverage.excluded)}"
    yield f"  {coverage.hits} of {coverage.total} outcomes, {coverage.percent:.1f} %"
