from __future__ import annotations

from convert_sdk._core.features import resolve
from tests.documents import HIGH, LOW, Sink, change, experience, exposure, feature, offline, variation

PRICING = feature("81", "pricing", discount="float")
BADGE = feature("9", "badge")
RABATT = variation("1", changes=[change("99"), change("81", discount="0.5")])
CARRYING = experience("100", "checkout", variations=[RABATT, variation("2")])


def test_a_variation_enables_a_feature() -> None:
    pricing = offline(CARRYING, features=[PRICING]).visitor(LOW).feature("pricing")
    assert pricing.enabled
    assert pricing.get("discount", 0.0) == 0.5


def test_the_other_arm_does_not() -> None:
    pricing = offline(CARRYING, features=[PRICING]).visitor(HIGH).feature("pricing")
    assert (pricing.enabled, pricing.id, pricing.name) == (False, "81", "Pricing")


def test_whoever_is_in_the_experience_is_exposed() -> None:
    sink = Sink()
    with offline(CARRYING, features=[PRICING], sink=sink) as client:
        client.visitor(HIGH).feature("pricing")
    assert sink.events == [exposure("100", "2")]


def test_experiences_that_do_not_carry_it_are_left_alone() -> None:
    sink = Sink()
    with offline(experience("200", "other"), CARRYING, features=[PRICING], sink=sink) as client:
        client.visitor(LOW).feature("pricing")
    assert sink.events == [exposure("100", "1")]


def test_peeking_exposes_nobody() -> None:
    sink = Sink()
    with offline(CARRYING, features=[PRICING], sink=sink) as client:
        assert client.visitor(LOW).peek_feature("pricing").enabled
    assert not sink


def test_of_several_experiences_the_first_that_sets_it_wins() -> None:
    second = experience(
        "200", "other", variations=[variation("3", 100, changes=[change("81", discount="9")])]
    )
    client = offline(CARRYING, second, features=[PRICING])
    assert client.visitor(LOW).feature("pricing").get("discount", 0.0) == 0.5
    assert client.visitor(HIGH).feature("pricing").get("discount", 0.0) == 9.0


def test_an_undeclared_feature_is_disabled_and_has_its_key() -> None:
    missing = offline(CARRYING).visitor(LOW).feature("pricing")
    assert (missing.enabled, missing.key, missing.id) == (False, "pricing", None)


def test_an_undeclared_feature_is_disabled_whatever_was_decided() -> None:
    client = offline(CARRYING)
    decision = client.visitor(LOW).decide("checkout")
    assert client.project is not None
    assert not resolve(client.project, "pricing", [decision])


def test_a_missed_decision_sets_nothing() -> None:
    client = offline(CARRYING, features=[PRICING], archived_experiences=["100"])
    assert not client.visitor(LOW).feature("pricing")


def test_all_of_them_are_the_enabled_then_the_disabled_by_id() -> None:
    client = offline(CARRYING, features=[feature("x", "extra"), feature("70", "other"), PRICING, BADGE])
    listed = client.visitor(LOW).features()
    assert [(each.id, each.enabled) for each in listed] == [
        ("99", True),
        ("81", True),
        ("9", False),
        ("70", False),
        ("x", False),
    ]


def test_one_set_twice_is_listed_twice() -> None:
    second = experience("200", "other", variations=[variation("3", 100, changes=[change("81")])])
    listed = offline(CARRYING, second, features=[PRICING]).visitor(LOW).features()
    assert [each.id for each in listed if each.key == "pricing"] == ["81", "81"]


def test_of_features_of_one_id_the_last_is_listed_and_found_by_its_key() -> None:
    both = [feature("81", "old"), feature("81", "pricing", discount="float")]
    client = offline(CARRYING, features=both)
    listed = client.visitor(LOW).features()
    assert [each.key for each in listed if each.id == "81"] == ["pricing"]
    assert client.visitor(LOW).feature("pricing").enabled
    assert not client.visitor(LOW).feature("old").enabled
    assert [each.key for each in client.visitor(HIGH).features()] == ["pricing"]
