"""Intervals of 95 %: of a rate, of a mean, and of how much one arm is above another."""

from __future__ import annotations

from math import exp, isfinite, log, sqrt
from typing import NamedTuple

_NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


class Moments(NamedTuple):
    """The number, the sum and the sum of squares of some values."""

    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return self.total / self.number if self.number else 0.0

    @property
    def mean_variance(self) -> float:
        """The variance of the mean; 0 for fewer than two values."""
        if self.number < 2:
            return 0.0
        variance = (self.squares - self.total * self.total / self.number) / (self.number - 1)
        return max(0.0, variance) / self.number


class Uplift(NamedTuple):
    """The relative difference of an arm to the control, and its interval."""

    value: float
    interval: Interval


def rate_interval(hits: int, trials: int) -> Interval | None:
    """Wilson's interval of a rate; None where there is nothing to tell.

    >>> low, high = rate_interval(50, 1000)
    >>> round(low, 4), round(high, 4)
    (0.0381, 0.0653)
    """
    if not 0 <= hits <= trials or trials == 0:
        return None
    rate, square = hits / trials, _NORMAL * _NORMAL
    middle = (rate + square / (2 * trials)) / (1 + square / trials)
    half = _NORMAL / (1 + square / trials) * sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def mean_interval(values: Moments) -> Interval | None:
    """The interval of a mean; None for fewer than two values.

    >>> mean_interval(Moments(100, 500.0, 2500.0))
    Interval(low=5.0, high=5.0)
    """
    if values.number < 2:
        return None
    half = _NORMAL * sqrt(values.mean_variance)
    return Interval(values.mean - half, values.mean + half)


def rate_uplift(hits: int, trials: int, control_hits: int, control_trials: int) -> Uplift | None:
    """The relative difference of two rates, by the logarithm of their ratio; None without hits in both.

    >>> uplift = rate_uplift(120, 1000, 100, 1000)
    >>> round(uplift.value, 3), round(uplift.interval.low, 3), round(uplift.interval.high, 3)
    (0.2, -0.066, 0.542)
    """
    if not (0 < hits <= trials and 0 < control_hits <= control_trials):
        return None
    ratio = (hits / trials) / (control_hits / control_trials)
    error = sqrt(max(0.0, 1 / hits - 1 / trials + 1 / control_hits - 1 / control_trials))
    low, high = log(ratio) - _NORMAL * error, log(ratio) + _NORMAL * error
    return Uplift(ratio - 1, Interval(exp(low) - 1, exp(high) - 1))


def mean_uplift(values: Moments, control: Moments) -> Uplift | None:
    """The relative difference of two means, by the delta method; None where the control's is 0.

    >>> round(mean_uplift(Moments(100, 600.0, 3700.0), Moments(100, 500.0, 2600.0)).value, 3)
    0.2
    """
    if values.number < 2 or control.number < 2 or control.mean <= 0:
        return None
    ratio = values.mean / control.mean
    error = sqrt(values.mean_variance + ratio * ratio * control.mean_variance) / control.mean
    if not isfinite(error):
        return None
    return Uplift(ratio - 1, Interval(ratio - 1 - _NORMAL * error, ratio - 1 + _NORMAL * error))
