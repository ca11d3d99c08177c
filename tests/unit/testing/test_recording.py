"""Clients that record what they would send: values, assertions, the clock, and the project in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import AsyncClient, Client, MemoryStore, OptionError, Reason, Visitor
from convert_sdk.observation import Decided, Exposed, Observation
from convert_sdk.testing import (
    AsyncRecordingClient,
    FrozenClock,
    RecordedConversion,
    Recorder,
    RecordingClient,
    attr,
    audience,
    experience,
    feature,
    goal,
    location,
    project,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SHOP = project(
    experience("checkout", {"a": 100, "b": 0}, sets={"a": {"pricing": {"discount": 0.1}}}),
    experience("banner", audience=audience("germans", attr("country") == "DE")),
    experience("cart", location=location("cart", attr("url").contains("/cart"))),
    feature("pricing", discount=0.0),
    goal("purchase"),
    goal("signup"),
)
MakeVisitor = Callable[..., Visitor]


class Sync:
    """A `RecordingClient`, and its visitors."""

    def __init__(self) -> None:
        self.client = RecordingClient(SHOP, clock=FrozenClock(NOON))

    def visitor(self, *arguments: Any, **named: Any) -> Visitor:
        return self.client.visitor(*arguments, **named)


class Async:
    """An `AsyncRecordingClient`, and its visitors."""

    def __init__(self) -> None:
        self.client = AsyncRecordingClient(SHOP, clock=FrozenClock(NOON))

    def visitor(self, *arguments: Any, **named: Any) -> Visitor:
        return asyncio.run(self.client.visitor(*arguments, **named))


@pytest.fixture(params=[Sync, Async])
def made(request: pytest.FixtureRequest) -> Sync | Async:
    shop: Sync | Async = request.param()
    return shop


@pytest.fixture
def client(made: Sync | Async) -> RecordingClient | AsyncRecordingClient:
    return made.client


@pytest.fixture
def visitor(made: Sync | Async) -> MakeVisitor:
    return made.visitor


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught:
        work()
    return str(caught.value)


class TestExposures:
    def test_they_are_named(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1", {"country": "DE", "plan": "pro"}).decide("checkout")
        (exposure,) = client.exposures
        checkout = SHOP.experiences.get("checkout")
        assert checkout is not None
        assert (exposure.visitor_id, exposure.experience, exposure.variation) == ("v-1", "checkout", "a")
        assert exposure.experience_id == checkout.id
        assert checkout.variations[exposure.variation_id].key == "a"
        assert (exposure.segments, exposure.time) == ({"country": "DE"}, NOON)

    def test_they_come_in_order_and_once(self, client: Recorder, visitor: MakeVisitor) -> None:
        for visitor_id in ("v-2", "v-1", "v-2"):
            visitor(visitor_id).decide("checkout")
        assert [each.visitor_id for each in client.exposures] == ["v-2", "v-1"]

    def test_of_a_feature(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").feature("pricing")
        assert client.assert_exposed("v-1", "checkout", "a") == client.exposures[0]
        assert client.assert_exposed("v-1", "checkout") == client.exposures[0]

    def test_a_visitor_may_be_a_number(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor(42).decide("checkout")
        assert client.assert_exposed(42, "checkout").visitor_id == "42"

    def test_an_override_exposes_nobody(
        self, client: RecordingClient | AsyncRecordingClient, visitor: MakeVisitor
    ) -> None:
        with client.override("checkout", "b"):
            assert visitor("v-1").decide("checkout").variation_key == "b"
        client.assert_nothing_sent()
        assert [each.decision.reason for each in client.decisions] == [Reason.OVERRIDE]

    def test_another_one_is_shown(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-2").decide("checkout")
        visitor("v-1").decide("checkout")
        assert refusal(lambda: client.assert_exposed("v-1", "checkout", "b")) == (
            "visitor 'v-1' was not exposed to checkout / b\n"
            "  exposures recorded:\n"
            "    visitor 'v-1' to checkout / a\n"
            "    visitor 'v-2' to checkout / a\n"
            "  the last decision was bucketed: a"
        )

    def test_many_are_cut(self, client: Recorder, visitor: MakeVisitor) -> None:
        for number in range(13):
            visitor(number + 1).decide("checkout")
        message = refusal(lambda: client.assert_exposed("v-1", "checkout"))
        assert message.count("to checkout / a") == 10
        assert "and 3 more" in message

    def test_nobody_asked(self, client: Recorder) -> None:
        assert refusal(lambda: client.assert_exposed("v-1", "checkout")) == (
            "visitor 'v-1' was not exposed to checkout\n"
            "  exposures recorded: none\n"
            "  nobody asked for 'checkout' of this visitor by decide, feature or the like"
        )

    @pytest.mark.parametrize(
        ("keys", "hint"),
        [
            (("chekout",), "the project has no experience 'chekout'; did you mean checkout?"),
            (("nothing like it",), "the project has no experience 'nothing like it'"),
            (("checkout", "c"), "the experience has no variation 'c'"),
        ],
    )
    def test_a_key_that_there_is_not(self, client: Recorder, keys: tuple[str, ...], hint: str) -> None:
        assert hint in refusal(lambda: client.assert_exposed("v-1", *keys))

    def test_of_a_refusal_the_rules_are_shown(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1", {"country": "FR"}).decide("banner")
        visitor("v-1", location={"url": "/home"}).decide("cart")
        message = refusal(lambda: client.assert_exposed("v-1", "banner"))
        assert "the last decision was audience" in message
        assert 'NO  country equals "DE", the visitor has "FR"' in message
        message = refusal(lambda: client.assert_exposed("v-1", "cart"))
        assert 'NO  url contains "/cart"' in message

    def test_a_place_that_is_not_known_has_no_rules_to_show(
        self, client: Recorder, visitor: MakeVisitor
    ) -> None:
        visitor("v-1", location=None).decide("cart")
        assert refusal(lambda: client.assert_exposed("v-1", "cart")).endswith(
            "the last decision was location"
        )

    def test_an_overridden_key_that_the_project_lacks(
        self, client: RecordingClient | AsyncRecordingClient, visitor: MakeVisitor
    ) -> None:
        with client.override("new", "b"):
            visitor("v-1").decide("new")
        message = refusal(lambda: client.assert_exposed("v-1", "new", "b"))
        assert message.endswith("the last decision was override: b")


class TestConversions:
    def test_one_is_one_with_all_that_was_given(self, client: Recorder, visitor: MakeVisitor) -> None:
        shopper = visitor("v-1", {"country": "DE"})
        shopper.decide("checkout")
        revenue = Decimal("49.90")
        shopper.track("purchase", revenue=revenue, products=2, transaction_id="T-1", dimensions={3: "gold"})
        (found,) = client.conversions
        purchase = SHOP.goals.get("purchase")
        assert purchase is not None
        assert found == RecordedConversion(
            visitor_id="v-1",
            goal="purchase",
            goal_id=purchase.id,
            revenue=revenue,
            products=2,
            transaction_id="T-1",
            dimensions={3: "gold"},
            variations={"checkout": "a"},
            segments={"country": "DE"},
            repeated=False,
            time=NOON,
        )
        assert str(found.revenue) == "49.90"

    def test_a_bare_one(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").track("signup")
        found = client.assert_converted("v-1", "signup", revenue=None, products=None)
        assert (found.revenue, found.dimensions, found.variations, found.segments) == (None, {}, {}, {})

    def test_a_repeated_one(self, client: Recorder, visitor: MakeVisitor) -> None:
        shopper = visitor("v-1")
        shopper.track("purchase", revenue=5)
        shopper.track("purchase", revenue=7.5, allow_repeat=True)
        assert [(each.revenue, each.repeated) for each in client.conversions] == [
            (5, False),
            (Decimal("7.5"), True),
        ]
        assert client.assert_converted("v-1", "purchase", revenue=5).repeated is False
        assert client.assert_converted("v-1", "purchase", revenue=7.5).repeated
        assert client.assert_converted("v-1", "purchase", revenue=Decimal("7.50")).repeated

    def test_an_attribution_has_the_ids_that_the_project_lacks(
        self, client: Recorder, visitor: MakeVisitor
    ) -> None:
        visitor("v-1").track("signup", attributed_to={"900": "901"})
        assert client.conversions[0].variations == {"900": "901"}

    def test_another_one_is_shown(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").track("purchase", revenue=5, dimensions={1: "a"})
        visitor("v-1").track("purchase")
        assert refusal(
            lambda: client.assert_converted("v-1", "purchase", revenue=7, transaction_id="T-1", dimensions={})
        ) == (
            "visitor 'v-1' did not convert: purchase, revenue=7, transaction_id=T-1, dimensions={}\n"
            "  conversions recorded:\n"
            "    visitor 'v-1': purchase, revenue=5, dimensions={1: 'a'}\n"
            "  calls of track that came to nothing:\n"
            "    visitor 'v-1': purchase: duplicate"
        )

    def test_a_goal_that_there_is_not(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").track("purchse")
        message = refusal(lambda: client.assert_converted("v-1", "purchse"))
        assert "the project has no goal 'purchse'; did you mean purchase?" in message
        assert "visitor 'v-1': purchse: unknown_goal" in message


class TestNothingSent:
    def test_nothing(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").peek("checkout")
        client.assert_nothing_sent()

    def test_what_was_is_listed(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").decide("checkout")
        assert refusal(client.assert_nothing_sent) == (
            "something would have been sent\n  exposures recorded:\n    visitor 'v-1' to checkout / a"
        )
        client.clear()
        client.assert_nothing_sent()
        visitor("v-1").track("signup")
        assert refusal(client.assert_nothing_sent) == (
            "something would have been sent\n  conversions recorded:\n    visitor 'v-1': signup"
        )

    def test_clearing_keeps_the_visitors(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").decide("checkout")
        client.clear()
        assert visitor("v-1").decide("checkout").reason is Reason.STICKY
        assert (client.exposures, len(client.decisions)) == ([], 1)


class TestTheClock:
    def test_it_stands_still_and_is_moved(self, client: Recorder, visitor: MakeVisitor) -> None:
        visitor("v-1").decide("checkout")
        client.clock.advance(90)
        visitor("v-2").decide("checkout")
        visitor("v-2").track("signup")
        later = NOON + timedelta(seconds=90)
        assert [each.time for each in client.exposures] == [NOON, later]
        assert client.conversions[0].time == later
        assert [each.time for each in client.decisions] == [NOON.timestamp(), later.timestamp()]

    def test_it_is_set(self) -> None:
        clock = FrozenClock()
        clock.now = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))
        assert clock() == datetime(2029, 12, 31, 22, tzinfo=UTC).timestamp()
        assert repr(clock) == "FrozenClock(2030-01-01T00:00:00+02:00)"

    @pytest.mark.parametrize("wrong", ["2026-01-01", datetime(2026, 1, 1)])  # noqa: DTZ001  # that is the mistake
    def test_a_time_has_a_zone(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="a datetime with a time zone"):
            FrozenClock(wrong)


class TestTheProjectInUse:
    def test_another_one_is_for_the_visitors_made_afterwards(
        self, client: RecordingClient | AsyncRecordingClient, visitor: MakeVisitor
    ) -> None:
        before = visitor("v-1")
        client.serve(project(experience("checkout", {"c": 100}), goal("download")))
        assert client.project is not None
        assert client.project.experience("banner") is None
        assert before.decide("checkout").variation_key == "a"
        assert visitor("v-2").decide("checkout").variation_key == "c"
        visitor("v-2").track("download")
        assert [each.variation for each in client.exposures] == ["a", "c"]  # each by the project that has it
        assert client.conversions[0].goal == "download"

    @pytest.mark.parametrize("kind", [RecordingClient, AsyncRecordingClient])
    def test_it_is_hashed_as_the_client_is_told(
        self, kind: type[RecordingClient | AsyncRecordingClient]
    ) -> None:
        client = kind(SHOP, hash_seed=7)
        client.serve(SHOP)
        assert client.project is not None
        assert client.project.bucketing.seed == 7

    @pytest.mark.parametrize("wrong", [None, {}, b"{}"])
    def test_what_is_no_project_is_refused(self, client: Recorder, wrong: Any) -> None:
        with pytest.raises(TypeError, match="project must be what Project"):
            RecordingClient(wrong)
        with pytest.raises(TypeError, match="project must be what Project"):
            client.serve(wrong)


class TestOptions:
    def test_those_about_deciding_count(self) -> None:
        shop = project(experience("checkout", environment="staging"))
        assert RecordingClient(shop).visitor("v").decide("checkout").reason is Reason.ENVIRONMENT
        assert RecordingClient(shop, environment="staging").visitor("v").decide("checkout")

    def test_a_wrong_one_is_refused(self) -> None:
        with pytest.raises(OptionError, match="did you mean environment"):
            RecordingClient(SHOP, enviroment="qa")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    def test_nothing_is_read_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONVERT_TRACKING", "0")
        client = RecordingClient(SHOP)
        client.visitor("v-1").decide("checkout")
        client.assert_exposed("v-1", "checkout")

    def test_no_store_is_asked(self) -> None:
        store = MemoryStore()
        client = RecordingClient(SHOP, store=store)
        client.visitor("v-1").decide("checkout")
        client.close()
        assert store.load(client._engine.store_key("v-1")) is None  # the key is nowhere else

    def test_hooks_of_the_applications_own_are_called(self) -> None:
        heard: list[Observation] = []
        client = RecordingClient(SHOP, hooks=[heard.append])
        client.visitor("v-1").decide("checkout")
        assert [type(each) for each in heard] == [Decided, Exposed]


def test_they_are_clients(client: RecordingClient | AsyncRecordingClient) -> None:
    assert isinstance(client, (Client, AsyncClient))
    assert client.ready
    assert client.status().offline


def test_its_repr_shows_its_own_options() -> None:
    assert repr(RecordingClient(SHOP, environment="qa")) == "RecordingClient(environment='qa')"


def test_many_events_are_all_recorded() -> None:
    client = RecordingClient(SHOP)
    for number in range(2_500):
        client.visitor(number + 1).decide("checkout")
    client.flush()
    assert len(client.exposures) == 2_500
