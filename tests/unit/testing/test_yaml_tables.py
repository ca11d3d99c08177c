from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("ruamel.yaml", reason="needs the package ruamel.yaml, of the extra testing")
from convert_sdk import Project
from convert_sdk.errors import RuleTableError
from convert_sdk.server import demo_document
from convert_sdk.testing.tables import load_table, parse_yaml, run_table


def cells(text: str) -> list[dict[str, object]]:
    return [dict(row.cells) for row in parse_yaml(text).rows]


def value(text: str) -> object:
    return cells(f"- attributes:\n    a: {text}")[0]["attributes.a"]


class TestValues:
    @pytest.mark.parametrize(
        "text",
        ["NO", "no", "yes", "on", "off", "y", "True", "TRUE", "Null", "1.10", "12:30", "007", "0x10", "0o7", "1e3",
         "+5", ".5", "5.", "1_000", "2024-05-06", "2024-05-06T10:00:00Z", ".nan", ".inf", "=", "1,5"],
    )  # fmt: skip
    def test_text_stays_text(self, text: str) -> None:
        assert value(text) == text

    @pytest.mark.parametrize("text", ["5", "true", "null", "0.2", "~", "1.10"])
    def test_what_is_quoted_is_text(self, text: str) -> None:
        assert value(f'"{text}"') == value(f"'{text}'") == text

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [("18", 18), ("-5", -5), ("0", 0), ("0.2", 0.2), ("1.0", 1.0), ("true", True), ("false", False), ("null", None),
         ("~", None), ("", None), ("[1, NO]", [1, "NO"]), ("{b: 1}", {"b": 1}), ("!!str 5", "5"), ("|\n      a", "a")],
    )  # fmt: skip
    def test_what_json_writes_the_same_way_is_what_it_looks_like(self, text: str, wanted: object) -> None:
        found = value(text)
        assert found == wanted
        assert type(found) is type(wanted)


class TestRows:
    def test_a_list(self) -> None:
        table = parse_yaml("- name: one\n  expect.audience.a: true\n- name: two\n", "t.yaml")
        assert [(row.number, row.line, row.name) for row in table.rows] == [(1, 1, "one"), (2, 3, "two")]
        assert table.project is None

    def test_mappings_are_columns(self) -> None:
        assert cells(
            "- attributes: {a: 1, b.c: 2}\n  location: {url: /}\n  state: {x: y}\n  segments: {vip: true}\n"
            "  expect: {audience: {a: true}, feature: {f: {v: 1}, g: true}, oops: 5}\n"
        ) == [
            {
                "attributes.a": 1,
                "attributes.b.c": 2,
                "location.url": "/",
                "state.x": "y",
                "segments.vip": True,
                "expect.audience.a": True,
                "expect.feature.f.v": 1,
                "expect.feature.g": True,
                "expect.oops": 5,
            }
        ]

    def test_a_whole_location(self) -> None:
        assert cells("- location: anywhere") == [{"location": "anywhere"}]

    def test_defaults_and_a_project(self, tmp_path: Path) -> None:
        (tmp_path / "t.yaml").write_text(
            "project: ../export.json\ndefaults:\n  attributes: {a: 1, b: 1}\nrows:\n- attributes: {a: 2}\n"
        )
        table = load_table(tmp_path / "t.yaml")
        assert table.project == tmp_path / "../export.json"
        assert table.rows[0].cells == {"attributes.a": 2, "attributes.b": 1}

    def test_aliases_and_merges(self) -> None:
        assert cells(
            "- &first\n  attributes: &facts {a: 1}\n- attributes: *facts\n- <<: *first\n  name: three\n"
            "- <<: [{name: four}, *first]\n"
        ) == [
            {"attributes.a": 1},
            {"attributes.a": 1},
            {"name": "three", "attributes.a": 1},
            {"name": "four", "attributes.a": 1},
        ]

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("", None, "expected a list of rows"),
            ("rows: []", 1, "expected a list of rows"),
            ("- a: 1\n- 5", 1, "row 2: expected a mapping, found 5"),
            ("row:\n- a: 1", 1, "expected project, defaults, rows, not 'row'; did you mean rows?"),
            ("rows: [{a: 1}]\ndefaults: 5", 1, "expected a mapping as `defaults`"),
            ("rows: [{a: 1}]\nproject: 5", 1, "expected a path as `project`"),
            ("- a: 1\n  a: 2", 2, "the key 'a' stands twice"),
            ("- a: !thing 5", 1, "the tag !thing is not known"),
            ("- a: !thing [5]", 1, "the tag !thing is not known"),
            ("- [a, b]: 5", 1, "expected a name as a key"),
            ("- <<: 5", 1, "expected a mapping after <<"),
            ("- a: [1\n- b", 2, "expected"),
            ("- a: *b", 1, "undefined alias"),
        ],
    )
    def test_a_mistake_has_a_line(self, text: str, line: int | None, message: str) -> None:
        with pytest.raises(RuleTableError) as error:
            parse_yaml(text)
        assert message in str(error.value)
        assert error.value.line == line


def test_the_table_of_the_page_passes(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "testing-rules.md").read_text("utf-8")
    (tmp_path / "export.json").write_text(json.dumps(demo_document()))
    (tmp_path / "t.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    table = load_table(tmp_path / "t.yaml")
    assert table.project is not None
    results = [*run_table(table, Project.load(table.project))]
    assert len(results) == 3
    assert [str(each) for each in results if not each.passed] == []
