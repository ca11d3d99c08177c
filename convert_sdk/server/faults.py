"""Faults to try a client against: slow, refusing, broken and lying answers, each with a switch and a counter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from enum import StrEnum
from math import isfinite
from random import Random
from threading import Lock
from typing import Final, NamedTuple

ENDPOINTS: Final = ("config", "track")
"""The endpoints that faults are for."""
_LONGEST = 3_600.0
_PATH = re.compile(r"/(?!/)[!-~]{0,500}\Z")


class FaultKind(StrEnum):
    """The kind of a fault."""

    LATENCY = "latency"
    ERROR = "error"
    TOO_MANY = "too_many"
    TRUNCATED = "truncated"
    """Half the JSON."""
    GARBAGE = "garbage"
    HANG = "hang"
    """No answer until it is switched off or the client leaves."""
    REDIRECT = "redirect"
    ETAG = "etag"
    """Another entity tag each time, of an odd shape."""
    CLOCK_SKEW = "clock_skew"


_UNITS: Final[Mapping[FaultKind, str]] = {
    FaultKind.LATENCY: "s",
    FaultKind.ERROR: "status",
    FaultKind.TOO_MANY: "s",
    FaultKind.REDIRECT: "path",
    FaultKind.CLOCK_SKEW: "s",
}
_VALUES: Final[Mapping[FaultKind, float | str | None]] = {
    FaultKind.LATENCY: 0.5,
    FaultKind.ERROR: 503,
    FaultKind.TOO_MANY: 2,
    FaultKind.REDIRECT: "/moved",
    FaultKind.CLOCK_SKEW: 3_600,
}
_WORDS: Final[Mapping[FaultKind, str]] = {
    FaultKind.LATENCY: "answers after {} s",
    FaultKind.ERROR: "answers {}",
    FaultKind.TOO_MANY: "answers 429 with Retry-After: {}",
    FaultKind.TRUNCATED: "answers half the JSON",
    FaultKind.GARBAGE: "answers 200 with bytes that are no JSON",
    FaultKind.HANG: "never answers",
    FaultKind.REDIRECT: "answers 302 to {}",
    FaultKind.ETAG: "gives another, odd ETag each time",
    FaultKind.CLOCK_SKEW: "its clock is {} s ahead",
}


class FaultSwitch:
    """One fault of one endpoint."""

    __slots__ = ("hits", "kind", "left", "on", "share", "value")

    def __init__(self, kind: FaultKind) -> None:
        self.kind = kind
        self.on = False
        self.value = _VALUES.get(kind)
        self.share = 1.0
        """The part of the requests that it meets."""
        self.left: int | None = None
        """The requests that it still meets; None for no end."""
        self.hits = 0

    def to_dict(self) -> dict[str, object]:
        """The switch as values of JSON."""
        return {
            "kind": self.kind.value,
            "on": self.on,
            "value": self.value,
            "unit": _UNITS.get(self.kind),
            "share": self.share,
            "left": self.left,
            "hits": self.hits,
            "words": _WORDS[self.kind].format(self.value),
        }


class FaultsMet(NamedTuple):
    """The faults that meet one request, with their values."""

    values: Mapping[FaultKind, float | str | None]

    def __bool__(self) -> bool:
        return bool(self.values)

    def number(self, kind: FaultKind) -> float:
        """The value of a fault that is a number."""
        value = self.values.get(kind)
        return float(value) if isinstance(value, (int, float)) else 0.0

    def text(self, kind: FaultKind) -> str:
        """The value of a fault that is text."""
        return str(self.values.get(kind))

    @property
    def names(self) -> str | None:
        """The kinds, for a list of requests; None without any."""
        return ", ".join(kind.value for kind in self.values) or None


NO_FAULTS: Final = FaultsMet({})


class Faults:
    """The switches of a server; safe to use from any thread.

    >>> faults = Faults()
    >>> faults.switch({"track": {"error": {"on": True, "value": 500, "left": 1}}})
    >>> faults.meet("track").names, faults.meet("track").names
    ('error', None)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._chance = Random()  # noqa: S311 # no secret is made of it
        self.reset()

    def reset(self) -> None:
        """Switch everything off, and count from 0."""
        with self._lock:
            self._switches = {name: {kind: FaultSwitch(kind) for kind in _kinds(name)} for name in ENDPOINTS}
            self._any = False

    def meet(self, endpoint: str) -> FaultsMet:
        """The faults that meet the next request to an endpoint, which are counted."""
        if not self._any:
            return NO_FAULTS
        with self._lock:
            met: dict[FaultKind, float | str | None] = {}
            for kind, each in self._switches.get(endpoint, {}).items():
                if not each.on or (each.share < 1 and self._chance.random() >= each.share):
                    continue
                each.hits += 1
                met[kind] = each.value
                if each.left is not None:
                    each.left -= 1
                    each.on = each.left > 0
            return FaultsMet(met)

    def is_on(self, endpoint: str, kind: FaultKind) -> bool:
        """True while a fault is switched on."""
        return self._switches[endpoint][kind].on

    def switch(self, changes: Mapping[str, object]) -> None:
        """Change what is named and leave the rest.

        Args:
            changes: By endpoint and kind: `on`, `value`, `share` and `left`.

        Raises:
            ValueError: What cannot be used; then nothing is changed.
        """
        for endpoint in changes:
            if endpoint not in ENDPOINTS:
                raise ValueError(f"{endpoint}: the endpoints are {', '.join(ENDPOINTS)}")
        with self._lock:
            checked = [
                (self._switch(endpoint, kind), _checked(kind, fields))
                for endpoint, kinds in changes.items()
                for kind, fields in _object(endpoint, kinds).items()
            ]
            for switch, fields in checked:
                for name, value in fields.items():
                    setattr(switch, name, value)
                if fields.get("on") and "left" not in fields and switch.left == 0:
                    switch.left = None
            self._any = any(each.on for kinds in self._switches.values() for each in kinds.values())

    def to_dict(self) -> dict[str, object]:
        """All switches as values of JSON."""
        with self._lock:
            return {
                name: [each.to_dict() for each in kinds.values()] for name, kinds in self._switches.items()
            }

    def _switch(self, endpoint: str, kind: str) -> FaultSwitch:
        kinds = self._switches[endpoint]
        found = next((each for each in kinds.values() if each.kind.value == kind), None)
        if found is None:
            raise ValueError(f"{endpoint}.{kind}: the kinds are {', '.join(kinds)}")
        return found


def http_date(at: float) -> str:
    """A time as a Date header has it."""
    return formatdate(at, usegmt=True)


def _kinds(endpoint: str) -> list[FaultKind]:
    return [kind for kind in FaultKind if kind is not FaultKind.ETAG or endpoint == "config"]


def _object(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object")  # a body is wrong, no call
    return value


def _checked(kind: str, given: object) -> dict[str, object]:
    fields = dict(_object(kind, given))
    for name, value in fields.items():
        wanted = _flaw(kind, name, value)
        if wanted:
            raise ValueError(f"{kind}.{name} must be {wanted}")
    if fields.get("share") is not None:
        fields["share"] = float(str(fields["share"]))
    return fields


def _flaw(kind: str, name: str, value: object) -> str:
    """The words for what a field must be; empty where it is that."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
    number = float(value) if is_number and isinstance(value, (int, float)) else -1e9
    match name:
        case "on":
            return "" if isinstance(value, bool) else "true or false"
        case "share":
            return "" if 0 <= number <= 1 else "from 0 to 1"
        case "left":
            fits = value is None or (isinstance(value, int) and is_number and 0 <= value <= 10**9)
            return "" if fits else "null or a whole number"
        case "value":
            return _value_flaw(kind, value, number)
    return "absent: there are on, value, share and left"


def _value_flaw(kind: str, value: object, number: float) -> str:
    match kind:
        case FaultKind.LATENCY | FaultKind.TOO_MANY:
            return "" if 0 <= number <= _LONGEST else f"seconds from 0 to {_LONGEST:g}"
        case FaultKind.CLOCK_SKEW:
            return "" if abs(number) <= 1e9 and isfinite(number) and number > -1e9 else "seconds"
        case FaultKind.ERROR:
            return "" if isinstance(value, int) and 400 <= number <= 599 else "a status from 400 to 599"
        case FaultKind.REDIRECT:
            return "" if isinstance(value, str) and _PATH.match(value) else "a path of this server, as /moved"
    return "absent: this fault has none"
