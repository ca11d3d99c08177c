"""What came of the shop's day, by both ends: the stores' truth and what Convert recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from convert_sdk.server import Conversion, Record, demo_document

EXPERIENCE = "home-story"
"""Whose variations are shown before anybody orders."""


class Purchase(NamedTuple):
    """An order as it really is: whose, and what for. A stranger cannot be known to the bridge."""

    transaction_id: str
    visitor: str
    amount: Decimal
    counts: bool
    stranger: bool


@dataclass(slots=True)
class Share:
    """A variation's part of the day."""

    shoppers: int = 0
    orders: int = 0
    truth: Decimal = Decimal()
    recorded: Decimal = Decimal()

    def add(self, amount: Decimal) -> None:
        """An order that counts."""
        self.orders += 1
        self.truth += amount

    def figures(self) -> dict[str, float]:
        """For JSON."""
        return {
            "shoppers": self.shoppers,
            "orders": self.orders,
            "truth": float(self.truth),
            "recorded": float(self.recorded),
        }


@dataclass(slots=True)
class Outcome:
    """What happened, by both ends."""

    shoppers: int
    shown: Mapping[str, str]
    """Visitors and the variation each was shown before ordering."""
    purchases: list[Purchase]
    record: Record
    steps: list[str] = field(default_factory=list)
    deliveries: int = 0
    books: Mapping[str, object] = field(default_factory=dict)
    synced: Mapping[str, object] = field(default_factory=dict)
    written: Mapping[str, object] = field(default_factory=dict)
    claimed_when_killed: int = 0
    seconds: float = 0.0

    @property
    def recorded(self) -> list[Conversion]:
        """What Convert heard of orders; the bare conversions beside them name none."""
        return [each for each in self.record.events() if isinstance(each, Conversion) and each.goal_data]

    @property
    def expected(self) -> dict[str, Purchase]:
        """Orders that must have become conversions."""
        return {each.transaction_id: each for each in self.purchases if each.counts and not each.stranger}

    def figures(self) -> dict[str, object]:
        """One JSON object."""
        heard = Counter(str(each.goal_data["transactionId"]) for each in self.recorded)
        return {
            "shoppers": self.shoppers,
            "orders": len(self.purchases),
            "orders_that_count": len([each for each in self.purchases if each.counts]),
            "conversions": len(heard),
            "revenue": self.revenue(),
            "duplicates": sum(count > 1 for count in heard.values()),
            "lost": len(self.expected.keys() - heard.keys()),
            "invented": len(heard.keys() - self.expected.keys()),
            "misattributed": self.misattributed(),
            "resent": self.books["resent"],
            "unresolved": len(as_list(self.books["unresolved"])),
            "unresolved_revenue": float(self.unresolved_revenue),
            "webhooks_delivered": self.deliveries,
            "claimed_when_killed": self.claimed_when_killed,
            "found_by_sync": self.synced["new"],
            "convertmax": dict(self.written),
            "seconds": round(self.seconds, 2),
        }

    def revenue(self) -> dict[str, dict[str, float]]:
        """Per variation: who was shown it, their orders that count, what these were worth, and what Convert heard."""
        keys = variations()
        found = {key: Share() for key in sorted(set(self.shown.values()))}
        for key in self.shown.values():
            found[key].shoppers += 1
        for purchase in self.expected.values():
            found[self.shown[purchase.visitor]].add(purchase.amount)
        for each in self.recorded:
            for variation_id in each.bucketing.values():
                share = found.setdefault(keys.get(variation_id, variation_id), Share())
                share.recorded += Decimal(str(each.goal_data["amount"]))
        return {key: share.figures() for key, share in found.items()}

    @property
    def unresolved_revenue(self) -> Decimal:
        """What the orders were worth whose visitor nothing leads to."""
        return sum((each.amount for each in self.purchases if each.counts and each.stranger), Decimal())

    def misattributed(self) -> int:
        """Conversions of another visitor than the buyer, or credited to anything but what was shown before."""
        keys = variations()
        return sum(
            each.visitor_id != purchase.visitor
            or [keys.get(one) for one in each.bucketing.values()] != [self.shown[purchase.visitor]]
            for each in self.recorded
            if (purchase := self.expected.get(str(each.goal_data["transactionId"]))) is not None
        )

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost, doubled or credited wrongly, and the money agrees."""
        figures = self.figures()
        equal = all(each["truth"] == each["recorded"] for each in self.revenue().values())
        strangers = {each.transaction_id for each in self.purchases if each.counts and each.stranger}
        equal = equal and strangers == set(as_list(self.books["unresolved"]))
        return equal and not any(
            figures[name] for name in ("duplicates", "lost", "invented", "misattributed")
        )


def variations() -> dict[str, str]:
    """Variation ids to keys, of the experience whose exposures count."""
    experiences = demo_document()["experiences"]
    found = [each for each in as_list(experiences) if isinstance(each, dict) and each["key"] == EXPERIENCE]
    return {each["id"]: each["key"] for each in found[0]["variations"]}


def as_dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
