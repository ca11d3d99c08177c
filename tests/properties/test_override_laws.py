"""The law of overrides: verbs on what is overridden leave no trace, and conversions go without it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from convert_sdk import Client, MemoryStore, Project, Visitor, VisitorState
from tests.documents import (
    Sink,
    change,
    document,
    entity,
    every,
    experience,
    feature,
    leaf,
    variation,
)

ARMS = [variation("1", changes=[change("81")]), variation("2")]
SHOP = Project.parse(
    json.dumps(
        document(
            experience("100", "overridden", variations=ARMS, audiences=["51"]),
            experience("200", "other", locations=["61"]),
            experience("300", "third", audiences=["51"]),
            audiences=[entity("51", "germans", every(leaf("country", "DE")))],
            locations=[entity("61", "cart", every(leaf("url", "/cart")))],
            features=[feature("81", "pricing")],
            goals=[entity("7", "buy"), entity("8", "sign-up")],
        )
    )
)
OVERRIDDEN = "overridden"
KEYS = [OVERRIDDEN, "other", "third"]
Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["decide", "peek", "explain", "force"]), st.sampled_from(KEYS)),
        st.tuples(st.just("all"), st.none()),
        st.tuples(st.just("feature"), st.none()),
        st.tuples(st.just("track"), st.sampled_from(["buy", "sign-up"])),
    ),
    max_size=8,
)


def perform(visitor: Visitor, steps: list[Step], *, without: str | None = None) -> None:
    for verb, argument in steps:
        if without is not None and (argument == without or verb == "feature"):
            continue
        if verb == "all":
            visitor.decide_all([key for key in KEYS if key != without])
        elif verb == "feature":
            visitor.feature("pricing")
        elif verb == "force":
            visitor.force(argument, variation_id="2")
        elif verb == "track":
            visitor.track(argument, revenue=5)
        else:
            getattr(visitor, verb)(argument)


def outcome(before: list[Step], steps: list[Step], *, override: bool, **named: Any) -> Any:
    """What is sent and stored: with the override, or by the same steps without those that ask for the overridden."""
    sink, store = Sink(), MemoryStore()
    client = Client.offline(SHOP, sink, store=store)

    def visitor() -> Visitor:
        return client.visitor("v-1", {"country": "DE", "plan": "pro"}, location={"url": "/cart"})

    perform(visitor(), before)
    client.flush()
    sink.clear()
    if override:
        with client.override(OVERRIDDEN, **named):
            perform(visitor(), steps)
    else:
        perform(visitor(), steps, without=OVERRIDDEN)
    client.close()
    events: list[Any] = sink.events
    for event in events:
        bucketing = event["data"].get("bucketingData", {})
        bucketing.pop("100", None) if not override else None
        if not bucketing:
            event["data"].pop("bucketingData", None)
    state: VisitorState | None = store.load("1-2-v-1")
    return events, None if state is None else json.loads(state.to_json())


@example(before=[], steps=[("feature", None)], named={}, variation="arm-1")
@given(
    before=STEPS,
    steps=STEPS,
    named=st.fixed_dictionaries(
        {"visitor_id": st.sampled_from([None, "v-1"]), "everywhere": st.booleans(), "gates": st.booleans()}
    ),
    variation=st.sampled_from(["arm-1", "arm-2", "unknown", None]),
)
def test_overridden_verbs_leave_no_trace(
    before: list[Step], steps: list[Step], named: dict[str, Any], variation: str | None
) -> None:
    wanted = {"enabled": False} if variation is None else {"variation": variation}
    with_override, without = (
        outcome(before, steps, override=override, **named, **wanted) for override in (True, False)
    )
    names = [
        [json.dumps(event, sort_keys=True) for event in events] for events, _ in (with_override, without)
    ]
    assert names[0] == names[1]
    goals = [
        {**(state or {}), "goals": [*(state or {}).get("goals", {})]} for _, state in (with_override, without)
    ]
    assert goals[0] == goals[1]  # the ids of conversions are each client's own
