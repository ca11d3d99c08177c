"""Convertmax on both clients: keys that a retry repeats and a new version never does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk.commerce import Http
from convert_sdk.commerce.convertmax import (
    AsyncConvertmaxClient,
    ConvertmaxClient,
    ConvertmaxOptions,
    derived_key,
)
from convert_sdk.commerce.errors import AuthError, NotFoundError, ServerError
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import ConvertmaxStore, Received
from convert_sdk.testing.stores._local import Fault
from tests.shapes import of
from tests.waiting import PATIENCE

from .asking import Either
from .openapi import FIXTURES

AT = datetime(2026, 5, 26, 12, tzinfo=UTC)
EXAMPLE = json.loads((FIXTURES / "commerce" / "convertmax-product.json").read_text())
KINDS = ["products", "contacts", "orders"]


def resource(client: Any, kind: str) -> Any:
    return getattr(client, kind)


def header(request: Received) -> str | None:
    return request.headers.get("x-idempotency-key")


class TestUpsert:
    def test_it_sends_the_documented_body(self, convertmax: ConvertmaxStore, records: Either) -> None:
        sku = {"sku": "sku-42", "name": "Example product"}
        key = EXAMPLE["idempotency_key"]
        written = records.do(
            lambda c: c.products.upsert("sku-42", sku, source_updated_at=AT, idempotency_key=key)
        )
        (request,) = convertmax.requests
        assert (request.json(), header(request)) == (EXAMPLE["body"], key)
        assert (written.accepted, written.duplicate, written.idempotency_key) == (True, False, key)

    @pytest.mark.parametrize("kind", KINDS)
    def test_write_and_read_back(self, convertmax: ConvertmaxStore, records: Either, kind: str) -> None:
        data = {"name": "x", "total": 49.9}
        written = records.do(
            lambda c: resource(c, kind).upsert(7, data, source_updated_at=AT, external_id="e-7")
        )
        assert written.accepted
        found = records.do(lambda c: resource(c, kind).get("7"))
        assert (found.id, found.external_id, found.source_updated_at) == ("7", "e-7", AT)
        assert found.raw["data"] == found.data
        assert found.entity_type == kind.removesuffix("s")

    def test_writes_are_queued(self, convertmax: ConvertmaxStore, records: Either) -> None:
        convertmax.queued = True
        assert records.do(lambda c: c.orders.upsert("1", {}, source_updated_at=AT)).accepted
        with pytest.raises(NotFoundError):
            records.do(lambda c: c.orders.get("1"))
        convertmax.settle()
        assert records.do(lambda c: c.orders.get("1")).id == "1"

    def test_a_retry_repeats_its_key_and_counts_once(
        self, convertmax: ConvertmaxStore, records: Either
    ) -> None:
        convertmax.fail(503, applied=True)
        written = records.do(lambda c: c.orders.upsert("1", {"total": 1}, source_updated_at=AT))
        assert written.duplicate
        first, second = map(header, convertmax.requests)
        assert first == second == written.idempotency_key

    def test_each_version_has_its_own_key(self, convertmax: ConvertmaxStore, records: Either) -> None:
        versions = [({"n": 1}, 0), ({"n": 2}, 0), ({"n": 1}, 1), ({"n": 1}, 2)]
        for data, seconds in versions:
            at = AT + timedelta(seconds=seconds)
            assert records.do(
                lambda c, data=data, at=at: c.orders.upsert("1", data, source_updated_at=at)
            ).accepted
        again = records.do(lambda c: c.orders.upsert("1", {"n": 1}, source_updated_at=AT))
        assert again.duplicate
        assert len(set(map(header, convertmax.requests))) == len(versions)

    @pytest.mark.parametrize(("key_in", "places"), [("header", (1, 0)), ("body", (0, 1)), ("both", (1, 1))])
    def test_the_key_goes_where_it_is_wanted_and_is_never_two(
        self, convertmax: ConvertmaxStore, key_in: Literal["header", "body", "both"], places: tuple[int, int]
    ) -> None:
        options = ConvertmaxOptions(key_in=key_in)
        with ConvertmaxClient(convertmax.key, base_url=convertmax.url, options=options) as client:
            first = client.orders.upsert("1", {}, source_updated_at=AT, idempotency_key="mine")
            second = client.orders.upsert("1", {"x": 1}, source_updated_at=AT, idempotency_key="mine")
        assert (first.accepted, second.duplicate) == (True, True)
        for request in convertmax.requests:
            body = of(dict, request.json())
            assert (int("x-idempotency-key" in request.headers), int("idempotencyKey" in body)) == places
            assert {header(request), body.get("idempotencyKey")} - {None} == {"mine"}

    @pytest.mark.parametrize("key_in", ["header", "body", "both"])
    @pytest.mark.parametrize("make", [ConvertmaxClient, AsyncConvertmaxClient])
    def test_a_key_for_every_request_is_refused(
        self, make: type[ConvertmaxClient | AsyncConvertmaxClient], key_in: Literal["header", "body", "both"]
    ) -> None:
        http = Http(headers={"X-Idempotency-Key": "one for all"})
        with pytest.raises(OptionError, match="give idempotency_key with the write") as caught:
            make("private-key", options=ConvertmaxOptions(key_in=key_in), http=http)
        assert "one for all" not in str(caught.value)

    @pytest.mark.parametrize("wrong", ["", " ", True, None, 1.5])
    def test_an_id_is_needed(self, convertmax: ConvertmaxStore, records: Either, wrong: object) -> None:
        with pytest.raises(ValueError, match="id"):
            records.do(lambda c: c.orders.upsert(wrong, {}, source_updated_at=AT))
        with pytest.raises(ValueError, match="printable ASCII"):
            records.do(lambda c: c.orders.upsert("1", {}, source_updated_at=AT, idempotency_key="a\nb"))
        assert convertmax.requests == []

    @pytest.mark.parametrize("key", ["", " ", " k", "k\n", "ключ"])
    def test_a_key_of_ones_own_must_arrive_as_it_is(
        self, convertmax: ConvertmaxStore, records: Either, key: str
    ) -> None:
        for write in (
            lambda c: c.orders.upsert("1", {}, source_updated_at=AT, idempotency_key=key),
            lambda c: c.orders.delete("1", source_updated_at=AT, idempotency_key=key),
        ):
            with pytest.raises(ValueError, match="idempotency_key"):
                records.do(write)
        assert convertmax.requests == []

    def test_a_time_needs_its_zone(self, convertmax: ConvertmaxStore, records: Either) -> None:
        with pytest.raises(ValueError, match="naive"):
            records.do(lambda c: c.orders.upsert("1", {}, source_updated_at=AT.replace(tzinfo=None)))
        berlin = AT.astimezone(timezone(timedelta(hours=2))).replace(microsecond=123456)
        records.do(lambda c: c.orders.upsert("1", {}, source_updated_at=berlin))
        (request,) = convertmax.requests
        assert of(dict, request.json())["sourceUpdatedAt"] == "2026-05-26T12:00:00.123Z"

    def test_names_beyond_ascii_make_a_key_that_can_be_sent(
        self, convertmax: ConvertmaxStore, records: Either
    ) -> None:
        written = records.do(lambda c: c.products.upsert("größe:L/1", {"ü": 1}, source_updated_at=AT))
        assert written.accepted
        assert written.idempotency_key.isascii()
        assert convertmax.records["product"]["größe:L/1"]["data"] == {"ü": 1}


class TestDelete:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("named", [{"record_id": "1"}, {"external_id": "e-1"}])
    def test_with_a_body_by_id_or_external_id(
        self, convertmax: ConvertmaxStore, records: Either, kind: str, named: dict[str, str]
    ) -> None:
        records.do(lambda c: resource(c, kind).upsert("1", {}, source_updated_at=AT, external_id="e-1"))
        gone = records.do(lambda c: resource(c, kind).delete(**named, source_updated_at=AT))
        assert gone.accepted
        assert convertmax.records[kind.removesuffix("s")] == {}
        request = convertmax.requests[-1]
        assert (request.method, of(dict, request.json())["entityType"]) == ("DELETE", kind.removesuffix("s"))
        assert header(request) == gone.idempotency_key
        assert records.do(lambda c: resource(c, kind).delete(**named, source_updated_at=AT)).duplicate

    @pytest.mark.parametrize("name", ["sku", "code"])
    def test_products_also_by_sku_or_code(
        self, convertmax: ConvertmaxStore, records: Either, name: str
    ) -> None:
        records.do(lambda c: c.products.upsert("1", {name: "S/1"}, source_updated_at=AT))
        records.do(lambda c: c.products.delete(source_updated_at=AT, **{name: "S/1"}))
        assert of(dict, convertmax.requests[-1].json())["data"] == {name: "S/1"}
        assert convertmax.records["product"] == {}

    def test_without_saying_which(self, convertmax: ConvertmaxStore, records: Either) -> None:
        for kind in KINDS:
            with pytest.raises(ValueError, match="give its id or external_id"):
                records.do(lambda c, kind=kind: resource(c, kind).delete(source_updated_at=AT))
        for kind in ("contacts", "orders"):
            with pytest.raises(ValueError, match="names a product only"):
                records.do(lambda c, kind=kind: resource(c, kind).delete(source_updated_at=AT, sku="s"))
        with pytest.raises(ValueError, match="sku is required"):
            records.do(lambda c: c.products.delete(source_updated_at=AT, sku=""))
        with pytest.raises(TypeError, match="unknown argument"):
            records.do(lambda c: c.products.delete(source_updated_at=AT, name="s"))
        assert convertmax.requests == []

    def test_a_delete_is_repeated_with_its_key(self, convertmax: ConvertmaxStore, records: Either) -> None:
        convertmax.fail(500, applied=True)
        assert records.do(lambda c: c.orders.delete("1", source_updated_at=AT)).duplicate


class TestGet:
    def test_products_by_sku_in_any_spelling(self, convertmax: ConvertmaxStore, records: Either) -> None:
        records.do(lambda c: c.products.upsert("p-1", {"sku": "A/B 1%ü"}, source_updated_at=AT))
        assert records.do(lambda c: c.products.get("A/B 1%ü")).id == "p-1"
        assert convertmax.requests[-1].path == "/v1/products/A%2FB%201%25%C3%BC"

    def test_what_is_not_there(self, records: Either) -> None:
        for kind in KINDS:
            with pytest.raises(NotFoundError) as caught:
                records.do(lambda c, kind=kind: resource(c, kind).get("1"))
            assert caught.value.detail == "Not found"


class TestKeys:
    @given(st.text(min_size=1), st.dictionaries(st.text(), st.integers() | st.text()), st.data())
    def test_the_same_version_has_the_same_key_in_any_order_and_any_other_another(
        self, name: str, content: dict[str, int | str], data: st.DataObject
    ) -> None:
        body = {"id": name, "sourceUpdatedAt": "2026-05-26T12:00:00.000Z", "data": content}
        turned = {"data": dict(reversed(content.items())), **{k: body[k] for k in ("sourceUpdatedAt", "id")}}
        key = derived_key("order", "upsert", body)
        assert derived_key("order", "upsert", turned) == key
        assert key.isascii()
        assert key.isprintable()
        changed = data.draw(st.dictionaries(st.text(), st.integers() | st.text()))
        if changed != content:
            assert derived_key("order", "upsert", {**body, "data": changed}) != key
        assert derived_key("order", "delete", body) != key


class TestManners:
    def test_the_key_goes_as_bearer_and_by_option_in_a_second_header(
        self, convertmax: ConvertmaxStore
    ) -> None:
        for options in (ConvertmaxOptions(), ConvertmaxOptions(x_api_key=True)):
            with ConvertmaxClient(convertmax.key, base_url=convertmax.url, options=options) as client:
                client.orders.upsert("1", {}, source_updated_at=AT)
                assert convertmax.key not in repr(client)
        sent = [
            (each.headers["authorization"], each.headers.get("x-api-key")) for each in convertmax.requests
        ]
        assert sent == [(f"Bearer {convertmax.key}", None), (f"Bearer {convertmax.key}", convertmax.key)]
        with (
            ConvertmaxClient("wrong", base_url=convertmax.url) as client,
            pytest.raises(AuthError, match="Unauthorized"),
        ):
            client.orders.get("1")
        assert httpx.get(f"{convertmax.url}/v1/orders/1", timeout=PATIENCE).status_code == 401

    @pytest.mark.parametrize(
        ("status", "payload", "outcome"),
        [
            (202, b"", "accepted"),
            (202, {}, "accepted"),
            (200, {"duplicate": True}, "duplicate"),
            (200, {"duplicate": False}, "accepted"),
        ],
    )
    def test_both_answers_are_successes(
        self, convertmax: ConvertmaxStore, records: Either, status: int, payload: Any, outcome: str
    ) -> None:
        convertmax.faults.append(Fault(status, payload))
        assert records.do(lambda c: c.orders.upsert("1", {}, source_updated_at=AT)).outcome == outcome


class TestEvents:
    def test_track(self, convertmax: ConvertmaxStore, events: Either) -> None:
        data = {"name": "experiment_viewed", "experience_key": "checkout"}
        assert events.do(lambda c: c.track("custom", "v-1", session_id="s-1", data=data)) is None
        events.do(lambda c: c.track("page_view", "v-1"))
        assert convertmax.events == [
            {"event_type": "custom", "visitor": "v-1", "session_id": "s-1", "data": data},
            {"event_type": "page_view", "visitor": "v-1"},
        ]
        assert convertmax.tracking_key not in repr(events.client)

    def test_it_is_sent_once_and_needs_a_visitor(self, convertmax: ConvertmaxStore, events: Either) -> None:
        convertmax.fail(500, applied=True)
        with pytest.raises(ServerError):
            events.do(lambda c: c.track("custom", "v-1"))
        assert len(convertmax.events) == 1
        with pytest.raises(ValueError, match="visitor is required"):
            events.do(lambda c: c.track("custom", ""))
