"""Another name in reports: what is sent has it, everything that stays here has the visitor's own id."""

from __future__ import annotations

import json

import pytest

from convert_sdk import AsyncClient, Client, MemoryStore, OptionError, Project
from convert_sdk._core.events import reported_id
from convert_sdk.observation import Exposed, Observation
from convert_sdk.status import StoreDeletion
from tests.documents import HIGH, LOW, Sink, document, entity, experience, exposure

KEY = "a secret of the shop's own"
SHOP = Project.parse(json.dumps(document(experience(), goals=[entity("91", "buy")])))


def test_only_what_is_sent_has_the_other_name() -> None:
    sink, store, seen = Sink(), MemoryStore(shared=True), list[Observation]()
    with Client.offline(SHOP, sink, store=store, report_id=KEY, hooks=[seen.append]) as client:
        decided = [client.visitor(who).decide("checkout").variation_id for who in (LOW, HIGH)]
        assert client.visitor(LOW).track("buy")
        client.flush()
        assert decided == ["1", "2"], "the hash is that of the own id"
        assert [entry["visitorId"] for entry in sink.visitors] == [
            reported_id(who, KEY) for who in (LOW, HIGH)
        ]
        assert exposure("100", "1") in sink.events
        assert not any(name in json.dumps(sink) for name in (f'"{LOW}"', f'"{HIGH}"'))
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert (state.bucketing, set(state.goals)) == ({"100": "1"}, {"buy"})
        assert {each.visitor_id for each in seen if isinstance(each, Exposed)} == {LOW, HIGH}
        assert client.forget(LOW, timeout=60).store is StoreDeletion.DELETED
        left = store.load(f"1-2-{LOW}")
        assert left is None or not (left.bucketing or left.goals or left.segments)


def test_a_short_secret_is_refused() -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(OptionError, match="report_id"):
            kind("1/2", report_id="too short")
