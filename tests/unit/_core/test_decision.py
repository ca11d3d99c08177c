from __future__ import annotations

import pytest

from convert_sdk import Decision, Reason, ResolvedFeature
from convert_sdk._core.decision import report_mismatch
from convert_sdk._core.mismatches import Mismatch
from tests.documents import LOW, change, experience, feature, offline, variation

PRICING = feature(
    "81", "pricing", discount="float", steps="integer", label="string", on="boolean", table="json"
)
CHANGE = change("81", discount="1.5", steps=3, label="Sale", on=True, table={"a": [1]}, free=None)


@pytest.fixture
def decision() -> Decision:
    one = experience(variations=[variation("1", 100, changes=[CHANGE, change("99", x=1)])])
    return offline(one, features=[PRICING]).visitor(LOW).decide("checkout")


class TestDecision:
    def test_is_true_with_a_variation(self, decision: Decision) -> None:
        assert decision
        assert (decision.variation_key, decision.variation_id) == ("arm-1", "1")

    def test_is_false_without_one(self) -> None:
        missed = Decision("home", Reason.UNKNOWN)
        assert not missed
        assert (missed.variation_key, missed.variation_id, missed.features) == (None, None, ())

    def test_lists_the_features_that_its_variation_sets(self, decision: Decision) -> None:
        pricing, undeclared = decision.features
        assert (pricing.id, pricing.key, pricing.name) == ("81", "pricing", "Pricing")
        assert (undeclared.id, undeclared.key, undeclared.name) == ("99", None, None)

    def test_a_feature_knows_the_decision_that_enabled_it(self, decision: Decision) -> None:
        assert decision.features[0].decision is decision


class TestResolvedFeature:
    @pytest.fixture
    def pricing(self, decision: Decision) -> ResolvedFeature:
        return decision.features[0]

    @pytest.mark.parametrize(
        ("name", "default", "value"),
        [
            ("discount", 0.0, 1.5),
            ("steps", 0, 3),
            ("label", "", "Sale"),
            ("on", False, True),
            ("table", {}, {"a": [1]}),
            ("absent", 7, 7),
            ("absent", None, None),
            ("label", None, "Sale"),
            ("free", "nothing", "nothing"),
            ("free", None, None),
        ],
    )
    def test_a_variable_of_the_type_of_its_default(
        self, pricing: ResolvedFeature, name: str, default: object, value: object
    ) -> None:
        assert pricing.get(name, default) == value

    @pytest.mark.parametrize(
        ("name", "default"),
        [
            ("label", 1),
            ("discount", 1),
            ("steps", "1"),
            ("on", 1),
            ("on", 1.0),
            ("steps", False),
            ("table", []),
        ],
    )
    def test_another_type_gives_the_default(
        self, pricing: ResolvedFeature, name: str, default: object
    ) -> None:
        assert pricing.get(name, default) is default

    def test_an_int_fits_a_float_and_becomes_one(self, pricing: ResolvedFeature) -> None:
        found = pricing.get("steps", 0.5)
        assert (found, type(found)) == (3.0, float)

    def test_a_value_of_a_subclass_fits(self) -> None:
        class Label(str):
            __slots__ = ()

        label = Label("new")
        resolved = ResolvedFeature("81", "pricing", None, Decision("a", Reason.STICKY), {"label": label})
        assert resolved.get("label", "") is label

    def test_raw_is_as_it_came(self, pricing: ResolvedFeature) -> None:
        assert pricing.raw is not None
        assert (pricing.raw["discount"], pricing.variables["discount"]) == ("1.5", 1.5)

    def test_disabled_gives_defaults(self) -> None:
        disabled = ResolvedFeature.disabled("pricing", None)
        assert not disabled.enabled
        assert not disabled
        assert disabled.get("discount", 2.5) == 2.5

    def test_shows_no_values(self, pricing: ResolvedFeature) -> None:
        assert repr(pricing) == "ResolvedFeature(key='pricing', enabled=True)"


def test_a_default_of_a_wider_class_takes_what_is_there(decision: Decision) -> None:
    (pricing,) = (each for each in decision.features if each.key == "pricing")
    assert pricing.get("label", object()) == "Sale"
    assert pricing.get("table", object()) == {"a": [1]}


class Log(list[str]):
    """Hears of mismatches, and keeps their texts."""

    def note(self, mismatch: Mismatch) -> None:
        self.append(str(mismatch))


def test_a_value_that_has_no_form_in_its_declared_type_gives_the_default() -> None:
    prices = feature("81", "pricing", rate="float")
    arm = variation("1", 100, changes=[change("81", rate="inf")])
    client = offline(experience(variations=[arm]), features=[prices])
    said = Log()
    assert client.project is not None
    client.project.mismatches.listen(said.note)
    assert client.visitor(LOW).feature("pricing").get("rate", 0.25) == 0.25
    assert said == [
        (
            "the variable 'rate' of the feature 'pricing' has a value that cannot be brought to its declared type: the "
            "default is used"
        )
    ]


def test_an_int_beyond_every_float_gives_the_default() -> None:
    arm = variation("1", 100, changes=[change("81", rate=10**400)])
    client = offline(experience(variations=[arm]), features=[feature("81", "pricing")])
    said = Log()
    assert client.project is not None
    client.project.mismatches.listen(said.note)
    pricing = client.visitor(LOW).feature("pricing")
    assert (pricing.get("rate", 0.25), pricing.get("rate", 0)) == (0.25, 10**400)
    assert len(said) == 1


def test_a_whole_float_fits_a_default_that_is_an_int() -> None:
    prices = feature("81", "pricing", price="float", discount="float")
    arm = variation("1", 100, changes=[change("81", price="5", discount="0.5")])
    found = offline(experience(variations=[arm]), features=[prices]).visitor(LOW).feature("pricing")
    assert (found.get("price", 0), found.get("discount", 0)) == (5, 0)
    assert type(found.get("price", 0)) is int


def test_what_an_application_wanted_is_reported() -> None:
    """As of a model with a field of another type."""
    arm = variation("1", 100, changes=[change("81", label="Sale")])
    client = offline(experience(variations=[arm]), features=[PRICING])
    said = Log()
    assert client.project is not None
    client.project.mismatches.listen(said.note)
    report_mismatch(client.visitor(LOW).feature("pricing"), "label", "int")
    assert len(said) == 1
    assert "'label' of the feature 'pricing' is of type str" in said[0]
