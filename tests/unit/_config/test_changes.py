from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from convert_sdk._config.changes import difference
from tests.documents import (
    Json,
    bucketed_into,
    change,
    document,
    entity,
    every,
    experience,
    feature,
    leaf,
    variation,
)

BEFORE: Any = document(
    experience(
        audiences=["51", 71],
        locations=["61"],
        goals=["91"],
        variations=[variation("1", changes=[change(5, price="1")]), variation("2")],
    ),
    experience("200", "banner", audiences=[52]),
    experience("300", "other"),
    audiences=[
        entity("51", "pro", every(leaf("plan", "pro"))),
        entity("52", "in", every(bucketed_into("other"))),
    ],
    segments=[entity("71", "loyal")],
    locations=[entity("61", "cart")],
    goals=[entity("91", "buy")],
    features=[feature("5", "pricing", price="float")],
)


def after(**lists: object) -> Json:
    found: Json = deepcopy(BEFORE)
    return {**found, **lists}


def compared(document: Json) -> tuple[tuple[str, ...], ...]:
    return difference(json.dumps(BEFORE).encode(), json.dumps(document).encode())


def test_the_same_document_written_otherwise_is_no_change() -> None:
    turned = json.loads(json.dumps(BEFORE, sort_keys=True, indent=1))
    assert compared(turned) == ((), (), ())


def test_what_comes_and_goes() -> None:
    listed = BEFORE["experiences"]
    assert compared(after(experiences=[experience("400", "new"), *listed[:2]])) == (
        ("new",),
        ("other",),
        ("banner",),
    )
    assert compared(after(experiences=[])) == ((), ("checkout", "banner", "other"), ())


@pytest.mark.parametrize(
    ("lists", "changed"),
    [
        (
            {"audiences": [entity("51", "pro", every(leaf("plan", "free"))), BEFORE["audiences"][1]]},
            ("checkout",),
        ),
        ({"segments": [entity("71", "faithful")]}, ("checkout",)),
        ({"locations": [entity("61", "cart", every(leaf("url", "/cart")))]}, ("checkout",)),
        ({"goals": [entity("91", "buy", every(leaf("total", 5)))]}, ("checkout",)),
        ({"features": [feature("5", "pricing", price="string")]}, ("checkout",)),
        ({"audiences": []}, ("checkout", "banner")),
        ({"archived_experiences": ["300"]}, ("other",)),
        ({"goals": [*BEFORE["goals"], entity("92", "unused")]}, ()),
    ],
)
def test_an_experience_changes_with_what_it_refers_to(lists: Json, changed: tuple[str, ...]) -> None:
    assert compared(after(**lists)) == ((), (), changed)


def test_an_audience_refers_to_another_experience() -> None:
    listed = deepcopy(BEFORE["experiences"])
    listed[2]["status"] = "paused"
    assert compared(after(experiences=listed)) == ((), (), ("banner", "other"))


@pytest.mark.parametrize(
    "odd", [b"[]", b'{"experiences": 5}', b'{"experiences": [5, {"key": "a", "audiences": 5}]}']
)
def test_odd_documents_are_compared_too(odd: bytes) -> None:
    assert difference(odd, odd) == ((), (), ())
