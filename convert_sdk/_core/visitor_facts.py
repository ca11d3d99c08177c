"""The facts that only a visitor's memory knows, for conditions that ask for them without a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .facts import Facts
from .javascript import js_string
from .layers import Layer, Layered
from .values import LISTS, FactKey, plain


class WithVisitor(Layer):
    """A visitor's data, with what is remembered of the visitor at this moment."""

    __slots__ = ("_data", "_facts")

    def __init__(self, data: Layered, facts: Facts) -> None:
        self._data = data
        self._facts = facts

    def get(self, key: Any, default: Any = None) -> Any:
        fact = _FACTS.get(key.fact) if type(key) is FactKey else None
        return self._data.get(key, default) if fact is None else fact(self._facts)

    def __getitem__(self, key: str) -> object:
        return self._data[key]

    def __contains__(self, key: object) -> bool:
        return (type(key) is FactKey and key.fact in _FACTS) or key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


def with_visitor(data: Mapping[str, object], facts: Facts) -> Mapping[str, object]:
    """Data as rules ask it: a plain mapping as it is, one over a request with the visitor's memory."""
    return WithVisitor(data, facts) if type(data) is Layered else data


def _segments(facts: Facts) -> list[str]:
    custom = facts._state.segments.get("customSegments")
    return [js_string(plain(each)) for each in custom] if isinstance(custom, LISTS) else []


_FACTS = {
    "visitor_id": lambda facts: facts.id,
    "goals": lambda facts: [*facts._state.goals],
    "experiences": lambda facts: [*facts._state.bucketing],
    "bucketed": lambda facts: bool(facts._state.bucketing),
    "segments": _segments,
}
