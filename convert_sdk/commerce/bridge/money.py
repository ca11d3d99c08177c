"""An order's value, in money and in pieces: exact, whatever decimal context the application has set."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, Overflow

_LARGEST = 20  # digits that can be rounded; more are no money
_EXACT = Context(prec=120, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow])


def rounded(amount: Decimal | None, digits: int) -> Decimal | None:
    """`amount` to so many digits after the point, half a unit up.

    >>> rounded(Decimal("49.905"), 2)
    Decimal('49.91')
    """
    if amount is None or not amount.is_finite() or amount.adjusted() > _LARGEST:
        return amount
    return amount.quantize(Decimal(1).scaleb(-digits, _EXACT), context=_EXACT)


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """The sum of amounts; None counts for nothing.

    >>> total([Decimal("0.10"), None, Decimal("0.20")])
    Decimal('0.30')
    """
    found = Decimal()
    for amount in amounts:
        found = found if amount is None else _EXACT.add(found, amount)
    return found


def less(amount: Decimal, *others: Decimal | None) -> Decimal:
    """`amount` without `others`.

    >>> less(Decimal("49.90"), Decimal("4.90"), None)
    Decimal('45.00')
    """
    return _EXACT.subtract(amount, total(others))


def times(price: Decimal | None, quantity: int | Decimal | None) -> Decimal:
    """A line's price for so many pieces.

    >>> times(Decimal("42.99"), 2)
    Decimal('85.98')
    """
    if price is None or quantity is None:
        return Decimal()
    return _EXACT.multiply(price, Decimal(quantity))


def pieces(quantities: Iterable[int | Decimal | None]) -> int:
    """The number of products; what is sold by weight or length is one.

    >>> pieces([2, Decimal("0.75"), None])
    3
    """
    return sum(1 if isinstance(each, Decimal) else each or 0 for each in quantities)
