"""The visitors of the demonstration, and their way through the shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from time import perf_counter_ns
from typing import NamedTuple

from convert_sdk import Client, Decision, Reason, ResolvedFeature, Visitor

SEED = 42
"""Chooses the visitors that are called `visitor-0`, `visitor-1` and so on; other seeds have other ids."""
HOME: Mapping[str, object] = {"path": "/"}
PRODUCT: Mapping[str, object] = {"path": "/boots/fjell-gtx"}
CHECKOUT: Mapping[str, object] = {"path": "/checkout/payment"}

_COUNTRIES = ("DE", "DE", "AT", "CH", "FR", "IT", "US", "GB")
_DEVICES = (
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148", "SF", ("ALLPH", "IPH")),
    ("Mozilla/5.0 (Linux; Android 15) Chrome/131.0 Mobile Safari/537.36", "CH", ("ALLPH", "OTHPH")),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Firefox/133.0", "FF", ("DESK",)),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0 Safari/537.36", "CH", ("DESK",)),
)


class Shopper(NamedTuple):
    """One made-up visitor, and the random numbers that decide what they do."""

    id: str
    attributes: Mapping[str, object]
    random: Random


def shopper(number: int, seed: int) -> Shopper:
    """The same visitor for the same numbers."""
    random = Random(f"{seed}-{number}")  # noqa: S311 # a demonstration, not cryptography
    agent, browser, devices = random.choice(_DEVICES)
    attributes = {
        "country": random.choice(_COUNTRIES),
        "browser": browser,
        "devices": list(devices),
        "source": "campaign" if random.random() < 0.3 else "search",
        "visitorType": random.choice(("new", "returning")),
        "user_agent": agent,
        "plan": "gold" if random.random() < 0.2 else "free",
        "orders": random.randrange(12),
        "newsletter": random.random() < 0.4,
        "signed_in": random.random() < 0.6,
        "customer_group": "staff" if random.random() < 0.03 else "retail",
    }
    name = f"visitor-{number}" if seed == SEED else f"visitor-{seed}-{number}"
    return Shopper(name, attributes, random)


class Tally:
    """The counts of the application itself."""

    def __init__(self) -> None:
        self.decisions = 0
        self.nanoseconds: list[float] = []
        """Per decision, one figure for each visitor."""
        self.exposures: Counter[tuple[str, str | None]] = Counter()
        """By experience id and variation id; None where the traffic share left the visitor out."""
        self.features: Counter[tuple[str, str | None]] = Counter()
        """By feature key and the variation that enabled it."""
        self.variables: dict[tuple[str, str | None], Mapping[str, object]] = {}

    def add_decisions(self, decisions: tuple[Decision, ...], nanoseconds: int) -> None:
        """Count one visitor's decisions and how long they took together."""
        self.decisions += len(decisions)
        self.nanoseconds.append(nanoseconds / len(decisions))
        for decision in decisions:
            if decision.experience is not None and (decision or decision.reason is Reason.NOT_ALLOCATED):
                self.exposures[decision.experience.id, decision.variation_id] += 1

    def add_feature(self, key: str, feature: ResolvedFeature) -> None:
        """Count one visitor's look at a feature."""
        decision = feature.decision
        place = (key, decision.variation_key if decision is not None else None)
        self.features[place] += 1
        self.variables[place] = feature.variables


def walk(client: Client, who: Shopper, tally: Tally) -> None:
    """Decide on the home page, the product page and the checkout, then perhaps buy."""
    at_home = client.visitor(who.id, who.attributes, location=HOME)
    start = perf_counter_ns()
    home = (at_home.decide("home-story"), at_home.decide("new-navigation"))
    at_product = at_home.with_context(location=PRODUCT)
    product = tuple(at_product.decide(key) for key in ("alpine-prices", "recommendations", "trail-maps"))
    at_checkout = at_home.with_context(location=CHECKOUT)
    checkout = at_checkout.decide("checkout-layout")
    took = perf_counter_ns() - start
    tally.add_decisions((*home, *product, checkout), took)

    for visitor, key in ((at_product, "pricing"), (at_product, "recommendations"), (at_checkout, "checkout")):
        tally.add_feature(key, visitor.feature(key))
    tally.add_feature("trail-maps", at_product.feature("trail-maps"))
    _act(at_checkout, who, home[0], product[1])


def _act(visitor: Visitor, who: Shopper, story: Decision, advice: Decision) -> None:
    random = who.random
    if random.random() < (0.12 if story.variation_key == "mountain-story" else 0.08):
        visitor.track("newsletter-signup")
    if random.random() > (0.45 if advice.variation_key == "similar-trails" else 0.38):
        return
    visitor.track("add-to-cart")
    if random.random() < (0.55 if visitor.feature("checkout").get("express_payment", False) else 0.45):
        _buy(visitor, f"T-{who.id}", random)
        if random.random() < 0.1:
            _buy(visitor, f"T-{who.id}-2", random)


def _buy(visitor: Visitor, order: str, random: Random) -> None:
    discount = visitor.feature("pricing").get("discount", 0.0)
    basket = round(random.lognormvariate(4.5, 0.6) * (1 - discount), 2)
    revenue = Decimal(str(basket))
    visitor.track(
        "purchase", revenue=revenue, products=random.randint(1, 5), transaction_id=order, allow_repeat=True
    )
    visitor.track("large-order", rule_data={"basket_value": basket})
