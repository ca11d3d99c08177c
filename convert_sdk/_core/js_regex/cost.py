"""The work that a pattern can make: for most patterns a bound is plain, and no clock is needed."""

from __future__ import annotations

from typing import Final

STEPS: Final = 100_000
"""The steps of the engine that end well before any time limit."""


class Cost:
    """The cost of a pattern, counted while it is read, by what makes an engine try again.

    `ways` multiplies what each choice allows, `loops` counts the endless repetitions, `choices` both.
    """

    __slots__ = ("choices", "loops", "unbounded", "ways")

    def __init__(self, *, anchored: bool) -> None:
        self.choices = 0
        self.loops = 0 if anchored else 1
        self.ways = 1
        self.unbounded = False

    def alternative(self) -> None:
        self.choices += 1
        self.ways *= 2

    def repetition(self, low: int, high: int | None, *, of_choices: bool) -> None:
        """A repetition; one of choices again and again has no useful bound."""
        self.choices += 1
        self.unbounded = self.unbounded or (of_choices and high != 1)
        if high is None:
            self.loops += 1
        else:
            self.ways *= high - low + 1

    def untimed_length(self, size: int) -> int:
        """The length of the longest subject that a pattern of `size` pieces searches in `STEPS`."""
        if self.unbounded:
            return -1
        return int((STEPS / (size * self.ways)) ** (1 / max(1, self.loops)))
