"""The result of a shop's day, counted at both ends: in the stores, and at Convert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.server import Conversion, Record, demo_document

EXPERIENCE = "home-story"
"""The key of the experience that is decided before anybody orders."""


class Purchase(NamedTuple):
    """An order as it really is. Of an `unidentified` one, nothing tells the bridge which visitor placed it."""

    transaction_id: str
    visitor: str
    amount: Decimal
    counts: bool
    unidentified: bool


@shown_half_made
@dataclass(slots=True)
class VariationRevenue:
    """The shoppers of one variation, their orders, and the revenue at both ends."""

    shoppers: int = 0
    orders: int = 0
    truth: Decimal = Decimal()
    recorded: Decimal = Decimal()

    def add(self, amount: Decimal) -> None:
        """Count one order."""
        self.orders += 1
        self.truth += amount

    def figures(self) -> dict[str, float]:
        """The same as a JSON object."""
        return {
            "shoppers": self.shoppers,
            "orders": self.orders,
            "truth": float(self.truth),
            "recorded": float(self.recorded),
        }


@shown_half_made
@dataclass(slots=True)
class CommerceResult:
    """The figures of both ends, and the steps that led to them."""

    shoppers: int
    variations_shown: Mapping[str, str]
    """Visitor ids to the key of the variation that each was shown before ordering."""
    purchases: list[Purchase]
    record: Record
    steps: list[str] = field(default_factory=list)
    deliveries: int = 0
    ledger_report: Mapping[str, object] = field(default_factory=dict)
    synced: Mapping[str, object] = field(default_factory=dict)
    written: Mapping[str, object] = field(default_factory=dict)
    claimed_when_killed: int = 0
    seconds: float = 0.0

    @property
    def recorded(self) -> list[Conversion]:
        """The conversions that name an order; the ones without goal data name none."""
        return [each for each in self.record.events() if isinstance(each, Conversion) and each.goal_data]

    @property
    def expected(self) -> dict[str, Purchase]:
        """The orders that must have become conversions, by transaction id."""
        return {each.transaction_id: each for each in self.purchases if each.counts and not each.unidentified}

    def figures(self) -> dict[str, object]:
        """One JSON object."""
        recorded = Counter(str(each.goal_data["transactionId"]) for each in self.recorded)
        return {
            "shoppers": self.shoppers,
            "orders": len(self.purchases),
            "orders_that_count": len([each for each in self.purchases if each.counts]),
            "conversions": len(recorded),
            "revenue": self.revenue(),
            "duplicates": sum(count > 1 for count in recorded.values()),
            "lost": len(self.expected.keys() - recorded.keys()),
            "invented": len(recorded.keys() - self.expected.keys()),
            "misattributed": self.misattributed(),
            "resent": self.ledger_report["resent"],
            "unresolved": len(as_list(self.ledger_report["unresolved"])),
            "unresolved_revenue": float(self.unresolved_revenue),
            "webhooks_delivered": self.deliveries,
            "claimed_when_killed": self.claimed_when_killed,
            "found_by_sync": self.synced["new"],
            "convertmax": dict(self.written),
            "seconds": round(self.seconds, 2),
        }

    def revenue(self) -> dict[str, dict[str, float]]:
        """Shoppers, counted orders and revenue at both ends, by variation."""
        keys = variations()
        found = {key: VariationRevenue() for key in sorted(set(self.variations_shown.values()))}
        for key in self.variations_shown.values():
            found[key].shoppers += 1
        for purchase in self.expected.values():
            found[self.variations_shown[purchase.visitor]].add(purchase.amount)
        for each in self.recorded:
            for variation_id in each.bucketing.values():
                share = found.setdefault(keys.get(variation_id, variation_id), VariationRevenue())
                share.recorded += Decimal(str(each.goal_data["amount"]))
        return {key: share.figures() for key, share in found.items()}

    @property
    def unresolved_revenue(self) -> Decimal:
        """The value of the orders whose visitor nothing identifies."""
        return sum((each.amount for each in self.purchases if each.counts and each.unidentified), Decimal())

    def misattributed(self) -> int:
        """Conversions of another visitor than the buyer, or credited to a variation that was not shown before."""
        keys = variations()
        return sum(
            each.visitor_id != purchase.visitor
            or [keys.get(one) for one in each.bucketing.values()] != [self.variations_shown[purchase.visitor]]
            for each in self.recorded
            if (purchase := self.expected.get(str(each.goal_data["transactionId"]))) is not None
        )

    @property
    def is_good(self) -> bool:
        """True if nothing is lost, doubled or credited wrongly, and the revenue agrees."""
        figures = self.figures()
        equal = all(each["truth"] == each["recorded"] for each in self.revenue().values())
        unidentified = {each.transaction_id for each in self.purchases if each.counts and each.unidentified}
        equal = equal and unidentified == set(as_list(self.ledger_report["unresolved"]))
        return equal and not any(
            figures[name] for name in ("duplicates", "lost", "invented", "misattributed")
        )


def variations() -> dict[str, str]:
    """Variation ids to keys, of the experience that is decided first."""
    experiences = demo_document()["experiences"]
    found = [each for each in as_list(experiences) if isinstance(each, dict) and each["key"] == EXPERIENCE]
    return {each["id"]: each["key"] for each in found[0]["variations"]}


def as_dict(value: object) -> dict[str, object]:
    """A dict as it is; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """A list as it is; an empty one for what is none."""
    return value if isinstance(value, list) else []
