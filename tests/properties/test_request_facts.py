"""The laws of a request's facts: they lie under what is given, and are worth as much as if they were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import matches
from convert_sdk._core.layers import NATIVE
from convert_sdk.integrations._web.facts import FACTS, RequestFacts, fact_options
from tests import strategies as draw
from tests.documents import Json, every
from tests.strategies import Guest, parsed
from tests.unit.integrations.requests import Asked

OPTIONS = fact_options(geo="cloudflare")
words = st.text("abcDE-12 ", min_size=1, max_size=6).map(str.strip).filter(bool)
paths = st.lists(st.text("abcé", min_size=1, max_size=3), max_size=3).map(lambda parts: "/" + "/".join(parts))
requests = st.builds(
    lambda path, term, headers: Asked(f"https://shop.example{path}?utm_term={term}&plan={term}", **headers),
    paths,
    st.text("abc", max_size=3),
    st.dictionaries(st.sampled_from(["cf_ipcountry", "cf_ipcity", "accept_language", "referer"]), words),
)
TOLD = [fact for fact in FACTS if not fact.startswith(("browser", "os", "is_", "project_time"))]
operators = st.sampled_from(
    ["equals", "contains", "startsWith", "isIn", "exists", "doesNotExist", "regexMatches"]
)
leaves = st.builds(
    lambda name, keyless, operator, value, negated: {
        **({"rule_type": name} if keyless and name in NATIVE else {"key": name}),
        "value": value,
        "matching": {"match_type": operator, "negated": negated},
    },
    st.sampled_from(
        ["url", "url_with_query", "country", "city", "language", "host", "path", "referrer", "query.plan"]
    ),
    st.booleans(),
    operators,
    words,
    st.booleans(),
)
rule_sets = st.lists(leaves, min_size=1, max_size=3).map(lambda given: every(*given))


def told(request: Asked) -> Mapping[str, object]:
    """Everything that a request tells, as an application would give it."""
    facts = RequestFacts(request, OPTIONS)
    return {name: facts[name] for name in [*TOLD, "query.plan"] if name in facts}


def asked(rules: Json) -> list[Json]:
    """The conditions of rules as `every` writes them."""
    blocks = cast("list[dict[str, list[dict[str, list[Json]]]]]", rules["OR"])
    return [group["OR_WHEN"][0] for group in blocks[0]["AND"]]


def keyed(rules: Json) -> Json:
    """The same rules with a key in the place of a rule_type."""
    return every(*({**leaf, "key": leaf.get("key", leaf.get("rule_type"))} for leaf in asked(rules)))


@given(rule_sets, requests)
def test_a_request_is_worth_what_it_tells(rules: Json, request: Asked) -> None:
    assert matches(rules, RequestFacts(request, OPTIONS)) is matches(keyed(rules), told(request))


@given(rule_sets, requests, st.dictionaries(st.sampled_from(["country", "url", "path", "query.plan"]), words))
def test_what_is_given_wins(rules: Json, request: Asked, given: Mapping[str, object]) -> None:
    layered = RequestFacts(request, OPTIONS).under(given)
    assert matches(rules, layered) is matches(keyed(rules), {**told(request), **given})


@given(rule_sets, st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_plain_data_has_no_answer_to_a_rule_without_a_key(rules: Json, data: Mapping[str, object]) -> None:
    impossible = every(*({**leaf, "key": leaf.get("key", "\0 none")} for leaf in asked(rules)))
    assert matches(rules, data) is matches(impossible, data)


@given(draw.documents(), draw.guests)
def test_a_request_that_tells_nothing_changes_nothing(raw: Json, guest: Guest) -> None:
    silent = fact_options(names=dict.fromkeys([*FACTS, "query.", "cookie."]))
    plain = guest.visit(parsed(raw))
    asking = guest.visit(parsed(raw)).with_context(attributes=RequestFacts(Asked(), silent).under())
    assert [(each.key, each.variation_id, each.reason) for each in asking.decide_all()] == [
        (each.key, each.variation_id, each.reason) for each in plain.decide_all()
    ]
    assert plain._state == asking._state
