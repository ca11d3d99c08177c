from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from convert_sdk import Project
from convert_sdk.analysis import CheckReport, Code, Ignore, Severity, check, read_ignores, sarif_log
from convert_sdk.server import demo_document
from tests.export import export, export_project

FIXTURES = Path(__file__).parents[2] / "fixtures"
SARIF = Draft4Validator(json.loads((FIXTURES / "sarif-2.1.0.json").read_text("utf-8")))


def broken(**more: object) -> CheckReport:
    """The report of an export with a goal that nobody names, and what a test adds."""
    document = {**export(), **more}
    document["goals"] = [*document["goals"], {"id": "905", "key": "gone"}]  # type: ignore[misc]  # a list
    return check(json.dumps(document, indent=1))


class TestOfOurOwn:
    def test_the_demo_document_passes(self) -> None:
        report = check(json.dumps(demo_document()))
        assert not report.fails(Severity.ERROR)
        assert [(each.code, each.subject) for each in report.findings] == [
            (Code.DRAFT_RUNS, "experiences/gift-wrapping"),
            (Code.TRAFFIC_NOT_FULL, "experiences/recommendations"),
        ]

    @pytest.mark.parametrize(
        "path", sorted((FIXTURES / "stored" / "documents").iterdir()), ids=lambda path: path.name[:8]
    )
    def test_stored_documents_have_notes_alone(self, path: Path) -> None:
        found = check(path.read_bytes().partition(b"\n")[2])
        assert {each.code for each in found.findings} == {Code.UNUSED_GOAL}

    def test_the_example_of_the_api_has_what_is_wrong_in_it(self) -> None:
        """Every word of it is "string", and its conditions are empty."""
        found = check((FIXTURES / "serving_document.json").read_bytes())
        assert {each.code for each in found.findings} == {
            Code.BAD_CONDITION,
            Code.BAD_TRAFFIC,
            Code.UNKNOWN_ENVIRONMENT,
            Code.FEATURE_NEVER_SET,
        }


class TestPlaces:
    def test_of_a_finding(self) -> None:
        source = '{"account_id": "1",\n "project": {"id": "2"},\n "goals": [\n  {"id": "7",\n'
        source += '   "key": "é", "rules": {}}]}'
        found = check(source).findings
        assert [(each.line, each.column, each.path) for each in found] == [
            (5, 25, "$.goals[0].rules"),
            (4, 3, "$.goals[0]"),
        ]

    def test_of_a_key_that_stands_twice(self) -> None:
        found = check('{"account_id": "1",\n "project": {"id": "2", "id": "3"}}').findings
        assert [(each.code, each.line, each.column) for each in found] == [(Code.REPEATED_JSON_KEY, 2, 25)]

    def test_of_what_is_no_json(self) -> None:
        (finding,) = check('{"account_id": "1",\n "é": tru}').findings
        assert (finding.code, finding.line) == (Code.NOT_JSON, 2)
        assert check(b"").findings[0].code is Code.NOT_JSON

    def test_of_what_is_no_project(self) -> None:
        (finding,) = check('{"account_id": "1",\n "project": {"id": null}}').findings
        assert (finding.code, finding.path) == (Code.NOT_A_PROJECT, "$.project.id")
        assert (finding.line, finding.column) == (2, 20)

    def test_of_a_project_that_was_parsed(self) -> None:
        assert check(export_project()).findings == ()


class TestFingerprints:
    def test_they_stay_when_others_come_before(self) -> None:
        before = broken().findings[0].fingerprint
        document = export()
        document["goals"] = [
            {"id": "900", "key": "first", "rules": None},
            *document["goals"],  # type: ignore[misc]  # a list
            {"id": "905", "key": "gone"},
        ]
        after = {each.subject: each.fingerprint for each in check(json.dumps(document)).findings}
        assert after["goals/gone"] == before
        assert after["goals/first"] != before


class TestIgnores:
    def test_by_code_and_subject(self) -> None:
        document = json.dumps({**export(), "holdouts": 1, "groups": 2})
        report = check(
            document, ignores=[Ignore("unknown-top-level-key", "$.hold*"), Ignore("*", "goals/none")]
        )
        assert [each.path for each in report.findings] == ["$.groups"]
        assert [each.path for each in report.ignored] == ["$.holdouts"]
        assert report.unused == (Ignore("*", "goals/none"),)
        assert "1 ignored" in str(report)

    def test_of_a_file(self) -> None:
        text = "# all of it\n\nunused-goal goals/newsletter  # the shop's\n*  features/*\nnever-matches\n"
        assert read_ignores(text) == (
            Ignore("unused-goal", "goals/newsletter"),
            Ignore("*", "features/*"),
            Ignore("never-matches"),
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("\nunused-gaol *", "line 2: no problem has the code 'unused-gaol': did you mean 'unused-goal'"),
            ("unused-goal a b", "line 1: expected a code and a pattern, found 3 words"),
        ],
    )
    def test_a_wrong_line_is_named(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            read_ignores(text)


class TestReport:
    def test_the_worst_comes_first(self) -> None:
        report = broken(holdouts=[], segments=5)
        severities = [each.severity.value for each in report.findings]
        assert severities == ["error", "error", "note", "note"]
        assert report.worst() is Severity.ERROR
        assert report.fails(Severity.NOTE)

    def test_of_one_entity(self) -> None:
        assert [each.code for each in broken().of("goals/gone")] == [Code.UNUSED_GOAL]

    def test_nothing_found(self) -> None:
        report = check(json.dumps(export()))
        assert report.worst() is None
        assert not report.fails(Severity.NOTE)
        assert str(report) == "no errors, no warnings, no notes"

    def test_as_json(self) -> None:
        found = json.loads(broken().to_json())
        assert found["counts"] == {"error": 0, "warning": 0, "note": 1}
        (finding,) = found["findings"]
        assert finding["code"] == "unused-goal"
        assert finding["subject"] == "goals/gone"
        assert finding["advice"]


class TestSarif:
    def test_it_is_valid(self) -> None:
        document = {**export(), "holdouts": 1, "segments": 5}
        report = check(json.dumps(document), ignores=[Ignore("unknown-top-level-key")])
        log = sarif_log(report, "export.json")
        SARIF.validate(log)
        run: Any = log["runs"][0]  # type: ignore[index]  # a list
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]
            assert result["partialFingerprints"]["convertSdk/v1"]
        assert [result["ruleId"] for result in run["results"] if "suppressions" in result] == [
            "unknown-top-level-key"
        ]

    def test_the_schema_refuses_what_is_wrong(self) -> None:
        log: Any = sarif_log(broken(), "export.json")
        assert not SARIF.is_valid({**log, "version": "2.2.0"})

    def test_a_good_document_gives_a_valid_log(self) -> None:
        SARIF.validate(sarif_log(check(Project.parse(json.dumps(export()))), "a.json"))

    def test_a_document_that_is_no_file_gives_a_valid_log(self) -> None:
        SARIF.validate(sarif_log(broken(), None))


def test_the_page_lists_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text("utf-8")
    for code in Code:
        assert f"| `{code.value}` | {code.severity.value} | {code.advice} |" in page
