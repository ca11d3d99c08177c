from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from convert_sdk import ANYWHERE, Client
from convert_sdk._config.override_file import Origin, read_overrides
from convert_sdk.analysis import counterfactual, explanation_html
from convert_sdk.server import ServedProject
from convert_sdk.testing.tables import parse_csv, parse_yaml, run_table

from .conftest import Page, Served
from .test_events import ONE_PAGE, ORIGINAL, exposure, track

VISITOR: dict[str, Any] = {
    "visitor_id": "visitor-42",
    "attributes": {"country": "US"},
    "location": "anywhere",
}


def test_the_form_offers_the_values_of_the_rules(page: Page, shop: ServedProject) -> None:
    form = page.get("/facts")
    asked = shop.current.project.asks()
    assert [each["key"] for each in form["attributes"]] == [*asked.attributes]
    assert [each["key"] for each in form["location"]] == [*asked.location]
    country = next(each for each in form["attributes"] if each["key"] == "country")
    assert "at" in country["choices"] or "AT" in country["choices"]
    assert country["type"] == "text"


def test_decisions_are_those_of_a_client(page: Page, shop: ServedProject) -> None:
    found = page.ask("/decisions", VISITOR)
    visitor = Client.offline(shop.current.project).visitor("visitor-42", {"country": "US"}, location=ANYWHERE)
    expected = [decision.to_dict() for decision in visitor.peek_all()]
    assert [{key: row[key] for key in expected[0]} for row in found["decisions"]] == expected
    assert {each["key"]: each["enabled"] for each in found["features"]} == {
        each.key: each.enabled for each in visitor.features()
    }
    misspelt = page.ask("/decisions", {**VISITOR, "attributes": {"contry": "DE"}})
    assert misspelt["unknown_facts"] == {"attributes.contry": ["country"]}


def test_an_explanation_tells_gates_hash_and_ranges(page: Page, shop: ServedProject) -> None:
    found = page.ask("/explanation", {**VISITOR, "experience": "alpine-prices"})
    visitor = Client.offline(shop.current.project).visitor("visitor-42", {"country": "US"}, location=ANYWHERE)
    assert found["text"] == str(visitor.explain("alpine-prices"))
    closed = [gate["name"] for gate in found["gates"] if gate["passed"] is False]
    assert closed == ["audience"]
    leaves = [leaf for gate in found["gates"] for rules in gate["rules"] for every in rules["leaves"]
              for either in every for leaf in either]  # fmt: skip
    assert [leaf["value"] for leaf in leaves if leaf["words"].startswith("country is ")]
    assert sum(each["here"] for each in found["hashed"]["ranges"]) == 1


def test_the_smallest_change_lets_the_visitor_take_part(page: Page, shop: ServedProject) -> None:
    asked = {**VISITOR, "experience": "alpine-prices"}
    needed = page.ask("/explanation", asked)["counterfactual"]
    visitor = Client.offline(shop.current.project).visitor("visitor-42", {"country": "US"}, location=ANYWHERE)
    assert needed["text"] == str(counterfactual(visitor, "alpine-prices"))
    again = page.ask("/explanation", {**asked, **needed["applied"]})
    assert again["decision"]["reason"] == "bucketed"
    assert again["counterfactual"] is None


@pytest.mark.parametrize(
    ("how", "reason"), [("force", "forced"), ("preview", "preview"), ("override", "override")]
)
def test_a_named_variation_stands_in_place_of_the_decision(page: Page, how: str, reason: str) -> None:
    instead = [{"experience": "checkout-layout", "how": how, "variation": "one-page"}]
    asked = {**VISITOR, "attributes": {"customer_group": "retail"}, "instead": instead}
    explained = page.ask("/explanation", {**asked, "experience": "checkout-layout"})
    assert (explained["decision"]["variation_key"], explained["decision"]["reason"]) == ("one-page", reason)
    row = next(
        each for each in page.ask("/decisions", asked)["decisions"] if each["key"] == "checkout-layout"
    )
    assert (row["variation_key"], row["reason"]) == ("one-page", reason)


def test_an_overridden_feature(page: Page, shop: ServedProject) -> None:
    key = next(iter(shop.current.project.features)).key
    found = page.ask(
        "/decisions", {**VISITOR, "instead": [{"feature": key, "how": "override", "enabled": False}]}
    )
    assert [each["enabled"] for each in found["features"] if each["key"] == key] == [False]


def test_what_is_remembered_counts(page: Page) -> None:
    asked = {
        **VISITOR,
        "state": {"bucketing": {"checkout-layout": "one-page"}},
        "experience": "checkout-layout",
    }
    decision = page.ask("/explanation", asked)["decision"]
    assert decision["variation_key"] in ("one-page", None)
    assert decision["reason"] in ("sticky", "audience")


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"attributes": {"customer_group": "retail"}, "location": {"path": "/checkout"}},
    {"location": None},
    {"attributes": {"customer_group": "retail"}, "state": {"bucketing": {"checkout-layout": "one-page"}}},
    {"instead": [{"experience": "checkout-layout", "how": "override", "variation": "one-page"}]},
    {"instead": [{"experience": "checkout-layout", "how": "override", "variation": None}]},
    {"instead": [{"experience": "checkout-layout", "how": "preview", "variation": "one-page"}]},
    {
        "attributes": {"customer_group": "retail"},
        "instead": [{"experience": "checkout-layout", "how": "force", "variation": "one-page"}],
    },
]


@pytest.mark.parametrize("changes", QUESTIONS)
def test_a_copied_test_holds(page: Page, shop: ServedProject, changes: dict[str, Any]) -> None:
    text = page.ask("/copies", {**VISITOR, **changes, "experience": "checkout-layout"})["pytest"]
    names: dict[str, Callable[..., None]] = {}
    exec(compile(text, "copied", "exec"), names)  # noqa: S102 # it is to run as it is
    copied = next(value for name, value in names.items() if name.startswith("test_"))
    copied(shop.current.project)


ODD_TEXTS: list[dict[str, Any]] = [
    {"attributes": {"customer_group": "", "country": "null"}},
    {"visitor_id": "null", "location": {"path": ""}},
]
"""Texts that an untyped cell of a CSV says otherwise."""


@pytest.mark.parametrize("changes", [*QUESTIONS[:4], *ODD_TEXTS])
def test_copied_rows_hold(page: Page, shop: ServedProject, changes: dict[str, Any]) -> None:
    found = page.ask("/copies", {**VISITOR, **changes, "experience": "checkout-layout"})
    tables = [parse_csv(found["table_row"]), parse_yaml(f"rows:\n{found['yaml_row']}")]
    for table in tables:
        results = [*run_table(table, shop.current.project)]
        assert [str(each) for each in results if not each.passed] == []
        assert len(results) == 1
    as_csv, as_yaml = (table.rows[0].cells for table in tables)
    assert as_csv == as_yaml


def test_a_name_with_a_colon_stays_whole_in_a_copied_row(page: Page) -> None:
    attributes = {"price:number": "12", "ab:test": "b"}
    found = page.ask("/copies", {**VISITOR, "attributes": attributes, "experience": "checkout-layout"})
    cells = parse_csv(found["table_row"]).rows[0].cells
    assert {name: cells[f"attributes.{name}"] for name in attributes} == attributes


def test_a_link_asks_the_same(page: Page) -> None:
    asked = {**VISITOR, "attributes": {"country": "DÉ & Co"}, "instead": QUESTIONS[4]["instead"]}
    path, _, query = page.ask("/copies", {**asked, "experience": "checkout-layout"})["link"].partition("?")
    assert unquote(path) == "/#/visitor/checkout-layout"
    read = parse_qs(query)
    assert read["visitor"] == ["visitor-42"]
    assert json.loads(read["attributes"][0]) == asked["attributes"]
    assert json.loads(read["instead"][0]) == asked["instead"]


def test_a_copied_page_is_that_of_the_command_line(page: Page, shop: ServedProject) -> None:
    found = page.ask("/copies", {**VISITOR, "experience": "alpine-prices"})["html"]
    visitor = Client.offline(shop.current.project).visitor("visitor-42", {"country": "US"}, location=ANYWHERE)
    needed = counterfactual(visitor, "alpine-prices")
    assert found == explanation_html(visitor.explain("alpine-prices"), needed)


def test_copied_overrides_are_a_file_of_overrides(page: Page) -> None:
    text = page.ask("/copies", {**VISITOR, **QUESTIONS[4], "experience": "checkout-layout"})["overrides"]
    read = read_overrides(text.encode(), ".json", Origin("copied.json", only_unknown=False))
    assert read.problems == ()
    assert [(each.key, each.variation, each.visitor_id) for each in read.overrides] == [
        ("checkout-layout", "one-page", "visitor-42")
    ]


@pytest.mark.parametrize("state", [{"enabled": False}, {"variables": {"discount": 0.2}}])
def test_copied_overrides_of_a_feature_are_for_this_visitor_alone(page: Page, state: dict[str, Any]) -> None:
    instead = [{"feature": "pricing", "how": "override", **state}]
    text = page.ask("/copies", {**VISITOR, "instead": instead, "experience": "checkout-layout"})["overrides"]
    read = read_overrides(text.encode(), ".json", Origin("copied.json", only_unknown=False))
    assert read.problems == ()
    (override,) = read.overrides
    assert (override.key, override.visitor_id) == ("pricing", "visitor-42")
    assert (override.enabled, override.variables) == (state.get("enabled", True), state.get("variables", {}))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"visitor_id": ""},
        {"visitor_id": "v", "attributes": []},
        {"visitor_id": "v", "things": 1},
        {"visitor_id": "v", "instead": [{"experience": "a", "how": "hope"}]},
        {"visitor_id": "v", "instead": [{"how": "override"}]},
        {"visitor_id": "v", "segments": "vip"},
    ],
)
def test_a_question_that_is_none(page: Page, body: object) -> None:
    answer = page.http.post(f"{page.project}/decisions", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_names_that_the_document_lacks(page: Page) -> None:
    for changes in (
        {"experience": "checkout-layuot"},
        {"experience": "checkout-layout", "state": {"bucketing": {"checkout-layuot": "x"}}},
        {"experience": "checkout-layout", "segments": ["nobody"]},
    ):
        answer = page.http.post(f"{page.project}/explanation", json={**VISITOR, **changes})
        assert answer.status_code == 404


def why(own: Served, visitor: str, **more: Any) -> Any:
    asked = {"visitor_id": visitor, "experience": "checkout-layout", **more}
    return own.page.ask("/explanation", asked)["recorded"]


def by_hash(own: Served, visitor: str) -> str:
    """The variation of `checkout-layout` that the hash gives."""
    found = Client.offline(own.shop.current.project).visitor(visitor, location=ANYWHERE)
    return str(found.peek("checkout-layout").variation_id)


def test_what_was_recorded_of_another_visitor_is_not_told(own: Served) -> None:
    track(own, "v-1", exposure(by_hash(own, "v-1")))
    assert why(own, "v-2") is None
    listed = {
        row["key"]: row["recorded"] for row in own.page.ask("/decisions", {"visitor_id": "v-1"})["decisions"]
    }
    assert listed["checkout-layout"] is not None
    assert listed["alpine-prices"] is None


def test_the_same_as_recorded_needs_no_reason(own: Served) -> None:
    track(own, "v-1", exposure(by_hash(own, "v-1")))
    found = why(own, "v-1", location="anywhere")
    assert (found["same"], found["reasons"]) == (True, [])
    assert found["at"] == pytest.approx(time.time(), abs=3_600)


def test_facts_that_only_the_sdk_had_are_a_reason(own: Served) -> None:
    track(own, "v-1", exposure(by_hash(own, "v-1")))
    first, second = why(own, "v-1")["reasons"]
    assert "open the location" in first
    assert "as soon as the gates are open" in second


def test_what_was_forced_is_not_what_the_hash_gives(own: Served) -> None:
    other = {ORIGINAL: ONE_PAGE, ONE_PAGE: ORIGINAL}[by_hash(own, "v-1")]
    track(own, "v-1", exposure(other))
    (reason,) = why(own, "v-1", location="anywhere")["reasons"]
    assert "a force" in reason


def test_what_stands_in_place_here_is_a_reason(own: Served) -> None:
    arm = by_hash(own, "v-1")
    track(own, "v-1", exposure(arm))
    other = {ORIGINAL: "one-page", ONE_PAGE: "original"}[arm]
    instead = [{"experience": "checkout-layout", "how": "force", "variation": other}]
    (reason,) = why(own, "v-1", location="anywhere", instead=instead)["reasons"]
    assert "Here a force" in reason


def test_another_document_of_that_time_is_a_reason(own: Served) -> None:
    before = own.shop.current
    arm = by_hash(own, "v-1")
    track(own, "v-1", exposure(arm))
    of_other = {"original": 0 if arm == ORIGINAL else 100, "one-page": 0 if arm == ONE_PAGE else 100}
    edit = {"experience": "checkout-layout", "allocation": of_other}
    assert own.page.change("POST", f"{own.page.project}/edits", edit).status_code == 200
    (reason,) = why(own, "v-1", location="anywhere")["reasons"]
    assert before.name in reason
    assert "the hash gave what was recorded" in reason
    own.registry.activity.clear()
    assert "may have been served" in why(own, "v-1", location="anywhere")["reasons"][0]


def test_a_document_that_came_back_is_not_another_one(own: Served) -> None:
    other = {ORIGINAL: ONE_PAGE, ONE_PAGE: ORIGINAL}[by_hash(own, "v-1")]
    track(own, "v-1", exposure(other))
    edit = {"experience": "checkout-layout", "status": "paused"}
    assert own.page.change("POST", f"{own.page.project}/edits", edit).status_code == 200
    assert own.page.change("POST", f"{own.page.project}/undo", {}).status_code == 200
    (reason,) = why(own, "v-1", location="anywhere")["reasons"]
    assert "a force" in reason
