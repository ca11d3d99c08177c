"""The play behind `convert-sdk commerce demo`: shoppers, stores, late webhooks, and a process that is killed."""

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

from convert_sdk.commerce.website import ProductVariant, WebsiteClient
from convert_sdk.server import (
    DEMO_SDK_KEY,
    LocalServer,
    Registry,
    demo_document,
    running,
)
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, Delivery, WebsiteStore

from .result import EXPERIENCE, Outcome, Purchase, as_dict
from .shop_process import ACCOUNT, HOLD, HOOK_SECRET, IDENTITY, LEASE, Where

LATER = "checkout-layout"
_TOPICS = ["order_created", "order_updated"]


class Process:
    """The shop's back end, as long as it lives."""

    def __init__(self, where: Where) -> None:
        self._popen = subprocess.Popen(  # our own module, our own interpreter
            [sys.executable, "-m", "convert_sdk.demo.commerce.shop_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._write(where._asdict())
        self.hook = f"http://127.0.0.1:{self.ask('hello')['port']}/"

    def ask(self, do: str, **told: object) -> Mapping[str, object]:
        """Have it do something; its answer."""
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
        """SIGKILL: no handler runs, nothing is flushed."""
        self._popen.kill()
        self.wait()

    def wait(self) -> None:
        """Let it end."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        self._popen.wait()


class Play:
    """The stage: Convert, three stores, and the shop's process; time passes when the play says so."""

    def __init__(self, stage: ExitStack, shoppers: int, seed: int, say: Callable[[str], None]) -> None:
        self.dice = Random(f"{seed}-commerce")  # noqa: S311 # a play, not cryptography
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
        self.where = Where(
            str(Path(folder) / "bridge.db"), self.server.url, DEMO_SDK_KEY,
            self.website.url, self.website.key, self.convictional.url, self.convictional.key,
            self.convertmax.url, self.convertmax.key,
        )  # fmt: skip
        self._post = stage.enter_context(httpx.Client())
        self.process = Process(self.where)
        self.outcome = Outcome(shoppers, {}, [], shop.record)
        self._say = say
        self._late: list[Delivery] = []

    def say(self, text: str) -> None:
        """Tell who watches."""
        self.outcome.steps.append(text)
        self._say(text)

    def pass_time(self, seconds: float) -> None:
        """For the stores and for the shop."""
        self.ahead += seconds
        self.process.ask("clock", ahead=self.ahead)

    def act(self) -> Outcome:
        """The whole play."""
        start = time.perf_counter()
        self.browse()
        self.shop()
        self.deliver_and_die()
        self.resume()
        self.outcome.seconds = time.perf_counter() - start
        return self.outcome

    def browse(self) -> None:
        """There are products and contacts; everybody is shown a variation."""
        with WebsiteClient(self.website.url, self.website.key) as owner:
            for number in range(1, 6):
                variant = ProductVariant(sku=f"NP-{number}", price=Decimal(number * 10))
                owner.products.create("physical", f"Product {number}", variants=[variant])
                owner.contacts.upsert(f"customer.{number}@example.com", tags=["vip"], country="DE")
        answer = self.process.ask("expose", key=EXPERIENCE, visitors=self.visitors)
        shown = answer["shown"]
        self.outcome.shown = {str(key): str(value) for key, value in as_dict(shown).items()}
        self.say(f"{len(self.visitors)} shoppers were shown {EXPERIENCE}")
        self.pass_time(60.0)

    def shop(self) -> None:
        """They order: most pay, some cancel in time; webhooks tell of each step."""
        hook = {"id": "rh_1", "target": self.process.hook, "events": _TOPICS, "secret": HOOK_SECRET}
        self.website.hooks["rh_1"] = dict(hook)
        self.scopes = as_dict(self.process.ask("scopes"))
        for visitor in self.visitors:
            for _ in range(self.dice.choice((0, 1, 1, 2))):
                self.outcome.purchases.append(self._order(visitor))
        bought = len(self.outcome.purchases)
        self.say(f"{bought} orders in two stores, {len(self.website.deliveries)} webhooks about them")

    def _order(self, visitor: str) -> Purchase:
        amount = Decimal(self.dice.randrange(500, 30_000)) / 100
        if self.dice.random() < 0.1:
            return self._buyer_order(visitor, amount)
        rung = self.dice.choices(("token", "order", "memberId", "customerEmail", "nobody"), (6, 5, 3, 3, 1))[
            0
        ]
        fields: dict[str, object] = {"total": float(amount)}
        number = len(self.outcome.purchases)
        if rung == "token":
            token = {"field": "convert_visitor_id", "value": IDENTITY.token(visitor)}
            fields["additionalFields"] = [token]
        elif rung == "memberId":
            fields["memberId"] = self.visitors.index(visitor) + 1
            self._link(visitor, member=fields["memberId"])
        elif rung == "customerEmail":
            fields["customerEmail"] = f"Shopper.{number}@Example.com"
            self._link(visitor, email=f"shopper.{number}@example.com")
        order = self.website.place_order(**fields)
        if rung == "order":
            self._link(visitor, order=order["id"])
        counts = self._proceed(int(str(order["id"])))
        transaction_id = f"{self.scopes['website']}:{order['id']}"
        return Purchase(transaction_id, visitor, amount, counts, rung == "nobody")

    def _proceed(self, number: int) -> bool:
        fate = self.dice.random()
        if fate < 0.9:
            self.website.change_order(number, paid=True)
        if 0.8 <= fate < 0.9:
            self.website.change_order(number, status="canceled")
        return fate < 0.8

    def _buyer_order(self, visitor: str, amount: Decimal) -> Purchase:
        item = {"id": "i-1", "variantId": "v-1", "quantity": 1, "retailPrice": float(amount), "basePrice": 1}
        reference = f"{ACCOUNT}-{len(self.outcome.purchases)}"
        order = self.convictional.add_order(buyerReference=reference, items=[item])
        source = self.scopes["convictional"]
        self.process.ask("link", visitor=visitor, source=source, known={"reference": reference})
        return Purchase(f"{source}:{order['id']}", visitor, amount, counts=True, stranger=False)

    def _link(self, visitor: str, **known: object) -> None:
        self.process.ask("link", visitor=visitor, source=self.scopes["website"], known=known)

    def deliver_and_die(self) -> None:
        """Webhooks come out of order, twice, late or never; in the middle the process is killed."""
        pending = [
            each for each in self.website.deliveries if self.dice.random() > 0.05
        ]  # the rest never comes
        self.dice.shuffle(pending)
        third = len(pending) // 3
        soon, later, self._late = pending[:third], pending[third : 2 * third], pending[2 * third :]
        self.pass_time(HOLD + 60.0)
        self._send(soon + self.dice.sample(soon, third // 2))
        self.process.ask("settle")
        self.process.ask("flush")
        with self.server.failing(503):
            self._send(later)
            books = self.process.ask("settle")
            self.outcome.claimed_when_killed = int(str(as_dict(books["states"]).get("claimed", 0)))
            self.process.ask("flush", timeout=0.2)
            self.process.kill()
        lost = self.outcome.claimed_when_killed
        self.say(f"Convert was down and the process was killed with {lost} conversions in its memory")

    def resume(self) -> None:
        """Another process takes over the ledger."""
        self.process = Process(self.where)
        self.website.hooks["rh_1"]["target"] = self.process.hook
        self.pass_time(LEASE + 60.0)  # as long as another process might have been at work on them
        self._send(self._late * 2)
        self.process.ask("settle")
        later = self.process.ask("expose", key=LATER, visitors=self.visitors)
        self.say(
            f"late webhooks came twice; {len(as_dict(later['shown']))} shoppers were shown {LATER} after ordering"
        )
        self.outcome.synced = self.process.ask("sync")
        self.say(f"a pull found {self.outcome.synced['new']} orders that no webhook told of")
        self.outcome.books = self.process.ask("flush")
        self.process.ask("sync")
        self.outcome.written = self.process.ask("convertmax")
        again = self.process.ask("convertmax")
        self.say(
            f"{self.outcome.written['accepted']} records were written into Convertmax, "
            f"and {again['accepted']} when asked again"
        )
        self.outcome.books = self.process.ask("flush")
        self.process.wait()

    def _send(self, deliveries: list[Delivery]) -> None:
        for each in deliveries:
            self._post.post(
                self.process.hook, content=each.body, headers=dict(each.headers)
            ).raise_for_status()
        self.outcome.deliveries += len(deliveries)


@contextmanager
def staged(shoppers: int, seed: int, say: Callable[[str], None]) -> Iterator[Play]:
    """A play on its stage; at the end everything is taken down."""
    with ExitStack() as stage:
        play = Play(stage, shoppers, seed, say)
        try:
            yield play
        finally:
            play.process.kill()
