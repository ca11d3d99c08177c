"""Products, contacts and orders in Convertmax: written under a key that a retry repeats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypedDict, Unpack
from urllib.parse import quote

from pydantic import Field

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._call import Call, call, one
from convert_sdk.commerce._json import Answer
from convert_sdk.commerce._operations import Resource, S_co, operation
from convert_sdk.commerce._wire import Id, MaybeId, Moment, StoreRecord, Text, Time, encode, required, rfc3339
from convert_sdk.errors import OptionError

Entity: TypeAlias = Literal["product", "contact", "order"]
KEY_HEADER = "x-idempotency-key"


@shown_half_made
@dataclass(frozen=True, slots=True)
class ConvertmaxOptions:
    """The choices that the documentation leaves open.

    `x_api_key` sends the key in that header too. `key_in` says where an upsert's idempotency key goes:
    `header`, `body`, or the same value in `both`.
    """

    x_api_key: bool = False
    key_in: Literal["header", "body", "both"] = "header"

    def __post_init__(self) -> None:
        if self.key_in not in ("header", "body", "both"):
            raise OptionError(f'key_in must be "header", "body" or "both", not {self.key_in!r}')


DEFAULT_OPTIONS = ConvertmaxOptions()


@shown_half_made
@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of a write: `accepted` (queued), or a `duplicate` of one with the same key."""

    outcome: Literal["accepted", "duplicate"]
    idempotency_key: str = field(repr=False)
    last_response: Answer | None = field(default=None, repr=False, compare=False)

    @property
    def accepted(self) -> bool:
        """True if the change was taken, to be applied soon: reading it back at once may show the old."""
        return self.outcome == "accepted"

    @property
    def duplicate(self) -> bool:
        """True if the key had been seen, so that this change was not applied again."""
        return self.outcome == "duplicate"


class StoredRecord(StoreRecord):
    """A record as Convertmax gives it back; its shape is not documented, `.raw` has all of it."""

    id: MaybeId = None
    """The id that it was written under."""
    entity_type: Text = None
    """The kind: product, contact or order."""
    external_id: MaybeId = None
    """The other id that it was written with."""
    source_updated_at: Moment = None
    """The time of the version that is stored."""
    data: dict[str, object] = Field(default_factory=dict, repr=False)
    """The fields of the record."""


class OtherId(TypedDict, total=False):
    """Another way to say which record."""

    external_id: str


class OtherProductId(OtherId, total=False):
    """Another way to say which product."""

    sku: str
    code: str


class _Records(Resource[S_co]):
    """Writing and reading one kind of record."""

    def __init__(self, sender: S_co, entity: Entity, options: ConvertmaxOptions) -> None:
        super().__init__(sender)
        self._entity: Entity = entity
        self._options = options
        self._path = f"/v1/{entity}s"

    @operation
    def upsert(
        self,
        record_id: Id,
        data: Mapping[str, object] | None = None,
        *,
        source_updated_at: Time,
        external_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[WriteResult]:
        """Create the record or replace its fields, as of `source_updated_at`.

        The idempotency key is made of the id, that time and the content, unless you give your own: then a
        later version under the same key is not applied.
        """
        body = self._body(source_updated_at) | {"id": _text_id(record_id), "data": encode(data or {})}
        if external_id is not None:
            required(external_id=external_id)
            body["externalId"] = external_id
        own = derived_key(self._entity, "upsert", body) if idempotency_key is None else idempotency_key
        return self._write("POST", body, own, self._options.key_in)

    def _delete(
        self, record_id: Id | None, at: Time, key: str | None, others: Mapping[str, object]
    ) -> Call[WriteResult]:
        body = self._body(at)
        if record_id is not None:
            body["id"] = _text_id(record_id)
        for name, value in others.items():
            required(**{name: value})
        if "external_id" in others:
            body["externalId"] = others["external_id"]
        if named := {name: others[name] for name in ("sku", "code") if name in others}:
            body["data"] = named
        if len(body) == len(self._body(at)):
            raise ValueError(f"which {self._entity}? give its id or external_id")
        own = derived_key(self._entity, "delete", body) if key is None else key
        return self._write("DELETE", body, own, "header")

    def _body(self, at: Time) -> dict[str, object]:
        return {"entityType": self._entity, "sourceUpdatedAt": rfc3339(at)}

    def _write(self, method: str, body: dict[str, object], key: str, key_in: str) -> Call[WriteResult]:
        if not key.isascii() or not key.isprintable() or key != key.strip() or not key:
            raise ValueError(
                "idempotency_key: only printable ASCII without spaces around it can be sent in a header"
            )
        if key_in in ("body", "both"):
            body["idempotencyKey"] = key
        headers = {KEY_HEADER: key} if key_in in ("header", "both") else {}

        def outcome(answer: Answer) -> WriteResult:
            return WriteResult("duplicate" if _is_duplicate(answer) else "accepted", key, answer)

        return replace(call(f"{method} {self._path}", outcome), body=body, headers=headers, repeatable=True)


class Records(_Records[S_co]):
    """`client.contacts` and `client.orders`"""

    @operation
    def get(self, record_id: Id) -> Call[StoredRecord]:
        """One record; NotFoundError if there is none (yet: writes are queued)."""
        return call(f"GET {self._path}/{{id}}", one(StoredRecord), id=record_id)

    @operation
    def delete(
        self,
        record_id: Id | None = None,
        *,
        source_updated_at: Time,
        idempotency_key: str | None = None,
        **other: Unpack[OtherId],
    ) -> Call[WriteResult]:
        """Delete the record with this id or `external_id`, as of `source_updated_at`."""
        if unknown := set(other) - {"external_id"}:
            raise ValueError(f"{unknown.pop()} names a product only: give its id or external_id")
        return self._delete(record_id, source_updated_at, idempotency_key, dict(other))


class ProductRecords(_Records[S_co]):
    """`client.products`"""

    @operation
    def get(self, sku: str) -> Call[StoredRecord]:
        """The product with this SKU; NotFoundError if there is none (yet: writes are queued)."""
        return call(f"GET {self._path}/{{sku}}", one(StoredRecord), sku=sku)

    @operation
    def delete(
        self,
        record_id: Id | None = None,
        *,
        source_updated_at: Time,
        idempotency_key: str | None = None,
        **other: Unpack[OtherProductId],
    ) -> Call[WriteResult]:
        """Delete the product with this id, `external_id`, `sku` or `code`."""
        if unknown := set(other) - {"external_id", "sku", "code"}:
            raise TypeError(f"unknown argument {unknown.pop()!r}")
        return self._delete(record_id, source_updated_at, idempotency_key, dict(other))


def derived_key(entity: Entity, verb: Literal["upsert", "delete"], body: Mapping[str, object]) -> str:
    """The key of one version of one record: the same for every retry, another for every change.

    >>> derived_key("product", "upsert", {"id": "sku-42", "sourceUpdatedAt": "2026-05-26T12:00:00.000Z"})
    'product:upsert:sku-42:2026-05-26T12:00:00.000Z:9490b60f75e18d9c'
    """
    content = json.dumps(encode(body), sort_keys=True, ensure_ascii=False).encode()
    name = quote(str(body.get("id") or body.get("externalId") or "-"), safe="-._~")
    return f"{entity}:{verb}:{name}:{body['sourceUpdatedAt']}:{hashlib.sha256(content).hexdigest()[:16]}"


def _is_duplicate(answer: Answer) -> bool:
    """A repeated key answers 200 with `"duplicate": true`; a change that is taken, 202."""
    payload = answer.payload if answer.status == 200 else None
    named = payload.get("duplicate") if isinstance(payload, Mapping) else None
    return answer.status == 200 and named is not False


def _text_id(value: Id) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise ValueError("a record's id is a number or a text that is not blank")
    return str(value)
