"""One currency for everything that a ledger counts: amounts of two are never added up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from convert_sdk.commerce.bridge.ledger import LedgerStore, LedgerTransaction
from convert_sdk.commerce.bridge.money import rounded
from convert_sdk.commerce.bridge.orders import OrderSnapshot
from convert_sdk.errors import OptionError

Rate: TypeAlias = Callable[[Decimal, str, datetime], "Decimal | None"]
"""An amount, its currency and the time of its order, to the amount in the ledger's currency; None if unknown.

The ledger is locked while it is called: answer from memory, and wait for no network.
"""

_REMEMBERED = "currency"
_log = logging.getLogger("convert_sdk")


class LedgerCurrency:
    """The currency of a ledger: its policy's, else the one that its sources name, else that of its first order.

    An order in another is converted by `rate`, or waits, and is reported as waiting for its "currency". One that
    could not be converted is tried again every minute.
    """

    def __init__(self, ledger: LedgerStore, named: Iterable[str | None], rate: Rate | None) -> None:
        found = sorted({each.upper() for each in named if each})
        if len(found) > 1 and ledger.policy.currency is None:
            raise OptionError(
                f"the sources name {' and '.join(found)}: give Policy(currency=...), the one to count in"
            )
        self._named = ledger.policy.currency or (found[0] if found else None)
        self._rate = rate
        self._digits = ledger.policy.digits
        self._is_failing = False

    def of(self, transaction: LedgerTransaction, order: OrderSnapshot) -> str | None:
        """The currency that this order is to have; the first order of a ledger may set it."""
        wanted = self._named or transaction.cursor(_REMEMBERED)
        if wanted is None and order.currency and order.amount is not None and "+" not in order.currency:
            wanted = order.currency
            transaction.move_cursor(_REMEMBERED, wanted)
        return wanted

    def is_foreign(self, transaction: LedgerTransaction, order: OrderSnapshot) -> bool:
        """True if an order's amount cannot be added to the others."""
        if order.currency is None or order.amount is None:
            return False
        wanted = self.of(transaction, order)
        return "+" in order.currency or (wanted is not None and order.currency.upper() != wanted.upper())

    def rate_for(self, order: OrderSnapshot) -> Rate | None:
        """The rate to convert an order by; None for the lines of two currencies, which have no sum."""
        return None if "+" in (order.currency or "") else self._rate

    def applied(self, transaction: LedgerTransaction, order: OrderSnapshot) -> OrderSnapshot:
        """The order in the ledger's currency, where it has another and the rate is known."""
        rate = self.rate_for(order)
        if rate is None or order.amount is None or not self.is_foreign(transaction, order):
            return order
        try:
            amount = rounded(rate(order.amount, str(order.currency), order.created), self._digits)
        except Exception as error:  # noqa: BLE001 - the application's own code; the order waits meanwhile
            if not self._is_failing:
                _log.warning("an amount could not be converted, and waits: %s", type(error).__name__)
            self._is_failing = True
            return order
        self._is_failing = False
        if amount is None or not amount.is_finite():
            return order
        return replace(order, amount=amount, currency=self.of(transaction, order))
