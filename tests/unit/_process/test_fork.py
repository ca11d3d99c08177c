from __future__ import annotations

import pytest

from convert_sdk._process import fork
from convert_sdk._process.fork import import_all
from tests.processes import finished


def test_a_child_runs_what_was_registered_once_and_in_order() -> None:
    script = """
import os
from convert_sdk._process.fork import check_pid, fork_marker, register_after_fork

ran, marker = [], fork_marker()
marker[0] = 1
register_after_fork(lambda: ran.append("first"))
register_after_fork(lambda: ran.append("second"))
check_pid()
assert (ran, marker[0]) == ([], 1)
child = os.fork()
if not child:
    check_pid()
    print(*ran, marker[0], flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(*ran, marker[0], status)
"""
    assert finished(script) == (0, "first second 0\n1 0\n", "")


def test_a_fork_without_pythons_hooks_is_noticed_by_the_process_id() -> None:
    script = """
import ctypes, os
from convert_sdk._process.fork import check_pid, fork_marker, register_after_fork

ran, marker = [], fork_marker()
marker[0] = 1
register_after_fork(lambda: ran.append("reset"))
child = ctypes.CDLL(None).fork()
if not child:
    unnoticed = not ran
    check_pid()
    check_pid()
    print(unnoticed, *ran, marker[0], flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert finished(script) == (0, "True reset 0\n", "")


def test_a_fork_waits_for_the_end_of_a_section() -> None:
    script = """
import os, threading
from convert_sdk._process.fork import no_fork

inside, leave, steps = threading.Event(), threading.Event(), []

def section():
    with no_fork():
        inside.set()
        leave.wait()
        import logging
        logging.getLogger("of a module that is imported")  # a fork that had logging's lock already would wait for ever
        steps.append("left")

thread = threading.Thread(target=section)
thread.start()
inside.wait()
os.register_at_fork(before=leave.set)  # asked first, as the last that was registered
child = os.fork()
if not child:
    with no_fork():
        print(*steps, flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
print(status)
"""
    assert finished(script) == (0, "left\n0\n", "")


def test_a_module_of_others_may_be_missing_and_one_of_ours_may_not() -> None:
    import_all(["no_such_module_anywhere", "convert_sdk.errors"])
    with pytest.raises(ImportError):
        import_all([f"{fork.__name__}_of_nobody"])
