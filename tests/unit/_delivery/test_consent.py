"""What a visitor's consent changes: what is decided, remembered, sent, held and given up."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from convert_sdk import (
    AsyncClient,
    Client,
    Consent,
    ConversionReason,
    MemoryStore,
    Project,
    Reason,
    Visitor,
    VisitorState,
)
from convert_sdk._delivery import held
from convert_sdk._delivery.consent import VisitorConsent
from convert_sdk._delivery.held import HeldEvents
from convert_sdk.observation import Converted, Observation
from convert_sdk.status import DropReason
from tests.documents import (
    LOW,
    Sink,
    change,
    conversion,
    document,
    entity,
    every,
    experience,
    exposure,
    feature,
    leaf,
    offline,
    remembering,
    variation,
)

GRANTED, DENIED, UNKNOWN = Consent.GRANTED, Consent.DENIED, Consent.UNKNOWN
ARMS = [
    variation("1", changes=[change("81", rate="0.1")]),
    variation("2", changes=[change("81", rate="0.2")]),
]
MORE: dict[str, Any] = {
    "goals": [entity("91", "buy"), entity("92", "sign-up")],
    "features": [feature("81", "pricing", rate="float")],
    "segments": [entity("71", "pros", every(leaf("plan", "pro")))],
    "locations": [entity("61", "home", every(leaf("url", "/")))],
}
SHOP = (experience(variations=ARMS), experience("200", "banner", locations=["61"]))


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def client(sink: Sink) -> Client:
    return offline(*SHOP, sink=sink, **MORE)


def shop(sink: Sink, hooks: list[Callable[[Observation], object]]) -> Client:
    return Client.offline(Project.parse(json.dumps(document(*SHOP, **MORE))), sink, hooks=hooks)


def dropped(client: Client) -> int:
    return client.status().dropped.get(DropReason.CONSENT, 0)


def use(visitor: Visitor) -> None:
    """A page that decides, and counts two conversions."""
    visitor.decide("checkout")
    visitor.track("buy", revenue=5)
    visitor.track("sign-up")


USED = [
    exposure("100", "1"),
    conversion("91", bucketingData={"100": "1"}),
    conversion("91", goalData=[{"key": "amount", "value": 5}], bucketingData={"100": "1"}),
    conversion("92", bucketingData={"100": "1"}),
]


class TestDenied:
    def test_there_is_no_variation_and_features_are_as_the_caller_says(self, client: Client) -> None:
        visitor = client.visitor(LOW, consent=DENIED)
        asked = [
            visitor.decide("checkout"),
            visitor.peek("checkout"),
            visitor.force("checkout", "arm-1"),
            *visitor.decide_all(),
            *visitor.peek_all(["banner"]),
        ]
        assert {each.reason for each in asked} == {Reason.CONSENT}
        assert not any(asked)
        assert visitor.feature("pricing").get("rate", 0.5) == 0.5
        assert [each.enabled for each in visitor.features()] == [False]
        assert visitor.decide("no such").reason is Reason.UNKNOWN
        with pytest.raises(TypeError, match="key must be a str"):
            visitor.decide(cast("str", 5))

    def test_nothing_is_stored_or_sent(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, {"country": "DE"}, consent=DENIED)
        use(visitor)
        visitor.decide_all()
        visitor.set_segments({"campaign": "spring"})
        assert visitor.match_segments(["pros"], {"plan": "pro"}) != []
        assert visitor.track("buy").reason is ConversionReason.CONSENT
        client.flush()
        assert (sink, client.status().visitors, dropped(client)) == ([], 0, 0)

    def test_that_is_explained(self, client: Client) -> None:
        explanation = client.visitor(LOW, consent=DENIED).explain("checkout")
        assert str(explanation) == "checkout for visitor 'v-1': consent\n  NO  consent"

    def test_another_reason_against_a_conversion_comes_first(self, client: Client) -> None:
        visitor = client.visitor(LOW, consent=DENIED)
        assert visitor.track("no such").reason is ConversionReason.UNKNOWN_GOAL
        assert visitor.track("buy", rule_data={"a": 1}).reason is ConversionReason.NO_RULES

    def test_a_preview_is_shown(self, client: Client) -> None:
        visitor = client.visitor(LOW, consent=DENIED)
        assert visitor.preview("100", "2")
        assert visitor.decide("checkout").variation_id == "2"


class TestUnknown:
    def test_control_gives_no_variation(self, client: Client) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN)
        assert visitor.decide("checkout").reason is Reason.CONSENT
        visitor.set_consent(GRANTED)
        assert visitor.decide("checkout").reason is Reason.BUCKETED

    def test_control_holds_conversions(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN)
        assert visitor.track("buy").reason is ConversionReason.CONSENT
        client.flush()
        assert sink == []
        visitor.set_consent(GRANTED)
        client.flush()
        assert sink.events == [conversion("91")]

    def test_rule_data_that_changes_meanwhile_counts_as_it_was(self, sink: Sink) -> None:
        client = offline(sink=sink, goals=[entity("93", "big", every(leaf("total", 50)))])
        visitor = client.visitor(LOW, consent=UNKNOWN)
        order = {"total": 50}
        assert visitor.track("big", rule_data=order).reason is ConversionReason.CONSENT
        order["total"] = 5
        visitor.set_consent(GRANTED)
        client.flush()
        assert sink.events == [conversion("93")]

    def test_deciding_is_as_it_will_be(self, client: Client) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN, before_consent="decide")
        assert [visitor.decide("checkout").reason for _ in range(2)] == [Reason.BUCKETED, Reason.STICKY]
        assert visitor.decide("checkout").variation_id == "1"
        assert visitor.feature("pricing").get("rate", 0.5) == 0.1
        assert client.status().visitors == 0

    def test_what_was_held_is_sent_in_order(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, {"country": "DE"}, consent=UNKNOWN, before_consent="decide")
        use(visitor)
        client.flush()
        assert sink == []
        visitor.set_consent(GRANTED)
        client.flush()
        assert sink.events == USED
        assert [each["segments"] for each in sink.visitors] == [{"country": "DE"}]
        assert visitor.decide("checkout").reason is Reason.STICKY
        assert client.visitor(LOW).decide("checkout").reason is Reason.STICKY
        assert visitor.track("buy").reason is ConversionReason.DUPLICATE

    def test_segments_and_locations_are_remembered_then(self, client: Client) -> None:
        visitor = client.visitor(LOW, location={"url": "/"}, consent=UNKNOWN, before_consent="decide")
        visitor.set_segments({"campaign": "spring"})
        assert visitor.segments == {"campaign": "spring"}
        visitor.decide("banner")
        assert client.visitor(LOW).segments == {}
        visitor.set_consent(GRANTED)
        assert client.visitor(LOW).segments == {"campaign": "spring"}
        assert client._engine.states[LOW].locations == ("home",)

    def test_a_location_alone_is_remembered_too(self, client: Client) -> None:
        home = client.visitor(LOW, location={"url": "/"}, consent=UNKNOWN, before_consent="decide")
        home.decide("banner")
        away = client.visitor(LOW, location={"url": "/x"}, consent=UNKNOWN, before_consent="decide")
        assert away.decide("banner").reason is Reason.LOCATION
        away.set_consent(GRANTED)
        assert client._engine.states[LOW].locations == ()

    def test_a_decision_that_was_remembered_stands(self, client: Client, sink: Sink) -> None:
        client.visitor(LOW).force("checkout", "arm-2")
        client.flush()
        sink.clear()
        visitor = client.visitor(LOW, consent=UNKNOWN, before_consent="decide")
        assert visitor.decide("checkout").variation_id == "2"
        visitor.set_consent(GRANTED)
        client.flush()
        assert sink == []

    def test_denial_gives_up_what_was_held(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN, before_consent="decide")
        use(visitor)
        visitor.set_consent(DENIED)
        assert dropped(client) == 4
        visitor.set_consent(GRANTED)
        client.flush()
        assert sink == []
        events = client.status().events
        assert (events.offered, events.dropped) == (4, 4)

    def test_a_refused_visitor_is_not_held(self, client: Client) -> None:
        """A bot gets no variation, whatever it agrees to."""
        visitor = client.visitor(LOW)
        visitor._give_consent(VisitorConsent(client._engine, LOW, UNKNOWN, withheld=Reason.BOT))
        visitor.set_segments({"campaign": "spring"})
        use(visitor)
        visitor.set_consent(GRANTED)
        assert visitor.decide("checkout").reason is Reason.BOT
        assert visitor.track("buy").reason is ConversionReason.BOT
        assert client.status().events.offered == 0

    def test_nothing_reaches_a_store_before(self, sink: Sink) -> None:
        store = remembering("somebody")
        client = offline(*SHOP, sink=sink, store=store, **MORE)
        visitor = client.visitor(LOW, {"country": "DE"}, consent=UNKNOWN, before_consent="decide")
        use(visitor)
        client.flush()
        assert store.load(f"1-2-{LOW}") is None
        visitor.set_consent(GRANTED)
        client.flush()
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert (state.bucketing, set(state.goals)) == ({"100": "1"}, {"buy", "sign-up"})

    def test_nothing_reaches_a_spool_or_the_log_before(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                raise httpx.ConnectError("the network is down")
            return httpx.Response(200, json=document(*SHOP, **MORE))

        caplog.set_level(logging.DEBUG)
        answers = {"who-was-not-asked": UNKNOWN, "who-refused": DENIED, "who-agreed": GRANTED}
        with Client(
            "1/2", spool=str(tmp_path), transport=httpx.MockTransport(answer), start_wait=60
        ) as client:
            for person, consent in answers.items():
                use(client.visitor(person, consent=consent, before_consent="decide"))
            client.flush(timeout=1)
        kept = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
        assert [person for person in answers if person.encode() in kept] == ["who-agreed"]
        assert not any(person in caplog.text for person in answers)

    def test_no_more_than_a_hundred_events_wait(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN)
        for _ in range(103):
            visitor.track("buy")
        assert dropped(client) == 3
        visitor.set_consent(GRANTED)
        client.flush()
        assert len(sink.events) == 1  # the others are conversions of a goal that is counted once

    def test_what_is_wanted_untracked_is_not_held(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=UNKNOWN, before_consent="decide")
        quiet = visitor.with_context(tracking=False)
        quiet.set_segments({"campaign": "spring"})
        use(quiet)
        assert quiet.track("buy").reason is ConversionReason.TRACKING_OFF
        visitor.set_consent(GRANTED)
        use(quiet)
        assert client.visitor(LOW).segments == {}
        client.flush()
        assert sink == []
        use(quiet.with_context(tracking=True))
        client.flush()
        assert sink.events == USED


class TestTheNextRequest:
    def test_events_of_one_id_wait_in_the_process(self, client: Client, sink: Sink) -> None:
        for _ in range(2):
            use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        client.visitor("v-2", consent=GRANTED)
        client.flush()
        assert sink == []
        client.visitor(LOW, consent=GRANTED)
        client.flush()
        assert sink.events == USED

    def test_nobody_s_default_sends_them(self, client: Client, sink: Sink) -> None:
        use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        client.visitor(LOW)
        client.flush()
        assert sink == []

    def test_denial_gives_them_up(self, client: Client) -> None:
        use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        client.visitor(LOW, consent=DENIED)
        assert dropped(client) == 4

    def test_they_wait_for_half_an_hour(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("convert_sdk._delivery.engine.monotonic", lambda: now[0])
        use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        waiting = client._engine.held
        assert waiting is not None
        now[0] = 30 * 60 - 1.0
        gc.collect()
        assert (dropped(client), len(waiting)) == (0, 1)
        now[0] += 1
        gc.collect()
        assert (dropped(client), len(waiting)) == (4, 0)

    def test_the_longest_unused_of_too_many_goes(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert held._MOST_VISITORS == 10_000
        monkeypatch.setattr(held, "_MOST_VISITORS", 10)
        for number in range(11):
            client.visitor(f"v{number}", consent=UNKNOWN).track("buy")
        assert dropped(client) == 1
        assert client.visitor("v0", consent=GRANTED).track("buy")
        assert client.visitor("v1", consent=GRANTED).track("buy").reason is ConversionReason.DUPLICATE

    def test_the_end_of_the_client_gives_them_up(self, client: Client, sink: Sink) -> None:
        use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        client.close()
        assert (dropped(client), sink) == (4, [])

    def test_where_the_id_changes_they_end_with_the_object(self, client: Client) -> None:
        visitor = client.visitor(LOW)
        consent = VisitorConsent(client._engine, LOW, UNKNOWN, before_consent="decide", stable=False)
        visitor._give_consent(consent)
        use(visitor)
        assert client._engine.held is None
        del visitor, consent
        gc.collect()
        assert dropped(client) == 4

    def test_or_at_the_end_of_the_request(self, client: Client) -> None:
        consent = VisitorConsent(client._engine, LOW, UNKNOWN, before_consent="decide", stable=False)
        visitor = client.visitor(LOW)
        visitor._give_consent(consent)
        consent.end()
        use(visitor)
        consent.end()
        assert dropped(client) == 4

    @pytest.mark.parametrize("by", ["set_consent", "with_context", "set_consent of an object made before"])
    def test_or_where_the_answer_comes_too_late(self, client: Client, sink: Sink, by: str) -> None:
        said: list[str] = []
        consent = VisitorConsent(client._engine, LOW, UNKNOWN, before_consent="decide", stable=False)
        visitor = client.visitor(LOW)
        visitor._give_consent(consent)
        if by.endswith("before"):
            visitor = visitor.with_context(consent=UNKNOWN)
        use(visitor)
        consent.too_late = lambda: said.append("too late")
        if by == "with_context":
            visitor = visitor.with_context(consent=GRANTED, tracking=True)
        else:
            visitor.set_consent(GRANTED)
        assert visitor.decide("checkout")
        assert visitor.track("buy").reason is ConversionReason.TRACKING_OFF
        consent.end()
        client.flush()
        assert (said, sink, client.status().visitors, dropped(client)) == (["too late"], [], 0, 4)

    def test_a_forked_child_does_not_count_them(self, client: Client) -> None:
        use(client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        client._engine.reset_after_fork()
        gc.collect()
        assert dropped(client) == 0


class TestChanges:
    def test_a_visitor_may_withdraw(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW)
        visitor.decide("checkout")
        visitor.set_consent(DENIED)
        assert visitor.decide("checkout").reason is Reason.CONSENT
        visitor.track("buy")
        client.flush()
        assert sink.events == [exposure("100", "1")]

    def test_deeper_facts_share_the_consent(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=GRANTED)
        deeper = visitor.with_context(attributes={"plan": "pro"})
        visitor.set_consent(DENIED)
        use(deeper)
        client.flush()
        assert sink == []
        deeper.set_consent(GRANTED)
        use(visitor)
        client.flush()
        assert sink.events == USED

    def test_a_consent_of_its_own(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=DENIED)
        use(visitor.with_context(consent=GRANTED))
        assert visitor.decide("checkout").reason is Reason.CONSENT
        use(client.visitor("v-2").with_context(consent=DENIED))
        client.flush()
        assert sink.events == USED

    def test_granting_again_changes_nothing(self, client: Client, sink: Sink) -> None:
        visitor = client.visitor(LOW, consent=GRANTED)
        use(visitor)
        visitor.set_consent(GRANTED)
        use(visitor)
        client.flush()
        assert sink.events == USED

    def test_an_answer_between_two_lines_counts(self, client: Client, sink: Sink) -> None:
        """Another thread grants while an event is being held."""
        visitor = client.visitor(LOW, consent=UNKNOWN)
        consent = visitor._consent
        assert consent is not None
        hold = client._engine.hold

        def granted_meanwhile(visitor_id: str, *, stable: bool) -> HeldEvents:
            events = hold(visitor_id, stable=stable)
            consent.set(GRANTED)
            return events

        client._engine.hold = granted_meanwhile  # type: ignore[method-assign]  # the moment between the two
        visitor.track("buy")
        client.flush()
        assert sink.events == [conversion("91")]


def test_hooks_hear_of_a_conversion_that_waits(sink: Sink) -> None:
    heard: list[Observation] = []
    client = shop(sink, [heard.append])
    visitor = client.visitor(LOW, consent=UNKNOWN)
    visitor.track("buy")
    visitor.set_consent(GRANTED)
    reasons = [each.reason for each in heard if isinstance(each, Converted)]
    assert reasons == [ConversionReason.CONSENT, ConversionReason.ACCEPTED]


@pytest.mark.parametrize("wrong", ["granted", True, None, 1])
def test_a_consent_is_a_consent(client: Client, wrong: object) -> None:
    with pytest.raises(TypeError, match=r"must be a Consent, such as Consent\.GRANTED"):
        client.visitor(LOW).set_consent(cast("Consent", wrong))
    if wrong is not None:
        with pytest.raises(TypeError, match="must be a Consent"):
            client.visitor(LOW, consent=cast("Consent", wrong))


def test_before_consent_is_one_of_two_words(client: Client) -> None:
    with pytest.raises(ValueError, match=r'"control" or "decide", not \'variation\''):
        client.visitor(LOW, consent=UNKNOWN, before_consent="variation")  # type: ignore[arg-type]


def test_a_client_of_asyncio_does_the_same(sink: Sink) -> None:
    client = AsyncClient.offline(Project.parse(json.dumps(document(*SHOP, **MORE))), sink)

    async def asked() -> None:
        use(await client.visitor(LOW, consent=UNKNOWN, before_consent="decide"))
        await client.flush()
        assert sink == []
        await client.visitor(LOW, consent=GRANTED)
        await client.flush()
        use(await client.visitor("v-2", consent=UNKNOWN))
        await client.close()

    asyncio.run(asked())
    assert sink.events == USED
    assert client.status().dropped == {DropReason.CONSENT: 3}


@pytest.mark.parametrize("consent", [DENIED, UNKNOWN])
def test_no_store_is_asked_before_the_answer(consent: Consent, sink: Sink) -> None:
    class Asked(MemoryStore):
        keys: list[str]

        def load(self, key: str) -> VisitorState | None:
            self.keys.append(key)
            return super().load(key)

    store = Asked()
    store.keys = []
    offline(*SHOP, sink=sink, store=store, **MORE).visitor(LOW, consent=consent)
    awaited = AsyncClient.offline(Project.parse(json.dumps(document(*SHOP, **MORE))), sink, store=store)
    asyncio.run(awaited.visitor(LOW, consent=consent))
    assert store.keys == []
    offline(*SHOP, sink=sink, store=store, **MORE).visitor(LOW, consent=GRANTED)
    asyncio.run(awaited.visitor(LOW, consent=GRANTED))
    assert store.keys == [f"1-2-{LOW}"] * 2
