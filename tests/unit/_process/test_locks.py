from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from threading import RLock, Thread

import convert_sdk
from convert_sdk._process.locks import Latch, WakeEvent, held_by_this_thread


def test_a_lock_is_held_by_the_thread_that_took_it_alone() -> None:
    lock, answers = RLock(), []
    with lock, lock:
        assert held_by_this_thread(lock)
        other = Thread(target=lambda: answers.append(held_by_this_thread(lock)))
        other.start()
        other.join()
    assert not held_by_this_thread(lock)
    assert answers == [False]


def test_a_notification_is_kept_for_one_wait() -> None:
    event = WakeEvent()
    assert not event.wait(-1.0)
    event.notify()
    event.notify()
    assert event.wait(float("inf"))
    assert not event.wait(0.0)


def test_a_latch_lets_every_waiting_thread_through_and_stays_open() -> None:
    latch, passed = Latch(), []
    threads = [Thread(target=lambda: passed.append(latch.wait(60.0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert not latch.is_open
    latch.open()
    latch.open()
    for thread in threads:
        thread.join()
    assert passed == [True] * 8
    assert latch.wait(0.0)


def taken_by_name() -> Iterator[str]:
    """The imports of a primitive or a clock out of its module, in what runs inside an application."""
    package = Path(convert_sdk.__file__).parent
    for folder in ("_delivery", "_http", "_process", "_spool", "stores"):
        for path in sorted((package / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module in ("threading", "time", "_thread"):
                    yield f"{folder}/{path.name}:{node.lineno}"


def test_primitives_are_looked_up_when_they_are_used() -> None:
    """gevent and eventlet replace them, at times after our import; tools that freeze the time replace a clock."""
    assert list(taken_by_name()) == []
