"""Clients that record what they would send, and assertions about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar, Unpack

from convert_sdk._checks import UNCHANGED, Unchanged, nearest
from convert_sdk._client_parts import AsyncClientParts, ClientParts, check_offline, engine_of
from convert_sdk._core.decision import Reason
from convert_sdk._core.events import Event
from convert_sdk._delivery.engine import conversion_of
from convert_sdk._delivery.offline import AsyncOfflineDelivery, OfflineDelivery
from convert_sdk._delivery.overrides import Overrides
from convert_sdk._delivery.previews import Previews
from convert_sdk._delivery.queue import DeliveryConfig, EventQueue
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.observation import Converted, Decided, Observation
from convert_sdk.options import OptionArguments, Options, build

from .clock import FrozenClock
from .records import Keys, RecordedConversion, RecordedExposure, recorded_conversion, recorded_exposure

if TYPE_CHECKING:
    from convert_sdk._delivery.engine import Engine
    from convert_sdk.project import Project

_MOST_SHOWN = 10
"""Lines of a list in the message of an assertion."""
R = TypeVar("R", RecordedExposure, RecordedConversion)


class RecordingQueue(EventQueue):
    """A queue that tells of every event that it accepts."""

    __slots__ = ("_record",)

    def __init__(
        self, config: DeliveryConfig, notify: Callable[[], None], record: Callable[[Sequence[Event]], None]
    ) -> None:
        super().__init__(config, random=lambda: 0.0, notify=notify)
        self._record = record

    def offer(self, events: Sequence[Event], now: float) -> bool:
        """Accept the events, and record them."""
        accepted = super().offer(events, now)
        if accepted:
            self._record(events)
        return accepted


class RecordingDelivery(OfflineDelivery):
    """The delivery of a recording client: nothing is sent, and there is neither a network nor a thread."""

    def __init__(self, engine: Engine, options: Options, log: EventLog) -> None:
        self.engine = engine
        self._log = log
        super().__init__(engine, options, log.project, _discard, None)

    def _new_queue(self, config: DeliveryConfig) -> EventQueue:
        return RecordingQueue(config, self._filled, self._log.record)


def _discard(body: bytes) -> None:
    """Take a body for sent."""


class EventLog:
    """The records of all clients that share it; they share the project, the overrides and the clock too."""

    def __init__(self, project: Project, clock: FrozenClock | None = None) -> None:
        check_offline(project, None)
        self.clock = clock or FrozenClock()
        self.overrides = Overrides()
        self.project = project
        """The project that is served."""
        self.exposures: list[RecordedExposure] = []
        self.decided: list[Decided] = []
        self.converted: list[Converted] = []
        self._conversions: dict[str, list[Event]] = {}
        self._times: dict[str, datetime] = {}
        self._keys = Keys()
        self._served: list[tuple[Engine, Options]] = []

    def serve(self, project: Project) -> None:
        """Serve another project from now on."""
        check_offline(project, None)
        self.project = project
        for engine, options in self._served:
            self._install(engine, project.with_bucketing(options.bucketing))

    def _install(self, engine: Engine, project: Project) -> None:
        self._keys.add(project)
        engine.install(project)

    @property
    def conversions(self) -> list[RecordedConversion]:
        """The conversions, in their order."""
        goals = {each.uuid: each.goal for each in [*self.converted] if isinstance(each.goal, str)}
        return [
            recorded_conversion(events, self._keys, goals.get(name), self._times[name])
            for name, events in [*self._conversions.items()]
        ]

    def clear(self) -> None:
        """Forget what was recorded."""
        for recorded in (self.exposures, self.decided, self.converted):
            recorded.clear()
        self._conversions.clear()

    def record(self, events: Sequence[Event]) -> None:
        """Record events; for any thread."""
        now = self.clock.now
        for event in events:
            exposure = recorded_exposure(event, self._keys, now)
            if exposure is not None:
                self.exposures.append(exposure)
            else:
                name = conversion_of(event.uuid)
                self._times[name] = now
                self._conversions.setdefault(name, []).append(event)

    def observe(self, observation: Observation) -> None:
        """Record what was decided and converted; for any thread."""
        if isinstance(observation, Decided):
            self.decided.append(observation)
        elif isinstance(observation, Converted):
            self.converted.append(observation)

    # Parts for clients.

    def parts(self, options: Options) -> ClientParts:
        """The parts of a client that records here."""
        own = options._replace(store=None)
        delivery = self._delivery(own)
        engine = delivery.engine
        return ClientParts(own, None, engine, Previews(own, None, engine.previews), delivery)

    def async_parts(self, options: Options) -> AsyncClientParts:
        """The same for asyncio."""
        own = options._replace(store=None)
        inner = self._delivery(own)
        engine, delivery = inner.engine, AsyncOfflineDelivery(inner.engine, inner, None)
        return AsyncClientParts(own, engine, Previews(own, None, engine.previews), delivery)

    def _delivery(self, options: Options) -> RecordingDelivery:
        hooks = (*options.hooks, self.observe)
        recording = options._replace(tracking=True, hooks=hooks, observe_facts=True)
        engine = engine_of(recording, self.overrides)
        engine.wall_clock = self.clock
        delivery = RecordingDelivery(engine, recording, self)
        self._install(engine, self.project.with_bucketing(options.bucketing))
        self._served.append((engine, options))
        return delivery


class Recorder:
    """The records of `RecordingClient`, `AsyncRecordingClient` and `replaced`, and assertions about them."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    @property
    def clock(self) -> FrozenClock:
        """The clock of what is recorded and observed; it stands still."""
        return self._log.clock

    @property
    def exposures(self) -> list[RecordedExposure]:
        """The exposures that would have been sent, in their order."""
        return [*self._log.exposures]

    @property
    def conversions(self) -> list[RecordedConversion]:
        """The conversions that would have been sent, in their order."""
        return self._log.conversions

    @property
    def decisions(self) -> list[Decided]:
        """The decisions that were asked for by `decide` and its kin, also those without a variation."""
        return [*self._log.decided]

    def serve(self, project: Project) -> None:
        """Serve another project to the visitors that are made from now on.

        Args:
            project: What `testing.project`, `Project.load` or `Project.parse` gives.

        Raises:
            TypeError: For what is no project.
        """
        self._log.serve(project)

    def clear(self) -> None:
        """Forget what was recorded; visitors stay remembered."""
        self._log.clear()

    def assert_exposed(
        self, visitor_id: str | int, experience: str, variation: str | None = None
    ) -> RecordedExposure:
        """Assert that a visitor's exposure was recorded; the failure says what was recorded instead.

        Args:
            visitor_id: The id of the visitor.
            experience: The key of the experience.
            variation: The key of the variation; None for any.

        Returns:
            The last such exposure.

        Raises:
            AssertionError: If there is none.
        """
        __tracebackhide__ = True
        visitor_id, exposures = str(visitor_id), self.exposures
        for each in reversed(exposures):
            if (each.visitor_id, each.experience) == (visitor_id, experience) and (
                variation is None or each.variation == variation
            ):
                return each
        wanted = experience if variation is None else f"{experience} / {variation}"
        raise AssertionError(
            _message(
                f"visitor {visitor_id!r} was not exposed to {wanted}",
                self._unknown_experience(experience, variation),
                _listed("exposures recorded", _nearest_first(exposures, visitor_id)),
                self._decided(visitor_id, experience),
            )
        )

    def assert_converted(
        self,
        visitor_id: str | int,
        goal: str,
        *,
        revenue: Decimal | float | Unchanged | None = UNCHANGED,
        products: int | Unchanged | None = UNCHANGED,
        transaction_id: str | Unchanged | None = UNCHANGED,
        dimensions: Mapping[int, str] | Unchanged = UNCHANGED,
    ) -> RecordedConversion:
        """Assert that a visitor's conversion was recorded; the failure says what was recorded instead.

        Args:
            visitor_id: The id of the visitor.
            goal: The key of the goal.
            revenue: The revenue that it must have; None for none. So do the three below.
            products: The number of products.
            transaction_id: The name of the order.
            dimensions: All custom dimensions.

        Returns:
            The last such conversion.

        Raises:
            AssertionError: If there is none.
        """
        __tracebackhide__ = True
        visitor_id, conversions = str(visitor_id), self.conversions
        given: dict[str, object] = {
            "revenue": Decimal(str(revenue)) if isinstance(revenue, float) else revenue,
            "products": products,
            "transaction_id": transaction_id,
            "dimensions": dimensions,
        }
        wanted = {name: value for name, value in given.items() if value is not UNCHANGED}
        for each in reversed(conversions):
            if (each.visitor_id, each.goal) == (visitor_id, goal) and all(
                getattr(each, name) == value for name, value in wanted.items()
            ):
                return each
        having = "".join(f", {name}={value}" for name, value in wanted.items())
        raise AssertionError(
            _message(
                f"visitor {visitor_id!r} did not convert: {goal}{having}",
                self._unknown_goal(goal),
                _listed("conversions recorded", _nearest_first(conversions, visitor_id)),
                _listed("calls of track that came to nothing", self._refused(visitor_id)),
            )
        )

    def assert_nothing_sent(self) -> None:
        """Assert that neither an exposure nor a conversion was recorded; the failure lists what was.

        Raises:
            AssertionError: If anything was.
        """
        __tracebackhide__ = True
        exposures, conversions = self.exposures, self.conversions
        if exposures or conversions:
            raise AssertionError(
                _message(
                    "something would have been sent",
                    _listed("exposures recorded", exposures) if exposures else "",
                    _listed("conversions recorded", conversions) if conversions else "",
                )
            )

    # Messages.

    def _unknown_experience(self, key: str, variation: str | None) -> str:
        project = self._log.project
        experience = project.experiences.get(key)
        if experience is None:
            return f"the project has no experience {key!r}{nearest(key, _keys(project.experiences))}"
        if variation is not None and experience.variation(variation) is None:
            known = _keys(experience.variations.values())
            return f"the experience has no variation {variation!r}{nearest(variation, known)}"
        return ""

    def _unknown_goal(self, key: str) -> str:
        goals = self._log.project.goals
        return "" if goals.get(key) else f"the project has no goal {key!r}{nearest(key, _keys(goals))}"

    def _decided(self, visitor_id: str, key: str) -> str:
        """The visitor's last decision in the experience; of a refusal, the rules too."""
        mine = [
            each for each in self._log.decided if (each.visitor_id, each.decision.key) == (visitor_id, key)
        ]
        if not mine:
            return f"nobody asked for {key!r} of this visitor by decide, feature or the like"
        decided = mine[-1]
        decision = decided.decision
        answer = (
            decision.reason.value if not decision else f"{decision.reason.value}: {decision.variation_key}"
        )
        return "\n".join([f"the last decision was {answer}", *_rules(decided)])

    def _refused(self, visitor_id: str) -> list[str]:
        return [
            f"visitor {each.visitor_id!r}: {each.goal}: {each.reason.value}"
            for each in self._log.converted
            if each.visitor_id == visitor_id and each.reason.value not in ("accepted", "pending")
        ]


def log_of(project: Project | Recorder, clock: FrozenClock | None = None) -> EventLog:
    """The log of whoever records already, or a new one."""
    return project._log if isinstance(project, Recorder) else EventLog(project, clock)


class RecordingClient(Recorder, Client):
    """A `Client` for tests, without a network or a thread: it decides with a project and records what it would send.

    Its overrides are the client's: `client.override("checkout", "one-page")`.

    Args:
        project: What `testing.project`, `Project.load` or `Project.parse` gives; or another recording client, to share
            its project, records, overrides and clock.
        clock: A clock to share; by default one of its own, at the start of 2026.
        options: Those options of `Client` that are about deciding.

    >>> client = RecordingClient(project(experience("checkout", {"a": 100, "b": 0})))
    >>> decision = client.visitor("v-42").decide("checkout")
    >>> client.exposures[0].variation
    'a'
    >>> client.assert_exposed("v-42", "checkout", "b")
    Traceback (most recent call last):
    AssertionError: visitor 'v-42' was not exposed to checkout / b
      exposures recorded:
        visitor 'v-42' to checkout / a
      the last decision was bucketed: a
    """

    def __init__(
        self,
        project: Project | Recorder,
        *,
        clock: FrozenClock | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        Recorder.__init__(self, log_of(project, clock))
        parts = self._log.parts(build({**options}, {}))
        Client.__init__(self, _parts=parts)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # see `_of`


class AsyncRecordingClient(Recorder, AsyncClient):
    """`RecordingClient` for asyncio: the same, with the verbs of `AsyncClient`.

    >>> async def recorded() -> str:
    ...     client = AsyncRecordingClient(project(experience("checkout")))
    ...     (await client.visitor("v-42")).decide("checkout")
    ...     return client.assert_exposed("v-42", "checkout").variation
    """

    def __init__(
        self,
        project: Project | Recorder,
        *,
        clock: FrozenClock | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        Recorder.__init__(self, log_of(project, clock))
        parts = self._log.async_parts(build({**options}, {}))
        AsyncClient.__init__(self, _parts=parts)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # as above


def _message(first: str, *parts: str) -> str:
    lines = [line for part in parts for line in part.splitlines()]
    return "\n".join([first, *(f"  {line}" for line in lines)])


def _listed(title: str, values: Sequence[object]) -> str:
    if not values:
        return f"{title}: none"
    more = len(values) - _MOST_SHOWN
    shown = [f"  {each}" for each in values[:_MOST_SHOWN]] + [f"  and {more} more"] * (more > 0)
    return "\n".join([f"{title}:", *shown])


def _nearest_first(values: Iterable[R], visitor_id: str) -> list[R]:
    return sorted(values, key=lambda each: each.visitor_id != visitor_id)


def _keys(named: Iterable[object]) -> list[str]:
    return [str(getattr(each, "key", "")) for each in named]


def _rules(decided: Decided) -> Iterator[str]:
    """The rules that refused a visitor, down to the leaf that decided."""
    experience, facts = decided.decision.experience, decided.facts
    if experience is None or facts is None:
        return
    traces = []
    if decided.decision.reason is Reason.AUDIENCE:
        traces = [each.explain(facts.attributes) for each in experience.audiences if each.exclusion is None]
    elif decided.decision.reason is Reason.LOCATION and isinstance(facts.location, Mapping):
        traces = [each.explain(facts.location) for each in experience.locations or ()]
    for trace in traces:
        yield from (f"  {line}" for line in str(trace).splitlines())
