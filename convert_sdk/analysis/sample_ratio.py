"""The sample ratio test: a chi-square test of observed counts against expected shares."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import erfc, exp, inf, lgamma, log, sqrt
from typing import Final, NamedTuple

SUSPICIOUS: Final = 0.001
"""A sample ratio less probable than this is no chance."""
_FEWEST: Final = 5
"""Expected visitors of a variation from which the chi-square distribution describes its counts."""


class RatioVerdict(StrEnum):
    """The verdict on an allocation that the counts of its variations give."""

    FITS = "fits"
    MISMATCH = "mismatch"
    TOO_FEW = "too_few"
    """Too few visitors for any verdict."""
    NOTHING = "nothing"
    """Fewer than two variations get traffic, or nobody came."""


class SampleRatio(NamedTuple):
    """The sample ratio of some counts."""

    p: float | None
    """The probability of counts at least as far off; None without a verdict."""
    verdict: RatioVerdict


def sample_ratio(observed: Sequence[int], expected: Sequence[float]) -> SampleRatio:
    """The verdict on counts against their expected proportions, which need not add up to 1.

    Variations that expect fewer than five visitors count together, and without two such groups nothing is said.

    >>> sample_ratio([48, 52], [50, 50]).verdict.value, sample_ratio([1, 0], [50, 50]).verdict.value
    ('fits', 'too_few')
    """
    total, whole = sum(observed), sum(expected)
    if not total or sum(share > 0 for share in expected) < 2:
        return SampleRatio(None, RatioVerdict.NOTHING)
    counts: list[int] = []
    shares: list[float] = []
    enough = True
    for share, count in sorted(zip(expected, observed, strict=True)):
        if counts and not enough:
            counts[-1] += count
            shares[-1] += share
        else:
            counts.append(count)
            shares.append(share)
        enough = shares[-1] * total / whole >= _FEWEST
    if len(counts) < 2 or not enough:
        return SampleRatio(None, RatioVerdict.TOO_FEW)
    p = p_value(chi_square(counts, shares), len(counts) - 1)
    return SampleRatio(p, RatioVerdict.MISMATCH if p < SUSPICIOUS else RatioVerdict.FITS)


def chi_square(observed: Sequence[int], expected: Sequence[float]) -> float:
    """The distance of counts from their expected proportions, which need not add up to 1.

    >>> chi_square([48, 52], [50, 50])
    0.16
    """
    scale = sum(observed) / sum(expected)
    return sum(_distance(seen, share * scale) for seen, share in zip(observed, expected, strict=True))


def _distance(seen: int, expected: float) -> float:
    if expected == 0:  # a share too small for a double, beside one that is too large for a percentage
        return inf if seen else 0.0
    return (seen - expected) ** 2 / expected


def p_value(statistic: float, freedom: int) -> float:
    """The probability of a chi-square at least this large.

    The upper incomplete gamma function Q(freedom/2, statistic/2), from Q(1/2, x) = erfc(√x) or Q(1, x) = e⁻ˣ
    up by Q(a+1, x) = Q(a, x) + xᵃe⁻ˣ/Γ(a+1).

    >>> round(p_value(3.841, 1), 3), round(p_value(5.991, 2), 3)
    (0.05, 0.05)
    """
    half = statistic / 2
    if half <= 0 or half == inf:
        return 1.0 if half <= 0 else 0.0
    a, tail = (0.5, erfc(sqrt(half))) if freedom % 2 else (1.0, exp(-half))
    while a < freedom / 2:
        tail += exp(a * log(half) - half - lgamma(a + 1))
        a += 1
    return min(1.0, tail)
