"""Processes that are killed, and several at once, on one ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from threading import Event
from typing import Any, NamedTuple

import pytest

from convert_sdk import Client
from convert_sdk.commerce.bridge import (
    Bridge,
    Goals,
    Identity,
    Ledger,
    Policy,
    Report,
    WebsiteSource,
    recording,
)
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.observation import Delivered, Observation
from convert_sdk.server import (
    DEMO_SDK_KEY,
    Conversion,
    Registry,
    ServedProject,
    demo_document,
    running,
)
from convert_sdk.testing.stores import WebsiteStore
from tests import processes

IDENTITY = Identity("secret of the tests", pepper="pepper of the tests")

SHOP = """
import os, signal, sys
from datetime import UTC, datetime
from decimal import Decimal
from convert_sdk import Client
from convert_sdk.commerce.bridge import Bridge, Goals, Identity, Ledger, OrderSnapshot, Policy, recording
from convert_sdk.observation import Delivered
from convert_sdk.server import DEMO_SDK_KEY

path, url, ambiguous, when, first, last = sys.argv[1:]
identity = Identity("secret of the tests", pepper="pepper of the tests")
ledger = Ledger(path, policy=Policy(on_ambiguous=ambiguous))
record = recording(ledger)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def observe(observation):
    if when == "answered" and isinstance(observation, Delivered):
        die()  # Convert has answered, and the ledger has not heard of it
    record(observation)

client = Client(DEMO_SDK_KEY, config_endpoint=url, track_endpoint=url, observe=[observe], start_wait=120)
client.visitor("somebody")
assert client.project is not None
if when == "claimed":
    client.visitor = die  # the claim is in the ledger, and nothing has been tracked
bridge = Bridge(client, ledger, goals=Goals("purchase"), identity=identity)
if when == "together":
    print("ready", flush=True)
    sys.stdin.readline()
for number in range(int(first), int(last)):
    order = OrderSnapshot("till", "berlin", str(number), datetime.now(UTC), paid=True,
        amount=Decimal(number + 1), token=identity.token(f"v-{number}"))
    bridge.handle(order)
client.close(120)
"""


class Convert(NamedTuple):
    """Convert on loopback, and what it has heard."""

    url: str
    shop: ServedProject

    def transactions(self) -> list[tuple[object, object]]:
        conversions = [each for each in self.shop.record.events() if isinstance(each, Conversion)]
        return sorted(
            (str(each.goal_data["transactionId"]), each.goal_data["amount"])
            for each in conversions
            if each.goal_data
        )


@pytest.fixture
def convert() -> Iterator[Convert]:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        yield Convert(server.url, shop)


def later(convert: Convert, path: Path, policy: Policy, *, ahead: float) -> Report:
    """What the next process makes of the ledger, so many seconds later."""
    settled = Event()

    def hear(observation: Observation) -> None:
        if isinstance(observation, Delivered):
            settled.set()

    ledger = Ledger(path, policy=policy, clock=lambda: time.time() + ahead)
    with Client(
        DEMO_SDK_KEY,
        config_endpoint=convert.url,
        track_endpoint=convert.url,
        observe=[recording(ledger, also=hear)],
        start_wait=120,
    ) as client:
        bridge = Bridge(client, ledger, goals=Goals("purchase"), identity=IDENTITY)
        if bridge.tick():
            client.flush(120)
            assert settled.wait(120)
    report = bridge.report()
    ledger.close()
    return report


@pytest.mark.parametrize(
    ("when", "ambiguous", "arrived", "states"),
    [
        ("answered", "resend", 2, {"sent": 1}),
        ("answered", "drop", 1, {"dropped": 1}),
        ("claimed", "resend", 1, {"sent": 1}),
        ("claimed", "drop", 0, {"dropped": 1}),
    ],
)
def test_a_kill_leaves_a_claim_that_is_sent_again_or_dropped(
    tmp_path: Path, convert: Convert, when: str, ambiguous: Any, arrived: int, states: Any
) -> None:
    """Nobody can tell the two deaths apart: sent again, under the same id, one may count twice."""
    path = tmp_path / "bridge.db"
    code, _, _ = processes.finished(SHOP, str(path), convert.url, ambiguous, when, "0", "1")
    assert code == -SIGKILL
    assert len(convert.transactions()) == (1 if when == "answered" else 0)

    policy = Policy(on_ambiguous=ambiguous)
    assert later(convert, path, policy, ahead=300).states == {"claimed": 1}
    report = later(convert, path, policy, ahead=601)
    assert convert.transactions() == [("till:berlin:0", 1)] * arrived
    assert report.states == states
    assert report.resent == (1 if ambiguous == "resend" else 0)
    assert report.dropped == ({"ambiguous": 1} if ambiguous == "drop" else {})


def test_processes_on_one_ledger_make_one_conversion_of_each_order(tmp_path: Path, convert: Convert) -> None:
    """All of them hear of all orders at once."""
    arguments = (str(tmp_path / "bridge.db"), convert.url, "resend", "together", "0", "40")
    with processes.running(SHOP, *arguments) as one, processes.running(SHOP, *arguments) as other:
        for process in (one, other):
            process.hear("ready")
        for process in (one, other):
            process.say("go")
        for process in (one, other):
            assert process.end() == (0, "", "")
    assert convert.transactions() == sorted((f"till:berlin:{number}", number + 1) for number in range(40))
    assert later(convert, tmp_path / "bridge.db", Policy(), ahead=601).states == {"sent": 40}


FORK = """
import os, signal, sys, threading, time
from datetime import UTC, datetime
from decimal import Decimal
from convert_sdk import Client
from convert_sdk.commerce.bridge import Bridge, Goals, Identity, Ledger, OrderSnapshot, recording
from convert_sdk.server import DEMO_SDK_KEY

path, url = sys.argv[1:]
now = float(int(time.time()))  # the clock stands still, and an order's time has no more than microseconds
ledger = Ledger(path, clock=lambda: now)
identity = Identity("secret of the tests", pepper="pepper of the tests")
client = Client(DEMO_SDK_KEY, config_endpoint=url, track_endpoint=url, observe=[recording(ledger)], start_wait=120)
client.visitor("somebody")
assert client.project is not None
client.status()  # has it compile all that it compiles late: what it imports meanwhile must not be forked
bridge = Bridge(client, ledger, goals=Goals("purchase"), identity=identity)

def handle(number):
    bridge.handle(OrderSnapshot("till", "berlin", str(number), datetime.fromtimestamp(now, UTC), paid=True,
        amount=Decimal(number), token=identity.token(f"v-{number}")))
"""

DIES_WITH_A_CLAIM = f"""{FORK}
if not (child := os.fork()):
    client.visitor = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    handle(1)
os.waitpid(child, 0)
print(bridge.report().states, flush=True)
sys.stdin.readline()
handle(2)
for _ in range(4):
    now += 200
    bridge.tick()
report = bridge.report()
print(report.states, report.resent, flush=True)
os._exit(0)
"""

FORKS_IN_A_TURN = f"""{FORK}
inside, go_on = threading.Event(), threading.Event()

def visitor(id):
    inside.set()
    go_on.wait()
    return Client.visitor(client, id)

client.visitor = visitor
turn = threading.Thread(target=handle, args=[1])
turn.start()
inside.wait()
if not (child := os.fork()):
    signal.alarm(120)  # it would wait for ever for a thread that only its parent has
    os._exit(bridge.tick())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
go_on.set()
turn.join()
client.close(120)
"""

WAITS_TO_BE_WRITTEN = """
import os
from contextlib import contextmanager
from convert_sdk import StoreError
from convert_sdk.commerce.bridge import MemoryLedger, recording
from convert_sdk.observation import Delivered, Exposed
from convert_sdk.status import EventOutcome

class Moody(MemoryLedger):
    locked = True

    def transaction(self):
        if self.locked:
            raise StoreError("the file is locked")
        return super().transaction()

ledger = Moody()
observe = recording(ledger)
try:
    observe(Exposed("e-1", "v-1", "exp-1", "var-1"))
except StoreError:
    print("waits", flush=True)
child = os.fork()
ledger.locked = False
observe(Delivered(EventOutcome.SENT, ("u.0",)))
with ledger.transaction() as transaction:
    written = len(transaction.exposures("v-1", 0.0, 1e12))
if not child:
    os._exit(written)
print(written, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_what_waits_to_be_written_is_the_parents_alone() -> None:
    code, out, _ = processes.finished(WAITS_TO_BE_WRITTEN)
    assert (code, out) == (0, "waits\n1 0\n")


def test_the_claim_of_a_forked_child_that_died_runs_out_while_its_parent_waits_for_convert(
    tmp_path: Path,
) -> None:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with (
        running(registry) as server,
        processes.running(DIES_WITH_A_CLAIM, str(tmp_path / "bridge.db"), server.url) as process,
    ):
        process.hear("{'claimed': 1}")
        with server.failing(503):
            process.say("go")
            process.hear("{'claimed': 2} 1")


def test_a_child_that_is_forked_in_the_middle_of_a_turn_has_its_own(tmp_path: Path, convert: Convert) -> None:
    code, out, _ = processes.finished(FORKS_IN_A_TURN, str(tmp_path / "bridge.db"), convert.url)
    assert (code, out) == (0, "0\n")
    assert convert.transactions() == [("till:berlin:1", 1)]


SYNC = """
import os, signal, sys
from convert_sdk import Client
from convert_sdk.commerce.bridge import Bridge, Goals, Identity, Ledger, WebsiteSource, recording
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.server import DEMO_SDK_KEY

path, url, store, key, pages = sys.argv[1:]
ledger = Ledger(path)
identity = Identity("secret of the tests", pepper="pepper of the tests")
client = Client(DEMO_SDK_KEY, config_endpoint=url, track_endpoint=url, observe=[recording(ledger)], start_wait=60)
client.visitor("somebody")
source = WebsiteSource(WebsiteClient(store, key))
bridge = Bridge(client, ledger, goals=Goals("purchase"), identity=identity, sources=[source])
left = int(pages)

def told(progress):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

bridge.sync(progress=told)
"""


@pytest.mark.parametrize("pages", [1, 2, 3, 4])
def test_a_pull_that_is_killed_goes_on_and_loses_no_order_and_no_odd_one(
    convert: Convert, tmp_path: Path, pages: int
) -> None:
    """Killed after so many pages, with odd orders on each; the next process has them all, each once."""
    path = tmp_path / "bridge.db"
    with WebsiteStore() as store:
        at = int(time.time()) - 60
        placed: list[object] = []
        odd: list[object] = []
        for number in range(190):
            token = {"field": "convert_visitor_id", "value": IDENTITY.token(f"v-{number}")}
            is_odd = number % 19 == 0
            total = "$49.00" if is_odd else number + 1
            row = store.place_order(paid=True, total=total, created=at, additionalFields=[token])
            (odd if is_odd else placed).append(row["id"])
        arguments = (str(path), convert.url, store.url, store.key, str(pages))
        code, _, _ = processes.finished(SYNC, *arguments)
        assert code == -SIGKILL
        ledger = Ledger(path, clock=lambda: time.time() + 700)  # the claims of the dead have run out
        with (
            WebsiteClient(store.url, store.key) as api,
            Client(
                DEMO_SDK_KEY, config_endpoint=convert.url, track_endpoint=convert.url,
                observe=[recording(ledger)], start_wait=120, shutdown_timeout=120,
            ) as client,
        ):  # fmt: skip
            source = WebsiteSource(api)
            bridge = Bridge(client, ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[source])
            bridge.sync()
            client.flush(120)
        report = bridge.report()
        ledger.close()
    names = [name for name, _ in convert.transactions()]
    assert {*names} == {f"{source.scope}:{each}" for each in placed}
    # What the dead process had sent, and did not know, came again under the same id.
    assert len(names) - len(placed) <= report.resent
    assert max(Counter(names).values()) <= 2
    assert {each.partition(" ")[0] for each in report.unreadable} == {
        f"{source.scope}:{each}" for each in odd
    }
    assert report.states == {"sent": len(placed)}
