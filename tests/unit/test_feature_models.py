from __future__ import annotations

import logging
from dataclasses import dataclass, field, make_dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from convert_sdk import Client
from tests.documents import LOW, change, experience, feature, offline, variation

PRICING = feature(
    "81", "pricing", discount="float", steps="integer", label="string", on="boolean", table="json"
)


def shop(**variables: object) -> Client:
    arm = variation("1", 100, changes=[change("81", **variables)])
    return offline(experience(variations=[arm]), features=[PRICING])


@dataclass
class Pricing:
    discount: float = 0.5
    steps: int = 1
    label: Literal["Sale", "New"] = "New"
    on: bool = False
    rows: list[int] = field(default_factory=list, metadata={"variable": "table"})
    total: float = field(init=False, default=7.0)


class PricingModel(BaseModel):
    discount: float = 0.5
    steps: int = 1
    label: Literal["Sale", "New"] = "New"
    on: bool = False
    rows: list[int] = Field(default=[], alias="table")


BOTH = pytest.mark.parametrize("kind", [Pricing, PricingModel])
SET = {"discount": "2", "steps": 3, "label": "Sale", "on": "true", "table": [1, 2]}


def values(found: Any) -> tuple[object, ...]:
    return found.discount, found.steps, found.label, found.on, found.rows


@BOTH
def test_each_variable_in_its_type(kind: type[Any]) -> None:
    assert values(shop(**SET).visitor(LOW).feature("pricing", as_=kind)) == (2.0, 3, "Sale", True, [1, 2])


@BOTH
def test_what_is_not_set_has_the_default(kind: type[Any]) -> None:
    found = shop(discount="2").visitor(LOW).feature("pricing", as_=kind)
    assert values(found) == (2.0, 1, "New", False, [])
    assert values(shop().visitor(LOW).feature("unknown", as_=kind)) == (0.5, 1, "New", False, [])


@BOTH
def test_one_that_does_not_fit_costs_no_other(kind: type[Any], caplog: pytest.LogCaptureFixture) -> None:
    client = shop(**{**SET, "label": "Else", "table": ["x"]})
    with caplog.at_level(logging.WARNING, "convert_sdk"):
        for _ in range(3):
            found = client.visitor(LOW).feature("pricing", as_=kind)
            assert values(found) == (2.0, 3, "New", True, [])
    assert len(caplog.records) == 2
    assert "'label' of the feature 'pricing' is of type str" in caplog.records[0].getMessage()


def test_numbers_fit_as_for_get() -> None:
    @dataclass
    class Numbers:
        discount: int = 0
        steps: float = 0.0
        on: int = 7

    found = shop(discount="2", steps=3, on=True).visitor(LOW).feature("pricing", as_=Numbers)
    assert (found.discount, type(found.discount), found.steps, type(found.steps), found.on) == (
        2,
        int,
        3.0,
        float,
        7,
    )


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Line:
    amount: int = 0


class LineModel(BaseModel):
    amount: int = 0


@pytest.mark.parametrize(
    ("declared", "default", "given", "found"),
    [
        (list[Line], [], [{"amount": 1}], [Line(1)]),
        (list[LineModel], [], [{"amount": 1}], [LineModel(amount=1)]),
        (dict[str, Line], {}, {"a": {"amount": 1}}, {"a": Line(1)}),
        (Line, Line(7), {"amount": 1}, Line(1)),
        (Line, Line(7), {"amount": "1"}, Line(7)),
        (Line, Line(7), [1], Line(7)),
        (tuple[int, ...], (), [1, 2], (1, 2)),
        (frozenset[int], frozenset(), [1, 2], {1, 2}),
        (int | None, None, 3, 3),
        (list[int], [], [1, True], []),
        (object, None, {"a": [1]}, {"a": [1]}),
    ],
)
def test_values_of_json_as_the_declared_type(
    declared: Any, default: object, given: object, found: object
) -> None:
    made = make_dataclass("Made", [("table", declared, field(default_factory=lambda: default))])
    assert shop(table=given).visitor(LOW).feature("pricing", as_=made).table == found


@pytest.mark.parametrize(
    ("declared", "default", "given", "found"),
    [
        (Colour, Colour.RED, "blue", Colour.BLUE),
        (Colour, Colour.RED, "green", Colour.RED),
        (date, date(2000, 1, 1), "2026-01-02", date(2026, 1, 2)),
        (Literal["a", "b"], "a", "b", "b"),
        (int, 7, "5", 7),
        (Annotated[str, Field(max_length=3)], "abc", "abcd", "abc"),
    ],
)
def test_texts_as_the_declared_type(declared: Any, default: object, given: str, found: object) -> None:
    made = make_dataclass("Made", [("label", declared, field(default=default))])
    assert shop(label=given).visitor(LOW).feature("pricing", as_=made).label == found


class Checked(BaseModel):
    discount: float = Field(0.1, le=0.3)
    steps: int = 1

    @field_validator("steps")
    @classmethod
    def few(cls, steps: int) -> int:
        if steps > 2:
            raise ValueError("too many")
        return steps


class CheckedTogether(BaseModel):
    discount: float = 0.1
    steps: int = 1

    @model_validator(mode="after")
    def together(self) -> CheckedTogether:
        assert self.discount * self.steps < 1, "too much"
        return self


@dataclass
class CheckedDataclass:
    discount: float = 0.1
    steps: int = 1

    def __post_init__(self) -> None:
        if self.discount > 0.3:
            raise ValueError("too much")


@pytest.mark.parametrize(
    ("kind", "found"),
    [(Checked, (0.1, 1)), (CheckedTogether, (0.5, 1)), (CheckedDataclass, (0.1, 3))],
)
def test_what_the_class_refuses_is_a_default_and_never_raises(
    kind: type[Any], found: tuple[float, int], caplog: pytest.LogCaptureFixture
) -> None:
    client = shop(discount="0.5", steps=3)
    with caplog.at_level(logging.WARNING, "convert_sdk"):
        made = [client.visitor(LOW).feature("pricing", as_=kind) for _ in range(3)][-1]
    assert (made.discount, made.steps) == found
    assert caplog.records
    wanted = f"with a default of type {kind.__name__}, which refuses it"
    assert any(wanted in record.getMessage() for record in caplog.records)


def test_a_check_before_the_type_is_asked() -> None:
    class Split(BaseModel):
        label: Annotated[list[str], BeforeValidator(lambda text: text.split(","))] = []

    assert shop(label="a,b").visitor(LOW).feature("pricing", as_=Split).label == ["a", "b"]


def test_the_first_alias_that_is_set_counts() -> None:
    class Aliased(BaseModel):
        rows: list[int] = Field([], validation_alias=AliasChoices("absent", "table"))

    assert shop(table=[1]).visitor(LOW).feature("pricing", as_=Aliased).rows == [1]


def test_it_decides_and_exposes_as_feature_does() -> None:
    client = shop(**SET)
    visitor = client.visitor(LOW)
    visitor.feature("pricing", as_=Pricing)
    assert visitor.decide("checkout").reason.value == "sticky"


def test_a_class_that_cannot_be_used() -> None:
    @dataclass
    class Bare:
        discount: float

    class BareModel(BaseModel):
        discount: float

    class Pathed(BaseModel):
        rows: int = Field(0, validation_alias=AliasPath("table", 0))

    class Own:
        pass

    @dataclass
    class OfUnknown:
        label: Own | None = None

    visitor = shop().visitor(LOW)
    for kind, message in (
        (Pathed, "Pathed.rows has an alias with a path: it needs the key of a variable"),
        (make_dataclass("OfOwn", [("label", Own, None)]), "OfOwn.label is of the type Own, which pydantic"),
        (OfUnknown, "a type of OfUnknown cannot be found .*: define it at the top of a module"),
        (Bare, "Bare.discount has no default"),
        (BareModel, "BareModel.discount has no default"),
        (dict, "as_ must be a dataclass or a pydantic model, not dict"),
        (Pricing(), "as_ must be a dataclass or a pydantic model, not Pricing"),
    ):
        with pytest.raises(TypeError, match=message):
            visitor.feature("pricing", as_=kind)  # type: ignore[arg-type]
