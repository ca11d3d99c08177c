"""What a key and a type read, what fits, and what is exposed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from convert_sdk import AsyncClient, Client, MemoryStore, Project
from convert_sdk.integrations.openfeature import ConvertProvider
from convert_sdk.integrations.openfeature.flags import FLOAT, INTEGER, MISFIT
from convert_sdk.observation import Decided, Observation
from convert_sdk.testing import RecordingClient
from tests.documents import Json, change, document, entity, every, experience, feature, leaf, variation
from tests.openfeature.asking import Details, Question, about, asked, asked_async, flags_of, same

VISITOR = EvaluationContext("v-1")
NAMES = {bool: "Boolean", str: "String", int: "Integer", float: "Float", dict: "Object", list: "Object"}


def ask(key: str, default: object, context: EvaluationContext | None = VISITOR) -> Details:
    """The answer, asked for by the default's type."""
    return asked(Question(key, NAMES[type(default)], default), context)


def one_feature(types: Mapping[str, str], values: Mapping[str, object], key: str = "plan") -> Project:
    """Everybody has this feature, by one experience."""
    arms = [variation("1", 100, changes=[change("81", **values)])]
    content = document(experience("100", "sale", variations=arms), features=[feature("81", key, **types)])
    return Project.parse(json.dumps(content))


CASES: list[tuple[dict[str, str], dict[str, object], object, object]] = [
    # variables and their types, values, the default asked with, the value that comes
    ({"value": "boolean"}, {"value": "false"}, True, False),
    ({"value": "boolean", "on": "boolean"}, {"value": "false", "on": "true"}, True, False),
    ({"on": "boolean", "limit": "integer"}, {"on": "false", "limit": 3}, True, False),
    ({"on": "boolean", "off": "boolean"}, {"on": "false", "off": "false"}, False, True),
    ({"limit": "integer"}, {"limit": 3}, False, True),
    ({"value": "string", "limit": "integer"}, {"value": "x", "limit": 3}, False, True),
    ({}, {}, False, True),
    ({"value": "string"}, {"value": "hi"}, "", "hi"),
    ({"value": "string", "other": "string"}, {"value": "hi", "other": "no"}, "", "hi"),
    ({"title": "string"}, {"title": "hi"}, "", "hi"),
    ({"value": "integer"}, {"value": "7"}, 0, 7),
    ({"value": "integer"}, {"value": 7}, 0.5, 7.0),
    ({"value": "integer"}, {"value": 9007199254740991}, 0, 9007199254740991),
    ({"value": "float"}, {"value": 7.0}, 0, 7),
    ({"value": "float"}, {"value": "0.25"}, 0.0, 0.25),
    ({"value": "json"}, {"value": '{"a": [1]}'}, {}, {"value": {"a": [1]}}),
    ({"a": "string", "b": "integer"}, {"a": "x", "b": 2}, {}, {"a": "x", "b": 2}),
    ({"a": "string", "b": "integer"}, {"a": "x"}, {}, {"a": "x"}),
]


@pytest.mark.parametrize(("types", "values", "default", "value"), CASES)
def test_a_feature_as_each_type(
    types: dict[str, str], values: dict[str, object], default: object, value: object
) -> None:
    flags_of(Client.offline(one_feature(types, values)))
    details = ask("plan", default)
    assert (details.error_code, details.variant) == (None, "arm-1")
    assert same(details.value, value)


MISMATCHES: list[tuple[dict[str, str], dict[str, object], object]] = [
    ({"value": "boolean"}, {"value": "true"}, 0),
    ({"value": "boolean"}, {"value": "true"}, 0.5),
    ({"value": "boolean"}, {"value": "true"}, {}),
    ({"value": "string"}, {"value": "true"}, False),
    ({"value": "string"}, {"value": "7"}, 0),
    ({"value": "float"}, {"value": 7.5}, 0),
    ({"value": "integer"}, {"value": 7}, "seven"),
    ({"a": "string", "b": "string"}, {"a": "x", "b": "y"}, "text"),
    ({}, {}, "text"),
    ({}, {}, {}),
    ({"value": "json"}, {"value": '{"a": 1}'}, "text"),
    ({"value": "integer"}, {"value": "many"}, 1),
]


@pytest.mark.parametrize(("types", "values", "default"), MISMATCHES)
def test_a_type_that_does_not_fit_gives_the_default(
    types: dict[str, str], values: dict[str, object], default: object
) -> None:
    flags_of(Client.offline(one_feature(types, values)))
    details = ask("plan", default)
    assert (details.error_code, details.reason, details.variant) == (ErrorCode.TYPE_MISMATCH, "ERROR", None)
    assert same(details.value, default)


@pytest.mark.parametrize(
    ("key", "default", "value"),
    [
        ("plan.limit", 0, 3),
        ("plan.limit", 0.5, 3.0),
        ("plan.texts", [], ["a", "b"]),
        ("plan.on", False, True),
        ("plan.name", "", "pro"),
    ],
)
def test_a_variable_by_its_name(key: str, default: object, value: object) -> None:
    types = {"limit": "integer", "texts": "json", "on": "boolean", "name": "string"}
    values: dict[str, object] = {"limit": 3, "texts": '["a", "b"]', "on": "true", "name": "pro"}
    flags_of(Client.offline(one_feature(types, values)))
    assert same(ask(key, default).value, value)


def test_the_order_of_a_look_up() -> None:
    arms = [variation("1", 100, changes=[change("81", b="variable"), change("82", value="feature")])]
    features = [feature("81", "a", b="string"), feature("82", "a.c", value="string")]
    content = document(
        experience("100", "a.b", variations=arms),
        experience("200", "a.c", variations=[variation("2", 100)]),
        experience("300", "x.y.z", variations=[variation("3", 100)]),
        features=[*features, feature("83", "x.y", z="string")],
    )
    flags_of(Client.offline(Project.parse(json.dumps(content))))
    assert ask("a.c", "").value == "feature"  # and not the experience of the same key
    assert ask("a.b", "").value == "arm-1"  # the experience, and not the variable
    assert ask("x.y.z", "").value == "arm-3"
    for unknown in ("a", "a.", ".a", "", "a.d", "a.b.c", "b"):
        wanted = ErrorCode.FLAG_NOT_FOUND if unknown != "a" else None
        assert ask(unknown, "default").error_code is wanted


def test_an_experience_is_a_string_only() -> None:
    client = RecordingClient(Project.parse(json.dumps(document(experience()))))
    flags_of(client)
    defaults: tuple[object, ...] = (False, 1, 0.5, {})
    for default in defaults:
        assert ask("checkout", default).error_code is ErrorCode.TYPE_MISMATCH
    client.assert_nothing_sent()
    assert ask("checkout", "none").value == "arm-1"
    client.assert_exposed("v-1", "checkout")


def test_what_does_not_fit_exposes_nobody() -> None:
    """Whoever gets the default did not see the variation."""
    for types, values, default in MISMATCHES:
        if (
            values.get("value") == "many"
        ):  # a value that is not of its own declared type is found when it is read
            continue
        client = RecordingClient(one_feature(types, values))
        flags_of(client)
        ask("plan", default)
        client.assert_nothing_sent()


def test_the_first_look_up_exposes_and_no_other_one() -> None:
    client = RecordingClient(one_feature({"value": "string"}, {"value": "hi"}))
    flags_of(client)
    for _ in range(3):
        ask("plan", "")
    assert len(client.exposures) == 1


def test_a_look_up_is_observed_once() -> None:
    seen: list[Observation] = []
    client = Client.offline(Project.parse(json.dumps(document(experience()))), hooks=[seen.append])
    flags_of(client)
    for number in range(6):
        ask("checkout", "none", EvaluationContext(f"v-{number}"))
    assert [each.visitor_id for each in seen if isinstance(each, Decided)] == [f"v-{n}" for n in range(6)]


def test_without_exposures_nothing_is_remembered_or_sent() -> None:
    store = MemoryStore()
    client = RecordingClient(Project.parse(json.dumps(document(experience()))))
    flags_of(client, exposures=False)
    assert ask("checkout", "none").value == "arm-1"
    client.assert_nothing_sent()
    assert client.visitor("v-1").peek("checkout").reason.value == "bucketed"
    assert store.load("1-2-v-1") is None


def test_a_variable_that_the_variation_does_not_set() -> None:
    flags_of(Client.offline(one_feature({"a": "string", "b": "string"}, {"a": "x"})))
    details = ask("plan.b", "default")
    assert (details.value, details.reason, details.variant) == ("default", "DEFAULT", "arm-1")


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text())
def test_numbers_are_converted_without_a_loss_or_not_at_all(value: object) -> None:
    for wanted, kind in ((INTEGER, int), (FLOAT, float)):
        fitted = wanted.fit(value)
        assert (fitted is MISFIT) or (
            type(fitted) is kind and fitted == value and type(value) in (int, float)
        )


def test_an_int_that_no_float_can_be() -> None:
    assert FLOAT.fit(2**53) == 2.0**53
    assert FLOAT.fit(2**53 + 1) is MISFIT
    assert FLOAT.fit(10**400) is MISFIT
    assert INTEGER.fit(float("inf")) is MISFIT


def test_every_visitor_gets_what_a_look_up_by_hand_gives() -> None:
    """Also the second of two who have the same variation, or none for the same reason."""
    arms = [variation("1", 40, changes=[change("81", discount=0.1)]), variation("2", 40)]
    content = document(
        experience("100", "sale", variations=arms, audiences=["51"]),
        features=[feature("81", "pricing", discount="float")],
        audiences=[entity("51", "pros", every(leaf()))],
    )
    project = Project.parse(json.dumps(content))
    flags_of(Client.offline(project))
    by_hand = Client.offline(project)
    for number in range(100):
        attributes = {"plan": "pro" if number % 3 else "free"}
        context = EvaluationContext(f"v-{number}", attributes)
        visitor = by_hand.visitor(f"v-{number}", attributes)
        found = visitor.feature("pricing")
        for default in (0.3, 0.4):
            assert ask("pricing.discount", default, context).value == found.get("discount", default)
        assert ask("pricing", True, context).value is found.enabled
        decision = visitor.peek("sale")
        for otherwise in ("a", "b"):
            details = ask("sale", otherwise, context)
            assert (details.value, details.variant) == (
                decision.variation_key or otherwise,
                decision.variation_key,
            )
            assert details.reason == ("TARGETING_MATCH" if decision else "DEFAULT")


# Overrides.


def test_an_override_of_what_the_project_has() -> None:
    client = Client.offline(one_feature({"discount": "float"}, {"discount": 0.1}))
    flags_of(client)
    with client.override(feature="plan", variables={"discount": 0.5}):
        details = ask("plan.discount", 0.0)
        assert (details.value, details.reason, details.variant) == (0.5, "STATIC", None)
    with client.override(feature="plan", enabled=False):
        assert (ask("plan", True).value, ask("plan", True).reason) == (False, "STATIC")
        assert (ask("plan.discount", 0.3).value, ask("plan.discount", 0.3).reason) == (0.3, "STATIC")
    with client.override("sale", "arm-1"):
        assert ask("sale", "").reason == "STATIC"
        assert ask("sale", "", None).value == "arm-1"


def test_an_override_of_what_the_project_lacks() -> None:
    client = Client.offline(Project.parse(json.dumps(document())))
    flags_of(client)
    with client.override(feature="new", variables={"on": False, "title": "x", "weights": [1]}):
        assert ask("new", True).value is False
        assert ask("new.title", "").value == "x"
        assert ask("new.weights", []).value == [1]
        assert ask("new", {}).value == {"on": False, "title": "x", "weights": [1]}
        assert ask("new.title", 1).error_code is ErrorCode.TYPE_MISMATCH
        assert ask("new.more", 1).error_code is ErrorCode.FLAG_NOT_FOUND
    with client.override("test", "b"):
        details = ask("test", "a")
        assert (details.value, details.variant, details.reason) == ("b", "b", "STATIC")
        assert ask("else", "a").error_code is ErrorCode.FLAG_NOT_FOUND
    assert ask("new", True).error_code is ErrorCode.FLAG_NOT_FOUND


# Who asks.

HALVES = experience()
PRO = entity("51", "pro", every(leaf()))


def with_audience(*variations: Json) -> Json:
    return experience("200", "for-pros", variations=[*variations], audiences=["51"])


def test_without_a_targeting_key() -> None:
    content = document(
        HALVES,
        with_audience(variation("3", 100)),
        experience("300", "plain", variations=[variation("4", 100)]),
        experience("400", "split-for-pros", audiences=["51"]),
        audiences=[PRO],
    )
    client = RecordingClient(Project.parse(json.dumps(content)))
    flags_of(client)
    pro = about(plan="pro")
    assert (ask("plain", "", None).value, ask("plain", "", None).reason) == ("arm-4", "STATIC")
    assert (ask("for-pros", "", pro).value, ask("for-pros", "", pro).reason) == ("arm-3", "TARGETING_MATCH")
    assert (ask("for-pros", "none", None).value, ask("for-pros", "", None).reason) == ("none", "DEFAULT")
    assert ask("split-for-pros", "none", None).value == "none"
    for key, context in (("checkout", None), ("checkout", pro), ("split-for-pros", pro)):
        details = ask(key, "none", context)
        assert (details.error_code, details.value) == (ErrorCode.TARGETING_KEY_MISSING, "none")
        assert details.flag_metadata == {"contextId": "anonymous"}
    client.assert_nothing_sent()
    assert ask("plain", "", None).flag_metadata["contextId"] == "anonymous"


def test_somebody_whose_id_is_anonymous_changes_nothing_for_nobody() -> None:
    client = Client.offline(Project.parse(json.dumps(document(experience("300", "plain", variations=[
        variation("4", 100), variation("5", 0)
    ])))))  # fmt: skip
    flags_of(client)
    client.visitor("anonymous").force("plain", "arm-5")
    assert ask("plain", "", None).value == "arm-4"


def test_a_feature_without_a_targeting_key_is_answered_up_to_the_one_that_sets_it() -> None:
    content = document(
        experience("100", "first", variations=[variation("1", 100, changes=[change("81", value="a")])]),
        experience("200", "second", variations=[
            variation("2", 50, changes=[change("81", value="b")]), variation("3", 50)
        ]),
        features=[feature("81", "plan", value="string")],
    )  # fmt: skip
    flags_of(Client.offline(Project.parse(json.dumps(content))))
    assert ask("plan", "", None).value == "a"
    first, second = (each for each in content["experiences"])  # type: ignore[attr-defined]  # a list
    flags_of(Client.offline(Project.parse(json.dumps({**content, "experiences": [second, first]}))))
    assert ask("plan", "", None).error_code is ErrorCode.TARGETING_KEY_MISSING


def test_the_location_and_the_bucketing_id() -> None:
    at_cart = experience("100", "checkout", locations=["61"])
    content = document(at_cart, locations=[entity("61", "cart", every(leaf("url", "/cart")))])
    client = Client.offline(Project.parse(json.dumps(content)))
    flags_of(client)

    def variant(context: EvaluationContext) -> str | None:
        return ask("checkout", "none", context).variant

    def context(id: str, **more: object) -> EvaluationContext:
        return EvaluationContext(id, about(**more).attributes)

    cart = {"url": "/cart"}
    assert variant(context("v-1")) is None
    assert variant(context("v-1", location=cart)) == "arm-1"
    assert variant(context("v-2", location=cart)) == "arm-2"
    assert variant(context("v-3", location=cart, bucketing_id="v-2")) == "arm-2"
    assert variant(context("v-4", location="/cart")) is None  # an attribute as any other


@pytest.mark.parametrize("attributes", [{"bucketing_id": ""}, {"bucketing_id": 1.5}, {"bucketing_id": ["v"]}])
def test_a_context_that_cannot_be_used(attributes: dict[str, object]) -> None:
    flags_of(Client.offline(Project.parse(json.dumps(document(HALVES)))))
    details = ask("checkout", "none", EvaluationContext("v-1", about(**attributes).attributes))
    assert (details.error_code, details.value) == (ErrorCode.INVALID_CONTEXT, "none")


# Clients that are awaited.


def test_an_asynchronous_client_is_awaited() -> None:
    project = one_feature({"value": "string"}, {"value": "hi"})
    question = Question("plan", "String", "none")

    async def program() -> None:
        flags_of(AsyncClient.offline(project))
        for context in (VISITOR, None):
            assert (await asked_async(question, context)).value == "hi"
            details = asked(question, context)
            assert (details.value, details.error_code) == ("none", ErrorCode.GENERAL)
            assert "_async" in str(details.error_message)

    asyncio.run(program())


def test_look_ups_that_are_awaited_over_a_client_with_a_store() -> None:
    project = one_feature({"value": "string"}, {"value": "hi"})

    async def program() -> None:
        for client in (Client.offline(project), Client.offline(project, store=MemoryStore())):
            flags_of(client)
            assert (await asked_async(Question("plan", "String", ""), VISITOR)).value == "hi"

    asyncio.run(program())


# Arguments.


def test_what_is_no_client_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="an AsyncClient or an SDK key, not int"):
        ConvertProvider(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has its options already"):
        ConvertProvider(Client.offline(Project.parse(json.dumps(document()))), environment="live")
    with pytest.raises(ValueError, match="16 characters"):
        ConvertProvider("a/b", context_key="short")
    with pytest.raises(TypeError, match="not int"):
        ConvertProvider("a/b", context_key=7)  # type: ignore[arg-type]
