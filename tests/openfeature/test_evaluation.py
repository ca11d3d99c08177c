"""The rows of evaluation.feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from openfeature.evaluation_context import EvaluationContext

from tests.openfeature.asking import Question, about, asked, flags_of, same
from tests.openfeature.flag_set import PICTURES, flag_client

INSIDE = about(fn="Sulisław", ln="Świętopełk", age=29, customer=False)
AWARE = Question("context-aware", "String", "EXTERNAL")


class Row(NamedTuple):
    """Questions, each with the value, the variant, the reason and the error that the answer has."""

    question: Question
    value: object
    variant: str | None = None
    reason: str | None = None
    error: str | None = None
    context: EvaluationContext | None = None


PLAIN = (
    Row(Question("boolean-flag", "Boolean", False), True, "on"),
    Row(Question("string-flag", "String", "bye"), "hi", "greeting"),
    Row(Question("integer-flag", "Integer", 1), 10, "ten"),
    Row(Question("float-flag", "Float", 0.1), 0.5, "half"),
    Row(Question("object-flag", "Object", None), PICTURES, "template"),
)
ROWS: Mapping[str, list[Row]] = {
    **{
        f"evaluation/resolves value/{place}": [each._replace(variant=None)]
        for place, each in enumerate(PLAIN, start=1)
    },
    **{
        f"evaluation/resolves details/{place}": [each._replace(reason="STATIC")]
        for place, each in enumerate(PLAIN, start=1)
    },
    "evaluation/resolves based on context/1": [
        Row(AWARE, "INTERNAL", context=INSIDE),
        Row(AWARE, "EXTERNAL"),
    ],
    "evaluation/flag not found/1": [
        Row(Question("missing-flag", "String", "uh-oh"), "uh-oh", None, "ERROR", "FLAG_NOT_FOUND")
    ],
    "evaluation/type error/1": [
        Row(Question("wrong-flag", "Integer", 13), 13, None, "ERROR", "TYPE_MISMATCH")
    ],
}


@pytest.mark.parametrize("name", ROWS)
def test_a_question_and_its_answer(name: str) -> None:
    client = flags_of(flag_client())
    for row in ROWS[name]:
        details = asked(row.question, row.context, client=client)
        assert same(details.value, row.value)
        assert row.variant in (None, details.variant)
        assert row.reason in (None, details.reason)
        assert details.error_code == row.error
