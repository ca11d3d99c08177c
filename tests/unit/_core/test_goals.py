from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum
from math import inf, nan
from typing import Any

import pytest

from convert_sdk import ConversionReason, ConversionResult
from convert_sdk._core.goals import (
    ConversionRequest,
    GoalData,
    OverriddenKeys,
    attribution,
    goal_data,
    read_goal_data,
    refusal,
)
from tests.documents import every, leaf, project


class Pack(IntEnum):
    OF_SIX = 6


class Euro(Decimal):
    """An application's own kind of number."""

    def __str__(self) -> str:
        return f"{super().__str__()} euros"


def pairs(data: str | None) -> list[tuple[str, object]]:
    return [(item["key"], item["value"]) for item in json.loads(f"[{data}]")]


class TestGoalData:
    def test_nothing_given_is_no_data(self) -> None:
        assert goal_data() is None
        assert goal_data(dimensions={}) is None

    def test_everything_has_its_name(self) -> None:
        assert pairs(goal_data(9.5, 2, "T-1", {1: "gold", 5: "web"})) == [
            ("amount", 9.5),
            ("productsCount", 2),
            ("transactionId", "T-1"),
            ("customDimension1", "gold"),
            ("customDimension5", "web"),
        ]

    def test_it_is_read_back(self) -> None:
        written = goal_data(9.5, 2, "T-1", {1: "gold", 5: "web"})
        assert read_goal_data(dict(pairs(written))) == GoalData(
            Decimal("9.5"), 2, "T-1", {1: "gold", 5: "web"}
        )
        assert read_goal_data({}) == GoalData()

    def test_an_int_of_another_kind_is_a_number(self) -> None:
        assert pairs(goal_data(Pack.OF_SIX, Pack.OF_SIX)) == [("amount", 6), ("productsCount", 6)]

    def test_zero_is_data(self) -> None:
        assert pairs(goal_data(0, 0)) == [("amount", 0), ("productsCount", 0)]

    @pytest.mark.parametrize(
        ("revenue", "amount"),
        [
            (Decimal("49.90"), 49.9),
            (Decimal("49.00"), 49.0),
            (Decimal(-5), -5),
            (49, 49),
            (49.0, 49.0),
            (Decimal("1E+3"), 1000.0),
            (Euro("49.90"), 49.9),
        ],
    )
    def test_money_becomes_a_number(self, revenue: Decimal | float, amount: float) -> None:
        ((_, found),) = pairs(goal_data(revenue))
        assert (found, type(found)) == (amount, type(amount))

    @pytest.mark.parametrize(
        "revenue",
        [nan, inf, -inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), 10**400, Decimal("1e400")],
    )
    def test_what_is_not_finite_is_no_money(self, revenue: Decimal | float) -> None:
        with pytest.raises(ValueError, match="revenue must be finite"):
            goal_data(revenue)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"revenue": True}, "revenue must be a Decimal or a number, not bool"),
            ({"revenue": "49.90"}, "revenue must be a Decimal or a number, not str"),
            ({"products": True}, "products must be an int, not bool"),
            ({"products": 1.5}, "products must be an int, not float"),
            ({"transaction_id": 7}, "transaction_id must be a str, not int"),
            ({"dimensions": ["gold"]}, "dimensions must be a mapping"),
            ({"dimensions": {1: 7}}, "dimension 1 must be a str, not int"),
        ],
    )
    def test_a_wrong_type_raises(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            goal_data(**wrong)

    @pytest.mark.parametrize("products", [2**53 + 1, 10**400, -(10**400)])
    def test_a_number_that_json_cannot_carry_is_no_count(self, products: int) -> None:
        with pytest.raises(ValueError, match="products must be"):
            goal_data(products=products)
        assert goal_data(products=2**53) is not None

    @pytest.mark.parametrize("number", [0, 6, True, 1.0, "1"])
    def test_dimensions_are_numbered(self, number: Any) -> None:
        with pytest.raises(ValueError, match="dimensions are numbered 1 to 5"):
            goal_data(dimensions={number: "gold"})


class TestAttribution:
    def test_none_is_none(self) -> None:
        assert attribution(None) is None

    def test_is_a_copy(self) -> None:
        given = {"100": "1"}
        assert attribution(given) == given
        assert attribution(given) is not given

    @pytest.mark.parametrize("wrong", [["100"], "100", {100: "1"}, {"100": 1}])
    def test_must_map_texts(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="attributed_to must"):
            attribution(wrong)


@pytest.mark.parametrize(
    ("rules", "rule_data", "refused"),
    [
        (None, {}, ConversionReason.NO_RULES),
        (every(leaf("total", 10, "less")), {"total": 20}, ConversionReason.RULES),
        (every(leaf("total", 10, "less")), {"total": 5}, None),
        (every(leaf("total", 10, "less")), "total", ConversionReason.RULES),
    ],
)
def test_rule_data_must_satisfy_the_rules(
    rules: dict[str, object] | None, rule_data: object, refused: ConversionReason | None
) -> None:
    goal = project(goals=[{"id": "91", "key": "buy", "rules": rules}]).goal("buy")
    assert goal is not None
    assert refusal(goal, rule_data) is refused


@pytest.mark.parametrize("reason", ConversionReason)
def test_a_result_is_true_where_the_conversion_counts(reason: ConversionReason) -> None:
    counts = {ConversionReason.ACCEPTED, ConversionReason.PENDING}
    assert bool(ConversionResult(reason)) is (reason in counts)


def test_overridden_keys_are_true_where_there_are_any() -> None:
    assert not OverriddenKeys()
    assert OverriddenKeys(experiences=("checkout",))
    assert OverriddenKeys(features=("pricing",))


def test_the_repr_of_a_request_shows_none_of_its_data() -> None:
    assert repr(ConversionRequest('{"key":"transactionId"}')) == "ConversionRequest(allow_repeat=False)"
