"""The values of segments that Convert's reports know; others are reported too, and said once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from convert_sdk._core.events import LISTED, REPORT_KEYS, Event, typed_segment

from .values import LISTS, MISSING

KNOWN: Mapping[str, tuple[str, ...]] = {
    "browser": ("IE", "CH", "FF", "OP", "SF", "EDG", "MO", "NS", "OTH"),
    "devices": ("ALLPH", "IPH", "OTHPH", "ALLTAB", "IPAD", "OTHTAB", "DESK", "OTHDEV"),
    "source": ("campaign", "search", "referral", "direct", "ai_tool"),
    "visitorType": ("new", "returning"),
}


def _one_of(*known: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in known


def _some_of(*known: str) -> Callable[[object], bool]:
    is_known = _one_of(*known)
    return lambda value: all(map(is_known, value)) if isinstance(value, (list, tuple)) else is_known(value)


def _is_country(value: object) -> bool:
    return isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha()


_CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "country": (_is_country, "two letters, such as DE"),
    **{
        name: ((_some_of if name == "devices" else _one_of)(*known), ", ".join(known))
        for name, known in KNOWN.items()
    },
}


class UnknownSegments:
    """Looks at segments on their way out, for each segment until it has had something to say."""

    __slots__ = ("_checks", "_fitting")

    def __init__(self) -> None:
        self._checks = dict(_CHECKS)
        self._fitting = set(REPORT_KEYS)
        """The segments of which nothing had to be left out."""

    def among(self, events: Iterable[Event]) -> Iterator[str]:
        """The warnings about the segments of these events; never a value, which is the visitor's."""
        seen = {id(None)}  # most visitors share their segments with others
        for event in events:
            segments = event[3]
            if segments is None or id(segments) in seen:
                continue
            seen.add(id(segments))
            for name in self._fitting & segments.keys():
                if loses(name, segments[name]):
                    self._fitting.discard(name)
                    wanted = "a list of texts" if name in LISTED else "a text"
                    yield f"the segment {name} is reported without what has no form there; expected {wanted}"
            for name in self._checks.keys() & segments.keys():
                check, known = self._checks[name]
                value = typed_segment(name, segments[name])
                if value is not MISSING and not check(value):
                    del self._checks[name]
                    yield f"the segment {name} is reported with a value that reports do not know; they know {known}"


def loses(name: str, value: object) -> bool:
    """True if something of a segment's value cannot be reported; None is no value."""
    items = [*value] if isinstance(value, LISTS) else [value]
    typed = typed_segment(name, value)
    kept = len(typed) if isinstance(typed, list) else int(typed is not MISSING)
    return kept < sum(item is not None for item in items)
