"""What a process that ends does with what still waits."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event

import pytest

from convert_sdk import Client
from tests.processes import finished, running
from tests.reliability.collector import Answer, Received
from tests.reliability.fault_proxy import Fault, FaultProxy
from tests.reliability.site import KEY, site

HEAD = """
import atexit, os, sys, threading
from time import monotonic
from convert_sdk import AsyncClient, Client

url, key = sys.argv[1:3]
options = dict(config_endpoint=url, track_endpoint=url, start_wait=120, shutdown_timeout=120,
               flush_interval=3600.0, batch_size=1_000_000)

def work(client, visitors=10, goals=20, name=""):
    for n in range(visitors):
        visitor = client.visitor(f"v{name}{n}")
        assert all(visitor.track(f"goal-{g}") for g in range(goals))
"""

ENDINGS = {
    "the end of the script": "",
    "an unhandled exception": "raise RuntimeError('unhandled')",
    "sys.exit": "sys.exit(3)",
    "sys.exit in a thread": "t = threading.Thread(target=sys.exit); t.start(); t.join()",
    "SIGINT": "import signal; os.kill(os.getpid(), signal.SIGINT)",
    "a conversion at exit": "atexit.register(lambda: print(client.visitor('late').track('goal-1').reason))",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_queued_is_delivered_at_exit(ending: str) -> None:
    late = ending == "a conversion at exit"
    with site() as convert:
        finished(HEAD + f"client = Client(key, **options)\nwork(client)\n{ENDINGS[ending]}", convert.url, KEY)
        assert len(convert.events) == 200 + late
        assert convert.duplicates() == 0


def test_ten_thousand_queued_events_are_delivered_at_exit() -> None:
    with site() as convert:
        status, _, err = finished(HEAD + "work(client := Client(key, **options), 500)", convert.url, KEY)
        assert (status, err) == (0, "")
        assert len(convert.events) == 10_000
        assert convert.duplicates() == 0


def test_an_asyncio_program_delivers_at_exit() -> None:
    script = """
import asyncio
client = AsyncClient(key, **options)

async def main():
    for n in range(500):
        visitor = await client.visitor(f"v{n}")
        for g in range(20):
            visitor.track(f"goal-{g}")

asyncio.run(main())
"""
    with site() as convert:
        status, _, err = finished(HEAD + script, convert.url, KEY)
        assert (status, err) == (0, "")
        assert len(convert.events) == 10_000
        assert convert.duplicates() == 0


CLOSING = """
client = Client(key, **options | dict(shutdown_timeout=float(sys.argv[3]), spool=sys.argv[4] or None))
work(client, 100)

@atexit.register
def before():
    client.close()
    print(*client.status().events, flush=True)
"""


@pytest.mark.parametrize("spooled", [False, True])
def test_a_black_hole_does_not_keep_the_process(spooled: bool, tmp_path: Path) -> None:
    """Closing gives up by itself, and what was not delivered is accounted for."""
    silent = Event()

    def swallow(_: Received) -> Answer:
        silent.wait(120)
        return Answer(503)

    with site(swallow) as convert:
        status, out, _ = finished(HEAD + CLOSING, convert.url, KEY, "0.3", str(tmp_path) if spooled else "")
        silent.set()
    offered, sent, in_flight, queued, on_disk, dropped, dead, deduplicated = map(int, out.split())
    assert (status, offered, sent, queued, dead, deduplicated) == (0, 2_000, 0, 0, 0, 0)
    assert in_flight + on_disk + dropped == 2_000
    assert (dropped == 0) is spooled
    if spooled:
        with (
            site() as convert,
            Client(
                KEY,
                config_endpoint=convert.url,
                track_endpoint=convert.url,
                start_wait=120,
                spool=str(tmp_path),
            ) as client,
        ):
            client.visitor("next")
        assert not convert.events, "another endpoint's events are not adopted"


def test_a_server_that_never_accepts_does_not_keep_the_process() -> None:
    """A full backlog: the connection is neither made nor refused."""
    with site() as convert, FaultProxy(convert.address, Fault("black_hole")) as proxy:
        script = (
            HEAD
            + "client = Client(key, **options | dict(start_wait=0.1, shutdown_timeout=0.2))\nclient.visitor('v')"
        )
        assert finished(script, proxy.url, KEY)[0] == 0


RESOLVING = """
import socket
answers, patience = int(sys.argv[3]), float(sys.argv[4])
resolve, hung = socket.getaddrinfo, threading.Event()

def getaddrinfo(host, *given, **named):
    global answers
    answers -= host == "localhost"
    if host == "localhost" and answers < 0:
        hung.wait()  # for ever
    return resolve(host, *given, **named)

socket.getaddrinfo = getaddrinfo
client = Client(key, **options | dict(start_wait=patience, shutdown_timeout=patience))
client.visitor("v").track("goal-1")
"""
HANG_UP = """
client.flush(120)
client.visitor("v").track("goal-2")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_resolver_that_hangs_does_not_keep_the_process() -> None:
    with site() as convert:
        url = convert.url.replace("127.0.0.1", "localhost")
        status, _, err = finished(HEAD + RESOLVING, url, KEY, "0", "0.5")
        assert status == 0
        assert "closed: 1 events were not delivered in time and are dropped" in err
        assert not convert.requests


def test_where_the_resolver_hangs_the_last_address_is_tried() -> None:
    with site() as convert:
        url = convert.url.replace("127.0.0.1", "localhost")
        with running(HEAD + RESOLVING + HANG_UP, url, KEY, "1", "120") as process:
            process.hear("ready")
            convert.hang_up()
            assert process.end("go") == (0, "", "")
        assert len(convert.events) == 2


def test_children_of_multiprocessing_deliver_at_exit() -> None:
    script = """
import multiprocessing
client = Client(key, **options)

def child(number):
    work(client, name=number)

if __name__ == "__main__":
    work(client, name="parent")
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(n,)) for n in range(3)]
    for each in children: each.start()
    for each in children: each.join()
    print([each.exitcode for each in children])
"""
    with site() as convert:
        _, out, err = finished(HEAD + script, convert.url, KEY)
        assert (out, err) == ("[0, 0, 0]\n", "")
        assert len(convert.events) == 800
        assert convert.duplicates() == 0


SIGTERM = """
import signal
{before}
client = Client(key, **options)
{after}
work(client)
print(client.status().sigterm, flush=True)
sys.stdin.readline()
"""
EXITS = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"


@pytest.mark.parametrize(
    ("before", "after", "state", "status"),
    [
        ("", "", "installed", -signal.SIGTERM),
        (
            "",
            "other = Client(key, **options); other.visitor('v'); other.close()",
            "installed",
            -signal.SIGTERM,
        ),
        (EXITS, "", "host", 7),
        ("", EXITS, "host", 7),
    ],
)
def test_sigterm_delivers_and_does_what_it_did_before(
    before: str, after: str, state: str, status: int
) -> None:
    script = HEAD + SIGTERM.format(before=before, after=after)
    # The end of its input must not end it before the signal does.
    script = script.replace("sys.stdin.readline()", "while not threading.Event().wait(1): pass")
    with site() as convert, running(script, convert.url, KEY) as process:
        process.hear(state)
        process.send(signal.SIGTERM)
        assert process.end().status == status
        assert len(convert.events) == 200


@pytest.mark.parametrize(
    "after", ["", "client.close(); client = Client(key, flush_on_sigterm=False, **options)"]
)
def test_sigterm_is_left_alone_where_nobody_wants_it(after: str) -> None:
    before = "options |= dict(flush_interval=3600)\n" + (
        "" if after else "options |= dict(flush_on_sigterm=False)"
    )
    script = HEAD + SIGTERM.format(before=before, after=after)
    with site() as convert, running(script, convert.url, KEY) as process:
        process.hear("None")
        process.send(signal.SIGTERM)
        assert process.end() == (-signal.SIGTERM, "", "")
        assert not convert.events


def test_sigterm_that_was_ignored_is_still_ignored() -> None:
    before = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    script = HEAD + SIGTERM.format(before=before, after="")
    with site() as convert, running(script, convert.url, KEY) as process:
        process.hear("host")
        process.send(signal.SIGTERM)
        assert process.end("go") == (0, "", "")
        assert len(convert.events) == 200


def test_only_the_main_thread_can_handle_sigterm() -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    client = pool.submit(Client, key, **options).result()
    pool.submit(client.visitor, "v").result()
    print(client.status().sigterm)
    another = pool.submit(Client, key, **options).result()
another.visitor("v")
print(client.status().sigterm)
"""
    with site() as convert:
        assert finished(HEAD + script, convert.url, KEY) == (0, "not_main_thread\ninstalled\n", "")


CLOSED_BY_A_THREAD = """
from tests.waiting import eventually

client = Client(key, **options)
client.visitor("v")
main, begun = threading.main_thread(), threading.Event()
end = client._worker.runtime.close

def main_waits_in_us():
    frame = sys._current_frames()[main.ident]
    return frame.f_code.co_name == "wait" and "convert_sdk" in frame.f_code.co_filename

def end_slowly(until):
    begun.set()
    eventually(main_waits_in_us)
    end(until)
    print("closed", flush=True)

client._worker.runtime.close = end_slowly
threading.Thread(target=client.close, daemon=True).start()
begun.wait()
"""


def test_the_end_waits_for_a_thread_that_closes_already() -> None:
    """It would be stopped in the middle of writing what waits to the disk."""
    with site() as convert:
        assert finished(HEAD + CLOSED_BY_A_THREAD, convert.url, KEY) == (0, "closed\n", "")


def test_closing_twice_and_closing_unused_clients_is_fine() -> None:
    with site() as convert:
        client = Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120)
        assert client.close() == client.close()
        assert not convert.requests
        used = Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            shutdown_timeout=120,
            flush_interval=3600,
        )
        used.visitor("v").track("goal-1")
        assert used.close().sent == 1
        assert used.close().sent == 0
        late = used.visitor("v").track("goal-2")
        assert not late
        assert used.status().dropped == {"closed": 1}


@pytest.mark.parametrize("spooled", [False, True])
def test_events_in_a_request_without_an_answer_are_told_of(spooled: bool, tmp_path: Path) -> None:
    """The worker has them, and hangs: they are neither delivered nor dropped, nor on disk where there is no spool."""
    arrived, silent = Event(), Event()

    def swallow(_: Received) -> Answer:
        arrived.set()
        silent.wait(120)
        return Answer(503)

    script = """
options |= dict(flush_interval=0.01, shutdown_timeout=0.2)
client = Client(key, spool=sys.argv[3] or None, **options)
client.visitor("v").track("goal-1")
sys.stdin.readline()
"""
    spool = str(tmp_path) if spooled else ""
    with site(swallow) as convert, running(HEAD + script, convert.url, KEY, spool) as process:
        assert arrived.wait(120)
        status, _, err = process.end("go")
        silent.set()
    assert status == 0
    assert ("closed: 1 events were sent and had no answer in time" in err) is not spooled
