"""Into Convertmax: what changed in a store, each version of a record under a key of its own."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from convert_sdk.commerce._pages import Pages
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
from convert_sdk.commerce.bridge.sources import ConvictionalSource, WebsiteSource, in_ledger
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.convictional import BuyerOrder, BuyerProduct
from convert_sdk.commerce.errors import NotFoundError, ValidationError
from convert_sdk.commerce.website import Order, Product
from convert_sdk.project import Project

P = TypeVar("P", bound="Product | BuyerProduct")
R = TypeVar("R", bound="Order | BuyerOrder")
_GONE = "gone"
_log = logging.getLogger("convert_sdk")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # a float of seconds since then would lose the millisecond


class Written(NamedTuple):
    """The result of writing some records."""

    accepted: int = 0
    duplicate: int = 0
    """Convertmax had them already: an earlier answer was lost."""
    unchanged: int = 0
    """Not sent: they are as they were when last sent."""
    unreadable: int = 0
    """Not sent: what they cannot be without is there and cannot be read."""
    deleted: int = 0
    """Deleted at Convertmax: the store has them no more."""
    held_back: int = 0
    """Gone from the store and not deleted: more at once than were allowed, or something could not be read."""
    refused: int = 0
    """Refused by Convertmax, each by itself; tried again with the next call."""


class IntoConvertmax:
    """Writes records whose content changed since it was last written.

    Version and time are in the ledger before the first attempt, so that a retry, even by the next process,
    repeats the idempotency key. What two stores have under one SKU is one record: the last one written counts, which
    a warning says once. Without `project` (`lambda: client.project`) experiences go by their ids
    alone, with it also by their keys.

    >>> from convert_sdk.commerce.bridge.memory import MemoryLedger
    >>> IntoConvertmax(ConvertmaxClient("private-key"), MemoryLedger()).write([])
    Written(accepted=0, duplicate=0, unchanged=0, unreadable=0, deleted=0, held_back=0, refused=0)
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
        self._has_warned = False

    def sync(
        self,
        source: WebsiteSource | ConvictionalSource,
        identity: Identity,
        *,
        delete_gone: bool = False,
        at_most: int = 100,
    ) -> Written:
        """Read a store whole, and write what changed: products, contacts (a website has them), orders.

        Args:
            source: The store.
            identity: The bridge's.
            delete_gone: Delete at Convertmax what was written from this store alone and is in it no more. It must be
                missing from two whole readings, one after the other.
            at_most: So many deletions at once are believed. If there are more, none is made, and `held_back`
                counts them.

        Raises:
            ConnectorError: Either side failed; the next call goes on from what was noted. What Convertmax refuses
                of one record stops no other: `refused` counts it, and a warning says why.
        """
        with self._ledger.transaction() as transaction:
            source = in_ledger(source, transaction)
        written, seen = Written(), _Seen()
        for records in self._records(source, identity):
            written = _sum(written, self._write_all(seen.passing(records), source.scope))
        written = written._replace(unreadable=seen.unreadable)
        return _sum(written, self._delete_gone(source, identity, seen, at_most)) if delete_gone else written

    def _delete_gone(
        self, source: WebsiteSource | ConvictionalSource, identity: Identity, seen: _Seen, at_most: int
    ) -> Written:
        scope = source.scope
        with self._ledger.transaction() as transaction:
            gone = [key for key in transaction.version_keys(scope) if key not in seen.keys]
        if not gone:
            return Written()
        again = _Seen()  # a list that moved while it was read may have hidden a record
        for records in self._records(source, identity):
            for _ in again.passing(records):
                pass
        gone = [key for key in gone if key not in again.keys]
        with self._ledger.transaction() as transaction:
            alone = [key for key in gone if transaction.version_sources(key) == [scope]]
            is_held = seen.unreadable or again.unreadable or len(alone) > at_most
            for key in () if is_held else {*gone} - {*alone}:
                transaction.drop_source(key, scope)  # whoever has it last deletes it
        if is_held:
            _log.warning("%d records are gone from the store and were not deleted at Convertmax", len(alone))
            return Written(held_back=len(alone))
        refused = sum(not self._delete(key) for key in alone)
        return Written(deleted=len(alone) - refused, refused=refused)

    def _delete(self, key: str) -> bool:
        """Delete a record at Convertmax; False if that is refused."""
        entity, _, record_id = key.partition(":")
        version = self._next_version(key, _GONE, "")
        delete = {
            "product": self._client.products.delete,
            "contact": self._client.contacts.delete,
            "order": self._client.orders.delete,
        }[entity]
        try:
            delete(record_id, source_updated_at=_EPOCH + timedelta(milliseconds=version.at))
        except NotFoundError:
            pass  # as it is wanted
        except ValidationError as error:
            _warn_of_refusal(entity, error)
            return False
        with self._ledger.transaction() as transaction:
            if transaction.version(key) == version:
                transaction.drop_version(key)
        return True

    def write(self, records: Iterable[Upsert]) -> Written:
        """Send what changed; what Convertmax refuses of one record stops no other.

        Raises:
            ConnectorError: Convertmax failed; what was sent before stays noted.
        """
        return self._write_all(records, "")

    def _write_all(self, records: Iterable[Upsert], source: str) -> Written:
        counts = {"accepted": 0, "duplicate": 0, "unchanged": 0, "refused": 0}
        for record in records:
            try:
                counts[self._write(record, source)] += 1
            except ValidationError as error:
                counts["refused"] += 1
                _warn_of_refusal(record.entity, error)
        return Written(**counts)

    def _records(
        self, source: WebsiteSource | ConvictionalSource, identity: Identity
    ) -> Iterator[Iterator[Upsert | None]]:
        """The records of each list; None stands for one that cannot be read."""
        if isinstance(source, WebsiteSource):
            yield self._products(source.client.products.list(limit=50), website_products)
            yield self._contacts(source)
            yield self._orders(source, source.client.orders.list(limit=50), identity)
        else:
            yield self._products(source.client.products.list(), buyer_products)
            yield self._orders(source, source.client.orders.list(), identity)

    def _products(
        self, pages: Pages[P], records: Callable[[Iterable[P]], Iterator[Upsert]]
    ) -> Iterator[Upsert | None]:
        for page in pages.pages():
            yield from (None for _ in page.unreadable)
            for product in page:
                odd = {"id", "_id", "variants"} & {*product.unreadable}
                odd |= {each for each in product.unreadable if each.endswith(".sku")}
                if odd or product.id is None:
                    yield None
                else:
                    yield from records([product])

    def _contacts(self, source: WebsiteSource) -> Iterator[Upsert | None]:
        for page in source.client.contacts.list(limit=50).pages():
            yield from (None for _ in page.unreadable)
            for contact in page:
                if contact.id is None:
                    yield None
                else:
                    with self._lookup() as lookup:
                        record = contact_record(contact, source.scope, lookup)
                    yield record

    def _orders(
        self, source: WebsiteSource | ConvictionalSource, pages: Pages[R], identity: Identity
    ) -> Iterator[Upsert | None]:
        for page in pages.pages():
            yield from (None for _ in page.unreadable)
            for each in page:
                order = source.order(each, identity)  # type: ignore[arg-type]  # its own client's record
                if isinstance(order, OrderSnapshot):
                    with self._lookup() as lookup:
                        record = order_record(order, lookup)
                    yield record
                elif order is not None:
                    yield None

    @contextmanager
    def _lookup(self) -> Iterator[ExposureLookup]:
        with self._ledger.transaction() as transaction:
            yield ExposureLookup(
                transaction, self._ledger.clock(), self._ledger.policy.slack, self._project()
            )

    def _write(self, record: Upsert, source: str) -> Literal["accepted", "duplicate", "unchanged"]:
        key = f"{record.entity}:{record.id}"
        version = self._next_version(key, _digest(record), source)
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
                transaction.keep_version(key, version._replace(sent=True), source)
        return result.outcome

    def _next_version(self, key: str, digest: str, source: str) -> Version:
        """The version of this content: the one that was last noted, or a new one, later than that."""
        with self._ledger.transaction() as transaction:
            self._warn_of_two(key, source, transaction.version_sources(key))
            last = transaction.version(key)
            if last is not None and last.digest == digest:
                transaction.keep_version(key, last, source)
                return last
            at = int(self._ledger.clock() * 1000)
            version = Version(digest, at if last is None else max(at, last.at + 1), sent=False)
            transaction.keep_version(key, version, source)
            return version

    def _warn_of_two(self, key: str, source: str, known: Sequence[str]) -> None:
        """Say once that a record is written from another source than before."""
        if source and known and source not in known and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%s is written from %s and from %s: the last one counts, here and for others like it",
                key,
                known[0],
                source,
            )


class _Seen:
    """The keys of records that were read, and the number of those that cannot be."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.unreadable = 0

    def passing(self, records: Iterable[Upsert | None]) -> Iterator[Upsert]:
        """Those that can be read."""
        for record in records:
            if record is None:
                self.unreadable += 1
            else:
                self.keys.add(f"{record.entity}:{record.id}")
                yield record


def _warn_of_refusal(entity: str, error: ValidationError) -> None:
    _log.warning("Convertmax refused the version of one %s: %s", entity, error)


def _sum(one: Written, other: Written) -> Written:
    return Written(*(sum(pair) for pair in zip(one, other, strict=True)))


def _digest(record: Upsert) -> str:
    content = json.dumps([encode(record.data), record.external_id], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
