"""The power of a test of two proportions, the visitors that it takes, and the days; it needs the extra `stats`."""

from __future__ import annotations

from math import ceil, sqrt

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "stats", "scipy"):
    from scipy.stats import norm


def sample_size(
    rate: float, lift: float, *, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0
) -> int:
    """The visitors of the control that a two-sided test of two conversion rates takes.

    Args:
        rate: The conversion rate of the control, above 0 and below 1.
        lift: The relative change to be found: 0.1 is 10 % more, -0.1 is 10 % less.
        power: The probability of finding it.
        alpha: The probability of finding something where nothing is.
        ratio: The visitors of the variation for each of the control.

    Returns:
        The visitors of the control; the variation takes `ratio` times as many.

    Raises:
        ValueError: A rate, or the changed one, that is no rate; a power or alpha that is no probability.

    >>> sample_size(0.10, 0.2)
    3841
    """
    other = _checked(rate, lift, alpha, ratio)
    if not alpha < power < 1:
        raise ValueError(f"power must be above alpha and below 1, not {power}")
    pooled = (rate + ratio * other) / (1 + ratio)
    under_none = float(norm.isf(alpha / 2)) * sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_some = float(norm.isf(1 - power)) * sqrt(rate * (1 - rate) + other * (1 - other) / ratio)
    return ceil(((under_none + under_some) / (other - rate)) ** 2)


def power_of(rate: float, lift: float, visitors: float, *, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """The probability that a two-sided test with so many visitors of the control finds a change.

    Args:
        rate: The conversion rate of the control.
        lift: The relative change.
        visitors: The visitors of the control.
        alpha: The probability of finding something where nothing is.
        ratio: The visitors of the variation for each of the control.

    Raises:
        ValueError: As for `sample_size`.

    >>> round(power_of(0.10, 0.2, 3841), 2)
    0.8
    """
    other = _checked(rate, lift, alpha, ratio)
    pooled = (rate + ratio * other) / (1 + ratio)
    under_none = float(norm.isf(alpha / 2)) * sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_some = sqrt(rate * (1 - rate) + other * (1 - other) / ratio)
    return float(norm.cdf((abs(other - rate) * sqrt(max(visitors, 0.0)) - under_none) / under_some))


def _checked(rate: float, lift: float, alpha: float, ratio: float) -> float:
    """The rate of the variation; raises ValueError for what is none."""
    other = rate * (1 + lift)
    if not 0 < rate < 1:
        raise ValueError(f"rate must be above 0 and below 1, not {rate}")
    if not 0 < other < 1 or lift == 0:
        raise ValueError(f"lift must change the rate to another one below 1, not by {lift}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be above 0 and below 1, not {alpha}")
    if not 0 < ratio < float("inf"):
        raise ValueError(f"ratio must be above 0, not {ratio}")
    return other
