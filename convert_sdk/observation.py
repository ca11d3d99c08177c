"""The values that `observe` and `hooks` are called with: one per decision, exposure, conversion, delivery and so on.

>>> def log(seen: Observation) -> None:
...     if isinstance(seen, (Decided, Converted)):
...         print(seen)
>>> client = Client.offline(project, print, hooks=[log])  # `hooks=` and `observe=` of any client
>>> bool(client.visitor("v-42").track("purchase"))
Converted(..., 'purchase', 'accepted')
True
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ._core.decision import Decision
from ._core.facts import Place
from ._core.goals import ConversionReason
from .status import EventOutcome, IncidentLevel


class DecidedFacts(NamedTuple):
    """The facts that a decision was made on; its `repr` shows none.

    >>> DecidedFacts({"country": "DE"}, {"url": "/cart"}).attributes["country"]
    'DE'
    """

    attributes: Mapping[str, object]
    """The attributes, over the remembered segments."""
    location: Place
    """A mapping, `ANYWHERE`, or None if it is not known."""

    def __repr__(self) -> str:
        return "DecidedFacts(…)"


class Decided(NamedTuple):
    """A verb asked for a decision.

    >>> def count(seen: Observation) -> None:
    ...     if isinstance(seen, Decided):
    ...         print(seen.decision.key, seen.decision.reason.value)
    >>> Client.offline(project, hooks=[count]).visitor("v-42").decide("checkout-layout").variation_key
    checkout-layout bucketed
    'classic'
    """

    visitor_id: str
    decision: Decision
    time: float = 0.0
    """Seconds since the epoch."""
    revision: str | None = None
    """The document that was decided with; None before the first."""
    facts: DecidedFacts | None = None
    """None unless `observe_facts` is True."""

    def __repr__(self) -> str:
        return f"Decided({self.decision.key!r}, {self.decision.reason.value!r})"


class Exposed(NamedTuple):
    """A new decision was remembered, and its exposure queued under this id.

    >>> def exposed(seen: Observation) -> None:
    ...     if isinstance(seen, Exposed):
    ...         print("variation", seen.variation_id, "of", seen.experience_id)
    >>> Client.offline(project, print, hooks=[exposed]).visitor("v-42").decide("checkout-layout").variation_key
    variation 11 of 100
    'classic'
    """

    uuid: str
    visitor_id: str
    experience_id: str
    variation_id: str

    def __repr__(self) -> str:
        return f"Exposed({self.uuid}, {self.experience_id!r}, {self.variation_id!r})"


class Converted(NamedTuple):
    """A conversion was counted or turned away. Its events are named by `uuid`, a dot and a number.

    >>> def converted(seen: Observation) -> None:
    ...     if isinstance(seen, Converted):
    ...         print(seen.goal, seen.reason.value)
    >>> bool(Client.offline(project, print, hooks=[converted]).visitor("v-42").track("purchase"))
    purchase accepted
    True
    """

    uuid: str | None
    visitor_id: str
    goal: str | int
    reason: ConversionReason

    def __repr__(self) -> str:
        return f"Converted({self.uuid}, {self.goal!r}, {self.reason.value!r})"


class Delivered(NamedTuple):
    """The end of these events: sent, dropped, refused for good, or counted by another process.

    >>> def delivered(seen: Observation) -> None:
    ...     if isinstance(seen, Delivered):
    ...         print(len(seen.uuids), seen.outcome.value)
    >>> client = Client("10035569/10034190", hooks=[delivered])
    >>> delivered(Delivered(EventOutcome.SENT, ("6bf257005086-1", "6bf257005086-2")))
    2 sent
    """

    outcome: EventOutcome
    uuids: tuple[str, ...]


class Incident(NamedTuple):
    """Something that should not happen, or its end: a fetch or a delivery that fails, a store that is down.

    >>> def page(seen: Observation) -> None:
    ...     if isinstance(seen, Incident) and seen.level is IncidentLevel.ERROR:
    ...         print(seen.text)
    >>> page(Incident(IncidentLevel.ERROR, "the tracking endpoint denies access"))
    the tracking endpoint denies access
    """

    level: IncidentLevel
    text: str


class DocumentChanged(NamedTuple):
    """Another document came into use; the keys are those of experiences.

    >>> def changed(seen: Observation) -> None:
    ...     if isinstance(seen, DocumentChanged):
    ...         print("new:", *seen.added)
    >>> changed(DocumentChanged("6bf257005086", "d7f613be9fed", added=("checkout-layout",)))
    new: checkout-layout
    """

    old_revision: str
    new_revision: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Their own JSON, or that of an audience, location, segment, goal or feature that they refer to, differs."""


Observation = Decided | Exposed | Converted | Delivered | Incident | DocumentChanged
"""Everything that `observe` and `hooks` are called with."""
