from __future__ import annotations

from collections import deque

from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.forgetting import ForgetRequest
from convert_sdk._delivery.maintenance import Maintenance
from convert_sdk._delivery.queue import DeliveryConfig, EventQueue
from convert_sdk._delivery.store_writer import StoreWriter
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk.status import StoreDeletion


class Raced(deque[ForgetRequest]):
    """Requests that another thread takes off the list in the last moment."""

    def remove(self, value: ForgetRequest) -> None:
        super().remove(value)
        super().remove(value)


def test_two_threads_may_forget_one_visitor() -> None:
    queue = EventQueue(DeliveryConfig(), random=lambda: 0.0)
    maintenance = Maintenance(Engine(VisitorCache(9, stored=False), queue), queue, ())
    request = ForgetRequest("ann", in_spool=False, store=StoreDeletion.NONE)
    maintenance.forgets = Raced([request])
    maintenance.forget_all()
    assert request.done.is_open


def test_two_threads_may_delete_one_visitor_from_the_store() -> None:
    queue = EventQueue(DeliveryConfig(), random=lambda: 0.0)
    engine = Engine(VisitorCache(9, stored=True), queue)
    writer = StoreWriter(engine, queue, lambda *_: None)
    request = ForgetRequest("ann", in_spool=False, store=StoreDeletion.PENDING)
    request.left_queue(0, 0)
    writer.deletions = Raced([request])
    writer.deleted(request, 5)
    assert request.report().store is StoreDeletion.DELETED
