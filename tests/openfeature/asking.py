"""Look-ups by the type that a scenario names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, FlagType

from convert_sdk import AsyncClient, Client
from convert_sdk.integrations.openfeature import ConvertProvider

Details = FlagEvaluationDetails[object]


class Question(NamedTuple):
    """A flag as a scenario asks for it."""

    key: str
    type: str
    default: object


def asked(
    question: Question,
    context: EvaluationContext | None = None,
    *,
    client: OpenFeatureClient | None = None,
    options: FlagEvaluationOptions | None = None,
) -> Details:
    """The details of the answer, by OpenFeature's own client."""
    asker = cast("Callable[..., Details]", (client or api.get_client()).evaluate_flag_details)
    return asker(FlagType[question.type.upper()], question.key, question.default, context, options)


async def asked_async(question: Question, context: EvaluationContext | None = None) -> Details:
    """The same, awaited."""
    client = api.get_client()
    return cast(
        "Details",
        await client.evaluate_flag_details_async(
            FlagType[question.type.upper()],
            question.key,
            cast("str", question.default),
            context,
        ),
    )


def flags_of(client: Client | AsyncClient, *, exposures: bool = True) -> OpenFeatureClient:
    """OpenFeature's client of a provider that has this client of ours."""
    api.set_provider_and_wait(ConvertProvider(client, exposures=exposures))
    return api.get_client()


def about(**attributes: object) -> EvaluationContext:
    """A context without a targeting key."""
    return EvaluationContext(attributes=cast("Mapping[str, str]", attributes))


def same(found: object, wanted: object) -> bool:
    """True for the same value of the same type."""
    return type(found) is type(wanted) and json.dumps(found) == json.dumps(wanted)
