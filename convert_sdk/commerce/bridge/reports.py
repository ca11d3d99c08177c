"""The progress and the result of a pull."""

from __future__ import annotations

from typing import NamedTuple


class SyncProgress(NamedTuple):
    """The progress of one list's pull; `total` is None where the store does not say."""

    source: str
    stream: str
    read: int
    total: int | None


class SyncReport(NamedTuple):
    """The result of a pull: pages, orders in them, conversions new in the ledger, and those refused for their age.

    `unsettled` counts lists that moved however often they were read. What they showed is taken; what may have
    slipped by is read by the next pull, which begins where this one did. `unreadable` counts orders whose id, time,
    state or amount could not be read: they were passed over, and the bridge's `report()` names them.
    """

    pages: int = 0
    orders: int = 0
    new: int = 0
    too_old: int = 0
    unsettled: int = 0
    unreadable: int = 0
