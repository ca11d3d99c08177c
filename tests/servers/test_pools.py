"""Child processes that end without Python's own exit: pools, Celery's and RQ's workers, bare `os._exit`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, finished, program
from tests.reliability.site import KEY, site
from tests.servers.programs import redis_server

CLIENT = """
import os, sys
from convert_sdk import Client, flush_before_os_exit

# Times for a busy machine; the others are the defaults.
client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    start_wait=60,
    shutdown_timeout=60,
)

def track(name):
    assert client.visitor(f"v{name}").track("goal-1")
"""
POOL = """
from shop import track

if __name__ == "__main__":
    from {module} import Pool
    with Pool(4) as pool:
        pool.map(track, range(200), chunksize=5)
"""
OPT_IN = "flush_before_os_exit()\n"


def site_environ(url: str, folder: Path) -> dict[str, str]:
    return {"SITE": url, "SITE_KEY": KEY, "PYTHONPATH": f"{ROOT}:{folder}"}


@pytest.mark.row
@pytest.mark.parametrize("end", ["", "pool.close(); pool.join()"], ids=["with", "close and join"])
def test_a_pool_of_multiprocessing_loses_nothing(tmp_path: Path, end: str) -> None:
    """Its `with` ends the workers by SIGTERM, unless they have ended before."""
    (tmp_path / "shop.py").write_text(CLIENT)
    (tmp_path / "work.py").write_text(POOL.format(module="multiprocessing") + f"        {end}\n")
    with site() as convert:
        environ = site_environ(convert.url, tmp_path)
        with program(sys.executable, str(tmp_path / "work.py"), env=environ) as work:
            assert work.end().status == 0
        assert convert.wait_for(200)
        assert (len(convert.events), convert.duplicates()) == (200, 0)


MISSED = """
import multiprocessing, os, signal, sys, threading
{module}
from tests.waiting import eventually

def waits_in_c():
    frame = sys._current_frames()[threading.main_thread().ident]
    # In its second line it has left Python for the lock; in its first it may still wait for the interpreter's.
    inside = frame.f_code is hang.__code__ and frame.f_lineno > hang.__code__.co_firstlineno
    state = open(f"/proc/self/task/{{os.getpid()}}/stat").read().rpartition(")")[2].split()[0]
    return inside and state == "S"

def interrupt():
    eventually(waits_in_c)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

def hang(lock):
    lock.acquire()

def work(lock):
    {before}
    threading.Thread(target=interrupt, daemon=True).start()
    hang(lock)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    lock = context.Lock()
    lock.acquire()
    child = context.Process(target=work, args=(lock,), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGTERM
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("before", ["track(1)", ""], ids=["used", "unused"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_signal_that_the_main_thread_has_missed_ends_a_child(
    tmp_path: Path, method: str, before: str
) -> None:
    """Another thread receives it, so that nothing interrupts the lock for which the main thread waits."""
    (tmp_path / "shop.py").write_text(CLIENT)
    (tmp_path / "work.py").write_text(
        MISSED.format(module="from shop import track", method=method, before=before or "pass")
    )
    with site() as convert:
        with program(
            sys.executable, str(tmp_path / "work.py"), env=site_environ(convert.url, tmp_path)
        ) as work:
            assert work.end() == (0, "", "")
        assert len(convert.events) == bool(before)


ENDED_AT_ONCE = """
import multiprocessing, threading
from convert_sdk import Client

client = Client("1001/2002")
context = multiprocessing.get_context("fork")
for _ in range(30):
    child = context.Process(target=threading.Event().wait, daemon=True)
    child.start()
    child.terminate()
    child.join(60)
    assert child.exitcode == -15
"""


def test_a_child_that_is_ended_at_once_ends() -> None:
    """Python forgets a signal with a handler that comes before its first steps in a child; the default action acts."""
    assert finished(ENDED_AT_ONCE) == (0, "", "")


@pytest.mark.row
def test_a_pool_of_billiard_loses_nothing_with_the_opt_in(tmp_path: Path) -> None:
    pytest.importorskip("billiard", reason="needs billiard: pip install --group servers")
    (tmp_path / "shop.py").write_text(CLIENT + OPT_IN)
    (tmp_path / "work.py").write_text(POOL.format(module="billiard"))
    with site() as convert:
        environ = site_environ(convert.url, tmp_path)
        with program(sys.executable, str(tmp_path / "work.py"), env=environ) as work:
            assert work.end().status == 0
        assert convert.wait_for(200)
        assert (len(convert.events), convert.duplicates()) == (200, 0)


@pytest.mark.row
def test_processes_of_billiard_lose_nothing(tmp_path: Path) -> None:
    pytest.importorskip("billiard", reason="needs billiard: pip install --group servers")
    (tmp_path / "shop.py").write_text(CLIENT)
    (tmp_path / "work.py").write_text(
        "from billiard import Process\nfrom shop import track\n"
        "if __name__ == '__main__':\n"
        "    children = [Process(target=track, args=(n,)) for n in range(10)]\n"
        "    [child.start() for child in children]\n"
        "    [child.join() for child in children]\n"
    )
    with site() as convert:
        environ = site_environ(convert.url, tmp_path)
        with program(sys.executable, str(tmp_path / "work.py"), env=environ) as work:
            assert work.end().status == 0
        assert (len(convert.events), convert.duplicates()) == (10, 0)


FORKS = """
for number in range(5):
    if not (pid := os.fork()):
        track(number)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.row
def test_a_bare_os_exit_loses_nothing_with_the_opt_in(tmp_path: Path) -> None:
    with site() as convert:
        ended = finished(CLIENT + OPT_IN + FORKS, env=site_environ(convert.url, tmp_path))
        assert (ended.status, ended.err) == (0, "")
        assert (len(convert.events), convert.duplicates()) == (5, 0)


def test_without_the_opt_in_it_is_said_once(tmp_path: Path) -> None:
    with site() as convert:
        ended = finished(CLIENT + FORKS, env=site_environ(convert.url, tmp_path))
        assert ended.status == 0
        assert ended.err.count("flush_before_os_exit") == 1, ended.err


CELERY = """
from celery import Celery
from shop import track

app = Celery(broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
task = app.task(track, name="track")
"""


@pytest.mark.row
@pytest.mark.parametrize("tasks_per_child", [None, 1, 4, 5])
def test_celery_s_children_lose_nothing(tasks_per_child: int | None, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="needs celery: pip install --group servers")
    tasks = 60
    (tmp_path / "shop.py").write_text(CLIENT)
    (tmp_path / "jobs.py").write_text("import os\n" + CELERY)
    with site() as convert, redis_server() as redis:
        environ = site_environ(convert.url, tmp_path)
        environ["BROKER"] = "redis+socket://" + redis.url.removeprefix("unix://")
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "jobs",
            "worker",
            "--concurrency=2",
            "--loglevel=WARNING",
        ]
        if tasks_per_child is not None:
            command.append(f"--max-tasks-per-child={tasks_per_child}")
        send = (
            "from jobs import task\n"
            f"asked = [task.delay(n) for n in range({tasks})]\n"
            "[each.get(timeout=120) for each in asked]\n"
        )
        with program(*command, "--without-gossip", "--without-mingle", env=environ, is_read=False) as worker:
            assert finished(send, env=environ).status == 0
            worker.send(signal.SIGTERM)
            assert worker.end().status == 0
        assert (len(convert.events), convert.duplicates()) == (tasks, 0)


@pytest.mark.row
def test_rq_s_work_horses_lose_nothing_with_the_opt_in(tmp_path: Path) -> None:
    pytest.importorskip("rq", reason="needs rq: pip install --group servers")
    (tmp_path / "shop.py").write_text(CLIENT + OPT_IN)
    work = (
        "import os, shop\n"
        "from redis import Redis\n"
        "from rq import Queue, Worker\n"
        "store = Redis.from_url(os.environ['BROKER'])\n"
        "queue = Queue(connection=store)\n"
        "[queue.enqueue(shop.track, n) for n in range(8)]\n"
        "Worker([queue], connection=store).work(burst=True)\n"
    )
    with site() as convert, redis_server() as redis:
        environ = {**site_environ(convert.url, tmp_path), "BROKER": redis.url}
        assert finished(work, env=environ).status == 0
        assert (len(convert.events), convert.duplicates()) == (8, 0)
