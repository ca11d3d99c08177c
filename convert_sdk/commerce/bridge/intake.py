"""The way of orders into the ledger: each makes a conversion for every goal that it counts for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, cast

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce.bridge.conversions import OrderConversion, folded, key_of, seen
from convert_sdk.commerce.bridge.currency import LedgerCurrency
from convert_sdk.commerce.bridge.cursors import Read
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.ledger import LedgerStore, LedgerTransaction, forgotten
from convert_sdk.commerce.bridge.orders import OrderSnapshot, UnreadableOrder, previous_window
from convert_sdk.commerce.bridge.reports import SyncReport
from convert_sdk.commerce.website.webhooks import FORM_WINDOW
from convert_sdk.errors import OptionError

Goal = str | int
GoalMap: TypeAlias = "Mapping[str, Goal] | Mapping[int, Goal] | Mapping[str | int, Goal]"

_log = logging.getLogger("convert_sdk")


@shown_half_made
@dataclass(frozen=True, slots=True)
class Goals:
    """The goals (keys as text, ids as int) that orders, bookings and forms count for.

    `bookings` maps the id of a booking's event, or else of its service, as a number or a text, `forms` the name of a
    form; "*" is any other.

    >>> Goals("purchase", forms={"Contact us": "lead"}).of_kind("form", "Contact us")
    ('lead',)
    """

    orders: Goal | Sequence[Goal] = ()
    bookings: GoalMap = field(default_factory=dict)
    forms: GoalMap = field(default_factory=dict)

    def __post_init__(self) -> None:
        for goal in self.of_kind("order"):
            _check_goal("orders", goal)
        for name in ("bookings", "forms"):
            object.__setattr__(self, name, _by_text(name, getattr(self, name)))

    def of_kind(self, kind: str, *topics: str) -> tuple[Goal, ...]:
        """The goals of one happening, by the first of its topics that has one."""
        if kind == "order":
            orders = self.orders
            return (
                tuple(orders) if isinstance(orders, Sequence) and not isinstance(orders, str) else (orders,)
            )
        table = cast("Mapping[str, Goal]", self.bookings if kind == "booking" else self.forms)
        return tuple(table[each] for each in (*topics, "*") if each in table)[:1]


def _by_text(name: str, given: object) -> dict[str, Goal]:
    """A goal map with texts as keys. Raises OptionError for what no happening or no goal is called."""
    if not isinstance(given, Mapping):
        raise OptionError(f"{name}: expected a mapping of ids or names to goals, not {type(given).__name__}")
    found: dict[str, Goal] = {}
    for key, goal in given.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise OptionError(f"{name}: expected ids or names as keys, not {type(key).__name__}")
        text = key if isinstance(key, str) else str(key)
        if text in found:
            raise OptionError(f"{name}: {text!r} is there as a number and as a text: give it once")
        found[text] = _check_goal(f"{name}[{key!r}]", goal)
    return found


def _check_goal(name: str, goal: object) -> Goal:
    """The goal. Raises OptionError for what is none."""
    if isinstance(goal, bool) or not isinstance(goal, str | int):
        raise OptionError(f"{name}: expected the key (str) or id (int) of a goal, not {type(goal).__name__}")
    return goal


class Recorded(NamedTuple):
    """A conversion, and whether it is new in the ledger."""

    conversion: OrderConversion
    is_new: bool


class OrderIntake:
    """Puts orders into a ledger; what becomes of their conversions is the dispatcher's.

    Args:
        ledger: The ledger.
        goals: The goals that orders count for.
        identity: Finds the visitor of an order, so that nothing is kept of one who was forgotten.
        currency: Brings amounts to the ledger's currency.
    """

    def __init__(
        self, ledger: LedgerStore, *, goals: Goals, identity: Identity, currency: LedgerCurrency
    ) -> None:
        self.ledger = ledger
        self.goals = goals
        self.identity = identity
        self._currency = currency

    def record(
        self, transaction: LedgerTransaction, order: OrderSnapshot, *, allow_late: bool = False
    ) -> list[Recorded]:
        """Put an order into the ledger, in the caller's transaction: its conversions, and whether they are new."""
        now, policy = self.ledger.clock(), self.ledger.policy
        transaction.note_readable(order.transaction_id)
        order = self._currency.applied(transaction, order)
        found = []
        for goal in self.goals.of_kind(order.kind, order.topic, order.service):
            known = _conversion_of(transaction, goal, order)
            again = order
            if known is None and (before := previous_window(order)) is not None:
                known = _recent(_conversion_of(transaction, goal, before), now)
                again = before
            if known is None:
                conversion = seen(goal, order, now, policy, allow_late=allow_late)
            else:
                conversion = folded(known, again, now, allow_late=allow_late)
            if conversion != known and self._is_forgotten(transaction, conversion, now):
                conversion = forgotten(conversion)
            if conversion != known:
                transaction.keep(conversion)
            found.append(Recorded(conversion, known is None))
        return found

    def keep(self, transaction: LedgerTransaction, read: Read, *, allow_late: bool = False) -> SyncReport:
        """Put what was read into the ledger, in the caller's transaction, and count it."""
        self.note_unreadable(transaction, read.unreadable)
        found = [
            each for order in read.orders for each in self.record(transaction, order, allow_late=allow_late)
        ]
        new = [each.conversion for each in found if each.is_new]
        return SyncReport(
            orders=len(read.orders),
            new=len(new),
            too_old=sum(each.reason == "too old" for each in new),
            unsettled=int(read.unsettled),
            unreadable=len(read.unreadable),
        )

    def note_unreadable(self, transaction: LedgerTransaction, orders: Sequence[UnreadableOrder]) -> None:
        """Note orders that cannot be read, and warn of each once."""
        for each in orders:
            if transaction.note_unreadable(each.name, ", ".join(each.places), self.ledger.clock()):
                _log.warning("an order cannot be read and is passed over: %s", each)

    def _is_forgotten(self, transaction: LedgerTransaction, conversion: OrderConversion, now: float) -> bool:
        if conversion.is_over:
            return False
        match = self.identity.match(conversion.order, transaction, now, self.ledger.policy.slack)
        return match is not None and transaction.is_forgotten(match.visitor_id)


def _conversion_of(
    transaction: LedgerTransaction, goal: Goal, order: OrderSnapshot
) -> OrderConversion | None:
    return transaction.conversion(key_of(goal, order))


def _recent(conversion: OrderConversion | None, now: float) -> OrderConversion | None:
    """A form's conversion, if it may be the same form's, sent again around the end of a window."""
    return None if conversion is None or now - conversion.first_seen >= FORM_WINDOW else conversion
