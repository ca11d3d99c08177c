"""Amounts in the currency of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import OptionError
from convert_sdk.commerce.bridge import MemoryLedger, OrderSnapshot, Policy
from convert_sdk.commerce.bridge.currency import LedgerCurrency
from convert_sdk.commerce.bridge.orders import from_convictional
from convert_sdk.commerce.convictional import BuyerOrder

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def bought(*currencies: str | None) -> OrderSnapshot:
    """An order of one piece for each of these currencies."""
    lines = [
        {"id": str(number), "quantity": 1, "retailPrice": 5, "retailCurrency": each}
        for number, each in enumerate(currencies)
    ]
    record = BuyerOrder.model_validate({"_id": "1", "items": lines})
    order = from_convictional(record, "acme", str)
    assert isinstance(order, OrderSnapshot)
    return order


@pytest.mark.parametrize(
    ("currency", "digits", "amount"), [("JPY", 0, "3224"), ("EUR", 2, "3223.79"), ("KWD", 3, "3223.789")]
)
def test_a_converted_amount_has_the_digits_of_its_currency(currency: str, digits: int, amount: str) -> None:
    ledger = MemoryLedger(policy=Policy(currency=currency, digits=digits))
    order = OrderSnapshot("till", "berlin", "1", AT, paid=True, amount=Decimal(20), currency="USD")
    converted = LedgerCurrency(ledger, [], lambda amount, *_: amount * Decimal("161.18943"))
    with ledger.transaction() as transaction:
        found = converted.applied(transaction, order)
    assert (str(found.amount), found.currency) == (amount, currency)


@pytest.mark.parametrize("digits", [-1, 2.0, "2", None, True])
def test_digits_are_a_number_of_them(digits: Any) -> None:
    with pytest.raises(OptionError, match="digits must be a whole number, 0 or more, not"):
        Policy(digits=digits)


def test_no_rate_is_asked_for_lines_of_two_currencies() -> None:
    ledger = MemoryLedger(policy=Policy(currency="EUR"))

    def rate(amount: Decimal, currency: str, at: datetime) -> Decimal:
        raise AssertionError(currency)

    currency, order = LedgerCurrency(ledger, [], rate), bought("CAD", "USD")
    with ledger.transaction() as transaction:
        assert currency.applied(transaction, order) is order
        assert currency.is_foreign(transaction, order)
    assert currency.rate_for(order) is None


@pytest.mark.parametrize(
    ("lines", "currency"), [(("usd", " USD "), "USD"), (("usd", "CAD"), "CAD+USD"), ((" ", None), None)]
)
def test_a_currency_is_one_however_it_is_spelt(lines: Any, currency: str | None) -> None:
    assert bought(*lines).currency == currency
