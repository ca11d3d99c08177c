"""Convertmax on loopback: records, idempotency keys and tracked events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.requests import Request

from convert_sdk.testing.stores._local import Ask, LocalStore, Operation, Refusal, Reply
from convert_sdk.testing.stores._rows import JsonObject

_ENTITIES = ("product", "contact", "order")
_UPSERT = {"entityType", "id", "sourceUpdatedAt", "externalId", "idempotencyKey", "data"}
_DELETE = {"entityType", "id", "sourceUpdatedAt", "externalId", "data"}
_EVENT = {"event_type", "visitor", "session_id", "data"}


class ConvertmaxStore(LocalStore):
    """Convertmax on loopback, with its Event API under `tracking_key`.

    `records["product"]` and so on hold what was written by id, `keys` the idempotency keys seen, `events`
    what was tracked. With `queued` set, writes wait until `settle()`, as the real one's do for a moment.

    >>> with ConvertmaxStore() as store:
    ...     store.records["order"]
    {}
    """

    tracking_key = "tracking-key"

    def reset(self) -> None:
        """Begin anew: an empty store, every switch as it was."""
        super().reset()
        self.records: dict[str, dict[str, JsonObject]] = {entity: {} for entity in _ENTITIES}
        self.keys: list[str] = []
        self.events: list[JsonObject] = []
        self.queued = False
        self._waiting: list[Callable[[], None]] = []

    def check(self, request: Request) -> None:
        """Refuse a request without the key of the API it is for, or without a User-Agent."""
        key = self.tracking_key if request.url.path == "/v1/track/" else self.key
        if request.headers.get("authorization") != f"Bearer {key}":
            raise Refusal(401, "Unauthorized")
        if request.headers.get("x-api-key", self.key) != self.key:
            raise Refusal(401, "Unauthorized")
        if not request.headers.get("user-agent"):
            raise Refusal(400, "A User-Agent header is required")

    def error(self, status: int, message: str) -> object:
        """One of the shapes in use: the real one is not documented."""
        return {"error": message, "statusCode": status}

    def operations(self) -> list[tuple[str, Operation]]:
        """Every operation of both APIs."""
        table: list[tuple[str, Operation]] = [("POST /v1/track/", self._track)]
        for entity in _ENTITIES:
            table += [
                (f"POST /v1/{entity}s", self._writing(entity, self._upsert, _UPSERT)),
                (f"DELETE /v1/{entity}s", self._writing(entity, self._delete, _DELETE)),
                (f"GET /v1/{entity}s/{{id}}", self._getting(entity)),
            ]
        return table

    def settle(self) -> None:
        """Apply the writes that wait."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def _writing(
        self, entity: str, write: Callable[[str, Mapping[str, object]], None], allowed: set[str]
    ) -> Operation:
        def operate(ask: Ask) -> Reply:
            _checked(entity, ask.body, allowed)
            key = _key(ask)
            if key in self.keys:
                return Reply({"duplicate": True}, 200)
            if key:
                self.keys.append(key)
            self._waiting.append(lambda: write(entity, ask.body))
            if not self.queued:
                self.settle()
            return Reply({"status": "accepted"}, 202)

        return operate

    def _getting(self, entity: str) -> Operation:
        def get(ask: Ask) -> Reply:
            for record_id, record in self.records[entity].items():
                data = record.get("data")
                sku = data.get("sku") if isinstance(data, dict) else None
                if ask.ids["id"] == (sku or record_id if entity == "product" else record_id):
                    return Reply(record)
            raise Refusal(404, "Not found")

        return get

    def _upsert(self, entity: str, body: Mapping[str, object]) -> None:
        self.records[entity][str(body["id"])] = dict(body)

    def _delete(self, entity: str, body: Mapping[str, object]) -> None:
        named = body.get("data")
        named = named if isinstance(named, dict) else {}
        for record_id, record in [*self.records[entity].items()]:
            data = record.get("data")
            data = data if isinstance(data, dict) else {}
            fits = (
                record_id == body.get("id")
                or ("externalId" in body and record.get("externalId") == body["externalId"])
                or any(data.get(name) == value for name, value in named.items())
            )
            if fits:
                del self.records[entity][record_id]

    def _track(self, ask: Ask) -> Reply:
        if not set(ask.body) <= _EVENT or not ask.body.get("event_type") or not ask.body.get("visitor"):
            raise Refusal(400, "event_type and visitor are required")
        self.events.append(dict(ask.body))
        return Reply({})


def _checked(entity: str, body: Mapping[str, object], allowed: set[str]) -> None:
    if unknown := sorted(set(body) - allowed):
        raise Refusal(400, f"Unknown field: {unknown[0]}")
    if body.get("entityType") != entity:
        raise Refusal(400, f"entityType must be {entity}")
    try:
        moment = datetime.fromisoformat(str(body.get("sourceUpdatedAt")))
    except ValueError:
        raise Refusal(400, "sourceUpdatedAt must be ISO 8601") from None
    if moment.tzinfo is None:
        raise Refusal(400, "sourceUpdatedAt needs a time zone")
    names = ["id"] if allowed is _UPSERT else ["id", "externalId"] + ["data"] * (entity == "product")
    if not any(body.get(name) for name in names):
        raise Refusal(400, f"{' or '.join(names)} is required")


def _key(ask: Ask) -> str:
    in_header, in_body = ask.headers.get("x-idempotency-key", ""), str(ask.body.get("idempotencyKey") or "")
    if in_header and in_body and in_header != in_body:
        raise Refusal(400, "two idempotency keys")
    return in_header or in_body
