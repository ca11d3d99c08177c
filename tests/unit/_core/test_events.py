from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from math import inf, nan
from types import MappingProxyType

import pytest

from convert_sdk._core import events
from convert_sdk._core.events import (
    Event,
    EventContents,
    TrackingContext,
    conversion_wires,
    event_contents,
    exposure_wire,
    goal_datum,
    known_segments,
    reported_id,
    scalar,
    to_json,
    tracking_body,
)
from tests.documents import conversion, exposure

ADDRESS = TrackingContext("1", "2")


def event(visitor_id: str, experience_id: str = "100", **more: object) -> Event:
    return Event("u", visitor_id, exposure_wire(experience_id, "1"), **more)  # type: ignore[arg-type]


def body(*events: Event) -> dict[str, object]:
    told = json.loads(tracking_body(ADDRESS, events, enrich_data=True))
    assert isinstance(told, dict)
    return told


class TestWires:
    def test_an_exposure(self) -> None:
        assert json.loads(exposure_wire("100", "1")) == exposure("100", "1")

    def test_ids_may_be_any_text(self) -> None:
        assert json.loads(exposure_wire('"\\\0', "\ud800")) == exposure('"\\\0', "\ud800")


class TestConversion:
    AMOUNT = (("amount", 5), ("transactionId", "T"))

    def told(self, data: Iterable[tuple[str, object]] | None, *, first: bool) -> list[object]:
        said = None if data is None else ",".join(goal_datum(key, scalar(value)) for key, value in data)
        return [json.loads(wire) for wire in conversion_wires("91", {}, said, first=first)]

    def test_the_first_is_bare(self) -> None:
        assert self.told(None, first=True) == [conversion("91")]

    def test_its_data_follow_in_an_event_of_their_own(self) -> None:
        data = [{"key": "amount", "value": 5}, {"key": "transactionId", "value": "T"}]
        assert self.told(self.AMOUNT, first=True) == [conversion("91"), conversion("91", goalData=data)]

    def test_a_repeated_one_has_only_its_data(self) -> None:
        assert self.told([("amount", 5)], first=False) == [
            conversion("91", goalData=[{"key": "amount", "value": 5}])
        ]

    def test_a_repeated_one_without_data_is_nothing(self) -> None:
        assert self.told(None, first=False) == []

    def test_empty_data_are_data(self) -> None:
        assert self.told([], first=False) == [conversion("91", goalData=[])]

    def test_decisions_go_with_every_event(self) -> None:
        wires = conversion_wires("91", {"100": "1", "200": "\ud800"}, "", first=True)
        decided = {"100": "1", "200": "\ud800"}
        assert [json.loads(wire) for wire in wires] == [
            conversion("91", bucketingData=decided),
            conversion("91", goalData=[], bucketingData=decided),
        ]

    def test_a_signals_handler_may_decide_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bucketing = {"100": "1", "200": "2"}

        def interrupted(text: str) -> str:
            bucketing[f"9{len(bucketing)}"] = "3"
            return json.dumps(text)

        monkeypatch.setattr(events, "json_text", interrupted)
        (wire,) = conversion_wires("91", bucketing, None, first=True)
        assert json.loads(wire)["data"]["bucketingData"].items() >= {"100": "1", "200": "2"}.items()


class TestContents:
    """`event_contents` reads back what the wires say."""

    def test_of_an_exposure(self) -> None:
        assert event_contents(exposure_wire("100", "1")) == EventContents("100", "1")

    def test_of_a_conversion_and_of_its_data(self) -> None:
        bare, data = conversion_wires("91", {"100": "1"}, goal_datum("amount", scalar(5)), first=True)
        assert event_contents(bare) == EventContents(None, None, "91", None, {"100": "1"})
        assert event_contents(data) == EventContents(None, None, "91", {"amount": 5}, {"100": "1"})

    def test_the_repr_shows_no_visitor(self) -> None:
        assert repr(event("v-42")) == "Event(u)"


class TestBody:
    def test_says_whose_the_events_are(self) -> None:
        assert body(event("v")) == {
            "enrichData": True,
            "accountId": "1",
            "projectId": "2",
            "visitors": [{"visitorId": "v", "events": [exposure("100", "1")]}],
            "source": "python-sdk",
        }

    def test_nothing_is_to_be_filled_in(self) -> None:
        assert json.loads(tracking_body(ADDRESS, [], enrich_data=False))["enrichData"] is False

    def test_each_visitor_has_one_entry_in_the_order_of_first_events(self) -> None:
        told = body(event("b", "100"), event("a", "100"), event("b", "200"))
        assert told["visitors"] == [
            {"visitorId": "b", "events": [exposure("100", "1"), exposure("200", "1")]},
            {"visitorId": "a", "events": [exposure("100", "1")]},
        ]

    def test_segments_are_those_of_the_first_event(self) -> None:
        told = body(event("a", segments={"country": "DE"}), event("a", "200", segments={"country": "FR"}))
        assert told["visitors"] == [
            {
                "visitorId": "a",
                "events": [exposure("100", "1"), exposure("200", "1")],
                "segments": {"country": "DE"},
            }
        ]

    def test_segments_may_be_anything(self) -> None:
        odd: dict[object, object] = {1: "one", "list": ["a"], "set": {"b"}, "é": None}
        (entry,) = json.loads(tracking_body(ADDRESS, [event("a", segments=odd)], enrich_data=True))[
            "visitors"
        ]
        assert entry["segments"] == {"1": "one", "list": ["a"], "set": ["b"], "é": None}

    def test_a_key_that_is_a_member_of_an_enumeration_is_its_text(self) -> None:
        class Name(str, Enum):  # noqa: UP042  # its `str` is no text of its own
            COLOUR = "colour"

        for odd in ("DE", float("nan"), {Name.COLOUR: float("nan")}):
            told = body(event("a", segments={Name.COLOUR: odd}))
            assert "Name" not in json.dumps(told)
            assert '"colour"' in json.dumps(told)

    def test_is_ascii(self) -> None:
        assert tracking_body(ADDRESS, [event("é\ud800")], enrich_data=True).isascii()


def test_a_conversion_takes_the_report_keys_along() -> None:
    assert known_segments({"country": "DE", "plan": "pro"}) == {"country": "DE"}


class TestToJson:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({"a": [1, 1.5, True, None, "é"]}, '{"a":[1,1.5,true,null,"\\u00e9"]}'),
            ([nan, inf, -inf], "[null,null,null]"),
            (MappingProxyType({"a": MappingProxyType({})}), '{"a":{}}'),
            ({("a", 1): nan}, "{\"('a', 1)\":null}"),
            ({"a"}, '["a"]'),
            ([frozenset(), nan], "[[],null]"),
            ([10**20, -(10**5000)], f"[{10**20},null]"),
            ([b"x", "y", nan], '["b\'x\'","y",null]'),
        ],
    )
    def test_writes_anything(self, value: object, text: str) -> None:
        assert to_json(value) == text

    def test_an_object_of_the_applications_is_its_text(self) -> None:
        class Plan:
            def __str__(self) -> str:
                return "pro"

        assert to_json(Plan()) == '"pro"'

    def test_what_nests_too_deep_ends(self) -> None:
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        assert to_json(deep) == "[" * 64 + "null" + "]" * 64

    def test_what_holds_itself_ends(self) -> None:
        endless: list[object] = []
        endless.append(endless)
        assert to_json(endless) == "[" * 64 + "null" + "]" * 64


class TestAReportedId:
    KEYED = ADDRESS._replace(report_id="a secret of the shop's own")

    def test_it_stands_for_the_id(self) -> None:
        events = [event("ann"), event("bob"), event("ann")]
        told = json.loads(tracking_body(self.KEYED, events, enrich_data=True))
        names = [entry["visitorId"] for entry in told["visitors"]]
        assert names == [reported_id(name, "a secret of the shop's own") for name in ("ann", "bob")]
        assert [len(entry["events"]) for entry in told["visitors"]] == [2, 1]

    def test_another_key_gives_another_name(self) -> None:
        assert reported_id("ann", "one key of many") != reported_id("ann", "another key of them")

    def test_half_a_character_has_a_name(self) -> None:
        assert len(reported_id("\ud800", "a secret of the shop's own")) == 32

    def test_the_key_is_not_shown(self) -> None:
        assert "secret" not in repr(self.KEYED)
