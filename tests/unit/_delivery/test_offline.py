from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from convert_sdk import (
    AsyncClient,
    Client,
    FlushReport,
    MemoryStore,
    Reason,
    Status,
    StoreError,
    VisitorState,
)
from convert_sdk.observation import Incident, Observation
from convert_sdk.stores import Changes, Winners
from tests.documents import (
    HIGH,
    LOW,
    Sink,
    change,
    conversion,
    entity,
    experience,
    exposure,
    feature,
    offline,
    project,
    variation,
)
from tests.shapes import of

BUY = entity("91", "buy")


class TestDelivery:
    def test_nothing_is_sent_before_a_flush(self) -> None:
        sink = Sink()
        client = offline(experience(), sink=sink)
        client.visitor(LOW).decide("checkout")
        assert not sink
        assert client.flush() == FlushReport(sent=1)
        assert len(sink) == 1

    def test_a_flush_reports_what_it_did(self) -> None:
        client = offline(experience(), sink=Sink())
        assert [client.flush(), client.close()] == [FlushReport(), FlushReport()]

    def test_closing_flushes(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).decide("checkout")
        assert sink.events == [exposure("100", "1")]

    def test_a_body_is_the_tracking_endpoints(self) -> None:
        bodies: list[bytes] = []
        with Client.offline(project(experience()), bodies.append, source="shop") as client:
            client.visitor(LOW).decide("checkout")
        assert json.loads(bodies[0]) == {
            "enrichData": True,
            "accountId": "1",
            "projectId": "2",
            "visitors": [{"visitorId": LOW, "events": [exposure("100", "1")]}],
            "source": "shop",
        }

    def test_a_thousand_events_are_not_kept_waiting(self) -> None:
        sink = Sink()
        client = offline(experience(), sink=sink)
        for number in range(1000):
            client.visitor(number).decide("checkout")
        assert len(sink.events) == 1000

    def test_an_error_of_the_sink_is_the_callers_and_loses_nothing(self) -> None:
        sink, broken = Sink(), [True]

        def take(body: bytes) -> None:
            if broken:
                raise OSError("disk full")
            sink(body)

        client = Client.offline(project(experience()), take)
        client.visitor(LOW).decide("checkout")
        with pytest.raises(OSError, match="disk full"):
            client.flush()
        assert client.status().events.queued == 1
        broken.clear()
        assert client.flush().sent == 1
        assert sink.events == [exposure("100", "1")]

    def test_a_segment_that_cannot_be_reported_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        sink, broken = Sink(), [True]

        def take(body: bytes) -> None:
            if broken:
                raise OSError("disk full")
            sink(body)

        client = Client.offline(project(experience()), take)
        client.visitor(LOW, {"browser": {"a": 1}}).decide("checkout")
        with pytest.raises(OSError, match="disk full"):
            client.flush()
        assert caplog.records == []
        broken.clear()
        client.flush()
        client.visitor(HIGH, {"browser": ["a", "b"]}).decide("checkout")
        client.flush()
        line = "the segment browser is reported without what has no form there; expected a text"
        assert [record.getMessage() for record in caplog.records] == [line]
        assert len(sink.events) == 2

    def test_without_a_sink_nothing_waits(self) -> None:
        client = offline(experience())
        client.visitor(LOW).decide("checkout")
        assert client.status().events.offered == 0

    def test_without_tracking_nothing_waits(self) -> None:
        sink = Sink()
        with Client.offline(project(experience(), goals=[BUY]), sink, tracking=False) as client:
            client.visitor(LOW).decide("checkout")
            assert not client.visitor(LOW).track("buy")
        assert not sink


class TestStatus:
    def test_names_the_document(self) -> None:
        client = offline(experience(audiences=["59"]))
        assert client.project is not None
        status = client.status()
        assert (status.revision, status.problems) == (client.project.revision, 1)

    def test_counts_visitors_and_events(self) -> None:
        client = offline(experience(), sink=Sink())
        client.visitor(LOW).decide("checkout")
        client.visitor(HIGH).decide("checkout")
        status = client.status()
        assert (status.visitors, status.events.queued, status.worker_alive) == (2, 2, False)


class TestStore:
    def test_what_it_knows_counts(self) -> None:
        store = MemoryStore()
        store.save(Changes(f"1-2-{LOW}", bucketing={"100": "2"}))
        assert offline(experience(), store=store).visitor(LOW).decide("checkout").variation_id == "2"

    def test_what_happens_is_saved(self) -> None:
        store, sink = MemoryStore(), Sink()
        with offline(experience(), goals=[BUY], store=store, sink=sink) as client:
            visitor = client.visitor(LOW, {"country": "DE"})
            visitor.decide("checkout")
            result = visitor.track("buy")
        state = store.load(f"1-2-{LOW}")
        assert state == VisitorState({"100": "1"}, {"buy": result.uuid or ""}, {"country": "DE"})

    def test_a_conversion_that_another_process_claimed_is_not_sent(self) -> None:
        store, sink = MemoryStore(shared=True), Sink()
        client = offline(goals=[BUY], store=store, sink=sink)
        client.visitor(LOW).track("buy")
        store.save(Changes(f"1-2-{LOW}", goals={"buy": "theirs"}))
        client.close()
        assert not sink
        assert client.status().events.deduplicated == 1

    def test_a_conversion_that_won_its_claim_is_sent(self) -> None:
        sink = Sink()
        with offline(goals=[BUY], store=MemoryStore(shared=True), sink=sink) as client:
            client.visitor(LOW).track("buy")
        assert sink.events == [conversion("91")]

    def test_who_shares_it_enriches_nothing(self) -> None:
        sink = Sink()
        with offline(experience(), store=MemoryStore(shared=True), sink=sink) as client:
            client.visitor(LOW).decide("checkout")
        assert [body["enrichData"] for body in sink] == [False]

    def test_one_that_is_down_stops_nothing_and_loses_nothing(self) -> None:
        store = Failing()
        client = offline(experience(), store=store)
        assert client.visitor(LOW).decide("checkout").reason is Reason.BUCKETED
        client.flush()
        store.down = False
        client.flush()
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert state.bucketing == {"100": "1"}

    def test_one_that_is_down_is_said_once_and_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        observed: list[Observation] = []
        store = Failing(error=StoreError(f"cannot save 1-2-{LOW}"))
        client = Client.offline(project(experience()), store=store, observe=[observed.append])
        client.visitor(LOW).decide("checkout")
        client.flush()
        client.flush()
        line = "store: visitors are not saved: cannot save …"
        assert [record.getMessage() for record in caplog.records] == [line]
        assert client.status().incidents == {"load": 1, "store": 2}
        assert [each.text for each in observed if isinstance(each, Incident)] == [line]

    @pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
    def test_closing_gives_up_what_one_that_is_down_should_have_taken(self, kind: str) -> None:
        sink, store = Sink(), Failing(shared=True, error=OSError("down"))
        shop = project(goals=[BUY])
        if kind == "Client":
            client = Client.offline(shop, sink, store=store)
            client.visitor(LOW).track("buy")
            assert client.flush() == FlushReport(pending=1)
            reports, status = [client.close(), client.close()], client.status()
        else:
            reports, status = asyncio.run(closed_twice(AsyncClient.offline(shop, sink, store=store)))
        assert sink.events == [conversion("91")]
        assert reports == [FlushReport(sent=1), FlushReport()]
        assert status.incidents == {"load": 1, "store": 2, "unsaved": 1}

    def test_closing_gives_up_what_a_flush_has_in_hand(self) -> None:
        async def main() -> Status:
            store = Refusing()
            client = AsyncClient.offline(project(goals=[BUY]), sink, store=store)
            return await closed_amid_a_flush(client, store)

        sink = Sink()
        assert asyncio.run(main()).incidents == {"store": 1, "unsaved": 1}
        assert sink.events == [conversion("91")]

    def test_what_is_written_while_it_saves_stands(self) -> None:
        """Another request of the visitor, who is loaded again, comes in the middle of a save."""

        class Slow(MemoryStore):
            def save(self, changes: Changes) -> Winners:
                seen.append(client.visitor(LOW).segments)
                return super().save(changes)

        store, seen = Slow(shared=True), list[Mapping[str, object]]()
        MemoryStore.save(store, Changes(f"1-2-{LOW}", segments={"country": "US"}))
        client = offline(experience(), store=store)
        client.visitor(LOW).set_segments({"country": "DE"})
        client.flush()
        assert [*seen, client.visitor(LOW).segments] == [{"country": "DE"}] * 2

    def test_a_flush_that_is_cancelled_loses_nothing(self) -> None:
        store = Awaited()

        async def use() -> FlushReport:
            client = AsyncClient.offline(project(experience()), store=store)
            for name in (LOW, HIGH, "third"):
                (await client.visitor(name)).set_segments({"country": "DE"})
            flush = asyncio.create_task(client.flush())
            await store.asked.wait()
            flush.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flush
            store.may_answer.set()
            await client.close()
            assert client.status().incidents == {}
            return await client.flush()

        asyncio.run(use())
        kept = [store.inner.load(f"1-2-{name}") for name in (LOW, HIGH, "third")]
        assert kept == [VisitorState(segments={"country": "DE"})] * 3

    def test_a_save_that_is_interrupted_loses_nothing(self) -> None:
        store = Failing(error=KeyboardInterrupt())
        client = offline(experience(), store=store)
        client.visitor(LOW).decide("checkout")
        with pytest.raises(KeyboardInterrupt):
            client.flush()
        store.down = False
        client.close()
        assert store.load(f"1-2-{LOW}") == VisitorState({"100": "1"})


class Failing(MemoryStore):
    """A store that can be down."""

    def __init__(self, *, shared: bool = False, error: BaseException | None = None) -> None:
        super().__init__(shared=shared)
        self.down = True
        self.error = error or StoreError("the store is down")

    def load(self, key: str) -> VisitorState | None:
        if self.down:
            raise StoreError("the store is down")
        return super().load(key)

    def save(self, changes: Changes) -> Winners:
        if self.down:
            raise self.error
        return super().save(changes)


class Awaited:
    """A store that is awaited, and answers a save once it may."""

    shared = False

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def load(self, key: str) -> VisitorState | None:
        return self.inner.load(key)

    async def save(self, changes: Changes) -> Winners:
        self.asked.set()
        await self.may_answer.wait()
        return self.inner.save(changes)

    async def close(self) -> None:
        pass


class Refusing(Awaited):
    """A store that is awaited, and then saves nothing."""

    async def save(self, changes: Changes) -> Winners:
        await super().save(changes)
        raise StoreError("down")


async def closed_twice(client: AsyncClient) -> tuple[list[FlushReport], Status]:
    """The reports of the two, and what the client says of itself afterwards."""
    (await client.visitor(LOW)).track("buy")
    assert await client.flush() == FlushReport(pending=1)
    return [await client.close(), await client.close()], client.status()


async def closed_amid_a_flush(client: AsyncClient, store: Refusing) -> Status:
    """What the client says of itself, after a flush that waited for the store has ended behind a close."""
    (await client.visitor(LOW)).track("buy")
    flush = asyncio.create_task(client.flush())
    await store.asked.wait()
    await client.close()
    store.may_answer.set()
    await flush
    return client.status()


class TestMismatches:
    def test_a_default_of_another_type_is_logged_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        shared = project(
            experience(variations=[variation("1", 100, changes=[change("5", price="5")])]),
            features=[feature("5", "pricing", price="string")],
        )
        first, second = Client.offline(shared), Client.offline(shared)
        for _ in range(3):
            assert first.visitor(LOW).feature("pricing").get("price", 0) == 0
        # One project, two clients: each of them is told of what somebody reads.
        assert [client.status().incidents for client in (first, second)] == [{"mismatched": 3}] * 2
        line = (
            "the variable 'price' of the feature 'pricing' is of type str and was read with a default of type int: "
            "the default is used"
        )
        assert [record.getMessage() for record in caplog.records] == [line, line]


class TestOptions:
    def test_visitors_can_be_hashed_another_way(self) -> None:
        client = Client.offline(project(experience()), max_traffic=5000)
        assert client.visitor(LOW).peek("checkout").bucket_value == 754

    def test_an_environment(self) -> None:
        client = Client.offline(project(experience(environment="qa")), environment="qa")
        assert client.visitor(LOW).peek("checkout")

    def test_variables_of_the_process_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONVERT_ENVIRONMENT", "qa")
        client = Client.offline(project(experience(environment="qa")))
        assert client.visitor(LOW).peek("checkout").reason is Reason.ENVIRONMENT

    def test_the_repr_shows_no_secret(self) -> None:
        assert repr(Client.offline(project(), environment="qa")) == "Client(environment='qa')"


class TestThreads:
    def test_many_of_one_visitor_decide_and_convert_once(self) -> None:
        sink = Sink()
        shops = [experience(str(number), f"checkout-{number}") for number in range(300)]
        client = offline(*shops, goals=[BUY], sink=sink)
        together = Barrier(8)

        def work(number: int) -> int:
            visitor = client.visitor(LOW, {"country": "DE"})
            together.wait()
            for place in range(300):
                visitor.decide(f"checkout-{(place + number * 40) % 300}")
            return sum(bool(visitor.track("buy")) for _ in range(5))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 1
        client.close()
        sent = [of(dict, event["data"]).get("experienceId", "conversion") for event in sink.events]
        assert sorted(sent) == sorted([*map(str, range(300)), "conversion"])

    def test_a_full_outbox_is_emptied_by_whoever_meets_it(self) -> None:
        sink = Sink()
        client = offline(experience(), sink=sink)

        def work(number: int) -> None:
            for place in range(1_000):
                client.visitor(f"{number}-{place}").decide("checkout")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        client.close()
        assert len(sink.events) == 8_000
        assert len(sink) >= 8
