"""The Buyer API: the products of one's sellers, and the orders placed with them."""

from __future__ import annotations

import hashlib
import threading
from typing import Generic
from weakref import WeakValueDictionary

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._exchange import DEFAULT_HTTP, ConnectorEndpoint, Http, TokenBucket
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
from convert_sdk.commerce.convictional.resources import BuyerOrders, BuyerPaths, BuyerProducts, refused

BASE_URL = "https://api.convictional.com"
DEFAULT_PATHS = BuyerPaths()

_buckets: WeakValueDictionary[str, TokenBucket] = WeakValueDictionary()
_buckets_lock = threading.Lock()


@shown_half_made
class _Buyer(Generic[S_co]):
    """The resources, over either sender."""

    def __init__(self, sender: S_co, base_url: str, paths: BuyerPaths) -> None:
        self.base_url = base_url
        self._paths = paths
        self._bind(sender)

    def _bind(self, sender: S_co) -> None:  # type: ignore[misc]  # only ever called with a sender of its own kind
        paths = self._paths
        self._sender = sender
        self.products = BuyerProducts(sender, paths)
        self.orders = BuyerOrders(sender, paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"


class BuyerClient(_Buyer[Sender], Session):
    """The Buyer API with one's key; at most 5 requests a second, counted over all clients of the key.

    >>> BuyerClient("api-key")
    BuyerClient('https://api.convictional.com')
    """

    def __init__(
        self,
        api_key: str,
        *,
        app: str | None = None,
        base_url: str = BASE_URL,
        paths: BuyerPaths = DEFAULT_PATHS,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(Sender(_endpoint(api_key, app, base_url), http), base_url, paths)


class AsyncBuyerClient(_Buyer[AsyncSender], AsyncSession):
    """`BuyerClient` for asyncio: the same operations awaited, the same lists with `async for`.

    >>> AsyncBuyerClient("api-key")
    AsyncBuyerClient('https://api.convictional.com')
    """

    def __init__(
        self,
        api_key: str,
        *,
        app: str | None = None,
        base_url: str = BASE_URL,
        paths: BuyerPaths = DEFAULT_PATHS,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(AsyncSender(_endpoint(api_key, app, base_url), http), base_url, paths)


def _endpoint(api_key: str, app: str | None, base_url: str) -> ConnectorEndpoint:
    headers = headers_of(key("api_key", api_key), app)  # the key as it is, without a scheme
    url = origin_url("base_url", base_url)
    return ConnectorEndpoint(url, headers, (api_key,), _bucket(url, api_key), refused)


def _bucket(url: str, api_key: str) -> TokenBucket:
    """The one bucket of this key in this process."""
    name = hashlib.sha256(f"{url} {api_key}".encode()).hexdigest()
    with _buckets_lock:
        return _buckets.setdefault(name, TokenBucket(5, seconds=1.0))
