"""The provider: look-ups of OpenFeature, answered by a client."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Task, get_running_loop, to_thread
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from math import isfinite
from secrets import token_bytes
from typing import Final, TypeVar, Unpack

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagResolutionDetails, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints, get_hooks
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata
from openfeature.track import TrackingEventDetails

from convert_sdk._core.flag_reasons import FlagError
from convert_sdk._core.goals import ConversionReason
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.options import OptionArguments
from convert_sdk.visitor import Visitor

from .answers import CONTEXT_ID, ContextIds, FlagAnswers
from .context import Asker, anonymous_visitor, asker_of, bare_visitor_of, is_plain, visitor_in_request
from .flags import BOOLEAN, FLOAT, INTEGER, OBJECT, TEXT, ValueType
from .life_cycle import LifeCycle, OwnClient

V = TypeVar("V")
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]

_METADATA: Final = Metadata("Convert")
_NEEDS_AWAIT = (
    "this provider has an AsyncClient: await the look-up by its name with _async, as get_boolean_value_async, "
    "or give the provider a Client"
)
_NOT_COUNTED = "a conversion was not counted: %s"
_MOST_GOALS = 100
"""Unknown goals that are warned of."""
_log = logging.getLogger("convert_sdk")


class ContextIdHook(Hook):
    """Gives a `contextId` to answers that OpenFeature makes itself, as before READY, or when another hook raises.

    Without one, OpenFeature's telemetry takes the targeting key itself.
    """

    def __init__(self, answers: FlagAnswers) -> None:
        self._answers = answers

    def finally_after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,  # noqa: ARG002  # as every hook
    ) -> None:
        """Add the `contextId`, where there is none."""
        if CONTEXT_ID not in details.flag_metadata:
            context_id = self._answers.context_id(hook_context.evaluation_context.targeting_key)
            details.flag_metadata = {**details.flag_metadata, CONTEXT_ID: context_id}


class ConvertProvider(AbstractProvider):
    """OpenFeature's provider for the features and experiences of a project.

    A flag key is a feature, else an experience (its value is the key of the variation), else `feature.variable`.
    The targeting key is the visitor id, other attributes are the visitor's; an object named `location` is the place,
    and `bucketing_id` is hashed in place of the visitor id.

    Args:
        client: The application's own client, which `shutdown` does not close; or an SDK key, for a `Client` of the
            provider's own.
        exposures: False looks up without deciding: nothing is remembered or sent.
        context_key: A secret with which visitor ids are hashed for the metadata's `contextId`; processes that share it
            give the same visitor the same one. By default each provider makes one up.
        options: The options of the provider's own `Client`.

    Raises:
        OptionError: For an option that cannot be used.
        TypeError: For what is neither a client nor an SDK key.

    >>> from openfeature import api
    >>> from openfeature.evaluation_context import EvaluationContext
    >>> api.set_provider_and_wait(ConvertProvider(client))
    >>> flags = api.get_client()
    >>> flags.get_float_value("pricing.discount", 0.0, EvaluationContext("v-42"))
    0.1
    >>> api.shutdown()
    """

    def __init__(
        self,
        client: Client | AsyncClient | str,
        *,
        exposures: bool = True,
        context_key: str | bytes | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        super().__init__()
        self._sdk_key = client if isinstance(client, str) else None
        self._options = options
        self._client = Client(client, **options) if isinstance(client, str) else client
        if not isinstance(self._client, (Client, AsyncClient)):
            raise TypeError(
                f"client must be a Client, an AsyncClient or an SDK key, not {type(client).__name__}"
            )
        if options and self._sdk_key is None:
            raise TypeError(
                "options are for a client of the provider's own: this one has its options already"
            )
        self._closed = False
        self._answers = FlagAnswers(ContextIds(_key_of(context_key)), exposures=exposures)
        self._hooks: list[Hook] = [ContextIdHook(self._answers)]
        self._life_cycle = LifeCycle(OwnClient(self), self.emit, self._answers)
        self._life_cycle.follow(self._client)
        self._tracking: set[Task[None]] = set()
        self._unknown_goals: set[str] = set()

    def __repr__(self) -> str:
        client = getattr(self, "_client", None)
        return f"{type(self).__name__}({'' if client is None else type(client).__name__})"

    @property
    def client(self) -> Client | AsyncClient:
        """The client that answers.

        >>> ConvertProvider(client).client is client
        True
        """
        return self._client

    # The life cycle.

    def get_metadata(self) -> Metadata:
        """The provider's name.

        >>> ConvertProvider(client).get_metadata().name
        'Convert'
        """
        return _METADATA

    def get_provider_hooks(self) -> list[Hook]:
        """A hook that hides the targeting key where OpenFeature may answer itself; none otherwise.

        >>> len(ConvertProvider(client).get_provider_hooks())
        1
        """
        short_circuits = self._life_cycle.short_circuits
        if short_circuits:
            self._life_cycle.resume()
        return [*self._hooks] if short_circuits or get_hooks() else []

    def attach(self, on_emit: Callable[[FeatureProvider, ProviderEvent, ProviderEventDetails], None]) -> None:
        """Take the function that is told of events; OpenFeature calls it.

        >>> ConvertProvider(client).attach(lambda provider, event, details: None)
        """
        super().attach(on_emit)
        self._life_cycle.give_up(given_up=False)

    def detach(self) -> None:
        """Tell of no events any more; OpenFeature calls it.

        >>> ConvertProvider(client).detach()
        """
        super().detach()
        self._life_cycle.give_up(given_up=True)

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002  # as every provider
        """Start the client, and wait for the document as long as its `start_wait` is; OpenFeature calls it.

        Raises:
            ProviderFatalError: If the server refuses the SDK key.
            ProviderNotReadyError: If no document came; READY follows when it does.

        >>> ConvertProvider(client).initialize(EvaluationContext())
        """
        if self._closed and self._sdk_key is not None:
            self._client = Client(self._sdk_key, **self._options)
        self._closed = False
        self._life_cycle.follow(self._client)
        self._life_cycle.initialize()

    def shutdown(self) -> None:
        """Follow the client no more; close it, if it is the provider's own. OpenFeature calls it.

        >>> provider = ConvertProvider(client)
        >>> provider.shutdown()
        >>> client.ready
        True
        """
        self._life_cycle.stop()
        self._closed = True
        if self._sdk_key is not None and isinstance(self._client, Client):
            self._client.close()

    # Look-ups.

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """The answer for a boolean; OpenFeature's client calls it.

        >>> ConvertProvider(client).resolve_boolean_details("pricing", False, EvaluationContext("v-42")).value
        True
        """
        return self._resolve(BOOLEAN, flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The answer for a string; OpenFeature's client calls it.

        >>> ConvertProvider(client).resolve_string_details("checkout-layout", "none", EvaluationContext("v-42")).value
        'classic'
        """
        return self._resolve(TEXT, flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """The answer for a whole number; OpenFeature's client calls it.

        >>> ConvertProvider(client).resolve_integer_details("pricing.discount", 1, EvaluationContext("v-42")).value
        1
        """
        return self._resolve(INTEGER, flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """The answer for a number; OpenFeature's client calls it.

        >>> ConvertProvider(client).resolve_float_details("pricing", 0.0, EvaluationContext("v-42")).value
        0.1
        """
        return self._resolve(FLOAT, flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        """The answer for an object: all variables of a feature; OpenFeature's client calls it.

        >>> ConvertProvider(client).resolve_object_details("pricing", {}, EvaluationContext("v-42")).value
        {'discount': 0.1}
        """
        return self._resolve(OBJECT, flag_key, default_value, evaluation_context)

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """The answer for a boolean, awaited; OpenFeature's client calls it.

        >>> async def value(provider: ConvertProvider, context: EvaluationContext) -> object:
        ...     return (await provider.resolve_boolean_details_async("pricing", False, context)).value
        """
        return await self._resolve_async(BOOLEAN, flag_key, default_value, evaluation_context)

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The answer for a string, awaited; OpenFeature's client calls it.

        >>> async def value(provider: ConvertProvider, context: EvaluationContext) -> object:
        ...     return (await provider.resolve_string_details_async("pricing", "", context)).value
        """
        return await self._resolve_async(TEXT, flag_key, default_value, evaluation_context)

    async def resolve_integer_details_async(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """The answer for a whole number, awaited; OpenFeature's client calls it.

        >>> async def value(provider: ConvertProvider, context: EvaluationContext) -> object:
        ...     return (await provider.resolve_integer_details_async("pricing", 0, context)).value
        """
        return await self._resolve_async(INTEGER, flag_key, default_value, evaluation_context)

    async def resolve_float_details_async(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """The answer for a number, awaited; OpenFeature's client calls it.

        >>> async def value(provider: ConvertProvider, context: EvaluationContext) -> object:
        ...     return (await provider.resolve_float_details_async("pricing", 0.0, context)).value
        """
        return await self._resolve_async(FLOAT, flag_key, default_value, evaluation_context)

    async def resolve_object_details_async(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        """The answer for an object, awaited; OpenFeature's client calls it.

        >>> async def value(provider: ConvertProvider, context: EvaluationContext) -> object:
        ...     return (await provider.resolve_object_details_async("pricing", {}, context)).value
        """
        return await self._resolve_async(OBJECT, flag_key, default_value, evaluation_context)

    def _resolve(
        self, wanted: ValueType, key: str, default: V, context: EvaluationContext | None
    ) -> FlagResolutionDetails[V]:
        client = self._client
        if isinstance(client, AsyncClient):
            key_of = None if context is None else context.targeting_key
            return self._answers.error(FlagError.GENERAL, _NEEDS_AWAIT, default, key_of)
        try:
            if context is not None and is_plain(context):
                visitor: Visitor | None = client.visitor(context.targeting_key or "", context.attributes)
            else:
                visitor = self._visitor(client, asker_of(context))
        except (TypeError, ValueError) as error:
            return self._answers.error(FlagError.INVALID_CONTEXT, str(error), default, None)
        if visitor is None:
            return self._answer_anybody(wanted, key, default, context)
        return self._answers.answer(visitor, wanted, key, default)

    async def _resolve_async(
        self, wanted: ValueType, key: str, default: V, context: EvaluationContext | None
    ) -> FlagResolutionDetails[V]:
        client = self._client
        if isinstance(client, Client):
            if client._store is not None:  # it may block
                return await to_thread(self._resolve, wanted, key, default, context)
            return self._resolve(wanted, key, default, context)
        try:
            visitor = await self._awaited_visitor(client, asker_of(context))
        except (TypeError, ValueError) as error:
            return self._answers.error(FlagError.INVALID_CONTEXT, str(error), default, None)
        if visitor is None:
            await client.start()
            return self._answer_anybody(wanted, key, default, context)
        return self._answers.answer(visitor, wanted, key, default)

    def _answer_anybody(
        self, wanted: ValueType, key: str, default: V, context: EvaluationContext | None
    ) -> FlagResolutionDetails[V]:
        try:
            visitor = anonymous_visitor(self._client, asker_of(context))
        except TypeError as error:
            return self._answers.error(FlagError.INVALID_CONTEXT, str(error), default, None)
        return self._answers.answer_anybody(visitor, wanted, key, default)

    def _visitor(self, client: Client, asker: Asker) -> Visitor | None:
        """The visitor who asks; None where nobody is named."""
        visitor = visitor_in_request(client, asker)
        if visitor is not None or asker.id is None:
            return visitor
        return client.visitor(
            asker.id, asker.attributes, location=asker.location, bucketing_id=asker.bucketing_id
        )

    async def _awaited_visitor(self, client: AsyncClient, asker: Asker) -> Visitor | None:
        visitor = visitor_in_request(client, asker)
        if visitor is not None or asker.id is None:
            return visitor
        return await client.visitor(
            asker.id, asker.attributes, location=asker.location, bucketing_id=asker.bucketing_id
        )

    # Conversions.

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Count a conversion of the goal of this key; OpenFeature's client calls it.

        The value is the revenue; the attributes `products` (an int), `transaction_id` (a str) and `allow_repeat` are
        those of `visitor.track`. What is of another type is left out.

        >>> details = TrackingEventDetails(49.9, {"transaction_id": "T-1"})
        >>> ConvertProvider(client).track("purchase", EvaluationContext("v-42"), details)
        """
        try:
            self._track(
                self._client, tracking_event_name, asker_of(evaluation_context), tracking_event_details
            )
        except (TypeError, ValueError) as error:
            _log.warning(_NOT_COUNTED, error)

    def _track(
        self, client: Client | AsyncClient, goal: str, asker: Asker, details: TrackingEventDetails | None
    ) -> None:
        visitor = visitor_in_request(client, asker)
        if visitor is None and asker.id is None:
            _log.warning(_NOT_COUNTED, "the evaluation context has no targeting_key")
            return
        if visitor is None and isinstance(client, Client):
            visitor = self._visitor(client, asker)
        elif visitor is None and isinstance(client, AsyncClient):
            loop = _running_loop() if client._options.store is not None or not client.ready else None
            if loop is not None:
                task = loop.create_task(self._track_awaited(client, goal, asker, details))
                self._tracking.add(task)
                task.add_done_callback(self._tracking.discard)
                return
            visitor = bare_visitor_of(client, asker.id or "", asker)
        if visitor is not None:
            self._convert(visitor, goal, details)

    async def _track_awaited(
        self, client: AsyncClient, goal: str, asker: Asker, details: TrackingEventDetails | None
    ) -> None:
        try:
            visitor = await self._awaited_visitor(client, asker)
            if visitor is not None:
                self._convert(visitor, goal, details)
        except (TypeError, ValueError) as error:
            _log.warning(_NOT_COUNTED, error)

    def _convert(self, visitor: Visitor, goal: str, details: TrackingEventDetails | None) -> None:
        value = None if details is None else details.value
        given: Mapping[str, object] = {} if details is None else details.attributes
        products, transaction_id = given.get("products"), given.get("transaction_id")
        result = visitor.track(
            goal,
            revenue=_amount(value),
            products=products if isinstance(products, int) and not isinstance(products, bool) else None,
            transaction_id=transaction_id if isinstance(transaction_id, str) else None,
            allow_repeat=given.get("allow_repeat") is True,
        )
        unknown = result.reason is ConversionReason.UNKNOWN_GOAL
        if unknown and goal not in self._unknown_goals and len(self._unknown_goals) < _MOST_GOALS:
            self._unknown_goals.add(goal)
            _log.warning("conversions of %r are not counted: the project has no such goal", goal)


def _amount(value: object) -> float | None:
    """The value as a revenue; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if isfinite(value) else None
    except OverflowError:
        return None


def _running_loop() -> AbstractEventLoop | None:
    try:
        return get_running_loop()
    except RuntimeError:
        return None


def _key_of(secret: str | bytes | None) -> bytes:
    """The key of the hash. Raises TypeError or ValueError for what is no secret."""
    if secret is None:
        return token_bytes(32)
    if not isinstance(secret, (str, bytes)):
        raise TypeError(f"context_key must be a str or bytes, not {type(secret).__name__}")
    if len(secret) < 16:
        raise ValueError(
            "context_key must have 16 characters or more: whoever guesses it can name the visitors"
        )
    return sha256(secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret).digest()
