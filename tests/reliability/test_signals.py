"""A signal's handler may use the client in the middle of anything, the same call included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.processes import finished
from tests.reliability.site import KEY, site

STORM = """
import faulthandler, random, signal, sys
from convert_sdk import Client, Project
from convert_sdk.stores import MemoryStore
from convert_sdk.stores.sqlite import SqliteStore

url, key, spool, durability, store = sys.argv[1:6]
turns = int(sys.argv[6])
faulthandler.dump_traceback_later(60, exit=True)
stores = {"": lambda: None, "memory": lambda: MemoryStore(shared=True), "sqlite": lambda: SqliteStore(spool + ".db")}
client = Client(key, config_endpoint=url, track_endpoint=url, max_queue=1_000_000, flush_interval=0.05,
                spool=spool if durability else None, durability=durability or "async", store=stores[store]())
dice, handled, accepted = random.Random(7), 0, []  # a list, since `+=` could lose what the handler adds

def handle(number, frame):
    global handled
    handled += 1
    visitor = client.visitor(f"h{handled}")
    decided = visitor.decide("button-10")
    accepted.append(decided.variation is not None)
    accepted.append(bool(visitor.track("goal-1")))
    events = client.status().events
    assert events.offered == sum(events[1:]), events
    if handled % 3 == 0:
        client.flush(0)
    if handled < 2 * turns:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, 0.001))

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001)
for n in range(turns):
    visitor = client.visitor(f"m{n}")
    accepted.append(visitor.decide("button-11").variation is not None)
    accepted.extend([bool(visitor.track(f"goal-{g}")) for g in range(5)])
    events = client.status().events
    assert events.offered == sum(events[1:]), events
    client.flush(30 if n == turns // 2 else 0)
signal.setitimer(signal.ITIMER_REAL, 0)
assert handled > 20, handled
client.close(60)
events = client.status().events
print(sum(accepted), events.offered, events.sent, client.status().incidents)
"""


@pytest.mark.parametrize(
    ("durability", "store", "turns"),
    [
        ("", "", 500),
        ("async", "", 500),
        ("sync", "", 300),
        ("", "memory", 500),
        ("sync", "sqlite", 200),
    ],
)
def test_handlers_that_track_while_the_main_thread_tracks(
    durability: str, store: str, turns: int, tmp_path: Path
) -> None:
    """Thousands of interruptions at random moments: nothing waits for ever, and the books stay right."""
    with site() as convert:
        status, out, err = finished(
            STORM, convert.url, KEY, str(tmp_path / "spool"), durability, store, str(turns)
        )
        assert (status, err) == (0, "")
        accepted, offered, sent, _ = out.split(maxsplit=3)
        assert accepted == offered == sent
        assert len(convert.events) == int(accepted)
        assert convert.duplicates() == 0


INTERRUPTED = """
import faulthandler, signal, sys, threading
from convert_sdk import Client, ConversionReason
from convert_sdk._delivery import background, engine, queue, runtime, spool_sync, stats, thread
from convert_sdk._spool import files, spool
from convert_sdk._process.sqlite import Database
from convert_sdk._delivery.queue import Books
from convert_sdk._process.locks import WakeEvent, Latch
from convert_sdk.stores import MemoryStore, memory
from convert_sdk.stores.sqlite import SqliteStore

url, key, folder, owner, name, then = sys.argv[1:7]
faulthandler.dump_traceback_later(60, exit=True)
options = dict(config_endpoint=url, track_endpoint=url, max_queue=30)
if folder:
    options |= dict(spool=folder + "/spool", durability="sync", store=SqliteStore(folder + "/visitors.db"))
else:
    options |= dict(store=MemoryStore(shared=True))
results, armed = [], [True]

def handle(number, frame):
    visitor = client.visitor(f"h{len(results)}")
    visitor.decide("button-10")
    results.append(visitor.track("goal-1"))
    results.append(client.visitor("main").track("goal-2"))
    events = client.status().events
    assert events.offered == sum(events[1:]), events
    client.close() if then == "close" else client.flush(0)

signal.signal(signal.SIGUSR1, handle)
holder = eval(owner)
inner = getattr(holder, name)

def interrupted(*given, **named):
    here = threading.current_thread() is threading.main_thread() and armed
    if here:
        armed.clear()
        signal.raise_signal(signal.SIGUSR1)
    answer = inner(*given, **named)
    if here:
        signal.raise_signal(signal.SIGUSR1)
    return answer

setattr(holder, name, interrupted)
client = Client(key, **options)
for n in range(4):
    visitor = client.visitor("main")
    visitor.decide("button-10")
    results.append(visitor.track("goal-2"))
    results += [client.visitor(f"{v}{n}").track(f"goal-{g}") for g in range(20) for v in "ab"]
    client.flush(20)
    client.status()
client.close()
client.close()
assert len(results) > 80 and not armed, "never interrupted"
events = client.status().events
print(events.offered == sum(events[1:]), events.pending - events.spooled)
"""

PLACES = [
    ("threading.Thread", "start"),
    ("thread.ThreadWorker", "_spawn"),
    ("thread", "hook_multiprocessing_exit"),
    ("thread.ThreadWorker", "_opened"),
    ("background.BackgroundThread", "_start"),
    ("WakeEvent", "notify"),
    ("Latch", "wait"),
    ("engine", "conversion_wires"),
    ("engine.Engine", "_count"),
    ("Books", "read"),
    ("queue.EventQueue", "_counted"),
    ("queue.EventQueue", "_measure"),
    ("queue.Lanes", "next_part"),
    ("runtime.Runtime", "send_waiting"),
    ("runtime.Runtime", "maintain"),
    ("runtime.Maintenance", "close"),
    ("runtime.Maintenance", "_publish"),
    ("stats.DeliveryStats", "refuse"),
    ("memory", "_copy"),
]
ON_DISK = [
    ("background.BackgroundThread", "_start"),
    ("engine.Engine", "_count"),
    ("queue.EventQueue", "_measure"),
    ("runtime.Runtime", "send_waiting"),
    ("Database", "_open"),
    ("runtime.Maintenance", "commit"),
    ("spool_sync.SpoolSync", "commit"),
    ("spool.Spool", "append"),
    ("spool.Spool", "delete"),
    ("spool", "_size"),
    ("sys.modules['convert_sdk.stores.sqlite']", "_read"),
]


@pytest.mark.parametrize("then", ["flush", "close"])
@pytest.mark.parametrize(
    ("owner", "name", "on_disk"),
    [(*place, False) for place in PLACES] + [(*place, True) for place in ON_DISK],
)
def test_a_handler_in_the_middle_of(owner: str, name: str, on_disk: bool, then: str, tmp_path: Path) -> None:
    """Interrupted at the beginning and at the end of an inner step, in its locks."""
    with site() as convert:
        folder = str(tmp_path) if on_disk else ""
        status, out, err = finished(INTERRUPTED, convert.url, KEY, folder, owner, name, then)
        assert (status, out) == (0, "True 0\n"), err
