from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import ANYWHERE, AsyncClient, Client, ConversionReason, MemoryStore, Reason, Visitor
from convert_sdk.stores import VisitorState
from tests.documents import (
    HIGH,
    LOW,
    Json,
    Sink,
    change,
    conversion,
    entity,
    every,
    experience,
    exposure,
    feature,
    leaf,
    offline,
    project,
    remembering,
    variation,
)
from tests.shapes import of

BUY = entity("91", "buy")
PAY = entity("92", "pay", every(leaf("total", 10, "less", negated=True)))
OTHER = experience("200", "other", variations=[variation("3", 100)])


class TestTheId:
    def test_an_int_is_its_text(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(42).decide("checkout")
        assert [entry["visitorId"] for entry in sink.visitors] == ["42"]
        assert client.visitor(42).decide("checkout") == client.visitor("42").decide("checkout")

    def test_an_empty_one_names_nobody(self) -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            offline().visitor("")

    @pytest.mark.parametrize("wrong", [None, True, 1.5, b"v", ["v"]])
    def test_another_type_names_nobody(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="a visitor id must be a str or an int"):
            offline().visitor(wrong)

    def test_is_not_shown(self) -> None:
        assert "v-1" not in repr(offline().visitor(LOW))


class TestTheBucketingId:
    def test_it_is_hashed_and_the_visitor_is_reported(self) -> None:
        sink, store = Sink(), MemoryStore()
        with offline(experience(), sink=sink, store=store) as client:
            decided = client.visitor(LOW, bucketing_id=HIGH).decide("checkout")
            assert decided.variation_id == client.visitor(HIGH).peek("checkout").variation_id
            assert (
                decided.variation_id
                != client.visitor("unseen", bucketing_id=LOW).peek("checkout").variation_id
            )
        assert [entry["visitorId"] for entry in sink.visitors] == [LOW]
        kept = store.load(f"1-2-{LOW}")
        assert kept is not None
        assert kept.bucketing == {"100": decided.variation_id}
        assert store.load(f"1-2-{HIGH}") is None

    def test_what_was_decided_before_stays(self) -> None:
        client = offline(experience())
        first = client.visitor(LOW).decide("checkout")
        again = client.visitor(LOW, bucketing_id=HIGH).decide("checkout")
        assert (again.variation_id, again.reason) == (first.variation_id, Reason.STICKY)

    def test_with_context_hashes_another_and_keeps_it(self) -> None:
        client = offline(experience())
        high = client.visitor(HIGH).peek("checkout").variation_id
        deeper = client.visitor(LOW).with_context(bucketing_id=HIGH)
        assert deeper.id == LOW
        assert deeper.bucketing_id == deeper.with_context(attributes={"a": 1}).bucketing_id == HIGH
        assert deeper.with_context(location={"url": "/"}).peek("checkout").variation_id == high

    def test_without_one_it_is_the_id(self) -> None:
        assert offline().visitor(LOW).bucketing_id == LOW
        assert offline().visitor(LOW, bucketing_id=7).bucketing_id == "7"

    def test_explain_names_it_and_hashes_it(self) -> None:
        client = offline(experience())
        explained = client.visitor(LOW, bucketing_id=HIGH).explain("checkout")
        assert (explained.visitor_id, explained.bucketing_id) == (LOW, HIGH)
        assert str(explained).startswith(
            f"checkout for visitor {LOW!r}, bucketed as {HIGH!r}: bucketed: arm-2"
        )
        assert explained.hashed is not None
        assert explained.hashed.input == f"100{HIGH}"
        assert client.visitor(LOW).explain("checkout").bucketing_id is None

    def test_all_at_once_agree_with_one_by_one(self) -> None:
        client = offline(experience(), OTHER)
        visitor = client.visitor(LOW, bucketing_id=HIGH)
        assert visitor.peek_all() == [visitor.peek("checkout"), visitor.peek("other")]

    @pytest.mark.parametrize("wrong", ["", True, 1.5, b"v"])
    def test_one_that_names_nobody_raises(self, wrong: Any) -> None:
        client = offline()
        with pytest.raises((TypeError, ValueError), match="a bucketing_id must"):
            client.visitor(LOW, bucketing_id=wrong)
        with pytest.raises((TypeError, ValueError), match="a bucketing_id must"):
            client.visitor(LOW).with_context(bucketing_id=wrong)

    def test_the_observed_and_the_awaited_one_have_it_too(self) -> None:
        with Client.offline(project(experience()), hooks=[lambda seen: None]) as client:
            assert client.visitor(LOW, bucketing_id=HIGH).bucketing_id == HIGH
        awaiting = AsyncClient.offline(project(experience()))
        observed = AsyncClient.offline(project(experience()), hooks=[lambda seen: None])
        for each in (awaiting, observed):
            assert asyncio.run(each.visitor(LOW, bucketing_id=HIGH)).bucketing_id == HIGH


class TestRememberedLists:
    def test_a_list_of_objects_does_not_grow_with_every_request(self) -> None:
        client = offline()
        for _ in range(3):
            visitor = client.visitor(LOW, {"customSegments": ["1"], "country": "DE"})
            visitor.set_segments({"baskets": [{"sku": "A", "sizes": [1, 2]}]})
            visitor.decide("checkout")
        assert client.visitor(LOW).segments["baskets"] == [{"sku": "A", "sizes": [1, 2]}]

    def test_rule_data_meets_the_attributes_before_the_segments(self) -> None:
        vip = entity("71", "vips", every(leaf("tags", "vip", "contains")))
        client = offline(segments=[vip])
        visitor = client.visitor(LOW, {"tags": "none"})
        visitor.set_segments({"tags": ["vip"]})
        assert visitor.match_segments(["vips"]) == []
        assert [segment.key for segment in visitor.match_segments(["vips"], {"tags": ["new"]})] == ["vips"]


class TestFacts:
    @pytest.mark.parametrize("wrong", [["plan"], "plan", 5])
    def test_attributes_must_be_a_mapping(self, wrong: Any) -> None:
        client = offline()
        with pytest.raises(TypeError, match="attributes must be a mapping"):
            client.visitor(LOW, wrong)
        with pytest.raises(TypeError, match="attributes must be a mapping"):
            client.visitor(LOW).with_context(attributes=wrong)

    @pytest.mark.parametrize("wrong", ["/cart", 5])
    def test_a_location_must_be_a_mapping(self, wrong: Any) -> None:
        client = offline()
        with pytest.raises(TypeError, match="location must be a mapping"):
            client.visitor(LOW, location=wrong)
        with pytest.raises(TypeError, match="location must be a mapping"):
            client.visitor(LOW).with_context(location=wrong)

    def test_segments_must_be_a_mapping(self) -> None:
        wrong: Any = ["vip"]
        with pytest.raises(TypeError, match="segments must be a mapping"):
            offline().visitor(LOW).set_segments(wrong)


class TestDecide:
    def test_records_the_exposure_of_a_new_decision(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            assert client.visitor(LOW).decide("checkout").reason is Reason.BUCKETED
        assert sink.events == [exposure("100", "1")]

    def test_a_second_time_is_sticky_and_silent(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).decide("checkout")
            again = client.visitor(LOW).decide("checkout")
        assert (again.reason, again.variation_id) == (Reason.STICKY, "1")
        assert len(sink.events) == 1

    def test_two_visitors_of_an_id_share_what_is_remembered(self) -> None:
        client = offline(experience())
        one, two = client.visitor(LOW), client.visitor(LOW)
        one.force("checkout", variation_id="2")
        assert two.decide("checkout").variation_id == "2"

    def test_a_miss_is_silent(self) -> None:
        sink = Sink()
        with offline(experience(variations=[]), sink=sink) as client:
            assert not client.visitor(LOW).decide("checkout")
        assert not sink


class TestDecideAll:
    def test_in_the_order_of_the_document(self) -> None:
        decisions = offline(OTHER, experience()).visitor(LOW).decide_all()
        assert [each.key for each in decisions] == ["other", "checkout"]

    def test_only_those_asked_for(self) -> None:
        decisions = offline(OTHER, experience()).visitor(LOW).decide_all(["checkout", "nothing"])
        assert [each.key for each in decisions] == ["checkout"]

    def test_a_previewed_experience_comes_last(self) -> None:
        visitor = offline(experience(), OTHER).visitor(LOW)
        visitor.preview("100", "2")
        assert [(each.key, each.reason) for each in visitor.decide_all()] == [
            ("other", Reason.BUCKETED),
            ("checkout", Reason.PREVIEW),
        ]
        assert [each.key for each in visitor.decide_all(["other"])] == ["other"]


class TestForce:
    def test_is_kept_and_reported(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            assert client.visitor(LOW).force("checkout", variation_id=2).reason is Reason.FORCED
            assert client.visitor(LOW).decide("checkout").variation_id == "2"
        assert sink.events == [exposure("100", "2")]

    def test_another_variation_is_reported_again(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).force("checkout", variation_id="2")
            client.visitor(LOW).force("checkout", variation_id="1")
        assert sink.events == [exposure("100", "2"), exposure("100", "1")]

    def test_the_same_one_is_not(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).force("checkout", variation_id="2")
            client.visitor(LOW).force("checkout", variation_id="2")
        assert len(sink.events) == 1


class TestGiven:
    def test_attributes_are_put_over_the_present_ones(self) -> None:
        client = offline(experience(audiences=["51"]), audiences=[entity("51", "pro", every(leaf("plan")))])
        visitor = client.visitor(LOW, {"plan": "free"})
        assert visitor.with_context(attributes={"plan": "pro"}).peek("checkout").reason is Reason.BUCKETED
        assert visitor.peek("checkout").reason is Reason.AUDIENCE

    def test_they_merge_with_those_of_an_earlier_given(self) -> None:
        rules = every(leaf("plan"), leaf("age", 30))
        client = offline(experience(audiences=["51"]), audiences=[entity("51", "pro", rules)])
        visitor = (
            client.visitor(LOW).with_context(attributes={"plan": "pro"}).with_context(attributes={"age": 30})
        )
        assert visitor.peek("checkout").reason is Reason.BUCKETED

    def test_they_are_not_remembered(self) -> None:
        client = offline(experience())
        client.visitor(LOW).with_context(attributes={"country": "DE"}).decide("checkout")
        assert client.visitor(LOW).segments == {}

    def test_without_facts_is_the_same(self) -> None:
        visitor = offline(experience(environment="qa")).visitor(LOW, location=None)
        assert visitor.with_context().peek("checkout") == visitor.peek("checkout")

    def test_a_location(self) -> None:
        visitor = offline(experience()).visitor(LOW, location=None)
        assert visitor.with_context(location=ANYWHERE).peek("checkout").reason is Reason.BUCKETED
        assert (
            visitor.with_context(location=ANYWHERE).with_context(location=None).peek("checkout").reason
            is Reason.LOCATION
        )

    def test_an_environment(self) -> None:
        visitor = offline(experience(environment="qa")).visitor(LOW)
        assert visitor.with_context(environment="qa").peek("checkout").reason is Reason.BUCKETED

    def test_tracking_can_be_turned_on_again(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).with_context(tracking=False).with_context(tracking=True).decide("checkout")
        assert len(sink.events) == 1

    def test_a_preview_goes_along(self) -> None:
        visitor = offline(experience()).visitor(LOW)
        visitor.preview("100", "2")
        assert visitor.with_context().peek("checkout").reason is Reason.PREVIEW


class TestWithoutTracking:
    """Nothing leaves the visitor object: what comes after it is as if it had not been."""

    def everything(self, visitor: Visitor) -> None:
        """Every verb that remembers or sends something."""
        visitor.decide("checkout")
        visitor.force("checkout", "arm-2")
        visitor.decide_all()
        visitor.feature("banner")
        visitor.features()
        visitor.set_segments({"country": "FR"})
        visitor.match_segments(["pro"], {"plan": "pro"})
        visitor.track("buy", revenue=5)
        visitor.track("no such goal")
        visitor.track("pay", rule_data={"total": 1})
        visitor.preview("100", "2")

    def client(self, sink: Sink, store: MemoryStore) -> Client:
        shop = project(
            experience(variations=[variation("1", 50, changes=[change("40")]), variation("2", 50)]),
            experience("200", "other", locations=["61"]),
            goals=[BUY, PAY],
            features=[feature("40", "banner")],
            locations=[entity("61", "shop", every(leaf("url", "/shop")))],
            segments=[entity("71", "pro", every(leaf("plan")))],
        )
        return Client.offline(shop, sink, store=store)

    def test_the_store_and_the_wire_hear_nothing(self) -> None:
        sink, store = Sink(), MemoryStore()
        with self.client(sink, store) as client:
            visitor = client.visitor(LOW, {"country": "DE"}, location={"url": "/shop"})
            self.everything(visitor.with_context(tracking=False))
            client.flush()
            assert not sink
            assert store.load(f"1-2-{LOW}") is None

    def test_what_comes_later_is_new(self) -> None:
        sink = Sink()
        with self.client(sink, MemoryStore()) as client:
            self.everything(client.visitor(LOW).with_context(tracking=False))
            later = client.visitor(LOW)
            assert later.segments == {}
            assert later.decide("checkout").reason is Reason.BUCKETED
            assert later.track("buy").reason is ConversionReason.ACCEPTED
            client.flush()
            assert sink.events == [exposure("100", "1"), conversion("91", bucketingData={"100": "1"})]

    def test_within_the_object_it_is_as_ever(self) -> None:
        with self.client(Sink(), MemoryStore()) as client:
            visitor = client.visitor(LOW, {"country": "DE"}, location={"url": "/shop"})
            visitor.decide("other")
            quiet = visitor.with_context(tracking=False)
            assert quiet.decide("other").reason is Reason.STICKY
            assert quiet.force("checkout", "arm-2").reason is Reason.FORCED
            assert quiet.decide("checkout").variation_key == "arm-2"
            assert quiet.with_context().decide("checkout").variation_key == "arm-2"
            quiet.set_segments({"browser": "firefox"})
            assert quiet.segments == {"country": "DE", "browser": "firefox"}
            assert visitor.segments == {"country": "DE"}
            assert visitor.decide("checkout").variation_key == "arm-1"

    def test_a_goal_that_was_reached_is_a_duplicate(self) -> None:
        with self.client(Sink(), MemoryStore()) as client:
            visitor = client.visitor(LOW)
            quiet = visitor.with_context(tracking=False)
            assert [quiet.track("buy").reason for _ in range(2)] == [ConversionReason.TRACKING_OFF] * 2
            visitor.track("buy")
            assert quiet.track("buy").reason is ConversionReason.DUPLICATE
            assert quiet.track("buy", allow_repeat=True).reason is ConversionReason.TRACKING_OFF

    def test_they_agree_at_last(self) -> None:
        sink, store = Sink(), MemoryStore()
        with self.client(sink, store) as client:
            quiet = client.visitor(LOW, {"country": "DE"}).with_context(tracking=False)
            quiet.force("checkout", "arm-2")
            agreed = quiet.with_context(tracking=True)
            assert agreed.decide("checkout").reason is Reason.BUCKETED
            assert agreed.segments == {"country": "DE"}
            client.flush()
            assert sink.events == [exposure("100", "1")]
            assert store.load(f"1-2-{LOW}") == VisitorState({"100": "1"}, segments={"country": "DE"})

    def test_the_clients_switch_remembers(self) -> None:
        sink = Sink()
        with Client.offline(project(experience(), goals=[BUY]), sink, tracking=False) as client:
            client.visitor(LOW).decide("checkout")
            assert client.visitor(LOW).track("buy").reason is ConversionReason.TRACKING_OFF
            assert client.visitor(LOW).decide("checkout").reason is Reason.STICKY
            assert client.visitor(LOW).track("buy").reason is ConversionReason.DUPLICATE
        assert not sink


class TestTrack:
    def track(self, *, goals: list[Json] | None = None, **wish: Any) -> list[Json]:
        """The events of one conversion."""
        sink = Sink()
        with offline(goals=goals or [BUY], sink=sink) as client:
            client.visitor(LOW).track("buy", **wish)
        return sink.events

    def test_a_conversion(self) -> None:
        assert self.track() == [conversion("91")]

    def test_with_all_its_data(self) -> None:
        data = [
            {"key": "amount", "value": 49.9},
            {"key": "productsCount", "value": 2},
            {"key": "transactionId", "value": "T-1"},
            {"key": "customDimension1", "value": "gold"},
        ]
        assert self.track(
            revenue=Decimal("49.90"), products=2, transaction_id="T-1", dimensions={1: "gold"}
        ) == [conversion("91"), conversion("91", goalData=data)]

    def test_a_goal_by_its_id(self) -> None:
        sink = Sink()
        with offline(goals=[BUY], sink=sink) as client:
            assert client.visitor(LOW).track(goal_id=91)
            assert client.visitor(LOW).track("91").reason is ConversionReason.UNKNOWN_GOAL
        assert sink.events == [conversion("91")]

    def test_a_goal_without_an_id_cannot_be_reported(self) -> None:
        sink = Sink()
        with offline(goals=[{**BUY, "id": None}], sink=sink) as client:
            assert client.visitor(LOW).track("buy").reason is ConversionReason.UNKNOWN_GOAL
        assert sink.events == []

    def test_decisions_go_with_it(self) -> None:
        sink = Sink()
        with offline(experience(), goals=[BUY], sink=sink) as client:
            visitor = client.visitor(LOW)
            visitor.decide("checkout")
            visitor.track("buy")
        assert sink.events[1] == conversion("91", bucketingData={"100": "1"})

    def test_decisions_made_elsewhere_go_in_their_place(self) -> None:
        assert self.track(attributed_to={"100": "2"}) == [conversion("91", bucketingData={"100": "2"})]

    @pytest.mark.parametrize("wrong", [{"revenue": "1"}, {"attributed_to": "100"}, {"dimensions": {1: 1}}])
    def test_what_cannot_be_counted_raises(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            self.track(**wrong)

    def test_a_second_conversion_is_a_duplicate(self) -> None:
        visitor = offline(goals=[BUY], sink=Sink()).visitor(LOW)
        assert [visitor.track("buy").reason for _ in range(2)] == [
            ConversionReason.ACCEPTED,
            ConversionReason.DUPLICATE,
        ]

    def test_again_counts_again(self) -> None:
        sink = Sink()
        with offline(goals=[BUY], sink=sink) as client:
            visitor = client.visitor(LOW)
            visitor.track("buy", revenue=1)
            assert visitor.track("buy", revenue=2, allow_repeat=True)
        assert [len(sink.events), sink.events[-1]] == [
            3,
            conversion("91", goalData=[{"key": "amount", "value": 2}]),
        ]

    def test_again_without_data_has_nothing_to_send(self) -> None:
        visitor = offline(goals=[BUY], sink=Sink()).visitor(LOW)
        visitor.track("buy")
        assert visitor.track("buy", allow_repeat=True).reason is ConversionReason.NOTHING_TO_SEND

    @pytest.mark.parametrize(
        ("goal", "rule_data", "reason"),
        [
            ("pay", {"total": 20}, ConversionReason.ACCEPTED),
            ("pay", {"total": 5}, ConversionReason.RULES),
            ("pay", None, ConversionReason.ACCEPTED),
            ("buy", {}, ConversionReason.NO_RULES),
        ],
    )
    def test_rule_data_is_held_against_the_goal(
        self, goal: str, rule_data: Json | None, reason: ConversionReason
    ) -> None:
        visitor = offline(goals=[BUY, PAY], sink=Sink()).visitor(LOW)
        assert visitor.track(goal, rule_data=rule_data).reason is reason

    def test_of_two_threads_one_counts(self) -> None:
        client = offline(goals=[BUY], sink=Sink())
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: client.visitor(LOW).track("buy"), range(64)))
        assert sum(map(bool, results)) == 1

    def test_each_conversion_has_its_own_id(self) -> None:
        client = offline(goals=[BUY], sink=Sink())
        assert len({client.visitor(each).track("buy").uuid for each in range(100)}) == 100


class TestSegments:
    def test_the_seven_are_remembered_and_reported(self) -> None:
        sink = Sink()
        with offline(experience(), goals=[BUY], sink=sink) as client:
            client.visitor(LOW, {"country": "DE", "plan": "pro"}).decide("checkout")
        assert [entry["segments"] for entry in sink.visitors] == [{"country": "DE"}]

    def test_others_are_reported_where_they_are_set_by_name(self) -> None:
        sink = Sink()
        with offline(experience(), goals=[BUY], sink=sink) as client:
            visitor = client.visitor(LOW, {"country": "DE"})
            visitor.set_segments({"team": "a"})
            visitor.decide("checkout")
        assert [entry["segments"] for entry in sink.visitors] == [{"country": "DE", "team": "a"}]

    def test_a_conversion_takes_only_the_seven_along(self) -> None:
        sink = Sink()
        with offline(goals=[BUY], sink=sink) as client:
            visitor = client.visitor(LOW)
            visitor.set_segments({"country": "DE", "team": "a"})
            visitor.track("buy")
        assert [entry["segments"] for entry in sink.visitors] == [{"country": "DE"}]

    def test_a_visitor_without_any_reports_none(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            client.visitor(LOW).decide("checkout")
        assert ["segments" in entry for entry in sink.visitors] == [False]

    def test_are_those_at_the_first_event(self) -> None:
        sink = Sink()
        with offline(experience(), goals=[BUY], sink=sink) as client:
            visitor = client.visitor(LOW, {"country": "DE"})
            visitor.decide("checkout")
            visitor.set_segments({"country": "FR"})
            visitor.track("buy")
        assert [entry["segments"] for entry in sink.visitors] == [{"country": "DE"}]

    def test_attributes_of_a_later_visit_win(self) -> None:
        client = offline(experience())
        client.visitor(LOW, {"country": "DE"}).decide("checkout")
        assert client.visitor(LOW, {"country": "FR"}).segments == {"country": "FR"}

    def test_setting_none_changes_nothing(self) -> None:
        visitor = offline().visitor(LOW)
        visitor.set_segments({})
        assert visitor.segments == {}


class TestMatchSegments:
    SEGMENTS = (
        entity("71", "young", every(leaf("age", 30, "less"))),
        entity("72", "pro", every(leaf("plan"))),
        entity("73", "void"),
    )

    def matched(self, keys: list[str], attributes: Json, rule_data: Json | None = None) -> list[str]:
        visitor = offline(segments=self.SEGMENTS).visitor(LOW, attributes)
        return [segment.id for segment in visitor.match_segments(keys, rule_data)]

    def test_those_whose_rules_hold_are_added(self) -> None:
        assert self.matched(["young", "pro"], {"plan": "pro", "age": 40}) == ["72"]

    def test_after_the_first_all_others_are_added_unasked(self) -> None:
        assert self.matched(["void", "pro", "young"], {"age": 20}) == ["71", "72", "73"]

    def test_only_those_asked_for(self) -> None:
        assert self.matched(["pro"], {"age": 20}) == []

    def test_rule_data_count(self) -> None:
        assert self.matched(["young"], {"age": 40}, {"age": 20}) == ["71"]

    def test_they_are_remembered_once(self) -> None:
        visitor = offline(segments=self.SEGMENTS).visitor(LOW, {"age": 20, "customSegments": ["9"]})
        assert visitor.match_segments(["young"])
        assert visitor.match_segments(["young"]) == []
        assert visitor.segments["customSegments"] == ["9", "71"]


class TestPreview:
    def test_shows_the_variation_whatever_the_gates_say(self) -> None:
        visitor = offline(experience(), archived_experiences=["100"]).visitor(LOW)
        assert visitor.preview("100", 2)
        for decision in (
            visitor.peek("checkout"),
            visitor.decide("checkout"),
            visitor.force("checkout", variation_id="1"),
        ):
            assert (decision.reason, decision.variation_id) == (Reason.PREVIEW, "2")

    def test_stores_and_sends_nothing(self) -> None:
        sink, store = Sink(), remembering("somebody else")
        client = offline(
            experience(), OTHER, goals=[BUY], segments=[entity("71", "vip")], sink=sink, store=store
        )
        visitor = client.visitor(LOW)
        visitor.preview("100", "2")
        visitor.decide_all()
        visitor.features()
        visitor.set_segments({"country": "DE"})
        assert visitor.track("buy").reason is ConversionReason.PREVIEW
        client.close()
        assert not sink
        assert store.load(f"1-2-{LOW}") is None

    def test_segments_are_asked_and_not_remembered(self) -> None:
        segments = [entity("71", "young", every(leaf("age", 30, "less")))]
        visitor = offline(experience(), segments=segments).visitor(LOW, {"age": 20})
        visitor.preview("100", "2")
        assert [segment.id for segment in visitor.match_segments(["young"])] == ["71"]
        assert visitor.segments == {}

    def test_other_experiences_decide_as_ever(self) -> None:
        visitor = offline(experience(), OTHER).visitor(LOW)
        visitor.preview("100", "2")
        assert visitor.decide("other").reason is Reason.BUCKETED

    def test_features_are_not_forced(self) -> None:
        arms = [variation("1"), variation("2", changes=[change("81")])]
        visitor = offline(experience(variations=arms), features=[feature("81", "pricing")]).visitor(LOW)
        visitor.preview("100", "2")
        assert not visitor.feature("pricing")

    def test_an_unknown_one_ends_the_earlier(self) -> None:
        visitor = offline(experience()).visitor(LOW)
        visitor.preview("100", "2")
        assert not visitor.preview("100", "9")
        assert visitor.peek("checkout").reason is Reason.BUCKETED
        assert not visitor.preview("900", "2")

    def test_is_for_this_object_alone(self) -> None:
        client = offline(experience())
        client.visitor(LOW).preview("100", "2")
        assert client.visitor(LOW).peek("checkout").reason is Reason.BUCKETED


def test_the_project_is_that_of_the_moment() -> None:
    client = offline(experience())
    assert client.visitor(HIGH).project is client.project


def test_no_decision_carries_over_to_another_visitor() -> None:
    client = offline(experience())
    client.visitor(LOW).force("checkout", variation_id="2")
    assert client.visitor("v-10").peek("checkout").reason is Reason.BUCKETED


class TestNothingOfOursIsChanged:
    DISCOUNT = feature("81", "pricing", steps="json")
    ARMS = (variation("1", 100, changes=[change("81", steps='{"percent": [5]}')]),)

    def test_by_a_variable_that_was_given_out(self) -> None:
        visitor = offline(experience(variations=[*self.ARMS]), features=[self.DISCOUNT]).visitor(LOW)
        pricing: Any = visitor.feature("pricing")
        pricing.get("steps")["percent"].append(10)
        pricing.get("steps", {})["percent"].append(10)
        pricing.variables["steps"]["percent"].append(10)
        pricing.raw["steps"] = "changed"
        again = visitor.feature("pricing")
        assert (again.get("steps"), again.raw) == ({"percent": [5]}, {"steps": '{"percent": [5]}'})

    def test_a_default_is_given_back_itself(self) -> None:
        default: dict[str, object] = {}
        assert offline().visitor(LOW).feature("pricing").get("steps", default) is default

    def test_by_the_segments(self) -> None:
        visitor = offline(experience()).visitor(LOW)
        mine: Json = {"customSegments": ["7"]}
        visitor.set_segments(mine)
        for segments in (mine, visitor.segments):
            of(list, segments["customSegments"]).append("8")
        assert visitor.segments == {"customSegments": ["7"]}

    def test_by_an_experiences_variations(self) -> None:
        checkout: Any = offline(experience()).visitor(LOW).decide("checkout").experience
        with pytest.raises(TypeError):
            checkout.variations["1"] = None
