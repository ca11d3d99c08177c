"""The shop's back end as a process of its own, which `convert-sdk commerce demo` drives and kills.

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

HOOK_SECRET = "demonstration of webhooks"  # noqa: S105 # it guards a made-up shop
IDENTITY = Identity("demonstration of tokens", pepper="demonstration of pepper")
ACCOUNT = "northpeak"
HOLD, LEASE = 600.0, 300.0
_PATIENCE = 60.0


class ShopConfig(NamedTuple):
    """The addresses of all systems, and the keys to them."""

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

    def __init__(self, config: ShopConfig) -> None:
        self.ahead = 0.0
        policy = Policy(hold_for=HOLD, lease=LEASE)
        self.ledger = Ledger(config.ledger, policy=policy, clock=lambda: time.time() + self.ahead)
        self.client = _client(config, self.ledger)
        website = WebsiteClient(
            config.website, config.website_key, http=Http(now=self.ledger.clock, trust_env=False)
        )
        self.website = WebsiteSource(website, lag=1.0)
        buyers = BuyerClient(
            config.convictional_key, base_url=config.convictional, http=Http(deadline=120.0, trust_env=False)
        )
        self.buyer = ConvictionalSource(buyers, ACCOUNT)
        self.bridge = Bridge(
            self.client,
            self.ledger,
            goals=Goals("purchase"),
            identity=IDENTITY,
            sources=[self.website, self.buyer],
        )
        convertmax = ConvertmaxClient(
            config.convertmax_key, base_url=config.convertmax, http=Http(trust_env=False)
        )
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

    # The tasks.

    def hello(self, _: Mapping[str, object]) -> object:
        """The port for webhooks."""
        return {"port": self.port}

    def clock(self, request: Mapping[str, object]) -> object:
        """Put the clock ahead."""
        self.ahead = float(str(request["ahead"]))
        return {}

    def expose(self, request: Mapping[str, object]) -> object:
        """Decide one experience for many visitors; the answer maps visitor ids to variation keys."""
        key, visitors = str(request["key"]), _texts(request["visitors"])
        variations_shown = {
            each: self.client.visitor(each, location=ANYWHERE).decide(key).variation_key for each in visitors
        }
        self.client.flush(_PATIENCE)
        return {"variations_shown": variations_shown}

    def link(self, request: Mapping[str, object]) -> object:
        """Link what the checkout page knows of an order to its visitor."""
        known: KnownBy = dict(request["known"])  # type: ignore[call-overload]  # our own message
        self.bridge.link(str(request["visitor"]), source=str(request["source"]), **known)
        return {}

    def scopes(self, _: Mapping[str, object]) -> object:
        """The prefixes of the transaction ids of the two stores."""
        return {"website": self.website.scope, "convictional": self.buyer.scope}

    def settle(self, _: Mapping[str, object]) -> object:
        """Process every webhook that came."""
        self.waiting.join()
        self.bridge.tick()
        return self._ledger_report()

    def flush(self, request: Mapping[str, object]) -> object:
        """Deliver the conversions that are due."""
        self.bridge.tick()
        self.client.flush(float(str(request.get("timeout", _PATIENCE))))
        return self._ledger_report()

    def sync(self, _: Mapping[str, object]) -> object:
        """Pull what the webhooks missed."""
        return self.bridge.sync()._asdict()

    def convertmax(self, _: Mapping[str, object]) -> object:
        """Write both stores' records into Convertmax."""
        written = [self.into.sync(source, IDENTITY) for source in (self.website, self.buyer)]
        return {name: sum(getattr(each, name) for each in written) for name in written[0]._fields}

    def ledger_report(self, _: Mapping[str, object]) -> object:
        """The report of the ledger."""
        return self._ledger_report()

    def _ledger_report(self) -> object:
        return self.bridge.report()._asdict()

    def serve(self) -> None:
        """Run tasks until the input ends."""
        tasks: Mapping[str, Callable[[Mapping[str, object]], object]] = {
            task.__name__: task
            for task in (
                self.hello, self.clock, self.expose, self.link, self.scopes, self.settle, self.flush, self.sync,
                self.convertmax, self.ledger_report,
            )
        }  # fmt: skip
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(tasks[request["do"]](request)), flush=True)
        self.client.close()


def _client(config: ShopConfig, ledger: Ledger) -> Client:
    """A client that ignores the variables of the shell: they belong to another project."""
    return Client(
        config.sdk_key,
        config_endpoint=config.convert,
        track_endpoint=config.convert,
        observe=[recording(ledger)],
        start_wait=_PATIENCE,
        trust_env=False,
    )


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


if __name__ == "__main__":
    logging.getLogger("convert_sdk").setLevel(
        logging.ERROR
    )  # the scenario itself reports that Convert is down
    process = ShopProcess(ShopConfig(**json.loads(sys.stdin.readline())))
    process.listen()
    process.serve()
