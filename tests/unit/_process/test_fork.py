from __future__ import annotations

import sys

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


def test_what_is_to_be_waited_for_may_come_while_a_fork_waits() -> None:
    """As where a thread imports the module that resolves names."""
    script = """
import os, threading
from convert_sdk._process.fork import no_fork, register_before_fork

inside, forking, steps = threading.Event(), threading.Event(), []

def section():
    with no_fork():
        inside.set()
        forking.wait()
        register_before_fork(lambda: steps.append("waited"))

threading.Thread(target=section).start()
inside.wait()
os.register_at_fork(before=forking.set)
child = os.fork()
if not child:
    print(*steps, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert finished(script) == (0, "waited\n0\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
def test_a_fork_waits_until_a_thread_of_ours_is_gone() -> None:
    """Its function has returned by then, but its C code still runs and takes locks."""
    script = """
import ctypes, os, time
from convert_sdk._process.threads import daemon_thread
from tests.waiting import eventually

libc = ctypes.CDLL(None)
key, semaphore = ctypes.c_uint(), ctypes.create_string_buffer(64)
# The system calls `sem_wait` at the end of each thread that has a value for this key, with the value.
assert not libc.pthread_key_create(ctypes.byref(key), ctypes.cast(libc.sem_wait, ctypes.c_void_p))
time.sleep = lambda _: libc.sem_post(semaphore)  # the fork that waits lets the thread go

def work():
    assert not libc.pthread_setspecific(key, ctypes.c_void_p(ctypes.addressof(semaphore)))

for _ in range(2):  # the second fork waits for the second thread alone
    assert not libc.sem_init(semaphore, 0, 0)
    thread = daemon_thread("ours", work)
    thread.start()
    eventually(lambda: not thread.is_alive())  # `join` waits for more, from Python 3.13 on
    assert os.path.exists(f"/proc/self/task/{thread.native_id}"), "its end is the thing to be tested"
    child = os.fork()
    if not child:
        os._exit(0)
    print(os.path.exists(f"/proc/self/task/{thread.native_id}"), os.waitpid(child, 0)[1])
"""
    assert finished(script) == (0, "False 0\nFalse 0\n", "")


def test_a_module_of_others_may_be_missing_and_one_of_ours_may_not() -> None:
    import_all(["no_such_module_anywhere", "convert_sdk.errors"])
    with pytest.raises(ImportError):
        import_all([f"{fork.__name__}_of_nobody"])
