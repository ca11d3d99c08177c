"""The sample ratio test: a chi-square test of observed counts against expected shares."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt


def chi_square(observed: Sequence[int], expected: Sequence[float]) -> float:
    """The distance of counts from their expected proportions, which need not add up to 1.

    >>> chi_square([48, 52], [50, 50])
    0.16
    """
    scale = sum(observed) / sum(expected)
    return sum(
        (seen - share * scale) ** 2 / (share * scale) for seen, share in zip(observed, expected, strict=True)
    )


def p_value(statistic: float, freedom: int) -> float:
    """The probability of a chi-square at least this large.

    The upper incomplete gamma function Q(freedom/2, statistic/2), from Q(1/2, x) = erfc(√x) or Q(1, x) = e⁻ˣ
    up by Q(a+1, x) = Q(a, x) + xᵃe⁻ˣ/Γ(a+1).

    >>> round(p_value(3.841, 1), 3), round(p_value(5.991, 2), 3)
    (0.05, 0.05)
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    a, tail = (0.5, erfc(sqrt(half))) if freedom % 2 else (1.0, exp(-half))
    while a < freedom / 2:
        tail += exp(a * log(half) - half - lgamma(a + 1))
        a += 1
    return min(1.0, tail)
