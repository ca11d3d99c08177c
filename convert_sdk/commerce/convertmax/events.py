"""The Event API of Convertmax: what visitors do, under a tracking key of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from convert_sdk.commerce._call import Call, call, nothing
from convert_sdk.commerce._exchange import DEFAULT_HTTP, ConnectorEndpoint, Http
from convert_sdk.commerce._operations import Resource, S_co, operation
from convert_sdk.commerce._sender import (
    AsyncSender,
    AsyncSession,
    Sender,
    Session,
    headers_of,
    key,
    origin_url,
)
from convert_sdk.commerce._wire import required

EVENT_URL = "https://event.convertmax.io"


class _Events(Resource[S_co]):
    """The one operation, over either sender."""

    def _bind(self, sender: S_co) -> None:  # type: ignore[misc]  # only ever called with a sender of its own kind
        self._sender = sender

    @operation
    def track(
        self,
        event_type: str,
        visitor: str,
        *,
        session_id: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> Call[None]:
        """Record an event: `page_view`, `click`, `search`, `add_cart`, `convert` or `custom`.

        It is sent once: the API knows no key by which it could tell a repetition.
        """
        required(event_type=event_type, visitor=visitor)
        body: dict[str, object] = {"event_type": event_type, "visitor": visitor}
        if session_id is not None:
            body["session_id"] = session_id
        if data is not None:
            body["data"] = data
        return replace(call("POST /v1/track/", nothing), body=body)


class EventClient(_Events[Sender], Session):
    """The Event API with a tracking key (not the `private-` key).

    >>> EventClient("tracking-key")
    EventClient()
    """

    def __init__(
        self, tracking_key: str, *, app: str | None = None, base_url: str = EVENT_URL,
        http: Http = DEFAULT_HTTP,
    ) -> None:  # fmt: skip
        super().__init__(Sender(_endpoint(tracking_key, app, base_url), http))

    def __repr__(self) -> str:
        return "EventClient()"


class AsyncEventClient(_Events[AsyncSender], AsyncSession):
    """`EventClient` for asyncio.

    >>> AsyncEventClient("tracking-key")
    AsyncEventClient()
    """

    def __init__(
        self, tracking_key: str, *, app: str | None = None, base_url: str = EVENT_URL,
        http: Http = DEFAULT_HTTP,
    ) -> None:  # fmt: skip
        super().__init__(AsyncSender(_endpoint(tracking_key, app, base_url), http))

    def __repr__(self) -> str:
        return "AsyncEventClient()"


def _endpoint(tracking_key: str, app: str | None, base_url: str) -> ConnectorEndpoint:
    headers = headers_of(f"Bearer {key('tracking_key', tracking_key)}", app)
    return ConnectorEndpoint(origin_url("base_url", base_url), headers, (tracking_key,))
