from __future__ import annotations

import pytest

from convert_sdk import Project
from convert_sdk._core.features import replaced_features
from convert_sdk._core.goals import OverriddenKeys
from convert_sdk._core.override import Override, applies, without_overridden
from tests.documents import change, experience, feature, project, variation

PROJECT = project(
    experience("100", "checkout", variations=[variation("1", changes=[change("81")])]),
    experience("200", "banner"),
    features=[feature("81", "pricing")],
)


class TestApplies:
    @pytest.mark.parametrize(("visitor_id", "expected"), [(None, True), ("v-1", True), ("v-2", False)])
    def test_to_one_visitor_or_to_all(self, visitor_id: str | None, expected: bool) -> None:
        assert applies(Override("checkout", visitor_id=visitor_id), PROJECT, "v-1") is expected

    @pytest.mark.parametrize(
        ("override", "served", "expected"),
        [
            (Override("checkout", only_unknown=True), PROJECT, False),
            (Override("new", only_unknown=True), PROJECT, True),
            (Override("new", only_unknown=True), None, True),
            (Override("pricing", only_unknown=True), PROJECT, True),
            (Override("pricing", is_feature=True, only_unknown=True), PROJECT, False),
            (Override("checkout", is_feature=True, only_unknown=True), PROJECT, True),
        ],
    )
    def test_to_what_the_document_lacks(
        self, override: Override, served: Project | None, expected: bool
    ) -> None:
        assert applies(override, served, "v-1") is expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (OverriddenKeys(), {"100": "1", "200": "2"}),
        (OverriddenKeys(("checkout", "new")), {"200": "2"}),
        (OverriddenKeys((), ("pricing", "new")), {"200": "2"}),
        (OverriddenKeys(("banner",), ("pricing",)), {}),
    ],
)
def test_decisions_without_the_overridden(keys: OverriddenKeys, expected: dict[str, str]) -> None:
    assert without_overridden({"100": "1", "200": "2"}, PROJECT, keys) == expected


def test_nothing_to_replace() -> None:
    assert replaced_features([], []) == []
