"""Events on disk through a client's life: kill -9, restarts, and conversions from before the first document."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from pathlib import Path
from threading import Event

import pytest

from convert_sdk import Client
from convert_sdk._spool.admin import inspect
from convert_sdk.observation import Incident, Observation
from convert_sdk.status import DropReason
from tests.processes import running
from tests.reliability.collector import Answer, Received
from tests.reliability.site import KEY, dead, serving, site

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


def test_a_damaged_file_is_said_once_and_what_can_be_read_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    observed: list[Observation] = []
    with site(lambda _: Answer(503)) as convert:
        with running(WRITES, convert.url, KEY, str(spool), "1", "") as process:
            promised = {process.hear() for _ in range(200)}
            process.send(signal.SIGKILL)
            promised.update(process.lines())
        (path,) = spool.rglob("*.db")
        with path.open("r+b") as file:
            file.write(b"\0" * 4096)
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
            assert client.status().incidents["damaged"] == 1
        assert promised <= set(names(convert.events))
    assert len([record for record in caplog.records if "damaged" in record.message]) == 1
    assert len([each for each in observed if isinstance(each, Incident) and "damaged" in each.text]) == 1
    assert path.with_suffix(".corrupt").exists()
