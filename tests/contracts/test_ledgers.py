"""What a bridge expects of the place where it keeps its records, asked of every one."""

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
    ExposureRecord,
    IdentityKey,
    Ledger,
    LedgerStore,
    Link,
    MemoryLedger,
    OrderConversion,
    OrderSnapshot,
    Version,
)
from convert_sdk.status import EventOutcome

ORDER = OrderSnapshot(
    "website", "shop.example.com", "7", datetime(2026, 5, 1, 12, tzinfo=UTC), paid=True, amount=Decimal("49.90"),
    products=2, token="v1.v-1.0123456789abcdef", member_id="3", contact_id="4", email_key="ab12",
)  # fmt: skip
EFFECT = OrderConversion(
    "purchase|website:shop.example.com:7", "purchase", ORDER, "seen", 10.0, 10.0, due=10.0
)


def numbered(number: int, **fields: object) -> OrderConversion:
    conversion = replace(EFFECT, key=f"purchase|{number}", order=replace(ORDER, id=str(number)))
    return replace(conversion, **fields)  # type: ignore[arg-type]  # whatever a test needs


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    with_file = Ledger(tmp_path / "bridge.db")
    yield with_file
    with_file.close()


class TestConversions:
    def test_comes_back_as_it_was(self, ledger: LedgerStore) -> None:
        conversion = replace(
            EFFECT, attributed={"e-1": "v-2"}, visitor_id="v-1", match_source="token", goal=100, resent=2
        )
        with ledger.transaction() as transaction:
            transaction.keep(conversion)
            assert transaction.conversion(conversion.key) == conversion
            assert transaction.conversion("purchase|other") is None

    def test_only_the_due_ones_come_and_the_longest_waiting_first(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            for number, due in ((1, 30.0), (2, 10.0), (3, None), (4, 20.0)):
                transaction.keep(numbered(number, due=due))
            assert [each.order.id for each in transaction.due(25.0, 10)] == ["2", "4"]
            assert [each.order.id for each in transaction.due(99.0, 2)] == ["2", "4"]

    def test_a_key_makes_due_the_unresolved_alone(self, ledger: LedgerStore) -> None:
        waiting = {"state": "waiting", "due": 900.0}
        with ledger.transaction() as transaction:
            transaction.keep(numbered(1, reason="unresolved", **waiting))
            transaction.keep(numbered(2, reason="held", **waiting))
            transaction.make_due(IdentityKey("member", "website:shop.example.com:3"), 50.0)
            assert [each.order.id for each in transaction.due(50.0, 10)] == ["1"]
            assert transaction.conversion("purchase|1") == numbered(
                1, reason="unresolved", state="waiting", due=50.0
            )

    def test_no_key_makes_due_what_no_longer_waits(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.keep(numbered(1, state="waiting", reason="unresolved", due=900.0))
            transaction.keep(numbered(1, state="dropped", reason="unresolved", due=None))
            transaction.make_due(IdentityKey("member", "website:shop.example.com:3"), 50.0)
            assert transaction.due(1e9, 10) == []

    def test_an_owner_prolongs_its_own_claims(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.keep(numbered(1, state="claimed", owner="me", event="u-1.1", due=20.0))
            transaction.keep(numbered(2, state="claimed", owner="you", event="u-2.1", due=20.0))
            transaction.keep(numbered(3, state="claimed", owner="me", due=20.0))
            transaction.renew("me", 500.0)
            found = [each.order.id for each in transaction.due(20.0, 10)]
            assert found == ["2", "3"], "one without an event was never handed over"

    def test_an_event_leads_to_its_conversion(self, ledger: LedgerStore) -> None:
        claim = numbered(1, state="claimed", event="u-1.1")
        with ledger.transaction() as transaction:
            transaction.keep(claim)
            assert transaction.awaiting("u-1.1") == claim
            assert transaction.awaiting("u-1.0") is None
            transaction.keep(replace(claim, state="sent", event=None))
            assert transaction.awaiting("u-1.1") is None

    def test_books_add_up(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.keep(numbered(1, state="sent", due=None))
            transaction.keep(numbered(2, state="sent", due=None, resent=2))
            transaction.keep(numbered(3, state="waiting", reason="unpaid", due=None, resent=1))
            assert transaction.tally() == {("sent", ""): 2, ("waiting", "unpaid"): 1}
            assert transaction.resent() == 3
            assert [each.order.id for each in transaction.waiting("unpaid", 10)] == ["3"]

    def test_an_order_leads_to_its_conversions_without_refunds(self, ledger: LedgerStore) -> None:
        lead = replace(EFFECT, key="lead|7", goal="lead")
        with ledger.transaction() as transaction:
            for conversion in (
                EFFECT,
                lead,
                replace(EFFECT, key="refund", refund_of=EFFECT.key),
                numbered(8),
            ):
                transaction.keep(conversion)
            assert transaction.conversions_of(ORDER.transaction_id) == [lead, EFFECT]


class TestTransactions:
    def test_an_exception_undoes_all_of_it(self, ledger: LedgerStore) -> None:
        def write_and_stumble() -> None:
            with ledger.transaction() as transaction:
                transaction.keep(EFFECT)
                transaction.move_cursor("orders", "9")
                transaction.add_link(Link(IdentityKey("order", "7"), "v-1", 1.0, 99.0))
                transaction.add_exposure(ExposureRecord("v-1", "e-1", "a", 1.0))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_and_stumble()
        with ledger.transaction() as transaction:
            assert transaction.conversion(EFFECT.key) is None
            assert transaction.cursor("orders") is None
            assert transaction.links(IdentityKey("order", "7")) == []
            assert transaction.exposures("v-1", 0.0, 9.0) == []

    def test_an_error_of_the_callers_own_code_stays_what_it_is(self, ledger: LedgerStore) -> None:
        def write_and_miss_a_file() -> None:
            with ledger.transaction() as transaction:
                transaction.keep(EFFECT)
                raise FileNotFoundError("rates.csv")

        with pytest.raises(FileNotFoundError, match=r"rates\.csv"):
            write_and_miss_a_file()
        with ledger.transaction() as transaction:
            assert transaction.conversion(EFFECT.key) is None

    def test_what_was_committed_stays(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.keep(EFFECT)
            transaction.move_cursor("orders", "9")
            transaction.keep_version("order:7", Version("abc", 5, sent=False))
        with ledger.transaction() as transaction:
            assert transaction.conversion(EFFECT.key) == EFFECT
            assert transaction.cursor("orders") == "9"
            assert transaction.version("order:7") == Version("abc", 5, sent=False)
            assert transaction.version("order:8") is None


class TestPeople:
    def test_links_of_a_identity_key(self, ledger: LedgerStore) -> None:
        identity_key = IdentityKey("member", "3")
        first, second = (
            Link(identity_key, "v-1", 1.0, 99.0),
            Link(identity_key, "v-2", 2.0, 99.0, tracking=False),
        )
        with ledger.transaction() as transaction:
            for link in (first, second, first):
                transaction.add_link(link)
            assert sorted(transaction.links(identity_key)) == [first, second]
            assert transaction.links(IdentityKey("contact", "3")) == []
            transaction.unlink(identity_key)
            assert transaction.links(identity_key) == []

    def test_exposures_between_two_times_in_their_order(self, ledger: LedgerStore) -> None:
        shown = [
            ExposureRecord("v-1", "e-1", "a", 10.0),
            ExposureRecord("v-1", "e-2", "b", 20.0),
            ExposureRecord("v-1", "e-1", "c", 30.0),
        ]
        with ledger.transaction() as transaction:
            for each in (*reversed(shown), ExposureRecord("v-2", "e-1", "a", 15.0)):
                transaction.add_exposure(each)
            assert transaction.exposures("v-1", 10.0, 30.0) == shown
            assert transaction.exposures("v-1", 11.0, 29.0) == shown[1:2]

    def test_forgetting_a_visitor_leaves_nothing_that_leads_there(self, ledger: LedgerStore) -> None:
        sent = numbered(1, state="sent", due=None, visitor_id="v-1", attributed={"e-1": "a"})
        claim = numbered(2, state="claimed", visitor_id="v-1", event="u.0", owner="me")
        other = numbered(3, state="claimed", visitor_id="v-2")
        with ledger.transaction() as transaction:
            for conversion in (sent, claim, other):
                transaction.keep(conversion)
            transaction.add_link(Link(IdentityKey("order", "7"), "v-1", 1.0, 99.0))
            transaction.add_exposure(ExposureRecord("v-1", "e-1", "a", 1.0))
            transaction.forget("v-1")
            assert transaction.links(IdentityKey("order", "7")) == []
            assert transaction.exposures("v-1", 0.0, 9.0) == []
            kept = transaction.conversion(sent.key)
            assert kept is not None
            assert (kept.state, kept.visitor_id, kept.order.identity_keys[1:]) == ("sent", None, ())
            dropped = transaction.conversion(claim.key)
            assert dropped is not None
            assert (dropped.state, dropped.reason, dropped.visitor_id) == ("dropped", "forgotten", None)
            assert transaction.awaiting("u.0") is None
            assert transaction.conversion(other.key) == other

    def test_links_to_a_visitor(self, ledger: LedgerStore) -> None:
        member, contact = IdentityKey("member", "3"), IdentityKey("contact", "4")
        links = [Link(contact, "v-1", 2.0, 99.0), Link(member, "v-1", 1.0, math.inf, tracking=False)]
        with ledger.transaction() as transaction:
            for link in (*links, Link(member, "v-2", 1.0, 99.0)):
                transaction.add_link(link)
            assert sorted(transaction.links_to("v-1")) == links
            assert transaction.links_to("v-3") == []

    @pytest.mark.parametrize("visitor_id", ["v-1", 'q"\\\n', "ö.ö", "%"])
    def test_whatever_may_be_a_visitors_and_is_not_over(self, ledger: LedgerStore, visitor_id: str) -> None:
        named = numbered(1, state="claimed", visitor_id=visitor_id)
        token = replace(EFFECT, order=replace(ORDER, id="2", token=f"v1.{visitor_id}.0123456789abcdef"))
        linked = replace(numbered(3), order=replace(ORDER, id="3", token=None, member_id="33"))
        sent = numbered(4, state="sent", due=None, visitor_id=visitor_id)
        with ledger.transaction() as transaction:
            for conversion in (named, token, linked, sent):
                transaction.keep(conversion)
            transaction.add_link(Link(linked.order.identity_keys[1], visitor_id, 1.0, 99.0))
            found = {conversion.order.id for conversion in transaction.unsent_of(visitor_id)}
            assert {"1", "2", "3"} <= found
            assert "4" not in found

    def test_whatever_has_a_identity_key_and_is_not_over(self, ledger: LedgerStore) -> None:
        states = [("seen", ""), ("waiting", "unpaid"), ("claimed", ""), ("sent", ""), ("dropped", "refused")]
        with ledger.transaction() as transaction:
            for number, (state, reason) in enumerate(states):
                transaction.keep(numbered(number, state=state, reason=reason))
            assert {each.order.id for each in transaction.unsent_with(IdentityKey("email", "ab12"))} == {
                "0",
                "1",
                "2",
            }
            assert transaction.unsent_with(IdentityKey("email", "cd34")) == []

    def test_who_was_forgotten_stays_so(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            assert not transaction.is_forgotten("v-1")
            transaction.forget("v-1")
            transaction.forget("v-1")
            assert transaction.is_forgotten("v-1")
            assert not transaction.is_forgotten("v-2")
        with ledger.transaction() as transaction:
            transaction.purge(links=1e12, exposures=1e12, outcomes=1e12)
            assert transaction.is_forgotten("v-1")

    def test_one_who_was_let_in_again_is_not_forgotten(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.forget("v-1")
            transaction.readmit("v-1")
            transaction.readmit("v-2")
            assert not transaction.is_forgotten("v-1")

    def test_what_convert_has_of_a_visitor(self, ledger: LedgerStore) -> None:
        states = ("seen", "waiting", "claimed", "dropped")
        with ledger.transaction() as transaction:
            for number, state in enumerate(states):
                transaction.keep(numbered(number, state=state, visitor_id="v-1"))
            goal = numbered(0).goal
            assert not transaction.has_reported("v-1", goal)
            transaction.keep(numbered(9, state="sent", visitor_id="v-1"))
            assert transaction.has_reported("v-1", goal)
            assert not transaction.has_reported("v-1", "another")
            assert not transaction.has_reported("v-2", goal)

    def test_orders_that_cannot_be_read(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            assert transaction.note_unreadable("b", "total", 2.0)
            assert transaction.note_unreadable("a", "created", 1.0)
            assert not transaction.note_unreadable("b", "created, total", 3.0)
            assert transaction.unreadable(9) == ["a (created)", "b (created, total)"]
            assert transaction.unreadable(1) == ["a (created)"]
            transaction.note_readable("a")
            transaction.note_readable("z")
            assert transaction.unreadable(9) == ["b (created, total)"]

    def test_old_notes_of_them_go_with_old_exposures(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            transaction.note_unreadable("a", "created", 1.0)
            transaction.note_unreadable("b", "total", 2.0)
            transaction.purge(links=0.0, exposures=2.0, outcomes=0.0)
            assert transaction.unreadable(9) == ["b (total)"]

    def test_those_that_wait_are_told_from_those_that_were_dropped(self, ledger: LedgerStore) -> None:
        with ledger.transaction() as transaction:
            for number, state in enumerate(("dropped", "waiting", "waiting")):
                due = None if state == "dropped" else 9.0 - number
                transaction.keep(numbered(number, state=state, reason="unpaid", due=due))
            transaction.keep(numbered(7, state="waiting", reason="held", due=1.0))
            assert [each.order.id for each in transaction.still_waiting("unpaid", 9)] == ["2", "1"]
            assert [each.order.id for each in transaction.still_waiting("unpaid", 1)] == ["2"]

    def test_versions_know_their_source(self, ledger: LedgerStore) -> None:
        version = Version("d", 1, sent=True)
        with ledger.transaction() as transaction:
            for key in ("product:2", "product:1"):
                transaction.keep_version(key, version, "website:a")
            transaction.keep_version("contact:1", version)
            assert transaction.version_keys("website:a") == ["product:1", "product:2"]
            assert transaction.version_keys("") == []
            transaction.drop_version("product:1")
            assert (transaction.version("product:1"), transaction.version("product:2")) == (None, version)
            assert transaction.version_keys("website:a") == ["product:2"]

    def test_a_version_may_have_several_sources(self, ledger: LedgerStore) -> None:
        version = Version("d", 1, sent=True)
        with ledger.transaction() as transaction:
            for source in ("website:b", "website:a", "website:b", ""):
                transaction.keep_version("product:1", version, source)
            assert transaction.version_sources("product:1") == ["website:a", "website:b"]
            transaction.drop_source("product:1", "website:b")
            assert transaction.version_sources("product:1") == ["website:a"]
            assert transaction.version_keys("website:b") == []
            assert transaction.version("product:1") == version
            transaction.drop_version("product:1")
            assert transaction.version_sources("product:1") == []

    def test_a_ledger_that_knows_no_other_spelling_keeps_the_one_it_is_given(
        self, ledger: LedgerStore
    ) -> None:
        with ledger.transaction() as transaction:
            for _ in range(2):
                assert transaction.scope_of("website:shop.example.com") == "website:shop.example.com"

    def test_purging_takes_what_is_old(self, ledger: LedgerStore) -> None:
        identity_key = IdentityKey("member", "3")
        with ledger.transaction() as transaction:
            for end in (10.0, 20.0):
                transaction.add_link(Link(identity_key, "v-1", end - 9, end))
                transaction.add_exposure(ExposureRecord("v-1", "e-1", "a", end))
                transaction.note_outcome(f"u.{end}", EventOutcome.SENT, end)
            transaction.purge(links=10.0, exposures=15.0, outcomes=15.0)
            assert [link.expires for link in transaction.links(identity_key)] == [20.0]
            assert [shown.at for shown in transaction.exposures("v-1", 0.0, 99.0)] == [20.0]
            assert (transaction.take_outcome("u.10.0"), transaction.take_outcome("u.20.0")) == (None, "sent")
            assert transaction.take_outcome("u.20.0") is None


class TestFile:
    def test_a_place_that_cannot_be_written_is_a_store_error(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "missing" / "bridge.db")
        with pytest.raises(StoreError, match=r"bridge\.db"), ledger.transaction():
            pass

    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "bridge.db", sync=True)
        with ledger.transaction() as transaction:
            transaction.keep(EFFECT)
        ledger.close()
        assert (tmp_path / "bridge.db").stat().st_mode & 0o777 == 0o600

    def test_no_secret_in_reprs(self) -> None:
        conversion = replace(EFFECT, visitor_id="visitor-1")
        texts = [repr(conversion), repr(Link(IdentityKey("email", "ab12"), "visitor-1", 1.0, 2.0))]
        texts.append(repr(ExposureRecord("visitor-1", "e-1", "a", 1.0)))
        for text in texts:
            assert "visitor-1" not in text
            assert "ab12" not in text
            assert "v1.v-1" not in text
