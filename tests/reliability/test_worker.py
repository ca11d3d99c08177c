"""The worker outlives what should have killed it, and clocks and disks that misbehave."""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path
from threading import Event

import pytest

from convert_sdk import Client
from convert_sdk.status import DropReason
from tests.processes import finished, running
from tests.reliability.collector import Answer, Received
from tests.reliability.site import KEY, dead, serving, site
from tests.waiting import eventually


class Explosion(BaseException):
    """What nobody catches."""


def client_of(url: str, **options: object) -> Client:
    given = {"start_wait": 120.0, "shutdown_timeout": 120.0, "flush_interval": 0.01, **options}
    return Client(KEY, config_endpoint=url, track_endpoint=url, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [Explosion, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_worker_that_dies_is_replaced_and_loses_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies in the middle of a chore, while it complains, and once more in its last words."""
    died, survived = Event(), Event()
    with site() as convert, client_of(convert.url) as client:
        visitor = client.visitor("v")
        runtime = client._worker.runtime  # type: ignore[union-attr]
        after_step, report = runtime.after_step, runtime.maintenance.report
        deaths = iter([True, True, False])

        def dying() -> None:
            if next(deaths, False):
                raise error
            after_step()
            survived.set()

        def speechless(kind: str, text: str) -> None:
            monkeypatch.setattr(runtime.maintenance, "report", report)
            died.set()
            raise error

        monkeypatch.setattr(runtime, "after_step", dying)
        monkeypatch.setattr(runtime.maintenance, "report", speechless)
        monkeypatch.setattr("threading.excepthook", lambda _: None)
        for n in range(20):
            assert visitor.track(f"goal-{n}")
        assert died.wait(120)
        assert survived.wait(120)
        assert convert.wait_for(20)
        assert convert.duplicates() == 0
        status = client.status()
        assert status.worker_alive
        assert status.incidents["worker"] >= 1


def test_an_exception_thrown_into_the_worker_from_outside() -> None:
    with site() as convert, client_of(convert.url) as client:
        visitor = client.visitor("v")
        thread = client._worker._sender._thread  # type: ignore[union-attr]
        assert thread is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Explosion)
        )
        for n in range(20):
            visitor.track(f"goal-{n}")
        assert convert.wait_for(20)
        eventually(lambda: client.status().worker_alive)


SLEEPER = """
import sys
from convert_sdk import Client

url, key = sys.argv[1:3]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, flush_interval=0.05)
visitor = client.visitor("v")
for n, line in enumerate(sys.stdin):
    visitor.track(f"goal-{n}")
    print(client.flush(120).pending, flush=True)
print(client.status().events.sent, flush=True)
"""


def test_a_frozen_process_resumes_though_the_server_hung_up() -> None:
    """What matters about 30 seconds of SIGSTOP is that the server closes the idle connection."""
    with site() as convert, running(SLEEPER, convert.url, KEY) as process:
        for _ in range(3):
            process.say("go")
            process.hear("0")
            process.freeze()
            convert.hang_up()
            process.send(signal.SIGCONT)
        assert process.end().out == "3\n"
        assert len(convert.events) == 3


@pytest.mark.soak
def test_a_process_that_is_frozen_for_half_a_minute_loses_nothing() -> None:
    """It tracks, and is stopped with the request under way; the server gives up on it, and takes it back."""
    asked, let_go = Event(), Event()

    def answer(received: Received) -> Answer:
        if not asked.is_set():
            asked.set()
            let_go.wait(120)
        return Answer()

    with site(answer) as convert, running(SLEEPER, convert.url, KEY) as process:
        process.say("go")
        assert asked.wait(120)
        process.freeze()
        convert.hang_up()
        let_go.set()
        assert not Event().wait(30), "the half minute itself is what is tested"
        process.send(signal.SIGCONT)
        process.say("go")
        process.say("go")
        assert process.end().out.splitlines()[-2:] == ["0", "3"]
        assert len({event for _, event in convert.events}) == 3


JUMPS = """
import os, sys, time
from pathlib import Path
from convert_sdk import Client

url, key, clock, spool = sys.argv[1:5]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, flush_interval=0.05, spool=spool)
visitor = client.visitor("v")
years = []
for n, jump in enumerate(["+0", "+10y", "-10y", "+0"]):
    Path(clock).write_text(jump)
    years.append(time.gmtime().tm_year)
    visitor.track(f"goal-{n}")
    assert client.flush(120).pending == 0
status = client.status()
print(max(years) - min(years), status.events.sent, status.events.dropped, status.retries, 0 <= status.age < 60)
"""


@pytest.mark.servers
def test_a_clock_that_jumps_ten_years_stalls_and_bursts_nothing(tmp_path: Path) -> None:
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not libraries:
        pytest.skip("needs libfaketime: install the Debian package faketime")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with site() as convert:
        status, out, err = finished(JUMPS, convert.url, KEY, str(clock), str(tmp_path / "spool"), env=env)
        assert (status, out, err) == (0, "20 4 0 0 True\n", "")
        gets = [request for request in convert.requests if request.method == "GET"]
        assert len(gets) == 1


FULL = """
import resource, signal, sys
from convert_sdk import Client

url, key, spool, limit = sys.argv[1:5]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if limit != "none":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, spool=spool, flush_interval=0.05,
                durability=sys.argv[5], cache_dir=spool + "/cache")
for n in range(100):
    visitor = client.visitor(f"v{n}", {"country": "x" * 400})
    for g in range(20):
        assert visitor.track(f"goal-{g}")
report = client.flush(120)
status = client.status()
print(status.events.sent, status.events.dropped, report.pending, status.incidents.get("spool", 0) > 0)
"""


@pytest.mark.parametrize("durability", ["async", "sync"])
@pytest.mark.parametrize("limit", ["0", "60000"])
def test_a_full_disk_falls_back_to_memory_with_one_warning(
    limit: str, durability: str, tmp_path: Path
) -> None:
    with site() as convert:
        status, out, err = finished(FULL, convert.url, KEY, str(tmp_path / "spool"), limit, durability)
        assert (status, out) == (0, "2000 0 0 True\n")
        assert sum(line.startswith("spool: ") for line in err.splitlines()) == 1
        assert len(convert.events) == 2_000
        assert convert.duplicates() == 0


def test_a_read_only_disk_falls_back_to_memory_with_one_warning() -> None:
    with site() as convert:
        status, out, err = finished(FULL, convert.url, KEY, "/proc/no-such-folder", "none", "async")
        assert (status, out) == (0, "2000 0 0 True\n")
        assert sum(line.startswith("spool: ") for line in err.splitlines()) == 1
        assert len(convert.events) == 2_000


def test_a_full_queue_is_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with site(dead) as convert, client_of(convert.url, max_queue=10, shutdown_timeout=0.01) as client:
        for n in range(50):
            visitor = client.visitor(f"v{n}")
            for g in range(20):
                visitor.track(f"goal-{g}")
        client.flush(0.05)
        counts = client.status().events
        assert counts.offered == sum(counts[1:]) == 1_000
        assert counts.dropped == client.status().dropped[DropReason.FULL] >= 980
    assert sum("full" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_refused_key_is_said_once_and_loses_nothing(refusal: int, caplog: pytest.LogCaptureFixture) -> None:
    status = [refusal]

    def answer(_: Received) -> Answer:
        return Answer(status[0])

    with site(answer) as convert, client_of(convert.url) as client:
        visitor = client.visitor("v")
        for n in range(5):
            visitor.track(f"goal-{n}")
            before = convert.refused
            eventually(lambda before=before: client.flush(0.2) and convert.refused > before)  # type: ignore[misc]
        eventually(lambda: client.status().events.queued == 5)
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert len(errors) == 1
        status[0] = 200
        assert client.flush(120).pending == 0
        assert client.status().events.sent == 5
        assert len(convert.events) == 5


@pytest.mark.parametrize("spooled", [False, True])
def test_what_a_flush_could_not_deliver_is_tried_again(spooled: bool, tmp_path: Path) -> None:
    """The worker looked while the exchange was the flush's own, and nobody offers anything else."""
    with site(dead) as convert, client_of(convert.url, spool=str(tmp_path) if spooled else None) as client:
        client.visitor("v").track("goal-1")
        assert client.flush(0.2).pending == 1
        convert.answer = serving()
        assert convert.wait_for(1)


def test_half_a_small_queue_is_a_full_batch() -> None:
    with site() as convert:
        client = Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            max_queue=10,
            flush_interval=600,
        )
        with client:
            visitor = client.visitor("v")
            for n in range(5):
                assert visitor.track(f"goal-{n}")
            assert convert.wait_for(5)
