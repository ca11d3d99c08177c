"""The scenario of `convert-sdk commerce demo`: shoppers, stores, late webhooks, and a back end that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

import httpx

from convert_sdk.commerce import Http
from convert_sdk.commerce.website import ProductVariant, WebsiteClient
from convert_sdk.server import (
    DEMO_SDK_KEY,
    LocalServer,
    Registry,
    demo_document,
    running,
)
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, Delivery, WebsiteStore

from .result import EXPERIENCE, CommerceResult, Purchase, as_dict
from .shop_process import ACCOUNT, HOLD, HOOK_SECRET, IDENTITY, LEASE, ShopConfig

LATER = "checkout-layout"
_TOPICS = ["order_created", "order_updated"]


class BackEnd:
    """The shop's back end in a process of its own (`shop_process`), driven over its standard input."""

    def __init__(self, config: ShopConfig) -> None:
        self._popen = subprocess.Popen(  # our own module, our own interpreter
            [sys.executable, "-m", "convert_sdk.demo.commerce.shop_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._write(config._asdict())
        self.hook = f"http://127.0.0.1:{self.ask('hello')['port']}/"

    def ask(self, do: str, **told: object) -> Mapping[str, object]:
        """Run one of its tasks and return the answer."""
        self._write({"do": do, **told})
        line = self._popen.stdout.readline() if self._popen.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the shop's process ended while doing {do}")
        answer: Mapping[str, object] = json.loads(line)
        return answer

    def _write(self, told: object) -> None:
        if self._popen.stdin is not None:
            self._popen.stdin.write(json.dumps(told) + "\n")
            self._popen.stdin.flush()

    def kill(self) -> None:
        """Send SIGKILL: no handler runs, nothing is flushed."""
        self._popen.kill()
        self.wait()

    def wait(self) -> None:
        """Close its input and wait for its end."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        self._popen.wait()


class Scenario:
    """Convert, three stores and the shop's back end; time passes only when the scenario says so."""

    def __init__(self, stage: ExitStack, shoppers: int, seed: int, say: Callable[[str], None]) -> None:
        self.random = Random(f"{seed}-commerce")  # noqa: S311 # a demonstration, not cryptography
        self.visitors = [f"visitor-{seed}-{number}" for number in range(shoppers)]
        self.ahead = 0.0
        registry = Registry()
        shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
        self.server: LocalServer = stage.enter_context(running(registry))
        self.website = stage.enter_context(WebsiteStore())
        self.convictional = stage.enter_context(ConvictionalStore())
        self.convertmax = stage.enter_context(ConvertmaxStore())
        self.website.now = self.convictional.now = lambda: time.time() + self.ahead
        self.convictional.rate = 0  # its minute may be a second here
        folder = stage.enter_context(tempfile.TemporaryDirectory(prefix="convert-commerce-"))
        self.config = ShopConfig(
            str(Path(folder) / "bridge.db"), self.server.url, DEMO_SDK_KEY,
            self.website.url, self.website.key, self.convictional.url, self.convictional.key,
            self.convertmax.url, self.convertmax.key,
        )  # fmt: skip
        self._post = stage.enter_context(httpx.Client(trust_env=False))
        self.back_end = BackEnd(self.config)
        self.result = CommerceResult(shoppers, {}, [], shop.record)
        self._say = say
        self._late: list[Delivery] = []

    def say(self, text: str) -> None:
        """Report one step."""
        self.result.steps.append(text)
        self._say(text)

    def pass_time(self, seconds: float) -> None:
        """Put the clocks of the stores and of the back end ahead."""
        self.ahead += seconds
        self.back_end.ask("clock", ahead=self.ahead)

    def run(self) -> CommerceResult:
        """Run all steps and return their result."""
        start = time.perf_counter()
        self.browse()
        self.shop()
        self.deliver_and_kill()
        self.resume()
        self.result.seconds = time.perf_counter() - start
        return self.result

    def browse(self) -> None:
        """Create products and contacts, and decide one experience for everybody."""
        with WebsiteClient(self.website.url, self.website.key, http=Http(trust_env=False)) as owner:
            for number in range(1, 6):
                variant = ProductVariant(sku=f"NP-{number}", price=Decimal(number * 10))
                owner.products.create("physical", f"Product {number}", variants=[variant])
                owner.contacts.upsert(f"customer.{number}@example.com", tags=["vip"], country="DE")
        answer = self.back_end.ask("expose", key=EXPERIENCE, visitors=self.visitors)
        decided = as_dict(answer["variations_shown"])
        self.result.variations_shown = {str(key): str(value) for key, value in decided.items()}
        self.say(f"{len(self.visitors)} shoppers were shown {EXPERIENCE}")
        self.pass_time(60.0)

    def shop(self) -> None:
        """Place orders: most are paid, some cancelled in time; each step sends webhooks."""
        hook = {"id": "rh_1", "target": self.back_end.hook, "events": _TOPICS, "secret": HOOK_SECRET}
        self.website.hooks["rh_1"] = dict(hook)
        self.scopes = as_dict(self.back_end.ask("scopes"))
        for visitor in self.visitors:
            for _ in range(self.random.choice((0, 1, 1, 2))):
                self.result.purchases.append(self._order(visitor))
        bought = len(self.result.purchases)
        self.say(f"{bought} orders in two stores, {len(self.website.deliveries)} webhooks about them")

    def _order(self, visitor: str) -> Purchase:
        amount = Decimal(self.random.randrange(500, 30_000)) / 100
        if self.random.random() < 0.1:
            return self._buyer_order(visitor, amount)
        known_by = self.random.choices(
            ("token", "order", "memberId", "customerEmail", "nobody"), (6, 5, 3, 3, 1)
        )[0]
        fields: dict[str, object] = {"total": float(amount)}
        number = len(self.result.purchases)
        if known_by == "token":
            token = {"field": "convert_visitor_id", "value": IDENTITY.token(visitor)}
            fields["additionalFields"] = [token]
        elif known_by == "memberId":
            fields["memberId"] = self.visitors.index(visitor) + 1
            self._link(visitor, member=fields["memberId"])
        elif known_by == "customerEmail":
            fields["customerEmail"] = f"Shopper.{number}@Example.com"
            self._link(visitor, email=f"shopper.{number}@example.com")
        order = self.website.place_order(**fields)
        if known_by == "order":
            self._link(visitor, order=order["id"])
        counts = self._proceed(int(str(order["id"])))
        transaction_id = f"{self.scopes['website']}:{order['id']}"
        return Purchase(transaction_id, visitor, amount, counts, known_by == "nobody")

    def _proceed(self, number: int) -> bool:
        chance = self.random.random()
        if chance < 0.9:
            self.website.change_order(number, paid=True)
        if 0.8 <= chance < 0.9:
            self.website.change_order(number, status="canceled")
        return chance < 0.8

    def _buyer_order(self, visitor: str, amount: Decimal) -> Purchase:
        item = {"id": "i-1", "variantId": "v-1", "quantity": 1, "retailPrice": float(amount), "basePrice": 1}
        reference = f"{ACCOUNT}-{len(self.result.purchases)}"
        order = self.convictional.add_order(buyerReference=reference, items=[item])
        source = self.scopes["convictional"]
        self.back_end.ask("link", visitor=visitor, source=source, known={"reference": reference})
        return Purchase(f"{source}:{order['id']}", visitor, amount, counts=True, unidentified=False)

    def _link(self, visitor: str, **known: object) -> None:
        self.back_end.ask("link", visitor=visitor, source=self.scopes["website"], known=known)

    def deliver_and_kill(self) -> None:
        """Deliver webhooks out of order, twice, late or never, and kill the back end in the middle."""
        pending = [
            each for each in self.website.deliveries if self.random.random() > 0.05
        ]  # the rest never comes
        self.random.shuffle(pending)
        third = len(pending) // 3
        soon, later, self._late = pending[:third], pending[third : 2 * third], pending[2 * third :]
        self.pass_time(HOLD + 60.0)
        self._send(soon + self.random.sample(soon, third // 2))
        self.back_end.ask("settle")
        self.back_end.ask("flush")
        with self.server.failing(503):
            self._send(later)
            ledger_report = self.back_end.ask("settle")
            self.result.claimed_when_killed = int(str(as_dict(ledger_report["states"]).get("claimed", 0)))
            self.back_end.ask("flush", timeout=0.2)
            self.back_end.kill()
        lost = self.result.claimed_when_killed
        self.say(f"Convert was down and the process was killed with {lost} conversions in its memory")

    def resume(self) -> None:
        """Start another process on the same ledger, and let it finish the work."""
        self.back_end = BackEnd(self.config)
        self.website.hooks["rh_1"]["target"] = self.back_end.hook
        self.pass_time(LEASE + 60.0)  # as long as another process might have been at work on them
        self._send(self._late * 2)
        self.back_end.ask("settle")
        later = self.back_end.ask("expose", key=LATER, visitors=self.visitors)
        shoppers = len(as_dict(later["variations_shown"]))
        self.say(f"late webhooks came twice; {shoppers} shoppers were shown {LATER} after ordering")
        self.result.synced = self.back_end.ask("sync")
        self.say(f"a pull found {self.result.synced['new']} orders that no webhook told of")
        self.result.ledger_report = self.back_end.ask("flush")
        self.back_end.ask("sync")
        self.result.written = self.back_end.ask("convertmax")
        again = self.back_end.ask("convertmax")
        self.say(
            f"{self.result.written['accepted']} records were written into Convertmax, "
            f"and {again['accepted']} when asked again"
        )
        self.result.ledger_report = self.back_end.ask("flush")
        self.back_end.wait()

    def _send(self, deliveries: list[Delivery]) -> None:
        for each in deliveries:
            self._post.post(
                self.back_end.hook, content=each.body, headers=dict(each.headers)
            ).raise_for_status()
        self.result.deliveries += len(deliveries)


@contextmanager
def set_up(shoppers: int, seed: int, say: Callable[[str], None]) -> Iterator[Scenario]:
    """A scenario with its servers running; they stop at the end of the block."""
    with ExitStack() as stage:
        scenario = Scenario(stage, shoppers, seed, say)
        try:
            yield scenario
        finally:
            scenario.back_end.kill()
