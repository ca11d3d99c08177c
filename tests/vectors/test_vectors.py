"""Every answer of the reference, as a test; `python -m tests.vectors` prints the figures."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import pytest

from tests.processes import ROOT

from .__main__ import main
from .decisions import answered, shaped
from .differences import QUESTIONS, REWRITES, Between, OneOf
from .runner import HERE, Miss, cases, documents, judged, numbers, run, same

FILES = {"cast": 1050, "compare": 3808, "decide": 3423, "extra": 761, "hash": 2218, "rules": 3311}
SKIPPED = {"decide": {"D1": 27}}
"""The cases that hang on a variation whose id is a number, by file: no question brings the reference's answer."""
CASES = cases(HERE)
DOCUMENTS = documents(HERE)


def test_all_files_are_here() -> None:
    assert {name: len(listed) for name, listed in CASES.items()} == FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_case_agrees_or_is_explained(name: str) -> None:
    tally = run(CASES[name], DOCUMENTS)
    assert [str(miss) for miss in tally.misses] == []
    assert tally.agreed + tally.skipped.total() == tally.total
    assert tally.skipped == SKIPPED.get(name, {})


def test_the_page_of_differences_names_those_that_are_counted() -> None:
    counted = {name for table in (REWRITES, QUESTIONS) for each in table.values() for name in each}
    page = (ROOT / "docs/differences.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"counts how often it applied: (.+?)\.", page)
    assert set(re.findall(r"D\d+", named)) == counted
    assert counted <= set(re.findall(r"^\| (D\d+) \|", page, re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "mode", "field", "wrong"),
    [
        ("cast", "cast", "result", "something else"),
        ("compare", "compare", "result", None),
        ("rules", "rule", "result", None),
        ("hash", "hash", "hash", 1),
        ("hash", "hash", "value", 10_000),
        ("extra", "bucket", "selected", "nobody"),
        ("extra", "preview_param", "result", {"experienceId": "1", "variationId": "1"}),
        ("extra", "numeric", "number", -1),
        ("decide", None, "steps", []),
        ("decide", None, "visitor_data", {"goals": {"another": True}}),
        ("decide", None, "requests", []),
        ("decide", None, "something_new", 1),
    ],
)
def test_a_wrong_answer_is_noticed(name: str, mode: str | None, field: str, wrong: object) -> None:
    line = deepcopy(next(x for x in CASES[name] if x["case"].get("mode") == mode and _tells(x, field)))
    line["expected"][field] = wrong
    case = numbers(line["case"])
    verdict = judged(case, DOCUMENTS.get(case.get("config_ref")), numbers(line["expected"]))
    assert isinstance(verdict, Miss)
    assert (verdict.case_id, verdict.field) == (case["id"], field)


def _tells(line: dict[str, dict[str, object]], field: str) -> bool:
    """Whether a case has an answer in this field that could be got wrong."""
    return field == "something_new" or bool(line["expected"].get(field)) or "mode" in line["case"]


def test_what_the_reference_was_not_asked_is_not_compared() -> None:
    line = next(line for line in CASES["decide"] if line["expected"].get("requests"))
    case = numbers(line["case"])
    fewer = {"steps": numbers(line["expected"]["steps"])}
    assert not isinstance(judged(case, DOCUMENTS[case["config_ref"]], fewer), Miss)


def test_a_directory_with_some_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(HERE / "cast.jsonl.gz", tmp_path)
    wrong = {"case": {"id": "x-1", "mode": "numeric", "value": "1,000"}, "expected": {"number": 1}}
    (tmp_path / "own.jsonl").write_text(json.dumps(wrong) + "\n")
    assert main(tmp_path) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("cast: 1050 cases, 1050 agree, rewritten D7 ")
    assert printed[1] == "own: 1 cases, 0 agree, rewritten none, skipped none, 1 unexplained"
    assert printed[2] == "  x-1 number: expected 1, found 1000.0"


def test_a_directory_without_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 1
    assert "no vectors in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        ("1", 1, False),
        (float("nan"), float("nan"), True),
        ([1, {"a": 2}], [1.0, {"a": 2.0}], True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([], {}, False),
        ("a", OneOf(["b", "a"]), True),
        ("c", OneOf(["b", "a"]), False),
    ],
)
def test_sameness(one: object, other: object, equal: bool) -> None:
    assert same(one, other) is equal


def _asked(step: Mapping[str, object], **more: object) -> dict[str, object]:
    return {**step, "attributes": {"location_properties": {}, **more}}


def test_what_was_cast_once_is_shown_cast_by_the_reference() -> None:
    change = {"type": "fullStackFeature", "data": {"feature_id": "8", "variables_data": {"n": "7"}}}
    arm = {"id": "1", "key": "a", "name": "A", "changes": [change]}
    document = {
        "account_id": "1",
        "project": {"id": "2"},
        "experiences": [{"id": "10", "key": "e", "name": "E", "variations": [arm]}],
        "features": [{"id": "8", "key": "f", "name": "F", "variables": [{"key": "n", "type": "integer"}]}],
    }
    run = {"op": "run_feature", "key": "f"}
    shown = {
        "feature_id": "8",
        "feature_key": "f",
        "feature_name": "F",
        "status": "enabled",
        "experience_id": "10",
        "experience_key": "e",
        "experience_name": "E",
        "variables": {"n": 7},
    }
    steps = [_asked(run), _asked(run, type_casting=False)]
    case = {"id": "x-1", "visitor_id": "v", "steps": steps}
    assert judged(case, document, {"steps": [{"feature": shown}] * 2}) == {"D7"}
    assert isinstance(judged({**case, "steps": steps[1:]}, document, {"steps": [{"feature": shown}]}), Miss)


def test_a_rule_set_in_units() -> None:
    leaf = {"key": "k", "matching": {"match_type": "regexMatches", "negated": False}, "value": "^.{3}$"}
    rules = {"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}
    case = {"id": "x-1", "mode": "rule", "data": {"k": "a\U0001f600"}, "rule_set": rules}
    assert judged(case, None, {"result": True}) == {"D14"}
    assert isinstance(judged({**case, "data": {"k": "a"}}, None, {"result": True}), Miss)


def test_the_reference_s_own_match_type_is_explained_in_a_rule_set() -> None:
    leaf = {"key": "k", "matching": {"match_type": "_returnNegationCheck", "negated": False}, "value": ""}
    rules = {"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}
    case = {"id": "x-1", "mode": "rule", "data": {"k": True}, "rule_set": rules}
    assert judged(case, None, {"result": True}) == {"D3"}
    assert judged({**case, "data": {"k": "a"}}, None, {"result": False}) == set()
    assert isinstance(judged({**case, "data": {"k": "a"}}, None, {"result": True}), Miss)


def test_any_of_the_locations_that_were_left_may_come_back() -> None:
    between = Between(["b"], ["a", "b", "c"])
    assert [between.admits(names) for names in (["b"], ["a", "b"], ["c", "b", "a"])] == [True] * 3
    assert [between.admits(names) for names in ([], ["a"], ["b", "d"], ["b", "b"])] == [False] * 4


def test_an_empty_part_of_a_conversion_is_as_none() -> None:
    def sent(data: object) -> dict[str, object]:
        event = {"eventType": "conversion", "data": data}
        body = {"visitors": [{"visitorId": "v", "events": [event]}], "source": "s"}
        return {"requests": [{"method": "POST", "body": body}]}

    bare, empty = ({"goalId": "7"}, {"goalId": "7", "bucketingData": {}})
    assert shaped({}, sent(bare)) == shaped({}, sent(empty))


def test_odd_documents_are_judged_and_crash_nothing() -> None:
    variables = {"features": [5], "variation_id": 7}
    change = {"type": "fullStackFeature", "data": {"feature_id": "8", "variables_data": {"j": variables}}}
    document = {
        "account_id": "1",
        "project": {"id": "2"},
        "audiences": [{"id": ["a"], "key": "a"}],
        "experiences": [
            {"id": "10", "key": "e", "audiences": [["a"]], "variations": [{"id": "1", "changes": [change]}]}
        ],
        "features": [{"id": "8", "key": "f", "variables": [{"key": "j", "type": "json"}]}],
    }
    steps = [
        {"op": "run_custom_segments", "segment_keys": ["none"]},
        _asked({"op": "run_feature", "key": "f"}),
    ]
    case = {"id": "x-1", "visitor_id": "v", "visitor_properties": {"customSegments": 5}, "steps": steps}
    found = answered(case, document)
    assert found["steps"][1]["feature"]["variables"] == {"j": variables}
    assert judged(case, document, {"steps": found["steps"]}) == set()
