from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.events import Event, TrackingContext, conversion_wires, exposure_wire, tracking_body
from convert_sdk._core.goals import goal_data
from convert_sdk.errors import DocumentError

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server.tracking import ExposureData, read_tracking
from tests.shapes import of, present

TESTS = Path(__file__).parents[2]
EXAMPLE = (TESTS / "fixtures" / "serving_tracking.json").read_bytes()

METRICS = (
    "'amount', 'productsCount', 'transactionId', 'customDimension1', 'customDimension2', "
    "'customDimension3', 'customDimension4' or 'customDimension5'"
)


def body(**changes: object) -> bytes:
    visitor = {
        "visitorId": "v",
        "events": [{"eventType": "conversion", "data": {"goalId": "7"}}],
        **changes,
    }
    return json.dumps({"visitors": [visitor]}).encode()


def conversion(**data: object) -> bytes:
    return body(events=[{"eventType": "conversion", "data": {"goalId": "7", **data}}])


def test_the_api_s_own_example_is_read() -> None:
    request = read_tracking(EXAMPLE)
    assert (request.account_id, request.project_id, request.enrich_data) == ("string", "string", True)
    visitor = request.visitors[0]
    assert present(visitor.segments).custom_segments == ("string",)
    assert of(ExposureData, visitor.events[0].data).experience_id == "string"


def test_what_the_library_sends_is_read() -> None:
    events = [
        Event("1", "v\ud800", exposure_wire("1", "2"), {"country": "DE", "basket": {"size": 3}}),
        Event(
            "2",
            "v\ud800",
            conversion_wires("7", {"1": "2"}, goal_data(4.5, transaction_id="T"), first=False)[0],
        ),
        Event("3", "w", conversion_wires("7", {}, None, first=True)[0]),
    ]
    request = read_tracking(tracking_body(TrackingContext("1", "2"), events, enrich_data=True))
    assert [visitor.visitor_id for visitor in request.visitors] == ["v\ud800", "w"]
    assert present(request.visitors[0].segments).model_extra == {"basket": {"size": 3}}
    assert request.source == "python-sdk"


def test_what_the_reference_sends_is_read() -> None:
    count = 0
    with gzip.open(TESTS / "vectors" / "decide.jsonl.gz", "rt") as lines:
        for line in lines:
            for request in json.loads(line)["expected"].get("requests") or ():
                if request["method"] == "POST":
                    sent = request["body"]
                    read_tracking((sent if isinstance(sent, str) else json.dumps(sent)).encode())
                    count += 1
    assert count > 2000


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "$: expected JSON, found an empty body"),
        (b"[]", "$: expected an object, found a list"),
        (b"{}", "$.visitors: expected a value, found nothing"),
        (b'{"visitors": {}}', "$.visitors: expected a list, found an object"),
        (b'{"visitors": [5]}', "$.visitors[0]: expected an object, found a number"),
        (b'{"visitors": [], "enrichData": "perhaps"}', "$.enrichData: expected true or false, found text"),
        (b'{"visitors": [], "accountId": []}', "$.accountId: expected an id, found a list"),
        (body(visitorId=""), "$.visitors[0].visitorId: expected an id, found empty text"),
        (body(visitorId=None), "$.visitors[0].visitorId: expected an id, found null"),
        (body(events=None), "$.visitors[0].events: expected a list, found null"),
        (
            body(events=[{}]),
            "$.visitors[0].events[0].eventType: expected bucketing or conversion, found nothing",
        ),
        (
            body(events=[{"eventType": "view"}]),
            "$.visitors[0].events[0].eventType: expected bucketing or conversion, found view",
        ),
        (
            body(events=[{"eventType": "bucketing", "data": {"experienceId": "1"}}]),
            "$.visitors[0].events[0].data.variationId: expected a value, found nothing",
        ),
        (
            conversion(goalData=[{"key": "price", "value": 1}]),
            f"$.visitors[0].events[0].data.goalData[0].key: expected {METRICS}, found 'price'",
        ),
        (
            conversion(goalData={"amount": 1}),
            "$.visitors[0].events[0].data.goalData: expected a list, found an object",
        ),
        (
            conversion(goalData=[{"key": "amount", "value": True}]),
            "$.visitors[0].events[0].data.goalData[0].value: expected a number or text, found true or false",
        ),
        (
            conversion(goalData=[{"key": "amount", "value": float("nan")}]),
            "$.visitors[0].events[0].data.goalData[0].value: expected a finite number, found a number",
        ),
        (
            conversion(bucketingData={"a b": None}),
            '$.visitors[0].events[0].data.bucketingData["a b"]: expected an id, found null',
        ),
        (body(segments=[]), "$.visitors[0].segments: expected an object, found a list"),
        (body(segments={"country": 5}), "$.visitors[0].segments.country: expected text, found a number"),
        (
            body(segments={"devices": [5]}),
            "$.visitors[0].segments.devices: expected a list of texts, found a list",
        ),
        (
            body(segments={"customSegments": ["1", None]}),
            "$.visitors[0].segments.customSegments[1]: expected an id, found null",
        ),
    ],
)
def test_a_wrong_body_is_refused_with_its_path(sent: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_tracking(sent)
    assert str(caught.value) == message


@given(st.data())
def test_any_mutant_is_read_or_refused_with_a_path(data: st.DataObject) -> None:
    mutant = json.loads(EXAMPLE)
    part = mutant
    while True:
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[key], (dict, list)) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = data.draw(st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.integers()))
    try:
        read_tracking(json.dumps(mutant).encode())
    except DocumentError as refused:
        place = refused.path
    else:
        place = "$"
    assert place.startswith("$")
