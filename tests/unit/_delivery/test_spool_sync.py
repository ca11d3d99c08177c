"""The queue and the spool in step, on a real file."""

from __future__ import annotations

from pathlib import Path

from convert_sdk._core.events import Event, TrackingContext
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue
from convert_sdk._delivery.spool_sync import SpoolSync
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._http.messages import Response
from convert_sdk._spool.spool import Spool
from tests.documents import project

ENDPOINT = Endpoint("https://collector.invalid/track/key", {}, TrackingContext("1", "2"))


def test_a_rejected_row_has_the_answer_that_rejected_it(tmp_path: Path) -> None:
    """And not that of a later request, which came before the row was written."""
    terms = DeliveryConfig(batch_size=1, durable=True, keep_settled=True)
    queue = EventQueue(terms, random=lambda: 0.0)
    queue.set_endpoint(ENDPOINT)
    engine = Engine(VisitorCache(10, stored=False), queue)
    engine.install(project())
    spool = Spool(tmp_path, "owner")
    sync = SpoolSync(spool, engine, queue, capacity=10, report=lambda kind, text: None)
    for name, answer in (("bad", Response(400, {}, b'{"message": "no such goal"}')), ("late", Response(503))):
        queue.offer([Event(name, "v", "{}")], 0.0)
        sync.commit(everything=True)
        assert queue.next_request(1.0) is not None
        queue.handle_response(answer, 1.0)
    sync.settle(queue.stats.settled, 2.0)
    (row,) = spool.rejected()
    assert (row.uuid, row.status, row.message) == ("bad", 400, "no such goal")
    spool.close()
