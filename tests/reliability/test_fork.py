"""Forks: every process delivers its own, once, and none touches what it inherited."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from pathlib import Path

import pytest
import trustme

from tests.documents import entity, every, leaf
from tests.processes import finished
from tests.reliability.collector import Collector
from tests.reliability.site import DOCUMENT, KEY, experience, serving, site

HEAD = """
import multiprocessing, os, sys, threading
from convert_sdk import AsyncClient, Client

url, key = sys.argv[1:3]
client = Client(key, config_endpoint=url, track_endpoint=url, spool=sys.argv[3] or None, flush_interval=0.05,
                start_wait=120, shutdown_timeout=120)
"""

SAME_VISITOR = """
visitor = client.visitor("shared")
visitor.track("goal-0")
client.flush(120)
pids = []
for n in range(1, 9):
    pid = os.fork()
    if pid == 0:
        assert not visitor.track("goal-0"), "known from the parent"
        assert visitor.track(f"goal-{n}")
        sys.exit(0)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
visitor.track("goal-9")
"""


@pytest.mark.parametrize("spooled", [False, True])
def test_a_visitor_from_before_the_fork_works_in_every_child(spooled: bool, tmp_path: Path) -> None:
    with site() as convert:
        folder = str(tmp_path / "spool") if spooled else ""
        status, out, err = finished(HEAD + SAME_VISITOR, convert.url, KEY, folder)
        assert (status, out, err) == (0, f"{[0] * 8}\n", "")
        assert len(convert.events) == 10
        assert convert.duplicates() == 0
    assert not list(tmp_path.rglob("*.db")), "everything was delivered, so nothing is left"


LOCKED = """
visitor = client.visitor("v")
held = threading.Event()
engine, queue = client._engine, client._worker.runtime.queue

def hold():
    with engine.lock, queue.lock, client._worker._starting, client._worker._connections._lock:
        held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
pid = os.fork()
if pid == 0:
    assert visitor.track("goal-1") and visitor.decide("button-10").variation
    assert client.visitor("w").track("goal-2")
    report = client.flush(120)
    os._exit(0 if (client.status().events.sent, report.pending) == (3, 0) else 1)
print(os.waitpid(pid, 0)[1], flush=True)
os._exit(0)
"""


def test_locks_that_another_thread_holds_at_the_fork_do_not_matter() -> None:
    with site() as convert:
        status, out, err = finished(HEAD + LOCKED, convert.url, KEY, "")
        assert (status, out, err) == (0, "0\n", "")
        assert len(convert.events) == 3


INHERITED = """
client.visitor("parent").track("goal-1")
client.flush(120)
worker = client._worker
http, thread = worker._connections.opened(), worker._sender

def sockets():
    paths = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd")]
    return {name for name in (os.readlink(path) for path in paths if os.path.islink(path)) if "socket" in name}

inherited = sockets()
assert inherited
pid = os.fork()
if pid == 0:
    client.visitor("child").track("goal-1")
    client.flush(120)
    assert inherited <= sockets(), "an inherited connection was closed"
    assert worker._connections.opened() is not http and not http.is_closed
    assert worker._sender is not thread
    os._exit(0)
status = os.waitpid(pid, 0)[1]
client.visitor("parent").track("goal-2")
client.flush(120)
print(status, client.status().retries, client.status().events.sent)
"""


def test_the_parents_connection_is_neither_used_nor_closed() -> None:
    with site() as convert:
        status, out, err = finished(HEAD + INHERITED, convert.url, KEY, "")
        assert (status, out, err) == (0, "0 0 2\n", "")
        assert len(convert.events) == 3


IMPORTING = """
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        fresh = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120)
        fresh.visitor("v").track("goal-1")
        os._exit(0 if fresh.flush(120).pending == 0 and fresh.status().events.sent == 1 else 1)
    if os.waitpid(pid, 0)[1]:
        sys.exit("a child could not deliver")
"""


def test_a_fork_while_the_worker_imports_what_it_needs() -> None:
    early = "threading.Thread(target=client.visitor, args=('early',), daemon=True).start()\n"
    with site() as convert:
        status, _, err = finished(HEAD + early + IMPORTING, convert.url, KEY, "")
        assert (status, err) == (0, "")
        assert len(convert.events) == 20


COMPILING = """
import signal
compiling, may_go = threading.Event(), threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "regex":
            compiling.set()
            may_go.wait(120)

sys.meta_path.insert(0, Slow())
threading.Thread(target=client.start, daemon=True).start()
assert compiling.wait(120)
threading.Timer(0.2, may_go.set).start()  # by then a fork that nothing holds back has happened
pid = os.fork()
if pid == 0:
    may_go.set()
    signal.alarm(60)
    os._exit(0 if client.visitor("v", {"path": "/shop"}).peek("button-10").reason == "bucketed" else 1)
print(os.waitpid(pid, 0)[1])
"""


def test_a_fork_while_the_first_pattern_is_compiled() -> None:
    shop = entity("5", "shop", every(leaf("path", "^/shop", "regexMatches")))
    document = {**DOCUMENT, "experiences": [{**experience(10), "audiences": ["5"]}], "audiences": [shop]}
    with site(body=json.dumps(document).encode()) as convert:
        status, out, err = finished(HEAD + COMPILING, convert.url, KEY, "")
        assert (status, out, err) == (0, "0\n", "")


ASYNC = """
import asyncio
client = AsyncClient(key, config_endpoint=url, track_endpoint=url, start_wait=120, spool=sys.argv[3] or None)

async def main():
    visitor = await client.visitor("v")
    visitor.track("goal-1")
    pid = os.fork()
    if pid == 0:
        return child(visitor)
    await client.flush(120)
    print(os.waitpid(pid, 0)[1], flush=True)

def child(visitor):
    visitor.track("goal-2")
    asyncio._set_running_loop(None)
    async def anew():
        again = await client.visitor("child")
        again.track("goal-1")
        return await client.flush(120)
    report = asyncio.run(anew())
    os._exit(0 if report.pending == 0 and client.status().events.sent == 2 else 1)

asyncio.run(main())
"""


def test_an_asyncio_client_begins_anew_in_the_child() -> None:
    with site() as convert:
        status, out, err = finished(HEAD + ASYNC, convert.url, KEY, "")
        assert (status, out, err) == (0, "0\n", "")
        assert len(convert.events) == 3
        assert convert.duplicates() == 0


UNHEARD = """
from tests.waiting import eventually

client.visitor("early").track("goal-1")
client.flush(120)
client.visitor("parent").track("goal-2")
maintenance = client._worker.runtime.maintenance
spool_sync = maintenance.spool_sync
# A thread that a fork finds in the middle of SQLite would keep its lock in the child for ever.
eventually(lambda: spool_sync is None or len(spool_sync.on_disk) == 1)
with maintenance._disk:
    pass

def child(first):
    first()
    client.visitor("child").track("goal-3")
    report = client.flush(120)
    status = client.status()
    os._exit(0 if status.worker_alive and status.events.sent == status.events.offered == 1 else 1)

statuses = []
for first in (lambda: None, client.status, client.flush):
    pid = os.fork()
    if pid == 0:
        child(first)
    statuses.append(os.waitpid(pid, 0)[1])
pid = os.fork()
if pid == 0:
    sys.exit(0)  # what the parent has queued is not the child's to deliver
print([*statuses, os.waitpid(pid, 0)[1]], client.flush(120).pending)
"""
DEAF = "import logging, os, random, threading\nos.register_at_fork = lambda **hooks: None\n"


@pytest.mark.parametrize("spooled", [False, True])
def test_a_fork_that_runs_none_of_our_hooks_begins_anew_too(spooled: bool, tmp_path: Path) -> None:
    """As when an extension forks in C: its process id alone tells the child."""
    with site() as convert:
        folder = str(tmp_path) if spooled else ""
        # No thread of the parent is at work.
        head = HEAD.replace("flush_interval=0.05", "flush_interval=3600")
        status, out, err = finished(DEAF + head + UNHEARD, convert.url, KEY, folder)
        assert (status, out, err) == (0, "[0, 0, 0, 0] 0\n", "")
        assert Counter(visitor for visitor, _ in convert.events) == {"early": 1, "parent": 1, "child": 3}


AMID = """
import os, sys, threading
from convert_sdk import Client

url, key, authority, children, spool = sys.argv[1:6]
options = {"config_endpoint": url, "track_endpoint": url, "ca_bundle": authority}
options |= {"start_wait": 120, "shutdown_timeout": 120}
client = Client(key, refresh_interval=0.01, flush_interval=0.01, spool=spool or None, **options)
over = threading.Event()

def decide():
    n = 0
    while not over.wait(0.001):
        visitor = client.visitor(f"parent-{n}")
        assert visitor.decide("button-10").variation and visitor.track("goal-1")
        n += 1

def load_certificates():
    while not over.wait(0.001):
        with Client(key, **options) as other:
            other.visitor("other")

threads = [threading.Thread(target=decide), threading.Thread(target=load_certificates)]
for thread in threads:
    thread.start()
statuses = []
for n in range(int(children)):
    pid = os.fork()
    if pid == 0:
        assert client.visitor(f"child-{n}").track("goal-1")
        sys.exit(0)
    statuses.append(os.waitpid(pid, 0)[1])
over.set()
for thread in threads:
    thread.join()
print(sum(statuses), client.flush(120).pending, client.status().events.dropped)
"""


@pytest.mark.parametrize("children", [5, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("spooled", [False, True])
def test_a_fork_amid_decisions_fetches_and_certificates_loses_nothing(
    spooled: bool, children: int, tmp_path: Path
) -> None:
    """Each child delivers its one event over https, in its exit."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    folder = str(tmp_path / "spool") if spooled else ""
    with Collector(serving(), tls=tls) as convert:
        ended = finished(AMID, convert.url, KEY, str(tmp_path / "authority.pem"), str(children), folder)
        # A fetch that a busy machine keeps from its handshake is said, and costs no event.
        assert (ended.status, ended.out) == (0, "0 0 0\n"), ended.err
        arrived = Counter(visitor for visitor, _ in convert.events if visitor.startswith("child-"))
        assert arrived == {f"child-{n}": 1 for n in range(children)}
        assert convert.duplicates() == 0


OFFLINE = """
import os, sys
from convert_sdk import Client, Project
from tests.reliability.site import BODY

client = Client.offline(Project.parse(BODY), lambda body: sys.stdout.write(body.decode() + "\\n"))
client.visitor("parent").track("goal-1")
child = os.fork()
if child == 0:
    client.visitor("child").track("goal-1")
    client.visitor("parent").track("goal-1")
events = client.status().events
client.flush(120)
sys.stdout.flush()
if child:
    assert os.waitpid(child, 0)[1] == 0
assert events.offered == events.queued == 1, events
"""


def test_a_client_without_a_network_leaves_to_the_parent_what_is_its_own() -> None:
    status, out, err = finished(OFFLINE)
    assert (status, err) == (0, "")
    assert Counter(out.count(f'"visitorId":"{name}"') for name in ("parent", "child")) == {1: 2}
