from __future__ import annotations

from typing import Any

import pytest

from tests.documents import HIGH, Json, change, experience, feature, offline, problems, project, variation


def ranges(*variations: Json, **more: Any) -> list[tuple[str, float, float]]:
    (one,) = project(experience(variations=[*variations], **more)).experiences
    return [(item.variation_id, item.start, item.end) for item in one.split.ranges]


class TestTraffic:
    @pytest.mark.parametrize(
        ("percent", "laid"),
        [(20, 2000), ("50", 5000), (" 50 ", 5000), ("0x10", 1600), (0.5, 50), (True, 100)],
    )
    def test_what_reads_as_a_number_is_one(self, percent: object, laid: float) -> None:
        assert ranges(variation("1", percent)) == [("1", 0, laid)]

    @pytest.mark.parametrize("percent", [0, None, "", False, -5])
    def test_what_is_nothing_does_not_run(self, percent: object) -> None:
        assert ranges(variation("1", percent)) == []

    def test_missing_is_all(self) -> None:
        assert ranges({"id": "1"}) == [("1", 0, 10_000)]

    @pytest.mark.parametrize(
        ("status", "runs"), [(None, True), ("", True), ("running", True), ("Running", False)]
    )
    def test_only_the_exact_word_runs(self, status: object, runs: bool) -> None:
        assert bool(ranges(variation("1", status=status))) is runs

    def test_no_number_in_an_anchored_layout_is_all(self) -> None:
        assert ranges(variation("1", "much"), version=12) == [("1", 0, 10_000)]


class TestLayout:
    @pytest.mark.parametrize("version", [11.5, 12, "12", " 12 ", "0x10"])
    def test_anchored_beyond_eleven(self, version: object) -> None:
        assert project(experience(version=version)).experiences.named(["100"])[0].anchored

    @pytest.mark.parametrize("version", [11, "11", None, True, "twelve", ""])
    def test_packed_up_to_eleven(self, version: object) -> None:
        assert not project(experience(version=version)).experiences.named(["100"])[0].anchored

    def test_packed_without_a_version(self) -> None:
        assert not project(experience()).experiences.named(["100"])[0].anchored


class TestProblems:
    PATH = "$.experiences[0].variations"

    def found(self, *variations: Json, **more: Any) -> dict[str, str]:
        return problems(experience(variations=[*variations], **more))

    @pytest.mark.parametrize("percent", [100.5, -1, 10_000])
    def test_an_allocation_that_is_no_percentage(self, percent: float) -> None:
        message = self.found(variation("1", percent))[f"{self.PATH}[0].traffic_allocation"]
        assert message == f"expected a percentage of 0 to 100, found {percent:g}"

    def test_an_allocation_that_is_no_number(self) -> None:
        message = self.found(variation("1", "much"))[f"{self.PATH}[0].traffic_allocation"]
        assert message == "expected a percentage, found text that is no number"

    def test_allocations_beyond_the_traffic(self) -> None:
        found = self.found(variation("1", 50), variation("2", 60))
        assert found == {self.PATH: "running variations share 110 % of the traffic; the last ones get less"}

    def test_a_part_of_the_traffic_is_no_problem(self) -> None:
        assert not self.found(variation("1", 25))

    def test_thirds_sum_up(self) -> None:
        assert not self.found(*(variation(each, 33.33) for each in "123"), variation("4", 0.01))

    def test_an_id_that_is_missing(self) -> None:
        assert f"{self.PATH}[1].id" in self.found(variation("1", 100), {"key": "b"})

    def test_an_id_that_is_taken(self) -> None:
        assert f"{self.PATH}[1].id" in self.found(variation("1", 50), variation("1", 50))

    @pytest.mark.parametrize("id", ["", None, 0])
    def test_an_experience_without_an_id_has_none(self, id: object) -> None:
        document = project(experience(id))  # type: ignore[arg-type]  # what a document may hold
        (one,) = document.experiences
        assert (dict(one.variations), {*one.owners}) == ({}, {None})

    def test_a_change_without_a_feature(self) -> None:
        for data in (None, {}, {"feature_id": 0}, {"feature_id": None}):
            arm = variation("1", 100, changes=[{"type": "fullStackFeature", "data": data}])
            assert list(self.found(arm)) == [f"{self.PATH}[0].changes[0].data"]

    def test_a_change_of_an_undeclared_feature(self) -> None:
        found = self.found(variation("1", 100, changes=[change("81")]))
        assert found == {f"{self.PATH}[0].changes[0].data.feature_id": "no feature has the id '81'"}

    def test_variables_that_are_no_object(self) -> None:
        broken = {"type": "fullStackFeature", "data": {"feature_id": "81", "variables_data": [1]}}
        found = problems(
            experience(variations=[variation("1", 100, changes=[broken])]), features=[feature("81", "a")]
        )
        assert list(found) == [f"{self.PATH}[0].changes[0].data.variables_data"]

    def test_a_variable_that_cannot_be_cast(self) -> None:
        arm = variation("1", 100, changes=[change("81", steps="many")])
        found = problems(experience(variations=[arm]), features=[feature("81", "a", steps="integer")])
        assert found == {
            f"{self.PATH}[0].changes[0].data.variables_data.steps": (
                "text is no integer; the caller's default applies"
            )
        }


class TestChanges:
    FEATURE = feature("81", "pricing", discount="float", steps="integer", odd="colour", blank="")

    def variables(self, **raw: object) -> dict[str, object]:
        arm = variation("1", 100, changes=[change(81, **raw)])
        (one,) = project(experience(variations=[arm]), features=[self.FEATURE]).experiences
        return dict(one.variations["1"].changes[0].variables)

    def test_variables_are_cast_to_their_types(self) -> None:
        assert self.variables(discount="1.5x", steps=True) == {"discount": 1.5, "steps": 1}

    def test_what_has_no_known_type_stays(self) -> None:
        assert self.variables(odd="1", blank="2", more="3") == {"odd": "1", "blank": "2", "more": "3"}

    def test_what_cannot_be_cast_is_absent(self) -> None:
        assert self.variables(steps="many") == {}

    def test_of_a_variable_declared_twice_the_first_type_counts(self) -> None:
        twice = {**feature("81", "a"), "variables": [{"key": "n"}, {"key": "n", "type": "integer"}]}
        arm = variation("1", 100, changes=[change("81", n="7")])
        (one,) = project(experience(variations=[arm]), features=[twice]).experiences
        assert dict(one.variations["1"].changes[0].variables) == {"n": "7"}

    def test_of_features_of_one_id_the_last_counts(self) -> None:
        named = [feature("81", "old", steps="integer"), feature("81", "new", steps="float")]
        arm = variation("1", 100, changes=[change("81", steps="1.5")])
        (one,) = project(experience(variations=[arm]), features=named).experiences
        (found,) = one.variations["1"].changes
        assert found.feature is not None
        assert (found.feature.key, dict(found.variables)) == ("new", {"steps": 1.5})

    def test_changes_of_other_types_are_left_to_the_browser(self) -> None:
        arm = variation(
            "1", 100, changes=[{"type": "customCode"}, {"type": "FullStackFeature"}, change("81")]
        )
        (one,) = project(experience(variations=[arm]), features=[self.FEATURE]).experiences
        assert [each.feature_id for each in one.variations["1"].changes] == ["81"]

    def test_without_variables_there_are_none(self) -> None:
        bare: Json = {"type": "fullStackFeature", "data": {"feature_id": "81", "variables_data": None}}
        (one,) = project(
            experience(variations=[variation("1", 100, changes=[bare])]), features=[self.FEATURE]
        ).experiences
        found = one.variations["1"].changes[0]
        assert (dict(found.variables), found.raw) == ({}, None)


def test_an_endless_allocation_is_no_outage() -> None:
    endless = experience(variations=[variation("1", float("inf")), variation("2")])
    assert offline(endless).visitor(HIGH).peek("checkout").variation_id == "1"
