"""Processes that share a store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convert_sdk.stores import VisitorState
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


FORKS = '''
import os, sys, threading, traceback
from convert_sdk import StoreError
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

kind, where = sys.argv[1:]
store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=20)

def save(changes, attempts=20):
    """As a client does: a file that others have kept busy for a second is tried again."""
    try:
        store.save(changes)
    except StoreError:
        if attempts == 0:
            raise
        save(changes, attempts - 1)

save(Changes("before"))
stop = threading.Event()
written = [0]

def write():
    while not stop.is_set():
        save(Changes(f"parent-{written[0]}"))
        written[0] += 1

thread = threading.Thread(target=write, daemon=True)
thread.start()
for child in range(8):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for n in range(20):
                save(Changes(f"child-{child}-{n}", {"100": "one"}))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
print(written[0])
'''


def where_is(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return str(tmp_path / "visitors.db") if kind == "sqlite" else request.getfixturevalue("redis_url")


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_forks_while_another_thread_writes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = where_is(kind, tmp_path, request)
    command = [sys.executable, "-c", FORKS, kind, where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=5)
    for child in range(8):
        for n in range(20):
            assert store.load(f"child-{child}-{n}") == VisitorState({"100": "one"})
    for n in range(int(done.stdout)):
        assert store.load(f"parent-{n}") is not None
    store.close()


RACE = """
import json, sys
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

kind, where, me = sys.argv[1:]
store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=20)
store.load("nobody")
print("ready", flush=True)
sys.stdin.readline()
for n in range(50):
    won = store.save(Changes(f"racing-{n}", {"100": me}, {"buy": me}))
    print(json.dumps([won.bucketing["100"], won.goals["buy"]]), flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_eight_processes_converge(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = where_is(kind, tmp_path, request)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, kind, where, str(me)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = []
    for racer in racers:
        output, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0
        told.append([tuple(json.loads(line)) for line in output.splitlines()])
    for answers in zip(*told, strict=True):
        assert len(set(answers)) == 1
        variation, claim = answers[0]
        assert sum(claim == str(me) for me in range(8)) == 1
        assert variation in map(str, range(8))
