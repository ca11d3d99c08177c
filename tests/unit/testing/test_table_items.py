"""Tables as pytest collects them, in a pytest of their own."""

from __future__ import annotations

import pytest

from convert_sdk.testing import attr, audience, project

SHOP = project(audience("adults", attr("age") >= 18))
HEADER = "name,attributes.age:number,expect.audience.adults\n"
PLUGIN = ("-p", "convert_sdk_pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "shop.json").write_bytes(SHOP.source)
    pytester.makeini("[pytest]\nconvert_config = shop.json\n")
    return pytester


def run(folder: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return folder.runpytest_inprocess(*PLUGIN, *arguments)


def test_a_row_is_a_test(folder: pytest.Pytester) -> None:
    (folder.path / "ages.convert.csv").write_text(HEADER + "of age,18,true\na minor,17,true\nnobody,,false\n")
    result = run(folder)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ a minor _*",
            "expected audience adults: true, found: false",
            "    NO  audience adults",
            "        NO  age not less 18, the visitor has 17",
            "    decided by: age not less 18, the visitor has 17",
            "ages.convert.csv:3",
            "FAILED ages.convert.csv::a minor*",
        ]
    )


def test_rows_of_one_name_are_told_apart(folder: pytest.Pytester) -> None:
    (folder.path / "ages.convert.csv").write_text(HEADER + "same,18,true\nsame,19,true\n")
    result = run(folder, "--collect-only", "-q")
    rows = [line for line in result.outlines if line.startswith("ages.convert.csv::")]
    assert rows == ["ages.convert.csv::same (1)", "ages.convert.csv::same (2)"]


def test_one_row_can_be_run(folder: pytest.Pytester) -> None:
    (folder.path / "ages.convert.csv").write_text(HEADER + "of age,18,true\na minor,17,true\n")
    run(folder, "ages.convert.csv::of age").assert_outcomes(passed=1)


def test_other_files_are_left_alone(folder: pytest.Pytester) -> None:
    (folder.path / "ages.csv").write_text(HEADER + "of age,18,true\n")
    run(folder).assert_outcomes()


def test_names_of_tables_are_configured(folder: pytest.Pytester) -> None:
    folder.makeini("[pytest]\nconvert_config = shop.json\nconvert_tables = rules/*.csv\n")
    folder.mkdir("rules")
    (folder.path / "rules" / "ages.csv").write_text(HEADER + "of age,18,true\n")
    run(folder).assert_outcomes(passed=1)


def test_a_project_beside_the_rows(folder: pytest.Pytester) -> None:
    pytest.importorskip("ruamel.yaml", reason="needs the package ruamel.yaml, of the extra testing")
    folder.makeini("[pytest]\n")
    folder.mkdir("rules")
    (folder.path / "rules" / "a.convert.yaml").write_text(
        "project: ../shop.json\nrows:\n- attributes: {age: 18}\n  expect: {audience: {adults: true}}\n"
    )
    run(folder).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("ini", "table", "message"),
    [
        ("", HEADER + "a,1,true\n", "no project to test"),
        ("convert_config = none.json", HEADER + "a,1,true\n", "*none.json*"),
        ("convert_config = odd.json", HEADER + "a,1,true\n", "*expected an object with account_id*"),
        (
            "convert_config = shop.json",
            "attributes.ages,expect.audience.adults\n1,true\n",
            "*line 1: attributes.ages: no rule of the project asks for it; did you mean age?",
        ),
        ("convert_config = shop.json", HEADER + "a,x,true\n", "*line 2: attributes.age: 'x' is no number"),
    ],
)
def test_what_cannot_be_read_is_an_error(folder: pytest.Pytester, ini: str, table: str, message: str) -> None:
    folder.makeini(f"[pytest]\n{ini}\n")
    (folder.path / "odd.json").write_text("[]")
    (folder.path / "ages.convert.csv").write_text(table)
    result = run(folder)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{message}*"])
