"""SIGTERM, as a container's end sends it, wherever it finds the main thread."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from convert_sdk import Client
from tests.processes import Child, program, running
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import KEY, dead, serving, site

TRACKS = """
{first}
import os, sys, threading
from convert_sdk import AsyncClient, Client
from convert_sdk.stores.sqlite import SqliteStore

url, key, folder = sys.argv[1:4]
def wait():
    while not threading.Event().wait(1):  # a signal just before a wait is seen after it
        pass

options = {{"config_endpoint": url, "track_endpoint": url, "flush_interval": 60, "batch_size": 10_000}}
{body}
"""
IN_FLUSH = """
client = Client(key, shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
while True:
    client.flush(60)
"""
IN_CLOSE = """
client = Client(key, shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
client.close(60)
wait()
"""
AT_EXIT = """
client = Client(key, shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
"""
IN_TRACK = """
client = Client(key, store=SqliteStore(folder + "/visitors.db"), shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
while True:
    client.visitor("v0").track("goal-1")
"""
ASYNC = """
import asyncio

async def main():
    client = AsyncClient(key, shutdown_timeout=60, **options)
    for n in range(100):
        (await client.visitor(f"v{n}")).track("goal-1")
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
IDLE = """
client = Client(key, shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
wait()
"""
GEVENT = """
import gevent
client = Client(key, shutdown_timeout=60, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
gevent.sleep(3600)
"""
BODIES = {
    "idle": IDLE,
    "in flush": IN_FLUSH,
    "in close": IN_CLOSE,
    "at exit": AT_EXIT,
    "in track": IN_TRACK,
    "asyncio": ASYNC,
    "gevent": GEVENT,
}
SENDING = {"in flush", "in close", "at exit"}


def script(body: str) -> str:
    return TRACKS.format(first="", body=body)


@pytest.mark.row
@pytest.mark.parametrize("name", BODIES)
def test_everything_arrives_and_the_signal_acts(name: str, tmp_path: Path) -> None:
    first = ""
    if name == "gevent":
        pytest.importorskip("gevent", reason="needs gevent: pip install --group reliability")
        first = "from gevent import monkey\nmonkey.patch_all()"
    arrived, signalled = Event(), Event()

    def answer(_: Received) -> Answer:
        arrived.set()
        signalled.wait(120)
        return Answer()

    code = TRACKS.format(first=first, body=BODIES[name])
    with site(answer) as convert, running(code, convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        if name in SENDING:
            assert arrived.wait(120)  # in the middle of a request
        child.send(signal.SIGTERM)
        signalled.set()
        status, _, err = child.end()
        assert (len(convert.events), convert.duplicates()) == (100, 0), err
        assert status == -signal.SIGTERM or (name == "at exit" and status == 0)


BUSY = """
client = Client(key, shutdown_timeout=3600, **options)
for n in range(100):
    client.visitor(f"v{n}").track("goal-1")

def go_on():
    n = 100
    while True:
        client.visitor(f"v{n}").track("goal-1")
        n += 1
        threading.Event().wait(0.0005)

threading.Thread(target=go_on, daemon=True).start()
print("ready", flush=True)
wait()
"""


def test_a_process_that_goes_on_tracking_does_not_wait_for_that(tmp_path: Path) -> None:
    """What waited when the signal came has arrived; threads that serve others meanwhile hold nothing up."""
    with site() as convert, running(script(BUSY), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        assert child.end() == (-signal.SIGTERM, "", "")
        assert {f"v{n}" for n in range(100)} <= {visitor for visitor, _ in convert.events}
        assert convert.duplicates() == 0


SAYS = """
def go_on(client):
    for n in itertools.count():
        if client.visitor(f"v{n}").track("goal-1"):
            os.write(1, f"v{n}\\n".encode())
        threading.Event().wait(0.0005)
"""
SPOOLED = """
client = Client(key, spool=folder, shutdown_timeout=0.2, **options)
go_on(client)
"""
ON_DISK = """
client = Client(key, spool=folder, max_queue=400, shutdown_timeout=3600, **options)
threading.Thread(target=go_on, args=(client,), daemon=True).start()
wait()
"""
CUT_SHORT = """
spooled = Client(key, spool=folder, shutdown_timeout=60, **options)
other = Client(key, shutdown_timeout=60, **options)
assert other.visitor("other").track("goal-1")
threading.Thread(target=go_on, args=(spooled,), daemon=True).start()
wait()
"""


def told(code: str, convert: Collector, folder: Path, *, least: int) -> set[str]:
    """The visitors whose conversions a process accepted until SIGTERM ended it; its heir has delivered the rest."""
    with running(code, convert.url, KEY, str(folder)) as child:
        accepted = {child.hear() for _ in range(least)}
        child.send(signal.SIGTERM)
        accepted.update(child.lines())
        assert child.end().status == -signal.SIGTERM
    convert.answer = serving()
    with Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, spool=str(folder)) as heir:
        heir.visitor("heir")
        assert heir.flush(120).pending == 0
    return accepted


def test_what_cannot_be_sent_in_time_lies_in_the_spool_to_the_last_event(tmp_path: Path) -> None:
    with site(dead) as convert:
        accepted = told(script("import itertools\n" + SAYS + SPOOLED), convert, tmp_path, least=200)
        assert accepted - {visitor for visitor, _ in convert.events} == set()


def test_no_request_of_a_spool_is_cut_short(tmp_path: Path) -> None:
    """It would be sent again: what is tracked while the last flush ends is in a request that hangs for a moment."""
    later, never = Event(), Event()
    first = iter([True])

    def answer(received: Received) -> Answer:
        if b'"other"' in received.body:
            assert later.wait(120)
        elif next(first, False) is False:
            later.set()
            never.wait(0.5)
        return Answer()

    with site(answer) as convert:
        accepted = told(script("import itertools\n" + SAYS + CUT_SHORT), convert, tmp_path, least=50)
        assert accepted - {visitor for visitor, _ in convert.events} == set()
        assert convert.duplicates() == 0


def test_events_on_disk_only_are_waited_for_and_later_ones_are_not(tmp_path: Path) -> None:
    """Half of the queue's room is for memory; what waits beyond that comes back from the disk to be sent."""
    never = Event()

    def answer(_: Received) -> Answer:
        never.wait(0.1)  # others come meanwhile
        return Answer()

    with site(answer) as convert:
        accepted = told(script("import itertools\n" + SAYS + ON_DISK), convert, tmp_path, least=2_000)
        assert accepted - {visitor for visitor, _ in convert.events} == set()
        assert convert.duplicates() == 0


HANDLES_LATER = """
import signal
client = Client(key, shutdown_timeout=60, **options)
client.visitor("early").track("goal-1")
print("ready", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"told\\n"))
os.write(1, b"handled\\n")
sys.stdin.readline()
assert client.visitor("late").track("goal-1")
"""


@contextmanager
def handled_meanwhile(body: str, folder: Path) -> Iterator[tuple[Collector, Child]]:
    """A process that has set a handler of its own while SIGTERM's flush waited for an answer, and has heard from it."""
    flushing, answered = Event(), Event()

    def hold(_: Received) -> Answer:
        flushing.set()
        assert answered.wait(120)
        return Answer()

    with site(hold) as convert, running(script(body), convert.url, KEY, str(folder)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        assert flushing.wait(120)
        child.say("go")
        child.hear("handled")
        answered.set()
        child.hear("told")
        yield convert, child


def test_a_handler_that_is_set_meanwhile_finds_a_client_that_accepts(tmp_path: Path) -> None:
    with handled_meanwhile(HANDLES_LATER, tmp_path) as (convert, child):
        assert child.end("go") == (0, "", "")
        assert (len(convert.events), convert.duplicates()) == (2, 0)


HANDLES_AGAIN = (
    HANDLES_LATER
    + """
print(client.status().sigterm, flush=True)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
other = Client(key, shutdown_timeout=60, **options)
other.visitor("last").track("goal-1")
print(client.status().sigterm, flush=True)
wait()
"""
)


def test_where_the_default_action_comes_back_the_next_signal_delivers(tmp_path: Path) -> None:
    with handled_meanwhile(HANDLES_AGAIN, tmp_path) as (convert, child):
        child.say("go")
        child.hear("host")
        child.hear("installed")
        child.send(signal.SIGTERM)
        assert child.end() == (-signal.SIGTERM, "", "")
        assert (len(convert.events), convert.duplicates()) == (3, 0)


def test_a_process_with_nothing_to_send_ends_at_once(tmp_path: Path) -> None:
    code = 'client = Client(key, **options)\nclient.visitor("v")\nprint("ready", flush=True)\nwait()'
    with site() as convert, running(script(code), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        assert child.end() == (-signal.SIGTERM, "", "")


@pytest.mark.row
def test_what_cannot_be_sent_is_said_in_one_line(tmp_path: Path) -> None:
    body = IDLE.replace("shutdown_timeout=60", "shutdown_timeout=0.5")
    with site(dead) as convert, running(script(body), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        status, _, err = child.end()
        assert status == -signal.SIGTERM
        assert len([line for line in err.splitlines() if "100 event" in line]) == 1, err


FAILING_DISK = """
import resource
client = Client(key, spool=folder, shutdown_timeout=0.5, **options)
client.visitor("v")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
for n in range(100):
    assert client.visitor(f"v{n}").track("goal-1")
print("ready", flush=True)
wait()
"""


@pytest.mark.parametrize("fails", [False, True])
def test_the_line_tells_whether_the_spool_has_what_was_not_sent(fails: bool, tmp_path: Path) -> None:
    body = FAILING_DISK if fails else FAILING_DISK.replace("resource.setrlimit", "# ")
    fate = "may be lost" if fails else "stay in the spool"
    with site(dead) as convert, running(script(body), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        status, _, err = child.end()
        assert status == -signal.SIGTERM
        said = [line for line in err.splitlines() if "SIGTERM: 100 events" in line]
        assert [line.endswith(fate) for line in said] == [True], err


def test_a_second_signal_acts_at_once(tmp_path: Path) -> None:
    arrived, hanging = Event(), Event()

    def hang(_: Received) -> Answer:
        arrived.set()
        hanging.wait(120)
        return Answer(503)

    with site(hang) as convert, running(script(IDLE), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        assert arrived.wait(120)
        child.send(signal.SIGTERM)
        assert child.end() == (-signal.SIGTERM, "", ""), "the time was up, and it said so"
        hanging.set()


@pytest.mark.row
def test_as_pid_1_it_flushes_and_stays(tmp_path: Path) -> None:
    """The kernel ignores SIGTERM's default action for pid 1: what waits is sent, and it goes on."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: install the Debian package util-linux")
    code = script(IDLE.replace("wait()", "sys.stdin.readline()"))
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    with (
        site() as convert,
        program(*unshare, sys.executable, "-c", code, convert.url, KEY, str(tmp_path)) as child,
    ):
        child.hear("ready")
        inside = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        os.kill(int(inside[0]), signal.SIGTERM)
        assert convert.wait_for(100)
        child.complains("pid 1")
        assert child.end("go").status == 0
        assert (len(convert.events), convert.duplicates()) == (100, 0)
