"""What a spool promises, against real processes, signals and disks."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convert_sdk._core.events import Event
from convert_sdk._spool.spool import Spool, SpoolCounts
from convert_sdk.errors import SpoolError
from tests.processes import running

OWNER = "10035569/10034190"
NOBODY = 65534


# Appends groups of up to 100 events and says so after each commit; deletes some, as after a delivery.
WRITES = """
import random, sys
from convert_sdk._core.events import Event
from convert_sdk._spool.spool import Spool

spool, life, dice = Spool(sys.argv[1], sys.argv[2]), sys.argv[3], random.Random(sys.argv[3])
spool.recover()
n = 0
while True:
    group = [f"{life}-{n + k}" for k in range(dice.randint(1, 100))]
    n += len(group)
    spool.append([Event(uuid, "visitor", "x" * dice.randint(0, 2000)) for uuid in group])
    print("stored", *group, flush=True)
    gone = group[: len(group) // 3]
    print("leaving", *gone, flush=True)
    spool.delete(gone)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.soak)])
def test_every_acknowledged_event_survives_kill_9(kills: int, tmp_path: Path) -> None:
    dice = random.Random(20_250_101)
    acknowledged: set[str] = set()
    maybe_deleted: set[str] = set()
    heard = 0
    for life in range(kills):
        with running(WRITES, str(tmp_path), OWNER, str(life)) as process:
            for _ in range(dice.randint(2, 40)):
                note(process.hear(), acknowledged, maybe_deleted)
                heard += 1
            process.send(signal.SIGKILL)
            for line in process.lines():
                note(line, acknowledged, maybe_deleted)
    survivor = Spool(tmp_path, OWNER)
    survivor.recover()
    found = [event.uuid for event in survivor.load(10_000_000)]
    assert len(found) == len(set(found))
    assert acknowledged - maybe_deleted <= set(found)
    assert len(acknowledged) >= heard // 2
    assert survivor.counts() == SpoolCounts(events=len(found))
    survivor.close()


def note(line: str, acknowledged: set[str], maybe_deleted: set[str]) -> None:
    word, *uuids = line.split()
    (acknowledged if word == "stored" else maybe_deleted).update(uuids)


ADOPTS = """
import sys
from convert_sdk._spool.spool import Spool

spool = Spool(sys.argv[1], sys.argv[2])
spool.append([])
print("ready", flush=True)
sys.stdin.readline()
print(spool.recover(), flush=True)
print(*(event.uuid for event in spool.load(100_000)), flush=True)
sys.stdin.readline()
"""


def test_several_adopters_get_every_event_once(tmp_path: Path) -> None:
    expected = set()
    for n in range(20):
        orphan = Spool(tmp_path, OWNER)
        uuids = [f"{n}-{k}" for k in range(50)]
        orphan.append([Event(uuid, "visitor", "{}") for uuid in uuids])
        orphan.close()
        expected.update(uuids)
    with (
        running(ADOPTS, str(tmp_path), OWNER) as one,
        running(ADOPTS, str(tmp_path), OWNER) as two,
        running(ADOPTS, str(tmp_path), OWNER) as three,
        running(ADOPTS, str(tmp_path), OWNER) as four,
    ):
        adopters = [one, two, three, four]
        for adopter in adopters:
            adopter.hear("ready")
        for adopter in adopters:
            adopter.say("go")
        brought, found = [], []
        for adopter in adopters:
            brought.append(int(adopter.hear()))
            found += adopter.hear().split()
    assert sum(brought) == len(expected)
    assert sorted(found) == sorted(expected)


def test_an_adopter_killed_on_the_way_loses_nothing(tmp_path: Path) -> None:
    expected = set()
    for n in range(20):
        orphan = Spool(tmp_path, OWNER)
        uuids = [f"{n}-{k}" for k in range(50)]
        orphan.append([Event(uuid, "visitor", "{}") for uuid in uuids])
        orphan.close()
        expected.update(uuids)
    dice = random.Random(7)
    for _ in range(5):
        with running(ADOPTS, str(tmp_path), OWNER) as adopter:
            adopter.hear("ready")
            adopter.say("go")
            files = len(list(tmp_path.rglob("*.db")))
            wanted = max(1, files - dice.randint(1, 5))
            while len(list(tmp_path.rglob("*.db"))) > wanted and adopter.is_running():
                pass
            adopter.send(signal.SIGKILL)
    survivor = Spool(tmp_path, OWNER)
    survivor.recover()
    assert {event.uuid for event in survivor.load(100_000)} == expected
    survivor.close()


# The disk is full at so many bytes per file; then there is room again.
FILLS = """
import resource, sys
from convert_sdk._core.events import Event
from convert_sdk._spool.spool import Spool
from convert_sdk.errors import SpoolError

spool = Spool(sys.argv[1], sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
spool.append([Event("first", "visitor", "{}")])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
stored = ["first"]
try:
    for n in range(10_000):
        spool.append([Event(f"e{n}", "visitor", "x" * 1000)])
        stored.append(f"e{n}")
except SpoolError as error:
    print(error, flush=True)
assert [event.uuid for event in spool.load(100_000)] == stored, "a failed append left something"
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
spool.append([Event("last", "visitor", "{}")])
print(len(stored) + 1, flush=True)
"""


def test_a_full_disk_is_a_spool_error_and_passes(tmp_path: Path) -> None:
    with running(FILLS, str(tmp_path), OWNER) as process:
        status, output, _ = process.end()
    assert status == 0
    said, stored = output.splitlines()
    assert said.startswith("the spool cannot be used")
    assert int(stored) > 50
    after = Spool(tmp_path, OWNER)
    assert after.recover() == int(stored)
    after.close()


def test_no_byte_may_be_written(tmp_path: Path) -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + NO_DISK
    with running(script, str(tmp_path), OWNER) as process:
        assert process.end() == (0, "refused\n", "")


def test_a_read_only_folder_is_a_spool_error() -> None:
    with tempfile.TemporaryDirectory() as folder, without_root(folder):
        Path(folder).chmod(0o500)
        spool = Spool(folder, OWNER)
        with pytest.raises(SpoolError, match="Permission denied"):
            spool.append([Event("1", "visitor", "{}")])
        spool.close()
        Path(folder).chmod(0o700)


NO_DISK = """
import sys
from convert_sdk._core.events import Event
from convert_sdk._spool.spool import Spool
from convert_sdk.errors import SpoolError

spool = Spool(sys.argv[1], sys.argv[2])
try:
    spool.append([Event("1", "visitor", "{}")])
except SpoolError:
    spool.close()
    print("refused")
"""


@contextmanager
def without_root(folder: str) -> Iterator[None]:
    """As another user, for whom permissions bind, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# Forks while a thread appends all the time; every child appends too.
FORKS = """
import os, sys, threading
from convert_sdk._core.events import Event
from convert_sdk._spool.spool import Spool

spool = Spool(sys.argv[1], sys.argv[2])
stop = threading.Event()
written = [0]

def write():
    while not stop.is_set():
        spool.append([Event(f"parent-{written[0]}", "visitor", "{}")])
        written[0] += 1

spool.append([])
thread = threading.Thread(target=write)
thread.start()
children = []
for child in range(8):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for n in range(20):
                spool.append([Event(f"child-{child}-{n}", "visitor", "{}")])
            assert spool.counts().events == 20
            status = 0
        finally:
            os._exit(status)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
assert spool.recover() == 160
print(written[0], flush=True)
os._exit(0)
"""


def test_forks_while_a_thread_appends(tmp_path: Path) -> None:
    with running(FORKS, str(tmp_path), OWNER) as process:
        status, output, _ = process.end()
    assert status == 0
    after = Spool(tmp_path, OWNER)
    after.recover()
    found = sorted(event.uuid for event in after.load(1_000_000))
    children = [f"child-{child}-{n}" for child in range(8) for n in range(20)]
    assert found == sorted([*children, *(f"parent-{n}" for n in range(int(output)))])
    after.close()


def test_threads_that_commit_before_they_return(tmp_path: Path) -> None:
    spool = Spool(tmp_path, OWNER, sync=True)

    def write(name: int) -> None:
        for n in range(25):
            assert spool.append([Event(f"{name}-{n}", "visitor", "{}")]) == 1

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spool.load(1000)) == 200
    spool.close()
