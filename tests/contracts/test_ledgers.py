"""What a bridge expects of the place where it keeps its books, asked of every one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from convert_sdk import StoreError
from convert_sdk.commerce.bridge import (
    Clue,
    Effect,
    Ledger,
    LedgerStore,
    Link,
    MemoryLedger,
    Order,
    Shown,
    Version,
)

ORDER = Order(
    "website", "shop.example.com", "7", datetime(2026, 5, 1, 12, tzinfo=UTC), paid=True, amount=Decimal("49.90"),
    products=2, token="v1.v-1.0123456789abcdef", member_id="3", contact_id="4", email_key="ab12",
)  # fmt: skip
EFFECT = Effect("purchase|website:shop.example.com:7", "purchase", ORDER, "seen", 10.0, 10.0, due=10.0)


def numbered(number: int, **fields: object) -> Effect:
    effect = replace(EFFECT, key=f"purchase|{number}", order=replace(ORDER, id=str(number)))
    return replace(effect, **fields)  # type: ignore[arg-type]  # whatever a test needs


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    with_file = Ledger(tmp_path / "bridge.db")
    yield with_file
    with_file.close()


class TestEffects:
    def test_comes_back_as_it_was(self, ledger: LedgerStore) -> None:
        effect = replace(
            EFFECT, attributed={"e-1": "v-2"}, visitor_id="v-1", rung="token", goal=100, resent=2
        )
        with ledger.transaction() as entries:
            entries.keep(effect)
            assert entries.effect(effect.key) == effect
            assert entries.effect("purchase|other") is None

    def test_only_the_due_ones_come_and_the_longest_waiting_first(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            for number, due in ((1, 30.0), (2, 10.0), (3, None), (4, 20.0)):
                entries.keep(numbered(number, due=due))
            assert [each.order.id for each in entries.due(25.0, 10)] == ["2", "4"]
            assert [each.order.id for each in entries.due(99.0, 2)] == ["2", "4"]

    def test_a_clue_wakes_the_unresolved_alone(self, ledger: LedgerStore) -> None:
        waiting = {"state": "waiting", "due": 900.0}
        with ledger.transaction() as entries:
            entries.keep(numbered(1, reason="unresolved", **waiting))
            entries.keep(numbered(2, reason="held", **waiting))
            entries.wake(Clue("member", "website:shop.example.com:3"), 50.0)
            assert [each.order.id for each in entries.due(50.0, 10)] == ["1"]
            assert entries.effect("purchase|1") == numbered(1, reason="unresolved", state="waiting", due=50.0)

    def test_no_clue_wakes_what_no_longer_waits(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            entries.keep(numbered(1, state="waiting", reason="unresolved", due=900.0))
            entries.keep(numbered(1, state="dropped", reason="unresolved", due=None))
            entries.wake(Clue("member", "website:shop.example.com:3"), 50.0)
            assert entries.due(1e9, 10) == []

    def test_an_owner_prolongs_its_own_claims(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            entries.keep(numbered(1, state="claimed", owner="me", due=20.0))
            entries.keep(numbered(2, state="claimed", owner="you", due=20.0))
            entries.renew("me", 500.0)
            assert [each.order.id for each in entries.due(20.0, 10)] == ["2"]

    def test_an_event_leads_to_its_effect(self, ledger: LedgerStore) -> None:
        claim = numbered(1, state="claimed", event="u-1.1")
        with ledger.transaction() as entries:
            entries.keep(claim)
            assert entries.awaiting("u-1.1") == claim
            assert entries.awaiting("u-1.0") is None
            entries.keep(replace(claim, state="sent", event=None))
            assert entries.awaiting("u-1.1") is None

    def test_books_add_up(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            entries.keep(numbered(1, state="sent", due=None))
            entries.keep(numbered(2, state="sent", due=None, resent=2))
            entries.keep(numbered(3, state="waiting", reason="unpaid", due=None, resent=1))
            assert entries.tally() == {("sent", ""): 2, ("waiting", "unpaid"): 1}
            assert entries.resent() == 3
            assert [each.order.id for each in entries.waiting("unpaid", 10)] == ["3"]

    def test_an_order_leads_to_its_effects_without_refunds(self, ledger: LedgerStore) -> None:
        lead = replace(EFFECT, key="lead|7", goal="lead")
        with ledger.transaction() as entries:
            for effect in (EFFECT, lead, replace(EFFECT, key="refund", refund_of=EFFECT.key), numbered(8)):
                entries.keep(effect)
            assert entries.effects_of(ORDER.transaction_id) == [lead, EFFECT]


class TestTransactions:
    def test_an_exception_undoes_all_of_it(self, ledger: LedgerStore) -> None:
        def write_and_stumble() -> None:
            with ledger.transaction() as entries:
                entries.keep(EFFECT)
                entries.move_cursor("orders", "9")
                entries.add_link(Link(Clue("order", "7"), "v-1", 1.0, 99.0))
                entries.show(Shown("v-1", "e-1", "a", 1.0))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_and_stumble()
        with ledger.transaction() as entries:
            assert entries.effect(EFFECT.key) is None
            assert entries.cursor("orders") is None
            assert entries.links(Clue("order", "7")) == []
            assert entries.shown("v-1", 0.0, 9.0) == []

    def test_what_was_committed_stays(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            entries.keep(EFFECT)
            entries.move_cursor("orders", "9")
            entries.keep_version("order:7", Version("abc", 5, sent=False))
        with ledger.transaction() as entries:
            assert entries.effect(EFFECT.key) == EFFECT
            assert entries.cursor("orders") == "9"
            assert entries.version("order:7") == Version("abc", 5, sent=False)
            assert entries.version("order:8") is None


class TestPeople:
    def test_links_of_a_clue(self, ledger: LedgerStore) -> None:
        clue = Clue("member", "3")
        first, second = Link(clue, "v-1", 1.0, 99.0), Link(clue, "v-2", 2.0, 99.0, tracking=False)
        with ledger.transaction() as entries:
            for link in (first, second, first):
                entries.add_link(link)
            assert sorted(entries.links(clue)) == [first, second]
            assert entries.links(Clue("contact", "3")) == []
            entries.unlink(clue)
            assert entries.links(clue) == []

    def test_exposures_between_two_times_in_their_order(self, ledger: LedgerStore) -> None:
        shown = [
            Shown("v-1", "e-1", "a", 10.0),
            Shown("v-1", "e-2", "b", 20.0),
            Shown("v-1", "e-1", "c", 30.0),
        ]
        with ledger.transaction() as entries:
            for each in (*reversed(shown), Shown("v-2", "e-1", "a", 15.0)):
                entries.show(each)
            assert entries.shown("v-1", 10.0, 30.0) == shown
            assert entries.shown("v-1", 11.0, 29.0) == shown[1:2]

    def test_forgetting_a_visitor_leaves_nothing_that_leads_there(self, ledger: LedgerStore) -> None:
        sent = numbered(1, state="sent", due=None, visitor_id="v-1", attributed={"e-1": "a"})
        claim = numbered(2, state="claimed", visitor_id="v-1", event="u.0", owner="me")
        other = numbered(3, state="claimed", visitor_id="v-2")
        with ledger.transaction() as entries:
            for effect in (sent, claim, other):
                entries.keep(effect)
            entries.add_link(Link(Clue("order", "7"), "v-1", 1.0, 99.0))
            entries.show(Shown("v-1", "e-1", "a", 1.0))
            entries.forget("v-1")
            assert entries.links(Clue("order", "7")) == []
            assert entries.shown("v-1", 0.0, 9.0) == []
            kept = entries.effect(sent.key)
            assert kept is not None
            assert (kept.state, kept.visitor_id, kept.order.clues[1:]) == ("sent", None, ())
            dropped = entries.effect(claim.key)
            assert dropped is not None
            assert (dropped.state, dropped.reason, dropped.visitor_id) == ("dropped", "forgotten", None)
            assert entries.awaiting("u.0") is None
            assert entries.effect(other.key) == other

    def test_links_to_a_visitor(self, ledger: LedgerStore) -> None:
        member, contact = Clue("member", "3"), Clue("contact", "4")
        links = [Link(contact, "v-1", 2.0, 99.0), Link(member, "v-1", 1.0, math.inf, tracking=False)]
        with ledger.transaction() as entries:
            for link in (*links, Link(member, "v-2", 1.0, 99.0)):
                entries.add_link(link)
            assert sorted(entries.links_to("v-1")) == links
            assert entries.links_to("v-3") == []

    @pytest.mark.parametrize("visitor_id", ["v-1", 'q"\\\n', "ö.ö", "%"])
    def test_whatever_may_be_a_visitors_and_is_not_over(self, ledger: LedgerStore, visitor_id: str) -> None:
        named = numbered(1, state="claimed", visitor_id=visitor_id)
        token = replace(EFFECT, order=replace(ORDER, id="2", token=f"v1.{visitor_id}.0123456789abcdef"))
        linked = replace(numbered(3), order=replace(ORDER, id="3", token=None, member_id="33"))
        sent = numbered(4, state="sent", due=None, visitor_id=visitor_id)
        with ledger.transaction() as entries:
            for effect in (named, token, linked, sent):
                entries.keep(effect)
            entries.add_link(Link(linked.order.clues[1], visitor_id, 1.0, 99.0))
            found = {effect.order.id for effect in entries.unsent_of(visitor_id)}
            assert {"1", "2", "3"} <= found
            assert "4" not in found

    def test_whatever_has_a_clue_and_is_not_over(self, ledger: LedgerStore) -> None:
        states = [("seen", ""), ("waiting", "unpaid"), ("claimed", ""), ("sent", ""), ("dropped", "refused")]
        with ledger.transaction() as entries:
            for number, (state, reason) in enumerate(states):
                entries.keep(numbered(number, state=state, reason=reason))
            assert {each.order.id for each in entries.unsent_with(Clue("email", "ab12"))} == {"0", "1", "2"}
            assert entries.unsent_with(Clue("email", "cd34")) == []

    def test_who_was_forgotten_stays_so(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as entries:
            assert not entries.is_forgotten("v-1")
            entries.forget("v-1")
            entries.forget("v-1")
            assert entries.is_forgotten("v-1")
            assert not entries.is_forgotten("v-2")
        with ledger.transaction() as entries:
            entries.purge(links=1e12, exposures=1e12, fates=1e12)
            assert entries.is_forgotten("v-1")

    def test_purging_takes_what_is_old(self, ledger: LedgerStore) -> None:
        clue = Clue("member", "3")
        with ledger.transaction() as entries:
            for end in (10.0, 20.0):
                entries.add_link(Link(clue, "v-1", end - 9, end))
                entries.show(Shown("v-1", "e-1", "a", end))
                entries.note_fate(f"u.{end}", "sent", end)
            entries.purge(links=10.0, exposures=15.0, fates=15.0)
            assert [link.expires for link in entries.links(clue)] == [20.0]
            assert [shown.at for shown in entries.shown("v-1", 0.0, 99.0)] == [20.0]
            assert (entries.take_fate("u.10.0"), entries.take_fate("u.20.0")) == (None, "sent")
            assert entries.take_fate("u.20.0") is None


class TestFile:
    def test_a_place_that_cannot_be_written_is_a_store_error(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "missing" / "bridge.db")
        with pytest.raises(StoreError, match=r"bridge\.db"), ledger.transaction():
            pass

    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "bridge.db", sync=True)
        with ledger.transaction() as entries:
            entries.keep(EFFECT)
        ledger.close()
        assert (tmp_path / "bridge.db").stat().st_mode & 0o777 == 0o600

    def test_no_secret_in_reprs(self) -> None:
        effect = replace(EFFECT, visitor_id="visitor-1")
        texts = [repr(effect), repr(Link(Clue("email", "ab12"), "visitor-1", 1.0, 2.0))]
        texts.append(repr(Shown("visitor-1", "e-1", "a", 1.0)))
        for text in texts:
            assert "visitor-1" not in text
            assert "ab12" not in text
            assert "v1.v-1" not in text
