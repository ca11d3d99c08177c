"""Events on disk through a client's life: kill -9, restarts, and conversions from before the first document."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest

from convert_sdk import Client, ConversionReason
from convert_sdk._core.events import Event as CoreEvent
from convert_sdk._spool.admin import inspect
from convert_sdk._spool.spool import Spool
from convert_sdk.observation import Incident, Observation
from convert_sdk.status import DropReason
from tests.processes import running
from tests.reliability.collector import Answer, Received
from tests.reliability.site import KEY, dead, serving, site
from tests.waiting import PATIENCE, eventually

WRITES = """
import itertools, random, sys
from convert_sdk import Client

url, key, spool, life, cache = sys.argv[1:6]
dice = random.Random(life)
client = Client(key, config_endpoint=url, track_endpoint=url, spool=spool, cache_dir=cache or None, start_wait=120,
                durability="sync", flush_interval=dice.choice([0.001, 0.01, 3600.0]))
for n in itertools.count():
    name = f"{life}-{n}"
    visitor = client.visitor(name)
    if n % 3 == 0:
        assert visitor.decide("button-10").variation
        print("exposure", name, flush=True)
    else:
        assert visitor.track("goal-1", revenue=n)
        print("conversion", name, flush=True)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.soak)])
def test_kill_9_right_after_tracking_loses_nothing(kills: int, tmp_path: Path) -> None:
    """Killed at a random moment, while the endpoint accepts or refuses."""
    dice, mood = random.Random(4_711), random.Random(1_174)
    promised: set[str] = set()
    asked = 0

    def moody(_: Received) -> Answer:
        return Answer(mood.choice([200, 200, 503, 429]))

    with site(moody) as convert:
        for life in range(kills):
            with running(WRITES, convert.url, KEY, str(tmp_path / "spool"), str(life), "") as process:
                count = dice.randint(1, 150)
                asked += count
                promised.update(process.hear() for _ in range(count))
                process.send(signal.SIGKILL)
                promised.update(process.lines())
        convert.answer = serving()
        delivered_by_a_restart(convert.url, tmp_path / "spool")
        arrived = Counter(names(convert.events))
    assert len(promised) >= asked
    assert promised <= set(arrived)


def delivered_by_a_restart(url: str, spool: Path) -> None:
    with Client(KEY, config_endpoint=url, track_endpoint=url, start_wait=120, spool=str(spool)) as client:
        client.visitor("restart")
        report = client.flush(120)
        assert report.pending == 0
        counts = client.status().events
        assert counts.offered == sum(counts[1:]) == counts.sent
    assert not list(spool.rglob("*.db"))


def names(events: list[tuple[str, str]]) -> list[str]:
    kinds = {"bucketing": "exposure", "conversion": "conversion"}
    return [f"{kinds[json.loads(event)['eventType']]} {visitor}" for visitor, event in events]


KEEPS = """
import os, sys
from convert_sdk import Client

url, key, spool = sys.argv[1:4]
client = Client(key, config_endpoint=url, track_endpoint=url, spool=spool, durability="sync", start_wait=0.0)
results = [client.visitor(f"v{n}", {"country": "DE"}).track("goal-1", revenue=n, products=2) for n in range(50)]
results.append(client.visitor("v0").track("no-such-goal"))
results.append(client.visitor("v0").track(goal_id=72, attributed_to={"9": "91"}))
print(*{result.reason for result in results}, client.status().pending_conversions, flush=True)
os.kill(os.getpid(), 9)
"""


def test_conversions_from_before_the_first_document_survive_a_kill(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    nothing_yet = [True]

    def answer(received: Received) -> Answer:
        return Answer(503) if nothing_yet[0] else ready(received)

    with site() as convert:
        ready, convert.answer = convert.answer, answer
        for _ in range(2):  # the second process adopts what the first one left, and is killed too
            with running(KEEPS, convert.url, KEY, str(spool)) as process:
                assert process.end().out == "pending 52\n"
        assert sum(report.pending for report in inspect(spool)) == 104
        nothing_yet[0] = False
        with Client(
            KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120, spool=str(spool)
        ) as client:
            client.visitor("restart")
            assert client.flush(120).pending == 0
        # The same visitors converted in both processes: the second conversion of a goal counts once.
        assert len(convert.events) == 50 * 2 + 1
        amounts = [
            json.loads(event)["data"]["goalData"][0]["value"]
            for _, event in convert.events
            if "goalData" in event
        ]
        assert sorted(amounts) == list(range(50))
        apart = [json.loads(request.body) for request in convert.requests if b'"91"' in request.body]
        assert [body["enrichData"] for body in apart] == [False]
        segments = [
            visitor["segments"]
            for request in convert.requests
            if request.method == "POST"
            for visitor in json.loads(request.body)["visitors"]
        ]
        assert {"country": "DE"} in segments
    assert not list(spool.rglob("*.db"))


def test_conversions_from_before_the_first_document_are_delivered_when_it_arrives(tmp_path: Path) -> None:
    published = Event()

    def late(received: Received) -> Answer:
        return ready(received) if published.is_set() else Answer(503)

    with site() as convert:
        ready, convert.answer = convert.answer, late
        with Client(
            KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=0, spool=str(tmp_path)
        ) as client:
            visitor = client.visitor("v")
            kept = visitor.track("goal-1")
            assert kept.reason.value == "pending"
            published.set()
            assert client.flush(120).pending == 0
        assert len(convert.events) == 1


@pytest.mark.parametrize("queue", [10_000, 500])
def test_more_of_them_than_memory_holds_wait_on_disk(queue: int, tmp_path: Path) -> None:
    """A second process goes on with what the first one, and itself, could not count yet."""
    published = Event()

    def late(received: Received) -> Answer:
        return ready(received) if published.is_set() else Answer(503)

    with site() as convert:
        ready, convert.answer = convert.answer, late
        made = partial(
            Client,
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=0,
            spool=str(tmp_path),
            max_queue=queue,
        )
        with made() as first:
            converted(first, "first", 1_200)
            first.close(0.0)
            assert first.status().dropped == {}
        with made() as second:
            converted(second, "second", 1_200)
            published.set()
            assert second.flush(120).pending == 0
            assert second.status().pending_conversions == 0
            assert second.status().dropped == {}
        assert len(convert.events) == 2_400
        assert convert.duplicates() == 0
    assert not list(tmp_path.rglob("*.db"))


def converted(client: Client, name: str, conversions: int) -> None:
    """Track so many conversions before there is a document."""
    for number in range(conversions):
        result = client.visitor(f"{name}-{number // 20}").track(f"goal-{number % 20}")
        assert result.reason is ConversionReason.PENDING
    assert client.status().pending_conversions == conversions


def test_without_a_spool_memory_holds_a_thousand_of_them() -> None:
    with site() as convert:
        convert.answer = dead
        client = Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=0.0)
        visitor = client.visitor("v")
        assert all(visitor.track("goal-1", allow_repeat=True, revenue=1) for _ in range(1_000))
        assert visitor.track("goal-1").reason is ConversionReason.QUEUE_FULL
        client.close(0.0)
        assert client.status().dropped == {"full": 1, "closed": 1_000}


def test_conversions_that_never_saw_a_document_are_counted_as_dropped() -> None:
    with site() as convert:
        convert.answer = dead
        client = Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=0.0)
        assert client.visitor("v").track("goal-1")
        client.close(0.1)
        assert client.status().dropped == {"closed": 1}
        assert client.status().events == (1, 0, 0, 0, 0, 1, 0, 0)


def test_more_than_the_queue_holds_waits_on_disk_and_goes_out_in_its_turn(tmp_path: Path) -> None:
    down = [True]

    def answer(_: Received) -> Answer:
        return Answer(503 if down[0] else 200)

    with site(answer) as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "max_queue": 200}
        options |= {"spool": str(tmp_path), "durability": "sync", "start_wait": 120}
        with Client(KEY, **options) as client:  # type: ignore[arg-type]
            for n in range(100):
                visitor = client.visitor(f"v{n}")
                assert all(visitor.track(f"goal-{g}") for g in range(20))
            counts = client.status().events
            assert counts.offered == sum(counts[1:]) == 2_000
            assert counts.dropped == 0
            assert counts.spooled >= 1_800
            down[0] = False
            assert client.flush(120).pending == 0
            assert client.status().events == (2_000, 2_000, 0, 0, 0, 0, 0, 0)
        assert len(convert.events) == 2_000
        assert convert.duplicates() == 0
    assert not list(tmp_path.rglob("*.db"))


def test_a_disk_that_does_not_keep_up_bounds_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process holds the file's write lock: memory takes `max_queue` events, and the others are counted."""
    monkeypatch.setattr("convert_sdk._spool.files._WRITE_WAIT", PATIENCE)
    with site() as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "start_wait": 120}
        with Client(KEY, spool=str(tmp_path), max_queue=500, **options) as client:  # type: ignore[arg-type]
            client.visitor("first").track("goal-1")
            assert client.flush(120).pending == 0
            (file,) = tmp_path.rglob("*.db")
            reasons: Counter[ConversionReason] = Counter()
            with closing(sqlite3.connect(file, isolation_level=None, timeout=PATIENCE)) as busy:
                busy.execute("BEGIN IMMEDIATE")
                while reasons[ConversionReason.QUEUE_FULL] < 1_000:
                    n = reasons.total()
                    reasons[client.visitor(f"v{n // 20}").track(f"goal-{n % 20}").reason] += 1
                events = client.status().events
                busy.execute("ROLLBACK")
            accepted = reasons[ConversionReason.ACCEPTED]
            assert set(reasons) == {ConversionReason.ACCEPTED, ConversionReason.QUEUE_FULL}
            assert events.queued + events.in_flight <= 500 <= accepted
            assert client.flush(120).pending == 0
            assert client.status().dropped == {"full": 1_000}
        assert len(convert.events) == 1 + accepted
        assert convert.duplicates() == 0


BUSY = """
import os, sys
from convert_sdk import Client

url, key, spool, most = sys.argv[1:5]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, spool=spool, max_queue=int(most))
for n in range(100):
    assert client.visitor(f"early-{n}").track("goal-1")
spool_sync = client._worker.runtime.maintenance.spool_sync
while len(spool_sync.on_disk) < 100:
    client._worker._ready.wait(0.001)
print("early", flush=True)
sys.stdin.readline()
for n in range(2_000):
    if client.visitor(f"late-{n}").track("goal-1"):
        print(f"late-{n}", flush=True)
print("killed", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_kill_takes_at_most_what_memory_holds_where_the_disk_does_not_keep_up(tmp_path: Path) -> None:
    """The disk takes nothing more from some moment on: `max_queue` events are lost at most, none of those before."""
    down = [True]
    with site(lambda _: Answer(503 if down[0] else 200)) as convert:
        with running(BUSY, convert.url, KEY, str(tmp_path), "500") as process:
            process.hear("early")
            (file,) = tmp_path.rglob("*.db")
            with closing(sqlite3.connect(file, isolation_level=None, timeout=120)) as busy:
                busy.execute("BEGIN IMMEDIATE")
                process.say("go")
                *accepted, last = process.lines()
                assert last == "killed"
                assert process.end().status == -signal.SIGKILL
        down[0] = False
        delivered_by_a_restart(convert.url, tmp_path)
        arrived = {visitor for visitor, _ in convert.events}
        assert {f"early-{n}" for n in range(100)} <= arrived
        assert 400 <= len(accepted) <= 500, "memory has room for no more, and says so"
        assert len(set(accepted) - arrived) <= 500


def test_all_that_waits_is_written_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[int] = []
    append = Spool.append

    def count(spool: Spool, events: Sequence[CoreEvent]) -> int:
        written.append(len(events))
        return append(spool, events)

    monkeypatch.setattr(Spool, "append", count)
    with site(dead) as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "start_wait": 120}
        with Client(KEY, spool=str(tmp_path), shutdown_timeout=0.1, **options) as client:  # type: ignore[arg-type]
            client.visitor("first").track("goal-1")
            eventually(lambda: written == [1])
            written.clear()
            with client._worker.runtime.maintenance._disk:  # type: ignore[union-attr]  # the spool's thread waits until all are there
                for n in range(1_500):
                    assert client.visitor(f"v{n // 20}").track(f"goal-{n % 20}")
            eventually(lambda: sum(written) == 1_500)
        assert written == [1_500]


def test_a_handler_in_the_middle_of_a_change_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """Who has the disk may wait for what the interrupted code holds: the event is written as soon as both are done."""
    with site(dead) as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "start_wait": 120}
        with Client(KEY, spool=str(tmp_path), durability="sync", shutdown_timeout=0.1, **options) as client:  # type: ignore[arg-type]
            runtime = client._worker.runtime  # type: ignore[union-attr]  # a client with a network has one
            tracked = Event()

            def interrupted() -> None:
                with runtime.engine.lock:  # as of a decision that a signal's handler has interrupted
                    client.visitor("v").track("goal-1")
                tracked.set()

            with runtime.maintenance._disk:
                Thread(target=interrupted, daemon=True).start()
                assert tracked.wait(PATIENCE)
            eventually(lambda: [report.events for report in inspect(tmp_path)] == [1])


def test_an_event_that_is_refused_for_good_lies_aside(tmp_path: Path) -> None:
    with site(lambda _: Answer(400, body=b'{"code": 17, "message": "no such goal"}')) as convert:
        with Client(
            KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120, spool=str(tmp_path)
        ) as client:
            client.visitor("v").track("goal-1")
            client.flush(120)
            assert client.status().events.rejected == 1
        (report,) = inspect(tmp_path)
        assert [(dead.status, dead.message) for dead in report.rejected] == [(400, "no such goal")]


def test_a_spool_that_was_deleted_is_said_to_be_lost(tmp_path: Path) -> None:
    with site(dead) as convert:
        client = Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            spool=str(tmp_path),
            max_queue=20,
            durability="sync",
        )
        for n in range(10):
            for g in range(10):
                client.visitor(f"v{n}").track(f"goal-{g}")
        assert client.status().events.spooled > 50
        spool_sync = client._worker.runtime.maintenance.spool_sync  # type: ignore[union-attr]
        assert spool_sync is not None
        spool_sync._spool.delete(event.uuid for event in spool_sync._spool.load(1_000))
        convert.answer = serving()
        client.flush(120)
        counts = client.status().events
        assert counts.offered == sum(counts[1:]) == 100
        assert counts.pending == 0
        assert client.status().dropped[DropReason.SPOOL] > 50
        client.close()


HANGS = """
import os, sys
from convert_sdk import Client

url, key, spool = sys.argv[1:4]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, spool=spool, flush_interval=0.01)
client.visitor("first").track("goal-1")
sys.stdin.readline()
for n in range(500):
    client.visitor(f"v{n}").track("goal-1")
spool_sync = client._worker.runtime.maintenance.spool_sync
while len(spool_sync.on_disk) < 501:
    client._worker._ready.wait(0.001)
print("written", flush=True)
os.kill(os.getpid(), 9)
"""


def test_events_are_written_while_a_request_hangs(tmp_path: Path) -> None:
    """Without durability="sync" too: what is a moment old is on disk, whatever the network does."""
    asked, let_go = Event(), Event()

    def hang(_: Received) -> Answer:
        asked.set()
        let_go.wait(120)
        return Answer(503)

    with site(hang) as convert:
        with running(HANGS, convert.url, KEY, str(tmp_path)) as process:
            assert asked.wait(120)
            process.say("go")
            process.hear("written")
            assert process.end().status == -signal.SIGKILL
        let_go.set()
        convert.answer = serving()
        delivered_by_a_restart(convert.url, tmp_path)
        assert len(convert.events) == 501
        assert convert.duplicates() == 0


def test_rows_that_cannot_be_read_are_said_and_cost_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    with site(lambda _: Answer(503)) as convert:
        with running(WRITES, convert.url, KEY, str(spool), "1", "") as process:
            for _ in range(20):
                process.hear()
            process.send(signal.SIGKILL)
        (path,) = spool.rglob("*.db")
        with closing(sqlite3.connect(path)) as file, file:
            spoilt = file.execute("UPDATE rows SET body = '[1' WHERE seq % 4 = 0").rowcount
            sound = file.execute("SELECT count(*) FROM rows").fetchone()[0] - spoilt
        convert.answer = serving()
        where = {"config_endpoint": convert.url, "track_endpoint": convert.url, "spool": str(spool)}
        with Client(KEY, start_wait=120, **where) as client:  # type: ignore[arg-type]  # all are texts
            client.visitor("restart")
            assert client.flush(120).pending == 0
            status = client.status()
        assert len(convert.events) == sound
    assert (status.incidents["damaged"], status.dropped[DropReason.SPOOL]) == (1, spoilt)
    assert f"damaged: {spoilt} rows cannot be read" in caplog.text


@pytest.mark.parametrize("damage", ["was damaged", "was cut short"])
def test_a_damaged_file_is_said_once_and_what_can_be_read_is_sent(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    observed: list[Observation] = []
    # So few that SQLite has not begun its log anew: each of them is in no other place.
    writes = WRITES.replace("itertools.count()", "range(200)") + "import os\nos.kill(os.getpid(), 9)\n"
    with site(lambda _: Answer(503)) as convert:
        with running(writes, convert.url, KEY, str(spool), "1", "") as process:
            promised = {*process.lines()}
            assert process.end().status == -signal.SIGKILL
        assert len(promised) == 200
        (path,) = spool.rglob("*.db")
        (path.parent / "0000.lock").symlink_to("nowhere")  # it hides nothing
        if damage == "was damaged":
            with path.open("r+b") as file:
                file.write(b"\0" * 4096)
        else:
            log = path.with_name(f"{path.name}-wal")
            log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
        convert.answer = serving()
        with Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            spool=str(spool),
            observe=[observed.append],
        ) as client:
            client.visitor("restart")
            assert client.flush(120).pending == 0
            assert client.status().incidents["damaged"] == 2
        arrived = set(names(convert.events))
        assert promised <= arrived if damage == "was damaged" else set() < arrived < promised
    said = [record.message for record in caplog.records]
    told = [each.text for each in observed if isinstance(each, Incident)]
    for words in (damage, "0000.lock is a link"):
        assert [sum(words in text for text in texts) for texts in (said, told)] == [1, 1]
    assert path.with_suffix(".corrupt").exists()
