"""The bridge on both clients, and what it does with what no client takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from convert_sdk import ANYWHERE, AsyncClient, ConversionReason, ConversionResult, OptionError, StoreError
from convert_sdk.commerce.bridge import (
    Bridge,
    ConvictionalSource,
    Goals,
    Ledger,
    LedgerTransaction,
    MemoryLedger,
    OrderSnapshot,
    Policy,
    WebsiteSource,
    exposures,
    recording,
)
from convert_sdk.commerce.bridge.ledger import _warn_of_half_characters
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.webhooks import parse
from convert_sdk.observation import Converted, Delivered, Exposed, Observation
from convert_sdk.server import DEMO_SDK_KEY
from convert_sdk.status import EventOutcome
from convert_sdk.testing.stores import WebsiteStore
from tests.waiting import PATIENCE, eventually

from .world import DAY, IDENTITY, SECRET, STORY, World


class TestAsyncClient:
    def test_a_webhook_in_a_loop(self, world: World) -> None:
        settled = Event()

        def hear(observation: Observation) -> None:
            if isinstance(observation, Delivered) and any("." in each for each in observation.uuids):
                settled.set()

        async def application() -> None:
            async with AsyncClient(
                DEMO_SDK_KEY,
                config_endpoint=world.server.url,
                track_endpoint=world.server.url,
                observe=[recording(world.ledger, also=hear)],
                start_wait=PATIENCE,
            ) as client:
                bridge = Bridge(
                    client, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site]
                )
                visitor = await client.visitor("v-1", location=ANYWHERE)
                shown = visitor.decide("home-story").variation_id
                assert shown
                await client.flush(120)
                await asyncio.to_thread(eventually, lambda: world.shown("v-1", shown))
                world.now += 60
                world.order()
                for event in world.webhooks():
                    for method in (bridge.handle, bridge.sync, bridge.tick):
                        with pytest.raises(RuntimeError, match="to_thread"):
                            method(*([event] if method == bridge.handle else []))
                    await asyncio.to_thread(bridge.handle, event)
                await client.flush(120)
                assert await asyncio.to_thread(settled.wait, PATIENCE)
                report = await asyncio.to_thread(bridge.report)
                assert report.states == {"sent": 1}
                [conversion] = world.conversions()
                assert conversion.bucketing == {STORY: shown}

        asyncio.run(application())

    def test_without_a_loop_it_is_refused(self, world: World) -> None:
        client = AsyncClient(DEMO_SDK_KEY, observe=[recording(world.ledger)])
        with pytest.raises(OptionError, match="loop"):
            Bridge(client, world.ledger, goals=Goals("purchase"), identity=IDENTITY)


class TestWhatNoClientTakes:
    def test_one_order_that_cannot_be_reported_holds_up_no_other(self, world: World) -> None:
        world.expose("v-9")  # the document has arrived
        bridge = Bridge(
            world.client, MemoryLedger(), goals=Goals("purchase"), identity=IDENTITY, sources=[world.site]
        )
        at = datetime.now(UTC)
        with bridge.ledger.transaction() as transaction:
            for number, products in ((1, 1), (2, "two"), (3, 3)):
                order = OrderSnapshot(
                    "till", "berlin", str(number), at, paid=True, token=IDENTITY.token("v-1")
                )
                bridge.record(transaction, replace(order, products=products))  # type: ignore[arg-type]
        assert bridge.tick() == 2
        world.client.flush(120)
        assert {each.goal_data["productsCount"] for each in world.conversions()} == {1, 3}
        assert bridge.report().dropped == {"unusable": 1}

    @pytest.mark.parametrize("amount", ["NaN", "Infinity"])
    def test_what_is_no_amount_is_refused(self, amount: str) -> None:
        with pytest.raises(ValueError, match="amount"):
            OrderSnapshot("till", "berlin", "1", datetime(2026, 5, 1, tzinfo=UTC), amount=Decimal(amount))

    def test_what_is_no_visitor_is_refused(self, world: World) -> None:
        with pytest.raises(ValueError, match="empty"):
            world.bridge.link("", source=world.site.scope, member=3)

    def test_ids_may_be_numbers_as_for_the_client(self, world: World) -> None:
        variation = world.client.visitor(42, location=ANYWHERE).decide("home-story").variation_id
        world.client.flush(120)
        world.until(lambda: world.shown("42", variation or ""))
        world.now += 60
        world.bridge.link(42, source=world.site.scope, member=3)
        world.order(None, memberId=3)
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.bucketing == {STORY: variation}
        world.bridge.forget(42)
        assert not world.shown("42", variation or "")

    def test_two_sources_of_one_scope_are_refused(self, world: World) -> None:
        twice = [world.buyer, ConvictionalSource(world.buyer.client, "acme")]
        with pytest.raises(OptionError, match="scope"):
            Bridge(world.client, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=twice)

    def test_several_sites_are_known_by_their_domains_and_by_their_accounts(self, world: World) -> None:
        with WebsiteStore() as other, WebsiteClient(other.url, other.key) as api:
            other.now = lambda: world.now
            api.webhooks.create("https://shop.example.com/hook", ["order_created"], secret=SECRET)
            sources = [replace(world.site, account="Shop A"), WebsiteSource(api, account="shop-b")]
            world.client.close()
            world.open(Policy(), sources=sources)
            for number, (source, store) in enumerate(zip(sources, (world.store, other), strict=True)):
                assert world.bridge.link(f"v-{number}", source=source.scope, member=7)
                row = store.place_order(paid=True, memberId=7)
                event = parse(store.deliveries[0].body, store.deliveries[0].headers, SECRET)
                [conversion] = world.bridge.handle(event)
                assert conversion.transaction_id == f"{source.scope}:{row['id']}"
                assert conversion.visitor_id == f"v-{number}"
                with pytest.raises(ValueError, match=r"no source for webhooks of 'other\.example\.com'"):
                    world.bridge.handle(replace(event, source="other.example.com"))

    def test_a_lease_of_nothing_is_refused(self) -> None:
        with pytest.raises(OptionError, match="lease"):
            Policy(lease=0.0)


class Moody(MemoryLedger):
    """A ledger whose file may be locked for a while."""

    locked = False

    @contextmanager
    def transaction(self) -> Iterator[LedgerTransaction]:
        if self.locked:
            raise StoreError("the file is locked")
        with super().transaction() as transaction:
            yield transaction


class TestRecording:
    def test_what_cannot_be_written_now_is_written_later_as_of_then(self) -> None:
        now = 1000.0
        ledger = Moody(clock=lambda: now)
        observe = recording(ledger)
        ledger.locked = True
        for observation in (Exposed("e-1", "v-1", "exp-1", "var-1"), Delivered(EventOutcome.SENT, ("u.0",))):
            with pytest.raises(StoreError):
                observe(observation)
        ledger.locked = False
        now += DAY
        observe(Exposed("e-2", "v-1", "exp-2", "var-2"))
        with ledger.transaction() as transaction:
            assert [each.at for each in transaction.exposures("v-1", 0.0, 1e12)] == [1000.0, 1000.0 + DAY]
            assert transaction.take_outcome("u.0") == "sent"

    def test_the_application_hears_of_everything_all_the_same(self) -> None:
        ledger = Moody()
        ledger.locked = True
        heard: list[Observation] = []
        observe = recording(ledger, also=heard.append)
        with pytest.raises(StoreError):
            observe(Exposed("e-1", "v-1", "exp-1", "var-1"))
        assert len(heard) == 1

    def test_says_once_that_it_can_keep_no_more(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exposures, "_MOST_WAITING", 2)
        ledger = Moody(clock=lambda: 1000.0)
        observe = recording(ledger)
        ledger.locked = True
        for number in range(4):
            with pytest.raises(StoreError):
                observe(Exposed(f"e-{number}", "v-1", f"exp-{number}", "var-1"))
        assert [each.partition(":")[0] for each in caplog.messages] == [
            "the bridge's ledger cannot be written"
        ]
        ledger.locked = False
        observe(Delivered(EventOutcome.SENT, ("u.0",)))
        with ledger.transaction() as transaction:
            assert [each.experience_id for each in transaction.exposures("v-1", 0.0, 1e12)] == ["exp-3"]
            assert transaction.take_outcome("u.0") == "sent"

    def test_deliveries_that_nobody_awaits_take_no_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exposures are delivered, too, and far more of them than conversions."""
        monkeypatch.setattr(exposures, "_MOST_WAITING", 2)
        ledger = Moody(clock=lambda: 1000.0)
        observe = recording(ledger)
        ledger.locked = True
        with pytest.raises(StoreError):
            observe(Delivered(EventOutcome.SENT, ("u.0",)))
        for number in range(3):
            with pytest.raises(StoreError):
                observe(Delivered(EventOutcome.SENT, (f"e-{number}",)))
        ledger.locked = False
        observe(Exposed("e-9", "v-1", "exp-9", "var-1"))
        with ledger.transaction() as transaction:
            assert transaction.take_outcome("u.0") == "sent"


class TestHalfACharacter:
    """No file takes an id that ends within a character."""

    ODD = "v-\ud83d"

    def test_in_a_link_raises_nothing_in_the_page(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        _warn_of_half_characters.cache_clear()
        for _ in range(2):
            assert not world.bridge.link(self.ODD, source=world.site.scope, member=3)
        [said] = [each for each in caplog.messages if "half a character" in each]
        assert self.ODD not in said
        world.order(None, memberId=3)
        world.hear_all()
        assert world.bridge.report().waiting == {"unresolved": 1}

    @pytest.mark.parametrize("kind", ["sqlite", "memory"])
    def test_in_an_exposure_keeps_no_other_from_being_written(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        _warn_of_half_characters.cache_clear()
        ledger = Ledger(tmp_path / "bridge.db") if kind == "sqlite" else MemoryLedger()
        observe = recording(ledger)
        for event, visitor_id in (("e-1", self.ODD), ("e-2", "v-2")):
            observe(Exposed(event, visitor_id, "exp-1", "var-1"))
        with ledger.transaction() as transaction:
            assert len(transaction.exposures("v-2", 0.0, 1e12)) == 1
        assert sum("half a character" in each for each in caplog.messages) == 1
        if isinstance(ledger, Ledger):
            ledger.close()


def test_what_was_handed_over_while_the_ledger_was_locked_is_not_sent_again(world: World) -> None:
    """It is locked from the moment that the client has the conversion until Convert has confirmed it."""
    ledger = Moody(clock=lambda: world.now)

    def lock(observation: Observation) -> None:
        if isinstance(observation, Converted):
            ledger.locked = True

    world.client.close()
    world.open(Policy(), ledger=ledger, hooks=[lock], flush_interval=60.0)
    world.order()
    [event] = world.webhooks()
    with pytest.raises(StoreError, match="locked"):
        world.bridge.handle(event)
    world.client.flush(PATIENCE)
    world.until(lambda: world.settled == 1)  # in one batch, and the ledger could not be told of it
    with pytest.raises(StoreError, match="locked"):
        world.bridge.tick()
    ledger.locked = False
    world.now += 601
    world.bridge.tick()
    report = world.bridge.report()
    assert (report.states, report.resent) == ({"sent": 1}, 0)
    world.client.flush(PATIENCE)
    assert len(world.conversions()) == 1


class Taking:
    """A client that has sent what it was given, and tells of it when a test says so."""

    def __init__(self, ledger: Moody) -> None:
        self.ledger = ledger
        self.observe = recording(ledger)
        self._options = SimpleNamespace(observe=[self.observe])
        self.project = object()
        self.meanwhile: Callable[[], object] = lambda: None

    def status(self) -> Any:
        return SimpleNamespace(events=SimpleNamespace(pending=0))

    def visitor(self, visitor_id: str) -> Any:
        return SimpleNamespace(track=self.track)

    def track(self, *_: object, **__: object) -> ConversionResult:
        self.meanwhile()
        return ConversionResult(ConversionReason.ACCEPTED, "u", 1)


class TestTurns:
    @pytest.fixture
    def client(self) -> Taking:
        return Taking(Moody(clock=lambda: self.now))

    @pytest.fixture
    def bridge(self, client: Taking) -> Bridge:
        self.now = 1_777_000_000.0
        sold = OrderSnapshot(
            "till",
            "berlin",
            "1",
            datetime.fromtimestamp(self.now, UTC),
            paid=True,
            token=IDENTITY.token("v-1"),
        )
        bridge = Bridge(client, client.ledger, goals=Goals("purchase"), identity=IDENTITY)  # type: ignore[arg-type]
        with client.ledger.transaction() as transaction:
            bridge.record(transaction, sold)
        return bridge

    def test_what_is_noted_late_is_waited_for_as_long_as_any(self, client: Taking, bridge: Bridge) -> None:
        client.meanwhile = lambda: setattr(client.ledger, "locked", True)
        with pytest.raises(StoreError):
            bridge.tick()
        client.ledger.locked = False
        self.now += 601
        assert bridge.tick() == 0
        assert (bridge.report().states, bridge.report().resent) == ({"claimed": 1}, 0)
        client.observe(Delivered(EventOutcome.SENT, ("u.0",)))
        assert bridge.report().states == {"sent": 1}

    def test_a_signal_in_the_middle_of_one_changes_nothing(self, client: Taking, bridge: Bridge) -> None:
        ticked: list[int] = []
        client.meanwhile = lambda: ticked.append(bridge.tick())
        assert bridge.tick() == 1
        assert ticked == [0]
