"""A process whose threads are greenlets."""

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


def test_gevent_delivers_a_thousand_of_a_thousand() -> None:
    """Nine hundred before a flush, the last hundred at exit."""
    with site() as convert:
        status, out, err = finished(GEVENT, convert.url, KEY)
        assert (status, out, err) == (0, "0\n", "")
        assert len(convert.events) == 1_000
        assert convert.duplicates() == 0
