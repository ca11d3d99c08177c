"""A missed signal interrupts the main thread's wait, and nobody else notices that it is watched."""

from __future__ import annotations

from tests.processes import finished

HEAD = """
import os, resource, signal, sys, threading
from convert_sdk._process.signal_monitor import SignalMonitor
from tests.waiting import eventually

handled, looked = [], []

def is_awaited():
    looked.append(True)
    return True

def wakeup_fd():
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        signal.set_wakeup_fd(descriptor)
    return descriptor

def open_files():
    return len(os.listdir("/dev/fd"))

signal.signal(signal.SIGTERM, lambda *_: handled.append(True))
monitor = SignalMonitor(signal.SIGTERM, is_awaited)
before = open_files()
monitor.start()
mine = wakeup_fd()
"""


def test_a_signal_that_was_handled_is_not_sent_again() -> None:
    """Its handler is installed as before, for whoever handled it has put it back: the monitor cannot know."""
    script = """
for times in 1, 2:
    looked.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    eventually(lambda: looked)
    assert len(handled) == times
looked.clear()
os.kill(os.getpid(), signal.SIGTERM)
eventually(lambda: looked)  # what followed from the others is over
assert len(handled) == 3
"""
    assert finished(HEAD + script) == (0, "", "")


def test_a_descriptor_of_an_event_loop_stays_and_ours_may_be_put_back() -> None:
    """As trio and uvloop do, also where we have stopped meanwhile; asyncio takes ours away instead."""
    script = """
reading, writing = os.pipe()
os.set_blocking(writing, False)
assert signal.set_wakeup_fd(writing) == mine
monitor.stop()
assert wakeup_fd() == writing
assert signal.set_wakeup_fd(mine) == writing
signal.set_wakeup_fd(-1)
monitor.start()
assert wakeup_fd() == mine
"""
    assert finished(HEAD + script) == (0, "", "")


def test_nothing_is_watched_where_somebody_else_does() -> None:
    script = """
monitor.stop()
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)
monitor.start()
assert wakeup_fd() == writing
signal.set_wakeup_fd(-1)
signal.signal(signal.SIGWINCH, print)
monitor.start()
assert wakeup_fd() == -1
assert signal.getsignal(signal.SIGWINCH) is print
"""
    assert finished(HEAD + script) == (0, "", "")


def test_it_leaves_nothing_behind() -> None:
    script = """
monitor.start()
assert open_files() == before + 2
monitor.stop()
eventually(lambda: open_files() == before)
assert wakeup_fd() == -1
assert signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL
monitor.stop()
monitor.start()
if os.fork() == 0:
    monitor.reset_after_fork()
    os._exit(open_files() != before or wakeup_fd() != -1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
    assert finished(HEAD + script) == (0, "", "")


def test_without_a_descriptor_nothing_is_watched() -> None:
    script = """
monitor.stop()
eventually(lambda: open_files() == before)
resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    monitor.start()
assert wakeup_fd() == -1
"""
    assert finished(HEAD + script) == (0, "", "")
