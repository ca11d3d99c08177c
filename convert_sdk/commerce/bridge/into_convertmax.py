"""Into Convertmax: what changed in a store, each version of a record under a key of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from convert_sdk.commerce._wire import encode
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.ledger import LedgerStore, Version
from convert_sdk.commerce.bridge.orders import OrderSnapshot
from convert_sdk.commerce.bridge.records import (
    ExposureLookup,
    Upsert,
    buyer_products,
    contact_record,
    order_record,
    website_products,
)
from convert_sdk.commerce.bridge.sources import ConvictionalSource, WebsiteSource
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.project import Project

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # a float of seconds since then would lose the millisecond


class Written(NamedTuple):
    """What became of some records."""

    accepted: int = 0
    duplicate: int = 0
    """Convertmax had them already: an earlier answer was lost."""
    unchanged: int = 0
    """Not sent: they are as they were when last sent."""


class IntoConvertmax:
    """Writes records whose content changed since it was last written.

    Version and time are in the ledger before the first attempt, so that a retry, even by the next process,
    repeats the idempotency key. Without `project` (`lambda: client.project`) experiences go by their ids
    alone, with it also by their keys.

    >>> from convert_sdk.commerce.bridge.memory import MemoryLedger
    >>> IntoConvertmax(ConvertmaxClient("private-key"), MemoryLedger()).write([])
    Written(accepted=0, duplicate=0, unchanged=0)
    """

    def __init__(
        self,
        client: ConvertmaxClient,
        ledger: LedgerStore,
        *,
        project: Callable[[], Project | None] = lambda: None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._project = project

    def sync(self, source: WebsiteSource | ConvictionalSource, identity: Identity) -> Written:
        """Read a store whole, and write what changed: products, contacts (a website has them), orders.

        Raises ConnectorError where either side fails; the next call goes on from what was noted.
        """
        written = Written()
        for records in self._records(source, identity):
            taken = self.write(records)
            written = Written(*(sum(pair) for pair in zip(written, taken, strict=True)))
        return written

    def write(self, records: Iterable[Upsert]) -> Written:
        """Send what changed. Raises ConnectorError at the first that fails; what was sent before stays noted."""
        counts = {"accepted": 0, "duplicate": 0, "unchanged": 0}
        for record in records:
            counts[self._write(record)] += 1
        return Written(**counts)

    def _records(
        self, source: WebsiteSource | ConvictionalSource, identity: Identity
    ) -> Iterator[Iterable[Upsert]]:
        if isinstance(source, WebsiteSource):
            yield website_products(source.client.products.list(limit=50))
            yield self._contacts(source)
            yield self._orders(source.order(each, identity) for each in source.client.orders.list(limit=50))
        else:
            yield buyer_products(source.client.products.list())
            yield self._orders(source.order(each, identity) for each in source.client.orders.list())

    def _contacts(self, source: WebsiteSource) -> Iterator[Upsert]:
        for contact in source.client.contacts.list(limit=50):
            with self._lookup() as lookup:
                record = contact_record(contact, source.scope, lookup)
            yield record

    def _orders(self, orders: Iterable[OrderSnapshot | None]) -> Iterator[Upsert]:
        for order in orders:
            if order is not None:
                with self._lookup() as lookup:
                    record = order_record(order, lookup)
                yield record

    @contextmanager
    def _lookup(self) -> Iterator[ExposureLookup]:
        with self._ledger.transaction() as transaction:
            yield ExposureLookup(
                transaction, self._ledger.clock(), self._ledger.policy.slack, self._project()
            )

    def _write(self, record: Upsert) -> Literal["accepted", "duplicate", "unchanged"]:
        key = f"{record.entity}:{record.id}"
        version = self._next_version(key, _digest(record))
        if version.sent:
            return "unchanged"
        upsert = {
            "product": self._client.products.upsert,
            "contact": self._client.contacts.upsert,
            "order": self._client.orders.upsert,
        }[record.entity]
        at = _EPOCH + timedelta(milliseconds=version.at)
        result = upsert(record.id, record.data, source_updated_at=at, external_id=record.external_id)
        with self._ledger.transaction() as transaction:
            if transaction.version(key) == version:
                transaction.keep_version(key, version._replace(sent=True))
        return result.outcome

    def _next_version(self, key: str, digest: str) -> Version:
        """The version of this content: the one that was last noted, or a new one, later than that."""
        with self._ledger.transaction() as transaction:
            last = transaction.version(key)
            if last is not None and last.digest == digest:
                return last
            at = int(self._ledger.clock() * 1000)
            version = Version(digest, at if last is None else max(at, last.at + 1), sent=False)
            transaction.keep_version(key, version)
            return version


def _digest(record: Upsert) -> str:
    content = json.dumps([encode(record.data), record.external_id], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
