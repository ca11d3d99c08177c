"""Force, preview and override: the table of docs/testing.md, cell by cell, and the scopes of an override."""

from __future__ import annotations

import asyncio
import contextvars
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Thread
from typing import Any, NamedTuple

import httpx
import pytest

from convert_sdk import AsyncClient, Client, Consent, ConversionReason, Decision, MemoryStore, Reason, Visitor
from convert_sdk._config.override_file import Origin, read_overrides
from convert_sdk.observation import Decided, Observation
from tests.documents import (
    HIGH,
    LOW,
    Sink,
    bucketed_into,
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
    variation,
)

PRICING = feature("81", "pricing", discount="float", currency="string")
ARMS = [
    variation("1", key="classic", changes=[change("81", discount="0.1")]),
    variation("2", key="one-page", changes=[change("81", discount="0.25")]),
]
GERMANS = entity("51", "germans", every(leaf("country", "DE")))
BUY = entity("7", "buy")
PARTS: dict[str, Any] = {"features": [PRICING], "audiences": [GERMANS], "goals": [BUY]}


def shop(*more: Any, sink: Sink | None = None, store: MemoryStore | None = None, **parts: Any) -> Client:
    """A shop whose checkout gives LOW "classic", and a banner for Germans."""
    checkout = experience("100", "checkout", variations=ARMS, **parts)
    banner = experience("200", "banner", audiences=["51"])
    return offline(checkout, banner, *more, sink=sink, store=store, **PARTS)


class Way(NamedTuple):
    """One row of the table: how the variation "one-page" is forced on a visitor in the checkout."""

    around: Callable[[Client], AbstractContextManager[object]]
    ask: Callable[[Visitor], Decision]
    reason: Reason


def previewed(visitor: Visitor) -> Decision:
    visitor.preview("100", "2")
    return visitor.decide("checkout")


@contextmanager
def from_file(client: Client, *, only_unknown: bool = False) -> Iterator[None]:
    """The overrides of a file in force."""
    content = json.dumps({"experiences": {"checkout": "one-page", "new": "b"}}).encode()
    client._engine.overrides.set_file(
        read_overrides(content, ".json", Origin("o.json", only_unknown)).overrides
    )
    yield
    client._engine.overrides.set_file(())


WAYS = {
    "force": Way(
        lambda client: nullcontext(), lambda visitor: visitor.force("checkout", "one-page"), Reason.FORCED
    ),
    "preview": Way(lambda client: nullcontext(), previewed, Reason.PREVIEW),
    "override": Way(
        lambda client: client.override("checkout", "one-page"),
        lambda visitor: visitor.decide("checkout"),
        Reason.OVERRIDE,
    ),
    "override for one": Way(
        lambda client: client.override("checkout", "one-page", visitor_id=LOW),
        lambda visitor: visitor.decide("checkout"),
        Reason.OVERRIDE,
    ),
    "override everywhere": Way(
        lambda client: client.override("checkout", "one-page", everywhere=True),
        lambda visitor: visitor.decide("checkout"),
        Reason.OVERRIDE,
    ),
    "override file": Way(from_file, lambda visitor: visitor.decide("checkout"), Reason.OVERRIDE),
}
OVERRIDES = [name for name in WAYS if name.startswith("override")]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture(params=OVERRIDES)
def override(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


class TestTheTable:
    def test_reason(self, way: Way) -> None:
        client = shop()
        with way.around(client):
            decision = way.ask(client.visitor(LOW))
        assert (decision.reason, decision.variation_key) == (way.reason, "one-page")
        assert decision

    def test_gates(self, way: Way) -> None:
        """Force asks them; a preview and an override do not."""
        client = shop(audiences=["51"])
        with way.around(client):
            decision = way.ask(client.visitor(LOW, {"country": "FR"}))
        expected = Reason.AUDIENCE if way.reason is Reason.FORCED else way.reason
        assert decision.reason is expected

    def test_stored_and_exposed(self, way: Way) -> None:
        """Force is; a preview and an override leave nothing behind."""
        sink, store = Sink(), MemoryStore()
        client = shop(sink=sink, store=store)
        with way.around(client):
            way.ask(client.visitor(LOW, {"country": "DE"}))
        client.flush()
        state = store.load(f"1-2-{LOW}")
        if way.reason is Reason.FORCED:
            assert sink.events == [exposure("100", "2")]
            assert state is not None
            assert state.bucketing == {"100": "2"}
        else:
            assert not sink
            assert not state or not state.bucketing

    def test_conversions(self, way: Way) -> None:
        """Force: with the forced variation. Preview: dropped. Override: without the overridden experience."""
        sink = Sink()
        client = shop(sink=sink)
        client.visitor(LOW, {"country": "DE"}).decide_all()
        client.flush()
        sink.clear()
        visitor = client.visitor(LOW, {"country": "DE"})
        with way.around(client):
            way.ask(visitor)
            result = visitor.track("buy")
        client.flush()
        conversions = [event for event in sink.events if event["eventType"] == "conversion"]
        expected = {
            Reason.FORCED: [conversion("7", bucketingData={"100": "2", "200": "1"})],
            Reason.PREVIEW: [],
            Reason.OVERRIDE: [conversion("7", bucketingData={"200": "1"})],
        }
        assert conversions == expected[way.reason]
        assert bool(result) is (way.reason is not Reason.PREVIEW)

    def test_wins_over_the_sticky_and_the_hashed(self, way: Way) -> None:
        client = shop()
        assert client.visitor(LOW).decide("checkout").variation_key == "classic"
        with way.around(client):
            assert way.ask(client.visitor(LOW)).variation_key == "one-page"

    def test_an_override_wins_over_force(self, override: Way) -> None:
        client = shop()
        with override.around(client):
            decision = client.visitor(LOW).force("checkout", "classic")
        assert (decision.reason, decision.variation_key) == (Reason.OVERRIDE, "one-page")

    def test_a_preview_wins_over_an_override(self, override: Way) -> None:
        client = shop()
        visitor = client.visitor(LOW)
        visitor.preview("100", "1")
        with override.around(client):
            for decision in (visitor.decide("checkout"), visitor.peek("checkout")):
                assert (decision.reason, decision.variation_key) == (Reason.PREVIEW, "classic")
            assert visitor.explain("checkout").gates[0].name == "preview"

    def test_afterwards_all_is_as_before(self, override: Way) -> None:
        client = shop()
        visitor = client.visitor(LOW)
        with override.around(client):
            override.ask(visitor)
        assert visitor.decide("checkout").reason is Reason.BUCKETED
        assert client._engine.overridden is None  # nothing is left to look at

    def test_no_trace_on_the_wire(self, override: Way) -> None:
        """What is sent is what would have been, had the overridden verbs not been called."""

        def sent(*, with_override: bool) -> list[Any]:
            sink = Sink()
            client = shop(sink=sink, locations=["61"])
            visitor = client.visitor(LOW, {"country": "DE"}, location={"url": "/cart"})
            if with_override:
                with override.around(client):
                    visitor.decide("checkout")
                    visitor.force("checkout", "classic")
                    visitor.feature("pricing")
                    visitor.explain("checkout")
            visitor.decide("banner")
            visitor.track("buy")
            client.flush()
            return [*sink]

        assert sent(with_override=True) == sent(with_override=False)


class TestAFileThatOnlyAddsToTheDocument:
    """The last row of the table: it wins over nothing."""

    def test_a_key_of_the_document_is_decided_as_ever(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        visitor = client.visitor(LOW)
        with from_file(client, only_unknown=True):
            assert visitor.decide("checkout").reason is Reason.BUCKETED
            assert visitor.force("checkout", "one-page").reason is Reason.FORCED
            assert visitor.feature("pricing").get("discount", 0.0) == 0.25
            visitor.track("buy")
            assert visitor.explain("checkout").gates[0].name == "known"
        client.flush()
        bucketing = {"100": "2"}
        assert sink.events == [
            exposure("100", "1"), exposure("100", "2"), conversion("7", bucketingData=bucketing)
        ]  # fmt: skip

    def test_one_that_it_lacks_is_overridden_and_leaves_no_trace(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        with from_file(client, only_unknown=True):
            decision = client.visitor(LOW).decide("new")
            gate = client.visitor(LOW).explain("new").gates[0]
        client.flush()
        assert (decision.reason, decision.variation_key) == (Reason.OVERRIDE, "b")
        assert gate.detail.endswith("by the file o.json; the document has no such experience")
        assert not sink


class TestGates:
    @pytest.mark.parametrize(
        ("country", "location", "reason"),
        [
            ("DE", {}, Reason.OVERRIDE),
            ("FR", {}, Reason.AUDIENCE),
            ("DE", None, Reason.LOCATION),
        ],
    )
    def test_they_are_asked_if_that_is_wished(self, country: str, location: Any, reason: Reason) -> None:
        client = shop(audiences=["51"])
        visitor = client.visitor(LOW, {"country": country}, location=location)
        with client.override("checkout", "one-page", gates=True):
            decision = visitor.decide("checkout")
        assert decision.reason is reason
        assert decision.variation_key == ("one-page" if reason is Reason.OVERRIDE else None)

    def test_a_closed_one_leaves_no_trace(self) -> None:
        sink, store = Sink(), MemoryStore()
        cart = entity("61", "cart", every(leaf("url", "/cart")))
        parts: dict[str, Any] = {**PARTS, "locations": [cart]}
        asked = experience("100", "checkout", audiences=["51"], locations=["61"])
        client = offline(asked, sink=sink, store=store, **parts)
        visitor = client.visitor(LOW, {"country": "FR"}, location={"url": "/cart"})
        with client.override("checkout", "1", gates=True):
            assert visitor.decide("checkout").reason is Reason.AUDIENCE
        client.flush()
        assert (sink, store.load(f"1-2-{LOW}")) == ([], None)

    def test_a_permanent_audience_is_not_asked_again(self) -> None:
        permanent = {**GERMANS, "type": "permanent"}
        client = offline(experience("100", "checkout", audiences=["51"]), audiences=[permanent])
        client.visitor(LOW, {"country": "DE"}).decide("checkout")
        with client.override("checkout", "arm-2", gates=True):
            later = client.visitor(LOW, {"country": "FR"}).with_context(attributes={"country": "FR"})
            assert later.decide("checkout").variation_key == "arm-2"

    def test_an_experience_that_the_document_lacks_has_none(self) -> None:
        client = shop()
        with client.override("new", "b", gates=True):
            assert client.visitor(LOW).decide("new").variation_key == "b"


class TestKeysThatTheDocumentLacks:
    def test_an_experience(self) -> None:
        client = shop()
        with client.override("new", "b"):
            decision = client.visitor(LOW).decide("new")
        assert decision
        assert (decision.reason, decision.variation_key) == (Reason.OVERRIDE, "b")
        assert (decision.experience, decision.variation, decision.variation_id) == (None, None, None)
        assert (decision.features, decision.bucket_value) == ((), None)
        assert decision.to_dict()["variation_key"] == "b"

    def test_a_variation(self) -> None:
        client = shop()
        with client.override("checkout", "three-pages"):
            decision = client.visitor(LOW).decide("checkout")
        assert (bool(decision), decision.variation_key, decision.experience_id) == (
            True,
            "three-pages",
            "100",
        )

    def test_it_can_be_pickled(self) -> None:
        client = shop()
        with client.override("new", "b"):
            decision = client.visitor(LOW).decide("new")
        restored = pickle.loads(pickle.dumps(decision))  # noqa: S301  # our own
        assert restored == decision
        assert restored
        assert restored.variation_key == "b"

    def test_no_variation(self) -> None:
        client = shop()
        with client.override("checkout", enabled=False), client.override("new", enabled=False):
            for key in ("checkout", "new"):
                decision = client.visitor(LOW).decide(key)
                assert (bool(decision), decision.reason) == (False, Reason.OVERRIDE)

    def test_a_feature(self) -> None:
        client = shop()
        with client.override(feature="search", variables={"size": 5}):
            found = client.visitor(LOW).feature("search")
        assert (found.id, found.key, found.enabled, found.get("size", 0)) == (None, "search", True, 5)

    def test_before_the_first_document(self) -> None:
        client = Client("1/2", start_wait=0, transport=Refusing())
        try:
            visitor = client.visitor(LOW)
            with client.override("checkout", "b"), client.override(feature="pricing"):
                assert visitor.decide("checkout").variation_key == "b"
                assert visitor.feature("pricing")
                assert [each.key for each in visitor.features()] == ["pricing"]
                assert [each.variation_key for each in visitor.decide_all()] == ["b"]
                assert [each.reason for each in visitor.decide_all(["checkout", "x"])] == [
                    Reason.OVERRIDE,
                    Reason.NOT_READY,
                ]
                assert visitor.explain("checkout").gates[0].passed
            with client.override("checkout", "b", gates=True):
                assert visitor.decide("checkout").reason is Reason.NOT_READY
                assert visitor.explain("checkout").gates[0].name == "override"
            assert visitor.decide("checkout").reason is Reason.NOT_READY
        finally:
            client.close(0)

    def test_a_conversion_before_the_first_document_knows_what_was_overridden(self) -> None:
        client = Client("1/2", start_wait=0, transport=Refusing())
        try:
            with client.override("checkout", "b"), client.override(feature="pricing"):
                assert client.visitor(LOW).track("buy").reason is ConversionReason.PENDING
            client.visitor(HIGH).track("buy")
            requests = [each.request for each in client._engine.pending.waiting.values()]
            assert [request.overridden for request in requests] == [(("checkout",), ("pricing",)), None]
        finally:
            client.close(0)


class Refusing(httpx.BaseTransport):
    """A network that is down."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("the network is down")


class TestFeatures:
    def test_the_experiences_that_carry_it_are_not_asked(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        with client.override(feature="pricing", variables={"discount": 0.5}):
            pricing = client.visitor(LOW).feature("pricing")
        client.flush()
        assert (pricing.id, pricing.name, pricing.get("discount", 0.0)) == ("81", "Pricing", 0.5)
        assert pricing.decision is not None
        assert pricing.decision.reason is Reason.OVERRIDE
        assert not sink

    def test_all_variables_are_the_overrides(self) -> None:
        client = shop()
        with client.override(feature="pricing", variables={"currency": "EUR"}):
            pricing = client.visitor(LOW).peek_feature("pricing")
        assert pricing.variables == {"currency": "EUR"}

    def test_they_are_cast_as_those_of_a_document(self) -> None:
        client = shop()
        given = {"discount": "0.5", "currency": 5, "more": "0.5"}
        with client.override(feature="pricing", variables=given):
            pricing = client.visitor(LOW).feature("pricing")
        assert pricing.variables == {"discount": 0.5, "currency": "5", "more": "0.5"}
        assert pricing.raw == given
        with client.override(feature="pricing", variables={"discount": "much"}):
            assert client.visitor(LOW).feature("pricing").variables == {}

    def test_it_can_be_off(self) -> None:
        client = shop()
        with client.override(feature="pricing", enabled=False):
            assert not client.visitor(LOW).feature("pricing")
        assert client.visitor(LOW).feature("pricing")

    def test_an_override_of_the_experience_sets_it_too(self) -> None:
        client = shop()
        with client.override("checkout", "one-page"):
            visitor = client.visitor(LOW)
            assert visitor.feature("pricing").get("discount", 0.0) == 0.25
            assert visitor.peek_feature("pricing").get("discount", 0.0) == 0.25
            assert [each.get("discount", 0.0) for each in visitor.features()] == [0.25]

    def test_others_are_decided_as_ever(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        with client.override(feature="search"):
            assert client.visitor(LOW, {"plan": "pro"}).feature("pricing").get("discount", 0.0) == 0.1
        client.flush()
        assert sink.events == [exposure("100", "1")]

    def test_what_was_given_belongs_to_the_application(self) -> None:
        client = shop()
        given: dict[str, Any] = {"sizes": [1]}
        with client.override(feature="search", variables=given):
            given["sizes"].append(2)
            assert client.visitor(LOW).feature("search").variables == {"sizes": [1]}

    def test_all_of_them(self) -> None:
        client = shop()
        overrides = (
            client.override(feature="search", variables={"size": 5}),
            client.override(feature="pricing", enabled=False),
            client.override(feature="nav", enabled=False),
        )
        with overrides[0], overrides[1], overrides[2]:
            found = client.visitor(LOW).features()
        assert [(each.key, each.enabled) for each in found] == [
            ("search", True),
            ("nav", False),
            ("pricing", False),
        ]

    def test_what_nobody_sees_is_not_exposed(self) -> None:
        sink = Sink()
        both = [variation("5", 100, changes=[change("81"), change("82")])]
        client = offline(
            experience("100", "checkout", variations=ARMS),
            experience("300", "both", variations=both),
            experience("400", "neither", variations=[variation("6", 100)]),
            experience("500", "unknown", variations=[variation("7", 100, changes=[change("99")])]),
            features=[PRICING, feature("82", "search")],
            sink=sink,
        )
        with client.override(feature="pricing", enabled=False):
            client.visitor(LOW).features()
        client.flush()
        assert sink.events == [exposure("300", "5"), exposure("400", "6"), exposure("500", "7")]

    def test_conversions_are_without_the_experiences_that_carry_it(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        visitor = client.visitor(LOW, {"country": "DE"})
        visitor.decide_all()
        with client.override(feature="pricing"), client.override(feature="new"), client.override("new", "b"):
            visitor.track("buy")
        client.flush()
        assert sink.events[-1] == conversion("7", bucketingData={"200": "1"})

    def test_an_attribution_of_the_applications_own_stays(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        with client.override("checkout", "one-page"):
            client.visitor(LOW).track("buy", attributed_to={"100": "1"})
        client.flush()
        assert sink.events == [conversion("7", bucketingData={"100": "1"})]


class TestSeveral:
    def test_the_overridden_one_keeps_its_place(self) -> None:
        client = shop()
        with client.override("checkout", "one-page"), client.override("new", "b"):
            visitor = client.visitor(LOW, {"country": "DE"})
            for found in (visitor.decide_all(), visitor.peek_all()):
                assert [(each.key, each.variation_key) for each in found] == [
                    ("checkout", "one-page"),
                    ("banner", "arm-1"),
                    ("new", "b"),
                ]
            assert [each.key for each in visitor.decide_all(["banner", "new"])] == ["banner", "new"]
            assert [each.key for each in visitor.decide_all(["banner"])] == ["banner"]

    def test_a_previewed_one_comes_last(self) -> None:
        client = shop()
        visitor = client.visitor(LOW)
        visitor.preview("200", "2")
        with client.override("checkout", "one-page"), client.override("new", "b"):
            reasons = [each.reason for each in visitor.decide_all()]
        assert reasons == [Reason.OVERRIDE, Reason.OVERRIDE, Reason.PREVIEW]

    def test_the_others_are_remembered_and_exposed(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        with client.override("checkout", "one-page"):
            client.visitor(LOW, {"country": "DE"}).decide_all()
        client.flush()
        assert sink.events == [exposure("200", "1")]

    def test_no_rule_sees_an_overridden_decision(self) -> None:
        after = entity("52", "after", {"OR": [{"AND": [{"OR_WHEN": [bucketed_into("first")]}]}]})
        client = offline(
            experience("100", "first"), experience("300", "second", audiences=["52"]), audiences=[after]
        )
        with client.override("first", "arm-1"):
            reasons = [each.reason for each in client.visitor(LOW).decide_all()]
        assert reasons == [Reason.OVERRIDE, Reason.AUDIENCE]


class TestConsent:
    @pytest.mark.parametrize("consent", [Consent.UNKNOWN, Consent.DENIED])
    def test_an_override_leaves_no_trace_and_needs_none(self, consent: Consent) -> None:
        sink = Sink()
        client = shop(sink=sink)
        visitor = client.visitor(LOW, consent=consent)
        with client.override("checkout", "one-page"), client.override(feature="search"):
            keys = {each.key: each.variation_key for each in visitor.decide_all()}
            assert keys["checkout"] == visitor.decide("checkout").variation_key == "one-page"
            assert keys["banner"] is None
            assert visitor.feature("search")
        client.flush()
        assert not sink

    def test_a_conversion_that_is_held_goes_without_the_overridden_experience(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        client.visitor(LOW).decide("checkout")
        visitor = client.visitor(LOW, consent=Consent.UNKNOWN)
        with client.override("checkout", "one-page"):
            visitor.track("buy")
        visitor.set_consent(Consent.GRANTED)
        client.flush()
        assert sink.events[-1] == conversion("7")


class TestForOneVisitor:
    def test_others_decide_as_ever(self) -> None:
        client = shop()
        with client.override("checkout", "one-page", visitor_id=42):
            assert client.visitor(42).decide("checkout").reason is Reason.OVERRIDE
            assert client.visitor("42").decide("checkout").reason is Reason.OVERRIDE
            assert client.visitor(LOW).decide("checkout").variation_key == "classic"
            assert client.visitor(LOW).feature("pricing").get("discount", 0.0) == 0.1

    def test_their_conversions_are_whole(self) -> None:
        sink = Sink()
        client = shop(sink=sink)
        visitor = client.visitor(LOW)
        visitor.decide("checkout")
        with client.override("checkout", "one-page", visitor_id="somebody else"):
            visitor.track("buy")
        client.flush()
        assert sink.events[-1] == conversion("7", bucketingData={"100": "1"})


class TestScope:
    def test_the_inner_one_wins(self) -> None:
        client = shop()
        visitor = client.visitor(LOW)

        def variation_key() -> str | None:
            return visitor.peek("checkout").variation_key

        with client.override("checkout", "a"):
            with client.override("checkout", "b"):
                assert variation_key() == "b"
            assert variation_key() == "a"
            with client.override("checkout", "c", everywhere=True):
                assert variation_key() == "a"
        assert variation_key() == "classic"

    def test_it_ends_with_an_exception_too(self) -> None:
        client = shop()
        with pytest.raises(LookupError), client.override("checkout", "b"):
            raise LookupError
        assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_a_scope_can_be_entered_again_also_within_itself(self) -> None:
        client = shop()
        scope = client.override("checkout", "b")
        for _ in range(2):
            with scope, scope:
                assert client.visitor(LOW).peek("checkout").variation_key == "b"
            assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_another_client_is_not_overridden(self) -> None:
        one, other = shop(), shop()
        with one.override("checkout", "b"), other.override("banner", "c"):
            assert other.visitor(LOW).peek("checkout").variation_key == "classic"
            assert one.visitor(LOW).peek("checkout").variation_key == "b"

    def test_other_threads_are_not_overridden(self) -> None:
        client = shop()
        with ThreadPoolExecutor(1) as pool, client.override("checkout", "b"):
            asked = pool.submit(lambda: client.visitor(LOW).peek("checkout").variation_key)
            assert asked.result() == "classic"

    def test_a_thread_that_takes_the_context_along_is(self) -> None:
        client = shop()
        with ThreadPoolExecutor(1) as pool, client.override("checkout", "b"):
            context = contextvars.copy_context()
            asked = pool.submit(context.run, lambda: client.visitor(LOW).peek("checkout").variation_key)
            assert asked.result() == "b"

    def test_everywhere_is_in_other_threads_too(self) -> None:
        client = shop()
        found: list[str | None] = []
        begin = Event()

        def work() -> None:
            begin.wait()
            found.append(client.visitor(LOW).peek("checkout").variation_key)

        thread = Thread(target=work)
        thread.start()
        with client.override("checkout", "b", everywhere=True):
            begin.set()
            thread.join()
        assert found == ["b"]

    def test_a_context_of_then_is_not_overridden_afterwards(self) -> None:
        client = shop()
        with client.override("checkout", "b"):
            context = contextvars.copy_context()
        with client.override("banner", "b"):  # so that overrides are in force at all
            assert context.run(lambda: client.visitor(LOW).peek("checkout").variation_key) == "classic"

    def test_it_may_end_in_another_context_than_it_began_in(self) -> None:
        """As fixtures of asynchronous tests do."""
        client = shop()
        scope = client.override("checkout", "b")
        context = contextvars.copy_context()
        context.run(scope.__enter__)
        scope.__exit__(None, None, None)
        assert context.run(lambda: client.visitor(LOW).peek("checkout").variation_key) == "classic"
        assert client._engine.overridden is None  # nothing is left to look at

    def test_an_end_that_comes_twice_is_one(self) -> None:
        overrides = shop()._engine.overrides
        with shop().override("checkout", "b") as scope:
            active = overrides.enter(scope._override, everywhere=False)
            overrides.leave(active)
            overrides.leave(active)
        assert overrides.keys(None, LOW) == ((), ())

    def test_many_threads_at_once(self) -> None:
        """Each sees its own, and the end leaves nothing in force."""
        client = shop()

        def work(number: int) -> bool:
            for turn in range(50):
                key = f"v-{number}-{turn}"
                with (
                    client.override("checkout", key),
                    client.override("shared", key, visitor_id=key, everywhere=True),
                ):
                    visitor = client.visitor(key)
                    if visitor.peek("checkout").variation_key != key:
                        return False
                    if visitor.peek("shared").variation_key != key:
                        return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert client._engine.overridden is None  # nothing is left to look at


class TestTasks:
    def test_a_task_takes_the_override_along(self) -> None:
        client = AsyncClient.offline(project(experience("100", "checkout", variations=ARMS)))

        async def variation_key() -> str | None:
            return (await client.visitor(LOW)).peek("checkout").variation_key

        async def test() -> list[str | None]:
            with client.override("checkout", "b"):
                inside = asyncio.create_task(variation_key())
                found = [await variation_key(), await inside]
            return [*found, await variation_key()]

        assert asyncio.run(test()) == ["b", "b", "classic"]

    def test_two_tasks_do_not_see_each_others(self) -> None:
        client = AsyncClient.offline(project(experience("100", "checkout", variations=ARMS)))

        async def test(mine: str, both: asyncio.Barrier) -> str | None:
            with client.override("checkout", mine):
                await both.wait()
                return (await client.visitor(LOW)).peek("checkout").variation_key

        async def main() -> list[str | None]:
            both = asyncio.Barrier(2)
            return [*await asyncio.gather(test("a", both), test("b", both))]

        assert asyncio.run(main()) == ["a", "b"]


class TestDecorator:
    def test_a_function(self) -> None:
        client = shop()

        @client.override("checkout", "b")
        def asked(visitor_id: str) -> str | None:
            """The variation."""
            return client.visitor(visitor_id).peek("checkout").variation_key

        assert (asked(LOW), asked.__name__, asked.__doc__) == ("b", "asked", "The variation.")
        assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_a_coroutine_function(self) -> None:
        client = shop()

        @client.override("checkout", "b")
        async def asked() -> str | None:
            await asyncio.sleep(0)
            return client.visitor(LOW).peek("checkout").variation_key

        assert asyncio.run(asked()) == "b"
        assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_a_generator_function_as_a_fixture_is_one(self) -> None:
        client = shop()

        @client.override("checkout", "b")
        def asked() -> Iterator[str | None]:
            yield client.visitor(LOW).peek("checkout").variation_key

        assert [*asked()] == ["b"]
        assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_an_asynchronous_generator_function(self) -> None:
        client = shop()

        @client.override("checkout", "b")
        async def asked() -> AsyncIterator[str | None]:
            yield client.visitor(LOW).peek("checkout").variation_key

        async def test() -> list[str | None]:
            return [each async for each in asked()]

        assert asyncio.run(test()) == ["b"]
        assert client.visitor(LOW).peek("checkout").variation_key == "classic"

    def test_a_class_is_refused(self) -> None:
        scope: Any = shop().override("checkout", "b")
        for nonsense in (TestScope, "text"):
            with pytest.raises(TypeError, match="decorates a function"):
                scope(nonsense)


class TestExplanation:
    def test_an_override(self) -> None:
        client = shop()
        visitor = client.visitor(LOW)
        with client.override("checkout", "one-page"):
            explanation = visitor.explain("checkout")
        assert str(explanation) == (
            f"checkout for visitor '{LOW}': override: one-page\n"
            "  yes override     variation 'one-page' for every visitor, by client.override"
        )
        assert json.loads(explanation.to_json())["decision"]["reason"] == "override"

    @pytest.mark.parametrize(
        ("key", "wanted", "detail"),
        [
            ("checkout", "b", "variation 'b' for this visitor, by client.override; the document has no such variation"),
            ("new", "b", "variation 'b' for this visitor, by client.override; the document has no such experience"),
        ],
    )  # fmt: skip
    def test_what_the_document_lacks(self, key: str, wanted: str, detail: str) -> None:
        client = shop()
        with client.override(key, wanted, visitor_id=LOW):
            assert client.visitor(LOW).explain(key).gates == (("override", True, detail, ()),)

    def test_no_variation(self) -> None:
        client = shop()
        with client.override("checkout", enabled=False):
            (gate,) = client.visitor(LOW).explain("checkout").gates
        assert gate.detail == "no variation for every visitor, by client.override"

    def test_the_gates_that_were_asked(self) -> None:
        client = shop(audiences=["51"])
        with client.override("checkout", "one-page", gates=True):
            explanation = client.visitor(LOW, {"country": "FR"}).explain("checkout")
        assert explanation.decision.reason is Reason.AUDIENCE
        closed = [gate.name for gate in explanation.gates if gate.passed is False]
        assert (explanation.gates[0].name, closed) == ("override", ["audience"])

    def test_what_force_would_give_is_the_override_too(self) -> None:
        client = shop()
        with client.override("checkout", "one-page"):
            assert client.visitor(LOW).explain("checkout", "classic").decision.variation_key == "one-page"


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "named", "message"),
        [
            ((), {}, "an experience, named first, or of a feature"),
            (("checkout", "b"), {"feature": "pricing"}, "an experience, named first, or of a feature"),
            (("checkout",), {}, "'checkout' names a variation, or has enabled=False for none"),
            (("checkout", "b"), {"enabled": False}, "'checkout' names a variation, or has enabled=False"),
            (("checkout", "b"), {"variables": {}}, "name it as feature="),
            (("checkout", "b"), {"gates": 1}, "gates must be True or False, not int"),
            (("checkout",), {"enabled": "no"}, "enabled must be True or False, not str"),
            (("checkout", 2), {}, "a key must be a str, not int"),
            ((5, "b"), {}, "a key must be a str, not int"),
            ((), {"feature": 5}, "a key must be a str, not int"),
            ((), {"feature": "pricing", "variation": "b"}, "variation and gates are for experiences"),
            ((), {"feature": "pricing", "gates": True}, "variation and gates are for experiences"),
            ((), {"feature": "pricing", "variables": {}, "enabled": False}, "a feature that is off"),
            ((), {"feature": "pricing", "variables": [1]}, "variables must be a mapping, not list"),
            (("checkout", "b"), {"visitor_id": 1.5}, "a visitor id must be a str or an int"),
        ],
    )
    def test_nonsense_raises_at_once(self, arguments: Any, named: Any, message: str) -> None:
        with pytest.raises(TypeError, match=message):
            shop().override(*arguments, **named)

    def test_an_empty_visitor_id(self) -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            shop().override("checkout", "b", visitor_id="")

    def test_a_key_that_is_no_text_is_a_mistake_as_ever(self) -> None:
        client = shop()
        wrong: Any = 5
        with client.override("checkout", "b"):
            for verb in (client.visitor(LOW).decide, client.visitor(LOW).feature):
                with pytest.raises(TypeError, match="must be a str, not int"):
                    verb(wrong)

    def test_a_repr_shows_no_visitor_and_no_value(self) -> None:
        scope = shop().override(feature="pricing", variables={"secret": "s3cret"}, visitor_id="v-secret")
        assert repr(scope) == "OverrideScope(Override(feature 'pricing'))"
        assert repr(shop().override("checkout", "b")) == "OverrideScope(Override(experience 'checkout', 'b'))"


def test_an_observer_hears_of_an_overridden_decision_and_of_no_exposure() -> None:
    heard: list[Observation] = []
    client = Client.offline(
        project(experience("100", "checkout", variations=ARMS)), lambda body: None, hooks=[heard.append]
    )
    with client.override("checkout", "one-page"):
        visitor = client.visitor(LOW)
        visitor.decide("checkout")
        visitor.decide_all()
        visitor.peek("checkout")
    assert [each.decision.reason for each in heard if isinstance(each, Decided)] == [Reason.OVERRIDE] * 2
    assert len(heard) == 2
