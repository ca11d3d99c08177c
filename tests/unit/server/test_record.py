from __future__ import annotations

import json
from decimal import Decimal

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import Conversion, Exposure, GoalTotal, Record, VariationTotal
from convert_sdk.server.tracking import read_tracking
from tests.shapes import of


def exposure(experience_id: str, variation_id: str) -> dict[str, object]:
    return {
        "eventType": "bucketing",
        "data": {"experienceId": experience_id, "variationId": variation_id},
    }


def conversion(goal_id: str, **data: object) -> dict[str, object]:
    return {"eventType": "conversion", "data": {"goalId": goal_id, **data}}


def metrics(**values: object) -> list[dict[str, object]]:
    return [{"key": key, "value": value} for key, value in values.items()]


class Book:
    """A record, and the shortest way to write into it."""

    def __init__(self) -> None:
        self.record = Record()

    def send(self, visitor_id: str, *events: object, enrich: bool = True, segments: object = None) -> None:
        visitor = {"visitorId": visitor_id, "events": events, "segments": segments}
        body = {"enrichData": enrich, "visitors": [visitor]}
        self.record.add(read_tracking(json.dumps(body).encode()))


@pytest.fixture
def book() -> Book:
    return Book()


def test_with_enrichment_only_unique_exposures_are_recorded(book: Book) -> None:
    for variation in ("10", "10", "11", "10"):
        book.send("v", exposure("1", variation))
    book.send("w", exposure("1", "10"))
    assert book.record.summary().received == 5
    assert book.record.summary().recorded == 3
    assert book.record.summary().variations == (VariationTotal("1", "10", 2), VariationTotal("1", "11", 1))


def test_without_enrichment_every_exposure_is_recorded(book: Book) -> None:
    book.send("v", exposure("1", "10"), exposure("1", "10"), enrich=False)
    assert book.record.summary().variations == (VariationTotal("1", "10", 2),)


def test_enrichment_fills_absent_bucketing_and_segments(book: Book) -> None:
    book.send("v", exposure("1", "10"), segments={"country": "DE", "basket": "large"})
    book.send("v", conversion("7"))
    assert book.record.events()[-1] == Conversion(
        "v", "7", {}, {"1": "10"}, {"country": "DE", "basket": "large"}
    )


def test_given_bucketing_and_segments_win_over_the_stored(book: Book) -> None:
    book.send("v", exposure("1", "10"), exposure("2", "20"), segments={"country": "DE"})
    book.send("v", conversion("7", bucketingData={"1": "11"}), segments={"country": "FR"})
    book.send("v", conversion("8"))
    first, second = (of(Conversion, event) for event in book.record.events()[-2:])
    assert (first.bucketing, first.segments) == ({"1": "11"}, {"country": "FR"})
    assert (second.bucketing, second.segments) == ({"1": "11", "2": "20"}, {"country": "FR"})


def test_a_conversion_that_comes_first_hides_no_exposure(book: Book) -> None:
    book.send("v", conversion("7", bucketingData={"1": "10"}))
    book.send("v", exposure("1", "10"))
    assert book.record.events()[-1] == Exposure("v", "1", "10", {})


def test_without_enrichment_nothing_is_filled_in(book: Book) -> None:
    book.send("v", exposure("1", "10"), segments={"country": "DE"})
    book.send("v", conversion("7"), enrich=False)
    assert book.record.events()[-1] == Conversion("v", "7", {}, {}, {})


def test_sums_per_goal_and_variation(book: Book) -> None:
    def buy(amount: object, transaction: str) -> dict[str, object]:
        return conversion("7", goalData=metrics(amount=amount, productsCount=2, transactionId=transaction))

    book.send("v", exposure("1", "10"), conversion("7"), buy(19.99, "T-1"))
    book.send("w", exposure("1", "11"), conversion("7"), buy("0.02", "T-2"), buy("no number", "T-2"))
    summary = book.record.summary()
    assert summary.goals == (
        GoalTotal("7", None, None, 2, 3, Decimal("20.01"), 6),
        GoalTotal("7", "1", "10", 1, 1, Decimal("19.99"), 2),
        GoalTotal("7", "1", "11", 1, 2, Decimal("0.02"), 4),
    )
    assert (summary.visitors, summary.requests, summary.transaction_ids) == (2, 2, 2)


@pytest.mark.parametrize("figure", ["sNaN", "-snan7", "nan123", "infinity_", "1_e9999999", "no number"])
def test_a_figure_that_cannot_be_added_adds_nothing(book: Book, figure: str) -> None:
    bought = metrics(amount=figure, productsCount=figure, transactionId="T-1")
    book.send("v", conversion("7", goalData=bought))
    book.send("v", conversion("7", goalData=metrics(amount=5, productsCount=1)))
    assert book.record.summary().goals == (GoalTotal("7", None, None, 0, 2, Decimal(5), 1),)
    assert len(book.record.events()) == 2


def test_events_are_bounded_and_sums_are_not(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert_sdk.server.record.MAX_EVENTS", 3)
    book.record.clear()
    for number in range(10):
        book.send(f"v-{number}", exposure("1", "10"))
    assert [event.visitor_id for event in book.record.events()] == ["v-7", "v-8", "v-9"]
    assert book.record.summary().variations == (VariationTotal("1", "10", 10),)


def test_clear_forgets_everything(book: Book) -> None:
    book.send("v", exposure("1", "10"), conversion("7"))
    book.record.clear()
    assert book.record.summary() == Record().summary()
    assert book.record.events() == ()


def test_what_is_kept_is_bounded_in_bytes(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert_sdk.server.record.MAX_EVENT_BYTES", 1_000)
    for number in range(10):
        body = json.dumps(
            {"visitors": [{"visitorId": f"v-{number}", "events": [exposure("1", "10"), conversion("7")]}]}
        ).encode()
        book.record.add(read_tracking(body), 300)
    assert [event.visitor_id for event in book.record.events()] == [f"v-{n}" for n in (7, 7, 8, 8, 9, 9)]
    assert (book.record.summary().received, book.record.summary().visitors) == (20, 10)
