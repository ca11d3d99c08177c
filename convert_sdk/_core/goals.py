"""Conversions: their data, their rules, and the reasons of their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from json.encoder import encode_basestring_ascii as json_text
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from .events import goal_datum, scalar, to_json
from .javascript import SAFE_INTEGER, double
from .model import Goal
from .values import copy_mapping, plain

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
    CONSENT = "consent"
    """The visitor has not agreed. Where consent is unknown, it is held, and counts if consent comes."""
    PRIVACY = "privacy"
    """The browser asks not to be tracked, where the project heeds that."""
    BOT = "bot"
    """The visitor is a declared bot."""


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
        """Reason, id and number of events as values of JSON.

        >>> visitor.track("unknown").to_dict()
        {'reason': 'unknown_goal', 'uuid': None, 'events': 0}
        """
        return {"reason": self.reason.value, "uuid": self.uuid, "events": self.events}

    def to_json(self) -> str:
        """The same as JSON text.

        >>> visitor.track("unknown").to_json()
        '{"reason":"unknown_goal","uuid":null,"events":0}'
        """
        return to_json(self.to_dict())


class OverriddenKeys(NamedTuple):
    """The keys that are overridden for a visitor when a conversion happens."""

    experiences: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.experiences or self.features)


class ConversionRequest(NamedTuple):
    """The arguments of one call of `track`."""

    data: str | None = None
    """The goal data as JSON."""
    rule_data: object = None
    allow_repeat: bool = False
    attributed_to: Mapping[str, str] | None = None
    overridden: OverriddenKeys | None = None
    """The keys that were overridden for the visitor; None for none, as nearly always."""

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


class GoalData(NamedTuple):
    """The data of a conversion by name, as `track` was given them."""

    revenue: Decimal | None = None
    products: int | None = None
    transaction_id: str | None = None
    dimensions: Mapping[int, str] = MappingProxyType({})


def read_goal_data(data: Mapping[str, Any]) -> GoalData:
    """The data of a conversion out of the names and values that `goal_data` wrote."""
    amount = data.get("amount")
    return GoalData(
        None if amount is None else Decimal(amount),
        data.get("productsCount"),
        data.get("transactionId"),
        {
            number: data[f"customDimension{number}"]
            for number in DIMENSIONS
            if f"customDimension{number}" in data
        },
    )


def _dimensions(dimensions: Mapping[int, str]) -> Iterator[str]:
    if not isinstance(dimensions, Mapping):
        raise TypeError(
            f'dimensions must be a mapping such as {{1: "gold"}}, not {type(dimensions).__name__}'
        )
    for name, value in copy_mapping(dimensions).items():
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
    for name, value in copy_mapping(decisions).items():
        experience_id, variation_id = plain(name), plain(value)
        if not isinstance(experience_id, str) or not isinstance(variation_id, str):
            raise TypeError("attributed_to must map experience ids to variation ids, both as str")
        chosen[experience_id] = variation_id
    return chosen


def _whole(products: object) -> int:
    count = plain(products)
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"products must be an int, not {type(products).__name__}")
    if abs(count) > SAFE_INTEGER:
        raise ValueError("products must be a number that JSON can carry exactly: at most 2**53")
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
