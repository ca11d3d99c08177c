from __future__ import annotations

import pytest

from convert_sdk._core.index import Entry, Index
from convert_sdk._core.model import Segment


class TestIndex:
    ENTRIES = (Entry("1", "a", "$[0]", {}), Entry("2", "b", "$[1]", {}), Entry("1", "b", "$[2]", {}))

    @pytest.fixture
    def made(self) -> list[str]:
        return []

    @pytest.fixture
    def index(self, made: list[str]) -> Index[Segment]:
        def make(entry: Entry) -> Segment:
            made.append(entry.path)
            return Segment(entry.id, entry.key, "", None)

        return Index(self.ENTRIES, make)

    def test_keeps_the_order(self, index: Index[Segment]) -> None:
        assert ([segment.key for segment in index], len(index)) == (["a", "b", "b"], 3)

    def test_the_first_of_a_name_wins(self, index: Index[Segment]) -> None:
        assert index.get("b") is index.of_id("2")
        assert index.of_id("1") is index.get("a")

    def test_gives_every_entity_of_some_ids(self, index: Index[Segment]) -> None:
        assert index.named(["2", "1", "9"]) == tuple(index)

    def test_a_miss_is_none(self, index: Index[Segment]) -> None:
        assert (index.get("c"), index.of_id("9")) == (None, None)

    def test_makes_each_entity_once_and_only_when_it_is_wanted(
        self, index: Index[Segment], made: list[str]
    ) -> None:
        index.get("b")
        assert made == ["$[1]"]
        assert index.get("b") is tuple(index)[1]
        assert sorted(made) == ["$[0]", "$[1]", "$[2]"]

    def test_two_threads_get_the_same_entity(self) -> None:
        def make(entry: Entry) -> Segment:
            if not meanwhile:  # another thread makes it while this one does
                meanwhile.append(Segment("0", "", "", None))
                meanwhile[0] = index.get("a")
            return Segment(entry.id, entry.key, "", None)

        meanwhile: list[Segment | None] = []
        index = Index(self.ENTRIES[:1], make)
        assert index.get("a") is meanwhile[0]
