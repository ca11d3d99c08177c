"""A visitor on the way from one process to another."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import (
    ANYWHERE,
    AsyncClient,
    Client,
    Consent,
    MemoryStore,
    OptionError,
    Reason,
    Visitor,
    VisitorState,
)
from convert_sdk._delivery.consent import VisitorConsent
from convert_sdk._tokens.handover import HandedConsent, Handover, read_handover, write_handover
from convert_sdk._tokens.signing import TokenFlaw, TokenPurpose, sign
from tests.documents import HIGH, LOW, Sink, entity, every, experience, exposure, leaf, project, variation
from tests.strategies import texts

SECRETS = ["a secret that both of them have"]
SHOP = project(
    experience(),
    experience("200", "banner", variations=[variation("21", 50), variation("22", 50)]),
    goals=[entity("7", "buy")],
)


def client(sink: Sink | None = None, **options: Any) -> Client:
    options.setdefault("secrets", SECRETS)
    return Client.offline(SHOP, sink, **options)


def taken_up(by: Client, token: str, **more: Any) -> Visitor:
    visitor = by.visitor_from(token, **more)
    assert visitor is not None
    return visitor


class TestDecisions:
    def test_what_was_decided_upstream_stands_and_is_not_exposed_again(self) -> None:
        web, service = Sink(), Sink()
        first, second = client(web), client(service)
        visitor = first.visitor(LOW)
        visitor.force("checkout", "arm-2")
        handed = taken_up(second, visitor.handover())
        assert (handed.decide("checkout").variation_key, handed.decide("checkout").reason) == (
            "arm-2",
            Reason.STICKY,
        )
        assert handed.track("buy")
        first.close()
        second.close()
        assert web.events == [exposure("100", "2")]
        (conversion,) = service.events
        assert conversion["data"]["bucketingData"] == {"100": "2"}  # type: ignore[index]  # as it is sent

    def test_it_beats_what_this_process_remembers(self) -> None:
        first, second = client(), client()
        second.visitor(LOW).force("checkout", "arm-1")
        first.visitor(LOW).force("checkout", "arm-2")
        handed = taken_up(second, first.visitor(LOW).handover())
        assert handed.decide("checkout").variation_key == "arm-2"
        assert second.visitor(LOW).peek("checkout").variation_key == "arm-2"

    def test_a_forced_one_beats_it(self) -> None:
        first, second = client(), client(Sink())
        first.visitor(LOW).force("checkout", "arm-2")
        handed = taken_up(second, first.visitor(LOW).handover())
        assert handed.force("checkout", "arm-1").variation_key == "arm-1"
        assert handed.decide("checkout").variation_key == "arm-1"

    def test_it_reaches_the_store(self) -> None:
        store = MemoryStore(shared=True)
        first, second = client(), client(Sink(), store=store)
        second.visitor(LOW).force("checkout", "arm-1")
        second.flush()
        first.visitor(LOW).force("checkout", "arm-2")
        taken_up(second, first.visitor(LOW).handover())
        second.flush()
        assert client(store=store).visitor(LOW).peek("checkout").variation_key == "arm-2"

    def test_ids_that_the_document_lacks_are_ignored(self) -> None:
        first, second = client(), client()
        decisions = {"100": "999", "999": "1", "200": "22"}
        token = write_handover(first._engine, Handover(LOW, decisions=decisions), 60)
        handed = taken_up(second, token)
        assert handed.peek("checkout").variation_key == "arm-1"
        assert handed.peek("banner").variation_key == "arm-22"
        assert second._engine.states[LOW].bucketing == {"200": "22"}

    def test_what_the_document_lacks_is_not_handed_over(self) -> None:
        first = client()
        first._engine.take_up(LOW, VisitorState({"999": "1", "100": "2"}))
        reading = read_handover(first._engine, first.visitor(LOW).handover())
        assert reading.handover is not None
        assert reading.handover.decisions == {"100": "2"}

    def test_gates_are_asked_as_of_any_decision_that_is_kept(self) -> None:
        located = project(
            experience(locations=["61"]), locations=[entity("61", "home", every(leaf("url", "/")))]
        )
        first = Client.offline(located, secrets=SECRETS)
        second = Client.offline(located, secrets=SECRETS)
        visitor = first.visitor(LOW, location={"url": "/"})
        visitor.force("checkout", "arm-2")
        token = visitor.handover()
        assert taken_up(second, token).decide("checkout").reason is Reason.LOCATION
        assert taken_up(second, token, location=ANYWHERE).decide("checkout").variation_key == "arm-2"

    def test_making_the_visitor_leaves_no_segments(self) -> None:
        first, second = client(), client()
        first.visitor(LOW).force("checkout", "arm-2")
        taken_up(second, first.visitor(LOW).handover(), attributes={"country": "DE"})
        assert second._engine.states[LOW].segments == {}


class TestWho:
    def test_the_bucketing_id_goes_along(self) -> None:
        visitor = client().visitor(LOW, bucketing_id=HIGH)
        handed = taken_up(client(), visitor.handover())
        assert (handed.id, handed.bucketing_id) == (LOW, HIGH)
        assert taken_up(client(), client().visitor(LOW).handover()).bucketing_id == LOW

    def test_facts_stay(self) -> None:
        visitor = client().visitor(LOW, {"email": "ada@example.com"}, location={"url": "/secret"})
        visitor.set_segments({"customSegments": ["71"]})
        reading = read_handover(client()._engine, visitor.handover())
        assert reading.handover == Handover(LOW)

    @pytest.mark.parametrize("before_consent", ["control", "decide"])
    @pytest.mark.parametrize("consent", [*Consent])
    def test_consent_goes_along(self, consent: Consent, before_consent: Any) -> None:
        sink = Sink()
        second = client(sink)
        visitor = client(Sink()).visitor(LOW, consent=consent, before_consent=before_consent)
        visitor.force("checkout", "arm-2")
        handed = taken_up(second, visitor.handover())
        decides = consent is Consent.GRANTED or (consent is Consent.UNKNOWN and before_consent == "decide")
        assert handed.decide("checkout").variation_key == ("arm-2" if decides else None)
        assert bool(handed.track("buy")) is (consent is Consent.GRANTED)
        assert (LOW in second._engine.states) is (consent is Consent.GRANTED)
        second.close()
        assert len(sink.events) == (consent is Consent.GRANTED)

    @pytest.mark.parametrize("reason", [Reason.BOT, Reason.PRIVACY])
    def test_who_gets_no_variation_gets_none_elsewhere(self, reason: Reason) -> None:
        visitor = client().visitor(LOW)
        visitor._give_consent(VisitorConsent(visitor._engine, LOW, Consent.GRANTED, withheld=reason))
        handed = taken_up(client(Sink()), visitor.handover())
        assert handed.decide("checkout").reason is reason
        assert not handed.track("buy")

    def test_who_is_not_tracked_is_not_tracked_elsewhere(self) -> None:
        sink = Sink()
        second = client(sink)
        visitor = client().visitor(LOW).with_context(tracking=False)
        visitor.force("checkout", "arm-2")
        handed = taken_up(second, visitor.handover())
        assert handed.decide("checkout").variation_key == "arm-2"
        assert not handed.track("buy")
        second.close()
        assert (sink.events, second._engine.states) == ([], {})

    def test_nor_is_who_agreed_too_late(self) -> None:
        second = client(Sink())
        visitor = client().visitor(LOW)
        consent = VisitorConsent(visitor._engine, LOW, Consent.UNKNOWN)
        consent.too_late = lambda: None
        visitor._give_consent(consent)
        visitor.set_consent(Consent.GRANTED)
        handed = taken_up(second, visitor.handover())
        assert handed.decide("checkout")
        assert not handed.track("buy")
        assert second._engine.states == {}

    def test_a_preview_is_shown_elsewhere_and_not_counted(self) -> None:
        sink = Sink()
        second = client(sink)
        visitor = client().visitor(LOW)
        visitor.decide("checkout")
        assert visitor.preview("100", "2")
        handed = taken_up(second, visitor.handover())
        assert handed.decide("checkout").variation_key == "arm-2"
        assert not handed.track("buy")
        second.close()
        assert sink.events == []


class TestRefusals:
    def test_a_changed_token_is_none(self) -> None:
        token = client().visitor(LOW).handover()
        assert client().visitor_from(token[:-2]) is None
        assert client(environment="other").visitor_from(token) is None
        assert client(secrets=["a secret of somebody else"]).visitor_from(token) is None

    def test_an_expired_one_is_none_or_an_id(self) -> None:
        first, second = client(), client()
        visitor = first.visitor(LOW)
        visitor.force("checkout", "arm-2")
        token = visitor.handover(max_age=60)
        second._engine.wall_clock = lambda: first._engine.wall_clock() + 61
        assert second.visitor_from(token) is None
        handed = taken_up(second, token, keep_expired=True)
        assert (handed.id, handed.peek("checkout").variation_key) == (LOW, "arm-1")
        reading = read_handover(second._engine, token)
        assert (reading.flaw, reading.handover) == (TokenFlaw.EXPIRED, Handover(LOW))

    @pytest.mark.parametrize(
        "body",
        [
            [],
            ["", None, "", 1, []],
            [LOW, 5, "", 1, []],
            [LOW, "", "", 1, []],
            [LOW, None, "perhaps", 1, []],
            [LOW, None, "", 2, []],
            [LOW, None, "", 1, [1]],
            [LOW, None, "", 1, [], 0],
        ],
    )
    def test_another_shape(self, body: list[object]) -> None:
        engine = client()._engine
        token = sign(engine, TokenPurpose.HANDOVER, body, 60)
        assert read_handover(engine, token) == (None, TokenFlaw.SHAPE)

    def test_misuse_raises(self) -> None:
        wrong: Any = b"bytes"
        with pytest.raises(TypeError, match="a token must be a str, not bytes"):
            client().visitor_from(wrong)
        with pytest.raises(ValueError, match="max_age must be a number of seconds above 0, not 0"):
            client().visitor(LOW).handover(max_age=0)
        with pytest.raises(OptionError, match="secrets"):
            client(secrets=()).visitor(LOW).handover()
        with pytest.raises(OptionError, match="secrets"):
            client(secrets=()).visitor_from("token")
        with pytest.raises(ValueError, match="do not fit"):
            client().visitor("".join(map(chr, range(0x4E00, 0x5600)))).handover()


consents = st.none() | st.builds(
    HandedConsent,
    st.sampled_from(Consent),
    st.sampled_from(["control", "decide"]),
    st.sampled_from([None, Reason.BOT, Reason.PRIVACY]),
)
ids = st.integers(1, 9_999_999_999).map(str) | texts.filter(bool)


def numbered(seed: int) -> dict[str, str]:
    """Eighty decisions, whose ids are numbers of ten digits, as Convert's are."""
    random = Random(seed)
    numbers = [str(each) for each in random.sample(range(10**9, 10**10), 160)]
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def handovers(decisions: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[Handover]:
    return st.builds(
        Handover,
        texts.filter(bool),
        st.none() | texts.filter(bool),
        decisions,
        consents,
        st.booleans(),
    )


def newest_read(handover: Handover) -> int:
    """How many of the decisions come back, which are the newest; all else comes back, too."""
    engine = client()._engine
    token = write_handover(engine, handover, 60)
    assert len(token) <= 2_048
    read = read_handover(engine, token).handover
    assert read is not None
    assert (read.id, read.bucketing_id, read.tracking) == (
        handover.id,
        handover.bucketing_id,
        handover.tracking,
    )
    expected = [*handover.decisions.items()]
    assert [*read.decisions.items()] == expected[len(expected) - len(read.decisions) :]
    return len(read.decisions)


@given(handovers(st.dictionaries(ids, ids, max_size=300)))
def test_a_token_fits_and_comes_back_with_the_newest_decisions(handover: Handover) -> None:
    newest_read(handover)


@given(handovers(st.integers().map(numbered)))
def test_sixty_decisions_fit_where_ids_are_numbers(handover: Handover) -> None:
    assert newest_read(handover) >= 60


def test_a_client_without_a_document_hands_over_who_it_is() -> None:
    cold = Client("1/2", secrets=SECRETS, start_wait=0, config_endpoint="http://127.0.0.1:1/")
    try:
        token = cold.visitor(LOW, consent=Consent.GRANTED).handover()
        assert taken_up(client(), token).id == LOW
        visitor = client().visitor(LOW)
        visitor.force("checkout", "arm-2")
        handed = taken_up(cold, visitor.handover())
        assert handed.decide("checkout").reason is Reason.NOT_READY
        assert cold._engine.states[LOW].bucketing == {"100": "2"}
    finally:
        cold.close()


def test_it_is_awaited_too() -> None:
    async def handed() -> str | None:
        async_client = AsyncClient.offline(SHOP, secrets=SECRETS)
        visitor = client().visitor(LOW)
        visitor.force("checkout", "arm-2")
        taken = await async_client.visitor_from(visitor.handover())
        assert await async_client.visitor_from("nonsense") is None
        return None if taken is None else taken.decide("checkout").variation_key

    assert asyncio.run(handed()) == "arm-2"
