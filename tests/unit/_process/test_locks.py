from __future__ import annotations

from threading import RLock, Thread

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
