"""Who moves between two documents, beside two clients that decide for everybody and are compared one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk import Client, Decision, MemoryStore, Project, VisitorState
from convert_sdk.analysis import MoveKind, VisitorRow, decide_row, diff
from convert_sdk.stores import Changes
from tests.documents import Json
from tests.strategies import Guest, documents, facts, guests, parsed, places, visitor_ids

rows = st.lists(
    st.builds(VisitorRow, visitor_ids, facts, places, st.just({}), st.sampled_from(["live", None])),
    max_size=6,
)


def decided(
    project: Project, row: VisitorRow, remembered: dict[str, str] | None = None
) -> dict[str, Decision]:
    """The decisions of a client of its own."""
    store = MemoryStore()
    store.save(Changes(f"1-2-{row.id}", bucketing=remembered or {}))
    with Client.offline(project, store=store, environment=row.environment) as client:
        found = client.visitor(row.id, row.attributes, location=row.location).decide_all()
    return {decision.key: decision for decision in found}


def outcome(before: Decision | None, after: Decision | None) -> MoveKind | None:
    one = before.variation if before is not None else None
    other = after.variation if after is not None else None
    if one is None:
        return None if other is None else MoveKind.ENTER
    if other is None:
        return MoveKind.LEAVE
    return None if one.id == other.id or one.key == other.key else MoveKind.SWITCH


@given(documents(), documents(), rows, st.booleans())
@settings(max_examples=14)
def test_it_counts_as_two_clients_do(
    old: Json, new: Json, visitors: list[VisitorRow], remembered: bool
) -> None:
    one, other = parsed(old), parsed(new)
    expected: Counter[tuple[str, MoveKind, str | None, str | None]] = Counter()
    moved: Counter[MoveKind] = Counter()
    for row in visitors:
        before = decided(one, row)
        kept = {found.experience_id: found.variation_id for found in before.values() if found}
        after = decided(other, row, kept if remembered else None)  # type: ignore[arg-type]  # a decision has ids
        kinds = set()
        for key in {*before, *after}:
            first, second = before.get(key), after.get(key)
            kind = outcome(first, second)
            if kind is not None:
                names = (first.variation_key if first else None, second.variation_key if second else None)
                expected[(key, kind, *names)] += 1
                kinds.add(kind)
        moved.update(kinds)
    found = diff(one, other, visitors, remembered=remembered)
    counted: Counter[tuple[str, MoveKind, str | None, str | None]] = Counter()
    for move in found.moves:
        counted[(move.experience, move.kind, move.before, move.after)] += move.visitors
    assert counted == expected
    assert (found.entering, found.leaving, found.switching) == tuple(moved[kind] for kind in MoveKind)
    assert found.visitors == len(visitors)


@given(documents(), rows)
@settings(max_examples=8)
def test_nobody_moves_where_nothing_changed(raw: Json, visitors: list[VisitorRow]) -> None:
    project = parsed(raw)
    found = diff(project, parsed(raw), visitors)
    assert (found.changes, found.moves) == ((), ())


@given(documents(), guests)
@settings(max_examples=10)
def test_a_row_is_decided_as_a_client_does(raw: Json, guest: Guest) -> None:
    project = parsed(raw)
    state = VisitorState(guest.remembered, segments=guest.segments)
    row = VisitorRow(guest.id, guest.attributes, guest.location, {}, guest.environment)
    decided_for_all = guest.visit(project).decide_all()
    assert decide_row(project, row, state=state) == decided_for_all
