"""A visitor who is to be forgotten: one request, from the call to the end of the last part of it."""

from __future__ import annotations

from convert_sdk._process.locks import Latch
from convert_sdk.status import ForgetReport, StoreDeletion


class ForgetRequest:
    """The parts of one forgetting, each done by whoever owns the place: the spool's thread, the store's, the queue.

    Args:
        visitor_id: The visitor.
        in_spool: True if there is a spool to be searched.
        store: `PENDING` where the store is to be asked; otherwise why it is not.
    """

    def __init__(self, visitor_id: str, *, in_spool: bool, store: StoreDeletion) -> None:
        self.visitor_id = visitor_id
        self.queued = self.spooled = self.in_flight = 0
        self.done = Latch()
        """Open once every part is over."""
        self.tries = 0
        """Errors of the store that were this visitor's alone."""
        self._in_queue = True
        self._in_spool = in_spool
        self._store = store

    def __repr__(self) -> str:
        return f"ForgetRequest({self._store})"

    def left_queue(self, dropped: int, in_flight: int) -> None:
        """Note that the queue is purged."""
        self._in_queue = False
        self.queued += dropped
        self.in_flight = in_flight
        self._check()

    def left_spool(self) -> None:
        """Note that the spool is purged."""
        self._in_spool = False
        self._check()

    def left_store(self, outcome: StoreDeletion) -> None:
        """Note what came of it in the store."""
        self._store = outcome
        self._check()

    def report(self) -> ForgetReport:
        """The figures of this moment."""
        return ForgetReport(self._store, self.queued, self.spooled, self.in_flight)

    def _check(self) -> None:
        if not (self._in_queue or self._in_spool or self._store is StoreDeletion.PENDING):
            self.done.open()


def deletion_of(store: object) -> StoreDeletion:
    """The part of a store in a forgetting that begins: `PENDING` where it is to be asked."""
    if store is None:
        return StoreDeletion.NONE
    return StoreDeletion.PENDING if callable(getattr(store, "delete", None)) else StoreDeletion.UNSUPPORTED
