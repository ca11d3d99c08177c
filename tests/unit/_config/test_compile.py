from __future__ import annotations

import json

import pytest

from convert_sdk import Client, DocumentError, Project, Reason
from tests.documents import (
    Json,
    bucketed_into,
    document,
    entity,
    every,
    experience,
    feature,
    leaf,
    problems,
    project,
    some,
)


class TestIdentity:
    def test_ids_become_text(self) -> None:
        compiled = Project.parse(b'{"account_id": 1, "project": {"id": 2, "name": "Shop"}}')
        assert (compiled.account_id, compiled.id, compiled.name) == ("1", "2", "Shop")

    @pytest.mark.parametrize(
        ("source", "path", "found"),
        [
            ("[]", "$", "a list"),
            ("null", "$", "null"),
            ("{}", "$.account_id", "nothing"),
            ('{"account_id": null}', "$.account_id", "null"),
            ('{"account_id": ""}', "$.account_id", "text"),
            ('{"account_id": true}', "$.account_id", "a boolean"),
            ('{"account_id": "1"}', "$.project", "nothing"),
            ('{"account_id": "1", "project": 5}', "$.project", "a number"),
            ('{"account_id": "1", "project": {}}', "$.project.id", "nothing"),
            ('{"account_id": "1", "project": {"id": {}}}', "$.project.id", "an object"),
            ('{"error": "no such project"}', "$.error", "an error in its place"),
        ],
    )
    def test_a_document_without_one_is_refused(self, source: str, path: str, found: str) -> None:
        with pytest.raises(DocumentError) as caught:
            Project.parse(source)
        assert (caught.value.path, caught.value.found) == (path, found)
        assert caught.value.path in str(caught.value)

    @pytest.mark.parametrize("error", [None, False, "", 0])
    def test_an_empty_error_is_none(self, error: object) -> None:
        assert Project.parse(json.dumps(document(error=error))).id == "2"


def test_a_good_document_has_no_problems() -> None:
    rules = every(leaf("plan"))
    assert not problems(
        experience(audiences=["51"], locations=["61"]),
        audiences=[entity("51", "pro", rules)],
        locations=[entity("61", "cart", rules)],
        segments=[entity("71", "vip", rules)],
        goals=[entity("91", "buy", rules)],
        features=[feature("81", "pricing", discount="float")],
        archived_experiences=["7"],
    )


class TestProblems:
    """What is wrong is named by its place, and the rest is served."""

    @pytest.mark.parametrize(
        ("rules", "path", "message"),
        [
            (
                every(leaf(match_type="isnt")),
                "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]",
                "unknown match_type 'isnt'",
            ),
            (
                every(leaf(match_type="_returnNegationCheck")),
                "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]",
                "unknown match_type",
            ),
            (every(leaf(negated=None)), "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]", "a boolean negated"),
            (every({"matching": None}), "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]", "expected matching"),
            (
                every(leaf(value="(", match_type="regexMatches")),
                "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]",
                "missing )",
            ),
            (
                every(leaf(value="(?:a{1000}){1000}", match_type="regexMatches")),
                "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]",
                "repeats too much",
            ),
            (
                every({"value": 1, "matching": {"match_type": "less", "negated": False}}),
                "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[0]",
                "without one, a condition cannot be answered from a web request",
            ),
            ({"OR": None}, "$.audiences[0].rules", "a list OR"),
            ({"OR": [None]}, "$.audiences[0].rules.OR[0]", "a list AND"),
            ({"OR": [{"AND": [{}]}]}, "$.audiences[0].rules.OR[0].AND[0]", "a list OR_WHEN"),
        ],
    )
    def test_in_rules(self, rules: Json, path: str, message: str) -> None:
        assert message in problems(audiences=[entity("51", "pro", rules)])[path]

    @pytest.mark.parametrize("name", ["locations", "segments", "goals"])
    def test_in_the_rules_of_anything(self, name: str) -> None:
        found = problems(**{name: [entity("1", "a", every(leaf(match_type="isnt")))]})
        assert list(found) == [f"$.{name}[0].rules.OR[0].AND[0].OR_WHEN[0]"]

    def test_in_a_site_area(self) -> None:
        found = problems(experience(site_area=some(leaf(match_type="isnt"))))
        assert list(found) == ["$.experiences[0].site_area.OR[0].AND[0].OR_WHEN[0]"]

    def test_an_audience_id_that_names_nothing(self) -> None:
        assert problems(experience(audiences=["59"])) == {
            "$.experiences[0].audiences": "no audience or segment has the id '59'; it restricts nobody"
        }

    def test_a_location_id_that_names_nothing(self) -> None:
        assert problems(experience(locations=["69"])) == {
            "$.experiences[0].locations": "no location has the id '69'; nobody is there"
        }

    def test_an_experience_key_that_names_nothing(self) -> None:
        assert problems(audiences=[entity("51", "x", every(bucketed_into("gone")))]) == {
            "$.audiences[0].rules": "no experience has the key 'gone'; nobody is bucketed there"
        }

    def test_what_is_never_asked_is_no_problem(self) -> None:
        rules = some(bucketed_into("checkout"), leaf(match_type="isnt"))
        assert not problems(experience(), audiences=[entity("51", "x", rules)])

    def test_all_locations_wanted(self) -> None:
        found = problems(experience(settings={"matching_options": {"locations": "all"}}))
        assert list(found) == ["$.experiences[0].settings.matching_options.locations"]

    def test_an_environment_that_contradicts_the_others(self) -> None:
        found = problems(experience(environment="staging", environments=["production"]))
        assert list(found) == ["$.experiences[0].environment"]
        assert not problems(experience(environment="staging", environments=["staging"]))

    @pytest.mark.parametrize(
        "name", ["experiences", "audiences", "locations", "segments", "features", "goals"]
    )
    def test_keys_and_ids_that_are_taken_or_missing(self, name: str) -> None:
        one = experience() if name == "experiences" else {"id": "100", "key": "checkout"}
        listed = [one, {**one, "id": ""}, {**one, "key": None, "id": "200"}]
        found = problems(**{name: listed})
        assert [path for path in found if path.endswith((".key", ".id"))] == [
            f"$.{name}[1].key",
            f"$.{name}[1].id",
            f"$.{name}[2].key",
        ]

    def test_which_entry_of_an_id_counts_is_said(self) -> None:
        twice = [{"id": "1", "key": "a"}, {"id": "1", "key": "b"}]
        assert problems(goals=twice)["$.goals[1].id"] == "'1' is taken; the first entry of this id counts"
        assert (
            problems(features=twice)["$.features[1].id"] == "'1' is taken; the last entry of this id counts"
        )

    @pytest.mark.parametrize(
        "name", ["experiences", "audiences", "locations", "segments", "features", "goals"]
    )
    def test_lists_that_are_none(self, name: str) -> None:
        assert problems(**{name: 5}) == {f"$.{name}": "expected a list, found a number; it is ignored"}
        assert problems(**{name: [5]}) == {
            f"$.{name}[0]": "expected an object, found a number; it is left out"
        }

    def test_a_number_that_is_not_finite(self) -> None:
        found = problems(goals=[entity("91", "buy", value=float("inf"))])
        assert list(found) == ["$.goals[0].value"]


class TestTolerance:
    @pytest.mark.parametrize("name", ["experiences", "audiences", "archived_experiences"])
    def test_null_is_an_empty_list(self, name: str) -> None:
        assert not problems(**{name: None})

    def test_one_bad_entity_leaves_the_others(self) -> None:
        compiled = project({"key": 5}, experience())
        assert compiled.experience("checkout") is not None
        assert compiled.problems

    def test_keys_may_be_numbers(self) -> None:
        assert project({**experience(), "key": 7}).experience("7") is not None


class TestProject:
    @pytest.mark.parametrize(
        ("environments", "default"),
        [
            ({"production": {"is_default": True}, "staging": {}}, "production"),
            ({"staging": {}, "production": {"is_default": True}}, "production"),
            ({"staging": {"is_default": "true"}, "qa": None}, None),
            ({}, None),
            (None, None),
        ],
    )
    def test_the_default_environment(self, environments: object, default: str | None) -> None:
        source = document()
        source["project"] = {"id": "2", "environments": environments}
        assert Project.parse(json.dumps(source)).default_environment == default

    def test_the_default_environment_is_the_visitors(self) -> None:
        source = document(experience(environment="staging"))
        source["project"] = {"id": "2", "environments": {"staging": {"is_default": True}}}
        assert Client.offline(Project.parse(json.dumps(source))).visitor("v").peek("checkout")

    @pytest.mark.parametrize(("value", "debug"), [(True, True), ("true", False), (None, False)])
    def test_debug_is_a_boolean(self, value: object, debug: bool) -> None:
        assert project(is_debug=value).is_debug is debug

    @pytest.mark.parametrize(
        ("environment", "wanted"), [("staging", "staging"), ("", None), (None, None), (0, None)]
    )
    def test_the_environment_of_an_experience(self, environment: object, wanted: str | None) -> None:
        (one,) = project(experience(environment=environment)).experiences
        assert one.environment == wanted

    @pytest.mark.parametrize("environment", [5, ["staging"], {}])
    def test_an_environment_that_is_no_text_is_none_of_them(self, environment: object) -> None:
        compiled = project(experience(environment=environment))
        assert [problem.path for problem in compiled.problems] == ["$.experiences[0].environment"]
        visitor = Client.offline(compiled).visitor("v")
        for given in ("5", "staging", "[object Object]"):
            assert visitor.with_context(environment=given).peek("checkout").reason is Reason.ENVIRONMENT

    def test_audiences_keep_the_order_of_the_document(self) -> None:
        rules = every(leaf())
        audiences = [entity("52", "b", rules), entity("51", "a", rules)]
        (one,) = project(experience(audiences=["51", "52"]), audiences=audiences).experiences
        assert [audience.key for audience in one.audiences] == ["b", "a"]
