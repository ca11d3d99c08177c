"""Layers of facts: what an application gives, over what a web request tells when a rule asks for it.

Theory of operation
-------------------
A rule asks for one key at a time. `Layered` looks it up in what was given and, on a miss, asks the `Underlay`, which
works the answer out then and not before. Nothing of an underlay is merged, iterated or copied, but for the segments
that it is set to report. A visitor without one has a plain mapping, and pays for none of this.

Conditions without a key of their own are put to data under a `FactKey`, which equals nothing but itself: a mapping of
an application cannot hold it, and answers as if there were no such condition. What only the visitor's memory knows
(`VISITOR_FACTS`) is answered by `WithVisitor`, which `decide` lays over for the moment of one question.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from .values import MISSING, FactKey, copy_mapping


class CookieKey(str):
    """The key of a condition about a cookie: a mapping has a value for it as for any key, a request has the cookie."""

    __slots__ = ()


NATIVE: Final[Mapping[str, FactKey]] = {
    rule_type: FactKey(fact)
    for rule_type, fact in {
        "url": "url",
        "url_with_query": "url_with_query",
        "query_string": "query_string",
        "campaign": "utm_campaign",
        "keyword": "utm_term",
        "medium": "utm_medium",
        "source_name": "utm_source",
        "host": "host",
        "user_agent": "user_agent",
        "browser_name": "browser_name",
        "os": "os",
        "is_mobile": "is_mobile",
        "is_tablet": "is_tablet",
        "is_desktop": "is_desktop",
        "country": "country",
        "region": "region",
        "city": "city",
        "language": "language",
        "project_time_day_of_week": "project_time_day_of_week",
        "project_time_hour_of_day": "project_time_hour_of_day",
        "project_time_minute_of_hour": "project_time_minute_of_hour",
        "visitor_id": "visitor_id",
        "goal_triggered": "goals",
        "bucketed_into_experience": "experiences",
        "bucketed_into_experience_key": "experiences",
        "bucketed_into_segment": "segments",
    }.items()
}
"""The rule types that are answered without a key, and the facts that they ask for.

The others need a session, the page, or a guess.
"""

ANY_EXPERIENCE: Final = FactKey("bucketed")
"""Asked by `bucketed_into_experience` where it is compared with true or false."""

VISITOR_FACTS: Final = frozenset({"visitor_id", "goals", "experiences", "segments", "bucketed"})
"""The facts that the visitor's memory knows, not the request."""


class Layer(Mapping[str, object]):
    """A mapping of this package's own: rules ask it as it is."""

    __slots__ = ()


class Underlay(Layer):
    """The lower layer: facts that are worked out when they are asked for; it never raises."""

    __slots__ = ()

    @abstractmethod
    def answer(self, key: object) -> object:
        """The value of a key, a `CookieKey` or a `FactKey`; MISSING where it is not known."""

    @abstractmethod
    def key_of(self, fact: str) -> str | None:
        """The key under which rules may ask for a fact of this name; None where they may not."""

    @abstractmethod
    def reported(self) -> Mapping[str, object]:
        """The segments to report, in the words of the API; what is not known is left out."""

    def get(self, key: Any, default: Any = None) -> Any:
        value = self.answer(key)
        return default if value is MISSING else value

    def __getitem__(self, key: str) -> object:
        value = self.answer(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.answer(key) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self.reported())

    def __len__(self) -> int:
        return len(self.reported())


@final
class Layered(Layer):
    """Given facts over a request's. Listed are the keys that were given, and the segments to report."""

    __slots__ = ("over", "under")

    def __init__(self, over: Mapping[str, object], under: Underlay) -> None:
        self.over = over
        self.under = under

    def get(self, key: Any, default: Any = None) -> Any:
        over = self.over
        value = over.get(key, MISSING)
        if value is not MISSING:
            return value
        if type(key) is FactKey:  # what was given under the fact's usual key is over the request too
            usual = self.under.key_of(key.fact)
            value = over.get(usual, MISSING) if usual is not None else MISSING
            if value is not MISSING:
                return value
        return self.under.get(key, default)

    def __getitem__(self, key: str) -> object:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self.over or self.get(key, MISSING) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self.flat())

    def __len__(self) -> int:
        return len(self.flat())

    def __repr__(self) -> str:
        return "Layered(…)"

    def flat(self) -> Mapping[str, object]:
        """The given facts, with the segments to report."""
        reported = self.under.reported()
        return {**reported, **copy_mapping(self.over)} if reported else self.over

    def laid_over(self, over: Mapping[str, object]) -> Layered:
        """Other given facts over the same request."""
        return Layered(own_facts(over), self.under)


def own_facts(facts: Mapping[str, object]) -> Mapping[str, object]:
    """The facts that were given, without a request under them."""
    return facts.over if type(facts) is Layered else facts
