from __future__ import annotations

import pytest

from convert_sdk import ANYWHERE
from convert_sdk.analysis import VisitorRow, decide_row, read_visitors, unknown_facts
from convert_sdk.errors import UnknownNameError
from tests.export import export_project


class TestCsv:
    def test_its_columns(self) -> None:
        text = (
            "visitor_id,country,attributes.age:number,location.path,signed_in:boolean,tags:json,state.home-hero,environment\n"
            'v-1,DE,30,/cart,true,"[""a"",1]",v2,staging\n'
            "\n"
            "v-2,null,,,,,,\n"
        )
        first, second = read_visitors(text)
        assert first == VisitorRow(
            "v-1",
            {"country": "DE", "age": 30, "signed_in": True, "tags": ["a", 1]},
            {"path": "/cart"},
            {"bucketing": {"home-hero": "v2"}},
            "staging",
        )
        assert second == VisitorRow("v-2", {"country": None})

    def test_semicolons_and_tabs(self) -> None:
        assert (
            read_visitors("visitor_id;a\nv;1")[0].attributes
            == read_visitors("visitor_id\ta\nv\t1")[0].attributes
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "line 1: expected a header of columns"),
            ("country\nDE", "line 1: expected a column visitor_id"),
            ("visitor_id,a,attributes.a:number\nv,1,2", "line 1: two columns are attributes.a"),
            ("visitor_id,visitor_id\nv,w", "line 1: the column visitor_id stands twice"),
            ("visitor_id,a:integer\nv,1", "line 1: 'a:integer': the types are text, number, boolean, json"),
            ("visitor_id,a:number\nv,1\nw,x", "line 3: a: 'x' is no number"),
            ("visitor_id,a:number\nv,true", "line 2: a: 'true' is no number"),
            ("visitor_id,a\n,x", "line 2: expected a visitor_id"),
            ("visitor_id\nv,x", "line 2: 2 cells under 1 columns"),
            ('visitor_id\n"v', "line 2: unexpected end of data"),
        ],
    )
    def test_what_is_wrong_is_named(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            read_visitors(text)


class TestJsonLines:
    def test_its_fields(self) -> None:
        text = '{"visitor_id": 7, "attributes": {"a": 1}, "location": "anywhere"}\n\n'
        text += '{"visitor_id": "w", "location": null}\n'
        assert read_visitors(text) == [VisitorRow("7", {"a": 1}, ANYWHERE), VisitorRow("w", location=None)]

    def test_a_text_with_separators_of_lines(self) -> None:
        text = "a\u2028b\u2029c\x85d"
        first = f'{{"visitor_id": "v", "attributes": {{"a": "{text}"}}}}'
        rows = read_visitors(f'{first}\r\n{{"visitor_id": "w"}}\r\n')
        assert rows == [VisitorRow("v", {"a": text}), VisitorRow("w")]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "not JSON"),
            ('{"visitor_id": ""}', "expected a visitor_id"),
            ('{"visitor_id": true}', "expected a visitor_id"),
            ('{"visitor_id": "v", "attributes": []}', "attributes must be an object"),
            ('{"visitor_id": "v", "atributes": {}}', "unknown atributes"),
            ('{"visitor_id": "v", "environment": 1}', "environment must be text"),
        ],
    )
    def test_what_is_wrong_is_named(self, line: str, said: str) -> None:
        with pytest.raises(ValueError, match=f"line 2: {said}"):
            read_visitors(f'{{"visitor_id": "u"}}\n{line}')

    def test_a_list_is_no_line(self) -> None:
        with pytest.raises(ValueError, match="line 2: expected an object"):
            read_visitors('{"visitor_id": "u"}\n[1]')


def test_a_row_is_decided_in_the_order_of_the_document() -> None:
    """What excludes another experience is decided first, and counts."""
    row = VisitorRow("v-1", location={"path": "/cart"})
    reasons = {each.key: each.reason.value for each in decide_row(export_project(), row)}
    assert (reasons["cart-layout"], reasons["cart-upsell"]) == ("bucketed", "audience")
    assert decide_row(export_project(), row, ["cart-upsell"])[0].reason.value == "bucketed"


def test_a_state_that_names_nothing() -> None:
    with pytest.raises(UnknownNameError):
        decide_row(export_project(), VisitorRow("v-1", state={"bucketing": {"no": "v2"}}))


def test_facts_that_nobody_asks_for() -> None:
    rows = [VisitorRow("v-1", {"contry": 1, "age": 2}, {"url": "/"}), VisitorRow("v-2", location=ANYWHERE)]
    assert unknown_facts(export_project(), rows) == {"attributes.contry": ["country"], "location.url": []}


def test_a_row_shows_nobody() -> None:
    assert "v-1" not in repr(VisitorRow("v-1", {"email": "x"}))
