"""A shop with real stores, a real client and a real Serving API, all on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import Any

from convert_sdk import ANYWHERE, Client
from convert_sdk.commerce import Http, Retries
from convert_sdk.commerce.bridge import (
    Bridge,
    ConvictionalSource,
    Goals,
    Identity,
    Ledger,
    OrderConversion,
    Policy,
    WebsiteSource,
    recording,
)
from convert_sdk.commerce.convictional import BuyerClient
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.models import Topic
from convert_sdk.commerce.website.webhooks import AnyEvent, parse
from convert_sdk.observation import Delivered, Observation
from convert_sdk.server import DEMO_SDK_KEY, Conversion, LocalServer, ServedProject
from convert_sdk.testing.stores import ConvictionalStore, WebsiteStore
from tests.waiting import PATIENCE

DAY = 86_400.0
SECRET = "webhook secret"
IDENTITY = Identity("secret of the tests", pepper="pepper of the tests")
STORY = "100346005"


class World:
    """One shop: its store, its bridge on one ledger, and Convert; `now` moves when a test says so."""

    shop: ServedProject

    def __init__(
        self, server: LocalServer, folder: Path, store: WebsiteStore, buyers: ConvictionalStore
    ) -> None:
        self.server = server
        self.store = store
        self.buyers = buyers
        self.now = 1_777_000_000.0
        store.now = buyers.now = lambda: self.now
        buyers.rate = 0  # the clock stands still
        self.folder = folder
        self.reversals: list[OrderConversion] = []
        self.settled = 0
        self._told = Condition()
        self._opened: list[Client | Ledger] = []
        hooks: list[Topic] = [
            "order_created",
            "order_updated",
            "booking_created",
            "form_submitted",
            "contact_updated",
        ]
        self.api = WebsiteClient(store.url, store.key, http=Http(retries=Retries(attempts=1)))
        self.api.webhooks.create("https://shop.example.com/hook", hooks, secret=SECRET)
        self.site = WebsiteSource(self.api)
        buyer_api = BuyerClient(buyers.key, base_url=buyers.url, http=Http(retries=Retries(attempts=1)))
        self.buyer = ConvictionalSource(buyer_api, "acme")
        self.open(Policy())

    def open(
        self,
        policy: Policy,
        *,
        sources: Any = None,
        goals: Goals | None = None,
        ledger: Any = None,
        **options: Any,
    ) -> None:
        """A process of the shop: a client and a bridge on the ledger's file."""
        self.ledger = ledger or Ledger(self.folder / "bridge.db", policy=policy, clock=lambda: self.now)
        given: dict[str, Any] = {"flush_interval": 0.01, "start_wait": PATIENCE, **options}
        self.client = Client(
            DEMO_SDK_KEY,
            config_endpoint=self.server.url,
            track_endpoint=self.server.url,
            observe=[recording(self.ledger, also=self._hear)],
            **given,
        )
        self._opened += [self.client, *([] if ledger else [self.ledger])]
        self.bridge = Bridge(
            self.client,
            self.ledger,
            goals=goals
            or Goals("purchase", bookings={"9": "newsletter-signup"}, forms={"*": "newsletter-signup"}),
            identity=IDENTITY,
            sources=[self.site, self.buyer] if sources is None else sources,
            on_reversed=self.reversals.append,
        )

    def _hear(self, observation: Observation) -> None:
        if isinstance(observation, Delivered):
            with self._told:
                self.settled += 1
                self._told.notify_all()

    def expose(self, visitor_id: str, key: str = "home-story") -> str:
        decision = self.client.visitor(visitor_id, location=ANYWHERE).decide(key)
        self.client.flush(PATIENCE)
        self.until(lambda: self.shown(visitor_id, decision.variation_id or ""))
        self.now += 60
        return decision.variation_id or ""

    def shown(self, visitor_id: str, variation_id: str) -> bool:
        with self.ledger.transaction() as transaction:
            return any(
                each.variation_id == variation_id for each in transaction.exposures(visitor_id, 0.0, 1e12)
            )

    def until(self, condition: Callable[[], bool]) -> None:
        with self._told:
            assert self._told.wait_for(condition, PATIENCE)

    def webhooks(self) -> list[AnyEvent]:
        """What the store has sent since the last time."""
        sent, self.store.deliveries[:] = [*self.store.deliveries], []
        return [parse(each.body, each.headers, SECRET) for each in sent]

    def hear_all(self) -> None:
        for event in self.webhooks():
            self.bridge.handle(event)

    def deliver(self, *states: str) -> None:
        """Send what is on its way, and wait until the ledger says so."""
        self.client.flush(PATIENCE)
        self.until(lambda: "claimed" not in self.bridge.report().states)

    def conversions(self) -> list[Conversion]:
        """Those with data: a visitor's first one is also reported bare."""
        return [each for each in self.shop.record.events() if isinstance(each, Conversion) and each.goal_data]

    def order(self, visitor_id: str | None = "v-1", **fields: object) -> dict[str, object]:
        token = [] if visitor_id is None else [
            {"field": "convert_visitor_id", "value": IDENTITY.token(visitor_id)}
        ]  # fmt: skip
        return self.store.place_order(**{"paid": True, "additionalFields": token, "total": 49.9, **fields})

    def close(self) -> None:
        for each in self._opened:
            each.close()
        self.api.close()
        self.buyer.client.close()
