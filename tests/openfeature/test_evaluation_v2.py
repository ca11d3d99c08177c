"""The rows of evaluation_v2.feature."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import ProviderStatus

from convert_sdk import Client
from convert_sdk.integrations.openfeature import ConvertProvider
from tests.openfeature import scenarios
from tests.openfeature.asking import Details, Question, about, asked, asked_async, flags_of, same
from tests.openfeature.flag_set import BALLMER, DOCUMENT, PICTURES, flag_client
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import KEY
from tests.waiting import PATIENCE, eventually

PLAIN = (
    Question("boolean-flag", "Boolean", False),
    Question("string-flag", "String", "bye"),
    Question("integer-flag", "Integer", 1),
    Question("float-flag", "Float", 0.1),
    Question("object-flag", "Object", {}),
)
OTHER = {"a": 1}
WITH_OBJECT = (*PLAIN[:4], Question("object-flag", "Object", OTHER))
VALUES = (True, "hi", 10, 0.5, PICTURES)
VARIANTS = ("on", "greeting", "ten", "half", "template")
ZEROS: tuple[object, ...] = (False, "", 0, 0.0, {})
STATIC, DEFAULT, ERROR = "STATIC", "DEFAULT", "ERROR"


class Row(NamedTuple):
    """A question, and what the answer is to be; None for what the scenario does not look at."""

    question: Question
    value: object = None
    reason: str | None = None
    error: str | None = None
    variant: str | None = None
    context: EvaluationContext | None = None
    provider: str = "stable"
    awaited: bool = False
    times: int = 1

    def holds(self, details: Details) -> bool:
        """True if the answer is as the row says."""
        found = {"reason": details.reason, "error": details.error_code, "variant": details.variant}
        wanted = {"reason": self.reason, "error": self.error, "variant": self.variant}
        agree = all(found[name] == each for name, each in wanted.items() if each is not None)
        return (
            agree
            and (self.value is None or same(details.value, self.value))
            and details.flag_key == self.question.key
        )


def zeros(kind: str, defaults: tuple[object, ...]) -> tuple[Question, ...]:
    types = ("Boolean", "String", "Integer", "Float", "Object")
    return tuple(
        Question(f"{name.lower()}-{kind}-flag", name, default)
        for name, default in zip(types, defaults, strict=True)
    )


UNLIKE = (True, "hi", 1, 0.1, OTHER)
TARGETED = zeros("targeted-zero", UNLIKE)
WITHOUT_EMAIL = zeros("targeted-zero", (True, "str", 1, 1.0, OTHER))


def paired(questions: tuple[Question, ...], values: tuple[object, ...]) -> Iterator[tuple[Question, object]]:
    return zip(questions, values, strict=True)


TABLES: Mapping[str, list[Row]] = {
    "resolve values": [Row(each, value) for each, value in paired(PLAIN, VALUES)],
    "resolves zero value": [Row(each, value, STATIC) for each, value in paired(zeros("zero", UNLIKE), ZEROS)],
    "resolves zero value with targeting": [
        Row(each, value, "TARGETING_MATCH", context=about(email=BALLMER))
        for each, value in paired(TARGETED, ZEROS)
    ],
    "resolves zero value with targeting using default": [
        Row(each, value, DEFAULT, context=about(email="ballmer@none.com"))
        for each, value in paired(TARGETED, ZEROS)
    ],
    "flag not found error": [
        Row(Question("non-existent-flag", each.type, each.default), each.default, ERROR, "FLAG_NOT_FOUND")
        for each in WITH_OBJECT
    ],
    "type mismatch error": [
        Row(Question(key, type_name, default), default, ERROR, "TYPE_MISMATCH")
        for key, type_name, default in (
            ("string-flag", "Boolean", False),
            ("boolean-flag", "String", "bye"),
            ("boolean-flag", "Integer", 1),
            ("boolean-flag", "Float", 0.1),
            ("boolean-flag", "Object", OTHER),
        )
    ],
    "provider not ready error": [
        Row(each, each.default, ERROR, "PROVIDER_NOT_READY", provider="not ready") for each in WITH_OBJECT
    ],
    "provider in fatal state error": [
        Row(each, each.default, ERROR, "PROVIDER_FATAL", provider="fatal") for each in WITH_OBJECT
    ],
    "complete evaluation details structure": [
        Row(each, value, STATIC, variant=variant)
        for (each, value), variant in zip(paired(PLAIN, VALUES), VARIANTS, strict=True)
    ],
    "empty evaluation context": [Row(each, value, DEFAULT) for each, value in paired(WITHOUT_EMAIL, ZEROS)],
    "null context values": [
        Row(each, value, DEFAULT, context=about(email=None)) for each, value in paired(WITHOUT_EMAIL, ZEROS)
    ],
    "multiple context attributes targeting": [
        Row(
            Question("complex-targeted", "String", "default"),
            "INTERNAL",
            "TARGETING_MATCH",
            context=about(email=BALLMER, role="admin", age=65, customer=False),
        )
    ],
    "structure flag evaluation": [Row(PLAIN[4], PICTURES, STATIC)],
    "variant field population": [
        Row(each, variant=variant) for each, variant in zip(PLAIN, VARIANTS, strict=True)
    ],
    "cached reason": [Row(each, reason="CACHED", times=2) for each in PLAIN[:2]],
    "disabled reason": [
        Row(
            Question(each.key.replace("-flag", "-disabled-flag"), each.type, each.default),
            each.default,
            "DISABLED",
        )
        for each in WITH_OBJECT
    ],
    "asynchronous flag evaluation": [Row(each, value, awaited=True) for each, value in paired(PLAIN, VALUES)],
}
ROWS = {
    f"evaluation_v2/{scenario}/{place}": row
    for scenario, rows in TABLES.items()
    for place, row in enumerate(rows, start=1)
}
"""The rows that are one question and its answer."""


@contextmanager
def provider(state: str, folder: Path) -> Iterator[None]:
    """OpenFeature with a provider in this state."""
    with ExitStack() as stack:
        if state == "stable":
            api.set_provider_and_wait(ConvertProvider(stack.enter_context(flag_client())))
        else:
            stack.enter_context(unstable_provider(state, folder))
        yield


@contextmanager
def unstable_provider(state: str, folder: Path) -> Iterator[None]:
    """A provider whose server does not give it a document, or not in time."""
    answers = {
        "not ready": Answer(503),
        "error": Answer(503),
        "fatal": Answer(401),
        "stale": Answer(200, {}, DOCUMENT),
    }

    def answer(_: Received) -> Answer:
        return answers[state]

    with Collector(answer) as server:
        start_wait = 60.0 if state == "not ready" else 0.05 if state == "error" else PATIENCE
        client = Client(
            KEY,
            config_endpoint=server.url,
            track_endpoint=server.url,
            start_wait=start_wait,
            shutdown_timeout=0.0,
            cache_dir=str(folder),
        )
        if state == "stale":  # a document on disk, and a server that cannot confirm it
            with closing(client):
                assert client.wait_until_ready(PATIENCE)
            answers["stale"] = Answer(503)
            client = Client(KEY, config_endpoint=server.url, track_endpoint=server.url, cache_dir=str(folder))
        with closing(client):
            api.set_provider(ConvertProvider(client))
            if state != "not ready":
                eventually(lambda: api.get_client().get_provider_status() is ProviderStatus[state.upper()])
            yield


@pytest.mark.parametrize("name", ROWS)
def test_a_question_and_its_answer(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    found: list[Details] = []
    with provider(row.provider, tmp_path):
        for _ in range(row.times):
            if row.awaited:
                found.append(asyncio.run(asked_async(row.question, row.context)))
            else:
                found.append(asked(row.question, row.context))
    assert row.holds(found[-1]) is (name not in scenarios.NOT_PASSED), found


STATES = {
    "evaluation_v2/provider status accessibility/1": ("stable", ProviderStatus.READY),
    "evaluation_v2/provider status accessibility/2": ("not ready", ProviderStatus.NOT_READY),
    "evaluation_v2/provider status accessibility/3": ("error", ProviderStatus.ERROR),
    "evaluation_v2/provider status accessibility/4": ("fatal", ProviderStatus.FATAL),
    "evaluation_v2/provider status accessibility/5": ("stale", ProviderStatus.STALE),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_of_a_provider(name: str, tmp_path: Path) -> None:
    state, status = STATES[name]
    with provider(state, tmp_path):
        assert api.get_client().get_provider_status() is status


class Noting(Hook):
    """Writes down which of its stages ran, and gives the context more."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
        self._notes.append(f"{self._name} before")
        return EvaluationContext(attributes={"added": self._name})

    def after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[FlagValueType],
        hints: HookHints,
    ) -> None:
        self._notes.append(f"{self._name} after")


def options_with_hooks() -> bool:
    notes: list[str] = []
    options = FlagEvaluationOptions(hooks=[Noting("first", notes), Noting("second", notes)])
    asked(PLAIN[0], options=options)
    return notes == ["first before", "second before", "second after", "first after"]


def metadata_of_a_flag() -> bool:
    found = asked(Question("metadata-flag", "Boolean", True)).flag_metadata
    wanted = {"string": "1.0.2", "integer": 2, "float": 0.1, "boolean": True}
    return all(name in found and same(found[name], each) for name, each in wanted.items())


def immutable() -> bool:
    attributes = {"email": BALLMER}
    context = EvaluationContext("user-1", attributes)
    details = asked(PLAIN[0], context, options=FlagEvaluationOptions(hooks=[Noting("a", [])]))
    assert (context.targeting_key, context.attributes) == ("user-1", {"email": BALLMER})
    try:
        details.value = "changed"
    except AttributeError:
        return True
    return False


PARTICULAR: Mapping[str, Callable[[], bool]] = {
    "evaluation_v2/flag metadata in evaluation details/1": metadata_of_a_flag,
    "evaluation_v2/evaluation options with hooks/1": options_with_hooks,
    "evaluation_v2/evaluation context immutability/1": immutable,
}


@pytest.mark.parametrize("name", PARTICULAR)
def test_what_is_more_than_an_answer(name: str) -> None:
    flags_of(flag_client())
    assert PARTICULAR[name]() is (name not in scenarios.NOT_PASSED)
