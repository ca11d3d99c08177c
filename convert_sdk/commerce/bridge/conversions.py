"""The steps of one order for one goal, from first sight to sent; all of them pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Literal, NamedTuple, TypeAlias

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce.bridge.money import less
from convert_sdk.commerce.bridge.orders import UNKNOWN, OrderSnapshot
from convert_sdk.errors import OptionError
from convert_sdk.status import EventOutcome

DAY = 86_400.0
NOTHING = Decimal(0)
_AGAIN_AFTER = 60.0
_UNDATED = 600.0

State: TypeAlias = Literal["seen", "waiting", "claimed", "sent", "reversed", "dropped"]
REPORTED = frozenset({"sent", "reversed"})
"""States of a conversion that Convert has."""
MatchSource: TypeAlias = Literal["token", "order", "reference", "member", "contact", "email"]


@shown_half_made
@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by which conversions are sent; times in seconds.

    `hold_for` delays a conversion after its order's creation, so that an early cancellation costs nothing.
    `max_wait` is how long an order waits for its payment, and one whose visitor is unknown for a link. `max_age`
    is how old an order may be at first sight, as Convert counts it when it arrives. After `lease` without news
    of a delivery a claim is `on_ambiguous` sent again under the same transaction id, or dropped. `window` is how
    long an exposure is credited, `slack` by how much it may seem to come after its order (clocks differ, and
    stores count whole seconds). `refunds`: "ignore" sends nothing, "negative" sends a negative amount, which
    nobody has verified that Convert understands. `currency` is the one to count in (an ISO 4217 code); by default
    the one that the sources name, or that of the first order. An amount that a rate converts gets its number of
    `digits` after the point: 0 for JPY, 3 for KWD.
    """

    hold_for: float = 0.0
    max_wait: float = 7 * DAY
    max_age: float = 7 * DAY
    lease: float = 600.0
    on_ambiguous: Literal["resend", "drop"] = "resend"
    window: float = 30 * DAY
    slack: float = 2.0
    refunds: Literal["ignore", "negative"] = "ignore"
    currency: str | None = None
    digits: int = 2

    def __post_init__(self) -> None:
        if self.lease == 0:
            raise OptionError("lease must be more than 0 seconds: a delivery takes some")
        for name in ("hold_for", "max_wait", "max_age", "lease", "window", "slack"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} must be seconds, 0 or more, not {getattr(self, name)!r}")
        if self.on_ambiguous not in ("resend", "drop"):
            raise OptionError(f'on_ambiguous must be "resend" or "drop", not {self.on_ambiguous!r}')
        if self.refunds not in ("ignore", "negative"):
            raise OptionError(f'refunds must be "ignore" or "negative", not {self.refunds!r}')
        if type(self.digits) is not int or self.digits < 0:
            raise OptionError(f"digits must be a whole number, 0 or more, not {self.digits!r}")


class Match(NamedTuple):
    """The visitor of an order, the source of the match, and the visitor's consent to be reported."""

    visitor_id: str
    match_source: MatchSource
    tracking: bool = True

    def __repr__(self) -> str:
        return f"Match({self.match_source!r})"


@shown_half_made
@dataclass(frozen=True, slots=True)
class OrderConversion:
    """One order's conversion for one goal: `key` is the goal and the transaction id.

    `due` is when it needs looking at (None: when something happens), `event` the id of its last event on its
    way to Convert, `amount` what was handed over with it, `since` when its present reason began, `resent` how
    often its delivery stayed unknown.
    """

    key: str
    goal: str | int
    order: OrderSnapshot
    state: State
    first_seen: float
    since: float
    reason: str = ""
    due: float | None = None
    visitor_id: str | None = field(default=None, repr=False)
    match_source: MatchSource | None = None
    attributed: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    event: str | None = None
    amount: Decimal | None = None
    resent: int = 0
    sent_at: float | None = None
    refund_of: str | None = None
    given_back: Decimal = NOTHING
    taken_back: Decimal = NOTHING
    refunds: int = 0

    @property
    def revenue(self) -> Decimal | None:
        """The amount to report: negative for a refund."""
        amount = self.order.amount
        return amount.copy_negate() if amount is not None and self.refund_of else amount

    @property
    def transaction_id(self) -> str:
        """The name of it to Convert."""
        return self.order.transaction_id + self.key.removeprefix(self.refund_of or self.key)

    @property
    def is_over(self) -> bool:
        """True if nothing more will be sent."""
        return self.state in ("sent", "reversed", "dropped")


def key_of(goal: str | int, order: OrderSnapshot) -> str:
    """The ledger's key of an order's conversion."""
    return f"{goal}|{order.transaction_id}"


def seen(
    goal: str | int, order: OrderSnapshot, now: float, policy: Policy, *, allow_late: bool = False
) -> OrderConversion:
    """An order at first sight, which it cannot be younger than, whatever the store's clock says."""
    if order.created.timestamp() > now:
        order = replace(order, created=datetime.fromtimestamp(now, UTC))
    conversion = OrderConversion(key_of(goal, order), goal, order, "seen", now, now, due=now)
    if not allow_late and now - order.created.timestamp() > policy.max_age:
        return _over(conversion, "too old", now)
    return conversion


def folded(
    conversion: OrderConversion, order: OrderSnapshot, now: float, *, allow_late: bool = False
) -> OrderConversion:
    """The conversion after another sight of its order; the sequence in which they arrive makes no difference."""
    if conversion.state == "dropped":
        revived = _is_back(conversion, order) or (allow_late and conversion.reason == "too old")
        return _moved(replace(conversion, order=order), "seen", "", now, now) if revived else conversion
    merged = conversion.order.merged(order)
    if conversion.state == "sent":
        return _reversed(conversion, now) if _is_gone(merged) else _reduced(conversion, order, now)
    if conversion.state == "reversed" or merged == conversion.order:
        return conversion
    if conversion.state != "claimed":
        return replace(conversion, order=merged, due=now)
    known = conversion.order
    if conversion.amount is not None and not _is_same_currency(merged, known):
        # Nobody can tell whether it came to less. The version stays too, so that a later reading of it may.
        merged = replace(merged, amount=known.amount, currency=known.currency, version=known.version)
    return replace(conversion, order=merged)


def examined(
    conversion: OrderConversion,
    match: Match | None,
    now: float,
    policy: Policy,
    *,
    foreign: bool = False,
    retry_rate: bool = False,
) -> OrderConversion:
    """An unsent conversion after another look at it; one that stays `seen` may be claimed.

    One in a `foreign` currency waits for a rate, which is asked again after a minute with `retry_rate`.
    """
    order = conversion.order
    if _is_gone(order) and not conversion.refund_of:
        # After a resend nobody knows whether an earlier delivery arrived: say so rather than "cancelled".
        return _over(conversion, "ambiguous" if conversion.resent else "cancelled", now)
    if match is not None and not match.tracking:
        return _over(replace(conversion, visitor_id=None, attributed={}), "tracking off", now)
    if not order.paid and not conversion.refund_of:
        return _patient(conversion, "unpaid", now, policy)
    release = order.created.timestamp() + policy.hold_for
    if now < release and not conversion.refund_of:
        return _moved(conversion, "waiting", "held", now, release)
    undated = order.earliest == UNKNOWN and not conversion.refund_of
    if undated and now < conversion.first_seen + _UNDATED:
        # Its webhook may be on its way, which knows when it was made.
        return _moved(conversion, "waiting", "undated", now, conversion.first_seen + _UNDATED)
    if foreign:
        return _patient(conversion, "currency", now, policy, after=_AGAIN_AFTER if retry_rate else inf)
    if match is None:
        return _patient(conversion, "unresolved", now, policy)
    return replace(conversion, state="seen", visitor_id=match.visitor_id, match_source=match.match_source)


def claimed(
    conversion: OrderConversion, attributed: Mapping[str, str], owner: str, until: float
) -> OrderConversion:
    """Ours to send until then; nobody else touches it."""
    amount = conversion.order.amount
    return replace(
        conversion, state="claimed", attributed=attributed, owner=owner, due=until, event=None, amount=amount
    )


def refused(conversion: OrderConversion, why: str, now: float, policy: Policy) -> OrderConversion:
    """The client did not take it, so nothing is on its way: try again, but not for ever."""
    waiting = _moved(conversion, "waiting", why, now, now + _AGAIN_AFTER)
    return _over(waiting, why, now) if now >= waiting.since + policy.max_wait else waiting


def _reduced(conversion: OrderConversion, order: OrderSnapshot, now: float) -> OrderConversion:
    """A sent conversion after a later reading of its order, which may have come to less."""
    same = _is_same_currency(order, conversion.order) and order.is_later_than(conversion.order)
    reduced = _given_back(conversion, order.amount, now) if same else conversion
    if reduced is conversion:
        return conversion
    return replace(reduced, order=replace(conversion.order, version=order.version))


def _given_back(conversion: OrderConversion, amount: Decimal | None, now: float) -> OrderConversion:
    """A sent conversion whose order comes to `amount`; due, if that is less than was known."""
    if conversion.amount is None or amount is None:
        return conversion
    given_back = less(conversion.amount, amount)
    if given_back <= conversion.given_back:
        return conversion
    return replace(conversion, given_back=given_back, reason="reduced", since=now, due=now)


def unusable(conversion: OrderConversion, now: float) -> OrderConversion:
    """Something in it is nothing that could be reported."""
    return _over(conversion, "unusable", now)


def expired(conversion: OrderConversion, now: float, policy: Policy) -> OrderConversion:
    """Nothing was heard of a claim: its process may have died before or after the delivery."""
    if policy.on_ambiguous == "drop":
        return _over(conversion, "ambiguous", now)
    return replace(conversion, state="seen", owner=None, event=None, due=now, resent=conversion.resent + 1)


def settled(
    conversion: OrderConversion, outcome: EventOutcome, now: float, policy: Policy
) -> OrderConversion:
    """A claimed conversion after the outcome of its delivery."""
    if outcome == "sent":
        sent = replace(conversion, state="sent", reason="", due=None, owner=None, sent_at=now)
        # What the order has come to meanwhile is not what was reported.
        sent = replace(sent, order=replace(conversion.order.anonymous(), amount=conversion.amount))
        if conversion.refund_of:
            return sent
        if _is_gone(conversion.order):
            return _reversed(sent, now)
        return _given_back(sent, conversion.order.amount, now)
    if outcome == "rejected":
        return _over(conversion, "refused", now)
    if outcome == "dropped" and policy.on_ambiguous == "drop":
        return _over(conversion, "ambiguous", now)
    return replace(conversion, state="waiting", reason="undelivered", owner=None, event=None, due=now + 1.0)


class Refund(NamedTuple):
    """A conversion after its refund, and the one that takes back what was not taken back before, if anything."""

    after: OrderConversion
    taking: OrderConversion | None = None


def refund(conversion: OrderConversion, now: float) -> Refund:
    """The refund of a conversion, as far as it was not taken back before."""
    whole = conversion.order.amount if conversion.amount is None else conversion.amount
    amount = whole if conversion.state == "reversed" else conversion.given_back
    if amount is None or amount <= conversion.taken_back:
        return Refund(conversion)
    number = conversion.refunds + 1
    suffix = ":refund" if number == 1 else f":refund:{number}"
    order = replace(conversion.order, products=None, amount=less(amount, conversion.taken_back))
    taking = replace(
        conversion, key=f"{conversion.key}{suffix}", order=order, state="seen", reason="", first_seen=now, since=now,
        due=now, owner=None, event=None, resent=0, sent_at=None, refund_of=conversion.key,
        given_back=NOTHING, taken_back=NOTHING, refunds=0,
    )  # fmt: skip
    return Refund(replace(conversion, taken_back=amount, refunds=number), taking)


def _is_gone(order: OrderSnapshot) -> bool:
    return order.cancelled or order.refunded


def _is_same_currency(one: OrderSnapshot, other: OrderSnapshot) -> bool:
    return (one.currency or "").upper() == (other.currency or "").upper()


def _is_back(dropped: OrderConversion, order: OrderSnapshot) -> bool:
    """True if a cancellation was undone, or a payment came after all."""
    if dropped.reason == "cancelled":
        return order.is_later_than(dropped.order) and not _is_gone(order)
    paid = order.paid and not dropped.order.is_later_than(order)
    return dropped.reason == "unpaid" and paid and not _is_gone(order)


def _patient(
    conversion: OrderConversion, reason: str, now: float, policy: Policy, *, after: float = inf
) -> OrderConversion:
    """Wait for something to happen, with another look `after` some seconds, but not for ever."""
    waiting = _moved(conversion, "waiting", reason, now, None)
    deadline = waiting.since + policy.max_wait
    if now >= deadline:
        return _over(conversion, reason, now)
    return replace(waiting, due=min(deadline, now + after))


def _reversed(conversion: OrderConversion, now: float) -> OrderConversion:
    # Due at once: the application is told by whoever looks at it next.
    return _moved(conversion, "reversed", "cancelled", now, now)


def _over(conversion: OrderConversion, reason: str, now: float) -> OrderConversion:
    return replace(_moved(conversion, "dropped", reason, now, None), order=conversion.order.anonymous())


def _moved(
    conversion: OrderConversion, state: State, reason: str, now: float, due: float | None
) -> OrderConversion:
    since = conversion.since if reason == conversion.reason else now
    return replace(conversion, state=state, reason=reason, since=since, due=due, owner=None, event=None)
