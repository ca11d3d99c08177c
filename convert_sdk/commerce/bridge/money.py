"""What an order is worth, in money and in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

_LARGEST = 20  # digits that can be rounded; more are no money


def rounded(amount: Decimal | None, digits: int) -> Decimal | None:
    """`amount` to so many digits after the point, half a unit up.

    >>> rounded(Decimal("49.905"), 2)
    Decimal('49.91')
    """
    if amount is None or not amount.is_finite() or amount.adjusted() > _LARGEST:
        return amount
    return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def pieces(quantities: Iterable[int | Decimal | None]) -> int:
    """How many products these are; what is sold by weight or length is one.

    >>> pieces([2, Decimal("0.75"), None])
    3
    """
    return sum(1 if isinstance(each, Decimal) else each or 0 for each in quantities)
