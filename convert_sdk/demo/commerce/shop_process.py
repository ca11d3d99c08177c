"""The shop's back end as a process of its own, for `convert-sdk commerce demo` to order about, and to kill.

It reads one JSON object a line (`do` names the task) and answers with one. Webhooks come to a port of its own.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Mapping
from queue import Queue
from threading import Thread
from typing import NamedTuple

import uvicorn

from convert_sdk import ANYWHERE, Client
from convert_sdk.commerce import Http
from convert_sdk.commerce.bridge import (
    Bridge,
    ConvictionalSource,
    Goals,
    Identity,
    IntoConvertmax,
    KnownBy,
    Ledger,
    Policy,
    WebsiteSource,
    recording,
)
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.convictional import BuyerClient
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.receivers import Intake, asgi_receiver
from convert_sdk.commerce.website.webhooks import AnyEvent
from convert_sdk.options import build

HOOK_SECRET = "demonstration of webhooks"  # noqa: S105 # it guards a made-up shop
IDENTITY = Identity("demonstration of tokens", pepper="demonstration of pepper")
ACCOUNT = "northpeak"
HOLD, LEASE = 600.0, 300.0
_PATIENCE = 60.0


class Where(NamedTuple):
    """Where everything is, and under which keys."""

    ledger: str
    convert: str
    sdk_key: str
    website: str
    website_key: str
    convictional: str
    convictional_key: str
    convertmax: str
    convertmax_key: str


class ShopProcess:
    """A client and a bridge on one ledger; `ahead` seconds are added to its clock."""

    def __init__(self, where: Where) -> None:
        self.ahead = 0.0
        policy = Policy(hold_for=HOLD, lease=LEASE)
        self.ledger = Ledger(where.ledger, policy=policy, clock=lambda: time.time() + self.ahead)
        self.client = _client(where, self.ledger)
        website = WebsiteClient(where.website, where.website_key, http=Http(now=self.ledger.clock))
        self.website = WebsiteSource(website, lag=1.0)
        buyers = BuyerClient(where.convictional_key, base_url=where.convictional, http=Http(deadline=120.0))
        self.buyer = ConvictionalSource(buyers, ACCOUNT)
        self.bridge = Bridge(
            self.client,
            self.ledger,
            goals=Goals("purchase"),
            identity=IDENTITY,
            sources=[self.website, self.buyer],
        )
        convertmax = ConvertmaxClient(where.convertmax_key, base_url=where.convertmax)
        self.into = IntoConvertmax(convertmax, self.ledger, project=lambda: self.client.project)
        self.waiting: Queue[AnyEvent] = Queue()
        self.port = 0

    def listen(self) -> None:
        """Take webhooks, and work on them in a thread of their own."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # Accepted connections inherit it: an answer in two parts must not wait for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        app = asgi_receiver(Intake(self.waiting.put, HOOK_SECRET))
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        Thread(target=server.run, args=([listener],), daemon=True).start()
        Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            event = self.waiting.get()
            try:
                self.bridge.handle(event)
            finally:
                self.waiting.task_done()

    # What it is told to do.

    def hello(self, _: Mapping[str, object]) -> object:
        """Where webhooks go."""
        return {"port": self.port}

    def clock(self, told: Mapping[str, object]) -> object:
        """Put the clock ahead."""
        self.ahead = float(str(told["ahead"]))
        return {}

    def expose(self, told: Mapping[str, object]) -> object:
        """Decide one experience for many visitors: who was shown what."""
        key, visitors = str(told["key"]), _texts(told["visitors"])
        shown = {
            each: self.client.visitor(each, location=ANYWHERE).decide(key).variation_key for each in visitors
        }
        self.client.flush(_PATIENCE)
        return {"shown": shown}

    def link(self, told: Mapping[str, object]) -> object:
        """What the checkout page knows."""
        known: KnownBy = dict(told["known"])  # type: ignore[call-overload]  # our own message
        self.bridge.link(str(told["visitor"]), source=str(told["source"]), **known)
        return {}

    def scopes(self, _: Mapping[str, object]) -> object:
        """What the two stores' ids belong to."""
        return {"website": self.website.scope, "convictional": self.buyer.scope}

    def settle(self, _: Mapping[str, object]) -> object:
        """Work on every webhook that came."""
        self.waiting.join()
        self.bridge.tick()
        return self._books()

    def flush(self, told: Mapping[str, object]) -> object:
        """Deliver."""
        self.bridge.tick()
        self.client.flush(float(str(told.get("timeout", _PATIENCE))))
        return self._books()

    def sync(self, _: Mapping[str, object]) -> object:
        """Pull what the webhooks missed."""
        return self.bridge.sync()._asdict()

    def convertmax(self, _: Mapping[str, object]) -> object:
        """Write both stores' records into Convertmax."""
        written = [self.into.sync(source, IDENTITY) for source in (self.website, self.buyer)]
        return {name: sum(getattr(each, name) for each in written) for name in written[0]._fields}

    def books(self, _: Mapping[str, object]) -> object:
        """How the ledger stands."""
        return self._books()

    def _books(self) -> object:
        return self.bridge.report()._asdict()

    def serve(self) -> None:
        """Obey until the input ends."""
        tasks: Mapping[str, Callable[[Mapping[str, object]], object]] = {
            task.__name__: task
            for task in (
                self.hello, self.clock, self.expose, self.link, self.scopes, self.settle, self.flush, self.sync,
                self.convertmax, self.books,
            )
        }  # fmt: skip
        for line in sys.stdin:
            told = json.loads(line)
            print(json.dumps(tasks[told["do"]](told)), flush=True)
        self.client.close()


def _client(where: Where, ledger: Ledger) -> Client:
    """A client that heeds no variables of the shell: they belong to another project."""
    given = {
        "sdk_key": where.sdk_key,
        "config_endpoint": where.convert,
        "track_endpoint": where.convert,
        "observe": recording(ledger),
        "start_wait": _PATIENCE,
    }
    client = Client.__new__(Client)
    client._set_up(build(given, {}))
    return client


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


if __name__ == "__main__":
    logging.getLogger("convert_sdk").setLevel(
        logging.ERROR
    )  # that Convert is down is told by the play itself
    process = ShopProcess(Where(**json.loads(sys.stdin.readline())))
    process.listen()
    process.serve()
