"""A conversion from before the first document, on its way to disk and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convert_sdk._core.facts import Facts
from convert_sdk._core.goals import ConversionRequest, OverriddenKeys
from convert_sdk._core.state import NOTHING
from convert_sdk._delivery.pending import PendingConversion, from_record, to_record


def there_and_back(request: ConversionRequest) -> ConversionRequest:
    record = json.loads(
        json.dumps(to_record(PendingConversion("c-1", Facts("v-1"), "buy", request), NOTHING))
    )
    stored = from_record("c-1", record)
    assert stored is not None
    return stored.conversion.request


@pytest.mark.parametrize(
    "request_",
    [
        ConversionRequest(),
        ConversionRequest('{"key":"amount","value":5}', {"total": 5}, allow_repeat=True),
        ConversionRequest(attributed_to={"100": "1"}),
        ConversionRequest(overridden=OverriddenKeys(("checkout",), ("pricing", "search"))),
    ],
)
def test_nothing_of_it_is_lost(request_: ConversionRequest) -> None:
    assert there_and_back(request_) == request_


@pytest.mark.parametrize(
    ("record", "keys"),
    [
        (5, None),
        (None, None),
        ({}, OverriddenKeys()),
        ({"experiences": ["a", 5], "features": "b"}, OverriddenKeys(("a",), ())),
    ],
)
def test_what_is_damaged_counts_as_absent(record: Any, keys: OverriddenKeys | None) -> None:
    stored = from_record("c-1", {"visitor": "v-1", "goal": "buy", "overridden": record})
    assert stored is not None
    assert stored.conversion.request.overridden == keys
