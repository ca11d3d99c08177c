"""What error trackers print of local variables: never a visitor id, an attribute or a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx
import pytest

from convert_sdk import Client, Consent, MemoryStore
from convert_sdk._bootstrap import BootstrapContents
from convert_sdk._core.events import Event, TrackingContext
from convert_sdk._core.goals import ConversionRequest
from convert_sdk._delivery.held import HeldSegments
from convert_sdk._delivery.pending import PendingConversion, StoredConversion
from convert_sdk._delivery.queue import Endpoint
from convert_sdk._delivery.stats import Settled
from convert_sdk._delivery.store_writer import StateSave
from convert_sdk._delivery.visitors import PendingChanges
from convert_sdk._http.transport import TransportSettings
from convert_sdk._tokens.handover import Handover, HandoverReading
from convert_sdk._tokens.signing import TokenReading
from convert_sdk._tokens.state import CarriedState, SignedState, StateReading
from convert_sdk.integrations._web.override_tokens import LinkAnswer
from convert_sdk.integrations._web.response import ResponseChanges
from convert_sdk.integrations._web.scope import Answers, Plan
from convert_sdk.integrations._web.verdict import Verdict
from convert_sdk.status import DeliveryError, EventOutcome, RejectedEvent
from convert_sdk.stores import Changes
from tests.documents import entity, every, experience, leaf, offline

if TYPE_CHECKING:
    from convert_sdk._core.layers import Layered

EVENT = Event("id-1", "s3cret", '{"a": "s3cret"}', {"country": "s3cret"})
CHANGES = Changes("1-2-s3cret", segments={"country": "s3cret"})
CARRIED = CarriedState("s3cret", {}, segments={"country": "s3cret"})
ANSWERS = Answers("s3cret", Consent.GRANTED, cast("Layered", {"plan": "s3cret"}))
VISITOR = offline(
    experience(audiences=["51"]), audiences=[entity("51", "pro", every(leaf("plan", "pro")))]
).visitor("s3cret", {"plan": "s3cret"}, location={"url": "s3cret"})


@pytest.mark.parametrize(
    "shown",
    [
        EVENT,
        Settled(EventOutcome.SENT, (EVENT,)),
        RejectedEvent(EVENT, DeliveryError(400, None, "no")),
        CHANGES,
        StateSave("s3cret", CHANGES, {"s3cret": PendingChanges()}),
        ConversionRequest("s3cret", {"plan": "s3cret"}),
        PendingConversion("id-1", VISITOR, "buy", ConversionRequest(rule_data={"plan": "s3cret"})),
        StoredConversion(PendingConversion("id-1", VISITOR, "buy", ConversionRequest()), {"plan": "s3cret"}),
        HeldSegments(VISITOR, {"plan": "s3cret"}),
        Endpoint("https://example.com/s3cret", {"Authorization": "Bearer s3cret"}, TrackingContext("1", "2")),
        TransportSettings(None, "http://user:s3cret@localhost:80", httpx.Limits(), True, print),
        BootstrapContents("s3cret", (), None, None, VISITOR._state, "1-2-s3cret", None, True, False),
        VISITOR,
        VISITOR.explain("checkout"),
        VISITOR.explain("checkout").gates,
        VISITOR.explain("checkout").hashed,
        VISITOR.decide("checkout"),
        VISITOR._state,
        TokenReading(["s3cret"]),
        HandoverReading(Handover("s3cret", "s3cret")),
        StateReading(CARRIED, False),
        SignedState("s3cret", CARRIED),
        ANSWERS,
        Plan("s3cret", "s3cret", Verdict(), ANSWERS, False),
        LinkAnswer("convert_override=s3cret", "/?user=s3cret"),
        ResponseChanges(("convert_visitor_id=s3cret",)),
        Client("1/2", sdk_secret="s3cret", debug_token="s3cret", store=MemoryStore()),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_a_repr_gives_nothing_away(shown: object) -> None:
    assert "s3cret" not in f"{shown!r} {[shown]}"
