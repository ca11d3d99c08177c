from __future__ import annotations

import json
from typing import Any

import pytest

from convert_sdk import Project
from convert_sdk.analysis import (
    ExperienceShare,
    Overlap,
    Simulation,
    VisitorRow,
    plan_tests,
    sample_visitors,
    simulate,
)
from convert_sdk.analysis.sample_ratio import RatioVerdict, chi_square, p_value, sample_ratio
from convert_sdk.analysis.simulation import owned_shares
from convert_sdk.errors import UnknownNameError
from tests.documents import document, entity, every, experience, leaf, variation
from tests.export import export_project


def of(*experiences: Any, count: int = 2_000, **more: Any) -> Simulation:
    project = Project.parse(json.dumps(document(*experiences, **more)))
    return simulate(project, [VisitorRow(f"v-{number}") for number in range(count)])


def test_shares_are_those_of_the_ranges() -> None:
    found = of(experience(variations=[variation("1", 20), variation("2", 60)])).experiences[0]
    assert [arm.expected for arm in found.arms] == pytest.approx([0.25, 0.75])
    assert found.visitors == sum(arm.visitors for arm in found.arms)
    assert 1_500 < found.visitors < 1_700
    assert found.p is not None
    assert not found.is_off


def test_ranges_that_are_cut_off() -> None:
    """80 and 60 percent: the second one gets what is left."""
    found = Project.parse(
        json.dumps(document(experience(variations=[variation("1", 80), variation("2", 60)])))
    )
    (first,) = found.experiences
    assert owned_shares(first) == {"1": 0.8, "2": pytest.approx(0.2)}


def test_a_mismatch_is_seen() -> None:
    """Visitors of whom a store remembers the same variation, as after a bug that lost the others."""
    project = Project.parse(json.dumps(document(experience())))
    kept = {"bucketing": {"checkout": "arm-1"}}
    rows = [VisitorRow(f"v-{number}", state=kept if number % 10 == 0 else {}) for number in range(3_000)]
    found = simulate(project, rows)
    assert found.experiences[0].is_off
    assert found.is_off
    assert "MISMATCH" in str(found)


def test_a_few_visitors_are_too_few_for_a_verdict() -> None:
    found = of(experience(variations=[variation("1", 1), variation("2", 99)]), count=300)
    assert found.experiences[0].verdict is RatioVerdict.TOO_FEW
    assert found.experiences[0].p is None
    assert not found.is_off
    assert "too few" in str(found)


@pytest.mark.parametrize(
    ("observed", "expected", "verdict"),
    [
        ([4, 5], [50, 50], "too_few"),
        ([5, 5], [50, 50], "fits"),
        ([40, 0], [50, 50], "mismatch"),
        ([1, 0], [1, 99], "too_few"),  # its distance is 99, and its probability is 1 in 100
        ([50, 50, 2], [49.5, 49.5, 1], "fits"),  # the least one counts with another
        ([80, 0, 2], [49.5, 49.5, 1], "mismatch"),
        ([70, 0], [100, 0], "nothing"),
        ([7], [100], "nothing"),
        ([0, 0], [50, 50], "nothing"),
    ],
)
def test_a_verdict_needs_five_expected_in_two_groups(
    observed: list[int], expected: list[float], verdict: str
) -> None:
    found = sample_ratio(observed, expected)
    assert found.verdict.value == verdict
    assert (found.p is None) is (verdict in ("too_few", "nothing"))


def test_a_published_mismatch() -> None:
    """Of a test of MSN: 821,588 and 815,482 visitors where halves were meant, p = 1.8e-6."""
    assert p_value(chi_square([821_588, 815_482], [1, 1]), 1) == pytest.approx(1.8e-6, rel=0.02)


def test_overlap() -> None:
    gold = entity("51", "gold", every(leaf("plan", "gold")))
    found = of(
        experience("100", "a"),
        experience("200", "b", variations=[variation("3", 100)]),
        experience("300", "c", audiences=["51"]),
        audiences=[gold],
        count=500,
    )
    assert found.overlaps == (Overlap("a", "b", 500, 1.0, 1.0),)
    assert found.experiences[2] == ExperienceShare(
        "c", 0, found.experiences[2].arms, None, RatioVerdict.NOTHING
    )


def test_nobody() -> None:
    found = of(experience(), count=0)
    assert (found.visitors, found.experiences[0].p) == (0, None)
    assert str(found).startswith("0 visitors\ncheckout: 0 take part, 0.0%")


class TestPlans:
    @pytest.fixture
    def shop(self) -> Project:
        pytest.importorskip("scipy", reason="needs the extra stats")
        return export_project()

    def test_of_the_experiences_with_the_goal(self, shop: Project) -> None:
        found = plan_tests(
            shop, simulate(shop, sample_visitors([shop], 800)), "large-order", rate=0.1, lift=0.2, daily=1_000
        )
        assert [plan.experience for plan in found.plans] == ["cart-layout", "cart-upsell"]
        assert {(plan.control, plan.visitors) for plan in found.plans} == {(3841, 7682)}
        assert found.plans[0].days is not None
        assert found.plans[0].days > 7
        assert found.plans[1].days is None  # everybody in the cart has the experience that excludes it
        assert "to find +20% of large-order at 10.00% in cart-layout with 80% power: 7,682 visitors" in str(
            found
        )
        assert json.loads(found.to_json())["plans"][0]["goal"] == "large-order"

    def test_without_a_day(self, shop: Project) -> None:
        found = plan_tests(shop, simulate(shop, [VisitorRow("v")]), "newsletter", rate=0.1, lift=0.2)
        assert [plan.days for plan in found.plans] == [None]

    def test_of_nothing(self, shop: Project) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'purchase'"):
            plan_tests(shop, simulate(shop, []), "purchse", rate=0.1, lift=0.2)
