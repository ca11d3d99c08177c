from __future__ import annotations

from email.utils import formatdate
from math import inf

import pytest

from convert_sdk._http.backoff import full_jitter, retry_after, slow_cadence
from convert_sdk._http.messages import Response


def test_jitter_spreads_down_to_zero() -> None:
    assert full_jitter(3, lambda: 0.0, base=0.5, cap=30.0) == 0.0
    assert full_jitter(100_000, lambda: 0.25, base=0.5, cap=30.0) == 7.5
    assert slow_cadence(lambda: 0.0) == 300.0
    assert slow_cadence(lambda: 1.0) == pytest.approx(330.0)


DATE = 1_800_000_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "86400"}, 300.0),
        ({"retry-after": "9" * 5_000}, 300.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ", , "}, None),
        ({"retry-after": formatdate(DATE + 90, usegmt=True), "date": formatdate(DATE, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(DATE - 90, usegmt=True), "date": formatdate(DATE, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(DATE + 9e8, usegmt=True), "date": formatdate(DATE, usegmt=True)}, 300.0),
        ({"retry-after": formatdate(DATE + 40, usegmt=True)}, 40.0),
        ({"retry-after": formatdate(DATE + 40, usegmt=True), "date": "yesterday"}, 40.0),
        ({"retry-after": "Sun, 06 Nov 9999999 08:49:37 GMT"}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(Response(429, headers, received=float(DATE)), cap=300.0) == seconds


def test_retry_after_has_no_bound_of_its_own() -> None:
    assert retry_after(Response(429, {"retry-after": "86400"})) == 86_400.0
    assert retry_after(Response(429, {"retry-after": "9" * 5_000})) == inf
