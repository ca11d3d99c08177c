"""A process whose threads are greenlets."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT, finished
from tests.reliability.site import KEY, site
from tests.servers.programs import free_port, server_program

pytest.importorskip("gevent", reason="needs gevent: pip install --group reliability")

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from convert_sdk import Client

url, key = sys.argv[1:3]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, flush_interval=0.05)

def work(number):
    visitor = client.visitor(f"v{number}")
    gevent.sleep(0)
    for g in range(10):
        assert visitor.track(f"goal-{g}")

gevent.joinall([gevent.spawn(work, n) for n in range(90)], raise_error=True)
report = client.flush(120)
for n in range(90, 100):
    work(n)
print(report.pending)
"""


def test_gevent_delivers_a_thousand_of_a_thousand() -> None:
    """Nine hundred before a flush, the last hundred at exit."""
    with site() as convert:
        status, out, err = finished(GEVENT, convert.url, KEY)
        assert (status, out, err) == (0, "0\n", "")
        assert len(convert.events) == 1_000
        assert convert.duplicates() == 0


PATCHED_LATE = """
import sys
from convert_sdk import Client
PATCH
url, key = sys.argv[1:3]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120)

def work(number):
    visitor = client.visitor(f"v{number}")
    green.sleep(0)
    assert visitor.track("goal-1")

for greenlet in [green.spawn(work, n) for n in range(100)]:
    green.join(greenlet)
print(client.flush(120).pending)
"""
PATCHES = {
    "gevent": """
from gevent import monkey
monkey.patch_all()
import gevent
class green:
    spawn, sleep, join = gevent.spawn, gevent.sleep, staticmethod(lambda g: g.get())
""",
    "eventlet": """
import eventlet
eventlet.monkey_patch()
class green:
    spawn, sleep, join = eventlet.spawn, eventlet.sleep, staticmethod(lambda g: g.wait())
""",
}


@pytest.mark.parametrize("library", PATCHES)
def test_a_library_that_patches_threads_after_our_import(library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}: pip install --group servers")
    with site() as convert:
        script = PATCHED_LATE.replace("PATCH", PATCHES[library])
        status, out, err = finished(script, convert.url, KEY, env={"PYTHONWARNINGS": "ignore"})
        assert (status, out) == (0, "0\n"), err
        assert (len(convert.events), convert.duplicates()) == (100, 0)


PRELOADED = """
import os
from convert_sdk import Client

client = Client(os.environ["SITE_KEY"], config_endpoint=os.environ["SITE"], track_endpoint=os.environ["SITE"])

def app(environ, start_response):
    accepted = client.visitor(environ["PATH_INFO"]).track("goal-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {bool(accepted)}".encode()]
"""


def test_gunicorn_s_gevent_workers_patch_after_a_preload(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="needs gunicorn: pip install --group reliability")
    (tmp_path / "shop.py").write_text(PRELOADED)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "--preload", "--workers=2"]
    command += [f"--bind=127.0.0.1:{port}", "--chdir", str(tmp_path), "--log-level=warning", "shop:app"]
    with site() as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": str(ROOT)}
        with (
            server_program(*command, at=("127.0.0.1", port), env=environ) as gunicorn,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as shop,
            ThreadPoolExecutor(8) as pool,
        ):
            replies = list(pool.map(lambda n: shop.get(f"/v{n}").text.split(), range(200)))
            assert all(accepted == "True" for _, accepted in replies)
            gunicorn.send(signal.SIGTERM)
            gunicorn.end()
        assert (len(convert.events), convert.duplicates()) == (200, 0)
