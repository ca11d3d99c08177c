"""Events and their JSON. The tracking body's keys are spelled here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from json import JSONDecoder, JSONEncoder
from json.encoder import encode_basestring_ascii as json_text
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from .javascript import js_string
from .values import LISTS, MISSING, Opaque, plain

SOURCE = "python-sdk"
REPORT_KEYS = ("country", "browser", "devices", "source", "campaign", "visitorType", "customSegments")
"""The segments that the API knows; attributes of these names are reported."""

_KNOWN = frozenset(REPORT_KEYS)
LISTED = frozenset({"devices", "customSegments"})
"""The segments that are lists of texts; the others that the API knows are texts."""
_LARGEST_BITS = 1024
"""Of an integer that is no infinity in JavaScript."""


def _unwrapped(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (set, frozenset)) else str(value)


_strict = JSONEncoder(separators=(",", ":"), allow_nan=False, default=_unwrapped).encode


class Event(NamedTuple):
    """One event on its way out."""

    uuid: str
    """Empty for an exposure that nobody asks for by name."""
    visitor_id: str
    wire: str
    """The event's own JSON."""
    segments: Mapping[str, object] | None = None
    """The segments of the visitor when the event happened."""
    claim: str | None = None
    """The goal key to claim in a shared store before sending."""
    attributed: bool = False
    """Attributed by the application: sent apart, and nothing is filled in."""

    def __repr__(self) -> str:
        return f"Event({self.uuid})"


class TrackingContext(NamedTuple):
    """The account, the project and the SDK that events are reported for."""

    account_id: str
    project_id: str
    source: str = SOURCE
    report_id: str | None = None
    """The key of the hash that stands for a visitor's id; None for the id itself."""

    def __repr__(self) -> str:
        return f"TrackingContext({self.account_id}/{self.project_id})"


def reported_id(visitor_id: str, key: str) -> str:
    """The hash that stands for a visitor's id in reports: HMAC-SHA256, its first 32 hexadecimal digits.

    >>> reported_id("v-42", "a secret of the shop's own")
    'b2d36e8c70a4cea87ed30da5682e2f14'
    """
    from hmac import digest

    return digest(key.encode(), visitor_id.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def exposure_wire(experience_id: str, variation_id: str) -> str:
    """The JSON of one exposure; it names no visitor, so it is built once per variation."""
    data = f'{{"experienceId":{json_text(experience_id)},"variationId":{json_text(variation_id)}}}'
    return f'{{"eventType":"bucketing","data":{data}}}'


def conversion_wires(
    goal_id: str, bucketing: Mapping[str, str], goal_data: str | None, *, first: bool
) -> tuple[str, ...]:
    """The JSON of the events of one conversion.

    The first conversion of a goal is reported bare, and once more with its data; a repeated one only with its data,
    which are `goal_datum` after `goal_datum`, with commas between.
    """
    head = f'{{"eventType":"conversion","data":{{"goalId":{json_text(goal_id)}'
    tail = "}}"
    if bucketing:
        decided = []
        for key, value in [*bucketing.items()]:  # a signal's handler may decide between two of them
            decided.append(f"{json_text(key)}:{json_text(value)}")  # a comprehension would be one more call
        tail = f',"bucketingData":{{{",".join(decided)}}}}}}}'
    if goal_data is None:
        return (head + tail,) if first else ()
    full = f'{head},"goalData":[{goal_data}]{tail}'
    return (head + tail, full) if first else (full,)


def goal_datum(key: str, value: str) -> str:
    """The JSON of one thing that is reported with a conversion; both are JSON already, the key without its quotes."""
    return f'{{"key":"{key}","value":{value}}}'


class EventContents(NamedTuple):
    """The contents of an event's JSON: of an exposure the first two, of a conversion the others."""

    experience_id: str | None = None
    variation_id: str | None = None
    goal_id: str | None = None
    goal_data: Mapping[str, object] | None = None
    """None for a conversion that is reported bare; numbers with a fraction are Decimals."""
    bucketing: Mapping[str, str] = MappingProxyType({})


def event_contents(wire: str) -> EventContents:
    """Read what `exposure_wire` or one of `conversion_wires` wrote.

    >>> event_contents(exposure_wire("100", "12")).variation_id
    '12'
    """
    data = _decode(wire)["data"]
    if "goalId" not in data:
        return EventContents(data["experienceId"], data["variationId"])
    given = data.get("goalData")
    goal_data = None if given is None else {item["key"]: item["value"] for item in given}
    return EventContents(None, None, data["goalId"], goal_data, data.get("bucketingData", {}))


_decode = JSONDecoder(parse_float=Decimal).decode


def scalar(value: object) -> str:
    """The JSON of a scalar: `to_json`, faster for texts and the usual numbers."""
    kind = value.__class__
    if kind is str:
        return json_text(value)  # type: ignore[arg-type]  # the class says so
    if (kind is float or kind is int) and -_PLAIN < value < _PLAIN:  # type: ignore[operator]  # as above
        return repr(value)
    return to_json(value)


_PLAIN = 1e15
"""Below this JavaScript writes a number as Python does, digit by digit."""


def known_segments(segments: Mapping[str, object]) -> dict[str, object]:
    """The segments that go with a conversion."""
    known = {}
    for key in segments:
        if key in _KNOWN:
            known[key] = segments[key]  # a comprehension would be one more call
    return known


def typed_segments(segments: Mapping[str, object]) -> dict[str, object]:
    """The segments as the API takes them, which refuses all of a visitor's events for one of another type.

    What has no form in its segment's type is left out; segments that the API does not know stay as they are.
    """
    typed = {}
    for key, value in segments.items():
        as_it_is = key not in _KNOWN or (type(value) is str and key not in LISTED)
        fitting = value if as_it_is else typed_segment(key, value)
        if fitting is not MISSING:
            typed[key] = fitting
    return typed


def typed_segment(key: str, value: object) -> object:
    """The value of a segment that the API knows, in its type; MISSING where it has no such form.

    >>> typed_segment("campaign", 12345), typed_segment("devices", "DESK")
    ('12345', ['DESK'])
    """
    value = plain(value)
    items = list(value) if isinstance(value, LISTS) else [value]
    texts = [js_string(item) for item in map(plain, items) if _has_text(item)]
    if key in LISTED:
        return texts if texts or not items else MISSING
    return texts[0] if len(items) == len(texts) == 1 else MISSING


def _has_text(value: object) -> bool:
    return isinstance(value, (str, int, float, Decimal, Opaque))


def tracking_body(address: TrackingContext, events: Iterable[Event], *, enrich_data: bool) -> bytes:
    """The body of one tracking request: one entry per visitor, in the order of their first events."""
    visitors: dict[str, list[str]] = {}
    tails: list[str] = []
    known: dict[int, str] = {id(None): ""}  # most visitors share their segments with others
    last = wires = None
    for _, visitor_id, wire, reported, _, _ in events:
        if wires is None or visitor_id != last:
            last, wires = visitor_id, visitors.get(visitor_id)
            if wires is None:
                wires = visitors[visitor_id] = []
                if id(reported) not in known:
                    known[id(reported)] = f",{_SEGMENTS}{_object(typed_segments(reported or {}))}"
                tails.append(known[id(reported)])
        wires.append(wire)
    names: Iterable[str] = visitors
    if address.report_id is not None:
        names = [reported_id(visitor_id, address.report_id) for visitor_id in visitors]
    entries = ",".join(
        [
            f'{{"visitorId":{json_text(name)},"events":[{",".join(wires)}]{tail}}}'
            for name, wires, tail in zip(names, visitors.values(), tails, strict=True)
        ]
    )
    head = (
        f'{{"enrichData":{"true" if enrich_data else "false"},"accountId":{json_text(address.account_id)},'
        f'"projectId":{json_text(address.project_id)},"visitors":['
    )
    return f'{head}{entries}],"source":{json_text(address.source)}}}'.encode("ascii")


_SEGMENTS = '"segments":'


def _object(fields: Mapping[str, object]) -> str:
    """The JSON of an object: `to_json`, faster for texts."""
    pairs = [
        f"{json_text(key if isinstance(key, str) else str(key))}:{scalar(value)}"
        for key, value in fields.items()
    ]
    return f"{{{','.join(pairs)}}}"


def to_json(value: object) -> str:
    """ASCII JSON as JavaScript would write it: NaN and infinities become null, unknown objects their text."""
    try:
        return _strict(value)
    except (ValueError, TypeError, RecursionError):
        return _strict(_plain(value, 64))


def _plain(value: object, depth: int) -> object:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, int):
        return value if value.bit_length() <= _LARGEST_BITS else None
    if value is None or isinstance(value, str):
        return value
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(key): _plain(item, depth - 1) for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth - 1) for item in value]
    return str(value)
