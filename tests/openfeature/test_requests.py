"""Look-ups in a request under a middleware: the visitor is the request's own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.track import TrackingEventDetails
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

from convert_sdk import AsyncClient, Client, Consent, MemoryStore, Project, current_visitor
from convert_sdk.integrations.asgi import ConvertMiddleware
from convert_sdk.testing import AsyncRecordingClient, RecordingClient
from convert_sdk.testing.apps import http_client
from tests.documents import Json, change, document, entity, every, experience, feature, leaf, variation
from tests.openfeature.asking import Question, asked, asked_async, flags_of
from tests.reliability.collector import Answer, Collector, Received
from tests.waiting import PATIENCE, eventually, patient_clients

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fastapi_flags.py"


def halves(id: str) -> list[Json]:
    return [
        variation(f"{id}{place}", changes=[change("81", discount=discount)])
        for place, discount in enumerate((0.1, 0.2))
    ]


SHOP = document(
    experience("100", "sale", variations=halves("10"), audiences=["51"]),
    experience("200", "checkout-layout"),
    features=[feature("81", "pricing", discount="float")],
    audiences=[entity("51", "pros", every(leaf()))],
    goals=[entity("70", "purchase")],
)
PROJECT = Project.parse(json.dumps(SHOP))
DISCOUNT = Question("pricing.discount", "Float", 0.0)
LAYOUT = Question("checkout-layout", "String", "none")


def site(client: Client | AsyncClient, page: Callable[[], object], **options: Any) -> FastAPI:
    """An application with this page, and the provider of this client."""
    flags_of(client)
    app = FastAPI()
    app.add_middleware(ConvertMiddleware, client=client, **options)
    app.get("/")(page)
    return app


@pytest.fixture(autouse=True)
def transactions() -> None:
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())


def test_the_transaction_context_joins_the_visitor_of_the_request() -> None:
    client = AsyncRecordingClient(PROJECT)

    async def page() -> list[object]:
        api.set_transaction_context(EvaluationContext(attributes={"plan": "pro"}))
        discount = await asked_async(DISCOUNT)
        await asyncio.sleep(0)
        layout = await asked_async(LAYOUT)
        flags = api.get_client()
        flags.track("purchase", None, TrackingEventDetails(10.0))
        return [discount.value, discount.reason, layout.value]

    with http_client(site(client, page)) as browser:
        answers = [browser.get("/") for _ in range(2)]
    values = [each.json() for each in answers]
    assert values[0] == values[1]
    assert values[0][1] == "TARGETING_MATCH"
    (named,) = {each.visitor_id for each in client.exposures}
    assert [each.visitor_id for each in client.conversions] == [named]
    assert "set-cookie" in answers[0].headers
    assert named in answers[0].headers["set-cookie"]


def test_somebody_else_who_is_named_is_not_the_visitor_of_the_request() -> None:
    client = RecordingClient(PROJECT)

    async def page() -> object:
        return asked(LAYOUT, EvaluationContext("company-7")).value

    with http_client(site(client, page)) as browser:
        answer = browser.get("/")
    assert [each.visitor_id for each in client.exposures] == ["company-7"]
    assert "set-cookie" not in answer.headers  # nobody asked for the request's own


def test_the_consent_of_the_request_counts_for_its_visitor() -> None:
    client = RecordingClient(PROJECT)

    async def page() -> list[object]:
        return [asked(LAYOUT).value, asked(LAYOUT, EvaluationContext("user-1")).value]

    app = site(client, page, consent=lambda _: Consent.DENIED, identify=lambda _: "user-1", on_login="switch")
    with http_client(app) as browser:
        assert browser.get("/").json() == ["none", "none"]
    client.assert_nothing_sent()


def test_a_plain_look_up_over_an_asynchronous_client_is_an_error_in_a_request_too() -> None:
    async def page() -> object:
        return asked(LAYOUT).error_code

    with http_client(site(AsyncClient.offline(PROJECT), page)) as browser:
        assert browser.get("/").json() == ErrorCode.GENERAL


def test_a_previewed_variation_is_what_its_flags_are_read_of() -> None:
    client = RecordingClient(PROJECT)

    async def page() -> list[object]:
        current_visitor().preview("100", "101")
        discount, layout = asked(DISCOUNT), asked(LAYOUT)
        return [discount.value, discount.reason, discount.variant, layout.reason]

    with http_client(site(client, page)) as browser:
        assert browser.get("/").json() == [0.2, "STATIC", "arm-101", "SPLIT"]
    client.assert_nothing_sent()


def test_a_previewed_draft_is_read_too() -> None:
    """An experience and features that the project lacks, and those that others have asked for already."""
    draft = document(
        experience("900", "draft", variations=[
            variation("901", 100, changes=[change("81", discount=0.9), change("82", title="New")])
        ]),
        features=[feature("81", "pricing", discount="float"), feature("82", "banner", title="string")],
    )  # fmt: skip

    def answer(received: Received) -> Answer:
        return Answer(200, {}, json.dumps(draft if "exp=900" in received.path else SHOP).encode())

    async def page() -> list[object]:
        known = asked(DISCOUNT, EvaluationContext("somebody else"))
        current_visitor().preview("900", "901")
        questions = (DISCOUNT, Question("draft", "String", ""), Question("banner.title", "String", ""))
        found = [asked(question) for question in questions]
        return [[each.value, each.reason, each.variant] for each in (known, *found)]

    with Collector(answer) as server:
        client = Client("1/2", config_endpoint=server.url, track_endpoint=server.url)
        assert client.wait_until_ready(PATIENCE)
        assert client.load_preview("900")
        with http_client(site(client, page)) as browser:
            shown = browser.get("/").json()
    assert shown == [
        [0.0, "DEFAULT", None],
        [0.9, "STATIC", "arm-901"],
        ["arm-901", "STATIC", "arm-901"],
        ["New", "STATIC", "arm-901"],
    ]


# Conversions.


def tracked(client: Client | AsyncClient, *given: object, context: EvaluationContext | None = None) -> None:
    flags_of(client).track("purchase", context or EvaluationContext("v-1"), TrackingEventDetails(*given))  # type: ignore[arg-type]  # what no type checker would let pass


def test_a_conversion_has_the_value_as_its_revenue() -> None:
    client = RecordingClient(PROJECT)
    tracked(client, 49.9, {"products": 2, "transaction_id": "T-1", "shelf": "A"})
    (conversion,) = client.conversions
    assert (conversion.goal, conversion.visitor_id, conversion.transaction_id) == ("purchase", "v-1", "T-1")
    assert (str(conversion.revenue), conversion.products) == ("49.9", 2)
    tracked(client, 5.0)
    assert len(client.conversions) == 1
    tracked(client, 5.0, {"allow_repeat": True})
    assert len(client.conversions) == 2


def test_what_is_of_another_type_is_left_out() -> None:
    for value in (float("nan"), float("inf"), 10**400, True, "five", None):
        client = RecordingClient(PROJECT)
        tracked(client, value, {"products": True, "transaction_id": 5, "allow_repeat": 1})
        (conversion,) = client.conversions
        assert (conversion.revenue, conversion.products, conversion.transaction_id) == (None, None, None)


def test_a_conversion_of_nobody_is_said_to_be_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "convert_sdk")
    client = RecordingClient(PROJECT)
    flags_of(client).track("purchase")
    tracked(client, context=EvaluationContext("v-1", {"bucketing_id": 1.5}))
    client.assert_nothing_sent()
    assert [("targeting_key" in text, "bucketing_id" in text) for text in caplog.messages] == [
        (True, False),
        (False, True),
    ]


def test_a_goal_that_the_project_lacks_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    flags = flags_of(RecordingClient(PROJECT))
    for _ in range(3):
        flags.track("purchse", EvaluationContext("v-1"))
    assert caplog.messages == ["conversions of 'purchse' are not counted: the project has no such goal"]


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_conversions_over_an_asynchronous_client(store: MemoryStore | None) -> None:
    bodies: list[Json] = []

    async def program() -> None:
        client = AsyncClient.offline(PROJECT, lambda body: bodies.append(json.loads(body)), store=store)
        tracked(client, 5.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await client.flush()

    asyncio.run(program())
    assert json.dumps(bodies).count('"goalId": "70"') == 2  # the conversion, and its revenue


def test_a_conversion_that_is_awaited_and_cannot_be_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        client = AsyncClient.offline(PROJECT, store=MemoryStore())
        tracked(client, context=EvaluationContext("v-1", {"bucketing_id": 1.5}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(program())
    [said] = caplog.messages
    assert said.startswith("a conversion was not counted: a bucketing_id must be")


def test_conversions_over_an_asynchronous_client_without_a_loop() -> None:
    client = AsyncRecordingClient(PROJECT)
    tracked(client, 5.0)
    assert [each.goal for each in client.conversions] == ["purchase"]


# The example.


def example() -> ModuleType:
    spec = spec_from_file_location("fastapi_flags", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_in_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(received: Received) -> Answer:
        return Answer(200, {}, json.dumps(SHOP).encode()) if received.method == "GET" else Answer()

    with Collector(answer) as server:
        for name, value in (
            ("SDK_KEY", "1/2"),
            ("CONFIG_ENDPOINT", server.url),
            ("TRACK_ENDPOINT", server.url),
        ):
            monkeypatch.setenv(f"CONVERT_{name}", value)
        with patient_clients():
            shop = example()
        with http_client(shop.app) as browser:
            eventually(lambda: shop.client.ready)
            free, pro = browser.get("/").json(), browser.get("/", params={"plan": "pro"}).json()
            assert browser.post("/buy/T-1").status_code == 200
        assert (free["discount"], free["reason"]) == (0.0, "DEFAULT")
        assert pro["reason"] == "TARGETING_MATCH"
        assert pro["layout"] == free["layout"]
        assert len({visitor for visitor, _ in server.events}) == 1
        kinds = [json.loads(event)["eventType"] for _, event in server.events]
        assert sorted(kinds) == ["bucketing", "bucketing", "conversion", "conversion"]
