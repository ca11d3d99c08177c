"""The reasons and the metadata of look-ups."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.telemetry import TelemetryAttribute, create_evaluation_event

from convert_sdk import AsyncClient, Client, Project
from convert_sdk.integrations.openfeature import ConvertProvider
from tests.documents import Json, change, document, entity, every, experience, feature, leaf, variation
from tests.openfeature.asking import Details, Question, asked, flags_of
from tests.reliability.collector import Answer, Collector

PRO = entity("51", "pro", every(leaf()))
SECRET = "a secret of our own"
PROS = EvaluationContext("v-1", {"plan": "pro"})
OTHERS = EvaluationContext("v-1")


def sale(id: str, *percents: int, **more: object) -> Json:
    """An experience whose first arm has the discount, and whose other ones have none."""
    arms = [
        variation(f"{id}{place}", percent, changes=[change("81", discount=0.5)] if place == 0 else [])
        for place, percent in enumerate(percents)
    ]
    return experience(id, f"sale-{id}", variations=arms, **more)


def shop(*experiences: Json, **more: object) -> Project:
    content = document(
        *experiences, features=[feature("81", "pricing", discount="float")], audiences=[PRO], **more
    )
    return Project.parse(json.dumps(content))


def discount(context: EvaluationContext = OTHERS) -> Details:
    return asked(Question("pricing.discount", "Float", 0.0), context)


def enabled(context: EvaluationContext = OTHERS, default: object = True) -> Details:
    return asked(Question("pricing", "Boolean", default), context)


TO_PROS = {"audiences": ["51"]}
FIRST, SECOND = sale("100", 100, **TO_PROS), sale("200", 100)


@pytest.mark.parametrize(
    ("project", "context", "value", "reason", "variant"),
    [
        (shop(sale("100", 100)), OTHERS, 0.5, "STATIC", "arm-1000"),
        (shop(sale("100", 50, 50)), OTHERS, 0.5, "SPLIT", "arm-1000"),
        (shop(sale("100", 50, 50)), EvaluationContext("v-2"), 0.0, "DEFAULT", "arm-1001"),
        (shop(FIRST), PROS, 0.5, "TARGETING_MATCH", "arm-1000"),
        (shop(FIRST), OTHERS, 0.0, "DEFAULT", None),
        (shop(FIRST, SECOND), PROS, 0.5, "TARGETING_MATCH", "arm-1000"),
        (shop(FIRST, SECOND), OTHERS, 0.5, "DEFAULT", "arm-2000"),
        (shop(sale("100", 0), SECOND), OTHERS, 0.5, "STATIC", "arm-2000"),
        (shop(), OTHERS, 0.0, "DISABLED", None),
        (shop(sale("100", 100), archived_experiences=["100"]), OTHERS, 0.0, "DISABLED", None),
        (shop(sale("100", 0)), OTHERS, 0.0, "DEFAULT", None),
    ],
)
def test_the_reason_of_a_variable(
    project: Project, context: EvaluationContext, value: float, reason: str, variant: str | None
) -> None:
    flags_of(Client.offline(project))
    for _ in range(2):  # a decision that is kept has the same reason
        details = discount(context)
        assert (details.value, details.reason, details.variant) == (value, reason, variant)
        assert details.error_code is None


@pytest.mark.parametrize(
    ("project", "context", "value", "reason"),
    [
        (shop(sale("100", 50, 50)), EvaluationContext("v-2"), False, "SPLIT"),
        (shop(FIRST), OTHERS, False, "DEFAULT"),
        (shop(), OTHERS, True, "DISABLED"),
    ],
)
def test_a_feature_that_is_off(
    project: Project, context: EvaluationContext, value: bool, reason: str
) -> None:
    """It is off for this visitor, or says nothing where no experience carries it."""
    flags_of(Client.offline(project))
    details = enabled(context)
    assert (details.value, details.reason) == (value, reason)


def test_a_forced_and_a_previewed_variation() -> None:
    client = Client.offline(shop(sale("100", 50, 50)))
    flags_of(client)
    with client.override("sale-100", "arm-1000"):
        assert discount().reason == "STATIC"


def test_the_metadata_of_a_decision() -> None:
    project = shop(sale("100", 50, 50))
    api.set_provider_and_wait(ConvertProvider(Client.offline(project), context_key=SECRET))
    metadata = dict(discount().flag_metadata)
    context_id = metadata.pop("contextId")
    assert metadata == {
        "experience": "sale-100",
        "variation": "arm-1000",
        "experienceId": "100",
        "variationId": "1000",
        "project": "2",
        "version": project.revision,
        "flagSetId": "1/2",
    }
    assert isinstance(context_id, str)
    assert "v-1" not in context_id
    assert context_id == discount(PROS).flag_metadata["contextId"]
    assert context_id != discount(EvaluationContext("v-2")).flag_metadata["contextId"]
    api.set_provider_and_wait(ConvertProvider(Client.offline(project), context_key=SECRET))
    assert discount().flag_metadata["contextId"] == context_id
    api.set_provider_and_wait(ConvertProvider(Client.offline(project)))
    assert discount().flag_metadata["contextId"] != context_id


def test_each_answer_has_metadata_of_its_own() -> None:
    flags_of(Client.offline(shop(sale("100", 100))))
    first = discount()
    assert isinstance(first.flag_metadata, dict)
    first.flag_metadata.clear()
    assert discount().flag_metadata["experience"] == "sale-100"


class Telemetry(Hook):
    """What a hook of somebody else would report."""

    def __init__(self) -> None:
        self.ids: list[object] = []

    def finally_after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints
    ) -> None:
        event = create_evaluation_event(hook_context, details)
        self.ids.append(event.attributes[TelemetryAttribute.CONTEXT_ID])


def test_the_telemetry_of_others_names_no_visitor() -> None:
    """Also where there is no answer, and where OpenFeature does not ask the provider at all."""
    seen = Telemetry()
    api.add_hooks([seen])
    flags_of(Client.offline(shop(sale("100", 100))))
    for key in ("pricing.discount", "pricing.unknown"):
        asked(Question(key, "Float", 0.0), OTHERS)
    asked(Question("pricing.discount", "String", ""), OTHERS)
    with Collector(lambda _: Answer(401)) as server:
        client = Client("1/2", config_endpoint=server.url, track_endpoint=server.url)
        api.set_provider(ConvertProvider(client))
        discount()
        client.close()
    assert len(seen.ids) == 4
    assert not {"v-1"} & {*seen.ids}


class Raises(Hook):
    """A hook of somebody else that has a bug."""

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        raise RuntimeError("a bug")


class RaisesAfterwards(Hook):
    """The same, once there is an answer."""

    def after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints
    ) -> None:
        raise RuntimeError("a bug")


@pytest.mark.parametrize("hook", [Raises(), RaisesAfterwards()])
def test_the_telemetry_of_others_names_no_visitor_where_a_hook_raises(hook: Hook) -> None:
    """OpenFeature makes that answer itself, without the metadata of ours."""
    seen = Telemetry()
    api.add_hooks([seen])
    flags_of(Client.offline(shop(sale("100", 100))))
    context_id = discount().flag_metadata["contextId"]
    question = Question("pricing.discount", "Float", 0.0)
    asked(question, OTHERS, options=FlagEvaluationOptions(hooks=[hook]))
    assert seen.ids == [context_id, context_id]


@pytest.mark.parametrize("key", [42, b"v-1", ["v-1"], 4.5, ""])
@pytest.mark.parametrize("make", [Client.offline, AsyncClient.offline])
def test_a_targeting_key_of_another_type_is_not_told_either(
    make: Callable[[Project], Client | AsyncClient], key: object
) -> None:
    seen = Telemetry()
    api.add_hooks([seen])
    flags_of(make(shop(sale("100", 50, 50))))
    discount(EvaluationContext(cast("str", key)))
    [context_id] = seen.ids
    assert context_id == "anonymous" if type(key) is not int else len(str(context_id)) == 32
