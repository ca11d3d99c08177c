"""Experiences that nobody takes part in, a part of the visitors, or everybody by mistake."""

from __future__ import annotations

from convert_sdk._core.bucketing import Range
from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report
from convert_sdk.analysis.document import DocumentView, Item
from convert_sdk.analysis.vocabulary import ROLLOUTS

_ROUNDING = 0.01


def check_traffic(document: DocumentView, report: Report) -> None:
    """Report variations without traffic, traffic without variations, and statuses that stop nothing."""
    for item in document.section("experiences"):
        experience = document.project.experiences.of_id(item.id)
        if experience is None or experience.archived:
            continue
        status = experience.status
        if status in ("draft", "paused", "completed", "scheduled") and not document.project.is_debug:
            report(f"{item.path}.status", f"{status!r}, and decided like any other", Code.DRAFT_RUNS)
        if not [*item.items("variations")]:
            report(f"{item.path}.variations", "expected at least one variation", Code.NO_VARIATIONS)
        else:
            _check_ranges(item, experience.type, sum_of(experience.split.ranges), report)


def sum_of(ranges: tuple[Range, ...]) -> float:
    """The percentage of the traffic that ranges take."""
    return sum(max(0.0, each.end - each.start) for each in ranges) / 100


def _check_ranges(item: Item, type: str, total: float, report: Report) -> None:
    if total <= 0:
        report(f"{item.path}.variations", "no running variation has any traffic", Code.NO_TRAFFIC)
    elif total < 100 - _ROUNDING and type not in ROLLOUTS:
        what = f"running variations share {total:g} % of the traffic; the rest sees no variation"
        report(f"{item.path}.variations", what, Code.TRAFFIC_NOT_FULL)
