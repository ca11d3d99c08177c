from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from tests.documents import document, experience, variation
from tests.export import export

RUN = CliRunner()


def run(*arguments: object, given: str | None = None) -> Result:
    return RUN.invoke(app, [*map(str, arguments)], input=given)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    moved = [variation("1", 90), variation("2", 10)]
    Path("old.json").write_text(json.dumps(document(experience())), "utf-8")
    Path("new.json").write_text(json.dumps(document(experience(variations=moved))), "utf-8")
    Path("shop.json").write_text(json.dumps(export()), "utf-8")
    Path("two.csv").write_text("visitor_id,contry\nv-1,DE\nv-2,AT\n", "utf-8")
    return tmp_path


class TestDiff:
    def test_its_text(self) -> None:
        found = run("diff", "old.json", "new.json", "--visitors", "two.csv")
        assert found.exit_code == 0
        assert found.stdout.splitlines() == [
            "experience checkout: traffic of arm-1 was 50 %, is 90 %",
            "experience checkout: traffic of arm-2 was 50 %, is 10 %",
            "checkout: 1 visitor switches from arm-2 to arm-1 (traffic)",
            "of 2 visitors, none enters, none leaves, 1 switches",
        ]
        assert found.stderr == "note: no rule asks for attributes.contry\n"

    def test_made_up_visitors(self) -> None:
        found = json.loads(run("diff", "old.json", "new.json", "--sample", "200", "--json").stdout)
        assert found["visitors"] == 200
        assert 50 < found["switching"] < 110
        assert json.loads(run("diff", "old.json", "new.json", "--sample", "200", "--json").stdout) == found

    @pytest.mark.parametrize(
        ("limit", "more", "status"),
        [("1", [], 0), ("0", [], 1), ("50%", [], 0), ("49.9%", [], 1), ("0", ["--remembered"], 0)],
    )
    def test_the_exit_code(self, limit: str, more: list[str], status: int) -> None:
        arguments = ["diff", "old.json", "new.json", "--visitors", "two.csv", "--max-switch", limit, *more]
        assert run(*arguments).exit_code == status

    def test_standard_input(self) -> None:
        found = run("diff", "-", "new.json", "--sample", "0", given=Path("old.json").read_text("utf-8"))
        assert found.stdout.splitlines()[0] == "experience checkout: traffic of arm-1 was 50 %, is 90 %"

    @pytest.mark.parametrize(
        "arguments",
        [
            ["old.json"],
            ["old.json", "new.json", "--sdk-key", "1/2"],
            ["old.json", "new.json", "--max-switch", "few"],
            ["old.json", "none.json"],
            ["old.json", "new.json", "--visitors", "new.json"],
        ],
    )
    def test_misuse(self, arguments: list[str]) -> None:
        assert run("diff", *arguments).exit_code == 2


class TestDecide:
    def test_csv(self) -> None:
        found = run("decide", "old.json", "two.csv")
        rows = list(csv.DictReader(found.stdout.splitlines()))
        assert [(row["visitor_id"], row["variation"], row["bucket_value"]) for row in rows] == [
            ("v-1", "arm-1", "1508"),
            ("v-2", "arm-2", "6565"),
        ]

    def test_json_lines(self) -> None:
        visitors = '{"visitor_id": "v-1", "state": {"bucketing": {"checkout": "arm-2"}}}\n'
        found = run("decide", "old.json", "-", "--json", given=visitors)
        assert json.loads(found.stdout) == {
            "visitor_id": "v-1",
            "experience": "checkout",
            "variation": "arm-2",
            "reason": "sticky",
            "experience_id": "100",
            "variation_id": "2",
            "bucket_value": None,
        }

    def test_one_experience(self) -> None:
        found = run(
            "decide", "shop.json", "two.csv", "--experience", "home-hero", "--experience", "phone-menu"
        )
        assert len(found.stdout.splitlines()) == 1 + 2 * 2

    def test_unknown_names(self) -> None:
        found = run("decide", "shop.json", "two.csv", "--experience", "home-hro")
        assert found.exit_code == 2
        assert "did you mean 'home-hero'" in found.stderr
        Path("state.csv").write_text("visitor_id,state.home-hro\nv-1,v2\n", "utf-8")
        found = run("decide", "shop.json", "state.csv")
        assert found.exit_code == 2
        assert "state.csv: visitor 1: there is no experience 'home-hro'" in found.stderr

    def test_a_wrong_table(self) -> None:
        Path("wrong.csv").write_text("id\nv-1\n", "utf-8")
        found = run("decide", "shop.json", "wrong.csv")
        assert found.exit_code == 2
        assert "wrong.csv: line 1: expected a column visitor_id" in found.stderr
