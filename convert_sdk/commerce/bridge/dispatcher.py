"""The dispatcher: it claims conversions that are due, hands them to the client, and notes their delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from secrets import token_hex
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

from convert_sdk._core.goals import ConversionReason, ConversionResult
from convert_sdk._process.fork import check_pid, register_after_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.commerce.bridge.conversions import (
    DAY,
    Match,
    OrderConversion,
    claimed,
    examined,
    expired,
    refund,
    refused,
    settled,
    unusable,
)
from convert_sdk.commerce.bridge.currency import LedgerCurrency
from convert_sdk.commerce.bridge.exposures import credit_of, recordings_of
from convert_sdk.commerce.bridge.identity import Identity, has_objected
from convert_sdk.commerce.bridge.ledger import LedgerStore, LedgerTransaction, forgotten
from convert_sdk.commerce.bridge.reporting import mark_reported

if TYPE_CHECKING:
    from convert_sdk.commerce.bridge.reporting import Reporting

_BATCH = 200
_PURGE_EVERY = 3600.0
_dispatchers: WeakSet[Dispatcher] = WeakSet()
_WHY = {
    **{reason: reason.value.replace("_", " ") for reason in ConversionReason},
    ConversionReason.PENDING: "kept until the document arrives",
    ConversionReason.NO_RULES: "the goal has no rules",
    ConversionReason.CLOSED: "the client is closed",
}
"""The ledger's words for conversions that the client did not take; they stay as files have them."""
_log = logging.getLogger("convert_sdk")


class _Claims(NamedTuple):
    """The conversions of one look at the ledger."""

    looked_at: int = 0
    """The number of those that were due."""
    ours: Sequence[OrderConversion] = ()
    """Claimed by this process, to be handed to the client."""
    reported: Collection[str] = ()
    """The keys of those of visitors for whom Convert has a conversion of the same goal already.

    A client without a store does not know what the process before it reported.
    """
    reversals: Sequence[OrderConversion] = ()
    """Cancelled or refunded after they were sent, to be told of."""


class _HandedOver(NamedTuple):
    """A claim that the client was given, and its answer; None for what nobody could report."""

    claim: OrderConversion
    result: ConversionResult | None


class Dispatcher:
    """Takes what is due from the ledger to the client, one turn at a time."""

    def __init__(
        self,
        client: Reporting,
        ledger: LedgerStore,
        identity: Identity,
        on_reversed: Callable[[OrderConversion], object] | None,
        currency: LedgerCurrency,
    ) -> None:
        self._currency = currency
        self._client = client
        self._ledger = ledger
        self._identity = identity
        self._on_reversed = on_reversed
        self._recordings = recordings_of(ledger)
        self._purge_at = 0.0
        self._renew_at = 0.0
        self.reset_after_fork()
        _dispatchers.add(self)

    def reset_after_fork(self) -> None:
        """Be an owner of one's own: the claims before the fork are the parent's, and so is what it handed over."""
        self._owner = token_hex(8)
        self._turn = RLock()
        self._unnoted: list[_HandedOver] = []

    def tick(self) -> int:
        """Do what is due; the number of conversions that were handed to the client."""
        check_pid()
        if held_by_this_thread(self._turn):
            return 0  # a signal came in the middle of a turn, which goes on afterwards
        handed = 0
        while True:
            claims = _Claims()
            try:
                with self._turn:
                    self._catch_up()
                    claims = self._claim()
                    handed += self._hand_over(claims)
            finally:
                # After the turn, as the application may use the bridge in it, or wait for a thread that does.
                for conversion in claims.reversals:
                    self._tell(conversion)
            # Of reversals something may be due to be taken back.
            if claims.looked_at < _BATCH and not claims.reversals:
                return handed

    def _catch_up(self) -> None:
        """Write what the ledger could not take before, so that nothing is claimed that is on its way or has arrived."""
        for recording in self._recordings:
            recording.write()
        self._note_all()
        now = self._ledger.clock()
        self._renew(now)
        self._purge(now)

    def _claim(self) -> _Claims:
        now = self._ledger.clock()
        with self._ledger.transaction() as transaction:
            due = transaction.due(now, _BATCH)
        if any(not conversion.is_over for conversion in due) and not self._is_ready(due[0]):
            return _Claims()
        ours, reversals, reported = [], [], set()
        with self._ledger.transaction() as transaction:
            due = transaction.due(now, _BATCH)
            for conversion in due:
                if conversion.state in ("reversed", "sent"):
                    reversals.append(conversion)
                    self._take_back(transaction, conversion, now)
            if (
                reversals
            ):  # told before anything is handed over, which may take long, and the process may die in it
                return _Claims(len(due), reversals=reversals)
            for conversion in due:
                next_step = self._step(transaction, conversion, now)
                transaction.keep(next_step)
                if next_step.state == "claimed":
                    ours.append(next_step)
                    if transaction.has_reported(next_step.visitor_id or "", next_step.goal):
                        reported.add(next_step.key)
        return _Claims(len(due), ours, reported, reversals)

    def _is_ready(self, conversion: OrderConversion) -> bool:
        """True if the client has its document; a conversion that it keeps until then could not be followed."""
        if self._client.project is None:
            self._client.visitor(conversion.visitor_id or "-")  # the first visitor starts a client
        return self._client.project is not None

    def _step(
        self, transaction: LedgerTransaction, conversion: OrderConversion, now: float
    ) -> OrderConversion:
        if conversion.state == "claimed":
            conversion = expired(conversion, now, self._ledger.policy)
            if conversion.is_over:
                return conversion
        match = self._match(conversion, transaction, now)
        if match is not None and transaction.is_forgotten(match.visitor_id):
            return forgotten(conversion)
        if not conversion.refund_of:
            order = self._currency.applied(transaction, conversion.order)
            conversion = conversion if order is conversion.order else replace(conversion, order=order)
        foreign = not conversion.refund_of and self._currency.is_foreign(transaction, conversion.order)
        has_rate = self._currency.rate_for(conversion.order) is not None
        conversion = examined(
            conversion, match, now, self._ledger.policy, foreign=foreign, retry_rate=has_rate
        )
        if conversion.state != "seen" or conversion.visitor_id is None:
            return conversion
        credit = conversion.attributed
        if not conversion.refund_of:
            credit = credit_of(conversion.order, conversion.visitor_id, transaction, self._ledger.policy)
        return claimed(conversion, credit, self._owner, now + self._ledger.policy.lease)

    def _match(self, conversion: OrderConversion, transaction: LedgerTransaction, now: float) -> Match | None:
        if not (conversion.refund_of and conversion.visitor_id and conversion.match_source):
            return self._identity.match(conversion.order, transaction, now, self._ledger.policy.slack)
        at = conversion.order.created.timestamp()
        off = has_objected(conversion.visitor_id, conversion.order.identity_keys, transaction, at, now)
        return Match(conversion.visitor_id, conversion.match_source, tracking=not off)

    def _take_back(self, transaction: LedgerTransaction, conversion: OrderConversion, now: float) -> None:
        after = replace(conversion, due=None)
        if self._ledger.policy.refunds == "negative" and conversion.visitor_id is not None:
            given_back = refund(after, now)
            after = given_back.after
            if given_back.taking is not None:
                transaction.keep(given_back.taking)
        transaction.keep(after)

    def _tell(self, conversion: OrderConversion) -> None:
        if self._on_reversed is not None:
            try:
                self._on_reversed(conversion)
            except Exception as error:  # noqa: BLE001 - the application's own code; the orders need the rest
                _log.warning("on_reversed raised %s", type(error).__name__)

    def _hand_over(self, claims: _Claims) -> int:
        """Give claimed conversions to the client, and note which events to listen for, whatever comes between."""
        accepted = 0
        try:
            for conversion in claims.ours:
                result = self._track(conversion, repeated=conversion.key in claims.reported)
                self._unnoted.append(_HandedOver(conversion, result))
                accepted += result is not None and result.reason is ConversionReason.ACCEPTED
        finally:
            self._note_all()
        return accepted

    def _track(self, conversion: OrderConversion, *, repeated: bool) -> ConversionResult | None:
        """The client's answer to it; None for what nobody could report, which must not hold up the others."""
        try:
            visitor, goal = self._client.visitor(conversion.visitor_id or ""), conversion.goal
            if repeated:
                mark_reported(visitor, goal)
            return visitor.track(
                goal if isinstance(goal, str) else None,
                goal_id=None if isinstance(goal, str) else goal,
                revenue=conversion.revenue,
                products=conversion.order.products,
                transaction_id=conversion.transaction_id,
                allow_repeat=True,
                attributed_to=conversion.attributed,
            )
        except (TypeError, ValueError) as error:
            _log.warning("a conversion cannot be reported and is dropped: %s", type(error).__name__)
            return None

    def _note_all(self) -> None:
        """Write the client's answers; those that cannot be written are kept, and come before the next claim."""
        if self._unnoted:
            now = self._ledger.clock()
            with self._ledger.transaction() as transaction:
                for claim, result in self._unnoted:
                    self._note(transaction, claim, result, now)
            self._unnoted = []

    def _note(
        self,
        transaction: LedgerTransaction,
        claim: OrderConversion,
        result: ConversionResult | None,
        now: float,
    ) -> None:
        conversion = transaction.conversion(claim.key)
        if conversion is None or conversion.state != "claimed" or conversion.owner != self._owner:
            return  # the lease ran out meanwhile, or the visitor was forgotten
        if result is None:
            transaction.keep(unusable(conversion, now))
            return
        if result.reason is not ConversionReason.ACCEPTED:
            transaction.keep(refused(conversion, _WHY[result.reason], now, self._ledger.policy))
            return
        event = f"{result.uuid}.{result.events - 1}"
        # The lease begins anew: what could not be written for a while may have arrived, and not have been told of yet.
        conversion = replace(conversion, event=event, due=now + self._ledger.policy.lease)
        outcome = transaction.take_outcome(event)
        transaction.keep(
            conversion if outcome is None else settled(conversion, outcome, now, self._ledger.policy)
        )

    def _renew(self, now: float) -> None:
        """Claims whose events still wait in this process are not lost."""
        if now >= self._renew_at and self._client.status().events.pending:
            with self._ledger.transaction() as transaction:
                transaction.renew(self._owner, now + self._ledger.policy.lease)
            self._renew_at = now + self._ledger.policy.lease / 3

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
        with self._ledger.transaction() as transaction:
            transaction.purge(links=now, exposures=now - keep, outcomes=now - DAY)


def _after_fork_in_child() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher.reset_after_fork()


register_after_fork(_after_fork_in_child)
