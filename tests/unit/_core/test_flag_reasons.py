"""The table of flag reasons, row by row."""

from __future__ import annotations

import pytest

from convert_sdk import Decision, Reason
from convert_sdk._core.flag_reasons import (
    FLAG_REASONS,
    FlagReason,
    bucket_owners,
    depends_on_visitor,
    flag_reason,
)
from convert_sdk._core.model import Experience, Variation
from tests.documents import Json, bucketed_into, entity, every, experience, leaf, project, variation

ALONE = [variation("1", 100)]
HALVES = [variation("1"), variation("2")]
PRO = entity("51", "pro", every(leaf()))


def compiled(variations: list[Json] = ALONE, audiences: tuple[Json, ...] = (), **more: object) -> Experience:
    asked = [each["id"] for each in audiences]
    one = experience("100", "checkout", variations=variations, audiences=asked, **more)
    found = project(one, audiences=[*audiences]).experience("checkout")
    assert found is not None
    return found


def decided(of: Experience, reason: Reason = Reason.BUCKETED, id: str | None = "1") -> Decision:
    return Decision("checkout", reason, of, None if id is None else of.variations[id])


def test_the_table_has_a_row_for_every_reason() -> None:
    assert set(FLAG_REASONS) == set(Reason)
    errors = {reason for reason, found in FLAG_REASONS.items() if found is FlagReason.ERROR}
    assert errors == {Reason.NOT_READY, Reason.UNKNOWN}


@pytest.mark.parametrize("reason", [Reason.BUCKETED, Reason.STICKY])
def test_a_variation_that_owns_every_bucket_value_is_static(reason: Reason) -> None:
    assert flag_reason(decided(compiled(), reason)) is FlagReason.STATIC
    assert flag_reason(decided(compiled(HALVES), reason)) is FlagReason.SPLIT
    assert flag_reason(decided(compiled([variation("1", 99)]), reason)) is FlagReason.SPLIT


def test_a_visitor_who_kept_another_variation_than_the_only_one_of_today() -> None:
    former = compiled([variation("1", 0), variation("2", 100)])
    assert flag_reason(decided(former, Reason.STICKY, "1")) is FlagReason.SPLIT


def test_an_audience_that_takes_the_visitor() -> None:
    for variations in (ALONE, HALVES):
        targeted = decided(compiled(variations, (PRO,)))
        turned_away = decided(compiled(), Reason.AUDIENCE, None)
        assert flag_reason(targeted) is FlagReason.TARGETING_MATCH
        assert flag_reason(targeted, [turned_away]) is FlagReason.TARGETING_MATCH


@pytest.mark.parametrize("reason", [Reason.AUDIENCE, Reason.SEGMENT])
def test_an_earlier_experience_that_does_not_take_the_visitor(reason: Reason) -> None:
    earlier = decided(compiled(), reason, None)
    for variations in (ALONE, HALVES):
        assert flag_reason(decided(compiled(variations)), [earlier]) is FlagReason.DEFAULT


def test_an_earlier_experience_that_runs_elsewhere_changes_nothing() -> None:
    earlier = decided(compiled(), Reason.LOCATION, None)
    assert flag_reason(decided(compiled()), [earlier]) is FlagReason.STATIC


@pytest.mark.parametrize("reason", [Reason.FORCED, Reason.OVERRIDE, Reason.PREVIEW])
def test_what_somebody_named_is_static(reason: Reason) -> None:
    assert flag_reason(decided(compiled(HALVES, (PRO,)), reason)) is FlagReason.STATIC


def test_a_decision_without_an_experience() -> None:
    assert flag_reason(Decision("checkout", Reason.NOT_READY)) is FlagReason.ERROR
    assert flag_reason(Decision("checkout", Reason.BUCKETED)) is FlagReason.SPLIT


def test_the_owners_of_the_bucket_values() -> None:
    def owners(*variations: Json) -> set[str | None]:
        found: set[Variation | None] = bucket_owners(compiled([*variations]))
        return {None if each is None else each.id for each in found}

    assert owners(variation("1", 100)) == {"1"}
    assert owners(variation("1", 100), variation("2", 0)) == {"1"}
    assert owners(variation("1", 60), variation("2", 30)) == {"1", "2", None}
    assert owners(variation("1", 0)) == {None}


def test_what_depends_on_the_visitor() -> None:
    assert not depends_on_visitor(decided(compiled()))
    assert not depends_on_visitor(decided(compiled([variation("1", 0)]), Reason.NOT_ALLOCATED, None))
    assert not depends_on_visitor(decided(compiled(HALVES), Reason.AUDIENCE, None))
    assert not depends_on_visitor(decided(compiled(HALVES), Reason.OVERRIDE))
    assert not depends_on_visitor(Decision("checkout", Reason.UNKNOWN))
    assert depends_on_visitor(decided(compiled(HALVES)))
    assert depends_on_visitor(decided(compiled([variation("1", 50)]), Reason.NOT_ALLOCATED, None))
    other = entity("52", "others", every(bucketed_into("checkout", negated=True)))
    assert depends_on_visitor(decided(compiled(ALONE, (other,)), Reason.AUDIENCE, None))
