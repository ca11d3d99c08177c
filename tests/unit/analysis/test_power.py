"""The sizes and powers of tests, beside those that others have published."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy", reason="needs the extra stats")
from convert_sdk.analysis.power import power_of, sample_size


@pytest.mark.parametrize(
    ("rate", "other", "power", "alpha", "visitors"),
    [
        (0.50, 0.75, 0.90, 0.05, 76.7),  # R, the examples of power.prop.test: n = 76.7
        (0.10, 0.12, 0.80, 0.05, 3840.85),  # R: power.prop.test(p1 = .10, p2 = .12, power = .8)
        (0.15, 0.30, 0.80, 0.05, 120.5),  # Fleiss, Levin, Paik: 121 a group without the correction
    ],
)
def test_the_size_is_the_published_one(
    rate: float, other: float, power: float, alpha: float, visitors: float
) -> None:
    assert abs(sample_size(rate, other / rate - 1, power=power, alpha=alpha) - visitors) < 1


def test_the_power_is_the_published_one() -> None:
    """R, the examples of power.prop.test: 50 visitors, .50 against .75 are 0.740."""
    assert power_of(0.50, 0.5, 50) == pytest.approx(0.740, abs=5e-4)


@pytest.mark.parametrize("lift", [-0.3, -0.05, 0.05, 0.3])
@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_size_and_power_agree(lift: float, ratio: float) -> None:
    needed = sample_size(0.08, lift, power=0.9, ratio=ratio)
    assert power_of(0.08, lift, needed, ratio=ratio) >= 0.9 > power_of(0.08, lift, needed - 1, ratio=ratio)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 0.0}, "rate must be above 0"),
        ({"lift": 0.0}, "lift must change the rate"),
        ({"lift": 30.0}, "lift must change the rate"),
        ({"alpha": 1.0}, "alpha must be"),
        ({"power": 0.01}, "power must be above alpha"),
        ({"ratio": 0.0}, "ratio must be above 0"),
    ],
)
def test_what_is_no_rate_is_refused(change: dict[str, float], said: str) -> None:
    fitting: dict[str, float] = {
        "rate": 0.1,
        "lift": 0.1,
        "power": 0.8,
        "alpha": 0.05,
        "ratio": 1.0,
        **change,
    }
    rate, lift = fitting.pop("rate"), fitting.pop("lift")
    with pytest.raises(ValueError, match=said):
        sample_size(rate, lift, **fitting)
