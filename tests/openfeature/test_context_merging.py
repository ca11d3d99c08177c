"""The rows of contextMerging.feature: what the provider decides with, whatever level it was given on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationOptions
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

from convert_sdk import Client, Project
from convert_sdk.observation import Decided, Observation
from tests.openfeature.asking import Question, asked, flags_of
from tests.openfeature.flag_set import DOCUMENT

PLAIN = ("API", "Client", "Invocation")
ORDERS = {
    "transaction": ("API", "Transaction", "Client", "Invocation"),
    "hooks": (*PLAIN, "Before Hooks"),
    "hooks and transaction": ("API", "Transaction", "Client", "Invocation", "Before Hooks"),
}
"""The levels, each over those before it, of an SDK with these abilities."""


class Row(NamedTuple):
    """Entries by level, and those that the merged context has."""

    given: Mapping[str, Mapping[str, str]]
    merged: Mapping[str, str]


def rows() -> Iterator[tuple[str, Row]]:
    for ability, order in ORDERS.items():
        for place, level in enumerate(order, start=1):
            single = {"key": "value"}
            yield f"single level, {ability}/{place}", Row({level: single}, single)
            below = {each: {"key": each} for each in order[:place]}
            yield f"overwrites, {ability}/{place}", Row(below, {"key": level})
        apart = {level: {level: f"{level} value"} for level in order}
        everything = {name: value for entries in apart.values() for name, value in entries.items()}
        yield f"different keys, {ability}/1", Row(apart, everything)


ROWS = {f"contextMerging/{name}": row for name, row in rows()}


class Adding(Hook):
    """Gives the context more, before the look-up."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
        return EvaluationContext(attributes=self._entries)


@pytest.mark.parametrize("name", ROWS)
def test_the_merged_context_is_what_is_decided_with(name: str) -> None:
    given, merged = ROWS[name]
    seen: list[Observation] = []
    client = Client.offline(Project.parse(DOCUMENT), hooks=[seen.append], observe_facts=True)
    flags = flags_of(client)
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    api.set_transaction_context(EvaluationContext(attributes=given.get("Transaction", {})))
    api.set_evaluation_context(EvaluationContext("v-1", given.get("API", {})))
    flags.context = EvaluationContext(attributes=given.get("Client", {}))
    options = FlagEvaluationOptions(hooks=[Adding(given["Before Hooks"])] if "Before Hooks" in given else [])
    asked(
        Question("boolean-flag", "Boolean", False),
        EvaluationContext(attributes=given.get("Invocation", {})),
        client=flags,
        options=options,
    )
    facts = [each.facts for each in seen if isinstance(each, Decided)]
    assert [each.attributes if each else None for each in facts] == [merged]
