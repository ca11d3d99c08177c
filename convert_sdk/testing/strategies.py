"""Visitors, facts, rules and documents as hypothesis draws them; needs the package hypothesis.

Facts are drawn around a project's rules: on the border of every condition, just beside it, far from it, of another
type, and missing.

>>> from hypothesis import find
>>> shop = project(audience("adults", attr("age") > 18))
>>> def is_adult(facts):
...     return type(facts.get("age")) is int and facts["age"] >= 18
>>> find(attributes_for(shop), lambda facts: is_adult(facts) and not shop.audience("adults").matches(facts))
{'age': 18}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from math import inf, nextafter
from typing import Final

from convert_sdk._core.asks import Asked, AskedCondition
from convert_sdk._core.copy_json import copy_json
from convert_sdk._core.javascript import js_string, numeric
from convert_sdk._core.operators import OPERATORS, VALUELESS
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._extras import needs_extra
from convert_sdk.analysis.border_values import OTHER
from convert_sdk.analysis.regex_example import regex_example
from convert_sdk.project import Project

from .builders import (
    audience,
    document,
    experience,
    feature,
    goal,
    location,
    segment,
    variation,
)
from .rules import ConditionSpec, RuleExpression, Wire, bucketed_into
from .specs import Entity, ExperienceSpec, Named, VariationSpec

with needs_extra(__name__, "testing", "hypothesis"):
    from hypothesis import strategies as st

Facts = dict[str, object]

OTHER_TYPES: Final[tuple[object, ...]] = (
    None, True, False, 0, -1, 1.5, "", " ", "0", "null", "true", [], {}, [1, "1"], {"a": 1}, float("nan"), 2**53 + 1,
)  # fmt: skip
"""Values that a rule may not have been written for."""


def visitor_ids() -> st.SearchStrategy[str]:
    """Ids of visitors: any text that is not empty, NUL and halves of emoji included.

    >>> from hypothesis import find
    >>> find(visitor_ids(), lambda id: len(id) > 1)
    '00'
    """
    anything = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=40)
    return anything | st.text(st.sampled_from("0é\0\ud83d\ude00"), min_size=1, max_size=4)


def attributes_for(project: Project) -> st.SearchStrategy[Facts]:
    """Attributes of visitors around the borders of what the project's audiences and segments ask.

    Args:
        project: The project whose rules are to be tested.

    Returns:
        A strategy of dicts. Some open a whole audience but for one key, so that each condition decides alone.

    >>> from hypothesis import find
    >>> shop = project(audience("heirs", all_of(attr("plan") == "pro", attr("age") >= 18, attr("visits") < 10)))
    >>> find(attributes_for(shop), shop.audience("heirs").matches)
    {'plan': 'pro', 'age': 18, 'visits': 9}
    """
    audiences = [each.rules for each in project.audiences if each.exclusion is None]
    return _facts(project.asks().attributes, [*audiences, *(each.rules for each in project.segments)])


def locations_for(project: Project) -> st.SearchStrategy[Facts]:
    """Locations of visitors around the borders of what the project's locations and site areas ask; as `attributes_for`.

    >>> from hypothesis import find
    >>> shop = project(location("cart", attr("path").starts_with("/cart")))
    >>> find(locations_for(shop), shop.location("cart").matches)
    {'path': '/cart'}
    """
    areas = [each.site_area for each in project.experiences]
    return _facts(project.asks().location, [*(each.rules for each in project.locations), *areas])


def rule_data_for(project: Project) -> st.SearchStrategy[Facts]:
    """The `rule_data` of conversions around the borders of what the project's goals ask; as `attributes_for`.

    >>> from hypothesis import find
    >>> shop = project(goal("large-order", attr("total") >= 200))
    >>> find(rule_data_for(shop), shop.goal("large-order").matches)
    {'total': 200}
    """
    return _facts(project.asks().goals, [each.rules for each in project.goals])


def rule_sets(keys: Sequence[str] = ("plan", "age", "country")) -> st.SearchStrategy[Wire]:
    """Rule sets as documents have them, with every operator, negated and not, in every shape.

    Args:
        keys: The keys that conditions ask for.

    Returns:
        A strategy of what `matches`, `explain_rules` and the `rules` of a document take.

    >>> from hypothesis import find
    >>> from convert_sdk import matches
    >>> find(rule_sets(["age"]), lambda rules: matches(rules, {"age": 5}))["OR"][0]["AND"][0]["OR_WHEN"][0]["key"]
    'age'
    """
    return _rules(*keys).map(RuleExpression.to_wire)


def documents() -> st.SearchStrategy[Wire]:
    """Documents in which `check` finds nothing: experiences, audiences, locations, features and goals of all kinds.

    Returns:
        A strategy of what `json.dumps` and then `Project.parse` take.

    >>> import json
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(documents())
    ... def test_that_check_finds_nothing(wire):
    ...     assert Project.parse(json.dumps(wire)).problems == ()
    >>> test_that_check_finds_nothing()
    """
    return _documents()


def values_around(operator: str, comparand: object) -> tuple[object, ...]:
    """Values on the border of a condition, just beside it and far from it, in several spellings.

    Args:
        operator: The condition's `match_type`.
        comparand: The value compared with.

    Returns:
        The values; the first one is as the condition has it written.

    >>> values_around("less", 18)[:4]
    (18, 17, 19, 17.999999999999996)
    """
    text = js_string(comparand)
    number = numeric(comparand)
    if operator in VALUELESS or operator == "not_exists":
        return ("x", "", None, 0, False, [], " ")
    if operator in _ORDERED and number is not None:
        return tuple(_beside_number(number))
    if operator == "isIn":
        items = text.split("|")
        return (*(each for item in items for each in _beside_text(item)), f"{items[0]}|{items[-1]}", OTHER, 0)
    if operator == "regexMatches":
        found = regex_example(text)
        return (OTHER, "") if found is None else (found, *_beside_text(found), f"a{found}", OTHER)
    around: tuple[object, ...] = (text, f"a{text}b", f"{text}b", f"a{text}", text[1:])
    if operator not in _PARTS:
        around = (
            comparand,
            [comparand],
            [text],
            {text: 0},
            *(() if number is None else _beside_number(number)),
        )
    return (*around, *_beside_text(text), OTHER)


_ORDERED = frozenset({"less", "lessEqual"})
_PARTS = frozenset({"contains", "startsWith", "endsWith"})
_FAR = 10**9


def _beside_number(number: float) -> Iterator[object]:
    whole: float = int(number) if number.is_integer() else number
    yield from (whole, whole - 1, whole + 1, nextafter(number, -inf), nextafter(number, inf))
    yield from (-_FAR, _FAR, Decimal(str(whole)), js_string(whole), f"{whole:,}", f"{js_string(whole)}.0 ")


def _beside_text(text: str) -> Iterator[object]:
    yield from (text, text.lower(), text.upper(), text.swapcase(), f"{text} ", f"{text}a", text[:-1])
    if text and text[-1] not in ("\0", "\U0010ffff"):
        yield from (text[:-1] + chr(ord(text[-1]) - 1), text[:-1] + chr(ord(text[-1]) + 1))


def _facts(asked: Asked, rule_sets: Iterable[Rules | None]) -> st.SearchStrategy[Facts]:
    """Dicts of what is asked: every key by itself, or what opens one block of rules, but for one key."""
    values = {key: _values(conditions) for key, conditions in asked.items()}
    apart = st.fixed_dictionaries({}, optional=values)
    blocks = [block for rules in rule_sets for block in rules or () if all(map(_keyed, block))]
    if not blocks:
        return apart
    near = _near(blocks, values)
    return st.one_of(near, near, apart)


def _keyed(group: tuple[Condition, ...]) -> list[Condition]:
    return [leaf for leaf in group if leaf.key]


def _values(conditions: Iterable[AskedCondition]) -> st.SearchStrategy[object]:
    """Every kind of value of one key."""
    listed = [*conditions]
    around = [value for one in listed for value in values_around(one.operator, one.comparand)]
    return st.one_of(st.sampled_from(around), st.sampled_from(OTHER_TYPES)).map(
        copy_json
    )  # the test's to change


@st.composite
def _near(
    draw: st.DrawFn,
    blocks: Sequence[tuple[tuple[Condition, ...], ...]],
    values: Mapping[str, st.SearchStrategy[object]],
) -> Facts:
    """Facts that open a block of rules, as they are or but for one key."""
    chosen: dict[str, list[Condition]] = {}
    for group in draw(st.sampled_from(blocks)):
        leaf = draw(st.sampled_from(_keyed(group)))
        chosen.setdefault(leaf.key, []).append(leaf)
    facts: Facts = {}
    for key, leaves in chosen.items():
        facts[key] = draw(_opening(leaves))
    key = draw(st.sampled_from([*chosen]))
    match draw(st.sampled_from(["as they are", "as written", "missing", "any"])):
        case "as written":  # in the rule, which need not be what holds: isIn, negations, other capitals
            facts[key] = draw(st.sampled_from([values_around(*each)[0] for each in _asked_of(chosen[key])]))
        case "missing":
            del facts[key]
        case "any":
            facts[key] = draw(values[key])
    return facts


def _asked_of(leaves: Iterable[Condition]) -> Iterator[tuple[str, object]]:
    """Operators and comparands of conditions; each value of isIn by itself."""
    for leaf in leaves:
        items = js_string(leaf.comparand).split("|") if leaf.match_type == "isIn" else [leaf.comparand]
        yield from ((leaf.match_type, item) for item in items)


def _opening(leaves: Sequence[Condition]) -> st.SearchStrategy[object]:
    """Values for which all of these conditions of a key hold, or where none is known, some that are near."""
    near = [value for leaf in leaves for value in values_around(leaf.match_type, leaf.comparand)]
    opening = [value for value in near if all(leaf.test(value) for leaf in leaves)]
    listed = opening or near
    return st.one_of(st.sampled_from(listed[:1]), st.sampled_from(listed)).map(copy_json)


_VALUES: tuple[object, ...] = ("pro", "DE", "de", "/cart", "", "18", 18, 5.5, 0, -3, True, None)
_COMPARANDS: Mapping[str, tuple[object, ...]] = {
    "isIn": ("pro|team", "de|at", "18"),
    "regexMatches": ("^p", "[0-9]+$", "a|b"),
    **dict.fromkeys((*VALUELESS, "not_exists"), ("",)),
}
"""The values that conditions compare with, where not any will do."""


@cache
def _rules(*keys: str) -> st.SearchStrategy[RuleExpression]:
    """Rules of these keys. Every condition is one draw, and the strategy is made once: both make it quick."""
    conditions = [
        ConditionSpec(key, operator, value, negated)
        for operator in OPERATORS
        for value in _COMPARANDS.get(operator, _VALUES)
        for key in keys
        for negated in (False, True)
    ]
    groups = st.lists(st.sampled_from(conditions), min_size=1, max_size=2).map(tuple)
    blocks = st.lists(groups, min_size=1, max_size=2).map(tuple)
    return st.lists(blocks, min_size=1, max_size=2).map(lambda drawn: RuleExpression(*drawn))


_KEYS = ("one", "two", "three")
_AUDIENCES = ("pros", "adults")


@st.composite
def _documents(draw: st.DrawFn) -> Wire:
    rules = _rules("plan", "age", "country")
    entities: list[Entity] = [
        audience("pros", draw(rules), permanent=True),
        audience("adults", draw(rules)),
        location("cart", draw(_rules("path"))),
        segment("vip", draw(rules)),
        feature("pricing", discount=0.0, rows=1, label="", on=True, more={}),
        goal("purchase"),
        goal("large-order", draw(_rules("total"))),
    ]
    listed = [draw(_experience(key)) for key in _KEYS[: draw(_COUNTS)]]
    return document(*entities, *listed, environments=["live"], default_environment="live")


_COUNTS = st.integers(1, len(_KEYS))
_DISCOUNTS = {"discount": st.floats(0, 1), "rows": st.integers(), "label": st.text(), "on": st.booleans()}


@cache
def _experience(key: str) -> st.SearchStrategy[ExperienceSpec]:
    exclusive = [audience(f"not-{other}", ~bucketed_into(other)) for other in _KEYS[:1] if other != key]
    named: list[Named] = [*_AUDIENCES, *exclusive]
    return st.builds(
        experience,
        st.just(key),
        st.builds(_arms, st.integers(0, 100), st.booleans(), st.fixed_dictionaries({}, optional=_DISCOUNTS)),
        audience=st.lists(st.sampled_from(named), max_size=2, unique_by=repr),
        match_all=st.booleans(),
        location=st.sampled_from([(), "cart"]),
        segment=st.sampled_from([(), "vip"]),
        site_area=st.none() | _rules("path"),
        goals=st.just("purchase"),
        layout=st.sampled_from(["packed", "anchored"]),
        environment=st.sampled_from([None, "live"]),
        archived=st.booleans(),
    )


def _arms(share: int, stopped: bool, values: Mapping[str, object]) -> list[VariationSpec]:
    """Variations that share all of the traffic, and one more that gets none."""
    arms = [variation("a", share), variation("b", 100 - share, sets={"pricing": values})]
    return [*arms, variation("c", 20, status="stopped")] if stopped else arms
