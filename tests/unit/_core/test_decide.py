from __future__ import annotations

from typing import Any

import pytest

from convert_sdk import ANYWHERE, Decision, MemoryStore, Reason, bucket_value
from convert_sdk._core.decide import known_decisions, looks_at_location
from tests.documents import (
    HIGH,
    LOW,
    Json,
    Sink,
    bucketed_into,
    entity,
    every,
    experience,
    leaf,
    offline,
    project,
    remembering,
    some,
    variation,
)

PRO = entity("51", "pro", every(leaf("plan", "pro")))
GERMAN = entity("52", "german", every(leaf("country", "DE")))
CART = entity("61", "cart", every(leaf("url", "/cart", "startsWith")))
SHOP = entity("62", "shop", every(leaf("url", "/shop", "startsWith")))


def peek(*experiences: Json, visitor: str = LOW, **more: Any) -> Decision:
    """The decision on the first experience for a visitor of whom nothing is known."""
    return offline(*experiences, **more).visitor(visitor).peek("checkout")


class TestTheHash:
    def test_picks_the_variation_whose_range_holds_the_bucket_value(self) -> None:
        low, high = peek(experience(), visitor=LOW), peek(experience(), visitor=HIGH)
        assert [low.variation_id, low.bucket_value] == ["1", 1508]
        assert [high.variation_id, high.bucket_value] == ["2", 6565]

    def test_leaves_out_whom_no_range_holds(self) -> None:
        decision = peek(experience(variations=[variation("1", 10)]))
        assert decision == Decision("checkout", Reason.NOT_ALLOCATED, decision.experience)
        assert decision.experience is not None


class TestGates:
    def test_an_unknown_experience(self) -> None:
        assert offline().visitor(LOW).peek("home") == Decision("home", Reason.UNKNOWN)

    def test_an_archived_experience(self) -> None:
        assert peek(experience(), archived_experiences=["100"]).reason is Reason.ARCHIVED

    def test_an_archived_experience_by_a_number(self) -> None:
        assert peek(experience(), archived_experiences=[100]).reason is Reason.ARCHIVED

    def test_an_experience_of_another_environment(self) -> None:
        assert peek(experience(environment="staging")).reason is Reason.ENVIRONMENT

    def test_environments_are_case_sensitive(self) -> None:
        visitor = offline(experience(environment="staging")).visitor(LOW)
        assert visitor.with_context(environment="Staging").peek("checkout").reason is Reason.ENVIRONMENT
        assert visitor.with_context(environment="staging").peek("checkout").reason is Reason.BUCKETED

    def test_an_experience_without_variations(self) -> None:
        assert peek(experience(variations=[])).reason is Reason.NO_VARIATIONS

    def test_neither_the_status_of_an_experience_nor_its_type_is_asked(self) -> None:
        assert peek(experience(status="draft", type="deploy")).reason is Reason.BUCKETED


class TestLocation:
    def test_an_unrestricted_experience_runs_everywhere(self) -> None:
        assert peek(experience()).reason is Reason.BUCKETED

    def test_an_unknown_location_closes_even_an_unrestricted_experience(self) -> None:
        assert offline(experience()).visitor(LOW, location=None).peek("checkout").reason is Reason.LOCATION

    @pytest.mark.parametrize(
        ("url", "reason"),
        [("/cart/1", Reason.BUCKETED), ("/shop", Reason.BUCKETED), ("/", Reason.LOCATION)],
    )
    def test_one_location_of_several_is_enough(self, url: str, reason: Reason) -> None:
        client = offline(experience(locations=["61", "62"]), locations=[CART, SHOP])
        assert client.visitor(LOW, location={"url": url}).peek("checkout").reason is reason

    def test_an_unknown_location_id_is_nowhere(self) -> None:
        assert peek(experience(locations=["69"]), locations=[CART]).reason is Reason.LOCATION

    def test_a_location_without_rules_is_nowhere(self) -> None:
        assert peek(experience(locations=["63"]), locations=[entity("63", "void")]).reason is Reason.LOCATION

    def test_anywhere_ignores_the_rules(self) -> None:
        client = offline(experience(locations=["61"]), locations=[CART])
        assert client.visitor(LOW, location=ANYWHERE).peek("checkout").reason is Reason.BUCKETED

    @pytest.mark.parametrize(("url", "reason"), [("/a", Reason.BUCKETED), ("/b", Reason.LOCATION)])
    def test_the_site_area_is_asked_where_no_location_is_named(self, url: str, reason: Reason) -> None:
        client = offline(experience(site_area=every(leaf("url", "/a"))))
        assert client.visitor(LOW, location={"url": url}).peek("checkout").reason is reason

    def test_locations_come_before_the_site_area(self) -> None:
        client = offline(experience(locations=["61"], site_area=every(leaf("url", "/a"))), locations=[CART])
        assert client.visitor(LOW, location={"url": "/a"}).peek("checkout").reason is Reason.LOCATION

    def test_locations_that_are_no_list_leave_the_site_area_in_charge(self) -> None:
        client = offline(experience(locations="61", site_area=every(leaf("url", "/a"))), locations=[CART])
        assert client.visitor(LOW, location={"url": "/a"}).peek("checkout").reason is Reason.BUCKETED


class TestAudiences:
    @pytest.mark.parametrize(("plan", "reason"), [("pro", Reason.BUCKETED), ("free", Reason.AUDIENCE)])
    def test_an_audience_takes_whom_its_rules_take(self, plan: str, reason: Reason) -> None:
        client = offline(experience(audiences=["51"]), audiences=[PRO])
        assert client.visitor(LOW, {"plan": plan}).peek("checkout").reason is reason

    def test_ids_match_whatever_their_type(self) -> None:
        client = offline(experience(audiences=[51]), audiences=[PRO])
        assert client.visitor(LOW).peek("checkout").reason is Reason.AUDIENCE

    @pytest.mark.parametrize("settings", [{}, None, {"matching_options": {"audiences": "any"}}])
    def test_one_audience_of_several_is_enough(self, settings: object) -> None:
        client = offline(experience(audiences=["51", "52"], settings=settings), audiences=[PRO, GERMAN])
        assert client.visitor(LOW, {"plan": "pro"}).peek("checkout").reason is Reason.BUCKETED

    def test_all_of_them_may_be_wanted(self) -> None:
        settings = {"matching_options": {"audiences": "all"}}
        client = offline(experience(audiences=["51", "52"], settings=settings), audiences=[PRO, GERMAN])
        assert client.visitor(LOW, {"plan": "pro"}).peek("checkout").reason is Reason.AUDIENCE
        both = {"plan": "pro", "country": "DE"}
        assert client.visitor(LOW, both).peek("checkout").reason is Reason.BUCKETED

    def test_an_audience_without_rules_takes_nobody(self) -> None:
        void = entity("53", "void")
        assert peek(experience(audiences=["53"]), audiences=[void]).reason is Reason.AUDIENCE

    def test_an_unknown_audience_restricts_nobody(self) -> None:
        assert peek(experience(audiences=["59"])).reason is Reason.BUCKETED

    def test_a_permanent_audience_is_asked_only_until_the_decision(self) -> None:
        permanent = {**PRO, "type": "permanent"}
        store = remembering(LOW, bucketing={"100": "1"})
        client = offline(experience(audiences=["51"]), audiences=[permanent], store=store)
        assert client.visitor(LOW).peek("checkout").reason is Reason.STICKY
        assert client.visitor(HIGH).peek("checkout").reason is Reason.AUDIENCE

    def test_a_transient_audience_is_asked_every_time(self) -> None:
        store = remembering(LOW, bucketing={"100": "1"})
        client = offline(experience(audiences=["51"]), audiences=[PRO], store=store)
        assert client.visitor(LOW).peek("checkout").reason is Reason.AUDIENCE


class TestExclusion:
    """An audience with a rule about another experience."""

    @pytest.mark.parametrize(
        ("negated", "decided", "reason"),
        [
            (False, True, Reason.BUCKETED),
            (False, False, Reason.AUDIENCE),
            (True, True, Reason.AUDIENCE),
            (True, False, Reason.BUCKETED),
        ],
    )
    def test_asks_for_a_decision(self, negated: bool, decided: bool, reason: Reason) -> None:
        audience = entity("51", "not-both", every(bucketed_into("other", negated=negated)))
        client = offline(experience(audiences=["51"]), experience("200", "other"), audiences=[audience])
        visitor = client.visitor(LOW)
        if decided:
            visitor.decide("other")
        assert visitor.peek("checkout").reason is reason

    def test_its_siblings_are_not_asked(self) -> None:
        audience = entity("51", "first", some(leaf("plan", "pro"), bucketed_into("other")))
        client = offline(experience(audiences=["51"]), experience("200", "other"), audiences=[audience])
        assert client.visitor(LOW, {"plan": "pro"}).peek("checkout").reason is Reason.AUDIENCE

    def test_a_decision_for_a_variation_that_is_gone_counts(self) -> None:
        audience = entity("51", "only", every(bucketed_into("other")))
        store = remembering(LOW, bucketing={"200": "gone"})
        client = offline(
            experience(audiences=["51"]), experience("200", "other"), audiences=[audience], store=store
        )
        assert client.visitor(LOW).peek("checkout").reason is Reason.BUCKETED

    def test_nobody_is_bucketed_into_an_unknown_experience(self) -> None:
        audience = entity("51", "nobody", every(bucketed_into("nowhere")))
        assert peek(experience(audiences=["51"]), audiences=[audience]).reason is Reason.AUDIENCE


class TestSegments:
    def test_a_visitor_must_be_in_one_of_them(self) -> None:
        client = offline(experience(audiences=["71", "72"]), segments=[entity("71", "a"), entity("72", "b")])
        visitor = client.visitor(LOW)
        assert visitor.peek("checkout").reason is Reason.SEGMENT
        visitor.set_segments({"customSegments": ["72"]})
        assert visitor.peek("checkout").reason is Reason.BUCKETED

    def test_custom_segments_that_are_no_list_are_none(self) -> None:
        client = offline(experience(audiences=["71"]), segments=[entity("71", "a")])
        visitor = client.visitor(LOW, {"customSegments": "71"})
        assert visitor.peek("checkout").reason is Reason.SEGMENT

    def test_audiences_must_agree_too(self) -> None:
        client = offline(experience(audiences=["51", "71"]), segments=[entity("71", "a")], audiences=[PRO])
        visitor = client.visitor(LOW, {"customSegments": ["71"]})
        assert visitor.peek("checkout").reason is Reason.AUDIENCE


class TestPrecedence:
    def test_a_remembered_decision_wins_over_the_hash(self) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing={"100": "2"}))
        decision = client.visitor(LOW).peek("checkout")
        assert (decision.reason, decision.variation_id, decision.bucket_value) == (Reason.STICKY, "2", None)

    def test_a_remembered_variation_may_have_stopped(self) -> None:
        stopped = experience(variations=[variation("1"), variation("2", 0, status="stopped")])
        client = offline(stopped, store=remembering(LOW, bucketing={"100": "2"}))
        assert client.visitor(LOW).peek("checkout").reason is Reason.STICKY

    def test_a_remembered_variation_that_is_gone_is_decided_anew(self) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing={"100": "3"}))
        assert client.visitor(LOW).peek("checkout").reason is Reason.BUCKETED

    def test_a_forced_variation_wins_over_the_hash(self) -> None:
        decision = offline(experience()).visitor(LOW).force("checkout", variation_id=2)
        assert (decision.reason, decision.variation_id, decision.bucket_value) == (Reason.FORCED, "2", 1508)

    def test_a_forced_variation_needs_no_traffic(self) -> None:
        client = offline(experience(variations=[variation("1", 0)]))
        decision = client.visitor(LOW).force("checkout", variation_id="1")
        assert (decision.reason, decision.bucket_value) == (Reason.FORCED, None)

    def test_a_forced_variation_wins_over_a_remembered_one(self) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing={"100": "1"}))
        assert client.visitor(LOW).force("checkout", variation_id="2").reason is Reason.FORCED

    def test_forcing_what_is_remembered_is_sticky(self) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing={"100": "2"}))
        assert client.visitor(LOW).force("checkout", variation_id="2").reason is Reason.STICKY

    @pytest.mark.parametrize(("remembered", "reason"), [({}, Reason.BUCKETED), ({"100": "2"}, Reason.STICKY)])
    def test_an_unknown_forced_variation_is_ignored(self, remembered: dict[str, str], reason: Reason) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing=remembered))
        assert client.visitor(LOW).force("checkout", variation_id="9").reason is reason

    def test_a_variation_is_forced_by_its_key(self) -> None:
        decision = offline(experience()).visitor(LOW).force("checkout", "arm-2")
        assert (decision.reason, decision.variation_id) == (Reason.FORCED, "2")

    def test_an_unknown_key_of_a_variation_is_a_miss_that_changes_nothing(self) -> None:
        store, sent = MemoryStore(), Sink()
        with offline(experience(locations=["61"]), locations=[CART], store=store, sink=sent) as client:
            visitor = client.visitor(LOW, location={"url": "/cart"})
            decision = visitor.force("checkout", "arm-3")
            assert (decision.reason, decision.variation_key) == (Reason.UNKNOWN_VARIATION, None)
            assert decision.experience is not None
            assert decision.experience.key == "checkout"
        assert sent == []
        assert store.load(f"1-2-{LOW}") is None

    def test_a_forced_key_of_no_experience_is_unknown(self) -> None:
        assert offline(experience()).visitor(LOW).force("home", "arm-2").reason is Reason.UNKNOWN

    def test_gates_come_before_a_forced_variation(self) -> None:
        client = offline(experience(), archived_experiences=["100"])
        assert client.visitor(LOW).force("checkout", variation_id="1").reason is Reason.ARCHIVED


class TestRememberedLocations:
    def locations(self, *urls: str, **more: Any) -> tuple[str, ...]:
        """What is remembered after a look from each of these places."""
        store = remembering(LOW, locations=("old",))
        here = experience(locations=["61", "62", "63"], **more)
        client = offline(here, locations=[CART, SHOP, entity("63", "void")], store=store)
        for url in urls:
            client.visitor(LOW, location={"url": url}).decide("checkout")
        client.flush()
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        return state.locations

    def test_a_visitor_enters_a_location(self) -> None:
        assert self.locations("/cart") == ("old", "cart")

    def test_a_visitor_leaves_a_location(self) -> None:
        assert self.locations("/cart", "/shop") == ("old", "shop")

    def test_staying_changes_nothing(self) -> None:
        assert self.locations("/cart", "/cart") == ("old", "cart")

    def test_a_visitor_who_does_not_qualify_has_been_there(self) -> None:
        assert self.locations("/cart", variations=[]) == ("old", "cart")

    def test_an_archived_experience_asks_nobody_where_they_are(self) -> None:
        assert self.locations("/cart", environment="other") == ("old",)

    @pytest.mark.parametrize("location", [None, ANYWHERE])
    def test_no_place_is_no_change(self, location: None) -> None:
        store = remembering(LOW, locations=("cart",))
        client = offline(experience(locations=["61"]), locations=[CART], store=store)
        client.visitor(LOW, location=location).decide("checkout")
        client.flush()
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert state.locations == ("cart",)

    @pytest.mark.parametrize("reason", Reason)
    def test_the_reasons_that_come_before_the_location(self, reason: Reason) -> None:
        unknown = {Reason.UNKNOWN, Reason.UNKNOWN_VARIATION}
        instead = {Reason.PREVIEW, Reason.OVERRIDE}
        before = {Reason.NOT_READY, *unknown, Reason.ARCHIVED, Reason.ENVIRONMENT, *instead}
        assert looks_at_location(reason) is (reason not in before)


def test_peeking_stores_and_sends_nothing() -> None:
    sink, store = Sink(), remembering("other")
    client = offline(experience(locations=["61"]), locations=[CART], sink=sink, store=store)
    client.visitor(LOW, location={"url": "/cart"}).peek("checkout")
    client.close()
    assert not sink
    assert store.load(f"1-2-{LOW}") is None


def test_two_ids_may_share_a_character() -> None:
    decision = peek(experience("10\ud83d"), visitor="\ude00v")
    assert decision.bucket_value == bucket_value("10\ud83d", "\ude00v")


def test_decisions_that_the_document_does_not_have_are_left_out() -> None:
    known = known_decisions(project(experience()), {"100": "1", "101": "1"})
    assert known == {"100": "1"}
    assert known_decisions(project(experience()), {"100": "9"}) == {}
