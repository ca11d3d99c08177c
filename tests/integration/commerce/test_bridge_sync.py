"""Lists that move while they are read, and bookings, of which nobody says when they were made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from convert_sdk.commerce.bridge import Policy, SyncProgress, SyncReport
from convert_sdk.commerce.bridge.cursors import CURSOR, Cursor
from convert_sdk.commerce.errors import ServerError

from .world import DAY, STORY, World


def cursor_of(world: World, stream: str) -> Cursor:
    with world.ledger.transaction() as transaction:
        text = transaction.cursor(stream)
    return Cursor() if text is None else CURSOR.validate_json(text)


def transaction_ids(world: World) -> set[object]:
    return {each.goal_data["transactionId"] for each in world.conversions()}


def sync(world: World, after_page: Callable[[], object] = lambda: None) -> SyncReport:
    def told(progress: SyncProgress) -> None:
        if progress.stream == "orders":
            after_page()

    report = world.bridge.sync(progress=told)
    world.deliver()
    return report


class TestBuyersOrdersThatMove:
    """The API sorts by what nobody says; an order that changes goes to the other end of the list."""

    @pytest.fixture
    def buyers(self, world: World) -> World:
        world.client.close()
        world.open(Policy(), sources=[world.buyer])
        for number in range(130):
            world.buyers.add_order(buyerReference=f"our-{number}")
            world.bridge.link("v-1", reference=f"our-{number}")
        return world

    @pytest.mark.parametrize("newest_first", [False, True])
    @pytest.mark.parametrize("drift", [1, 7, 16])
    def test_none_is_lost(self, buyers: World, drift: int, *, newest_first: bool) -> None:
        buyers.buyers.drift, buyers.buyers.newest_first = drift, newest_first
        assert sync(buyers).unsettled == 0
        buyers.buyers.drift = 0
        buyers.now += 60
        sync(
            buyers
        )  # what moved to where had been read already, changed meanwhile: that is for the next pull
        assert len(buyers.conversions()) == len(transaction_ids(buyers)) == 130

    def test_pages_that_count_from_1(self, buyers: World) -> None:
        buyers.buyers.first_page = 1
        with pytest.raises(ServerError, match="repeats its pages"):
            sync(buyers)
        buyers.client.close()
        buyers.open(Policy(), sources=[replace(buyers.buyer, first_page=1)])
        assert sync(buyers).unsettled == 0
        assert len(transaction_ids(buyers)) == 130

    def test_a_list_that_never_stands_still_stays_to_be_read(self, buyers: World) -> None:
        buyers.buyers.drift = 60  # more than a page at a time
        report = sync(buyers)
        assert report.unsettled == 1
        before = cursor_of(buyers, "convictional:acme/orders")
        assert not before.is_open
        assert before.until == buyers.now - buyers.buyer.first
        buyers.buyers.drift = 0
        buyers.now += 60
        assert sync(buyers).unsettled == 0
        assert len(buyers.conversions()) == len(transaction_ids(buyers)) == 130
        assert (cursor_of(buyers, "convictional:acme/orders").until or 0) > (before.until or 0)


class TestWebsiteOrdersThatMove:
    @pytest.fixture
    def site(self, world: World) -> World:
        world.client.close()
        world.open(Policy(), sources=[world.site])
        for _ in range(160):
            world.order()
        world.webhooks()
        world.now += 60
        return world

    def test_one_that_is_deleted_hides_no_other(self, site: World) -> None:
        gone = iter([max(site.store.orders)])  # from the page that was just read

        def delete() -> None:
            for number in gone:
                del site.store.orders[number]

        report = sync(site, delete)
        assert (report.new, report.unsettled) == (160, 0)

    def test_a_list_that_never_stands_still_stays_to_be_read(self, site: World) -> None:
        def delete() -> None:
            del site.store.orders[max(site.store.orders)]

        before = site.now - site.site.first
        report = sync(site, delete)
        assert report.unsettled == 1
        assert cursor_of(site, f"{site.site.scope}/orders").until == before
        site.now += 60
        assert sync(site).unsettled == 0
        left = {f"{site.site.scope}:{number}" for number in site.store.orders}
        assert left <= transaction_ids(site)
        assert len(site.conversions()) == len(transaction_ids(site))
        assert cursor_of(site, f"{site.site.scope}/orders").until == site.now - site.site.lag

    def test_the_first_pull_begins_where_it_began(self, site: World) -> None:
        """Weeks of a list that moves do not push its oldest orders out of sight."""

        def delete() -> None:
            del site.store.orders[max(site.store.orders)]

        sync(site, delete)
        oldest = min(site.store.orders)
        site.store.orders[oldest]["paid"] = True
        late = site.store.orders.pop(oldest)
        site.now += 5 * DAY
        site.store.orders = {oldest: late, **site.store.orders}
        site.open(Policy(max_age=30 * DAY), sources=[replace(site.site, first=DAY)])
        sync(site)
        assert f"{site.site.scope}:{oldest}" in transaction_ids(site)


class TestPaidLate:
    def test_a_payment_of_the_last_hours_of_its_week_that_no_webhook_told_of(self, world: World) -> None:
        order = world.order(paid=False)
        for days in (0.0, 6.3):
            world.now += days * DAY
            sync(world)
        world.store.change_order(int(str(order["id"])), paid=True)
        world.now += DAY
        sync(world)
        assert len(world.conversions()) == 1


class TestReinstated:
    def test_an_order_that_was_cancelled_and_is_no_longer(self, world: World) -> None:
        world.client.close()
        world.open(Policy(hold_for=DAY))
        order = world.order()
        number = int(str(order["id"]))
        for status in ("canceled", "pending"):
            world.store.change_order(number, status=status)
            world.hear_all()
            world.now += 60
        world.now += DAY
        world.bridge.tick()
        world.deliver()
        assert len(world.conversions()) == 1
        assert world.bridge.report().states == {"sent": 1}

    def test_a_payment_that_was_taken_back_before_it_counted(self, world: World) -> None:
        world.client.close()
        world.open(Policy(hold_for=DAY))
        number = int(str(world.order()["id"]))
        world.hear_all()
        world.now += 60
        world.store.change_order(number, paid=False)
        world.hear_all()
        world.now += DAY
        world.bridge.tick()
        assert world.bridge.report().waiting == {"unpaid": 1}

    def test_what_was_read_earlier_and_comes_later_changes_nothing(self, world: World) -> None:
        """Two processes that read the order one after the other, and write it the other way round."""
        world.client.close()
        world.open(Policy(hold_for=DAY))
        world.order(total=10)
        world.hear_all()
        record = world.api.orders.get(max(world.store.orders))
        early = world.site.order(record, world.bridge.identity, read_at=record.created)
        assert early is not None
        world.now += 60
        world.store.change_order(max(world.store.orders), total=20, status="canceled")
        world.hear_all()
        world.bridge.handle(early)
        world.now += DAY
        world.bridge.tick()
        assert world.bridge.report().dropped == {"cancelled": 1}


class TestBookings:
    @pytest.fixture
    def site(self, world: World) -> World:
        world.client.close()
        world.open(Policy(), sources=[world.site])
        world.bridge.link("v-1", contact=4)
        return world

    def book(self, site: World, *, told: bool = False, **fields: object) -> None:
        site.store.book(**{"eventId": 9, "contactId": 4, "start": int(site.now + 5 * DAY), **fields})
        if not told:
            site.webhooks()

    def test_one_that_the_first_pull_finds_counts_for_nothing_that_was_shown(self, site: World) -> None:
        """Nobody knows when it was made: perhaps before all that."""
        site.expose("v-1")
        self.book(site)
        assert sync(site).too_old == 0
        assert site.bridge.report().waiting == {"undated": 1}
        site.now += 600
        sync(site)
        [conversion] = site.conversions()
        assert conversion.bucketing == {}

    def test_unless_its_webhook_comes(self, site: World) -> None:
        variation = site.expose("v-1")
        self.book(site, told=True)
        sync(site)
        site.hear_all()
        site.deliver()  # before its lease runs out
        site.now += 600
        sync(site)
        [conversion] = site.conversions()
        assert conversion.bucketing == {STORY: variation}

    def test_later_ones_count_for_what_was_shown_before_the_pull_that_had_not_found_them(
        self, site: World
    ) -> None:
        early = site.expose("v-1")
        sync(site)
        site.now += 60
        site.expose("v-1", "checkout-layout")  # before it was booked, or after: who knows
        self.book(site)
        site.now += 60
        sync(site)
        [conversion] = site.conversions()
        assert conversion.bucketing == {STORY: early}

    def test_one_from_beyond_the_horizon_may_have_been_made_at_any_time(self, site: World) -> None:
        site.open(Policy(), sources=[replace(site.site, horizon=10 * DAY)])
        self.book(site, start=int(site.now + 10 * DAY + 30))
        assert sync(site).new == 0
        site.now += 60
        for _ in range(2):  # the second pull knows no more than the first
            sync(site)
            site.now += 10
        assert site.bridge.report().waiting == {"undated": 1}

    def test_a_pull_that_did_not_see_all_of_them_says_nothing_of_when(self, site: World) -> None:
        for _ in range(160):
            self.book(site, eventId=8)

        def moving(progress: SyncProgress) -> None:
            if progress.stream == "bookings":
                del site.store.bookings[max(site.store.bookings)]

        assert site.bridge.sync(progress=moving).unsettled == 1
        site.expose("v-1")
        self.book(site)
        site.now += 60
        sync(site)
        assert site.bridge.report().waiting == {"undated": 1}

    def test_webhook_and_pulls_make_one(self, site: World) -> None:
        sync(site)
        variation = site.expose("v-1")
        self.book(site, told=True)
        events = site.webhooks()
        for _ in range(2):
            for event in events:
                site.bridge.handle(event)
            site.now += 60
            sync(site)
        [conversion] = site.conversions()
        assert conversion.bucketing == {STORY: variation}
        assert str(conversion.goal_data["transactionId"]).startswith("booking:")

    def test_those_without_a_goal_are_left_out(self, site: World) -> None:
        self.book(site, eventId=8)
        assert sync(site).new == 0
