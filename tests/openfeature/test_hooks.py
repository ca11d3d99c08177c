"""The rows of hooks.feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagValueType
from openfeature.hook import Hook, HookContext, HookHints

from tests.openfeature.asking import Question, asked, flags_of
from tests.openfeature.flag_set import flag_client


class Stages(Hook):
    """Keeps what each stage was called with."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.details: dict[str, FlagEvaluationDetails[FlagValueType]] = {}

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        self.called.append("before")
        return None

    def error(self, hook_context: HookContext, exception: Exception, hints: HookHints) -> None:
        self.called.append("error")

    def after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints
    ) -> None:
        self.called.append("after")
        self.details["after"] = details

    def finally_after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints
    ) -> None:
        self.called.append("finally")
        self.details["finally"] = details


class Row(NamedTuple):
    """A question, the stages that run, and the details that they get."""

    question: Question
    stages: list[str]
    details: tuple[str, object, str | None, str, str | None]
    """Flag key, value, variant, reason and error code."""


ROWS: Mapping[str, Row] = {
    "hooks/passes evaluation details to after and finally hooks/1": Row(
        Question("boolean-flag", "Boolean", False),
        ["before", "after", "finally"],
        ("boolean-flag", True, "on", "STATIC", None),
    ),
    "hooks/flag not found/1": Row(
        Question("missing-flag", "String", "uh-oh"),
        ["before", "error", "finally"],
        ("missing-flag", "uh-oh", None, "ERROR", "FLAG_NOT_FOUND"),
    ),
    "hooks/type error/1": Row(
        Question("wrong-flag", "Boolean", False),
        ["before", "error", "finally"],
        ("wrong-flag", False, None, "ERROR", "TYPE_MISMATCH"),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_the_stages_of_a_hook_get(name: str) -> None:
    row, stages = ROWS[name], Stages()
    client = flags_of(flag_client())
    client.add_hooks([stages])
    asked(row.question, client=client)
    assert stages.called == row.stages
    for each in stages.details.values():
        assert (each.flag_key, each.value, each.variant, each.reason, each.error_code) == row.details
