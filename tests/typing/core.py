"""What type checkers know of the core: values here and awaitables there, and features typed by their defaults."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import assert_type

from convert_sdk import (
    ANYWHERE,
    AsyncClient,
    Client,
    ConversionReason,
    ConversionResult,
    Counts,
    Decision,
    Explanation,
    FlushReport,
    MemoryStore,
    Problem,
    Project,
    Reason,
    ResolvedFeature,
    Status,
    Store,
    Visitor,
    VisitorState,
    bucket_value,
    matches,
    parse_preview,
)
from convert_sdk._core.model import Audience, Experience, Segment, Variation
from convert_sdk.stores import AsyncStore
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from convert_sdk.stores.sqlite import SqliteStore


def decisions(visitor: Visitor) -> None:
    decision = visitor.decide("checkout")
    assert_type(decision, Decision)
    assert_type(decision.reason, Reason)
    assert_type(decision.variation, Variation | None)
    assert_type(decision.variation_key, str | None)
    assert_type(decision.experience, Experience | None)
    assert_type(decision.bucket_value, int | None)
    assert_type(decision.features, tuple[ResolvedFeature, ...])
    assert_type(visitor.peek("checkout"), Decision)
    assert_type(visitor.force("checkout", variation_id=12), Decision)
    assert_type(visitor.force("checkout", variation_id="12"), Decision)
    assert_type(visitor.decide_all(), list[Decision])
    assert_type(visitor.decide_all({"checkout"}), list[Decision])
    assert_type(visitor.force("checkout", "one-page"), Decision)
    visitor.force("checkout", 12)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    visitor.force("checkout")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    assert_type(visitor.explain("checkout"), Explanation)
    assert_type(visitor.explain("checkout", "one-page"), Explanation)
    assert_type(visitor.explain("checkout", variation_id=12), Explanation)
    assert_type(visitor.preview("100", 12), bool)


def facts(visitor: Visitor) -> None:
    assert_type(visitor.with_context(location=ANYWHERE), Visitor)
    assert_type(visitor.with_context(location=None), Visitor)
    assert_type(
        visitor.with_context(location={"url": "/"}, attributes={"plan": "pro"}, tracking=False), Visitor
    )
    assert_type(visitor.segments, Mapping[str, object])
    assert_type(visitor.project, Project | None)
    assert_type(visitor.match_segments(["vip"], {"spent": 5}), list[Segment])
    visitor.set_segments({"country": "DE"})


def features(visitor: Visitor) -> None:
    pricing = visitor.feature("pricing")
    assert_type(pricing, ResolvedFeature)
    assert_type(pricing.get("discount", 0.0), float)
    assert_type(pricing.get("steps", 1), int)
    assert_type(pricing.get("label", ""), str)
    assert_type(pricing.get("on", False), bool)
    assert_type(pricing.get("anything"), object)
    assert_type(pricing.get("anything", None), object)
    assert_type(pricing.enabled, bool)
    assert_type(visitor.peek_feature("pricing"), ResolvedFeature)
    assert_type(visitor.features(), list[ResolvedFeature])


def conversions(visitor: Visitor) -> None:
    result = visitor.track(
        "buy",
        revenue=Decimal("49.90"),
        products=2,
        transaction_id="T-1",
        dimensions={1: "gold"},
        allow_repeat=True,
    )
    assert_type(result, ConversionResult)
    assert_type(result.reason, ConversionReason)
    assert_type(result.uuid, str | None)
    assert_type(visitor.track(goal_id=91, revenue=49.9), ConversionResult)
    assert_type(visitor.track("buy", revenue=49, rule_data={"total": 49}), ConversionResult)
    visitor.track("buy", revenue="49.90")  # type: ignore[arg-type]  # text is no money
    visitor.track("buy", 49.9)  # type: ignore[call-arg, arg-type]  # what a number means is said by name


def client(store: Store) -> None:
    with Client("1/2", environment="qa", refresh_interval=60, cache="low", store=store) as made:
        assert_type(made, Client)
        assert_type(made.visitor("v-1"), Visitor)
        assert_type(made.visitor(42, {"plan": "pro"}, location={"url": "/"}), Visitor)
        assert_type(made.visitor("v-1", bucketing_id="company-7").bucketing_id, str)
        assert_type(made.flush(2), FlushReport)
        assert_type(made.close(), FlushReport)
        assert_type(made.status(), Status)
        assert_type(made.status().events, Counts)
        assert_type(made.project, Project | None)
        assert_type(made.ready, bool)
        assert_type(made.wait_until_ready(5), bool)
    assert_type(Client.for_project(1, "2"), Client)
    Client("1/2", cache="high")  # type: ignore[arg-type]  # one of two words
    Client("1/2", enviroment="qa")  # type: ignore[call-arg]  # a slip of the pen
    made.visitor(1.5)  # type: ignore[arg-type]  # a text or a whole number


async def async_client(store: AsyncStore) -> None:
    async with AsyncClient("1/2", store=store) as made:
        assert_type(made, AsyncClient)
        visitor = await made.visitor("v-1", {"plan": "pro"})
        assert_type(visitor, Visitor)
        assert_type(visitor.decide("checkout"), Decision)
        assert_type(await made.flush(), FlushReport)
        assert_type(await made.close(), FlushReport)
        assert_type(made.status(), Status)


def documents(project: Project) -> None:
    assert_type(Project.load("project.json"), Project)
    assert_type(Project.parse(b"{}"), Project)
    assert_type(project.problems, tuple[Problem, ...])
    assert_type(project.document, dict[str, object])
    assert_type(project.audience("pro"), Audience | None)
    assert_type(list(project.experiences), list[Experience])
    Client.offline(project, sink=lambda body: assert_type(body, bytes))
    Client.offline(project, sink=open("events.jsonl", "wb").write)  # noqa: SIM115, PTH123  # what it answers is nothing to us


def pure(rule_set: object) -> None:
    assert_type(matches(rule_set, {"plan": "pro"}), bool)
    assert_type(bucket_value("100", "v-1"), int)
    assert_type(parse_preview(None), tuple[str, str] | None)


def stores() -> tuple[list[Store], AsyncStore]:
    assert_type(MemoryStore().load("1-2-v"), VisitorState | None)
    return [MemoryStore(), SqliteStore("v.db"), RedisStore("redis://")], AsyncRedisStore("redis://")


def overrides(client: Client, other: AsyncClient) -> None:
    with (
        client.override("checkout", "one-page"),
        other.override(feature="pricing", variables={"discount": 0.2}),
    ):
        pass

    @client.override("checkout", enabled=False, gates=True, visitor_id=42)
    def decorated(number: int) -> str:
        return str(number)

    @other.override(feature="pricing", enabled=False, everywhere=True)
    async def awaited(number: int) -> str:
        return str(number)

    assert_type(decorated(5), str)
    assert_type(asyncio.run(awaited(5)), str)
    client.override("checkout")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.override("checkout", "b", feature="pricing")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
