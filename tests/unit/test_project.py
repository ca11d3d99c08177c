from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convert_sdk import DocumentError, Project
from convert_sdk._core.bucketing import Bucketing
from tests.documents import document, entity, every, experience, feature, leaf, project

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "serving_document.json"


class TestLoad:
    def test_a_file(self) -> None:
        assert Project.load(EXAMPLE).source == EXAMPLE.read_bytes()

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Project.load(tmp_path / "none.json")

    def test_a_file_that_is_no_document(self, tmp_path: Path) -> None:
        (tmp_path / "half.json").write_bytes(EXAMPLE.read_bytes()[:100])
        with pytest.raises(DocumentError, match="truncated"):
            Project.load(tmp_path / "half.json")


class TestParse:
    def test_bytes_and_text_are_the_same(self) -> None:
        text = json.dumps(document(experience()))
        assert Project.parse(text).source == Project.parse(text.encode()).source

    @pytest.mark.parametrize("wrong", [None, {}, bytearray(b"{}")])
    def test_anything_else_is_a_mistake(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"json\.dumps"):
            Project.parse(wrong)

    def test_half_a_character_is_refused(self) -> None:
        with pytest.raises(DocumentError, match="at byte 2"):
            Project.parse('["\ud800"]')


class TestDocument:
    def test_is_the_document_as_it_came(self) -> None:
        assert Project.load(EXAMPLE).document == json.loads(EXAMPLE.read_bytes())

    def test_is_the_callers_to_change(self) -> None:
        compiled = project(experience())
        compiled.document.clear()
        assert compiled.document["account_id"] == "1"

    def test_is_read_by_attributes_too(self) -> None:
        config = Project.load(EXAMPLE).config
        assert config.project is not None
        assert config.project.type == "fullstack"


class TestRevision:
    def test_names_the_very_document(self) -> None:
        assert project(experience()).revision == project(experience()).revision
        assert project(experience()).revision != project().revision

    def test_is_short(self) -> None:
        assert len(project().revision) == 12


class TestWithBucketing:
    def test_hashes_another_way(self) -> None:
        other = project(experience()).with_bucketing(Bucketing(seed=1))
        assert other.bucketing.seed == 1
        assert other.experience("checkout") is not None

    def test_the_same_way_is_the_same_project(self) -> None:
        compiled = project()
        assert compiled.with_bucketing(Bucketing()) is compiled


def test_everything_is_found_by_its_key() -> None:
    rules = every(leaf())
    compiled = project(
        experience(),
        audiences=[entity("51", "pro", rules)],
        locations=[entity("61", "cart", rules)],
        segments=[entity("71", "vip", rules)],
        features=[feature("81", "pricing")],
        goals=[entity("91", "buy", rules, type="revenue")],
    )
    found = (
        compiled.experience("checkout"),
        compiled.audience("pro"),
        compiled.location("cart"),
        compiled.segment("vip"),
        compiled.feature("pricing"),
        compiled.goal("buy"),
    )
    assert [each and each.id for each in found] == ["100", "51", "61", "71", "81", "91"]
    assert compiled.goal("nothing") is None
