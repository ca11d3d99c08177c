"""Ranges, the preview parameter, numeric text."""

from __future__ import annotations

from convert_sdk import parse_preview
from convert_sdk._core.bucketing import Allocation, anchored, packed
from convert_sdk._core.javascript import numeric

from .differences import Json


def bucketed(case: Json, _: Json) -> Json:
    """The variation that owns a value, and the ranges of the anchored layout."""
    if case["layout"] == "packed":
        split = packed(Allocation(name, percent, percent > 0) for name, percent in case["buckets"])
        return {"selected": split.pick(case["value"])}
    split = anchored([Allocation(x["id"], x["allocation"], x["active"]) for x in case["allocations"]])
    return {"selected": split.pick(case["value"]), "ranges": [[*item] for item in split.ranges]}


def shaped(_: Json, expected: Json) -> Json:
    """The reference's anchors and widths as ranges."""
    if "ranges" not in expected:
        return expected
    ranges = [[x["id"], x["anchor"], x["anchor"] + x["width"]] for x in expected["ranges"]]
    return {**expected, "ranges": ranges}


def previewed(case: Json, _: Json) -> Json:
    """What a preview parameter names."""
    found = parse_preview(case["value"])
    names = {"experienceId": found[0], "variationId": found[1]} if found else None
    return {"result": names}


def numbered(case: Json, _: Json) -> Json:
    """What `less` takes for a number."""
    number = numeric(case["value"])
    return {"is_numeric": number is not None, "number": number}
