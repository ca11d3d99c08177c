from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest

from convert_sdk import Client
from convert_sdk._core.events import REPORT_KEYS, Event, typed_segments
from convert_sdk._core.segments import UnknownSegments
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running

TEXTS = [key for key in REPORT_KEYS if key not in {"devices", "customSegments"}]


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("DE", "DE"),
        (12345, "12345"),
        (1.5, "1.5"),
        (Fraction(1, 2), "0.5"),
        (True, "true"),
        (["DE"], "DE"),
        ((7,), "7"),
    ],
)
def test_a_scalar_is_sent_as_text(key: str, value: object, sent: str) -> None:
    assert typed_segments({key: value, "other": value}) == {key: sent, "other": value}


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("value", [None, {}, {"a": 1}, [], ["a", "b"], [{}], [[1]]])
def test_what_is_no_text_is_left_out(key: str, value: object) -> None:
    assert typed_segments({key: value, "other": 1}) == {"other": 1}


@pytest.mark.parametrize("key", ["devices", "customSegments"])
@pytest.mark.parametrize(
    ("value", "sent"),
    [("DESK", ["DESK"]), (5, ["5"]), (["a", 5], ["a", "5"]), (("a", {}), ["a"]), ([], []), ({"a"}, ["a"])],
)
def test_a_list_is_sent_as_texts(key: str, value: object, sent: list[str]) -> None:
    assert typed_segments({key: value}) == {key: sent}


@pytest.mark.parametrize("key", ["devices", "customSegments"])
@pytest.mark.parametrize("value", [None, {}, {"a": 1}, [{}], [None]])
def test_what_is_no_list_is_left_out(key: str, value: object) -> None:
    assert typed_segments({key: value}) == {}


def warnings(*segments: Mapping[str, object] | None) -> list[str]:
    return list(UnknownSegments().among(Event("", "v", "{}", each) for each in segments))


def test_what_is_left_out_is_said_once_for_each_segment() -> None:
    (first, second) = sorted(
        warnings({"campaign": {}}, {"campaign": {"a": 1}}, {"devices": ["DESK", {}]}, None)
    )
    assert first.startswith("the segment campaign is reported without")
    assert first.endswith("expected a text")
    assert second.startswith("the segment devices is reported without")
    assert second.endswith("expected a list of texts")


def test_what_reports_do_not_know_is_said_once_for_each_segment() -> None:
    (told,) = warnings({"country": 12345}, {"country": "Germany"}, {"country": "DE"})
    assert told.startswith("the segment country is reported with a value that reports do not know")


def test_what_fits_and_what_is_not_there_is_worth_no_word() -> None:
    shared = {"country": "DE", "campaign": 12345, "devices": "DESK", "source": None, "customSegments": [5]}
    assert warnings(shared, shared) == []


@pytest.mark.parametrize("odd", [12345, True, ["summer"], ["a", "b"], {"a": 1}, None, 1.5])
def test_the_events_arrive_whatever_is_given_as_a_segment(odd: object) -> None:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with (
        running(registry) as server,
        Client(
            DEMO_SDK_KEY,
            config_endpoint=server.url,
            track_endpoint=server.url,
            start_wait=120,
            flush_interval=3600,
        ) as client,
    ):
        visitor = client.visitor("v", dict.fromkeys(REPORT_KEYS, odd), location={"path": "/"})
        visitor.decide("home-story")
        assert visitor.track("purchase", revenue=49.9)
        assert client.flush(120).sent == 3
    assert len(shop.record.events()) == 3
    assert client.status().events.rejected == 0
