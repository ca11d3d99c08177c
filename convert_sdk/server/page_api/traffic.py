"""Simulated traffic: visitors of a mix of facts, counted beside the event loop while somebody looks on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from random import Random
from threading import Event, Lock, Thread
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException

from convert_sdk._core.decision import Decision
from convert_sdk.analysis import ExperienceShare, VisitorRow, sample_visitors
from convert_sdk.analysis.intervals import (
    Moments,
    mean_interval,
    mean_uplift,
    rate_interval,
    rate_uplift,
)
from convert_sdk.analysis.simulation import SimulationTally
from convert_sdk.project import Project

MAX_VISITORS: Final = 1_000_000
_MOST_LISTED: Final = 50
"""Experiences, and overlaps, in one snapshot."""
_MOST_FINISHED: Final = 5
"""Simulations that are over and can still be asked for."""
_SNAPSHOT_EVERY: Final = 0.15
"""Seconds."""
_FEWEST: Final = 10
"""Conversions in each of two arms from which an uplift is told."""
_FIELDS = frozenset({"visitors", "seed", "mix", "experiences", "conversion"})


class RunState(StrEnum):
    """The state of a simulation."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class FactChoice(NamedTuple):
    """One value of a fact in a mix, or that there is none."""

    value: object
    weight: float
    missing: bool


class Outcomes(NamedTuple):
    """The conversions that are made up."""

    rate: float
    lift: float
    """The relative difference of all variations but the first."""
    value: float
    spread: float


class TrafficPlan(NamedTuple):
    """The traffic that is wanted."""

    visitors: int
    seed: int
    mix: Mapping[str, Mapping[str, Sequence[FactChoice]]] | None
    experiences: tuple[str, ...] | None
    outcomes: Outcomes | None


class _ArmOutcomes:
    """The conversions and orders of one variation."""

    __slots__ = ("conversions", "squares", "total")

    def __init__(self) -> None:
        self.conversions = 0
        self.total = self.squares = 0.0

    def revenue(self, visitors: int) -> Moments:
        """The revenue of a visitor."""
        return Moments(visitors, self.total, self.squares)


class TrafficRun:
    """One simulation, in a thread of its own.

    Args:
        number: Its number.
        project: What is decided on.
        plan: The traffic.
    """

    def __init__(self, number: int, project: Project, plan: TrafficPlan) -> None:
        self.id = f"s{number}"
        self.plan = plan
        self.state = RunState.RUNNING
        self._project = project
        self._cancelled = Event()
        self._started = time.monotonic()
        self._tally = SimulationTally(project, plan.experiences, most_together=_MOST_LISTED)
        self._outcomes: dict[tuple[str, str], _ArmOutcomes] = {}
        self._chance = Random(plan.seed)  # noqa: S311 # no secret is made of it
        self.snapshot = self._snapshot("")
        """The counts so far, as values of JSON; another object whenever they have changed."""
        self._thread = Thread(target=self._run, name="convert-traffic", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop, and wait until it has stopped; nothing happens where it is over."""
        self._cancelled.set()
        self._thread.join()

    def _run(self) -> None:
        message, shown_at = "", time.monotonic()
        try:
            for row in self._rows():
                if self._cancelled.is_set():
                    self.state = RunState.CANCELLED
                    break
                self._add_outcomes(self._tally.add(row))
                if time.monotonic() - shown_at > _SNAPSHOT_EVERY:
                    self.snapshot = self._snapshot("")
                    shown_at = time.monotonic()
            else:
                self.state = RunState.DONE
        except Exception as error:  # noqa: BLE001 # the page says so
            self.state, message = RunState.FAILED, f"{type(error).__name__}: {error}"
        self.snapshot = self._snapshot(message)

    def _rows(self) -> Iterator[VisitorRow]:
        plan = self.plan
        if plan.mix is None:
            yield from sample_visitors([self._project], plan.visitors, plan.seed)
            return
        attributes, location = plan.mix.get("attributes", {}), plan.mix.get("location", {})
        chance = Random(plan.seed)  # noqa: S311 # no secret is made of it
        for number in range(1, plan.visitors + 1):
            yield VisitorRow(f"visitor-{number}", _drawn(chance, attributes), _drawn(chance, location))

    def _add_outcomes(self, taken: Sequence[Decision]) -> None:
        wanted = self.plan.outcomes
        if wanted is None:
            return
        for found in taken:
            experience = found.experience
            if experience is None or found.variation_id is None:
                continue
            first = next(iter(experience.variations), None)
            lift = 0.0 if found.variation_id == first else wanted.lift
            if self._chance.random() >= wanted.rate * (1 + lift):
                continue
            counted = self._outcomes.setdefault((found.key, found.variation_key or ""), _ArmOutcomes())
            value = max(0.0, self._chance.gauss(wanted.value, wanted.spread))
            counted.conversions += 1
            counted.total += value
            counted.squares += value * value

    def _snapshot(self, message: str) -> Mapping[str, object]:
        result = self._tally.result()
        shown = sorted(result.experiences, key=lambda each: -each.visitors)[:_MOST_LISTED]
        listed = [each for each in result.experiences if each in shown]
        return {
            "id": self.id,
            "state": self.state.value,
            "message": message,
            "visitors": self.plan.visitors,
            "done": result.visitors,
            "seconds": round(time.monotonic() - self._started, 3),
            "is_off": result.is_off,
            "experiences": [self._experience(each) for each in listed],
            "overlaps": [each._asdict() for each in result.overlaps[:_MOST_LISTED]],
        }

    def _experience(self, share: ExperienceShare) -> dict[str, object]:
        arms = [{**arm._asdict(), **self._arm(share, place)} for place, arm in enumerate(share.arms)]
        return {**share._asdict(), "arms": arms, "is_off": share.is_off}

    def _arm(self, share: ExperienceShare, place: int) -> dict[str, object]:
        if self.plan.outcomes is None:
            return {}
        arm, control = share.arms[place], share.arms[0]
        own = self._outcomes.get((share.experience, arm.variation), _NONE)
        other = self._outcomes.get((share.experience, control.variation), _NONE)
        revenue = own.revenue(arm.visitors)
        return {
            "conversions": own.conversions,
            "rate": own.conversions / arm.visitors if arm.visitors else None,
            "rate_interval": rate_interval(own.conversions, arm.visitors),
            "revenue": own.total,
            "revenue_per_visitor": revenue.mean,
            "revenue_interval": mean_interval(revenue),
            "uplift": None
            if place == 0 or min(own.conversions, other.conversions) < _FEWEST
            else _uplift(own, arm.visitors, other, control.visitors),
        }


_NONE = _ArmOutcomes()


def _uplift(own: _ArmOutcomes, visitors: int, other: _ArmOutcomes, others: int) -> dict[str, object]:
    rate = rate_uplift(own.conversions, visitors, other.conversions, others)
    revenue = mean_uplift(own.revenue(visitors), other.revenue(others))
    return {
        "rate": None if rate is None else rate.value,
        "rate_interval": None if rate is None else rate.interval,
        "revenue": None if revenue is None else revenue.value,
        "revenue_interval": None if revenue is None else revenue.interval,
    }


class TrafficRuns:
    """The simulations of a server: one runs at a time, the last few can be asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: dict[str, TrafficRun] = {}
        self._number = 0

    def start(self, project: Project, plan: TrafficPlan) -> TrafficRun:
        """Start a simulation; one that runs is cancelled."""
        with self._lock:
            for each in self._runs.values():
                each.cancel()
            self._number += 1
            run = TrafficRun(self._number, project, plan)
            self._runs[run.id] = run
            while len(self._runs) > _MOST_FINISHED:
                del self._runs[next(iter(self._runs))]
        run.start()
        return run

    def find(self, id: str) -> TrafficRun:
        """The simulation of an id; an unknown one is refused."""
        run = self._runs.get(id)
        if run is None:
            raise HTTPException(404, "no such simulation; only the last ones are kept")
        return run


def read_plan(project: Project, body: Mapping[str, object]) -> TrafficPlan:
    """The traffic in a body; what is no such thing is refused."""
    unknown = body.keys() - _FIELDS
    if unknown:
        raise HTTPException(400, f"unknown {', '.join(sorted(unknown))}")
    visitors = _number(body, "visitors", 10_000, 1, MAX_VISITORS)
    given = body.get("experiences")
    keys = None
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise HTTPException(400, "experiences must be a list of keys")
        missing = [each for each in given if project.experiences.get(each) is None]
        if missing:
            raise HTTPException(404, f"there is no experience {missing[0]!r}")
        keys = tuple(given)
    return TrafficPlan(
        int(visitors),
        int(_number(body, "seed", 42, -(2**53), 2**53)),
        _read_mix(body.get("mix")),
        keys,
        _read_outcomes(body.get("conversion")),
    )


def _read_mix(given: object) -> Mapping[str, Mapping[str, Sequence[FactChoice]]] | None:
    if given is None:
        return None
    mix: dict[str, dict[str, list[FactChoice]]] = {}
    for where, facts in _object("mix", given).items():
        if where not in ("attributes", "location"):
            raise HTTPException(400, "mix has attributes and location")
        mix[where] = {key: _choices(key, listed) for key, listed in _object(where, facts).items()}
    return mix


def _choices(key: str, listed: object) -> list[FactChoice]:
    if not isinstance(listed, list) or not listed:
        raise HTTPException(400, f"mix: {key} must be a list of values")
    found = []
    for each in listed:
        choice = _object(f"mix: {key}", each)
        weight = _number(choice, "weight", 1.0, 0.0, 1e9)
        found.append(FactChoice(choice.get("value"), weight, choice.get("missing") is True))
    if not sum(each.weight for each in found) > 0:
        raise HTTPException(400, f"mix: {key} needs a weight above 0")
    return found


def _read_outcomes(given: object) -> Outcomes | None:
    if given is None:
        return None
    conversion = _object("conversion", given)
    return Outcomes(
        _number(conversion, "rate", 0.05, 0.0, 1.0),
        _number(conversion, "lift", 0.0, -1.0, 100.0),
        _number(conversion, "value", 0.0, 0.0, 1e9),
        _number(conversion, "spread", 0.0, 0.0, 1e9),
    )


def _number(body: Mapping[str, object], name: str, default: float, least: float, most: float) -> float:
    value = body.get(name, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
        raise HTTPException(400, f"{name} must be a number")
    if not least <= value <= most:
        raise HTTPException(400, f"{name} must be from {least:g} to {most:g}")
    return value


def _object(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise HTTPException(400, f"{name} must be an object")
    return value


def _drawn(chance: Random, choices: Mapping[str, Sequence[FactChoice]]) -> dict[str, object]:
    drawn = {
        key: chance.choices(listed, [each.weight for each in listed])[0] for key, listed in choices.items()
    }
    return {key: each.value for key, each in drawn.items() if not each.missing}
