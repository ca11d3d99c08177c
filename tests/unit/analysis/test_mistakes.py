"""Mistakes planted in an export one at a time: each is found, by its code, where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from convert_sdk.analysis import Code, check
from tests.documents import Json, bucketed_into, change, entity, every, leaf
from tests.export import export, number, shown, text


class Mistake(NamedTuple):
    """What is done to the export, and what is to be found where."""

    name: str
    plant: Callable[[Any], object]
    code: Code
    path: str


def at(*steps: str | int) -> Callable[[Any], Any]:
    def found(document: Any) -> Any:
        for step in steps:
            document = document[step]
        return document

    return found


def put(value: object, *steps: str | int) -> Callable[[Any], object]:
    def plant(document: Any) -> None:
        at(*steps[:-1])(document)[steps[-1]] = value

    return plant


def add(value: object, *steps: str | int) -> Callable[[Any], object]:
    return lambda document: at(*steps)(document).append(value)


def rules(*leaves: Json) -> Callable[[Any], object]:
    """Gives the first audience other rules."""
    return put(every(*leaves), "audiences", 0, "rules")


AUDIENCE = "$.audiences[0]"
LEAF = f"{AUDIENCE}.rules.OR[0].AND[0].OR_WHEN[0]"
FIRST = "$.experiences[0]"
ARM = f"{FIRST}.variations[1]"
NO_NEGATED: Json = {"key": "plan", "value": "pro", "matching": {"match_type": "equals"}}
NO_VALUE: Json = {"key": "plan", "matching": {"match_type": "equals", "negated": False}}
NO_KEY: Json = {"value": "pro", "matching": {"match_type": "equals", "negated": False}}

MISTAKES = [
    Mistake("unknown goal id", add("999", "experiences", 0, "goals"), Code.UNKNOWN_GOAL, f"{FIRST}.goals[1]"),
    Mistake(
        "unknown audience id",
        put(["999"], "experiences", 0, "audiences"),
        Code.UNKNOWN_AUDIENCE,
        f"{FIRST}.audiences",
    ),
    Mistake(
        "unknown location id",
        add("999", "experiences", 0, "locations"),
        Code.UNKNOWN_LOCATION,
        f"{FIRST}.locations",
    ),
    Mistake(
        "unknown feature id",
        put([change("999")], "experiences", 0, "variations", 1, "changes"),
        Code.UNKNOWN_FEATURE,
        f"{ARM}.changes[0].data.feature_id",
    ),
    Mistake(
        "no variations", put([], "experiences", 0, "variations"), Code.NO_VARIATIONS, f"{FIRST}.variations"
    ),
    Mistake(
        "duplicate variation key",
        put("original", "experiences", 0, "variations", 1, "key"),
        Code.DUPLICATE_VARIATION_KEY,
        f"{ARM}.key",
    ),
    Mistake(
        "duplicate variation id",
        put("5011", "experiences", 0, "variations", 1, "id"),
        Code.DUPLICATE_ID,
        f"{ARM}.id",
    ),
    Mistake(
        "unknown environment",
        put("prod", "experiences", 0, "environment"),
        Code.UNKNOWN_ENVIRONMENT,
        f"{FIRST}.environment",
    ),
    Mistake(
        "unknown rule type",
        rules(leaf(rule_type="generic_txt_key_value")),
        Code.UNKNOWN_RULE_TYPE,
        f"{LEAF}.rule_type",
    ),
    Mistake("unknown match type", rules(leaf(match_type="greater")), Code.UNKNOWN_MATCH_TYPE, LEAF),
    Mistake(
        "unknown variable type",
        put("double", "features", 0, "variables", 0, "type"),
        Code.UNKNOWN_VARIABLE_TYPE,
        "$.features[0].variables[0].type",
    ),
    Mistake(
        "a variable the feature has not",
        put({"discuont": 1}, "experiences", 5, "variations", 1, "changes", 0, "data", "variables_data"),
        Code.UNDECLARED_VARIABLE,
        "$.experiences[5].variations[1].changes[0].data.variables_data.discuont",
    ),
    Mistake(
        "a value that is not of the type",
        put({"discount": "much"}, "experiences", 5, "variations", 1, "changes", 0, "data", "variables_data"),
        Code.UNCASTABLE_VALUE,
        "$.experiences[5].variations[1].changes[0].data.variables_data.discount",
    ),
    Mistake(
        "misspelt change type",
        put("fullstackFeature", "experiences", 5, "variations", 1, "changes", 0, "type"),
        Code.UNKNOWN_CHANGE_TYPE,
        "$.experiences[5].variations[1].changes[0].type",
    ),
    Mistake(
        "misspelt status of an experience",
        put("actve", "experiences", 0, "status"),
        Code.UNKNOWN_STATUS,
        f"{FIRST}.status",
    ),
    Mistake(
        "misspelt status of a variation",
        put("Running", "experiences", 0, "variations", 1, "status"),
        Code.UNKNOWN_STATUS,
        f"{ARM}.status",
    ),
    Mistake(
        "misspelt type of an experience",
        put("ab_fullstack", "experiences", 0, "type"),
        Code.UNKNOWN_TYPE,
        f"{FIRST}.type",
    ),
    Mistake("text compared with less", rules(number("age", "eighteen")), Code.TEXT_ORDER, f"{LEAF}.value"),
    Mistake("unknown top-level key", put([], "holdouts"), Code.UNKNOWN_TOP_LEVEL_KEY, "$.holdouts"),
    Mistake(
        "misspelt key",
        lambda document: (
            document["experiences"][0]["variations"][1].update(traffic_alocation=50),
            document["experiences"][0]["variations"][1].pop("traffic_allocation"),
        ),
        Code.MISSPELT_KEY,
        f"{ARM}.traffic_alocation",
    ),
    Mistake(
        "two default environments",
        put(True, "project", "environments", "staging", "is_default"),
        Code.TWO_DEFAULT_ENVIRONMENTS,
        "$.project.environments.staging",
    ),
    Mistake(
        "a draft that will run", put("draft", "experiences", 0, "status"), Code.DRAFT_RUNS, f"{FIRST}.status"
    ),
    Mistake(
        "isIn with capitals", rules(text("country", "DE|AT", "isIn")), Code.CAPITALS_IN_IS_IN, f"{LEAF}.value"
    ),
    Mistake(
        "negation on a missing key",
        rules(text("country", "US", negated=True)),
        Code.NEGATION_OF_MISSING,
        LEAF,
    ),
    Mistake("an audience without rules", put(None, "audiences", 0, "rules"), Code.NEVER_MATCHES, AUDIENCE),
    Mistake(
        "an audience that can never match",
        rules(number("age", 18), number("age", 30, negated=True)),
        Code.NEVER_MATCHES,
        AUDIENCE,
    ),
    Mistake(
        "rules that contradict each other",
        rules(text("plan", "gold"), text("plan", "silver")),
        Code.CONTRADICTION,
        f"{AUDIENCE}.rules.OR[0]",
    ),
    Mistake(
        "an exclusion cycle",
        lambda document: (
            document["audiences"].append(
                entity("209", "not-upsold", every(bucketed_into("cart-upsell", negated=True)))
            ),
            document["experiences"][2].update(audiences=["209"]),
        ),
        Code.EXCLUSION_CYCLE,
        "$.experiences[2].audiences",
    ),
    Mistake(
        "an exclusion of an unknown experience",
        rules(bucketed_into("nowhere")),
        Code.UNKNOWN_EXPERIENCE,
        f"{AUDIENCE}.rules",
    ),
    Mistake(
        "conditions beside an exclusion",
        rules(bucketed_into("home-hero"), leaf()),
        Code.EXCLUSION_IGNORES_REST,
        LEAF,
    ),
    Mistake(
        "a regex that differs between engines",
        rules(text("url", r"\A/books\Z", "regexMatches")),
        Code.REGEX_DIALECT,
        f"{LEAF}.value",
    ),
    Mistake(
        "a regex that is none", rules(text("url", "(books", "regexMatches")), Code.UNUSABLE_PATTERN, LEAF
    ),
    Mistake(
        "a feature never set",
        add({"id": "404", "key": "gifts", "name": "Gifts", "variables": []}, "features"),
        Code.FEATURE_NEVER_SET,
        "$.features[3]",
    ),
    Mistake(
        "a goal never used",
        add(entity("904", "returned", type="code_trigger"), "goals"),
        Code.UNUSED_GOAL,
        "$.goals[3]",
    ),
    Mistake(
        "weights that do not fill 100",
        put(30, "experiences", 0, "variations", 1, "traffic_allocation"),
        Code.TRAFFIC_NOT_FULL,
        f"{FIRST}.variations",
    ),
    Mistake(
        "weights over 100",
        put(80, "experiences", 0, "variations", 1, "traffic_allocation"),
        Code.TRAFFIC_OVER_FULL,
        f"{FIRST}.variations",
    ),
    Mistake(
        "a weight that is no percentage",
        put(5000, "experiences", 0, "variations", 1, "traffic_allocation"),
        Code.BAD_TRAFFIC,
        f"{ARM}.traffic_allocation",
    ),
    Mistake(
        "the same key twice",
        add(shown("516", "home-hero", 50, 50), "experiences"),
        Code.DUPLICATE_KEY,
        "$.experiences[15].key",
    ),
    Mistake(
        "the same id twice",
        add(shown("501", "home-copy", 50, 50), "experiences"),
        Code.DUPLICATE_ID,
        "$.experiences[15].id",
    ),
    Mistake("no key", put(None, "experiences", 0, "key"), Code.MISSING_KEY, f"{FIRST}.key"),
    Mistake("a condition without negated", rules(NO_NEGATED), Code.BAD_CONDITION, LEAF),
    Mistake("a condition without a value", rules(NO_VALUE), Code.BAD_CONDITION, LEAF),
    Mistake("a condition without a key", rules(NO_KEY), Code.CONDITION_WITHOUT_KEY, LEAF),
    Mistake(
        "rules with an empty list",
        put({"OR": []}, "audiences", 0, "rules"),
        Code.EMPTY_RULES,
        f"{AUDIENCE}.rules",
    ),
    Mistake(
        "locations that must all match",
        put({"matching_options": {"locations": "all"}}, "experiences", 0, "settings"),
        Code.NO_EFFECT,
        f"{FIRST}.settings.matching_options.locations",
    ),
    Mistake("a list that is none", put({}, "segments"), Code.WRONG_TYPE, "$.segments"),
    Mistake(
        "an archived experience that is gone",
        add("999", "archived_experiences"),
        Code.UNKNOWN_ARCHIVED,
        "$.archived_experiences[0]",
    ),
    Mistake(
        "all variations stopped",
        lambda document: [arm.update(status="stopped") for arm in document["experiences"][0]["variations"]],
        Code.NO_TRAFFIC,
        f"{FIRST}.variations",
    ),
]


def test_the_export_is_clean() -> None:
    assert check(json.dumps(export())).findings == ()


def test_there_are_enough() -> None:
    assert len(MISTAKES) > 41
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_each_is_found(mistake: Mistake) -> None:
    document = export()
    mistake.plant(document)
    report = check(json.dumps(document, indent=1))
    assert [each for each in report.findings if (each.code, each.path) == (mistake.code, mistake.path)]
