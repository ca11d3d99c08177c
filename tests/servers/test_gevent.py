"""Processes whose threads are greenlets, from the start or from some later moment."""

from __future__ import annotations

import pytest

from tests.processes import finished
from tests.reliability.site import KEY, site

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


@pytest.mark.row
def test_gevent_delivers_a_thousand_of_a_thousand() -> None:
    """Nine hundred before a flush, the last hundred at exit."""
    with site() as convert:
        status, out, err = finished(GEVENT, convert.url, KEY)
        assert (status, out, err) == (0, "0\n", "")
        assert len(convert.events) == 1_000
        assert convert.duplicates() == 0


LATE = """
import sys
from convert_sdk import Client

url, key, library, used = sys.argv[1:5]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, flush_interval=0.05)
if used:
    assert client.visitor("early").track("goal-1")

if library == "gevent":
    from gevent import monkey, sleep, spawn
    monkey.patch_all()
    end = lambda greenlet: greenlet.get()
else:
    import eventlet
    from eventlet import sleep, spawn
    eventlet.monkey_patch()
    end = lambda greenlet: greenlet.wait()

def work(number):
    visitor = client.visitor(f"v{number}")
    sleep(0)
    assert visitor.track("goal-1")

for greenlet in [spawn(work, number) for number in range(100)]:
    end(greenlet)
print(client.flush(120).pending, flush=True)
for number in range(100, 110):
    work(number)
"""


@pytest.mark.row
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_patch_that_comes_late_loses_nothing(library: str, used: bool) -> None:
    """After the client was made, or after its threads have begun: Python itself complains of the end of those."""
    pytest.importorskip(library, reason=f"needs {library}: pip install --group servers")
    with site() as convert:
        status, out, err = finished(LATE, convert.url, KEY, library, "used" if used else "")
        assert (status, out) == (0, "0\n"), err
        assert len(convert.events) == 110 + used
        assert convert.duplicates() == 0
