"""What goes out: effects that are due are claimed, handed to the client, and listened for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING

from convert_sdk._core.goals import ConversionReason, ConversionResult
from convert_sdk.commerce.bridge.effects import (
    DAY,
    Effect,
    Match,
    claimed,
    examined,
    expired,
    refund,
    refused,
    settled,
    unusable,
)
from convert_sdk.commerce.bridge.exposures import credit_of
from convert_sdk.commerce.bridge.identity import Identity, has_objected
from convert_sdk.commerce.bridge.ledger import Entries, LedgerStore, forgotten

if TYPE_CHECKING:
    from convert_sdk.commerce.bridge.reporting import Reporting

_BATCH = 200
_PURGE_EVERY = 3600.0
_log = logging.getLogger("convert_sdk")


class Departures:
    """Takes what is due from the ledger to the client, one turn at a time."""

    def __init__(
        self,
        client: Reporting,
        ledger: LedgerStore,
        identity: Identity,
        on_reversed: Callable[[Effect], object] | None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._identity = identity
        self._on_reversed = on_reversed
        self._owner = token_hex(8)
        self._purge_at = 0.0
        self._renew_at = 0.0
        self._turn = Lock()

    def tick(self) -> int:
        """Do what is due; the number of conversions that were handed to the client."""
        with self._turn:
            now = self._ledger.clock()
            self._renew(now)
            self._purge(now)
            handed = 0
            while True:
                looked_at, ours, reversals = self._claim()
                for effect in reversals:
                    self._tell(effect)
                handed += self._hand_over(ours)
                if looked_at < _BATCH:
                    return handed

    def _claim(self) -> tuple[int, list[Effect], list[Effect]]:
        now = self._ledger.clock()
        with self._ledger.transaction() as entries:
            due = entries.due(now, _BATCH)
        if any(not effect.is_over for effect in due) and not self._is_ready(due[0]):
            return 0, [], []
        ours, reversals = [], []
        with self._ledger.transaction() as entries:
            due = entries.due(now, _BATCH)
            for effect in due:
                if effect.state == "reversed":
                    reversals.append(effect)
                    self._take_back(entries, effect, now)
                    continue
                next_step = self._step(entries, effect, now)
                entries.keep(next_step)
                if next_step.state == "claimed":
                    ours.append(next_step)
        return len(due), ours, reversals

    def _is_ready(self, effect: Effect) -> bool:
        """Whether the client has its document; a conversion that it keeps until then could not be followed."""
        if self._client.project is None:
            self._client.visitor(effect.visitor_id or "-")  # the first visitor starts a client
        return self._client.project is not None

    def _step(self, entries: Entries, effect: Effect, now: float) -> Effect:
        if effect.state == "claimed":
            effect = expired(effect, now, self._ledger.policy)
            if effect.is_over:
                return effect
        match = self._match(effect, entries, now)
        if match is not None and entries.is_forgotten(match.visitor_id):
            return forgotten(effect)
        effect = examined(effect, match, now, self._ledger.policy)
        if effect.state != "seen" or effect.visitor_id is None:
            return effect
        credit = effect.attributed
        if not effect.refund_of:
            credit = credit_of(effect.order, effect.visitor_id, entries, self._ledger.policy)
        return claimed(effect, credit, self._owner, now + self._ledger.policy.lease)

    def _match(self, effect: Effect, entries: Entries, now: float) -> Match | None:
        if not (effect.refund_of and effect.visitor_id and effect.rung):
            return self._identity.match(effect.order, entries, now)
        at = effect.order.created.timestamp()
        off = has_objected(effect.visitor_id, effect.order.clues, entries, at, now)
        return Match(effect.visitor_id, effect.rung, tracking=not off)

    def _take_back(self, entries: Entries, effect: Effect, now: float) -> None:
        entries.keep(replace(effect, due=None))
        if (
            self._ledger.policy.refunds == "negative"
            and effect.revenue is not None
            and effect.visitor_id is not None
        ):
            entries.keep(refund(effect, now))

    def _tell(self, effect: Effect) -> None:
        if self._on_reversed is not None:
            try:
                self._on_reversed(effect)
            except Exception as error:  # noqa: BLE001 - the application's own code; the orders need the rest
                _log.warning("on_reversed raised %s", type(error).__name__)

    def _hand_over(self, ours: Sequence[Effect]) -> int:
        """Give claimed conversions to the client, and note which events to listen for, whatever comes between."""
        results: list[tuple[Effect, ConversionResult | None]] = []
        try:
            for effect in ours:
                results.append((effect, self._track(effect)))  # noqa: PERF401 - kept if the next one fails
        finally:
            if results:
                now = self._ledger.clock()
                with self._ledger.transaction() as entries:
                    for effect, result in results:
                        self._note(entries, effect, result, now)
        return sum(result is not None and result.reason is ConversionReason.ACCEPTED for _, result in results)

    def _track(self, effect: Effect) -> ConversionResult | None:
        """What the client says to it; None for what nobody could report, which must not hold up the others."""
        try:
            return self._client.visitor(effect.visitor_id or "").track(
                effect.goal,
                revenue=effect.revenue,
                products=effect.order.products,
                transaction_id=effect.transaction_id,
                again=True,
                attributed_to=effect.attributed,
            )
        except (TypeError, ValueError) as error:
            _log.warning("a conversion cannot be reported and is dropped: %s", type(error).__name__)
            return None

    def _note(self, entries: Entries, claim: Effect, result: ConversionResult | None, now: float) -> None:
        effect = entries.effect(claim.key)
        if effect is None or effect.state != "claimed" or effect.owner != self._owner:
            return  # the lease ran out meanwhile, or the visitor was forgotten
        if result is None:
            entries.keep(unusable(effect, now))
            return
        if result.reason is not ConversionReason.ACCEPTED:
            entries.keep(refused(effect, result.reason.value, now, self._ledger.policy))
            return
        event = f"{result.uuid}.{result.events - 1}"
        effect = replace(effect, event=event)
        fate = entries.take_fate(event)
        entries.keep(effect if fate is None else settled(effect, fate, now, self._ledger.policy))

    def _renew(self, now: float) -> None:
        """Claims whose events still wait in this process are not lost."""
        if now >= self._renew_at and self._client.status().events.pending:
            self._renew_at = now + self._ledger.policy.lease / 3
            with self._ledger.transaction() as entries:
                entries.renew(self._owner, now + self._ledger.policy.lease)

    def _purge(self, now: float) -> None:
        if now < self._purge_at:
            return
        self._purge_at = now + _PURGE_EVERY
        keep = (
            self._ledger.policy.window
            + self._ledger.policy.max_age
            + self._ledger.policy.max_wait
            + self._ledger.policy.hold_for
        )
        with self._ledger.transaction() as entries:
            entries.purge(links=now, exposures=now - keep, fates=now - DAY)
