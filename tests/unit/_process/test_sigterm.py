"""The handler of SIGTERM, and what it does around a fork."""

from __future__ import annotations

from tests.processes import finished

BLOCKED = """
import os, signal, sys
from itertools import count
from convert_sdk._process.sigterm import Sigterm

sigterm = Sigterm(lambda _: None)
sigterm.install()

class Interrupted(Exception):
    pass

def raise_at(number):
    lines = count(1)
    def trace(frame, event, _):
        if event == "line" and frame.f_code.co_filename.endswith("sigterm.py") and next(lines) == number:
            sys.settrace(None)
            raise Interrupted
        return trace
    sys.settrace(trace)

def around_a_fork(number):
    interrupted = 0
    raise_at(number)
    for step in sigterm.block_for_fork, sigterm.unblock_after_fork:
        try:
            step()
        except Interrupted:
            interrupted = 1
    sys.settrace(None)
    return interrupted

interrupted = 0
for number in count(1):
    again = around_a_fork(number)
    around_a_fork(0)  # the next fork at the latest
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, []), number
    if not again:
        break
    interrupted += 1
assert interrupted > 5, interrupted
"""


def test_a_handler_that_raises_around_a_fork_leaves_no_signal_blocked() -> None:
    """As that of SIGINT does: Python goes on with the fork. The next one, at the latest, lets the signal come."""
    assert finished(BLOCKED) == (0, "", "")
