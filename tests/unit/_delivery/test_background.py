"""Daemon threads, in the moments in which they start and end."""

from __future__ import annotations

import threading
from threading import Event

import pytest

from convert_sdk._delivery.background import DaemonThread
from tests.waiting import PATIENCE


def test_a_thread_knows_itself_before_its_starter_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may hold the starter up at that moment."""
    knows, looked = list[bool](), Event()

    class Slow(threading.Thread):
        def start(self) -> None:
            super().start()
            assert looked.wait(PATIENCE)

    def body() -> None:
        knows.append(thread.is_current)
        looked.set()

    monkeypatch.setattr(threading, "Thread", Slow)
    thread = DaemonThread("ours", body, on_error=lambda _: None)
    assert thread.start()
    assert knows == [True]
    assert not thread.is_current


def test_one_that_cannot_be_started_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Last(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    errors: list[BaseException] = []
    monkeypatch.setattr(threading, "Thread", Last)
    thread = DaemonThread("ours", lambda: None, on_error=errors.append)
    assert not thread.start()
    thread.join(PATIENCE)
    assert (thread.is_alive, thread.is_current, len(errors)) == (False, False, 1)
