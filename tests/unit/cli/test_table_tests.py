from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from convert_sdk.testing import attr, audience, project

HEADER = "name,attributes.age:number,expect.audience.adults\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.json").write_bytes(project(audience("adults", attr("age") >= 18)).source)
    (tmp_path / "good.csv").write_text(HEADER + "of age,18,true\n")
    (tmp_path / "bad.csv").write_text(HEADER + "a minor,17,true\nof age,18,true\n")
    (tmp_path / "odd.csv").write_text("attributes.ages,expect.audience.adults\n1,true\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["test", "shop.json", *arguments])


@pytest.mark.usefixtures("folder")
class TestTables:
    def test_all_is_well(self) -> None:
        result = run("good.csv")
        assert (result.exit_code, result.output) == (0, "1 row, 1 passed, 0 failed\n")

    def test_a_row_that_fails(self) -> None:
        result = run("good.csv", "bad.csv")
        assert result.exit_code == 1
        assert result.output == (
            "bad.csv\n"
            "FAILED  a minor, row 1, line 2\n"
            "    expected audience adults: true, found: false\n"
            "        NO  audience adults\n"
            "            NO  age not less 18, the visitor has 17\n"
            "        decided by: age not less 18, the visitor has 17\n"
            "\n"
            "3 rows, 2 passed, 1 failed\n"
        )

    def test_as_json(self) -> None:
        rows = json.loads(run("bad.csv", "--json").output)
        assert [(row["table"], row["name"], row["line"], row["passed"]) for row in rows] == [
            ("bad.csv", "a minor", 2, False),
            ("bad.csv", "of age", 3, True),
        ]
        assert rows[0]["failures"][0]["what"] == "expected audience adults: true, found: false"

    def test_no_table(self) -> None:
        result = run("odd.csv")
        assert result.exit_code == 2
        assert "error: odd.csv, line 1: attributes.ages: no rule of the project asks" in result.output

    def test_a_header_alone_is_no_table(self, folder: Path) -> None:
        (folder / "none.csv").write_text(HEADER)
        result = run("none.csv")
        assert result.exit_code == 2
        assert "error: none.csv, line 1: expected rows under the header" in result.output

    def test_yaml_without_its_package(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
        monkeypatch.delitem(sys.modules, "convert_sdk.testing.yaml_values", raising=False)
        (folder / "t.yaml").write_text("- name: one\n")
        result = run("t.yaml")
        assert result.exit_code == 2
        assert "needs the extra testing, as ruamel is not installed" in result.output
