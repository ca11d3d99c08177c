"""Variations: their traffic, their ranges and the features they set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan
from types import MappingProxyType

from convert_sdk._core.bucketing import Allocation, Split, anchored, packed
from convert_sdk._core.casting import UNCASTABLE, cast
from convert_sdk._core.codes import Code
from convert_sdk._core.events import exposure_wire
from convert_sdk._core.index import Index
from convert_sdk._core.javascript import js_number, truthy
from convert_sdk._core.model import Change, Feature, Variation
from convert_sdk._core.problem import Report, ignore

from .coerce import Json, as_id, as_object, as_text, kind, objects

FEATURE_CHANGE = "fullStackFeature"
_ANCHORED_SINCE = 11
_NONE: Mapping[str, object] = MappingProxyType({})


def variations(raw: Json, path: str, features: Index[Feature], report: Report) -> dict[str, Variation]:
    """The variations of an experience by id; the first of an id wins, one without an id is left out.

    An experience that has no id itself has none: nothing could be remembered or reported of it.
    """
    found: dict[str, Variation] = {}
    experience_id = as_id(raw.get("id"))
    if not experience_id:
        return found
    for place, item in objects(raw.get("variations"), f"{path}.variations", report):
        variation_id = as_id(item.get("id"))
        if not variation_id:
            report(f"{place}.id", "expected an id; the variation is left out", Code.MISSING_ID)
        elif variation_id in found:
            report(
                f"{place}.id",
                f"another variation of this experience has the id {variation_id!r}; the first counts",
                Code.DUPLICATE_ID,
            )
        else:
            found[variation_id] = Variation(
                variation_id,
                as_id(item.get("key")),
                as_text(item.get("name")),
                status=as_text(item.get("status")),
                percent=_percent(item),
                changes=_changes(item, place, features, report),
                exposure=exposure_wire(experience_id, variation_id),
            )
    return found


def changed_features(raw: Json) -> Iterator[str]:
    """The ids that the changes of an experience name, checked no further."""
    for _, variation in objects(raw.get("variations"), "", ignore):
        for _, change in objects(variation.get("changes"), "", ignore):
            if change.get("type") == FEATURE_CHANGE:
                yield as_id(as_object(change.get("data"), "", ignore).get("feature_id"))


def is_anchored(raw: Json) -> bool:
    """True if the experience keeps anchored ranges."""
    return js_number(raw.get("version", True)) > _ANCHORED_SINCE


def split(raw: Json, path: str, report: Report) -> Split:
    """The ranges of an experience."""
    layout = is_anchored(raw)
    allocations: list[Allocation] = []
    for place, item in objects(raw.get("variations"), f"{path}.variations", ignore):
        variation_id = as_id(item.get("id"))
        if not variation_id:
            continue
        percent = _percent(item)
        _check_percent(item, percent, place, report)
        active = _is_running(item.get("status")) and (isnan(percent) or percent > 0)
        allocations.append(Allocation(variation_id, 100.0 if layout and isnan(percent) else percent, active))
    _check_sum(allocations, path, report)
    return anchored(allocations) if layout else packed(allocations)


def _percent(item: Json) -> float:
    return js_number(item["traffic_allocation"]) if "traffic_allocation" in item else 100.0


def _is_running(status: object) -> bool:
    return not truthy(status) or status == "running"


def _check_percent(item: Json, percent: float, place: str, report: Report) -> None:
    if isnan(percent):
        found = kind(item.get("traffic_allocation"))
        report(
            f"{place}.traffic_allocation",
            f"expected a percentage, found {found} that is no number",
            Code.BAD_TRAFFIC,
        )
    elif not 0 <= percent <= 100:
        report(
            f"{place}.traffic_allocation",
            f"expected a percentage of 0 to 100, found {percent:g}",
            Code.BAD_TRAFFIC,
        )


def _check_sum(allocations: list[Allocation], path: str, report: Report) -> None:
    total = sum(allocation.percent for allocation in allocations if allocation.active)
    if total > 100.01:
        report(
            f"{path}.variations",
            f"running variations share {total:g} % of the traffic; the last ones get less",
            Code.TRAFFIC_OVER_FULL,
        )


def _changes(raw: Json, path: str, features: Index[Feature], report: Report) -> tuple[Change, ...]:
    found: list[Change] = []
    for place, item in objects(raw.get("changes"), f"{path}.changes", report):
        if item.get("type") != FEATURE_CHANGE:
            continue
        data = item.get("data")
        feature_id = as_id(data.get("feature_id")) if isinstance(data, Mapping) else ""
        if not isinstance(data, Mapping) or not feature_id:
            report(
                f"{place}.data",
                "expected an object with a feature_id; the change is left out",
                Code.WRONG_TYPE,
            )
            continue
        named = features.named((feature_id,))
        feature = named[-1] if named else None  # of features, the last of an id counts
        if feature is None:
            report(f"{place}.data.feature_id", f"no feature has the id {feature_id!r}", Code.UNKNOWN_FEATURE)
        values = data.get("variables_data")
        raw_values = values if isinstance(values, dict) else None
        if values is not None and raw_values is None:
            report(
                f"{place}.data.variables_data",
                f"expected an object, found {kind(values)}; it is ignored",
                Code.WRONG_TYPE,
            )
        cast_values = (
            _cast(raw_values, feature, f"{place}.data.variables_data", report) if raw_values else _NONE
        )
        found.append(
            Change(
                feature_id, feature, cast_values, None if raw_values is None else MappingProxyType(raw_values)
            )
        )
    return tuple(found)


def _cast(raw: Json, feature: Feature | None, path: str, report: Report) -> Mapping[str, object]:
    declarations = feature.variables if feature is not None else ()
    types = {variable.key: variable.type for variable in reversed(declarations)}  # the first of a key wins
    values: dict[str, object] = {}
    for name, value in raw.items():
        declared = types.get(name)
        if not declared:
            values[name] = value
            continue
        result = cast(value, declared)
        if result is UNCASTABLE:
            report(
                f"{path}.{name}",
                f"{kind(value)} is no {declared}; the caller's default applies",
                Code.UNCASTABLE_VALUE,
            )
        else:
            values[name] = result
    return MappingProxyType(values)
