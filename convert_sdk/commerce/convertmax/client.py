"""The Convertmax API: products, contacts and orders kept in step with a store."""

from __future__ import annotations

from typing import Generic

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._exchange import DEFAULT_HTTP, ConnectorEndpoint, Http
from convert_sdk.commerce._operations import S_co
from convert_sdk.commerce._sender import (
    AsyncSender,
    AsyncSession,
    Sender,
    Session,
    headers_of,
    key,
    origin_url,
)
from convert_sdk.commerce.convertmax.records import (
    DEFAULT_OPTIONS,
    KEY_HEADER,
    ConvertmaxOptions,
    ProductRecords,
    Records,
)
from convert_sdk.errors import OptionError

BASE_URL = "https://api.convertmax.io"


@shown_half_made
class _Convertmax(Generic[S_co]):
    """The resources, over either sender."""

    def __init__(self, sender: S_co, base_url: str, options: ConvertmaxOptions) -> None:
        self.base_url = base_url
        self._options = options
        self._bind(sender)

    def _checked(self, http: Http) -> Http:
        return _keyless(http)

    def _bind(self, sender: S_co) -> None:  # type: ignore[misc]  # only ever called with a sender of its own kind
        options = self._options
        self._sender = sender
        self.products = ProductRecords(sender, "product", options)
        self.contacts = Records(sender, "contact", options)
        self.orders = Records(sender, "order", options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"


class ConvertmaxClient(_Convertmax[Sender], Session):
    """Convertmax with a `private-` key, which also says whose data it is.

    >>> ConvertmaxClient("private-key")
    ConvertmaxClient('https://api.convertmax.io')
    """

    def __init__(
        self,
        api_key: str,
        *,
        app: str | None = None,
        base_url: str = BASE_URL,
        options: ConvertmaxOptions = DEFAULT_OPTIONS,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(
            Sender(_endpoint(api_key, app, base_url, options), _keyless(http)), base_url, options
        )


class AsyncConvertmaxClient(_Convertmax[AsyncSender], AsyncSession):
    """`ConvertmaxClient` for asyncio: the same operations awaited.

    >>> AsyncConvertmaxClient("private-key")
    AsyncConvertmaxClient('https://api.convertmax.io')
    """

    def __init__(
        self,
        api_key: str,
        *,
        app: str | None = None,
        base_url: str = BASE_URL,
        options: ConvertmaxOptions = DEFAULT_OPTIONS,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(
            AsyncSender(_endpoint(api_key, app, base_url, options), _keyless(http)), base_url, options
        )


def _keyless(http: Http) -> Http:
    """`http`, unless its headers have an idempotency key: each write has its own, and none may have two."""
    if any(name.lower() == KEY_HEADER for name in http.headers):
        raise OptionError(
            f"Http.headers: {KEY_HEADER} for every request would make each write a duplicate of the first: give "
            "idempotency_key with the write"
        )
    return http


def _endpoint(api_key: str, app: str | None, base_url: str, options: ConvertmaxOptions) -> ConnectorEndpoint:
    headers = headers_of(f"Bearer {key('api_key', api_key)}", app)
    if options.x_api_key:
        headers["x-api-key"] = api_key
    return ConnectorEndpoint(origin_url("base_url", base_url), headers, (api_key,))
