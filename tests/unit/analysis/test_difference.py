from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from convert_sdk import Project
from convert_sdk.analysis import Difference, MoveKind, VisitorRow, diff, document_changes, sample_visitors
from tests.documents import HIGH, LOW, Json, document, every, experience, variation
from tests.export import export, export_project, text


def changed(change: Callable[[Any], object]) -> list[str]:
    raw = export()
    change(raw)
    return [str(each) for each in document_changes(export_project(), Project.parse(json.dumps(raw)))]


def arm(document: Any, place: int = 0) -> Any:
    return document["experiences"][place]["variations"][1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda raw: arm(raw).update(traffic_allocation=30),
            "experience home-hero: traffic of v2 was 50 %, is 30 %",
        ),
        (lambda raw: raw["experiences"].pop(13), "experience sale-banner is gone, 514"),
        (
            lambda raw: raw["experiences"][1].update(audiences=[]),
            "experience home-shelf: audiences was readers, is everybody",
        ),
        (
            lambda raw: raw["experiences"][4].update(status="paused"),
            "experience checkout-steps: status was active, is paused",
        ),
        (
            lambda raw: raw["archived_experiences"].append("511"),
            "experience adult-shelf: archive was not archived, is archived",
        ),
        (
            lambda raw: raw["experiences"][7].update(version=12),
            "experience search-engine: ranges was packed, is anchored",
        ),
        (
            lambda raw: raw["experiences"][0].update(goals=["902"]),
            "experience home-hero: goals was purchase, is newsletter",
        ),
        (
            lambda raw: raw["audiences"][0].update(rules=every(text("country", "CH"))),
            'audience germans: rules was country is "DE" or country is "AT", is country is "CH"',
        ),
        (
            lambda raw: raw["features"][0]["variables"].pop(),
            "feature pricing: variable badge is gone, it was string",
        ),
        (lambda raw: raw["locations"].append({"id": "305", "key": "blog"}), "location blog is new, 305"),
        (
            lambda raw: raw["project"].update(name="Harbour"),
            "the project: name was Harbour Books, is Harbour",
        ),
        (lambda raw: raw["goals"][0].update(type="advanced"), "goal purchase: type was revenue, is advanced"),
    ],
)
def test_a_change_in_words(change: Callable[[Any], object], said: str) -> None:
    assert changed(change) == [said]


def test_the_order_of_a_list_is_no_change() -> None:
    assert changed(lambda raw: raw["experiences"].reverse()) == []


def of(before: Json, after: Json, **more: Any) -> Difference:
    """The difference for two visitors, one of each half."""
    projects = [Project.parse(json.dumps(document(each))) for each in (before, after)]
    return diff(projects[0], projects[1], [VisitorRow(LOW), VisitorRow(HIGH)], **more)


def halves(first: int, second: int) -> list[Json]:
    return [variation("1", first), variation("2", second)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            experience(),
            experience(variations=halves(90, 10)),
            ["checkout: 1 visitor switches from arm-2 to arm-1 (traffic)"],
        ),
        (experience(variations=halves(20, 0)), experience(), ["checkout: 1 visitor enters arm-2 (traffic)"]),
        (
            experience(),
            experience(id="101", variations=halves(0, 100)),
            [
                (
                    "checkout: 1 visitor switches from arm-1 to arm-2 "
                    "(another id of the experience, by which visitors are hashed)"
                )
            ],
        ),
        (
            experience(),
            experience(variations=[variation("1", 100)]),
            ["checkout: 1 visitor switches from arm-2 to arm-1 (the variation is gone)"],
        ),
        (
            experience(),
            experience(environment="qa"),
            [
                "checkout: 1 visitor leaves arm-1 (environment)",
                "checkout: 1 visitor leaves arm-2 (environment)",
            ],
        ),
        (
            experience(),
            experience(key="cart"),
            [
                "cart: 1 visitor enters arm-1 (the experience is new)",
                "cart: 1 visitor enters arm-2 (the experience is new)",
                "checkout: 1 visitor leaves arm-1 (the experience is gone)",
                "checkout: 1 visitor leaves arm-2 (the experience is gone)",
            ],
        ),
    ],
)
def test_who_moves_and_why(before: Json, after: Json, said: list[str]) -> None:
    assert [str(move) for move in of(before, after).moves] == said


def test_what_is_remembered_stays() -> None:
    before, after = experience(), experience(variations=halves(90, 10))
    assert of(before, after).switching == 1
    assert of(before, after, remembered=True).switching == 0


def test_another_name_of_a_variation_is_no_move() -> None:
    renamed = [variation("1", key="old"), variation("2", key="new")]
    assert of(experience(), experience(variations=renamed)).moves == ()


def test_its_text_and_json() -> None:
    found = of(experience(), experience(variations=halves(90, 10)))
    assert str(found).splitlines()[-1] == "of 2 visitors, none enters, none leaves, 1 switches"
    parsed = json.loads(found.to_json())
    assert parsed["switching"] == 1
    assert parsed["moves"][0]["kind"] == MoveKind.SWITCH.value
    assert {
        "kind": "experience",
        "key": "checkout",
        "what": "traffic of arm-1",
        "before": "50 %",
        "after": "90 %",
    } in parsed["changes"]


def test_made_up_visitors_are_the_same_each_time() -> None:
    shop = export_project()
    rows = list(sample_visitors([shop], 50, seed=7))
    assert rows == list(sample_visitors([shop], 50, seed=7))
    assert rows != list(sample_visitors([shop], 50, seed=8))
    assert {"country", "signed_in", "age"} <= {key for row in rows for key in row.attributes}
