from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from convert_sdk.analysis import read_visitors
from convert_sdk.errors import RuleTableError
from convert_sdk.testing import (
    all_of,
    any_of,
    attr,
    audience,
    bucketed_into,
    experience,
    feature,
    goal,
    location,
    project,
    segment,
)
from convert_sdk.testing.table_rows import Row, run_row
from convert_sdk.testing.tables import Table, load_table, parse_csv, run_table

SHOP = project(
    experience(
        "checkout",
        {"a": 0, "b": 100},
        audience=audience("adults", all_of(attr("country") == "DE", attr("age") >= 18)),
        sets={"b": {"pricing": {"discount": 0.2, "rows": 3, "label": "1.10", "sizes": [1, 2]}}},
    ),
    experience("cart", location=location("cart", attr("path").starts_with("/cart")), environment="live"),
    experience("vip", segment="vip"),
    experience("others", audience=audience("not-checkout", ~bucketed_into("checkout"))),
    audience("nobody"),
    segment("vip", attr("spent") > 1000),
    feature("pricing", discount=0.0, rows=1, label="", sizes=[]),
    feature("maps"),
    goal("large", attr("total") >= 200),
    default_environment="live",
)
ADULT = {"attributes.country": "DE", "attributes.age": 18}


def failures(cells: dict[str, object]) -> list[str]:
    """What is said first of each failure of a row."""
    return [each.what for each in run_row(Row(1, None, cells), SHOP).failures]


class TestRow:
    @pytest.mark.parametrize(
        "cells",
        [
            {**ADULT, "expect.audience.adults": True},
            {**ADULT, "expect.variation.checkout": "b", "expect.reason.checkout": "bucketed"},
            {
                "attributes.country": "FR",
                "expect.variation.checkout": None,
                "expect.reason.checkout": "audience",
            },
            {
                **ADULT,
                "state.checkout": "a",
                "expect.variation.checkout": "a",
                "expect.reason.checkout": "sticky",
            },
            {**ADULT, "state.checkout": None, "expect.reason.checkout": "bucketed"},
            {
                "state.checkout": "a",
                "expect.audience.not-checkout": False,
                "expect.reason.others": "audience",
            },
            {"expect.audience.not-checkout": True},
            {"location.path": "/cart/1", "expect.location.cart": True, "expect.reason.cart": "bucketed"},
            {"location": "anywhere", "expect.reason.cart": "bucketed"},
            {"location": "unknown", "expect.reason.cart": "location", "expect.location.cart": False},
            {"environment": "qa", "location": "anywhere", "expect.reason.cart": "environment"},
            {"segments.vip": True, "expect.reason.vip": "bucketed"},
            {"segments.vip": "false", "expect.reason.vip": "segment"},
            {"attributes.spent": 1001, "expect.segment.vip": True},
            {"rule_data.total": 199, "expect.goal.large": False},
            {**ADULT, "expect.feature.pricing": True, "expect.feature.maps": False},
            {**ADULT, "expect.feature.pricing.discount": 0.2, "expect.feature.pricing.rows": 3},
            {**ADULT, "expect.feature.pricing.discount": "0.2", "expect.feature.pricing.sizes": "[1, 2]"},
            {**ADULT, "expect.feature.pricing.label": "1.10", "expect.feature.pricing.sizes": [1, 2]},
            {"expect.feature.pricing.rows": None},
            {"visitor": 17, "expect.reason.checkout": "audience"},
        ],
    )
    def test_passes(self, cells: dict[str, object]) -> None:
        assert failures(cells) == []

    @pytest.mark.parametrize(
        ("cells", "what"),
        [
            ({"expect.audience.adults": True}, "expected audience adults: true, found: false"),
            ({"expect.audience.nobody": True}, "expected audience nobody: true, found: false"),
            ({**ADULT, "expect.variation.checkout": "a"}, "expected variation of checkout: a, found: b"),
            ({**ADULT, "expect.variation.checkout": None}, "expected variation of checkout: none, found: b"),
            ({"expect.variation.checkout": "b"}, "expected variation of checkout: b, found: none, audience"),
            ({"expect.reason.checkout": "sticky"}, "expected reason of checkout: sticky, found: audience"),
            ({"expect.feature.pricing": True}, "expected feature pricing: true, found: false"),
            ({"expect.feature.maps": True}, "expected feature maps: true, found: false"),
            ({**ADULT, "expect.feature.pricing.rows": 4}, "expected feature pricing.rows: 4, found: 3"),
            ({**ADULT, "expect.feature.pricing.rows": True}, "expected feature pricing.rows: true, found: 3"),
        ],
    )
    def test_says_what_came_instead(self, cells: dict[str, object], what: str) -> None:
        assert failures(cells) == [what]

    @pytest.mark.parametrize(
        ("cells", "words"),
        [
            ({}, ["expects nothing: name a column such as expect.audience.germans"]),
            ({"attributes.contry": "DE"}, ["attributes.contry: no rule", "did you mean country?"]),
            ({"attributes.path": "/"}, ["attributes.path: no rule", "did you mean location.path?"]),
            ({"attributes.colour": 1}, ["attributes.colour: no rule of the project asks for it"]),
            ({"state.chekout": "a"}, ["state.chekout: ", "no experience 'chekout'; did you mean checkout?"]),
            ({"state.checkout": "c"}, ["state.checkout: the experience has no variation 'c'"]),
            ({"segments.vips": True}, ["segments.vips: ", "no segment 'vips'; did you mean vip?"]),
            ({"segments.vip": 1}, ["segments.vip: expected true or false, found 1"]),
            ({"expect.audience.adult": True}, ["expect.audience.adult: ", "did you mean adults?"]),
            (
                {"expect.audience.adults": "YES"},
                ["expect.audience.adults: expected true or false, found 'YES'"],
            ),
            ({"expect.variation.checkout": "c"}, ["expect.variation.checkout: ", "no variation 'c'"]),
            ({"expect.reason.checkout": "buckets"}, ["no reason 'buckets'; did you mean bucketed"]),
            ({"expect.feature.prices": True}, ["no feature 'prices'; did you mean pricing?"]),
            ({"expect.feature.pricing.row": 1}, ["declares no variable 'row'; did you mean rows?"]),
            (
                {**ADULT, "expect.feature.pricing.rows": "few"},
                ["expect.feature.pricing.rows: 'few' is no integer"],
            ),
            ({"expect.variatio.checkout": "b"}, ["expected expect. and one of", "did you mean variation?"]),
            ({"visitor": ""}, ["visitor: expected an id, found ''"]),
            ({"environment": 1}, ["environment: expected a name, found 1"]),
            ({"location": "here"}, ["location: expected anywhere or unknown"]),
            ({"location": ["here"]}, ["location: expected anywhere or unknown"]),
            ({"location": None}, ["location: expected anywhere or unknown"]),
            ({"visitr": "v"}, ["visitr: a column is name, visitor,", "did you mean visitor?"]),
        ],
    )
    def test_names_what_cannot_be(self, cells: dict[str, object], words: list[str]) -> None:
        expects = any(column.startswith("expect.") for column in cells) or not cells
        found = failures(cells if expects else {**cells, "expect.audience.adults": False})
        assert len(found) == 1
        assert [each for each in words if each not in found[0]] == []

    def test_a_row_that_cannot_be_run_fails_alone(self) -> None:
        bad: dict[str, object] = {"location": ["cart"], "expect.audience.adults": False}
        good: dict[str, object] = {"expect.audience.adults": False}
        table = Table("t", (Row(1, None, bad), Row(2, None, good)))
        assert [each.passed for each in run_table(table, SHOP)] == [False, True]

    def test_explains_down_to_the_leaf(self) -> None:
        result = run_row(
            Row(3, 14, {**ADULT, "attributes.age": 17, "expect.variation.checkout": "b", "name": "a minor"}),
            SHOP,
        )
        text = str(result)
        assert text.startswith(
            "FAILED  a minor, row 3, line 14\n    expected variation of checkout: b, found: none, audience\n"
        )
        assert '            yes country equals "DE", the visitor has "DE"' in text
        assert text.endswith("\n        decided by: age not less 18, the visitor has 17")

    def test_explains_an_experience_once(self) -> None:
        cells: dict[str, object] = {"expect.variation.checkout": "b", "expect.reason.checkout": "sticky"}
        text = str(run_row(Row(1, None, cells), SHOP))
        assert text.startswith("FAILED  row 1\n")
        assert text.count("checkout for visitor") == 1
        assert text.count("decided by: country equals") == 2

    def test_an_audience_that_another_experience_decides(self) -> None:
        text = str(run_row(Row(1, None, {"expect.audience.not-checkout": False}), SHOP))
        assert text.endswith("decided by: not bucketed into experience 'checkout'")

    def test_features_name_their_experiences(self) -> None:
        text = str(run_row(Row(1, None, {"expect.feature.pricing": True}), SHOP))
        assert "decided by: country equals" in text
        nothing = str(run_row(Row(1, None, {"expect.feature.maps": True}), SHOP))
        assert "no experience changes this feature" in nothing

    def test_keys_with_dots(self) -> None:
        dotted = project(
            experience(
                "a.b", {"x.y": 100}, sets={"x.y": {"f.g": {"h.i": 1}}}, audience=attr("user.plan") == "pro"
            ),
            feature("f", variables={"g.h.i": 1}),
            feature("f.g", variables={"h.i": 1}),
        )
        cells = {
            "attributes.user.plan": "pro",
            "expect.variation.a.b": "x.y",
            "expect.feature.f.g.h.i": 1,
            "expect.audience.a.b-audience": True,
        }
        assert run_row(Row(1, None, cells), dotted).passed

    def test_as_json(self) -> None:
        told = run_row(Row(2, 5, {"expect.audience.adults": True}), SHOP).to_dict()
        assert json.loads(json.dumps(told))["failures"][0]["what"].startswith("expected audience adults")


def deciding(*cells: object) -> str:
    rules = any_of(
        all_of(attr("a") == 1, attr("b") == 1), all_of(attr("c") == 1, any_of(attr("d") == 1, attr("e") == 1))
    )
    shop = project(audience("tested", rules))
    facts = {f"attributes.{key}": value for key, value in zip("abcde", cells, strict=False)}
    verdict = shop.audience("tested").matches({key[-1]: value for key, value in facts.items()})  # type: ignore[union-attr]  # is there
    failure = run_row(Row(1, None, {**facts, "expect.audience.tested": not verdict}), shop).failures[0]
    return failure.explanation.splitlines()[-1]


@pytest.mark.parametrize(
    ("facts", "keys"),
    [((1, 1), "ab"), ((1, 0), "bc"), ((0, 1, 1), "ade"), ((0, 0, 1, 0, 1), "ce")],
)
def test_the_leaf_that_decided(facts: tuple[int, ...], keys: str) -> None:
    text = deciding(*facts).removeprefix("decided by: ")
    assert "".join(each[0] for each in text.split("; ")) == keys


class TestCsv:
    def test_types(self) -> None:
        table = parse_csv(
            "name,attributes.a,attributes.b:number,attributes.c:json,attributes.d:boolean,attributes.e:text\n"
            'one,NO,1.10,"[1, ""x""]",TRUE,12:30\n'
            "two,,null,,,\n"
            "\n"
            "three,1,-5\n"
        )
        assert [row.cells for row in table.rows] == [
            {
                "name": "one",
                "attributes.a": "NO",
                "attributes.b": 1.1,
                "attributes.c": [1, "x"],
                "attributes.d": True,
                "attributes.e": "12:30",
            },
            {"name": "two", "attributes.b": None},
            {"name": "three", "attributes.a": "1", "attributes.b": -5},
        ]
        assert [(row.number, row.line, row.name) for row in table.rows] == [
            (1, 2, "one"),
            (2, 3, "two"),
            (3, 5, "three"),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_delimiters(self, delimiter: str) -> None:
        table = parse_csv(delimiter.join("abc") + "\n" + delimiter.join("123"))
        assert table.rows[0].cells == {"a": "1", "b": "2", "c": "3"}

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("", 1, "a header of columns"),
            ("a,b\n\n", 1, "expected rows under the header"),
            ("a,a\n1,2", 1, "the column a stands twice"),
            ("a:numbr\n1", 1, "the types are text, number, boolean, json; did you mean number?"),
            ("a\n1,2", 2, "2 cells under 1 columns"),
            ("a:number\n1\nx", 3, "a: 'x' is no number"),
            ("a:number\ntrue", 2, "a: 'true' is no number"),
            ("a:boolean\nyes", 2, "a: 'yes' is no boolean"),
            ("a:json\n{", 2, "a: '{' is no json"),
            ('a\n"1', 2, "unexpected end of data"),
        ],
    )
    def test_a_mistake_has_a_line(self, text: str, line: int, message: str) -> None:
        with pytest.raises(RuleTableError) as error:
            parse_csv(text, "t.csv")
        assert error.value.line == line
        assert message in str(error.value)
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # noqa: S301 # our own

    def test_a_key_with_a_colon(self) -> None:
        assert parse_csv("attributes.a:b\n1").rows[0].cells == {"attributes.a:b": "1"}

    def test_a_header_means_the_same_in_a_table_of_visitors(self) -> None:
        header = "attributes.utm:source,attributes.a:number,attributes.b:text,attributes.c:boolean,attributes.d:json"
        cells = 'mail,1.5,NO,TRUE,"[1]"'
        (row,) = parse_csv(f"{header}\n{cells}").rows
        (visitor,) = read_visitors(f"visitor_id,{header}\nv-1,{cells}")
        assert row.group("attributes") == visitor.attributes
        assert visitor.attributes["utm:source"] == "mail"

    def test_an_unknown_column_fails_once(self) -> None:
        table = parse_csv("attributes.contry,expect.audience.adults\n" + "DE,false\n" * 60)
        with pytest.raises(RuleTableError, match=r"line 1: attributes\.contry: .* did you mean country\?"):
            list(run_table(table, SHOP))


class TestFiles:
    def test_by_the_end_of_the_name(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfexpect.audience.adults\ntrue\n")
        assert load_table(tmp_path / "t.csv").rows[0].cells == {"expect.audience.adults": "true"}

    def test_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "t.xlsx").touch()
        with pytest.raises(RuleTableError, match=r"expected a table in \.yaml, \.yml, \.csv"):
            load_table(tmp_path / "t.xlsx")

    def test_no_utf8(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes(b"\xff")
        with pytest.raises(RuleTableError, match="expected UTF-8"):
            load_table(tmp_path / "t.csv")
