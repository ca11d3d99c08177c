"""SIGTERM, as a container's end sends it, wherever it finds the main thread."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from threading import Event

import pytest

from tests.processes import program, running
from tests.reliability.collector import Answer, Received
from tests.reliability.site import KEY, dead, site

TRACKS = """
{first}
import os, sys, threading
from convert_sdk import AsyncClient, Client
from convert_sdk.stores.sqlite import SqliteStore

url, key, folder = sys.argv[1:4]
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
threading.Event().wait()
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
threading.Event().wait()
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


def test_a_process_with_nothing_to_send_ends_at_once(tmp_path: Path) -> None:
    code = 'client = Client(key, **options)\nclient.visitor("v")\nprint("ready", flush=True)\nthreading.Event().wait()'
    with site() as convert, running(script(code), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        assert child.end() == (-signal.SIGTERM, "", "")


def test_what_cannot_be_sent_is_said_in_one_line(tmp_path: Path) -> None:
    body = IDLE.replace("shutdown_timeout=60", "shutdown_timeout=0.5")
    with site(dead) as convert, running(script(body), convert.url, KEY, str(tmp_path)) as child:
        child.hear("ready")
        child.send(signal.SIGTERM)
        status, _, err = child.end()
        assert status == -signal.SIGTERM
        assert len([line for line in err.splitlines() if "100 event" in line]) == 1, err


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


def test_as_pid_1_it_flushes_and_stays(tmp_path: Path) -> None:
    """The kernel ignores SIGTERM's default action for pid 1: what waits is sent, and it goes on."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: install the Debian package util-linux")
    code = script(IDLE.replace("threading.Event().wait()", "sys.stdin.readline()"))
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
