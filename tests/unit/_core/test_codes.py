from __future__ import annotations

import pickle
import re

import pytest

from convert_sdk._core.codes import Code, Severity
from convert_sdk._core.problem import Problem


@pytest.mark.parametrize("code", Code)
def test_a_code_is_one_word_with_a_sentence_of_advice(code: Code) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)
    assert code.advice.endswith(".")
    assert "\n" not in code.advice
    assert pickle.loads(pickle.dumps(code)) is code  # noqa: S301  # our own


def test_severities_have_an_order() -> None:
    assert [each for each in Severity if each.at_least(Severity.WARNING)] == [
        Severity.ERROR,
        Severity.WARNING,
    ]


def test_a_problem_as_json() -> None:
    problem = Problem("$.goals", "no", Code.UNUSED_GOAL)
    assert problem.to_dict() == {
        "code": "unused-goal",
        "severity": "note",
        "path": "$.goals",
        "message": "no",
        "advice": Code.UNUSED_GOAL.advice,
    }
