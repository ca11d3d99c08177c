"""Processes that share a store."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from convert_sdk.stores import VisitorState
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import finished, running

FORKS = '''
import os, sys, threading, traceback
from convert_sdk import StoreError
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

kind, where = sys.argv[1:]
store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=120)

def save(changes):
    """As a client does: a file that others have kept busy for a second is tried again."""
    while True:
        try:
            return store.save(changes)
        except StoreError as error:
            if "locked" not in str(error):
                raise

save(Changes("before"))
stop = threading.Event()
written = [0]

def write():
    while not stop.wait(0.001):  # SQLite wakes nobody who waits: a writer without a pause keeps all others out
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


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def test_forks_while_another_thread_writes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = where_is(kind, tmp_path, request)
    status, out, err = finished(FORKS, kind, where)
    assert (status, err) == (0, "")
    store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=120)
    for child in range(8):
        for n in range(20):
            assert store.load(f"child-{child}-{n}") == VisitorState({"100": "one"})
    for n in range(int(out)):
        assert store.load(f"parent-{n}") is not None
    store.close()


RACE = """
import json, sys
from convert_sdk import StoreError
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

kind, where, me = sys.argv[1:]
store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=120)
store.load("nobody")

def save(changes):
    while True:
        try:
            return store.save(changes)
        except StoreError as error:
            if "locked" not in str(error):
                raise

print("ready", flush=True)
sys.stdin.readline()
for n in range(50):
    won = save(Changes(f"racing-{n}", {"100": me}, {"buy": me}))
    print(json.dumps([won.bucketing["100"], won.goals["buy"]]), flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def test_eight_processes_converge(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = where_is(kind, tmp_path, request)
    with ExitStack() as stack:
        racers = [stack.enter_context(running(RACE, kind, where, str(me))) for me in range(8)]
        for racer in racers:
            racer.hear("ready")
        for racer in racers:
            racer.say("go")
        ended = [racer.end() for racer in racers]
    assert {(status, err) for status, _, err in ended} == {(0, "")}
    told = [[tuple(json.loads(line)) for line in out.splitlines()] for _, out, _ in ended]
    for answers in zip(*told, strict=True):
        assert len(set(answers)) == 1
        variation, claim = answers[0]
        assert sum(claim == str(me) for me in range(8)) == 1
        assert variation in map(str, range(8))
