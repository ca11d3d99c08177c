"""Conversions: their data, their rules, and the reasons of their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from json.encoder import encode_basestring_ascii as json_text
from math import isfinite
from typing import NamedTuple

from .events import goal_datum, scalar, to_json
from .javascript import double
from .model import Goal
from .values import plain

DIMENSIONS = range(1, 6)


class ConversionReason(StrEnum):
    """The reason of a `ConversionResult`.

    >>> visitor.track("no such goal").reason is ConversionReason.UNKNOWN_GOAL
    True
    """

    ACCEPTED = "accepted"
    """On its way out: queued, not yet delivered."""
    PENDING = "pending"
    UNKNOWN_GOAL = "unknown_goal"
    NO_RULES = "no_rules"
    """Rule data was given, and there is nothing to hold it against."""
    RULES = "rules"
    """The rule data does not satisfy the goal's rules."""
    DUPLICATE = "duplicate"
    """This visitor's conversion of this goal has been counted."""
    NOTHING_TO_SEND = "nothing_to_send"
    """A repeated conversion without revenue, products, transaction id or dimensions."""
    TRACKING_OFF = "tracking_off"
    PREVIEW = "preview"
    QUEUE_FULL = "queue_full"
    CLOSED = "closed"


class ConversionResult(NamedTuple):
    """The result of `track`; true where the conversion was accepted. Accepted is not delivered.

    >>> if not visitor.track("no such goal"):
    ...     print("not counted")
    not counted
    """

    reason: ConversionReason
    uuid: str | None = None
    """The id of the conversion, which a delivery notice names again."""
    events: int = 0
    """The number of its events: a delivery notice names them `uuid`, a dot and a number from 0 on."""

    def __bool__(self) -> bool:
        return self.reason is ConversionReason.ACCEPTED or self.reason is ConversionReason.PENDING

    def to_dict(self) -> dict[str, object]:
        """Reason, id and number of events as values of JSON."""
        return {"reason": self.reason.value, "uuid": self.uuid, "events": self.events}

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


class ConversionRequest(NamedTuple):
    """The arguments of one call of `track`."""

    data: str | None = None
    """The goal data as JSON."""
    rule_data: object = None
    allow_repeat: bool = False
    attributed_to: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"ConversionRequest(allow_repeat={self.allow_repeat})"


def goal_data(
    revenue: Decimal | float | None = None,
    products: int | None = None,
    transaction_id: str | None = None,
    dimensions: Mapping[int, str] | None = None,
) -> str | None:
    """The goal data of a conversion as JSON; None where nothing was given.

    Raises TypeError or ValueError for what could not be counted: text or NaN as money, a bool as a number.
    """
    data = []
    if revenue is not None:
        data.append(goal_datum("amount", _money(revenue)))
    if products is not None:
        data.append(goal_datum("productsCount", scalar(_whole(products))))
    if transaction_id is not None:
        named = plain(transaction_id)
        if not isinstance(named, str):
            raise TypeError(f"transaction_id must be a str, not {type(transaction_id).__name__}")
        data.append(goal_datum("transactionId", json_text(named)))
    if dimensions is not None:
        data += _dimensions(dimensions)
    return ",".join(data) if data else None


def _dimensions(dimensions: Mapping[int, str]) -> Iterator[str]:
    if not isinstance(dimensions, Mapping):
        raise TypeError(
            f'dimensions must be a mapping such as {{1: "gold"}}, not {type(dimensions).__name__}'
        )
    for name, value in dimensions.items():
        number, text = plain(name), plain(value)
        if isinstance(number, bool) or not isinstance(number, int) or number not in DIMENSIONS:
            raise ValueError(f"dimensions are numbered 1 to 5, not {name!r}")
        if not isinstance(text, str):
            raise TypeError(f"dimension {number} must be a str, not {type(value).__name__}")
        yield goal_datum(f"customDimension{number}", json_text(text))


def attribution(decisions: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Decisions made elsewhere, experience id to variation id. Raises TypeError for what is no mapping of texts."""
    if decisions is None:
        return None
    if not isinstance(decisions, Mapping):
        raise TypeError(f"attributed_to must be a mapping of ids, not {type(decisions).__name__}")
    chosen: dict[str, str] = {}
    for name, value in decisions.items():
        experience_id, variation_id = plain(name), plain(value)
        if not isinstance(experience_id, str) or not isinstance(variation_id, str):
            raise TypeError("attributed_to must map experience ids to variation ids, both as str")
        chosen[experience_id] = variation_id
    return chosen


def _whole(products: object) -> int:
    count = plain(products)
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"products must be an int, not {type(products).__name__}")
    return count


def _money(revenue: object) -> str:
    amount = revenue if type(revenue) in _MONEY else plain(revenue)
    if isinstance(amount, bool) or not isinstance(amount, (int, float, Decimal)):
        raise TypeError(f"revenue must be a Decimal or a number, not {type(revenue).__name__}")
    if not isfinite(double(amount)):
        raise ValueError("revenue must be finite; a NaN or an infinity cannot be counted")
    return (
        str(amount) if isinstance(amount, Decimal) else scalar(amount)
    )  # a finite Decimal's text is JSON too


_MONEY = frozenset({int, float, Decimal})


def refusal(goal: Goal, rule_data: object) -> ConversionReason | None:
    """The reason that rule data gives against a conversion; None where it counts."""
    if goal.rules is None:
        return ConversionReason.NO_RULES
    return None if goal.matches(rule_data) else ConversionReason.RULES
