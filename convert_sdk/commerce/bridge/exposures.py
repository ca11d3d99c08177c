"""Exposures, kept beyond the end of their experiment, and the outcomes of events."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeGuard
from weakref import WeakSet

from convert_sdk._process.fork import register_after_fork
from convert_sdk.commerce.bridge.conversions import Policy, settled
from convert_sdk.commerce.bridge.ledger import ExposureRecord, LedgerStore, LedgerTransaction, can_be_kept
from convert_sdk.commerce.bridge.orders import OrderSnapshot
from convert_sdk.errors import StoreError
from convert_sdk.observation import Delivered, Exposed, Observation

_MOST_WAITING = 100_000
_recordings: WeakSet[Recording] = WeakSet()
_log = logging.getLogger("convert_sdk")

Observe = Callable[[Observation], None]


def recording(ledger: LedgerStore, *, also: Observe | None = None) -> Observe:
    """An `observe` callback that keeps exposures and deliveries in the ledger, and hands everything on to `also`.

    It writes to the ledger in the client's worker, never in a request (but for `durability="sync"`). What cannot be
    written, as the file is locked or the disk full, is kept and written with the next observation, or by the next
    `tick` of a bridge that was made after this.

    >>> from convert_sdk.commerce.bridge.memory import MemoryLedger
    >>> ledger = MemoryLedger(clock=lambda: 1000.0)
    >>> observe = recording(ledger)
    >>> observe(Exposed("e-1", "v-42", "exp-1", "var-2"))
    >>> with ledger.transaction() as transaction:
    ...     as_of(transaction, "v-42", 1060.0, Policy())
    {'exp-1': 'var-2'}
    """
    return Recording(ledger, also)


class Recording:
    """A callback that writes to a ledger, and keeps what it could not write yet."""

    def __init__(self, ledger: LedgerStore, also: Observe | None) -> None:
        self.ledger = ledger
        self._also = also
        self.reset_after_fork()
        _recordings.add(self)

    def reset_after_fork(self) -> None:
        """Start with nothing that waits: it is the parent's."""
        self._waiting: deque[tuple[Observation, float]] = deque(maxlen=_MOST_WAITING)
        self._is_full = False

    def __call__(self, observation: Observation) -> None:
        """Keep what happened."""
        try:
            if isinstance(observation, Exposed) or _may_be_awaited(observation):
                self._add(observation)
            self.write()
        finally:
            if self._also is not None:
                self._also(observation)

    def _add(self, observation: Exposed | Delivered) -> None:
        if len(self._waiting) == _MOST_WAITING and not self._is_full:
            self._is_full = True
            _log.warning(
                "the bridge's ledger cannot be written: of %d exposures and deliveries that wait for it the oldest"
                " are lost from now on",
                _MOST_WAITING,
            )
        self._waiting.append((observation, self.ledger.clock()))

    def write(self) -> None:
        """Write what waits; what cannot be written now waits on."""
        while True:
            try:
                observation, at = self._waiting.popleft()
            except IndexError:  # another thread may write, too
                self._is_full = False
                return
            try:
                _record(self.ledger, observation, at)
            except StoreError:
                self._waiting.appendleft((observation, at))
                raise


def _may_be_awaited(observation: Observation) -> TypeGuard[Delivered]:
    """True if it tells of a conversion's events: their ids have a dot, those of exposures have none."""
    return isinstance(observation, Delivered) and any("." in each for each in observation.uuids)


def recordings_of(ledger: LedgerStore) -> list[Recording]:
    """The recordings into this ledger, of whichever client."""
    return [each for each in list(_recordings) if each.ledger is ledger]


def _record(ledger: LedgerStore, observation: Observation, at: float) -> None:
    if isinstance(observation, Exposed):
        _, visitor_id, experience_id, variation_id = observation
        with ledger.transaction() as transaction:
            if can_be_kept(visitor_id) and not transaction.is_forgotten(visitor_id):
                transaction.add_exposure(ExposureRecord(visitor_id, experience_id, variation_id, at))
    elif isinstance(observation, Delivered):
        _deliver(ledger, observation)


def _deliver(ledger: LedgerStore, notice: Delivered) -> None:
    # The events of conversions have a dot in their ids, those of exposures have none.
    events = [event for event in notice.uuids if "." in event]
    if not events:
        return
    now = ledger.clock()
    with ledger.transaction() as transaction:
        for event in events:
            conversion = transaction.awaiting(event)
            if conversion is None:
                transaction.note_outcome(event, notice.outcome, now)
            else:
                transaction.keep(settled(conversion, notice.outcome, now, ledger.policy))


def as_of(transaction: LedgerTransaction, visitor_id: str, at: float, policy: Policy) -> Mapping[str, str]:
    """The variations that a visitor had been shown by `at` and within the window, by experience id."""
    found = transaction.exposures(visitor_id, at - policy.window, at + policy.slack)
    return {each.experience_id: each.variation_id for each in found}


def credit_of(
    order: OrderSnapshot, visitor_id: str, transaction: LedgerTransaction, policy: Policy
) -> Mapping[str, str]:
    """The variations that an order is credited to.

    If nobody knows when it was made, only those that were shown before it can have been, to the second.
    """
    if order.earliest is None:
        return as_of(transaction, visitor_id, order.created.timestamp(), policy)
    return as_of(transaction, visitor_id, order.earliest.timestamp(), replace(policy, slack=0.0))


def _after_fork_in_child() -> None:
    for each in list(_recordings):
        each.reset_after_fork()


register_after_fork(_after_fork_in_child)
